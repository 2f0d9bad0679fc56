//! The socket to a server: TCP or a unix socket, as one type, opened by us so that we know its two ends. It knows no
//! protocol. A peer that vanished without a word is noticed within half a minute.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::address::Host;

/// Silence before the kernel asks whether the peer is still there, and between its questions: a worker that waits for a
/// dead host learns it about as fast as others learn that a worker is dead.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_COUNT: u32 = 3;

/// How long sent bytes may stay unacknowledged by the peer's kernel. Long enough for a server whose statement makes it
/// read nothing for a while.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_MS: u32 = 30_000;

/// One place to connect to: a host's name stands for several.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
}

/// The places a host stands for.
pub(super) async fn places(host: &Host) -> io::Result<Vec<Place>> {
    match host {
        Host::Tcp(name, port) => Ok(tokio::net::lookup_host((name.as_str(), *port)).await?.map(Place::Tcp).collect()),
        #[cfg(unix)]
        Host::Socket(folder, port) => Ok(vec![Place::Unix(folder.join(format!(".s.PGSQL.{port}")))]),
        #[cfg(not(unix))]
        Host::Socket(..) => Err(io::Error::new(io::ErrorKind::Unsupported, "there are no unix sockets on this system")),
    }
}

/// Our end of a socket, by which the server's answers tell whether it is the one at the other end.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// Our own address and port.
    Tcp(Option<SocketAddr>),
    /// The process at the other end.
    Unix(Option<i32>),
}

/// An open connection.
pub(super) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Socket {
    pub(super) async fn open(place: &Place) -> io::Result<Self> {
        match place {
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                sockopt::set_socket_keepalive(&stream, true)?;
                sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
                sockopt::set_tcp_keepintvl(&stream, KEEPALIVE_INTERVAL)?;
                sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_COUNT)?;
                #[cfg(target_os = "linux")]
                sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED_MS)?;
                Ok(Self::Tcp(stream))
            }
            #[cfg(unix)]
            Place::Unix(path) => Ok(Self::Unix(UnixStream::connect(path).await?)),
        }
    }

    pub(super) fn end(&self) -> End {
        match self {
            Self::Tcp(stream) => End::Tcp(stream.local_addr().ok()),
            #[cfg(unix)]
            Self::Unix(stream) => End::Unix(stream.peer_cred().ok().and_then(|peer| peer.pid())),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, into),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

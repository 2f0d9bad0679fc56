//! Connecting: the hosts of an address in turn, TLS as it says, and whether the server itself is at the other end or a
//! pooler stands between. It keeps no connections (that is the pool) and looks at no table. Nothing is set for longer
//! than a transaction on a connection that is not surely direct: a pooler would hand the setting to somebody else.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use stent_core::{StoreError, StoreErrorKind};
use tokio_postgres::config::SslMode as Way;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::{Address, Host, SslMode};
use crate::error::{is_lost, store_error};

mod socket;
mod tls;

use socket::{End, Place, Socket, places};
pub(crate) use tls::Connector;

const LOOK: &str = include_str!("../sql/connect_look.sql");

type Encrypted = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// A connection that is ready for use.
pub(crate) struct Connected {
    pub(crate) client: Client,
    /// Nothing of the client's goes on unless this is polled.
    pub(crate) driver: Driver,
    /// Whether the server itself is at the other end of the socket: only then does a session last as long as the
    /// connection, and end with our process.
    pub(crate) is_direct: bool,
}

/// The half of a connection that moves bytes. As a future it ends with the connection, and says nothing but to the log.
/// Nothing is left of a connection that has ended: whoever waits for an answer on it is told by that alone.
pub(crate) struct Driver(Option<Box<Connection<Socket, Encrypted>>>);

impl Driver {
    /// The next message that nobody asked for (a notification, a notice); `None` or an error are the last.
    pub(crate) fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> {
        let Some(connection) = &mut self.0 else { return Poll::Ready(None) };
        let message = connection.poll_message(context);
        if matches!(message, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        message
    }

    /// Drives the connection while `work` goes on over its client: for when nothing else does yet. What nobody asked for
    /// is dropped. When the connection ends, the work fails by itself.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut ended = false;
        poll_fn(|context| {
            while !ended {
                match self.poll_message(context) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(_)) | None) => ended = true,
                    Poll::Pending => break,
                }
            }
            work.as_mut().poll(context)
        })
        .await
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.poll_message(context) {
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                    tracing::debug!(severity = notice.severity(), message = notice.message(), "the server notes");
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(error = crate::error::words(&error), "a connection ended");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Connects to the first host that lets us in and, where the address wants that, writes. When none does, what may go
/// away by itself counts: one host is down, another a standby, and trying again is worth it.
pub(crate) async fn connect(address: &Address) -> Result<Connected, StoreError> {
    let mut failures = Vec::new();
    for host in address.hosts() {
        match connect_to(address, &host).await {
            Ok(connected) => return Ok(connected),
            Err(error) => failures.push(error),
        }
    }
    Err(summary(failures, StoreError::is_transient))
}

/// Connects to one host at the first of its addresses that lets us in. When none does, what a server said counts:
/// `localhost` is two addresses, and often only one of them has a server.
async fn connect_to(address: &Address, host: &Host) -> Result<Connected, StoreError> {
    let found = async { places(host).await.map_err(|error| unreachable(host, &error)) };
    let mut failures = Vec::new();
    for place in within(address, host, found).await? {
        match within(address, host, enter(address, host, &place)).await {
            Ok(connected) => return Ok(connected),
            Err(error) => failures.push(error),
        }
    }
    Err(summary(failures, |failure| !failure.is_transient()))
}

/// Gives a host the time it may take.
async fn within<T>(
    address: &Address,
    host: &Host,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(address.connect_timeout, work).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let message = format!("could not connect to {host} within {:?}", address.connect_timeout);
            Err(StoreError::new(StoreErrorKind::Unavailable, message)
                .with_hint("is the server reachable from here? connect_timeout in the address says how long to wait"))
        }
    }
}

/// One failure in place of several: the words of all, the kind of the first that counts.
fn summary(mut failures: Vec<StoreError>, counts: impl Fn(&StoreError) -> bool) -> StoreError {
    let chosen = failures.iter().position(counts).or(failures.len().checked_sub(1));
    let Some(chosen) = chosen else {
        return StoreError::new(StoreErrorKind::Unavailable, "the host's name stands for no address");
    };
    let said = failures.iter().map(|failure| {
        let whole = failure.to_string();
        whole.strip_suffix(&format!(": {}", failure.hint())).unwrap_or(&whole).to_owned()
    });
    let mut said: Vec<_> = said.collect();
    said.dedup();
    let chosen = failures.swap_remove(chosen);
    if said.len() <= 1 {
        return chosen;
    }
    let hint = chosen.hint().to_owned();
    StoreError::new(chosen.kind(), said.join("; ")).with_hint(hint).with_source(chosen)
}

fn unreachable(host: &Host, error: &std::io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, format!("could not connect to {host}: {error}"))
        .with_hint("is the server running, and does it listen there?")
}

/// Connects to one place, in each way that the mode allows.
async fn enter(address: &Address, host: &Host, place: &Place) -> Result<Connected, StoreError> {
    let doing = format!("connect to {host} as {}", address.user);
    let mut first = None;
    for way in ways(address.tls.mode, place) {
        let socket = Socket::open(place).await.map_err(|error| unreachable(host, &error))?;
        let end = socket.end();
        let mut connector = address.connector.get(&address.tls, *way != Way::Disable)?;
        let Ok(tls) = MakeTlsConnect::<Socket>::make_tls_connect(&mut connector, tls_name(host));
        match configuration(address, host, *way).connect_raw(socket, tls).await {
            Ok((client, connection)) => {
                let driver = Driver(Some(Box::new(connection)));
                return settle(address, host, client, driver, &end).await;
            }
            // Another way may be let in where this one is not; a wrong password is wrong in any way.
            Err(error) if is_about_the_way(&error) => {
                first.get_or_insert(error);
            }
            Err(error) => return Err(store_error(&doing, error)),
        }
    }
    match first {
        Some(error) => Err(store_error(&doing, error)),
        None => Err(StoreError::new(StoreErrorKind::Unusable, format!("could not {doing}"))),
    }
}

/// The ways to try at one place, in order. On a unix socket nobody listens in, and servers offer no TLS there.
fn ways(mode: SslMode, place: &Place) -> &'static [Way] {
    if !matches!(place, Place::Tcp(_)) {
        return &[Way::Disable];
    }
    match mode {
        SslMode::Disable => &[Way::Disable],
        SslMode::Allow => &[Way::Disable, Way::Require],
        SslMode::Prefer => &[Way::Prefer, Way::Disable],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Way::Require],
    }
}

/// Whether it is TLS, or the lack of it, that keeps us out: the handshake, or a line of `pg_hba.conf`.
fn is_about_the_way(error: &Error) -> bool {
    match error.code() {
        Some(code) => code.code() == "28000",
        None => is_lost(error),
    }
}

/// The name that a certificate must be for; a socket's is never asked for.
fn tls_name(host: &Host) -> &str {
    match host {
        Host::Tcp(name, _) => name,
        Host::Socket(..) => "localhost",
    }
}

fn configuration(address: &Address, host: &Host, way: Way) -> Config {
    let mut config = Config::new();
    config.user(&address.user).dbname(&address.database).application_name(&address.application_name);
    config.ssl_mode(way).channel_binding(address.channel_binding);
    if let Some(options) = &address.options {
        config.options(options);
    }
    if let Some(password) = address.password(host) {
        config.password(password);
    }
    config
}

/// Finds out who is at the other end and sets what a direct connection needs.
async fn settle(
    address: &Address,
    host: &Host,
    client: Client,
    mut driver: Driver,
    end: &End,
) -> Result<Connected, StoreError> {
    let failed = |error| store_error(&format!("connect to {host}"), error);
    let seen = driver.during(look(&client)).await.map_err(failed)?;
    if address.must_write && seen.only_reads {
        let message = format!("{host} is a standby or read-only");
        return Err(StoreError::new(StoreErrorKind::Unavailable, message)
            .with_hint("none of the hosts takes writes: a primary may be about to"));
    }
    let is_direct = match address.pooler {
        Some(pooler) => !pooler,
        None if seen.is_at(end) => true,
        // Of a server that has just died nothing can be told: it has to be there still, or this is no connection at all.
        None => {
            driver.during(look(&client)).await.map_err(failed)?;
            false
        }
    };
    if is_direct {
        driver.during(client.batch_execute(&address.session())).await.map_err(failed)?;
    }
    Ok(Connected { client, driver, is_direct })
}

/// What the server says of the connection.
#[derive(Debug, Default)]
struct Seen {
    process: Option<i32>,
    address: Option<IpAddr>,
    port: Option<u16>,
    only_reads: bool,
}

/// Asks in one simple message, which any pooler passes on; the answers are text.
async fn look(client: &Client) -> Result<Seen, Error> {
    let mut seen = Seen::default();
    for message in client.simple_query(LOOK).await? {
        if let SimpleQueryMessage::Row(row) = message {
            let number = |at| row.try_get(at).map(|text| text.and_then(|text| text.parse().ok()));
            seen = Seen {
                process: number(0)?,
                address: row.try_get(1)?.and_then(|text| text.parse().ok()),
                port: number(2)?.and_then(|port| u16::try_from(port).ok()),
                only_reads: row.try_get(3)? == Some("t"),
            };
        }
    }
    Ok(seen)
}

impl Seen {
    /// Whether the server sees our very end of the socket. Where that cannot be told (translated addresses, another
    /// process space), the answer is no, which costs speed after a crash and never more.
    fn is_at(&self, end: &End) -> bool {
        match end {
            End::Tcp(Some(ours)) => {
                self.port == Some(ours.port())
                    && self.address.map(|a| a.to_canonical()) == Some(ours.ip().to_canonical())
            }
            // The socket was made by the server's first process, of which those that answer are children.
            End::Unix(Some(listener)) => {
                self.process.is_some_and(|process| process == *listener || parent(process) == Some(*listener))
            }
            End::Tcp(None) | End::Unix(None) => false,
        }
    }
}

/// The process that started another one on this machine, where the system tells.
fn parent(process: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests;

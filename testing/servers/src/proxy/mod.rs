//! A network of a test's own: a TCP proxy before a server, whose faults the test switches. It knows PostgreSQL's
//! messages, so it can lose the reply to just one of them, after the server has done the work.

mod faults;
mod link;
mod messages;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use anyhow::Context;

use crate::database::Database;
use crate::endpoint::await_until;
use crate::ports::{listener, local};

use faults::{Faults, Loss};
use link::{Link, reset_when_closed};

pub use faults::LostReply;
pub use messages::Message;

/// How long connections may take to be gone once they are cut.
const CUT_LIMIT: Duration = Duration::from_secs(10);

/// A proxy. Its connections are reset when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    network: Arc<Network>,
}

struct Network {
    target: SocketAddr,
    faults: Arc<Faults>,
    links: Mutex<Vec<Weak<Link>>>,
    is_closed: AtomicBool,
}

impl Proxy {
    /// Starts one before a server ([`Server::address`](crate::Server::address)) or a pool
    /// ([`PgBouncer::address`](crate::PgBouncer::address)). Nothing is wrong at first.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = listener()?;
        let port = listener.local_addr().context("a listener without an address")?.port();
        let network = Arc::new(Network {
            target,
            faults: Arc::default(),
            links: Mutex::default(),
            is_closed: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&network);
        thread::spawn(move || accepting.accept(&listener));
        Ok(Self { port, network })
    }

    /// The address of a database of the server's through the proxy.
    pub fn url(&self, database: &Database) -> String {
        database.url_at(self.port)
    }

    /// Its TCP port on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Resets every connection, at both ends. New ones are welcome. Returns when the old ones are gone.
    pub fn cut(&self) {
        self.network.cut(|_| true);
    }

    /// Nothing passes any more, in neither direction, not even the end of a connection; nobody is told. What was sent
    /// meanwhile arrives after [`Proxy::heal`].
    pub fn black_hole(&self) {
        self.network.faults.change(|state| state.is_black_hole = true);
    }

    /// Resets every connection and every one that tries to come.
    pub fn refuse(&self) {
        self.network.faults.change(|state| state.is_refusing = true);
        self.cut();
    }

    /// Whatever is sent arrives later by this much, in each direction; up to twice as late if something was under way.
    pub fn latency(&self, latency: Duration) {
        self.network.faults.change(|state| state.latency = latency);
    }

    /// From now on replies are lost; requests still reach the server.
    pub fn drop_replies(&self) {
        self.drop_replies_after(0);
    }

    /// From now on so many bytes of each connection's replies come through, and no more; requests still reach the
    /// server.
    pub fn drop_replies_after(&self, bytes: usize) {
        self.network.faults.change(|state| {
            let number = state.losses + 1;
            state.losses = number;
            state.loss = Some(Loss { number, after_bytes: bytes });
        });
    }

    /// The next `COMMIT` that any client sends as a simple query is carried out by the server; then its reply is
    /// thrown away and that connection reset. The client cannot know what became of it.
    pub fn lose_reply_to_commit(&self) -> LostReply {
        self.lose_reply_when(|message| message.is_commit())
    }

    /// As [`Proxy::lose_reply_to_commit`], for the first message for which the function says yes. A message of the
    /// extended protocol is carried out, and its reply lost, with all up to the next `Sync`. There is one such trap at
    /// a time: another takes its place. The function must not use the proxy.
    pub fn lose_reply_when(&self, is_sought: impl Fn(&Message<'_>) -> bool + Send + 'static) -> LostReply {
        self.network.faults.set_trap(Box::new(is_sought))
    }

    /// Nothing is wrong any more. Connections that lost bytes are reset: nothing can mend them.
    pub fn heal(&self) {
        self.network.faults.change(|state| {
            let losses = state.losses;
            *state = faults::State { losses, ..Default::default() };
        });
        self.network.cut(Link::is_torn);
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.network.links().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.is_closed.store(true, Ordering::Release);
        // The one that accepts waits for somebody to come.
        drop(TcpStream::connect(local(self.port)));
        self.network.cut(|_| true);
    }
}

impl Network {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.is_closed.load(Ordering::Acquire) {
                return;
            }
            let Ok(client) = client else { continue };
            let network = Arc::clone(self);
            thread::spawn(move || network.connect(client));
        }
    }

    fn connect(&self, client: TcpStream) {
        let is_closed = || self.is_closed.load(Ordering::Acquire);
        self.faults.hold(is_closed);
        // Whatever goes wrong from here on, the client is to see a reset.
        reset_when_closed(&client);
        if self.faults.now().is_refusing || is_closed() {
            return;
        }
        if let Ok(link) = Link::open(client, self.target, &self.faults) {
            self.keep(&link);
            // A fault that was switched meanwhile did not see this link.
            if self.faults.now().is_refusing || is_closed() {
                link.cut();
            }
        }
    }

    fn keep(&self, link: &Arc<Link>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    fn links(&self) -> Vec<Arc<Link>> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.iter().filter_map(Weak::upgrade).collect()
    }

    /// Cuts the connections that are meant, and waits until they are gone.
    fn cut(&self, is_meant: impl Fn(&Link) -> bool) {
        let mut dying = Vec::new();
        for link in self.links() {
            if is_meant(&link) {
                link.cut();
                dying.push(Arc::downgrade(&link));
            }
        }
        // Those that are held before they have a link look whether all is over.
        self.faults.wake();
        // A thread that is not scheduled in time closes its end later; the client waits for it as for any network.
        drop(await_until(CUT_LIMIT, || Ok(dying.iter().all(|link| link.strong_count() == 0))));
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("target", &self.target).finish_non_exhaustive()
    }
}

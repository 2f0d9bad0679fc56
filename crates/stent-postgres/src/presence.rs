//! Presence: one connection of the store's that stays, and an advisory lock on it for each session. When the process
//! dies the server lets go, and others see it at their next looks. It is also the connection that listens (`watch`).
//! What is silent for too long counts as gone too, by the server's clock. Behind a pooler there is no such connection:
//! a session of the server's would be anybody's, so only silence tells there.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use stent_core::{SessionId, StoreError, StoreErrorKind, Watcher};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tokio_postgres::{AsyncMessage, Error};
use uuid::Uuid;

use crate::address::Address;
use crate::connect::{Connected, Driver, connect};
use crate::error::{Step, is_lost, store_error};
use crate::query::{Column, Link, Query};
use crate::readers::Readers;
use crate::rows::{self, Row};
use crate::watch::Watch;

mod judge;

use judge::{Judge, Line, Look};

/// How long to rest between attempts to connect: at first, and at most. The most is well below the time after which a
/// missing lock is taken for a death.
const REST: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(400));

/// A connection that lasted so long was a good one: after it the next attempt is made at once.
const LASTED: Duration = Duration::from_secs(1);

/// How long another one's look takes at most, and how often ours is tried while others look.
const TURN: Duration = Duration::from_millis(10);
const TURNS: u32 = 5;

/// How long a session waits for its lock.
const ENTER_WAIT: Duration = Duration::from_secs(10);

/// What the keeper of the connection is asked.
enum Order {
    Enter(SessionId, SyncSender<Result<(), StoreError>>),
    Leave(SessionId),
}

/// The sessions this store shows as present, and what it sees of others.
pub(crate) struct Presence {
    shared: Arc<Shared>,
    judge: Mutex<Judge>,
    /// None before the first use, and while the store rests.
    keeper: Mutex<Option<Keeper>>,
}

/// What keeps the connection.
struct Keeper {
    orders: UnboundedSender<Order>,
    task: AbortHandle,
}

struct Shared {
    address: Arc<Address>,
    runtime: Handle,
    readers: Readers,
    watch: Watch,
    /// Those that have entered, with the keys of their locks; without where there are none.
    held: Mutex<HashMap<SessionId, Option<i64>>>,
    line: Mutex<Line>,
}

/// What the server answers to a look.
struct Seen {
    asked: Instant,
    server: i64,
    others: u32,
    silent: Vec<SessionId>,
    missing: Vec<SessionId>,
    emptied: Vec<SessionId>,
}

/// The key of a session's lock: the random half of its id.
fn key(session: SessionId) -> i64 {
    let [.., a, b, c, d, e, f, g, h] = *session.as_bytes();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Presence {
    /// For the store that `instance` names. Nothing is opened before the first use.
    pub(crate) fn new(address: Arc<Address>, instance: Uuid, readers: Readers, runtime: Handle) -> Self {
        let watch = Watch::new(address.schema.as_deref(), instance, readers.clone(), runtime.clone());
        let (held, line) = (Mutex::default(), Mutex::new(Line::Down));
        let shared = Arc::new(Shared { address, runtime, readers, watch, held, line });
        Self { shared, judge: Mutex::default(), keeper: Mutex::default() }
    }

    /// Starts what keeps the connection, unless it runs.
    fn keeper(&self) -> UnboundedSender<Order> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Keeper { orders, .. }) = &*keeper {
            return orders.clone();
        }
        let (orders, asked) = unbounded_channel();
        let task = self.shared.runtime.spawn(Arc::clone(&self.shared).keep(asked)).abort_handle();
        *keeper = Some(Keeper { orders: orders.clone(), task });
        orders
    }

    /// Shows a session as present until it leaves or this process dies. Blocks until it is; not to be called on the
    /// store's own runtime.
    pub(crate) fn enter(&self, session: SessionId) -> Result<(), StoreError> {
        if self.shared.held().contains_key(&session) {
            return Ok(());
        }
        let (tell, told) = sync_channel(1);
        let unavailable = |words: &str| StoreError::new(StoreErrorKind::Unavailable, words.to_owned());
        let closed = || unavailable("the store was closed while a session entered");
        self.keeper().send(Order::Enter(session, tell)).map_err(|_| closed())?;
        told.recv_timeout(ENTER_WAIT).map_err(|error| match error {
            std::sync::mpsc::RecvTimeoutError::Timeout => {
                // Should the lock come after all, nobody wants it any more.
                self.leave(session);
                unavailable("the server did not answer in time when a session entered")
            }
            std::sync::mpsc::RecvTimeoutError::Disconnected => closed(),
        })?
    }

    /// Ends a session's presence.
    pub(crate) fn leave(&self, session: SessionId) {
        self.shared.held().remove(&session);
        if let Some(Keeper { orders, .. }) = &*self.keeper.lock().unwrap_or_else(PoisonError::into_inner) {
            drop(orders.send(Order::Leave(session)));
        }
    }

    /// The lock that shows a session's presence, if it is shown.
    pub(crate) fn key(&self, session: SessionId) -> Option<i64> {
        self.shared.held().get(&session).copied().flatten()
    }

    /// A session was closed for good, whoever it belonged to.
    pub(crate) fn forget(&self, session: SessionId) {
        self.judge().forget(session);
    }

    fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether enough others look and nothing was amiss.
    pub(crate) fn may_rest(&self) -> bool {
        self.judge().may_rest(Instant::now())
    }

    /// The sessions that are not present any more, silent for `worker_timeout`, or taken over in part. Our own are never
    /// the first two.
    pub(crate) async fn gone(&self, worker_timeout: Duration) -> Result<Vec<SessionId>, StoreError> {
        self.keeper();
        let silence = i64::try_from(worker_timeout.as_micros()).unwrap_or(i64::MAX);
        let own: Vec<Uuid> = self.shared.held().keys().map(|session| rows::uuid(session.as_bytes())).collect();
        let own = Arc::new(Column(own));
        let found = self.shared.look(silence, own).await;
        let (answered, line) = (Instant::now(), *self.shared.line());
        let mut judge = self.judge();
        match found {
            Ok(Some(Seen { asked, server, others, silent, missing, emptied })) => {
                let look = Look { asked, answered, line, server, others, silent, missing, emptied };
                let gone = judge.gone(&look, worker_timeout);
                judge.pace(&look, dice());
                Ok(gone)
            }
            Ok(None) => Ok(Vec::new()),
            Err(error) => {
                judge.was_blind(answered);
                Err(error)
            }
        }
    }

    /// Tells `watcher` of foreign changes until it is dropped.
    pub(crate) fn watch(&self, watcher: Weak<dyn Watcher>) {
        self.shared.watch.add(watcher);
        self.keeper();
    }

    /// Tells other processes that this one committed something that wakes somebody, be it ends of executions alone. Never
    /// waits.
    pub(crate) fn ring(&self, only_ends: bool) {
        self.shared.watch.ring(only_ends);
    }

    /// Ends all presence and all watching, and lets the connection go; used again, it begins again.
    pub(crate) fn close(&self) {
        if let Some(Keeper { task, .. }) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
        self.shared.held().clear();
        *self.shared.line() = Line::Down;
        self.shared.watch.close();
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.close();
    }
}

fn seen(row: &Row, asked: Instant) -> Step<Seen> {
    let ids = |column| -> Step<Vec<SessionId>> {
        let ids = rows::get::<Vec<Uuid>>(row, column)?;
        Ok(ids.iter().map(|id| SessionId::from_uuid(*id)).collect())
    };
    let others = u32::try_from(rows::get::<i64>(row, 2)?).unwrap_or(u32::MAX);
    Ok(Seen { asked, server: rows::get(row, 1)?, others, silent: ids(3)?, missing: ids(4)?, emptied: ids(5)? })
}

/// A random number.
fn dice() -> u8 {
    let [.., last] = *Uuid::new_v4().as_bytes();
    last
}

/// Why a connection is not served any more.
enum End {
    /// Nobody will ask anything any more.
    Closed,
    Lost,
}

impl Shared {
    /// Looks when it is our turn. None when it was others' for too long, which tells nothing about anybody.
    async fn look(&self, silence: i64, own: Arc<Column<Uuid>>) -> Result<Option<Seen>, StoreError> {
        let look = self.readers.glance(move |reader| {
            let own = Arc::clone(&own);
            Box::pin(async move {
                for _ in 0..TURNS {
                    let asked = Instant::now();
                    let Some(row) = reader.first(Query::SessionGone, &[&silence, &*own]).await? else { break };
                    if rows::get::<bool>(&row, 0)? {
                        return seen(&row, asked).map(Some);
                    }
                    tokio::time::sleep(TURN).await;
                }
                Ok(None)
            })
        });
        look.await
    }

    fn held(&self) -> MutexGuard<'_, HashMap<SessionId, Option<i64>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the connection: connects, and connects again, until it is ended.
    async fn keep(self: Arc<Self>, mut orders: UnboundedReceiver<Order>) {
        let mut rest = REST.0;
        for number in 1.. {
            let began = Instant::now();
            match connect(&self.address).await {
                Ok(Connected { is_direct: false, .. }) => return self.do_without(orders).await,
                Ok(connected) => match self.serve(connected, number, &mut orders).await {
                    Ok(End::Closed) => return,
                    Ok(End::Lost) => tracing::debug!("the connection that shows presence is lost"),
                    Err(error) => self.refuse(&mut orders, &store_error("show that this process is present", error)),
                },
                Err(error) => {
                    tracing::debug!(%error, "no connection to show presence by");
                    self.refuse(&mut orders, &error);
                }
            }
            if began.elapsed() >= LASTED {
                rest = REST.0;
            } else {
                tokio::time::sleep(rest).await;
                rest = (rest * 2).min(REST.1);
            }
        }
    }

    /// Behind a pooler: sessions enter, and show it by their beats alone; who leaves says so.
    async fn do_without(&self, mut orders: UnboundedReceiver<Order>) {
        *self.line() = Line::Pooled;
        self.held().values_mut().for_each(|key| *key = None);
        self.watch.cannot_listen();
        while let Some(order) = orders.recv().await {
            match order {
                Order::Enter(session, tell) => {
                    self.held().insert(session, None);
                    drop(tell.send(Ok(())));
                }
                Order::Leave(session) => {
                    self.held().remove(&session);
                    let id = rows::uuid(session.as_bytes());
                    if let Err(error) = self.readers.hint(Query::SessionLeave, &[&id]).await {
                        tracing::debug!(%error, "others have to find out that a session left");
                    }
                }
            }
        }
    }

    /// Holds the locks and listens for as long as the connection lasts.
    async fn serve(
        self: &Arc<Self>,
        connected: Connected,
        number: u64,
        orders: &mut UnboundedReceiver<Order>,
    ) -> Result<End, Error> {
        let Connected { client, mut driver, .. } = connected;
        let link = Arc::new(Link::new(client, true));
        let keys: Vec<i64> = self.held().values().flatten().copied().collect();
        let begun = driver.during(async {
            link.query(Query::PresenceLock, &[&Column(keys)]).await?;
            link.client().batch_execute(&self.watch.greeting()).await
        });
        begun.await?;
        *self.line() = Line::Direct { number, since: Instant::now() };
        self.watch.connected(Arc::clone(&link));
        let mut driven = self.runtime.spawn(listen(driver, Arc::clone(self)));
        let end = loop {
            let order = tokio::select! {
                order = orders.recv() => order,
                _ = &mut driven => break End::Lost,
            };
            match order {
                None => break End::Closed,
                Some(Order::Enter(session, tell)) => {
                    let entered = self.lock(&link, session).await;
                    let lost = entered.as_ref().is_err_and(is_lost);
                    drop(tell.send(entered.map_err(|error| store_error("show a session's presence", error))));
                    if lost {
                        break End::Lost;
                    }
                }
                Some(Order::Leave(session)) => {
                    self.held().remove(&session);
                    if let Err(error) = link.query(Query::PresenceUnlock, &[&Column(vec![key(session)])]).await {
                        tracing::debug!(error = crate::error::words(&error), "a session's lock was not let go");
                    }
                }
            }
        };
        *self.line() = Line::Down;
        self.watch.lost();
        Ok(end)
    }

    async fn lock(&self, link: &Link, session: SessionId) -> Result<(), Error> {
        if self.held().contains_key(&session) {
            return Ok(());
        }
        let key = key(session);
        link.query(Query::PresenceLock, &[&Column(vec![key])]).await?;
        self.held().insert(session, Some(key));
        Ok(())
    }

    /// Answers those who wait to enter that they cannot.
    fn refuse(&self, orders: &mut UnboundedReceiver<Order>, error: &StoreError) {
        while let Ok(order) = orders.try_recv() {
            match order {
                Order::Enter(_, tell) => drop(tell.send(Err(error.clone()))),
                Order::Leave(session) => {
                    self.held().remove(&session);
                }
            }
        }
    }
}

/// Drives the connection and passes on what it hears.
async fn listen(mut driver: Driver, shared: Arc<Shared>) {
    while let Some(Ok(message)) = poll_fn(|context| driver.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message {
            shared.watch.heard(notification.channel(), notification.payload());
        }
    }
}

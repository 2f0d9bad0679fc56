//! Reads: a pool of connections beside those that write. A glance is one statement and sees one moment by itself; a read
//! of several is one transaction whose statements are sent together. All of it runs on the store's own runtime, since a
//! caller may be on any executor; one that goes away leaves no transaction open behind it.
//!
//! The pool is deadpool's with a manager of ours: that of deadpool-postgres opens connections in its own way, and keeps
//! statements by their text, where ours are known by name.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult, TimeoutType, WeakPool,
};
use futures_util::TryStreamExt;
use stent_core::store::BoxFuture;
use stent_core::{StoreError, StoreErrorKind};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_postgres::Error;

use crate::address::Address;
use crate::connect::{Connected, connect};
use crate::error::{Step, Stop, is_lost, store_error};
use crate::query::{Link, Params, Query};
use crate::rows::Row;

/// How a read of several statements begins: they all see the moment of the first.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// How reads are planned: by their indexes and in the order of these, whatever the tables held when they were first used,
/// and once.
const PLANS: &str =
    "SET enable_seqscan TO off; SET enable_bitmapscan TO off; SET plan_cache_mode TO force_generic_plan";

/// The same behind a pooler, where each statement is planned anew.
const PLANS_HERE: &str = "SET LOCAL enable_seqscan TO off; SET LOCAL enable_bitmapscan TO off";

/// Idle connections are looked for at most this often.
const SWEEP: Duration = Duration::from_secs(1);

/// A connection to read on.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a Link);

impl<'a> Reader<'a> {
    /// The connection, for a statement that has no name here.
    pub(crate) const fn client(self) -> &'a tokio_postgres::Client {
        self.0.client()
    }

    /// The rows that a statement answers.
    pub(crate) async fn query(self, query: Query, params: Params<'_>) -> Step<Vec<Row>> {
        Ok(self.0.query(query, params).await?)
    }

    /// What each row says that a statement answers, read as the rows come.
    pub(crate) async fn collect<T>(
        self,
        query: Query,
        params: Params<'_>,
        read: impl Fn(&Row) -> Step<T>,
    ) -> Step<Vec<T>> {
        let mut rows = std::pin::pin!(self.0.stream(query, params).await?);
        let mut all = Vec::new();
        while let Some(row) = rows.try_next().await? {
            all.push(read(&Row::Ours(row))?);
        }
        Ok(all)
    }

    /// The one row that a statement answers, if it does.
    pub(crate) async fn first(self, query: Query, params: Params<'_>) -> Step<Option<Row>> {
        Ok(self.query(query, params).await?.into_iter().next())
    }

    /// Makes statements ready that are about to be sent together, so that none waits for an answer on the way.
    pub(crate) async fn prepare(self, queries: &[(Query, Params<'_>)]) -> Step<()> {
        for (query, params) in queries {
            self.0.prepare(*query, params).await?;
        }
        Ok(())
    }
}

/// How much a read is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// One statement.
    Glance,
    /// Several that must show one moment.
    Picture,
}

/// The reading connections of one store; they open as they are needed and end with it. Clones share them.
#[derive(Clone)]
pub(crate) struct Readers(Arc<Shared>);

struct Shared {
    address: Arc<Address>,
    runtime: Handle,
    /// None while the store rests.
    pool: Mutex<Option<Pool<Opener>>>,
}

impl Readers {
    /// Begins to open the connections that are kept in any case.
    pub(crate) fn new(address: Arc<Address>, runtime: Handle) -> Self {
        let readers = Self(Arc::new(Shared { address, runtime, pool: Mutex::new(None) }));
        let shared = Arc::clone(&readers.0);
        readers.0.runtime.spawn(async move { shared.warm().await });
        readers
    }

    /// A read of one statement.
    pub(crate) fn glance<T, F>(&self, read: F) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: for<'a> Fn(Reader<'a>) -> BoxFuture<'a, Step<T>> + Send + Sync + 'static,
    {
        self.run(Extent::Glance, read)
    }

    /// A read of several statements at one moment.
    pub(crate) fn read<T, F>(&self, read: F) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: for<'a> Fn(Reader<'a>) -> BoxFuture<'a, Step<T>> + Send + Sync + 'static,
    {
        self.run(Extent::Picture, read)
    }

    fn run<T, F>(&self, extent: Extent, read: F) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: for<'a> Fn(Reader<'a>) -> BoxFuture<'a, Step<T>> + Send + Sync + 'static,
    {
        let (teller, answer) = oneshot::channel();
        let shared = Arc::clone(&self.0);
        self.0.runtime.spawn(async move { shared.carry_out(extent, &read, teller).await });
        async move {
            let nobody = |_| StoreError::new(StoreErrorKind::Unavailable, "the read was not carried out");
            answer.await.map_err(nobody)?
        }
    }

    /// Carries out a statement that may be lost without harm: it does not wait for the disk. Called on the store's own
    /// runtime.
    pub(crate) async fn hint(&self, query: Query, params: Params<'_>) -> Result<(), StoreError> {
        let link = self.0.link().await?;
        let sent = hint(&link, &self.0.address, query, params).await;
        if sent.is_err() {
            drop(Object::take(link));
        }
        sent.map_err(|error| store_error("tell others", error))
    }

    /// Ends the connections once they have read what was asked; asked again, they open again.
    pub(crate) fn close(&self) {
        if let Some(pool) = self.0.pool().take() {
            pool.close();
        }
    }
}

impl Shared {
    fn pool(&self) -> MutexGuard<'_, Option<Pool<Opener>>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pool, made anew if the store has rested.
    fn opened(&self) -> Result<Pool<Opener>, StoreError> {
        let mut pool = self.pool();
        if let Some(pool) = &*pool {
            return Ok(pool.clone());
        }
        let opener = Opener { address: Arc::clone(&self.address), runtime: self.runtime.clone() };
        // The last one used comes first, so that those that are not needed grow old.
        let built = Pool::builder(opener).max_size(self.address.pool.max).queue_mode(QueueMode::Lifo).build();
        let built = built.map_err(|error| {
            StoreError::new(StoreErrorKind::Unusable, "could not make a pool of connections").with_source(error)
        })?;
        if let Some(max_idle) = self.address.pool.max_idle {
            self.runtime.spawn(sweep(built.weak(), max_idle, self.address.pool.min));
        }
        Ok(pool.insert(built).clone())
    }

    async fn link(&self) -> Result<Object<Opener>, StoreError> {
        self.opened()?.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Closed => StoreError::new(StoreErrorKind::Unavailable, "the store was closed"),
            PoolError::Timeout(TimeoutType::Wait | TimeoutType::Create | TimeoutType::Recycle)
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => StoreError::new(StoreErrorKind::Unavailable, "no connection was free"),
        })
    }

    /// Opens what is kept in any case.
    async fn warm(&self) {
        let mut links = Vec::new();
        for _ in 0..self.address.pool.min {
            match self.link().await {
                Ok(link) => links.push(link),
                Err(error) => return tracing::debug!(%error, "a connection could not be opened ahead"),
            }
        }
    }

    /// Reads and answers; once more on a fresh connection if the one at hand turns out to be gone.
    async fn carry_out<T, F>(&self, extent: Extent, read: &F, teller: oneshot::Sender<Result<T, StoreError>>)
    where
        F: for<'a> Fn(Reader<'a>) -> BoxFuture<'a, Step<T>>,
    {
        let mut may_repeat = true;
        loop {
            let link = match self.link().await {
                Ok(link) => link,
                Err(error) => return drop(teller.send(Err(error))),
            };
            let whole = extent == Extent::Picture || !link.is_direct();
            let answer = if whole { self.at_one_moment(&link, read).await } else { read(Reader(&link)).await };
            match &answer {
                Err(Stop::Failed(error)) if is_lost(error) => {
                    drop(Object::take(link));
                    if std::mem::take(&mut may_repeat) {
                        self.forget_idle();
                        continue;
                    }
                }
                // The answer does not wait for the end of a transaction that changed nothing.
                _ if whole => {
                    drop(teller.send(answer.map_err(failed)));
                    if link.client().batch_execute("COMMIT").await.is_err() {
                        drop(Object::take(link));
                    }
                    return;
                }
                _ => {}
            }
            return drop(teller.send(answer.map_err(failed)));
        }
    }

    /// Reads within a transaction, whose begin is sent together with the first statements.
    async fn at_one_moment<T, F>(&self, link: &Link, read: &F) -> Step<T>
    where
        F: for<'a> Fn(Reader<'a>) -> BoxFuture<'a, Step<T>>,
    {
        let with_prelude;
        let begin = if link.is_direct() {
            BEGIN
        } else {
            with_prelude = format!("{BEGIN}; {}; {PLANS_HERE}", self.address.prelude());
            &with_prelude
        };
        let (begun, answer) = tokio::join!(biased; link.client().batch_execute(begin), read(Reader(link)));
        begun?;
        answer
    }

    /// Where one connection was lost, the idle ones mostly are as well, and have not noticed.
    fn forget_idle(&self) {
        if let Some(pool) = &*self.pool() {
            drop(pool.retain(|_, _| false));
        }
    }
}

/// In a transaction of its own, since settings of a pooler's connection must not last longer.
async fn hint(link: &Link, address: &Address, query: Query, params: Params<'_>) -> Result<(), Error> {
    let mut begin = "BEGIN; SET LOCAL synchronous_commit TO off".to_owned();
    if !link.is_direct() {
        begin = format!("{begin}; {}", address.prelude());
    }
    link.prepare(query, params).await?;
    let (begun, said, ended) = tokio::join!(
        biased;
        link.client().batch_execute(&begin),
        link.query(query, params),
        link.client().batch_execute("COMMIT")
    );
    begun.and(said.map(drop)).and(ended)
}

/// Why a read came to nothing.
fn failed(stop: Stop) -> StoreError {
    match stop {
        Stop::Failed(error) => store_error("read the database", error),
        Stop::Theirs(error) => error,
        // Never said to a read.
        Stop::Stale => StoreError::new(StoreErrorKind::Unavailable, "the store has changed meanwhile"),
        Stop::Broken(words) => {
            StoreError::new(StoreErrorKind::Corrupt, format!("could not read the database: {words}"))
                .with_hint("a row was changed by hand, or by a newer version")
        }
        Stop::Refused(refusal) => StoreError::new(StoreErrorKind::Misuse, format!("a read was refused: {refusal:?}")),
    }
}

/// Opens the connections of the pool.
struct Opener {
    address: Arc<Address>,
    runtime: Handle,
}

impl Manager for Opener {
    type Type = Link;
    type Error = StoreError;

    async fn create(&self) -> Result<Link, StoreError> {
        let Connected { client, driver, is_direct } = connect(&self.address).await?;
        self.runtime.spawn(driver);
        if is_direct {
            client.batch_execute(PLANS).await.map_err(|error| store_error("connect to the server", error))?;
        }
        Ok(Link::new(client, is_direct))
    }

    async fn recycle(&self, link: &mut Link, metrics: &Metrics) -> RecycleResult<StoreError> {
        let size = &self.address.pool;
        if link.is_closed() {
            return Err(RecycleError::message("the connection has ended"));
        }
        // The read that opened it counts, and was no recycling.
        if metrics.recycle_count as u64 + 1 >= size.max_queries {
            return Err(RecycleError::message("the connection has served its time"));
        }
        if size.max_idle.is_some_and(|max_idle| metrics.last_used() >= max_idle) {
            return Err(RecycleError::message("the connection was idle for too long"));
        }
        Ok(())
    }
}

/// Closes what nobody has used for so long, down to the number that is kept; ends with the pool.
async fn sweep(pool: WeakPool<Opener>, max_idle: Duration, min: usize) {
    loop {
        tokio::time::sleep((max_idle / 2).max(SWEEP)).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut open = pool.status().size;
        drop(pool.retain(|link, metrics| {
            let stays = !link.is_closed() && (open <= min || metrics.last_used() < max_idle);
            open -= usize::from(!stays);
            stays
        }));
    }
}

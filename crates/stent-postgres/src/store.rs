//! The store itself: committers behind their mutexes, readers beside them, and the [`Store`] trait on top. It holds no
//! rule of its own; those are in the modules of the commands.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stent_core::command::Command;
use stent_core::select::{Cell, Table};
use stent_core::store::Query as Answer;
use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, MemoView, Nudge, QueueView,
    SessionView, Stats, StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, Committed, ExecutionId, ExecutionState, History, MemoKey, Name, ScheduleView, SessionId, Store,
    StoreError, StoreErrorKind, TaskId, TaskRef, TaskState, Timestamp, Watcher,
};
use tokio::runtime::Runtime;
use tokio_postgres::Config;
use uuid::Uuid;

use crate::address::Address;
use crate::clock::Clock;
use crate::commit::{Committer, Shared};
use crate::connect::connect;
use crate::presence::Presence;
use crate::readers::Readers;
use crate::{history, memos, schedules, schema, select, views};

/// How many batches are committed at the same time. More would only make them smaller.
const LANES: usize = 2;

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The clock that timers go by. `None`: the server's, moved by `STENT_CLOCK_OFFSET_MS` where that is set.
    pub clock: Option<Clock>,
    /// Only a database that has Stent's tables is opened: none are made.
    pub must_exist: bool,
}

/// Executions in a PostgreSQL database. Cheap to clone; clones are the same handle.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    lanes: Vec<Mutex<Committer>>,
    shared: Shared,
    readers: Readers,
    presence: Arc<Presence>,
    /// Where reads and everything in the background run. None only while it is dropped.
    background: Option<Runtime>,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("address", &self.inner.shared.address.shown()).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the database at an address, `postgres://` or `postgresql://`, and brings it to this client's schema. What the
    /// address leaves out comes from libpq's environment variables. Blocks until the server has answered.
    ///
    /// # Errors
    /// `Unusable` when the address is none, the server refuses it, or the schema does not serve this client;
    /// `Unavailable` when no server answers; `ReadOnly` on a standby.
    pub fn from_url(url: &str, options: Options) -> Result<Self, StoreError> {
        Self::at(Address::of_url(url)?, options)
    }

    /// Opens the database that a configuration of tokio-postgres's names. It is taken as it is: no environment is read. The
    /// store makes connections of its own by it, TLS included where the configuration wants it.
    ///
    /// # Errors
    /// As [`from_url`](Self::from_url).
    pub fn from_config(config: &Config, options: Options) -> Result<Self, StoreError> {
        Self::at(Address::of_config(config)?, options)
    }

    fn at(mut address: Address, options: Options) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| {
            StoreError::new(StoreErrorKind::Unavailable, format!("the store's thread could not start: {error}"))
                .with_source(error)
        };
        let background = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("stent-postgres")
            .enable_all()
            .build()
            .map_err(failed)?;
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        background.spawn(async move {
            let opened = open(&mut address, options.must_exist).await.map(|()| address);
            drop(tell.send(opened));
        });
        let gone = |_| StoreError::new(StoreErrorKind::Unavailable, "the store's thread has ended");
        let address = match told.recv().map_err(gone).and_then(|opened| opened) {
            Ok(address) => Arc::new(address),
            Err(error) => {
                background.shutdown_background();
                return Err(error);
            }
        };
        let clock = options.clock.unwrap_or_else(Clock::from_env);
        let readers = Readers::new(Arc::clone(&address), background.handle().clone());
        let instance = Uuid::new_v4();
        let runtime = background.handle().clone();
        let presence = Arc::new(Presence::new(Arc::clone(&address), instance, readers.clone(), runtime));
        let shown = Arc::clone(&presence);
        let shared = Shared::new(address, instance, clock, Box::new(move |session| shown.key(session)), LANES);
        let lanes = (0..LANES).filter_map(|lane| i16::try_from(lane).ok());
        let lanes = lanes.map(|lane| Committer::new(lane).map(Mutex::new)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { inner: Arc::new(Inner { lanes, shared, readers, presence, background: Some(background) }) })
    }
}

/// Connects once, to find the server and prepare the schema.
async fn open(address: &mut Address, must_exist: bool) -> Result<(), StoreError> {
    let connected = connect(address).await?;
    let mut driver = connected.driver;
    let (client, is_direct) = (&connected.client, connected.is_direct);
    driver
        .during(async {
            if must_exist {
                schema::must_be_ours(client, address).await?;
            }
            schema::open(client, is_direct, address).await
        })
        .await
}

impl Inner {
    fn lane(&self, lane: usize) -> &Mutex<Committer> {
        &self.lanes[lane % self.lanes.len()]
    }

    fn commit(&self, lane: usize, commands: &[Command]) -> Result<Committed, StoreError> {
        self.commit_with(self.lane(lane).lock().unwrap_or_else(PoisonError::into_inner), commands)
    }

    fn commit_with(
        &self,
        mut committer: MutexGuard<'_, Committer>,
        commands: &[Command],
    ) -> Result<Committed, StoreError> {
        let committed = committer.commit(&self.shared, commands)?;
        drop(committer);
        if !committed.wakes.is_empty() {
            self.presence.ring(committed.wakes.are_only_ends());
        }
        for (command, outcome) in commands.iter().zip(&committed.outcomes) {
            match command {
                Command::CloseSession(session) if outcome.is_ok() => self.presence.forget(*session),
                Command::TakeOver(take) if outcome.is_ok() => self.presence.forget(take.session),
                _ => {}
            }
        }
        Ok(committed)
    }

    fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.presence.close();
        self.readers.close();
        // On a thread of its own: whoever closes a store may be a runtime's only thread, which must not wait within it.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // All at once: the first that leaves takes the rows of those that were never at work along.
                let lanes = self.lanes.iter().map(|lane| lane.lock().unwrap_or_else(PoisonError::into_inner));
                for mut lane in lanes.collect::<Vec<_>>() {
                    lane.close(&self.shared);
                }
            });
        });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        if let Some(background) = self.background.take() {
            background.shutdown_background();
        }
    }
}

impl Store for PostgresStore {
    fn lanes(&self) -> usize {
        self.inner.lanes.len()
    }

    fn commit(&self, lane: usize, batch: Vec<Command>) -> Answer<'_, Committed> {
        Box::pin(async move { self.inner.commit(lane, &batch) })
    }

    fn commit_here(&self, lane: usize, batch: &[Command], may_wait: bool) -> Option<Result<Committed, StoreError>> {
        if may_wait {
            return Some(self.inner.commit(lane, batch));
        }
        // Not while it connects, or finds out what became of a batch: that takes as long as the server does.
        let committer = self.inner.lane(lane).try_lock().ok().filter(|committer| committer.is_ready())?;
        Some(self.inner.commit_with(committer, batch))
    }

    fn now(&self) -> Timestamp {
        self.inner.shared.clock.now()
    }

    fn enter(&self, session: SessionId) -> Result<(), StoreError> {
        self.inner.presence.enter(session)
    }

    fn leave(&self, session: SessionId) {
        self.inner.presence.leave(session);
    }

    fn may_leave_it_to_others(&self) -> bool {
        self.inner.presence.may_rest()
    }

    fn gone_sessions(&self, worker_timeout: Duration) -> Answer<'_, Vec<SessionId>> {
        Box::pin(self.inner.presence.gone(worker_timeout))
    }

    fn history(&self, task: TaskRef, after: u32) -> Answer<'_, History> {
        Box::pin(self.inner.readers.read(move |reader| Box::pin(history::history(reader, task, after))))
    }

    fn arrivals(&self, task: TaskRef) -> Answer<'_, Vec<CallKey>> {
        let now = self.now();
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(history::arrivals(reader, task, now))))
    }

    fn nudges(&self, session: SessionId) -> Answer<'_, Vec<Nudge>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::nudges(reader, session))))
    }

    fn execution(&self, id: ExecutionId) -> Answer<'_, Option<ExecutionView>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::execution(reader, id))))
    }

    fn which_ended(&self, ids: Vec<ExecutionId>) -> Answer<'_, Vec<ExecutionId>> {
        let ids: Arc<[ExecutionId]> = ids.into();
        Box::pin(self.inner.readers.glance(move |reader| {
            let ids = Arc::clone(&ids);
            Box::pin(async move { views::which_ended(reader, &ids).await })
        }))
    }

    fn executions(&self, filter: ExecutionFilter) -> Answer<'_, Vec<ExecutionView>> {
        let filter = Arc::new(filter);
        Box::pin(self.inner.readers.glance(move |reader| {
            let filter = Arc::clone(&filter);
            Box::pin(async move { views::executions(reader, &filter).await })
        }))
    }

    fn count_executions(&self, state: Option<ExecutionState>) -> Answer<'_, u64> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::count_executions(reader, state))))
    }

    fn find_task(&self, id: TaskId) -> Answer<'_, Option<TaskRef>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::find_task(reader, id))))
    }

    fn task(&self, task: TaskRef) -> Answer<'_, Option<TaskView>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::task(reader, task))))
    }

    fn tasks(&self, execution: ExecutionId) -> Answer<'_, Vec<TaskView>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::tasks(reader, execution))))
    }

    fn list_tasks(&self, filter: TaskFilter) -> Answer<'_, Vec<TaskView>> {
        let filter = Arc::new(filter);
        Box::pin(self.inner.readers.glance(move |reader| {
            let filter = Arc::clone(&filter);
            Box::pin(async move { views::list_tasks(reader, &filter).await })
        }))
    }

    fn count_tasks(&self, queue: Option<Name>, state: Option<TaskState>) -> Answer<'_, u64> {
        Box::pin(self.inner.readers.glance(move |reader| {
            let queue = queue.clone();
            Box::pin(async move { views::count_tasks(reader, queue.as_deref(), state).await })
        }))
    }

    fn steps(&self, execution: ExecutionId, limit: u32) -> Answer<'_, Vec<StepView>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::steps(reader, execution, limit))))
    }

    fn stats(&self) -> Answer<'_, Stats> {
        Box::pin(self.inner.readers.read(move |reader| Box::pin(views::stats(reader))))
    }

    fn count_letters(&self) -> Answer<'_, u64> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::count_letters(reader))))
    }

    fn letters(&self, limit: u32) -> Answer<'_, Vec<LetterView>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::letters(reader, limit))))
    }

    fn letter(&self, task: TaskRef) -> Answer<'_, Option<LetterView>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::letter(reader, task))))
    }

    fn sessions(&self) -> Answer<'_, Vec<SessionView>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::sessions(reader))))
    }

    fn queues(&self) -> Answer<'_, Vec<QueueView>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::queues(reader))))
    }

    fn functions(&self) -> Answer<'_, Vec<FunctionView>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(views::functions(reader))))
    }

    fn limit(&self, function: &Name) -> Answer<'_, LimitView> {
        let function = function.clone();
        Box::pin(self.inner.readers.read(move |reader| {
            let function = function.clone();
            Box::pin(async move { views::limit_view(reader, &function).await })
        }))
    }

    fn schedules(&self) -> Answer<'_, Vec<ScheduleView>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(schedules::list(reader))))
    }

    fn schedule(&self, name: &Name) -> Answer<'_, Option<ScheduleView>> {
        let name = name.clone();
        Box::pin(self.inner.readers.glance(move |reader| {
            let name = name.clone();
            Box::pin(async move { schedules::read(reader, &name).await })
        }))
    }

    fn next_schedules(&self, limit: u32) -> Answer<'_, Vec<ScheduleView>> {
        Box::pin(self.inner.readers.glance(move |reader| Box::pin(schedules::next(reader, limit))))
    }

    fn baggage(&self, execution: ExecutionId) -> Answer<'_, Baggage> {
        Box::pin(self.inner.readers.read(move |reader| Box::pin(views::baggage(reader, execution))))
    }

    fn memo(&self, key: MemoKey) -> Answer<'_, Option<MemoView>> {
        Box::pin(self.inner.readers.read(move |reader| {
            let key = key.clone();
            Box::pin(async move { memos::view(reader, &key).await })
        }))
    }

    fn select(&self, statement: String, parameters: Vec<Cell>) -> Answer<'_, Table> {
        let asked = Arc::new((statement, parameters));
        Box::pin(async move {
            let read = self.inner.readers.read(move |reader| {
                let asked = Arc::clone(&asked);
                Box::pin(async move { Ok(select::select(reader.client(), &asked.0, &asked.1).await) })
            });
            read.await.flatten()
        })
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) {
        self.inner.presence.watch(watcher);
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let (inner, (tell, told)) = (Arc::clone(&self.inner), tokio::sync::oneshot::channel());
            // On a thread of its own: committers wait for their connections, which a runtime's thread may not.
            let thread = std::thread::Builder::new().name("stent-close".into()).spawn(move || {
                inner.close();
                if tell.send(()).is_err() {
                    tracing::debug!("nobody waits for the store's end any more");
                }
            });
            let failed = |error: std::io::Error| {
                StoreError::new(StoreErrorKind::Unavailable, format!("the store could not be closed: {error}"))
                    .with_source(error)
            };
            thread.map_err(failed)?;
            told.await.map_err(|_| StoreError::new(StoreErrorKind::Unavailable, "the store was not closed in order"))
        })
    }
}

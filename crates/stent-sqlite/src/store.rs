//! The store itself: one writer connection behind a mutex, readers beside it, and the [`Store`] trait on top. It holds
//! no rule of its own; those are in the modules of the commands.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use stent_core::command::{Command, Done};
use stent_core::select::{Cell, Table};
use stent_core::store::Query as Answer;
use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, MemoView, Nudge, QueueView,
    SessionView, Stats, StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, Committed, ExecutionId, ExecutionState, History, MemoKey, Name, ScheduleView, SessionId, Store,
    StoreError, TaskId, TaskRef, TaskState, Timestamp, Watcher,
};

use crate::clock::{BootClock, Clock};
use crate::commit::{self, Clocks};
use crate::error::store_error;
use crate::open::{self, Options, Place};
use crate::presence::Presence;
use crate::query::Statements;
use crate::readers::{Readers, within_transaction};
use crate::routes::Routes;
use crate::turns::{Turnstile, beside};
use crate::watch::{Background, LOOK};
use crate::{history, memos, outbox, schedules, select, views};

/// The writer and what it remembers between batches.
struct Writer {
    connection: Connection,
    routes: Routes,
    /// SQLite's count of what other connections committed, as last seen.
    foreign: i64,
    /// When that was.
    looked: Instant,
    /// Whether it grew since the watch last looked.
    changed: bool,
}

/// What a store and its background share.
pub(crate) struct Inner {
    writer: Mutex<Writer>,
    /// None in memory, where reads use the one connection.
    readers: Option<Readers>,
    turns: Option<Turnstile>,
    presence: Presence,
    clocks: Clocks,
    commits: AtomicU64,
    background: Arc<Background>,
    handles: AtomicU64,
    /// Who watches through which handle.
    watchers: Mutex<Vec<(u64, Weak<dyn Watcher>)>>,
}

/// Executions in one SQLite file, or in memory. Cheap to clone; clones are the same handle.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
    /// Tells the handles of one store apart: a commit is news to the watchers of the others.
    handle: u64,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("in_memory", &self.inner.readers.is_none()).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the database at `path` (`:memory:` for one that lives as long as the store), creating it and bringing it
    /// to this client's schema.
    ///
    /// # Errors
    /// `Unusable` when it is no database, has tables of our names that are not ours, or a schema that does not serve
    /// this client, or when the SQLite library is older than 3.51.3; `ReadOnly`; `Full`; `Unavailable` when it is
    /// locked for longer than 5 s; `Corrupt`.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        Self::open_place(&Place::of_path(path.as_ref()), options)
    }

    /// Opens the database at an address: `sqlite://file`, `sqlite:file` or `sqlite::memory:`.
    ///
    /// # Errors
    /// As [`open`](Self::open), and `Unusable` for any other address.
    pub fn from_url(url: &str, options: Options) -> Result<Self, StoreError> {
        Self::open_place(&Place::of_url(url)?, options)
    }

    fn open_place(place: &Place, options: Options) -> Result<Self, StoreError> {
        let connection = open::writer(place, &options)?;
        // The full path: lock files must be the same ones whatever directory a process stands in.
        let path: Option<PathBuf> = match place {
            Place::Memory => None,
            Place::File(path) => Some(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
        };
        let turns = path.as_deref().map(Turnstile::new).transpose()?;
        let presence = Presence::new(path.as_deref().map(|path| beside(path, "-sessions")));
        let foreign = data_version(&connection).map_err(|error| store_error("open the database", error))?;
        let wall = options.clock.unwrap_or_else(Clock::from_env);
        let inner = Inner {
            writer: Mutex::new(Writer {
                connection,
                routes: Routes::default(),
                foreign,
                looked: Instant::now(),
                changed: false,
            }),
            background: Arc::new(Background::new(path.as_deref().map(|path| beside(path, "-wal")).unwrap_or_default())),
            readers: path.map(Readers::new),
            turns,
            presence,
            clocks: Clocks { wall, boot: BootClock::new() },
            commits: AtomicU64::new(0),
            handles: AtomicU64::new(1),
            watchers: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner), handle: 0 })
    }

    /// Another handle on the same store, for a second engine in this process: its watchers hear of what is committed
    /// through the other handles, as if that were another process.
    #[must_use]
    pub fn another_handle(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), handle: self.inner.handles.fetch_add(1, Ordering::Relaxed) }
    }

    /// What a committed batch means beyond the database.
    fn committed(&self, batch: &[Command], committed: &Committed) {
        // Nothing, where a worker asked for work and there was none.
        if committed.wakes.is_empty()
            && let ([Command::Claim(_)], [Ok(Done::Claimed { tasks, .. })]) = (batch, &committed.outcomes[..])
            && tasks.is_empty()
        {
            return;
        }
        for (command, outcome) in batch.iter().zip(&committed.outcomes) {
            match command {
                Command::CloseSession(session) if outcome.is_ok() => self.inner.presence.forget(*session),
                Command::TakeOver(take) if outcome.is_ok() => self.inner.presence.forget(take.session),
                _ => {}
            }
        }
        if self.inner.readers.is_some() {
            self.inner.background.committed(&Arc::downgrade(&self.inner));
        }
        self.tell_neighbours();
    }

    /// Tells those who watch through other handles.
    fn tell_neighbours(&self) {
        let mut watchers = self.inner.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|(_, watcher)| watcher.strong_count() > 0);
        let others = watchers.iter().filter(|(handle, _)| *handle != self.handle);
        let others: Vec<_> = others.filter_map(|(_, watcher)| watcher.upgrade()).collect();
        drop(watchers);
        others.iter().for_each(|watcher| watcher.changed());
    }

    /// One read, on a connection of its own; in memory on the one there is.
    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Statements<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        match &self.inner.readers {
            Some(readers) => Box::pin(readers.read(read)),
            None => Box::pin(async move { within_transaction(&self.inner.writer().connection, read) }),
        }
    }

    /// A read of a few rows by key.
    fn glance<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Statements<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        match &self.inner.readers {
            Some(readers) => Box::pin(readers.glance(read)),
            None => self.read(read),
        }
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

impl Writer {
    /// Notes whether other connections committed since the last look.
    fn look(&mut self) -> rusqlite::Result<()> {
        self.looked = Instant::now();
        let version = data_version(&self.connection)?;
        if version != self.foreign {
            (self.foreign, self.changed) = (version, true);
        }
        Ok(())
    }
}

impl Inner {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic inside a batch is not possible by our own rules; SQLite rolls back what it left open.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_writer(&self) -> Option<MutexGuard<'_, Writer>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn commit(&self, commands: &[Command]) -> Result<Committed, StoreError> {
        if outbox::inside() {
            return Err(outbox::refused());
        }
        let mut writer = self.writer();
        if let Some(idle) = self.idle(&mut writer, commands) {
            return Ok(idle);
        }
        let _turn = self.turns.as_ref().map(Turnstile::take).transpose()?;
        commit::begin(&writer.connection)?;
        self.carry_out(&mut writer, commands)
    }

    /// The same without waiting for anybody; `None` if somebody is in the way, or something else is that `commit` meets
    /// and names.
    fn try_commit(&self, commands: &[Command]) -> Option<Result<Committed, StoreError>> {
        if outbox::inside() {
            return None;
        }
        let mut writer = self.try_writer()?;
        if let Some(idle) = self.idle(&mut writer, commands) {
            return Some(Ok(idle));
        }
        let _turn = match &self.turns {
            Some(turns) => Some(turns.try_take().ok().flatten()?),
            None => None,
        };
        let begun = commit::try_begin(&writer.connection).is_ok_and(|begun| begun);
        begun.then(|| self.carry_out(&mut writer, commands))
    }

    /// What comes of a batch that finds nothing to do, where turns are worth sparing: others may be writing.
    fn idle(&self, writer: &mut Writer, commands: &[Command]) -> Option<Committed> {
        let Writer { connection, routes, .. } = writer;
        self.turns.as_ref().and_then(|_| commit::idle(connection, routes, &self.clocks, commands))
    }

    /// A batch that has begun.
    fn carry_out(&self, writer: &mut Writer, commands: &[Command]) -> Result<Committed, StoreError> {
        let Writer { connection, routes, .. } = writer;
        let committed = commit::commit(connection, routes, &self.clocks, commands)?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        // Here too, since under load the watch hardly ever finds the writer at rest.
        if writer.looked.elapsed() >= LOOK
            && let Err(error) = writer.look()
        {
            tracing::debug!(%error, "foreign changes could not be looked for");
        }
        Ok(committed)
    }

    /// How many batches this store committed.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Whether other connections committed since the last call. Never waits: while a batch is written it says no, and
    /// the next call will see.
    pub(crate) fn changed_elsewhere(&self) -> bool {
        let Some(mut writer) = self.try_writer() else { return false };
        if let Err(error) = writer.look() {
            tracing::debug!(%error, "foreign changes could not be looked for");
        }
        std::mem::take(&mut writer.changed)
    }

    /// Moves the log into the file; whether all of it is there now.
    pub(crate) fn checkpoint(&self) -> bool {
        let writer = self.writer();
        let moved = writer.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        matches!(moved, Ok((0, log, done)) if log == done)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.background.close();
        let Some(readers) = &self.readers else { return Ok(()) };
        readers.rest();
        let writer = self.writer();
        let connection = &writer.connection;
        // Neighbours may go on writing: what they leave in the log is theirs to move.
        let patience = |span| connection.busy_timeout(span).map_err(|error| store_error("close the database", error));
        patience(Duration::from_millis(100))?;
        let moved = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        patience(open::LOCK_WAIT)?;
        match moved {
            Ok(_) => Ok(()),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(()),
            Err(error) => Err(store_error("close the database", error)),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.background.close();
    }
}

impl Store for SqliteStore {
    fn commit(&self, _lane: usize, batch: Vec<Command>) -> Answer<'_, Committed> {
        Box::pin(async move { self.inner.commit(&batch).inspect(|committed| self.committed(&batch, committed)) })
    }

    fn commit_here(&self, _lane: usize, batch: &[Command], may_wait: bool) -> Option<Result<Committed, StoreError>> {
        let done = if may_wait { Some(self.inner.commit(batch)) } else { self.inner.try_commit(batch) };
        done.map(|done| done.inspect(|committed| self.committed(batch, committed)))
    }

    fn now(&self) -> Timestamp {
        self.inner.clocks.wall.now()
    }

    fn enter(&self, session: SessionId) -> Result<(), StoreError> {
        self.inner.presence.enter(session)
    }

    fn leave(&self, session: SessionId) {
        self.inner.presence.leave(session);
    }

    fn gone_sessions(&self, worker_timeout: Duration) -> Answer<'_, Vec<SessionId>> {
        Box::pin(async move {
            let (beats, emptied) = self.read(|sql| Ok((views::beats(sql)?, views::emptied(sql)?))).await?;
            let mut gone = self.inner.presence.gone(beats, &self.inner.clocks.boot.now(), worker_timeout);
            gone.extend(emptied);
            gone.sort_unstable();
            Ok(gone)
        })
    }

    fn history(&self, task: TaskRef, after: u32) -> Answer<'_, History> {
        self.read(move |sql| history::history(sql, task, after))
    }

    fn arrivals(&self, task: TaskRef) -> Answer<'_, Vec<CallKey>> {
        let now = self.now();
        self.glance(move |sql| history::arrivals(sql, task, now))
    }

    fn nudges(&self, session: SessionId) -> Answer<'_, Vec<Nudge>> {
        self.glance(move |sql| views::nudges(sql, session))
    }

    fn execution(&self, id: ExecutionId) -> Answer<'_, Option<ExecutionView>> {
        self.glance(move |sql| views::execution(sql, id))
    }

    fn which_ended(&self, ids: Vec<ExecutionId>) -> Answer<'_, Vec<ExecutionId>> {
        self.read(move |sql| views::which_ended(sql, &ids))
    }

    fn executions(&self, filter: ExecutionFilter) -> Answer<'_, Vec<ExecutionView>> {
        self.read(move |sql| views::executions(sql, &filter))
    }

    fn count_executions(&self, state: Option<ExecutionState>) -> Answer<'_, u64> {
        self.read(move |sql| views::count_executions(sql, state))
    }

    fn find_task(&self, id: TaskId) -> Answer<'_, Option<TaskRef>> {
        self.glance(move |sql| views::find_task(sql, id))
    }

    fn task(&self, task: TaskRef) -> Answer<'_, Option<TaskView>> {
        self.glance(move |sql| views::task(sql, task))
    }

    fn tasks(&self, execution: ExecutionId) -> Answer<'_, Vec<TaskView>> {
        self.read(move |sql| views::tasks(sql, execution))
    }

    fn list_tasks(&self, filter: TaskFilter) -> Answer<'_, Vec<TaskView>> {
        self.read(move |sql| views::list_tasks(sql, &filter))
    }

    fn count_tasks(&self, queue: Option<Name>, state: Option<TaskState>) -> Answer<'_, u64> {
        self.read(move |sql| views::count_tasks(sql, queue.as_deref(), state))
    }

    fn steps(&self, execution: ExecutionId, limit: u32) -> Answer<'_, Vec<StepView>> {
        self.read(move |sql| views::steps(sql, execution, limit))
    }

    fn stats(&self) -> Answer<'_, Stats> {
        self.read(views::stats)
    }

    fn count_letters(&self) -> Answer<'_, u64> {
        self.read(views::count_letters)
    }

    fn letters(&self, limit: u32) -> Answer<'_, Vec<LetterView>> {
        self.read(move |sql| views::letters(sql, limit))
    }

    fn letter(&self, task: TaskRef) -> Answer<'_, Option<LetterView>> {
        self.read(move |sql| views::letter(sql, task))
    }

    fn sessions(&self) -> Answer<'_, Vec<SessionView>> {
        self.read(views::sessions)
    }

    fn queues(&self) -> Answer<'_, Vec<QueueView>> {
        self.read(views::queues)
    }

    fn functions(&self) -> Answer<'_, Vec<FunctionView>> {
        self.read(views::functions)
    }

    fn limit(&self, function: &Name) -> Answer<'_, LimitView> {
        let function = function.clone();
        self.read(move |sql| views::limit_view(sql, &function))
    }

    fn schedules(&self) -> Answer<'_, Vec<ScheduleView>> {
        self.read(schedules::list)
    }

    fn schedule(&self, name: &Name) -> Answer<'_, Option<ScheduleView>> {
        let name = name.clone();
        self.glance(move |sql| schedules::read(sql, &name))
    }

    fn next_schedules(&self, limit: u32) -> Answer<'_, Vec<ScheduleView>> {
        self.glance(move |sql| schedules::next(sql, limit))
    }

    fn baggage(&self, execution: ExecutionId) -> Answer<'_, Baggage> {
        self.read(move |sql| views::baggage(sql, execution))
    }

    fn memo(&self, key: MemoKey) -> Answer<'_, Option<MemoView>> {
        self.glance(move |sql| memos::view(sql, &key))
    }

    fn select(&self, statement: String, parameters: Vec<Cell>) -> Answer<'_, Table> {
        Box::pin(async move {
            self.read(move |sql| Ok(select::select(sql.connection(), &statement, parameters))).await.flatten()
        })
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) {
        let mut watchers = self.inner.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.push((self.handle, Weak::clone(&watcher)));
        drop(watchers);
        // No other process can change a database in memory.
        if self.inner.readers.is_some() {
            self.inner.background.watch(&Arc::downgrade(&self.inner), watcher);
        }
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.inner.close() })
    }
}

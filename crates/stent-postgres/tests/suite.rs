//! What every store must do, held against the model: the suite of `stent-storetest`, on a real server, a fresh database
//! for each case. Random sequences come in three ways: through one committer, through two processes with two committers
//! each, and through PgBouncer.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use stent_core::command::Command;
use stent_core::store::Query;
use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, Nudge, QueueView, SessionView, Stats,
    StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, Committed, ExecutionId, ExecutionState, History, Lease, Name, SessionId, Store, StoreError, TaskId,
    TaskRef, TaskState, Timestamp, Watcher,
};
use stent_postgres::{Clock, Options, PostgresStore};
use stent_servers::{Database, PgBouncer, PoolMode, Server};
use stent_storetest::sequences;
use stent_storetest::suite::Fixture;

/// A database of its own.
struct Postgres {
    store: PostgresStore,
    second: OnceLock<PostgresStore>,
    clock: Clock,
    url: String,
    // Dropped last: a database goes when nobody is in it any more.
    _database: Option<Database>,
}

fn open(url: &str, clock: &Clock) -> PostgresStore {
    PostgresStore::from_url(url, Options { clock: Some(clock.clone()), ..Options::default() }).unwrap()
}

/// The pool that all tests share, and the database behind it: a schema is made in a tenth of a database's time.
fn pool() -> &'static (PgBouncer, Database) {
    static POOL: OnceLock<(PgBouncer, Database)> = OnceLock::new();
    POOL.get_or_init(|| {
        let server = Server::shared();
        (PgBouncer::start(server, PoolMode::Transaction).unwrap(), server.database().unwrap())
    })
}

impl Postgres {
    fn at(url: String, database: Option<Database>) -> Self {
        let clock = Clock::new();
        Self { store: open(&url, &clock), second: OnceLock::new(), clock, url, _database: database }
    }

    fn new() -> Self {
        let database = Server::shared().database().unwrap();
        Self::at(database.url(), Some(database))
    }

    fn pooled() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let ((pool, database), number) = (pool(), NEXT.fetch_add(1, Ordering::Relaxed));
        // Not in the first schema of the search path, which a connection of the pool's does not know by itself.
        Self::at(format!("{}?schema=pooled_{number}&max_size=3", pool.url(database)), None)
    }
}

impl Fixture for Postgres {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn second(&self) -> Arc<dyn Store> {
        Arc::new(self.second.get_or_init(|| open(&self.url, &self.clock)).clone())
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn set_clock(&self, now: Timestamp) {
        self.clock.freeze(now);
    }
}

stent_storetest::store_suite!(Postgres::new);

/// Through PgBouncer in transaction mode, in a schema that only the transactions themselves can name.
mod pooled {
    stent_storetest::store_suite!(super::Postgres::pooled);
}

/// The addresses of ever new schemas of one database: as empty as new databases, and made in a tenth of their time.
fn schemas(database: &Database) -> impl Fn() -> String {
    let next = AtomicUsize::new(0);
    move || format!("{}?schema=case_{}", database.url(), next.fetch_add(1, Ordering::Relaxed))
}

#[test]
fn random_sequences_come_out_as_in_the_model() {
    let database = Server::shared().database().unwrap();
    let url = schemas(&database);
    sequences::agree(|| Postgres::at(url(), None), 40, 13);
}

#[test]
fn random_sequences_through_a_pooler_come_out_as_in_the_model() {
    sequences::agree(Postgres::pooled, 10, 14);
}

#[test]
fn random_sequences_through_two_processes_come_out_as_in_the_model() {
    let database = Server::shared().database().unwrap();
    let url = schemas(&database);
    sequences::agree(|| Processes::at(&url()), 50, 15);
}

/// Two processes that are driven as their engines do: what a session does goes through its own process, each execution
/// has its committer, and whatever anybody may do goes through either, turn by turn.
struct Processes {
    processes: Arc<Both>,
    clock: Clock,
}

struct Both {
    stores: [PostgresStore; 2],
    turn: AtomicUsize,
}

impl Processes {
    fn at(url: &str) -> Self {
        let clock = Clock::new();
        let stores = [(); 2].map(|()| open(url, &clock));
        Self { processes: Arc::new(Both { stores, turn: AtomicUsize::new(0) }), clock }
    }
}

impl Fixture for Processes {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.processes) as Arc<dyn Store>
    }

    fn second(&self) -> Arc<dyn Store> {
        self.store()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn set_clock(&self, now: Timestamp) {
        self.clock.freeze(now);
    }
}

/// Who sends a command, if not anybody, and the execution it is about, if any.
fn belongs(command: &Command) -> (Option<SessionId>, Option<ExecutionId>) {
    let of = |lease: &Lease| (Some(lease.session), Some(lease.task.execution));
    match command {
        Command::OpenSession(open) => (Some(open.session), None),
        Command::Beat(session)
        | Command::NameSuspect(session, _)
        | Command::CloseSession(session)
        | Command::Publish(session, _) => (Some(*session), None),
        Command::Claim(claim) => (Some(claim.session), None),
        Command::Start(start) => (start.claim_for, Some(start.id)),
        Command::StartChild(start) => of(&start.parent),
        Command::Reserve(reserve) => of(&reserve.lease),
        Command::Append(append) => of(&append.lease),
        Command::Await(wait) => of(&wait.lease),
        Command::Abandon(lease, _) | Command::Heed(lease) => of(lease),
        Command::Suspend(suspend) => of(&suspend.lease),
        Command::Release(release) => of(&release.lease),
        Command::Finish(finish) => of(&finish.lease),
        Command::Signal(signal) => (None, Some(signal.execution)),
        Command::Cancel(task) | Command::DiscardLetter(task) => (None, Some(task.execution)),
        Command::ReplayLetter(replay) => (None, Some(replay.task.execution)),
        Command::Operate(operation) => (None, operation.execution()),
        Command::TakeOver(_)
        | Command::Emit(_)
        | Command::SetQueue(..)
        | Command::DropQueue(_)
        | Command::Schedule(_)
        | Command::Expire
        | Command::PruneEvents(_)
        | Command::ClearCache(_)
        | Command::PruneCache => (None, None),
    }
}

impl Both {
    /// The process and the committer of a command.
    fn way(&self, command: &Command) -> (usize, usize) {
        let (session, execution) = belongs(command);
        let process = match session {
            Some(session) => usize::from(session.as_bytes()[15] % 2),
            None => self.turn.fetch_add(1, Ordering::Relaxed) % 2,
        };
        (process, execution.map_or(0, |id| usize::from(id.as_bytes()[15]) % 2))
    }

    fn reader(&self) -> &PostgresStore {
        &self.stores[self.turn.load(Ordering::Relaxed) % 2]
    }
}

impl Store for Both {
    fn lanes(&self) -> usize {
        1
    }

    fn commit(&self, _lane: usize, batch: Vec<Command>) -> Query<'_, Committed> {
        Box::pin(async move {
            let mut all = Committed::default();
            let mut rest = batch.into_iter().peekable();
            while let Some(command) = rest.next() {
                let way = self.way(&command);
                let mut together = vec![command];
                // What goes the same way goes together.
                while let Some(next) = rest.next_if(|next| belongs(next).0.is_some() && self.way(next) == way) {
                    together.push(next);
                }
                let committed = self.stores[way.0].commit(way.1, together).await?;
                all.outcomes.extend(committed.outcomes);
                all.wakes.woken.extend(committed.wakes.woken);
                all.wakes.stopped.extend(committed.wakes.stopped);
                all.wakes.ended.extend(committed.wakes.ended);
                all.wakes.ready |= committed.wakes.ready;
            }
            Ok(all)
        })
    }

    fn now(&self) -> Timestamp {
        self.reader().now()
    }

    fn enter(&self, session: SessionId) -> Result<(), StoreError> {
        self.stores[usize::from(session.as_bytes()[15] % 2)].enter(session)
    }

    fn leave(&self, session: SessionId) {
        self.stores[usize::from(session.as_bytes()[15] % 2)].leave(session);
    }

    fn gone_sessions(&self, worker_timeout: Duration) -> Query<'_, Vec<SessionId>> {
        self.reader().gone_sessions(worker_timeout)
    }

    fn history(&self, task: TaskRef, after: u32) -> Query<'_, History> {
        self.reader().history(task, after)
    }

    fn arrivals(&self, task: TaskRef) -> Query<'_, Vec<CallKey>> {
        self.reader().arrivals(task)
    }

    fn nudges(&self, session: SessionId) -> Query<'_, Vec<Nudge>> {
        self.reader().nudges(session)
    }

    fn execution(&self, id: ExecutionId) -> Query<'_, Option<ExecutionView>> {
        self.reader().execution(id)
    }

    fn which_ended(&self, ids: Vec<ExecutionId>) -> Query<'_, Vec<ExecutionId>> {
        self.reader().which_ended(ids)
    }

    fn executions(&self, filter: ExecutionFilter) -> Query<'_, Vec<ExecutionView>> {
        self.reader().executions(filter)
    }

    fn count_executions(&self, state: Option<ExecutionState>) -> Query<'_, u64> {
        self.reader().count_executions(state)
    }

    fn find_task(&self, id: TaskId) -> Query<'_, Option<TaskRef>> {
        self.reader().find_task(id)
    }

    fn task(&self, task: TaskRef) -> Query<'_, Option<TaskView>> {
        self.reader().task(task)
    }

    fn tasks(&self, execution: ExecutionId) -> Query<'_, Vec<TaskView>> {
        self.reader().tasks(execution)
    }

    fn list_tasks(&self, filter: TaskFilter) -> Query<'_, Vec<TaskView>> {
        self.reader().list_tasks(filter)
    }

    fn count_tasks(&self, queue: Option<Name>, state: Option<TaskState>) -> Query<'_, u64> {
        self.reader().count_tasks(queue, state)
    }

    fn steps(&self, execution: ExecutionId, limit: u32) -> Query<'_, Vec<StepView>> {
        self.reader().steps(execution, limit)
    }

    fn stats(&self) -> Query<'_, Stats> {
        self.reader().stats()
    }

    fn count_letters(&self) -> Query<'_, u64> {
        self.reader().count_letters()
    }

    fn letters(&self, limit: u32) -> Query<'_, Vec<LetterView>> {
        self.reader().letters(limit)
    }

    fn letter(&self, task: TaskRef) -> Query<'_, Option<LetterView>> {
        self.reader().letter(task)
    }

    fn sessions(&self) -> Query<'_, Vec<SessionView>> {
        self.reader().sessions()
    }

    fn queues(&self) -> Query<'_, Vec<QueueView>> {
        self.reader().queues()
    }

    fn functions(&self) -> Query<'_, Vec<FunctionView>> {
        self.reader().functions()
    }

    fn limit(&self, function: &Name) -> Query<'_, LimitView> {
        self.reader().limit(function)
    }

    fn schedules(&self) -> Query<'_, Vec<stent_core::ScheduleView>> {
        self.reader().schedules()
    }

    fn schedule(&self, name: &Name) -> Query<'_, Option<stent_core::ScheduleView>> {
        self.reader().schedule(name)
    }

    fn next_schedules(&self, limit: u32) -> Query<'_, Vec<stent_core::ScheduleView>> {
        self.reader().next_schedules(limit)
    }

    fn baggage(&self, execution: ExecutionId) -> Query<'_, Baggage> {
        self.reader().baggage(execution)
    }

    fn memo(&self, key: stent_core::MemoKey) -> Query<'_, Option<stent_core::view::MemoView>> {
        self.reader().memo(key)
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) {
        self.reader().watch(watcher);
    }

    fn close(&self) -> Query<'_, ()> {
        Box::pin(async move {
            for store in &self.stores {
                store.close().await?;
            }
            Ok(())
        })
    }
}

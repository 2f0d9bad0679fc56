//! Hands for what happens between processes: a place with two stores on one database, a raw connection that holds locks,
//! and the commands that both are driven with. A race is arranged by locks: who waits for one is seen on the server.

use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use stent_core::command::{Await, Emit, OpenSession, Signal, Start, StartChild, Suspend, TakeOver, Wait};
use stent_core::{
    CallKey, ClaimedTask, Command, Committed, Done, EventId, ExecutionId, Lease, Name, Outcome, Payload, SessionId,
    SignalId, Store, StoreError, TaskId, TaskRef,
};
use stent_postgres::PostgresStore;
use stent_servers::{Database, Server};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::stores::{block, execution, open, serve, spec};

/// How long something may take before it counts as hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A raw connection to a database.
pub(crate) struct Hand {
    runtime: Runtime,
    client: Client,
}

impl Hand {
    pub(crate) fn at(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Self { runtime, client }
    }

    pub(crate) fn say(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The first column of the first row, as text.
    pub(crate) fn ask(&self, sql: &str) -> String {
        let said = self.runtime.block_on(self.client.simple_query(sql));
        let said = said.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let row = said.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        row.unwrap_or_default().to_owned()
    }

    /// The client, and the runtime that drives it.
    pub(crate) fn parts(&mut self) -> (&Runtime, &mut Client) {
        (&self.runtime, &mut self.client)
    }
}

/// Two processes, as far as the database can tell, on one database; a hand that holds locks, an eye that looks on.
pub(crate) struct World {
    pub(crate) a: PostgresStore,
    pub(crate) b: PostgresStore,
    pub(crate) hand: Hand,
    pub(crate) eye: Hand,
    // Dropped last: a database goes when nobody is in it any more.
    pub(crate) database: Database,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(Server::shared().database().unwrap())
    }

    /// One in which who waits for each other in a circle waits for longer than any test: no circle comes to be.
    pub(crate) fn without_circles() -> Self {
        let database = Server::shared().database().unwrap();
        database.psql(&format!("ALTER DATABASE {} SET deadlock_timeout TO '100s'", database.name())).unwrap();
        Self::of(database)
    }

    fn of(database: Database) -> Self {
        let [a, b] = [open(&database.url()), open(&database.url())];
        let [hand, eye] = [Hand::at(&database.url()), Hand::at(&database.url())];
        Self { a, b, hand, eye, database }
    }

    /// How many connections to this database wait for a lock.
    pub(crate) fn waiting(&self) -> usize {
        let asked = "SELECT count(*) FROM pg_stat_activity \
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        self.eye.ask(asked).parse().unwrap()
    }

    pub(crate) fn await_waiting(&self, count: usize) {
        until(&format!("{count} wait for a lock"), || self.waiting() == count);
    }

    /// Two that meet at a lock which the hand holds meanwhile, in this order.
    pub(crate) fn meet<One: Send, Two: Send>(
        &self,
        hold: &str,
        first: impl FnOnce() -> One + Send,
        second: impl FnOnce() -> Two + Send,
    ) -> (One, Two) {
        self.hand.say("BEGIN");
        self.hand.say(hold);
        thread::scope(|scope| {
            let first = scope.spawn(first);
            self.await_waiting(1);
            let second = scope.spawn(second);
            self.await_waiting(2);
            self.hand.say("ROLLBACK");
            (joined(first), joined(second))
        })
    }

    /// A task in the hands of a new session of `store`, of an execution that goes through the committer `lane`.
    pub(crate) fn running(&self, store: &PostgresStore, session: SessionId, lane: usize) -> Lease {
        running(store, session, lane)
    }

    /// How many rows a table has.
    pub(crate) fn count(&self, table: &str) -> usize {
        self.eye.ask(&format!("SELECT count(*) FROM {table}")).parse().unwrap()
    }
}

pub(crate) fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The committer that an execution's commands go through.
pub(crate) fn lane_of(execution: ExecutionId) -> usize {
    usize::from(execution.as_bytes()[15]) % 2
}

/// A new execution's id, of this committer.
pub(crate) fn execution_in(lane: usize) -> ExecutionId {
    let mut bytes = *execution().as_bytes();
    bytes[15] = u8::try_from(lane).unwrap();
    ExecutionId::from_bytes(bytes)
}

pub(crate) fn session() -> SessionId {
    SessionId::from_bytes(*execution().as_bytes())
}

/// One batch through this committer.
pub(crate) fn send(store: &PostgresStore, lane: usize, batch: Vec<Command>) -> Vec<Outcome> {
    try_send(store, lane, batch).unwrap().outcomes
}

pub(crate) fn try_send(store: &PostgresStore, lane: usize, batch: Vec<Command>) -> Result<Committed, StoreError> {
    block(store.commit(lane, batch))
}

/// One command about an execution, by itself.
pub(crate) fn ask(store: &PostgresStore, execution: ExecutionId, command: Command) -> Outcome {
    send(store, lane_of(execution), vec![command]).remove(0)
}

/// One command about a task, by itself.
pub(crate) fn tell(store: &PostgresStore, lease: Lease, command: fn(Lease) -> Command) -> Outcome {
    ask(store, lease.task.execution, command(lease))
}

pub(crate) fn open_session(session: SessionId) -> Command {
    let (worker_id, host) = ("w".to_owned(), "h".to_owned());
    Command::OpenSession(OpenSession { session, worker_id, host, pid: std::process::id() })
}

pub(crate) fn new_start(id: ExecutionId) -> Start {
    let spec = spec("default", "f");
    Start { id, spec, key: None, due: None, deadline: Default::default(), claim_for: None }
}

pub(crate) fn running(store: &PostgresStore, session: SessionId, lane: usize) -> Lease {
    let start = Start { claim_for: Some(session), ..new_start(execution_in(lane)) };
    match send(store, lane, vec![Command::Start(Box::new(start))]).remove(0) {
        Ok(Done::Started { claimed: Some(task), .. }) => task.lease,
        other => panic!("{other:?}"),
    }
}

/// Claims the tasks of `f`, through the first committer as the engine does.
pub(crate) fn claim(store: &PostgresStore, session: SessionId, max: u32) -> Vec<ClaimedTask> {
    crate::stores::claim(store, session, &serve(&["f"]), max)
}

/// The one task that is ready.
pub(crate) fn claim_one(store: &PostgresStore, session: SessionId) -> Lease {
    let claimed = claim(store, session, 10);
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    claimed[0].lease
}

pub(crate) fn key(text: &str) -> CallKey {
    CallKey::new("", text, 1)
}

pub(crate) fn child_of(parent: Lease, text: &str) -> TaskRef {
    TaskRef { execution: parent.task.execution, task: TaskId::derive(parent.task.task, &key(text), 0) }
}

/// A child that is queued, of the function `f`.
pub(crate) fn start_child(parent: Lease, text: &str) -> Command {
    Command::StartChild(Box::new(StartChild {
        parent,
        child: child_of(parent, text).task,
        key: key(text),
        seen: 0,
        digest: [7; 16],
        spec: spec("default", "f"),
        due: None,
        in_place: false,
    }))
}

pub(crate) fn wait_for(lease: Lease, seq: u32, text: &str, wait: Wait) -> Command {
    Command::Await(Box::new(Await { lease, seq, run: 1, key: key(text), seen: 0, wait, due: None }))
}

pub(crate) fn await_child(lease: Lease, seq: u32, text: &str) -> Command {
    wait_for(lease, seq, text, Wait::Child(child_of(lease, text).task))
}

pub(crate) fn await_signal(lease: Lease, seq: u32) -> Command {
    wait_for(lease, seq, "s", Wait::Signal(Name::stored("go")))
}

pub(crate) fn await_event(lease: Lease, seq: u32, event: &str) -> Command {
    wait_for(lease, seq, event, Wait::Event(Name::stored("default"), Name::stored(event)))
}

pub(crate) fn suspend(lease: Lease) -> Command {
    Command::Suspend(Suspend { lease })
}

pub(crate) fn take_over(session: SessionId) -> Command {
    Command::TakeOver(TakeOver { session })
}

pub(crate) fn signal(execution: ExecutionId) -> Command {
    let id = SignalId::from_bytes(*self::execution().as_bytes());
    Command::Signal(Signal { id, execution, name: Name::stored("go"), payload: Payload::null() })
}

pub(crate) fn emit(event: &str) -> Command {
    let (id, queue) = (EventId::from_bytes(*execution().as_bytes()), Name::stored("default"));
    Command::Emit(Emit { id, queue, name: Name::stored(event), payload: Payload::null() })
}

/// The places in a task's history that are taken.
pub(crate) fn places(store: &PostgresStore, task: TaskRef) -> Vec<u32> {
    block(store.history(task, 0)).unwrap().records.iter().map(|record| record.seq).collect()
}

pub(crate) fn view(store: &PostgresStore, task: TaskRef) -> stent_core::view::TaskView {
    block(store.task(task)).unwrap().unwrap()
}

/// SQL that locks a task's row as the store does.
pub(crate) fn lock_task(task: TaskRef) -> String {
    let (execution, task) = (task.execution.uuid(), task.task.uuid());
    format!("SELECT 1 FROM tasks WHERE execution_id = '{execution}' AND task_id = '{task}' FOR NO KEY UPDATE")
}

/// SQL that locks an execution's row as the store does.
pub(crate) fn lock_execution(execution: ExecutionId) -> String {
    format!("SELECT 1 FROM executions WHERE execution_id = '{}' FOR NO KEY UPDATE", execution.uuid())
}

/// Somebody who is told of foreign changes.
pub(crate) struct Told(pub(crate) std::sync::Mutex<std::sync::mpsc::Sender<()>>);

impl stent_core::Watcher for Told {
    fn changed(&self) {
        self.0.lock().unwrap().send(()).unwrap_or_default();
    }
}

/// Watches a store: what it is told comes out of the receiver, for as long as the watcher is kept.
pub(crate) fn watch(store: &PostgresStore) -> (Arc<dyn stent_core::Watcher>, std::sync::mpsc::Receiver<()>) {
    let (sender, told) = std::sync::mpsc::channel();
    let watcher: Arc<dyn stent_core::Watcher> = Arc::new(Told(std::sync::Mutex::new(sender)));
    store.watch(Arc::downgrade(&watcher));
    (watcher, told)
}

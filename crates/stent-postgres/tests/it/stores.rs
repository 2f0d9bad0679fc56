//! What the tests share: stores in fresh databases, commands with sensible defaults, a way to await without a runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use stent_core::command::{Append, Claim, Ending, Finish, OpenSession, Start};
use stent_core::history::NewRecord;
use stent_core::{
    CallKey, ClaimedTask, Command, Done, ExecutionId, Lease, Name, Outcome, Payload, RecordKind, Serve, SessionId,
    Store, TaskOptions, TaskSpec, Verdict,
};
use stent_postgres::{Options, PostgresStore};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread.
pub(crate) fn block<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

pub(crate) fn open(url: &str) -> PostgresStore {
    PostgresStore::from_url(url, Options::default()).unwrap()
}

static NEXT: AtomicU32 = AtomicU32::new(1);

fn random() -> [u8; 10] {
    // An id keeps all bits but some of the first and the third byte.
    let mut bytes = [0; 10];
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    bytes[1] = high;
    bytes[3..7].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes[7..9].copy_from_slice(&[middle, low]);
    bytes
}

pub(crate) fn execution() -> ExecutionId {
    ExecutionId::v7(1_800_000_000_000, random())
}

pub(crate) fn spec(queue: &str, function: &str) -> TaskSpec {
    TaskSpec {
        function: Name::stored(function),
        args: Payload::json(&1).unwrap(),
        queue: Name::stored(queue),
        priority: 0,
        tags: Vec::new(),
        headers: None,
        options: TaskOptions::default(),
    }
}

pub(crate) fn start_one(id: ExecutionId) -> Command {
    let spec = spec("default", "f");
    Command::Start(Box::new(Start { id, spec, key: None, due: None, deadline: Default::default(), claim_for: None }))
}

pub(crate) fn serve(functions: &[&str]) -> Arc<Serve> {
    Arc::new(Serve { queues: None, functions: functions.iter().map(|name| Name::stored(name)).collect(), tags: None })
}

pub(crate) fn step(lease: Lease, seq: u32) -> Command {
    let record = NewRecord {
        seq,
        key: CallKey::new("", "s", seq),
        kind: RecordKind::Step,
        run: 1,
        seen: 0,
        digest: None,
        verdict: Verdict::Ok,
        payload: Payload::json(&"x".repeat(100)).unwrap(),
        source: None,
    };
    Command::Append(Box::new(Append { lease, record, effect: None }))
}

pub(crate) fn complete(lease: Lease) -> Command {
    let ending = Ending::Completed(Payload::null());
    Command::Finish(Box::new(Finish { lease, ending, deliver: None, start: None, returned: Vec::new() }))
}

/// One batch's outcomes, through the first committer.
pub(crate) fn commit(store: &PostgresStore, batch: Vec<Command>) -> Vec<Outcome> {
    block(store.commit(0, batch)).unwrap().outcomes
}

/// A fresh session of this store, present and open.
pub(crate) fn worker(store: &PostgresStore) -> SessionId {
    let session = SessionId::v7(1_800_000_000_000, random());
    store.enter(session).unwrap();
    let (worker_id, host) = ("w".to_owned(), "h".to_owned());
    let open = OpenSession { session, worker_id, host, pid: std::process::id() };
    assert!(commit(store, vec![Command::OpenSession(open)])[0].is_ok());
    session
}

pub(crate) fn claim(store: &PostgresStore, session: SessionId, serve: &Arc<Serve>, max: u32) -> Vec<ClaimedTask> {
    let command = Command::Claim(Claim { session, serve: Arc::clone(serve), max });
    match commit(store, vec![command]).remove(0) {
        Ok(Done::Claimed { tasks, .. }) => tasks,
        other => panic!("{other:?}"),
    }
}

//! Driving a store by hand: sessions, claims and leases without an engine, so that commands meet exactly as wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use stent_core::command::{
    Append, Await, Claim, Deadline, Effect, Emit, Ending, Finish, OpenSession, Signal, Start, StartChild, Suspend,
    TakeOver, Wait,
};
use stent_core::history::{Due, NewRecord};
use stent_core::{
    CallKey, ClaimedTask, Command, Committed, Done, EventId, ExecutionId, Lease, Outcome, Payload, RecordKind, Serve,
    SessionId, SignalId, Store, StoreError, TaskId, TaskSpec, Verdict,
};

use super::{World, name, payload, spec};

static LAST: AtomicU64 = AtomicU64::new(0);

/// Ten bytes that nobody else has, and that grow.
fn fresh() -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}

/// Carries a batch out on this thread, as those of the engine do: a store may block it, and may not be called where
/// blocking is not allowed.
pub(crate) fn commit(store: &dyn Store, batch: Vec<Command>) -> Result<Committed, StoreError> {
    tokio::task::block_in_place(|| store.commit(0, batch).now_or_never().expect("a commit awaits nothing"))
}

/// One process on a store, by hand.
#[derive(Clone)]
pub(crate) struct Hands {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) session: SessionId,
}

impl Hands {
    /// Another process with an open session.
    pub(crate) async fn on(world: &World) -> Self {
        Self::over(world.store()).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>) -> Self {
        let session = SessionId::v7(store.now().unix_ms(), fresh());
        store.enter(session).unwrap();
        let hands = Self { store, session };
        let open = OpenSession { session, worker_id: "by hand".into(), host: String::new(), pid: 1 };
        hands.one(Command::OpenSession(open)).await.unwrap();
        hands
    }

    #[expect(clippy::unused_async, reason = "whoever gives a batch to a store waits for it")]
    pub(crate) async fn batch(&self, batch: Vec<Command>) -> Vec<Outcome> {
        commit(&*self.store, batch).unwrap().outcomes
    }

    pub(crate) async fn one(&self, command: Command) -> Outcome {
        self.batch(vec![command]).await.remove(0)
    }

    /// Starts an execution of this function.
    pub(crate) async fn start(&self, function: &str) -> ExecutionId {
        self.start_by(Deadline::default(), spec(function, "")).await
    }

    pub(crate) async fn start_by(&self, deadline: Deadline, spec: TaskSpec) -> ExecutionId {
        let start = start_of(self.execution_id(), spec, deadline);
        match self.one(start).await {
            Ok(Done::Started { execution, .. }) => execution,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn execution_id(&self) -> ExecutionId {
        ExecutionId::v7(self.store.now().unix_ms(), fresh())
    }

    pub(crate) fn claim_command(&self, functions: &[&str], max: u32) -> Command {
        let functions = functions.iter().map(|function| name(function)).collect();
        Command::Claim(Claim {
            session: self.session,
            serve: Arc::new(Serve { queues: None, functions, tags: None }),
            max,
        })
    }

    /// What is ready of these functions.
    pub(crate) async fn claim(&self, functions: &[&str]) -> Vec<ClaimedTask> {
        claimed(self.one(self.claim_command(functions, 1_000)).await)
    }

    /// The one task that is ready of this function.
    pub(crate) async fn claim_one(&self, function: &str) -> Lease {
        let tasks = self.claim(&[function]).await;
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        tasks[0].lease
    }

    pub(crate) async fn take_over(&self, session: SessionId) {
        self.one(Command::TakeOver(TakeOver { session })).await.unwrap();
    }

    pub(crate) fn signal(&self, execution: ExecutionId, signal: &str, text: &str) -> Command {
        let id = SignalId::v7(self.store.now().unix_ms(), fresh());
        Command::Signal(Signal { id, execution, name: name(signal), payload: payload(text) })
    }

    pub(crate) fn emit(&self, event: &str, text: &str) -> Command {
        let id = EventId::v7(self.store.now().unix_ms(), fresh());
        Command::Emit(Emit { id, queue: name("default"), name: name(event), payload: payload(text) })
    }
}

pub(crate) fn claimed(outcome: Outcome) -> Vec<ClaimedTask> {
    match outcome {
        Ok(Done::Claimed { tasks, .. }) => tasks,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn start_of(id: ExecutionId, spec: TaskSpec, deadline: Deadline) -> Command {
    Command::Start(Box::new(Start { id, spec, key: None, due: None, deadline, claim_for: None }))
}

pub(crate) fn key(text: &str) -> CallKey {
    CallKey::stored(text)
}

pub(crate) fn step(lease: Lease, seq: u32, step: &str) -> Command {
    append(lease, seq, step, RecordKind::Step, None)
}

pub(crate) fn effect(lease: Lease, seq: u32, call: &str, effect: Effect) -> Command {
    append(lease, seq, call, RecordKind::Effect, Some(effect))
}

fn append(lease: Lease, seq: u32, call: &str, kind: RecordKind, effect: Option<Effect>) -> Command {
    let record = NewRecord {
        seq,
        key: key(call),
        kind,
        run: 1,
        seen: 0,
        digest: None,
        verdict: Verdict::Ok,
        payload: payload(call),
        source: None,
    };
    Command::Append(Box::new(Append { lease, record, effect }))
}

pub(crate) fn wait(lease: Lease, seq: u32, call: &str, wait: Wait, due: Option<Due>) -> Command {
    Command::Await(Box::new(Await { lease, seq, run: 1, key: key(call), seen: 0, wait, due }))
}

pub(crate) fn suspend(lease: Lease) -> Command {
    Command::Suspend(Suspend { lease })
}

pub(crate) fn finish(lease: Lease) -> Command {
    let ending = Ending::Completed(Payload::null());
    Command::Finish(Box::new(Finish { lease, ending, deliver: None, start: None, returned: Vec::new() }))
}

/// A child under this key, and its id.
pub(crate) fn child(parent: Lease, call: &str, function: &str) -> (TaskId, Command) {
    let id = TaskId::derive(parent.task.task, &key(call), 0);
    let start = StartChild {
        parent,
        child: id,
        key: key(call),
        seen: 0,
        digest: [0; 16],
        spec: spec(function, ""),
        due: None,
        in_place: false,
    };
    (id, Command::StartChild(Box::new(start)))
}

/// What a delivery carried.
pub(crate) fn delivered(outcome: &Outcome) -> String {
    match outcome {
        Ok(Done::Delivered(record)) => record.payload.read().unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

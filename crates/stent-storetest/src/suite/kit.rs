//! The hands of the suite: short words for the commands that cases are made of. Whatever is not the point of a case has
//! a default here.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use stent_core::command::{
    Append, Await, Claim, Deadline, Deliver, Ending, Finish, OpenSession, Release, ReplayLetter, Signal, Start,
    StartChild, Suspend, TakeOver, Wait,
};
use stent_core::history::{Due, NewRecord};
use stent_core::view::{ExecutionView, TaskView};
use stent_core::{
    CallKey, ClaimedTask, Command, Committed, Done, EventId, ExecutionId, Failure, FailureKind, History, Lease, Name,
    Outcome, Payload, Record, RecordKind, Refusal, Serve, SessionId, SignalId, Store, TaskId, TaskOptions, TaskRef,
    TaskSpec, TaskState, Timestamp, Verdict, Wakes,
};

use super::Fixture;
use crate::drive::block_on;

/// Longer than any case takes.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

pub(super) struct Kit<'a> {
    pub(super) fixture: &'a dyn Fixture,
    pub(super) store: Arc<dyn Store>,
    fresh: Cell<u64>,
}

pub(super) fn name(text: &str) -> Name {
    Name::new("test", text).unwrap()
}

pub(super) fn key(text: &str) -> CallKey {
    CallKey::new("", text, 1)
}

pub(super) fn json(value: impl serde::Serialize) -> Payload {
    Payload::json(&value).unwrap()
}

pub(super) fn failure(words: &str) -> Failure {
    Failure::new(FailureKind::Error, words)
}

pub(super) fn serve(functions: &[&str]) -> Serve {
    Serve { queues: None, functions: functions.iter().map(|text| name(text)).collect(), tags: None }
}

/// A task of the function `f` in the default queue.
pub(super) fn spec() -> TaskSpec {
    TaskSpec {
        function: name("f"),
        args: json([1]),
        queue: name("default"),
        priority: 0,
        tags: Vec::new(),
        headers: None,
        options: TaskOptions::default(),
    }
}

/// A step's record.
pub(super) fn append(lease: Lease, seq: u32, text: &str) -> Command {
    let record = NewRecord {
        seq,
        key: key(text),
        kind: RecordKind::Step,
        run: 1,
        seen: seq - 1,
        digest: None,
        verdict: Verdict::Ok,
        payload: json(text),
        source: None,
    };
    Command::Append(Box::new(Append { lease, record, effect: None }))
}

pub(super) fn finish(lease: Lease, ending: Ending) -> Command {
    Command::Finish(Box::new(Finish { lease, ending, deliver: None, start: None, returned: Vec::new() }))
}

pub(super) fn complete(lease: Lease) -> Command {
    finish(lease, Ending::Completed(json("done")))
}

pub(super) fn fail(lease: Lease) -> Command {
    finish(lease, Ending::Failed(failure("no")))
}

pub(super) fn suspend(lease: Lease) -> Command {
    Command::Suspend(Suspend { lease })
}

pub(super) fn await_with(lease: Lease, seq: u32, text: &str, wait: Wait, due: Option<Due>) -> Command {
    Command::Await(Box::new(Await { lease, seq, run: 1, key: key(text), seen: 0, wait, due }))
}

pub(super) fn await_signal(lease: Lease, seq: u32, text: &str, signal: &str) -> Command {
    await_with(lease, seq, text, Wait::Signal(name(signal)), None)
}

pub(super) fn child_ref(parent: Lease, text: &str) -> TaskRef {
    TaskRef { execution: parent.task.execution, task: TaskId::derive(parent.task.task, &key(text), 0) }
}

pub(super) fn start_child(parent: Lease, text: &str, in_place: bool) -> StartChild {
    StartChild {
        parent,
        child: child_ref(parent, text).task,
        key: key(text),
        seen: 0,
        digest: [7; 16],
        spec: spec(),
        due: None,
        in_place,
    }
}

pub(super) fn call(start: StartChild) -> Command {
    Command::StartChild(Box::new(start))
}

pub(super) fn deliver(parent: Lease, seq: u32) -> Option<Deliver> {
    Some(Deliver { parent, run: 1, seq })
}

pub(super) fn claim(session: SessionId, max: u32) -> Command {
    Command::Claim(Claim { session, serve: Arc::new(serve(&["f"])), max })
}

pub(super) fn take_over(session: SessionId) -> Command {
    Command::TakeOver(TakeOver { session })
}

pub(super) fn replay(task: TaskRef) -> Command {
    Command::ReplayLetter(ReplayLetter { task, reset_attempts: false, queue: None })
}

/// The record of an answer.
pub(super) fn record(done: Done) -> Record {
    match done {
        Done::Recorded(record) | Done::Delivered(record) => *record,
        Done::Finished { delivered: Some(record) } => *record,
        other => panic!("no record: {other:?}"),
    }
}

pub(super) fn tasks(done: Done) -> Vec<ClaimedTask> {
    match done {
        Done::Claimed { tasks, .. } => tasks,
        other => panic!("no claim: {other:?}"),
    }
}

impl<'a> Kit<'a> {
    pub(super) fn new(fixture: &'a dyn Fixture) -> Self {
        Self { fixture, store: fixture.store(), fresh: Cell::new(0) }
    }

    pub(super) fn number(&self) -> u64 {
        self.fresh.set(self.fresh.get() + 1);
        self.fresh.get()
    }

    fn random(&self) -> (u64, [u8; 10]) {
        let number = self.number();
        let mut bytes = [3; 10];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        (1_700_000_000_000 + number, bytes)
    }

    pub(super) fn batch(&self, commands: Vec<Command>) -> Committed {
        let asked = commands.len();
        let committed = block_on(self.store.commit(0, commands)).unwrap();
        assert_eq!(committed.outcomes.len(), asked, "one outcome for each command");
        committed
    }

    pub(super) fn run(&self, command: Command) -> Outcome {
        self.batch(vec![command]).outcomes.remove(0)
    }

    pub(super) fn ok(&self, command: Command) -> Done {
        let words = format!("{command:?}");
        self.run(command).unwrap_or_else(|refusal| panic!("{words} was refused: {refusal:?}"))
    }

    pub(super) fn refused(&self, command: Command) -> Refusal {
        let words = format!("{command:?}");
        match self.run(command) {
            Err(refusal) => refusal,
            Ok(done) => panic!("{words} was carried out: {done:?}"),
        }
    }

    pub(super) fn wakes(&self, command: Command) -> Wakes {
        let committed = self.batch(vec![command]);
        assert!(committed.outcomes[0].is_ok(), "{:?}", committed.outcomes);
        committed.wakes
    }

    pub(super) fn open_session(&self) -> (SessionId, Command) {
        let (ms, random) = self.random();
        let session = SessionId::v7(ms, random);
        let open = OpenSession { session, worker_id: "w".into(), host: "h".into(), pid: 1 };
        (session, Command::OpenSession(open))
    }

    /// A worker that is there.
    pub(super) fn worker(&self) -> SessionId {
        let (session, open) = self.open_session();
        self.store.enter(session).unwrap();
        self.ok(open);
        session
    }

    pub(super) fn new_start(&self) -> Start {
        let (ms, random) = self.random();
        Start {
            id: ExecutionId::v7(ms, random),
            spec: spec(),
            key: None,
            due: None,
            deadline: Deadline::default(),
            claim_for: None,
        }
    }

    pub(super) fn start_with(&self, change: impl FnOnce(&mut Start)) -> ExecutionId {
        let mut start = self.new_start();
        change(&mut start);
        let id = start.id;
        self.ok(Command::Start(Box::new(start)));
        id
    }

    pub(super) fn start(&self) -> ExecutionId {
        self.start_with(|_| {})
    }

    pub(super) fn claim(&self, session: SessionId, max: u32) -> Vec<ClaimedTask> {
        tasks(self.ok(claim(session, max)))
    }

    /// The one task that is ready.
    pub(super) fn claim_one(&self, session: SessionId) -> ClaimedTask {
        let mut claimed = self.claim(session, 100);
        assert_eq!(claimed.len(), 1, "{claimed:?}");
        claimed.remove(0)
    }

    pub(super) fn claim_nothing(&self, session: SessionId) {
        assert_eq!(self.claim(session, 100), []);
    }

    /// A new execution whose root is in the session's hands.
    pub(super) fn running(&self, session: SessionId) -> ClaimedTask {
        self.running_with(session, |_| {})
    }

    pub(super) fn running_with(&self, session: SessionId, change: impl FnOnce(&mut Start)) -> ClaimedTask {
        let mut start = self.new_start();
        start.claim_for = Some(session);
        change(&mut start);
        match self.ok(Command::Start(Box::new(start))) {
            Done::Started { claimed: Some(task), .. } => *task,
            other => panic!("not claimed at once: {other:?}"),
        }
    }

    /// A child in its parent's session's hands.
    pub(super) fn child(&self, parent: Lease, text: &str) -> ClaimedTask {
        match self.ok(call(start_child(parent, text, true))) {
            Done::ChildStarted { claimed: Some(task), .. } => *task,
            other => panic!("not in place: {other:?}"),
        }
    }

    pub(super) fn signal_command(&self, execution: ExecutionId, signal: &str, value: u32) -> Signal {
        let (ms, random) = self.random();
        Signal { id: SignalId::v7(ms, random), execution, name: name(signal), payload: json(value) }
    }

    pub(super) fn signal(&self, execution: ExecutionId, signal: &str, value: u32) -> SignalId {
        let signal = self.signal_command(execution, signal, value);
        let id = signal.id;
        self.ok(Command::Signal(signal));
        id
    }

    pub(super) fn emit(&self, queue: &str, event: &str, value: u32) -> EventId {
        let (ms, random) = self.random();
        let id = EventId::v7(ms, random);
        let emit = stent_core::command::Emit { id, queue: name(queue), name: name(event), payload: json(value) };
        self.ok(Command::Emit(emit));
        id
    }

    pub(super) fn release(&self, lease: Lease, delay: Duration) {
        self.ok(Command::Release(Box::new(Release { lease, delay, reason: None })));
    }

    pub(super) fn advance(&self, by: Duration) {
        self.fixture.advance(by);
    }

    pub(super) fn now(&self) -> Timestamp {
        self.store.now()
    }

    pub(super) fn view(&self, task: TaskRef) -> TaskView {
        block_on(self.store.task(task)).unwrap().unwrap()
    }

    pub(super) fn state(&self, task: TaskRef) -> TaskState {
        self.view(task).state
    }

    pub(super) fn execution(&self, id: ExecutionId) -> ExecutionView {
        block_on(self.store.execution(id)).unwrap().unwrap()
    }

    pub(super) fn history(&self, task: TaskRef) -> History {
        block_on(self.store.history(task, 0)).unwrap()
    }

    pub(super) fn arrivals(&self, task: TaskRef) -> Vec<CallKey> {
        block_on(self.store.arrivals(task)).unwrap()
    }

    /// A worker dies and another one notices.
    pub(super) fn lose(&self, session: SessionId) {
        self.store.leave(session);
        self.ok(take_over(session));
    }
}

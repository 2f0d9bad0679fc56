//! The in-memory model: the specification in `stent_core::command`, as short as it can be said. It is the oracle that
//! every store is compared with, and the store of simulations and of users' tests. No clock, no threads, no I/O.
//!
//! Invariant: a refused command has changed nothing (the one exception is documented at `Finish`).

mod claims;
mod clock;
mod endings;
#[cfg(feature = "suite")]
pub(crate) mod inspect;
mod letters;
mod memos;
mod messages;
mod operations;
mod queries;
mod queues;
mod records;
mod rows;
mod schedules;
mod sessions;
mod starts;
mod store;
mod tree;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stent_core::command::{Command, Number, Outcome, Refusal};
use stent_core::memo::{Memo, MemoKey};
use stent_core::view::CachedView;
use stent_core::{CallKey, ExecutionId, Lease, Name, Payload, ScheduleView, SessionId, TaskRef, Timestamp, Wakes};

pub use clock::{ManualClock, Uptime, WallClock};
use rows::{Execution, GivenSignal, Reserved, Session, Stream, Task, Waiting};
pub use store::{ModelStore, Notify};

/// All rows of a store. Cloning it is a snapshot; payloads are shared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    uptime: Duration,
    sessions: BTreeMap<SessionId, Session>,
    queues: BTreeMap<Name, bool>,
    executions: BTreeMap<ExecutionId, Execution>,
    start_keys: BTreeMap<Name, ExecutionId>,
    tasks: BTreeMap<TaskRef, Task>,
    waits: BTreeMap<(TaskRef, CallKey), Waiting>,
    last_wait: u64,
    signals: BTreeMap<(ExecutionId, Name), Vec<GivenSignal>>,
    streams: BTreeMap<(Name, Name), Stream>,
    cursors: BTreeMap<(TaskRef, Name, Name), u64>,
    letters: BTreeMap<TaskRef, Timestamp>,
    counters: BTreeMap<(ExecutionId, Name), Number>,
    state: BTreeMap<(ExecutionId, Name), Payload>,
    cache: BTreeMap<MemoKey, CachedView>,
    reserved: BTreeMap<MemoKey, Reserved>,
    /// Who waits for which key.
    line: BTreeSet<(MemoKey, TaskRef)>,
    schedules: BTreeMap<Name, ScheduleView>,
}

impl Model {
    /// A model without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells the time since boot, by which beats are counted. Commands carried out later see it.
    pub fn set_uptime(&mut self, uptime: Duration) {
        self.uptime = uptime;
    }

    /// Carries out one command at `now`; whom it concerns is added to `wakes`.
    pub fn apply(&mut self, now: Timestamp, command: &Command, wakes: &mut Wakes) -> Outcome {
        let mut act = Act { model: self, now, wakes, ended: Vec::new() };
        let outcome = match command {
            Command::OpenSession(open) => act.open_session(open),
            Command::Beat(session) => act.beat(*session),
            Command::NameSuspect(session, suspect) => act.name_suspect(*session, *suspect),
            Command::CloseSession(session) => act.close_session(*session),
            Command::TakeOver(take) => act.take_over(take.session),
            Command::Publish(session, functions) => act.publish(*session, functions),
            Command::Start(start) => act.start(start),
            Command::Claim(claim) => act.claim(claim),
            Command::StartChild(start) => act.start_child(start),
            Command::Reserve(reserve) => act.reserve(&reserve.lease),
            Command::Append(append) => act.append(append),
            Command::Await(wait) => act.await_arrival(wait),
            Command::Abandon(lease, key) => act.abandon(lease, key),
            Command::Heed(lease) => act.heed(lease),
            Command::Suspend(suspend) => act.suspend(&suspend.lease),
            Command::Release(release) => act.release(release),
            Command::Finish(finish) => act.finish(finish),
            Command::Signal(signal) => act.signal(signal),
            Command::Emit(emit) => act.emit(emit),
            Command::Cancel(task) => act.cancel(*task),
            Command::ReplayLetter(replay) => act.replay_letter(replay),
            Command::DiscardLetter(task) => act.discard_letter(*task),
            Command::SetQueue(name, paused) => act.set_queue(name, *paused),
            Command::DropQueue(name) => act.drop_queue(name),
            Command::Expire => act.expire(),
            Command::PruneEvents(before) => act.prune_events(*before),
            Command::ClearCache(key) => act.clear_cache(key.as_ref()),
            Command::PruneCache => act.prune_cache(),
            Command::Operate(operation) => act.operate(operation),
            Command::Schedule(change) => act.change_schedule(change),
        };
        act.settle_memos();
        outcome
    }

    fn is_open(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|row| row.is_open)
    }

    fn is_paused(&self, queue: &Name) -> bool {
        self.queues.get(queue).copied().unwrap_or(false)
    }

    /// The tasks of an execution, in order of id.
    fn tasks_of(&self, execution: ExecutionId) -> impl Iterator<Item = (TaskRef, &Task)> {
        let from = TaskRef { execution, task: stent_core::TaskId::from_bytes([0; 16]) };
        self.tasks.range(from..).take_while(move |(at, _)| at.execution == execution).map(|(at, task)| (*at, task))
    }

    /// The waits of a task, in order of key.
    fn waits_of(&self, task: TaskRef) -> impl Iterator<Item = (&CallKey, &Waiting)> {
        let from = (task, CallKey::stored(""));
        self.waits.range(from..).take_while(move |((at, _), _)| *at == task).map(|((_, key), wait)| (key, wait))
    }
}

/// One command under way: the rows, the moment and whom it concerns.
struct Act<'a> {
    model: &'a mut Model,
    now: Timestamp,
    wakes: &'a mut Wakes,
    /// Tasks with a memo that this command has ended, and their own results.
    ended: Vec<(TaskRef, Memo, Option<Payload>)>,
}

impl Act<'_> {
    /// The task that a lease gives the right to write for, or why it does not.
    fn leased(&mut self, lease: &Lease) -> Result<&mut Task, Refusal> {
        let open = self.model.is_open(lease.session);
        match self.model.tasks.get_mut(&lease.task) {
            Some(task) if open && task.is_held_by(lease) => Ok(task),
            Some(task) if task.state.is_terminal() && task.epoch == lease.epoch => Err(Refusal::Terminal(task.state)),
            _ => Err(Refusal::LeaseLost),
        }
    }
}

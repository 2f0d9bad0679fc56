//! The rows of the model: what a database would keep, as plain values. They hold no rules; those are in the files
//! beside this one.

use std::collections::BTreeMap;
use std::time::Duration;

use stent_core::command::{Deadline, Wait};
use stent_core::routing::rank;
use stent_core::view::FunctionView;
use stent_core::{
    CallKey, ClaimedTask, EventId, ExecutionState, Failure, Lease, Name, Payload, Record, SessionId, SignalId, TaskId,
    TaskRef, TaskSpec, TaskState, Timestamp,
};

/// A worker process's presence. A closed one refuses what still comes from it, and so does one that is not known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Session {
    pub(crate) worker_id: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) is_open: bool,
    /// Time since boot at its last sign of life.
    pub(crate) beat: Duration,
    pub(crate) suspect: Option<TaskRef>,
    pub(crate) functions: BTreeMap<Name, FunctionView>,
}

impl Session {
    pub(crate) fn has_limits(&self) -> bool {
        self.functions.values().any(|function| function.max_concurrent.is_some())
    }
}

/// An execution. What its root task says of it is not repeated here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Execution {
    pub(crate) state: ExecutionState,
    pub(crate) created_at: Timestamp,
    pub(crate) completed_at: Option<Timestamp>,
    pub(crate) limits: Deadline,
    /// When it is ended, and as what.
    pub(crate) deadline: Option<(Timestamp, ExecutionState)>,
}

/// The call of its parent that a child stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) parent: TaskId,
    pub(crate) key: CallKey,
    pub(crate) seen: u32,
    pub(crate) digest: [u8; 16],
}

/// A record with the epoch it was written under.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) epoch: u64,
    pub(crate) record: Record,
}

/// A task with its history.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Task {
    pub(crate) spec: TaskSpec,
    pub(crate) call: Option<Call>,
    pub(crate) state: TaskState,
    pub(crate) rank: i64,
    /// Pending or suspended: when it becomes ready by itself. A pending task without is ready.
    pub(crate) due: Option<Timestamp>,
    pub(crate) epoch: u64,
    /// Its owner; of a task that others ended: who owned it and has not heeded.
    pub(crate) session: Option<SessionId>,
    /// Whether it holds a slot of its function's limit.
    pub(crate) holds_slot: bool,
    pub(crate) woken: bool,
    pub(crate) attempt: u32,
    pub(crate) run: u32,
    pub(crate) losses: u32,
    /// Its end has not reached its parent.
    pub(crate) undelivered: bool,
    /// Runs by itself: its parent is told nothing.
    pub(crate) detached: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) first_started_at: Option<Timestamp>,
    pub(crate) completed_at: Option<Timestamp>,
    pub(crate) result: Option<Payload>,
    pub(crate) failure: Option<Failure>,
    pub(crate) records: BTreeMap<u32, Written>,
}

impl Task {
    /// A task that nobody owns, ready at once unless it has a due time.
    pub(crate) fn new(spec: &TaskSpec, call: Option<Call>, now: Timestamp, due: Option<Timestamp>) -> Self {
        Self {
            spec: spec.clone(),
            call,
            state: TaskState::Pending,
            rank: rank(false, spec.priority),
            due,
            epoch: 0,
            session: None,
            holds_slot: false,
            woken: false,
            attempt: 1,
            run: 1,
            losses: 0,
            undelivered: false,
            detached: false,
            created_at: now,
            started_at: None,
            first_started_at: None,
            completed_at: None,
            result: None,
            failure: None,
            records: BTreeMap::new(),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == TaskState::Pending && self.due.is_none()
    }

    /// Whether this very claim of it stands, given that the session is open.
    pub(crate) fn is_held_by(&self, lease: &Lease) -> bool {
        self.state == TaskState::Running && self.session == Some(lease.session) && self.epoch == lease.epoch
    }

    /// Nobody is behind it any more: whoever owned it is not named now, and its slot is let go. The one place that lets
    /// slots go.
    pub(crate) fn leave_hands(&mut self) {
        (self.session, self.holds_slot, self.woken) = (None, false, false);
    }

    /// The parent that its end has to reach.
    pub(crate) fn attached_parent(&self, task: TaskRef) -> Option<TaskRef> {
        let call = self.call.as_ref().filter(|_| !self.detached)?;
        Some(TaskRef { execution: task.execution, task: call.parent })
    }

    /// The task as its owner gets it.
    pub(crate) fn in_hands_of(&self, task: TaskRef, session: SessionId) -> ClaimedTask {
        ClaimedTask {
            lease: Lease { task, session, epoch: self.epoch },
            spec: self.spec.clone(),
            parent: self.call.as_ref().map(|call| call.parent),
            attempt: self.attempt,
            run: self.run,
            losses: self.losses,
            created_at: self.created_at,
        }
    }
}

/// A key of idempotent calls: who holds it, and its result once there is one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reserved {
    pub(crate) holder: TaskRef,
    pub(crate) result: Option<Payload>,
}

/// A registered wait.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waiting {
    pub(crate) wait: Wait,
    pub(crate) due: Option<Timestamp>,
    pub(crate) seen: u32,
    /// Its place among all waits: those of one signal name stand in line by it.
    pub(crate) place: u64,
}

/// A signal that was given, in its place of the line of its name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GivenSignal {
    pub(crate) id: SignalId,
    pub(crate) payload: Payload,
    pub(crate) consumed: bool,
}

/// The events of one queue and name by their places, which are never used twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stream {
    pub(crate) last_place: u64,
    pub(crate) events: BTreeMap<u64, Published>,
}

/// A published event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Published {
    pub(crate) id: EventId,
    pub(crate) payload: Payload,
    pub(crate) at: Timestamp,
}

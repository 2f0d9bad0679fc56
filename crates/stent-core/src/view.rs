//! What a store shows: executions, tasks, dead letters, sessions, queues. Read-only pictures of one moment; nothing
//! here can be written back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::command::Number;
use crate::id::{ExecutionId, SessionId, TaskId, TaskRef};
use crate::key::CallKey;
use crate::name::Name;
use crate::payload::{Failure, Payload};
use crate::routing::MaxConcurrent;
use crate::state::{ExecutionState, TaskState};
use crate::time::Timestamp;

/// One execution.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionView {
    /// Its id.
    pub id: ExecutionId,
    /// Its root function.
    pub function: Name,
    /// Its root's queue.
    pub queue: Name,
    /// Its state, as users see it.
    pub state: ExecutionState,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its root was first claimed.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When it will be ended if it has not by then.
    pub deadline: Option<Timestamp>,
    /// Its result, once completed.
    pub result: Option<Payload>,
    /// Its failure once it ended otherwise; before that, why its root's last attempt came to nothing.
    pub failure: Option<Failure>,
    /// Attempts of its root so far, from 0.
    pub attempts: u32,
    /// Its root's priority.
    pub priority: i32,
    /// Its root's tags.
    pub tags: Vec<Name>,
}

/// One task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskView {
    /// Its place.
    pub task: TaskRef,
    /// Who called it, unless it is a root.
    pub parent: Option<TaskId>,
    /// The parent's call.
    pub key: Option<String>,
    /// Its function.
    pub function: Name,
    /// Its queue.
    pub queue: Name,
    /// Its state.
    pub state: TaskState,
    /// Its priority.
    pub priority: i32,
    /// Its tags.
    pub tags: Vec<Name>,
    /// The attempt that runs or is next, from 1.
    pub attempt: u32,
    /// The run that runs or is next, from 1.
    pub run: u32,
    /// Losses in a row.
    pub losses: u32,
    /// Grows with each claim; 0 before the first.
    pub epoch: u64,
    /// Who owns it.
    pub session: Option<SessionId>,
    /// Whether it holds a slot of its function's limit.
    pub holds_slot: bool,
    /// Something came for it that its owner has not looked at.
    pub woken: bool,
    /// When it becomes ready, if it is delayed or suspended with a due time.
    pub due: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its present attempt was first claimed.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Its arguments.
    pub args: Payload,
    /// Its result, once completed.
    pub result: Option<Payload>,
    /// The last failure of it.
    pub failure: Option<Failure>,
}

impl TaskView {
    /// Whether it ended with the result of an equal call, without a run of its body: an attempt that began has a start.
    #[must_use]
    pub fn is_cache_hit(&self) -> bool {
        self.state == TaskState::Completed && self.started_at.is_none()
    }
}

/// What is kept under a key of idempotent and cached calls.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoView {
    /// The one result of the key's idempotent calls, once there is one.
    pub result: Option<Payload>,
    /// Whose result that is; before, who has reserved the key.
    pub holder: Option<TaskRef>,
    /// Who waits for the holder's end, oldest first.
    pub waiting: Vec<TaskRef>,
    /// What the cache has.
    pub cached: Option<CachedView>,
}

/// A result in the cache.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedView {
    /// The result.
    pub value: Payload,
    /// When it was put there.
    pub created_at: Timestamp,
    /// When it is a hit no longer.
    pub expires_at: Option<Timestamp>,
}

/// A task that failed for good, kept for replay or discard.
#[derive(Clone, Debug, PartialEq)]
pub struct LetterView {
    /// Which task.
    pub task: TaskRef,
    /// Its function.
    pub function: Name,
    /// Its queue.
    pub queue: Name,
    /// Why it failed.
    pub failure: Failure,
    /// When it was put away.
    pub moved_at: Timestamp,
    /// Whether replay goes through the execution's root, which failed too.
    pub through_root: bool,
}

/// A worker process's presence.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionView {
    /// Its id.
    pub session: SessionId,
    /// Its label.
    pub worker_id: String,
    /// Where it runs.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// The suspect it is about to run.
    pub suspect: Option<TaskRef>,
}

/// What a session needs to look at: its tasks that were woken, or ended by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nudge {
    /// Which task.
    pub task: TaskRef,
    /// Under which epoch it is or was owned.
    pub epoch: u64,
    /// Its state: running, or how it was ended.
    pub state: TaskState,
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// Its name.
    pub name: Name,
    /// Whether claims pass it by.
    pub paused: bool,
}

/// A function as a worker publishes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionView {
    /// Its registered name.
    pub name: Name,
    /// Its options, as JSON: for people.
    pub options: serde_json::Value,
    /// How many of its tasks may be in somebody's hands at once; `None`: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<MaxConcurrent>,
}

impl FunctionView {
    /// A function without options and without a limit.
    #[must_use]
    pub fn new(name: Name) -> Self {
        Self { name, options: serde_json::json!({}), max_concurrent: None }
    }
}

/// How far a function's limit is used up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitView {
    /// The limit in force: the smallest that an open session has published.
    pub limit: Option<MaxConcurrent>,
    /// The tasks that hold its slots, in order of (execution, task) id. They are more than the limit only while it was
    /// lowered under them.
    pub holders: Vec<TaskRef>,
}

/// Which executions to list: newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutionFilter {
    /// Only those that users see in this state.
    pub state: Option<ExecutionState>,
    /// Only those of this queue.
    pub queue: Option<Name>,
    /// How many at most.
    pub limit: u32,
    /// How many to pass over first.
    pub offset: u32,
}

/// What an execution carries along: counters and state values, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baggage {
    /// In order of name.
    pub counters: Vec<(Name, Number)>,
    /// In order of name.
    pub state: Vec<(Name, Payload)>,
}

/// Which tasks to list: the newest executions' first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only those in this state.
    pub state: Option<TaskState>,
    /// Only those of this queue.
    pub queue: Option<Name>,
    /// Only those that a task called: no roots.
    pub only_children: bool,
    /// How many at most.
    pub limit: u32,
    /// How many to pass over first.
    pub offset: u32,
}

/// A recorded step of some task, without its result.
#[derive(Clone, Debug, PartialEq)]
pub struct StepView {
    /// Whose step.
    pub task: TaskId,
    /// Its place in that task's history.
    pub seq: u32,
    /// Its key.
    pub key: CallKey,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// When it was recorded.
    pub at: Timestamp,
}

/// How much of everything there is, at one moment. What is not there counts 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Executions by the state that users see.
    pub executions: BTreeMap<ExecutionState, u64>,
    /// Tasks by queue and state.
    pub tasks: BTreeMap<(Name, TaskState), u64>,
    /// Dead letters.
    pub letters: u64,
    /// Open sessions.
    pub workers: u64,
}

impl Stats {
    /// How many executions are in a state.
    #[must_use]
    pub fn executions_in(&self, state: ExecutionState) -> u64 {
        self.executions.get(&state).copied().unwrap_or(0)
    }

    /// How many tasks of a queue, or of all, are in a state.
    #[must_use]
    pub fn tasks_in(&self, queue: Option<&str>, state: TaskState) -> u64 {
        let of = self.tasks.iter().filter(|((name, is), _)| *is == state && queue.is_none_or(|queue| queue == &**name));
        of.map(|(_, count)| count).sum()
    }
}

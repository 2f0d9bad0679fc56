//! The seam between the engine and a database: one small trait. The engine never asks which store it has. A store of
//! your own implements it and passes the suite in `stent-storetest`; `docs/guide/custom-stores.md` leads through one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Weak;
use std::time::Duration;

use crate::command::{Command, Outcome};
use crate::error::{StoreError, StoreErrorKind};
use crate::history::History;
use crate::id::{ExecutionId, SessionId, TaskId, TaskRef};
use crate::key::CallKey;
use crate::memo::MemoKey;
use crate::name::Name;
use crate::schedule::ScheduleView;
use crate::select::{Cell, Table};
use crate::state::{ExecutionState, TaskState};
use crate::time::Timestamp;
use crate::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, MemoView, Nudge, QueueView,
    SessionView, Stats, StepView, TaskFilter, TaskView,
};

/// A boxed future, as the methods of a `dyn` trait return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a query answers.
pub type Query<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// What came of a batch: every command's outcome, in order, and whom it woke.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Committed {
    /// One for each command of the batch.
    pub outcomes: Vec<Outcome>,
    /// Whom it woke, in this process or elsewhere.
    pub wakes: Wakes,
}

/// What a committed batch means for others. Processes other than the one that committed learn of it through
/// [`Store::watch`]; this is the short way within one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wakes {
    /// Running tasks that got their `woken` mark, with the session that owns them.
    pub woken: Vec<(SessionId, TaskRef)>,
    /// Running tasks that somebody other than their owner ended, with the session that owned them.
    pub stopped: Vec<(SessionId, TaskRef, TaskState)>,
    /// Something became ready, now or at a due time, for whoever serves it.
    pub ready: bool,
    /// Executions that ended.
    pub ended: Vec<ExecutionId>,
}

impl Wakes {
    /// Whether executions ended and nothing else happened: no worker has to look for work or for marks.
    #[must_use]
    pub const fn are_only_ends(&self) -> bool {
        self.woken.is_empty() && self.stopped.is_empty() && !self.ready
    }

    /// Whether nobody needs to know.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.woken.is_empty() && self.stopped.is_empty() && !self.ready && self.ended.is_empty()
    }
}

/// Somebody who wants to know that another process changed something.
pub trait Watcher: Send + Sync {
    /// Something was committed elsewhere since the last call. May come late, doubled or for nothing, and must not
    /// block; a call that never comes only delays what polls find anyway.
    fn changed(&self);

    /// Nothing but executions ended elsewhere since the last call: whoever waits for an end may look, and nobody else
    /// needs to. Provided: a change like any other, for stores that cannot tell and watchers that do not care.
    fn ended(&self) {
        self.changed();
    }
}

/// A database that executions live in.
///
/// Everything written is a [`Command`]; the documentation there says what each must do. Reads are the queries below:
/// each is one consistent picture that includes every batch this process was told is committed.
pub trait Store: Send + Sync + 'static {
    /// How many batches may be committed at the same time. The engine keeps all commands of one execution in one
    /// lane. 1 for a store with a single writer.
    fn lanes(&self) -> usize {
        1
    }

    /// Carries out a batch in one transaction, durably, as [`command`](crate::command) says. The engine calls it from
    /// a thread of the lane's own and awaits it before the lane's next batch, so it may block that thread.
    ///
    /// An error means that nothing of the batch is there, and never will be: a store whose reply was lost finds out
    /// before it answers.
    fn commit(&self, lane: usize, batch: Vec<Command>) -> Query<'_, Committed>;

    /// Carries a batch out like [`commit`](Self::commit), on the calling thread, where the store has nothing to await
    /// but the disk, or its server's. Unless it `may_wait`, not for another process's turn nor for another thread
    /// either: the caller may be any thread of a runtime that has others. `None` when that cannot be; nothing happened
    /// then, and the engine calls `commit`.
    /// Provided: it never can.
    fn commit_here(&self, _lane: usize, _batch: &[Command], _may_wait: bool) -> Option<Result<Committed, StoreError>> {
        None
    }

    /// The store's clock, as well as this process knows it. Whether something is due is decided inside a commit.
    fn now(&self) -> Timestamp;

    /// Makes a session's presence known to other processes, for as long as this process lives and does not
    /// [`leave`](Self::leave).
    ///
    /// # Errors
    /// When presence cannot be shown (a directory that cannot be written, say).
    fn enter(&self, session: SessionId) -> Result<(), StoreError>;

    /// Ends a session's presence without a commit: what a worker that is dropped does.
    fn leave(&self, session: SessionId);

    /// Whether other processes look for what time brings about (the dead, deadlines that passed) so often that this one
    /// need not at this moment: with many of them each looks more seldom, and all together cost the database the same.
    fn may_leave_it_to_others(&self) -> bool {
        false
    }

    /// Sessions that others may take over: not present any more, or silent for `worker_timeout`.
    fn gone_sessions(&self, worker_timeout: Duration) -> Query<'_, Vec<SessionId>>;

    /// A task's records after `after` (0 for all) and its open calls.
    fn history(&self, task: TaskRef, after: u32) -> Query<'_, History>;

    /// The open calls of a task that an [`Await`](crate::command::Await) would find something for now: children that
    /// ended undelivered, waits whose signal, event or time has come. In order of key.
    fn arrivals(&self, task: TaskRef) -> Query<'_, Vec<CallKey>>;

    /// What a session needs to look at.
    fn nudges(&self, session: SessionId) -> Query<'_, Vec<Nudge>>;

    /// One execution.
    fn execution(&self, id: ExecutionId) -> Query<'_, Option<ExecutionView>>;

    /// Those among these executions that have ended, or are not there. Provided: asks for one after the other.
    fn which_ended(&self, ids: Vec<ExecutionId>) -> Query<'_, Vec<ExecutionId>> {
        Box::pin(async move {
            let mut ended = Vec::new();
            for id in ids {
                if self.execution(id).await?.is_none_or(|view| view.state.is_terminal()) {
                    ended.push(id);
                }
            }
            Ok(ended)
        })
    }

    /// Executions, newest first.
    fn executions(&self, filter: ExecutionFilter) -> Query<'_, Vec<ExecutionView>>;

    /// How many executions users see in a state, or in all.
    fn count_executions(&self, state: Option<ExecutionState>) -> Query<'_, u64>;

    /// Where the task with this id is, if it exists.
    fn find_task(&self, id: TaskId) -> Query<'_, Option<TaskRef>>;

    /// One task.
    fn task(&self, task: TaskRef) -> Query<'_, Option<TaskView>>;

    /// The tasks of an execution, in order of id.
    fn tasks(&self, execution: ExecutionId) -> Query<'_, Vec<TaskView>>;

    /// Tasks of all executions, newest execution first, the tasks of one in falling order of id.
    fn list_tasks(&self, filter: TaskFilter) -> Query<'_, Vec<TaskView>>;

    /// How many tasks lie in a queue, or in all, in a state, or in all. Those that are pending or running are counted by
    /// their indexes, whatever else is stored.
    fn count_tasks(&self, queue: Option<Name>, state: Option<TaskState>) -> Query<'_, u64>;

    /// The recorded steps of an execution's tasks, in order of task and place, at most `limit`.
    fn steps(&self, execution: ExecutionId, limit: u32) -> Query<'_, Vec<StepView>>;

    /// How much of everything there is.
    fn stats(&self) -> Query<'_, Stats>;

    /// How many dead letters there are.
    fn count_letters(&self) -> Query<'_, u64>;

    /// Dead letters, newest first.
    fn letters(&self, limit: u32) -> Query<'_, Vec<LetterView>>;

    /// One dead letter.
    fn letter(&self, task: TaskRef) -> Query<'_, Option<LetterView>>;

    /// Open sessions, in order of id.
    fn sessions(&self) -> Query<'_, Vec<SessionView>>;

    /// Known queues, in order of name.
    fn queues(&self) -> Query<'_, Vec<QueueView>>;

    /// The functions that open sessions have published, in order of name.
    fn functions(&self) -> Query<'_, Vec<FunctionView>>;

    /// How far the limit of a function is used up. One that has none may have holders still.
    fn limit(&self, function: &Name) -> Query<'_, LimitView>;

    /// All schedules, in order of name.
    fn schedules(&self) -> Query<'_, Vec<ScheduleView>>;

    /// The schedule of this name.
    fn schedule(&self, name: &Name) -> Query<'_, Option<ScheduleView>>;

    /// The schedules that have a due time, the earliest first (of the same time in order of name), at most `limit`.
    fn next_schedules(&self, limit: u32) -> Query<'_, Vec<ScheduleView>>;

    /// Counters and state values of an execution.
    fn baggage(&self, execution: ExecutionId) -> Query<'_, Baggage>;

    /// What is kept under a key of idempotent and cached calls, expired or not; `None` if nothing is.
    fn memo(&self, key: MemoKey) -> Query<'_, Option<MemoView>>;

    /// What a statement in the database's own language answers, for people's tools: it sees one moment, and one that
    /// would write is refused. Provided: the store knows no such language.
    fn select(&self, _statement: String, _parameters: Vec<Cell>) -> Query<'_, Table> {
        Box::pin(async { Err(StoreError::new(StoreErrorKind::Misuse, "this store has no tables to look at")) })
    }

    /// Tells `watcher` of foreign changes until it is dropped.
    fn watch(&self, watcher: Weak<dyn Watcher>);

    /// Ends background work and leaves the database as it should lie while nobody uses it. Safe to repeat.
    fn close(&self) -> Query<'_, ()>;
}

//! Everything a process can ask a store to write, as values. One batch of commands is one transaction; its outcome
//! equals running the commands one by one in order. The documentation of each command is the specification that
//! every store is tested against, with the in-memory model as the oracle.
//!
//! Rules that hold for all of them:
//! - A command that carries a [`Lease`] is refused unless the task is `running`, owned by the lease's session with
//!   the lease's epoch, and that session is open: [`Refusal::LeaseLost`] (also when there is no such task), or
//!   [`Refusal::Terminal`] when the task has ended under the lease's epoch, so that the code learns why.
//! - A refusal changes nothing and answers its own caller only (the one exception is told at [`Finish`]).
//! - *Waking* a task: suspended becomes ready (with the rank of a resuming task); pending, ready or delayed, is left
//!   as it is; running gets its `woken` mark; one that has ended is left alone. Every wake is reported in
//!   [`Wakes`](crate::Wakes), a mark that was there already too; one more than needed harms nobody.
//! - *Ready* is reported in [`Wakes`](crate::Wakes) whenever a task becomes pending (ready or delayed), is suspended
//!   with a due time, or its queue is no longer paused.
//! - A task that others end (a cancel, a deadline, an ancestor's end) keeps naming its owner until that heeds it, or
//!   its session ends: so [`nudges`](crate::Store::nudges) tell the owner. One that its owner ends has none any more.
//! - A batch happens at one moment of the store's clock.
//! - *Keys*: what a task's [`Memo`](crate::Memo) means for its start and its end is told in [`memo`](crate::memo).
//! - *Limits.* A function has a limit while an open session publishes one for it; the smallest published is in force. A
//!   task takes a *slot* of its function's limit when it is claimed under one and holds none, and holds it while it runs,
//!   is suspended and is ready to resume. It *lets it go* when its attempt ends: with a [`Finish`] of whatever ending, a
//!   [`Release`], a [`TakeOver`] or [`Command::CloseSession`]. When others end it, it lets go at once if nobody owns it;
//!   else when its owner is named no more, for until then its code may still run. A function whose slots in hand are as
//!   many as its limit, or more since that was lowered, is *full*. What was claimed under no limit holds no slot.
//!   *Ready* is reported as well when a batch has let slots go that nobody took in the same batch and tasks of the
//!   function are ready, and when published limits come or go. A task that is started without a due time and needs a
//!   slot is only reported if one is free for it once the batch is there: else it is whoever lets one go who comes for it.

use std::sync::Arc;
use std::time::Duration;

use crate::history::{Due, NewRecord, Record};
use crate::id::{EventId, ExecutionId, SessionId, SignalId, TaskId, TaskRef};
use crate::key::CallKey;
use crate::memo::MemoKey;
pub use crate::memo::{Reservation, Reserve};
use crate::name::Name;
pub use crate::operation::{BaggageChange, CleanExecutions, KeepResult, Number, Operation, PutAway};
use crate::payload::{Failure, Payload};
use crate::routing::Serve;
pub use crate::schedule::{ResumeSchedule, ScheduleChange, SetSchedule, Tick};
use crate::state::{ExecutionState, TaskState};
use crate::task::{ClaimedTask, Lease, TaskSpec};
use crate::time::Timestamp;
use crate::view::FunctionView;

/// One thing to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// See [`OpenSession`].
    OpenSession(OpenSession),
    /// A sign of life: renews everything the session owns. Refused with [`Refusal::SessionGone`] when others have
    /// taken it for dead. Answers [`Done::Nothing`].
    Beat(SessionId),
    /// Names the suspect whose body the session is about to run, or none. The next loss charges only a named one.
    /// Refused with [`Refusal::SessionGone`]. Answers [`Done::Nothing`].
    NameSuspect(SessionId, Option<TaskRef>),
    /// The session ends in order: it is closed, and what it sends later is refused. Tasks it still owns become ready
    /// with the rank of a resuming one, without loss, and what it published is forgotten. Unknown and closed sessions are fine. Answers
    /// [`Done::Nothing`].
    CloseSession(SessionId),
    /// See [`TakeOver`].
    TakeOver(TakeOver),
    /// What the session's worker knows, for routing, for limits and for `why`. Replaces what it published before, from
    /// the next command on; refused with [`Refusal::SessionGone`]. Answers [`Done::Nothing`].
    Publish(SessionId, Vec<FunctionView>),
    /// See [`Start`].
    Start(Box<Start>),
    /// See [`Claim`].
    Claim(Claim),
    /// See [`StartChild`].
    StartChild(Box<StartChild>),
    /// See [`Reserve`].
    Reserve(Reserve),
    /// See [`Append`].
    Append(Box<Append>),
    /// See [`Await`].
    Await(Box<Await>),
    /// Forgets a registered wait that the code gave up. Answers [`Done::Nothing`]. Unknown waits are fine. A signal's
    /// wait leaves its line: see [`Wait::Signal`].
    Abandon(Lease, CallKey),
    /// Clears the task's `woken` mark; its owner looks for arrivals afterwards. On a task that has ended under the
    /// lease's epoch it ends the ownership and is not refused, however often it comes and even if the session is
    /// closed. Answers [`Done::Nothing`].
    Heed(Lease),
    /// See [`Suspend`].
    Suspend(Suspend),
    /// See [`Release`].
    Release(Box<Release>),
    /// See [`Finish`].
    Finish(Box<Finish>),
    /// See [`Signal`].
    Signal(Signal),
    /// See [`Emit`].
    Emit(Emit),
    /// See [`Cancel`].
    Cancel(TaskRef),
    /// See [`ReplayLetter`].
    ReplayLetter(ReplayLetter),
    /// Throws a dead letter away; the task stays as it is. Answers [`Done::Changed`]: whether there was one.
    DiscardLetter(TaskRef),
    /// Creates the queue where absent and sets whether it is paused, where given. Tasks of a paused queue are not
    /// claimed; what runs goes on. A queue without a row is not paused. Answers [`Done::Changed`]: whether anything is
    /// different now, a row that was created counted.
    SetQueue(Name, Option<bool>),
    /// Drops a queue's row. Refused with [`Refusal::Busy`] while tasks that have not ended lie in it, row or not.
    /// Answers [`Done::Changed`]: whether there was one.
    DropQueue(Name),
    /// Ends executions whose deadline has passed, at most [`SWEEP_TASKS`](crate::limits::SWEEP_TASKS), oldest
    /// deadline first. Each: every task that has not ended becomes `timed_out` (or `cancelled`, as its
    /// [`Deadline`] says), then the execution. A deadline has passed when the clock shows it. Answers [`Done::Swept`].
    Expire,
    /// Deletes events older than this, the oldest first, at most [`SWEEP_TASKS`](crate::limits::SWEEP_TASKS). Answers
    /// [`Done::Swept`].
    PruneEvents(Timestamp),
    /// Deletes what the cache has under this key, or all it has: at most
    /// [`SWEEP_TASKS`](crate::limits::SWEEP_TASKS), in order of key. Results of idempotent calls stay. Answers
    /// [`Done::Swept`].
    ClearCache(Option<MemoKey>),
    /// Deletes cached results whose time is over, at most [`SWEEP_TASKS`](crate::limits::SWEEP_TASKS), the longest over
    /// first. Answers [`Done::Swept`].
    PruneCache,
    /// See [`Operation`].
    Operate(Operation),
    /// See [`ScheduleChange`].
    Schedule(ScheduleChange),
}

/// A worker process appears. Its presence was entered by [`Store::enter`](crate::Store::enter) before. Answers
/// [`Done::Nothing`]; an id that is already there is refused with [`Refusal::Exists`].
#[derive(Clone, Debug, PartialEq)]
pub struct OpenSession {
    /// A fresh id.
    pub session: SessionId,
    /// What people know the worker as; identifies nothing.
    pub worker_id: String,
    /// The host's name, for people.
    pub host: String,
    /// The operating system's process id, for people.
    pub pid: u32,
}

/// Takes the tasks of a dead session away, at most [`SWEEP_TASKS`](crate::limits::SWEEP_TASKS) in order of id, and
/// closes the session: from this command on everything it sends is refused. Each task becomes ready with the rank
/// of a resuming one. Losses: if the session named a suspect only that one is charged, else each. A charged task's
/// losses become 1 if it wrote a record under its present epoch, else grow by 1; at
/// [`LOSSES`](crate::limits::LOSSES) it fails as a dead letter of kind `lost` instead, with all that a failure brings
/// (so it may end another of the session's tasks before its turn). A suspect that the session does not own any more
/// clears the others all the same. Tasks that others have ended and their owner has not heeded take their place in the
/// order and count towards the limit, but are only disowned. Whether the session *is* dead is the caller's to judge; a
/// live one that is taken over loses its tasks but nothing else breaks. An unknown session has none. Repeat while it
/// answers `more`. Answers [`Done::Swept`], counting the tasks that ran when their turn came.
#[derive(Clone, Debug, PartialEq)]
pub struct TakeOver {
    /// Whose tasks.
    pub session: SessionId,
}

/// Starts an execution: one execution row, one root task. Answers [`Done::Started`]. With a `key` that an earlier
/// start used, nothing is written and the earlier execution is answered. A known `id` is refused with
/// [`Refusal::Exists`].
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// A fresh id; also the root task's.
    pub id: ExecutionId,
    /// What to run.
    pub spec: TaskSpec,
    /// The start key: one execution for each, ever. Looked at before the id.
    pub key: Option<Name>,
    /// Not to be claimed before. A due time is kept even if it has passed: the next claim promotes.
    pub due: Option<Due>,
    /// When to give up.
    pub deadline: Deadline,
    /// Created as claimed by this session (epoch 1) if it is open, the queue is not paused, the function has no limit,
    /// and `due` and a memo are absent; else left for whoever claims it.
    pub claim_for: Option<SessionId>,
}

/// When an execution is ended whether it is done or not. All spans count by the store's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline {
    /// From creation to the end: then `timed_out`.
    pub expire_after: Option<Duration>,
    /// From creation to the first claim of the root: then `cancelled`.
    pub start_within: Option<Duration>,
    /// From the first claim of the root to the end: then `cancelled`.
    pub run_within: Option<Duration>,
}

impl Deadline {
    /// The same in whole microseconds, which is what stores keep.
    #[must_use]
    pub fn in_micros(self) -> Self {
        let whole = |span: Duration| span - Duration::from_nanos(u64::from(span.subsec_nanos() % 1_000));
        let Self { expire_after, start_within, run_within } = self;
        Self {
            expire_after: expire_after.map(whole),
            start_within: start_within.map(whole),
            run_within: run_within.map(whole),
        }
    }

    /// Whether there is none at all.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.expire_after.is_none() && self.start_within.is_none() && self.run_within.is_none()
    }

    /// The deadline that stands before the root's first claim, and the state it ends in; on a tie `timed_out`.
    #[must_use]
    pub fn before_start(&self, created: Timestamp) -> Option<(Timestamp, ExecutionState)> {
        Self::first(self.expire_after.map(|d| created + d), self.start_within.map(|d| created + d))
    }

    /// The deadline that stands from the root's first claim on.
    #[must_use]
    pub fn once_started(&self, created: Timestamp, started: Timestamp) -> Option<(Timestamp, ExecutionState)> {
        Self::first(self.expire_after.map(|d| created + d), self.run_within.map(|d| started + d))
    }

    fn first(expire: Option<Timestamp>, cancel: Option<Timestamp>) -> Option<(Timestamp, ExecutionState)> {
        match (expire, cancel) {
            (Some(expire), Some(cancel)) if cancel < expire => Some((cancel, ExecutionState::Cancelled)),
            (Some(expire), _) => Some((expire, ExecutionState::TimedOut)),
            (None, cancel) => cancel.map(|at| (at, ExecutionState::Cancelled)),
        }
    }
}

/// Claims up to `max` ready tasks for a session. First what is due is promoted from delayed to ready (pending tasks
/// whose due time has come; suspended ones whose earliest wait is due become ready with the rank of a resuming
/// task), at most [`PROMOTE_TASKS`](crate::limits::PROMOTE_TASKS). Then the routes that `serve` accepts and whose
/// queue is not paused are asked: by rank (resuming first, then the highest priority), then by (execution, task) id,
/// which is age. A task that holds no slot of its function's limit takes one, and is passed by if the function is full.
/// Each becomes `running`, owned by the session, its epoch grown by 1, its `woken` mark cleared. A delayed task keeps the
/// rank it was put aside with. Promotion knows no routes: it takes the earliest due first, whoever serves them, paused
/// queues included, and happens even when `max` is 0. Refused with [`Refusal::SessionGone`]. Answers
/// [`Done::Claimed`].
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// For whom.
    pub session: SessionId,
    /// What it serves.
    pub serve: Arc<Serve>,
    /// How many at most; over [`CLAIM_TASKS`](crate::limits::CLAIM_TASKS) counts as that.
    pub max: u32,
}

/// Starts a child of a task that the caller owns. If the child's row is there already (the same call before a
/// crash), nothing is written and its state is answered. Answers [`Done::ChildStarted`].
#[derive(Clone, Debug, PartialEq)]
pub struct StartChild {
    /// The parent's lease.
    pub parent: Lease,
    /// The derived id.
    pub child: TaskId,
    /// The parent's call.
    pub key: CallKey,
    /// How many records had been delivered to the parent when it asked.
    pub seen: u32,
    /// The digest of the arguments.
    pub digest: [u8; 16],
    /// What to run.
    pub spec: TaskSpec,
    /// Not to be claimed before.
    pub due: Option<Due>,
    /// In place: created as claimed by the parent's own session, with epoch 1; `due`, a pause and a limit do not matter
    /// then. A task with a memo is never in place, whatever this says, and the engine starts no child of a function in
    /// place that it knows to be limited.
    pub in_place: bool,
}

/// Appends a record to the history of a task that the caller owns, and carries out its effect, if it has one, in the
/// same transaction. A `seq` that is taken is refused with [`Refusal::Exists`]. With an effect, the record's payload
/// and verdict are the effect's: see [`Effect`]. Answers [`Done::Recorded`].
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// The task's lease.
    pub lease: Lease,
    /// What to remember.
    pub record: NewRecord,
    /// What to do with it.
    pub effect: Option<Effect>,
}

/// A change of the world that a durable function makes through the engine, recorded with its outcome so that a
/// replay does not make it again. A refused effect is recorded as a failure (verdict `Failed`, kind `error`, the words
/// of the [`Refusal`]) and changes nothing else.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Starts an execution. The record: `{"execution": "<id>", "created": bool}`. Never claimed at once, whatever
    /// `claim_for` says: a record cannot hand the task out.
    Start(Box<Start>),
    /// Gives a signal. The record: `null`.
    Signal(Signal),
    /// Publishes an event. The record: `null`.
    Emit(Emit),
    /// Sets counters of this execution that are absent. The record: `null`.
    EnsureCounters(Vec<(Name, Number)>),
    /// Adds to a counter of this execution, from 0 where absent. The record: the new value.
    AddCounter(Name, Number),
    /// Sets state values of this execution that are absent. The record: `null`.
    EnsureState(Vec<(Name, Payload)>),
    /// Sets a state value of this execution. The record: `null`.
    SetState(Name, Payload),
}

/// Asks whether what a task waits for is there, takes it if so, and registers the wait if not. Sent when the code
/// asks, and again (same key) whenever the task was woken. If it is there, the record is appended in the same
/// transaction, with the verdict and payload of what came, the registration is dropped and [`Done::Delivered`]
/// is answered; else [`Done::Waiting`] with the time at which the wait is over. A registration keeps the due time of
/// its first call; one key always asks for the same thing. What came is looked at before the due time, so a signal
/// that is there beats a timeout that has passed. A wait that is over is recorded under the key and `seen` of this
/// command, with the kind of what it waited for, a null payload, no digest and no source. A `seq` that is taken is
/// refused with [`Refusal::Exists`] when there is something to record, and does not matter before.
#[derive(Clone, Debug, PartialEq)]
pub struct Await {
    /// The task's lease.
    pub lease: Lease,
    /// The record's place if it is delivered now.
    pub seq: u32,
    /// The task's run.
    pub run: u32,
    /// The call.
    pub key: CallKey,
    /// How many records had been delivered when the code asked.
    pub seen: u32,
    /// What for.
    pub wait: Wait,
    /// Timers: when they fire (verdict `Ok`, payload null). Others: when the wait is over (verdict `TimedOut`).
    pub due: Option<Due>,
}

/// What a task can wait for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    /// Its due time.
    Timer,
    /// A signal to its execution. The registered waits of one name stand in a line across the execution's tasks,
    /// oldest first (one that is not registered yet stands at its end); the n-th wait may take the n-th signal that is
    /// not consumed, in order of arrival. Source: the signal's id.
    ///
    /// When a wait leaves the line without a signal (it is abandoned, its time is over, its task ended or is retried)
    /// those behind it move up: if unconsumed signals of the name are there, every task of the execution that waits for
    /// the name is woken, else a signal that came for two waits would be lost on the one that is left.
    Signal(Name),
    /// An event of this queue and name: the oldest the task has not had, in this or any earlier attempt. Source: the
    /// event's id.
    Event(Name, Name),
    /// A child's end. Its result, or its failure (a cancelled child: kind `cancelled`; one that timed out: kind
    /// `timeout`). Key, `seen` and digest of the record are those of the child's row. A child that is not there, or is
    /// another task's, is refused with [`Refusal::Unknown`]. An end that was delivered before is delivered again.
    /// Registered only with a due time. Source: the child's id.
    Child(TaskId),
}

/// Puts a task aside: `suspended`, owned by nobody. If it has its `woken` mark, the mark is cleared, the task stays
/// `running` and [`Done::Woken`] is answered instead: look for arrivals and try again. It becomes ready when it is
/// woken, or when the earliest due time of its registered waits has come (a claim promotes it, even if the time had
/// passed before). Answers [`Done::Suspended`].
#[derive(Clone, Debug, PartialEq)]
pub struct Suspend {
    /// The task's lease.
    pub lease: Lease,
}

/// Gives a task back unfinished, with no attempt and no loss charged: a drain, or code that does not fit the
/// history. It becomes ready with the rank of a resuming task, after `delay` (pending and delayed until then). Its
/// waits and its start time stay. `reason` is shown as its failure until its next end; without one, the failure that
/// was there is. Answers [`Done::Nothing`].
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// The task's lease.
    pub lease: Lease,
    /// Not to be claimed before; zero for at once.
    pub delay: Duration,
    /// Why, for people.
    pub reason: Option<Failure>,
}

/// Ends an attempt. Answers [`Done::Finished`].
///
/// With [`Ending::Retry`] the task becomes pending, due after the delay (ready at once when zero), with the rank of
/// a new task; its attempt and run grow by 1, its losses become 0, its waits are dropped, its owner and start time
/// cleared (its epoch stays). Its children go on. A deadline that has passed, `deliver` and `returned` do not matter.
///
/// Otherwise it ends: descendants that have not ended are cancelled (their ends are told to nobody, since their parents
/// end too), its waits dropped, and `returned` signals are unconsumed again, each back in its place by arrival, and
/// whoever waits for their names is woken; unknown ones are passed over. A result clears the failure that was shown. A
/// failure leaves a dead letter. A root ends its execution with it (and every task of it); a root whose deadline has
/// passed is refused as [`Refusal::Terminal`] with the deadline's state, and the execution ended so, exactly as
/// [`Command::Expire`] would (the only refusal that changes something). A child's end reaches its parent once: through
/// `deliver` if that lease holds, is the parent's and its `seq` is free, else its parent is woken and finds it
/// ([`arrivals`](crate::Store::arrivals)).
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    /// The task's lease.
    pub lease: Lease,
    /// How it ended.
    pub ending: Ending,
    /// The parent's record, when the same process owns the parent.
    pub deliver: Option<Deliver>,
    /// The start of this very task, when it ran in place and its row is not there yet. If the row is there already,
    /// the start is passed over. If the start is refused, so is the end; a start that is not in place, has a memo, or is of another
    /// task, session or epoch than the lease's, is [`Refusal::LeaseLost`].
    pub start: Option<Box<StartChild>>,
    /// Signals that were consumed for waits that the code had given up.
    pub returned: Vec<SignalId>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// With a result.
    Completed(Payload),
    /// For good, with this failure.
    Failed(Failure),
    /// With this failure, to be tried again after the delay.
    Retry(Failure, Duration),
}

/// A child's end as a record of its parent.
#[derive(Clone, Debug, PartialEq)]
pub struct Deliver {
    /// The parent's lease.
    pub parent: Lease,
    /// The parent's run.
    pub run: u32,
    /// The record's place in the parent's history.
    pub seq: u32,
}

/// Gives a signal to an execution; every task of it that waits for the name is woken. Refused with
/// [`Refusal::Unknown`], [`Refusal::Terminal`] when the execution has ended, or [`Refusal::Exists`] when the execution
/// was given a signal with this id before. Answers [`Done::Nothing`].
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// A fresh id.
    pub id: SignalId,
    /// To whom.
    pub execution: ExecutionId,
    /// Its name.
    pub name: Name,
    /// What it carries.
    pub payload: Payload,
}

/// Publishes an event under (queue, name); every task that waits for it is woken. Its id is not checked. Answers
/// [`Done::Nothing`].
#[derive(Clone, Debug, PartialEq)]
pub struct Emit {
    /// A fresh id.
    pub id: EventId,
    /// The queue whose stream it joins.
    pub queue: Name,
    /// Its name.
    pub name: Name,
    /// What it carries.
    pub payload: Payload,
}

/// Replays a dead letter: the task becomes ready again with what it has recorded and the rank of a new task, its run
/// grown by 1, its losses 0, its attempt as it was unless reset, its start time cleared, the failure still shown, the
/// letter gone. A root brings its execution back to `running`, with its deadline cleared, and takes the letters
/// of the execution's other tasks with it (their callers call them anew). A child of an execution whose root failed
/// too is refused with [`Refusal::ReplayRoot`], whether or not the root's letter is still there. Any other child runs
/// by itself: its parent has had its failure, and is told nothing more; but one whose parent has not had the failure
/// yet is its child as before, and gives it the end that comes now. Either way it is a descendant still: it ends with
/// its ancestors. Refused with [`Refusal::Unknown`] when there is no such letter. Answers [`Done::Replayed`].
///
/// With a root comes back what was cancelled with it, as children go on when their parent's attempt is retried: from
/// the root downwards, each cancelled child of a task that is `pending` again by this replay, unless it was cancelled by
/// a [`Cancel`] of its own or its parent's history has an end of it. It becomes `pending` and ready with the rank of a
/// new task, its run grown by 1, its losses 0, its session, mark, start, end and failure cleared, its records kept, its
/// attempt 1 if they are reset; its queue stays. Children that completed or failed stay as they are, and so does what
/// is below them, or below a child that stays cancelled: their code will not run again.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayLetter {
    /// Whose letter.
    pub task: TaskRef,
    /// Start counting attempts anew.
    pub reset_attempts: bool,
    /// Run it in another queue.
    pub queue: Option<Name>,
}

/// Cancelling a task: it and its descendants that have not ended become `cancelled`; a root's execution too, with
/// every task of it. A child's parent is woken and gets a failure of kind `cancelled`. Running owners are told
/// through [`Wakes`](crate::Wakes). Refused with [`Refusal::Unknown`], or [`Refusal::Terminal`] when it has ended.
/// Answers [`Done::Nothing`].
pub type Cancel = TaskRef;

/// What a command that was carried out answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// Nothing beyond that it is done.
    Nothing,
    /// Whether anything is different now.
    Changed(bool),
    /// To [`Command::Start`].
    Started {
        /// The execution that stands for the start.
        execution: ExecutionId,
        /// False when the start key was known.
        created: bool,
        /// When it was created as claimed by the asking session: the task in its hands.
        claimed: Option<Box<ClaimedTask>>,
    },
    /// To [`Command::Claim`].
    Claimed {
        /// In the order of the claim.
        tasks: Vec<ClaimedTask>,
        /// When the next delayed or suspended task of any route is due.
        next_due: Option<Timestamp>,
        /// The functions among those that were asked for which have a limit now, in order of name.
        limited: Vec<Name>,
    },
    /// To [`Command::StartChild`].
    ChildStarted {
        /// False when its row was there already.
        created: bool,
        /// Its state now.
        state: TaskState,
        /// The digest of the arguments it was started with.
        digest: [u8; 16],
        /// Present when it was created in place: the task in its owner's hands.
        claimed: Option<Box<ClaimedTask>>,
    },
    /// To [`Command::Reserve`].
    Reserved(Reservation),
    /// To [`Command::Append`]: the record as it stands.
    Recorded(Box<Record>),
    /// To [`Command::Await`]: it was there; this is its record.
    Delivered(Box<Record>),
    /// To [`Command::Await`]: not there yet; over at this time.
    Waiting(Option<Timestamp>),
    /// To [`Command::Suspend`].
    Suspended,
    /// To [`Command::Suspend`]: something came meanwhile, the task still runs.
    Woken,
    /// To [`Command::Finish`].
    Finished {
        /// The parent's record as it was written through [`Deliver`], when the parent's lease held.
        delivered: Option<Box<Record>>,
    },
    /// To the sweeps.
    Swept {
        /// How many.
        count: u32,
        /// Whether the same command would find more.
        more: bool,
    },
    /// To [`CleanExecutions`].
    Cleaned {
        /// How many executions are gone.
        count: u32,
        /// Where to go on; `None` when all were looked at.
        next: Option<ExecutionId>,
    },
    /// To [`BaggageChange::AddCounter`]: the new value.
    Counter(Number),
    /// To [`Command::ReplayLetter`]: the number of the new run.
    Replayed {
        /// See [`ClaimedTask::run`].
        run: u32,
    },
}

/// Why a command was not carried out. A value, not an error: its own caller must look at it, nobody else notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Somebody else owns the task by now, or nobody.
    #[error("the lease is lost: another worker owns the task, or it was taken away")]
    LeaseLost,
    /// The session was taken over.
    #[error("the session is gone: others took it for dead")]
    SessionGone,
    /// No such execution, task, signal or letter.
    #[error("there is none with this id")]
    Unknown,
    /// It has ended.
    #[error("it has already ended as {0}")]
    Terminal(TaskState),
    /// The id or key is taken.
    #[error("it exists already")]
    Exists,
    /// There is still work in it.
    #[error("there is unfinished work in it")]
    Busy,
    /// The failed child is replayed through its root.
    #[error("its root failed too: replay the root, which runs it again")]
    ReplayRoot,
}

/// What one command came to.
pub type Outcome = Result<Done, Refusal>;

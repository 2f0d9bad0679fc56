//! What people and sweeps do to what is stored, apart from running it: cleaning up by age, putting a task away by hand,
//! counters and state values from outside a task. Like the rest of [`command`](crate::command), the documentation here
//! is the specification that every store is tested against.
//!
//! Nothing here touches a task that runs or may run, the key of a start, or an idempotency result.

use crate::command::Effect;
use crate::id::{ExecutionId, TaskRef};
use crate::memo::Memo;
use crate::name::Name;
use crate::payload::{Failure, Payload};
use crate::time::Timestamp;

/// One operation over what is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// See [`CleanExecutions`].
    CleanExecutions(CleanExecutions),
    /// Deletes dead letters that were put away before this, the oldest first, at most
    /// [`SWEEP_TASKS`](crate::limits::SWEEP_TASKS). The tasks stay as they are, as when a letter is discarded. Answers
    /// [`Done::Swept`](crate::Done::Swept).
    CleanLetters(Timestamp),
    /// Forgets processes that are gone: closed sessions that own nothing any more and gave no sign of life for
    /// [`GONE_PROCESS`](crate::limits::GONE_PROCESS), with what they published, at most
    /// [`SWEEP_TASKS`](crate::limits::SWEEP_TASKS); and whatever else a store keeps of processes. Whoever is not known
    /// is not open either, so what such a session still sends is refused as before. Answers
    /// [`Done::Swept`](crate::Done::Swept), counting the sessions.
    ForgetProcesses,
    /// See [`PutAway`].
    PutAway(Box<PutAway>),
    /// Changes what an execution carries along, from outside its tasks; it may have ended. The change is not part of
    /// any history: a task that reads the value reads the new one. Refused with
    /// [`Refusal::Unknown`](crate::Refusal::Unknown). Answers [`Done::Counter`](crate::Done::Counter) to
    /// [`BaggageChange::AddCounter`], else [`Done::Nothing`](crate::Done::Nothing).
    ChangeBaggage(ExecutionId, BaggageChange),
    /// Makes ready by hand what is due by this moment, which may be a later one than the clock shows: as a
    /// [`Claim`](crate::command::Claim) makes ready what is due by the clock. A suspended task looks whether its time has
    /// come, by the clock, and is put aside again. Answers [`Done::Nothing`](crate::Done::Nothing).
    Promote(Timestamp),
    /// See [`KeepResult`].
    KeepResult(Box<KeepResult>),
}

impl Operation {
    /// The execution that it is about, if it is about one.
    #[must_use]
    pub const fn execution(&self) -> Option<ExecutionId> {
        match self {
            Self::CleanExecutions(_)
            | Self::CleanLetters(_)
            | Self::ForgetProcesses
            | Self::Promote(_)
            | Self::KeepResult(_) => None,
            Self::PutAway(put) => Some(put.task.execution),
            Self::ChangeBaggage(execution, _) => Some(*execution),
        }
    }
}

/// Deletes executions that ended before a moment, each with all that belongs to it: tasks, records, signals, cursors of
/// events, counters, state values. Looked at are those whose ids are of a time up to the moment's millisecond (ids are
/// made by the store's clock, so what ended before was made before), in order of id, at most
/// [`CLEAN_EXECUTIONS`](crate::limits::CLEAN_EXECUTIONS) of them. One stays as long as
///
/// - a dead letter of its tasks is there: what may still be replayed is not deleted before the letter is (by hand or by
///   [`Operation::CleanLetters`]);
/// - a task of it has not ended (a child whose letter was replayed after its execution's end), or was ended by others
///   and its owner has not heeded.
///
/// The key of its start stays: there is one execution for each key, ever, also when it is deleted. A start with that key
/// answers the id that was.
///
/// At most [`CLEAN_ROWS`](crate::limits::CLEAN_ROWS) rows go at once: a larger execution shrinks from one command to
/// the next (its history first, its root last), and the answer says to begin with it again. So no command holds up
/// others for long. Answers [`Done::Cleaned`](crate::Done::Cleaned); repeat with its `next` until there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanExecutions {
    /// Those that ended before this.
    pub before: Timestamp,
    /// Begin with this id; `None`: with the oldest.
    pub from: Option<ExecutionId>,
}

/// Puts a task that has not ended away as a dead letter, by hand: it fails for good with this failure, exactly as a
/// cancel ends it otherwise. Its descendants are cancelled; a root's execution fails, with every task of it cancelled; a
/// child's parent is woken and gets the failure. Its running owner is told through [`Wakes`](crate::Wakes). The letter
/// is replayed or discarded like any other. Refused with [`Refusal::Unknown`](crate::Refusal::Unknown), or
/// [`Refusal::Terminal`](crate::Refusal::Terminal) when it has ended. Answers [`Done::Nothing`](crate::Done::Nothing).
#[derive(Clone, Debug, PartialEq)]
pub struct PutAway {
    /// Which task.
    pub task: TaskRef,
    /// Why: shown as its failure.
    pub failure: Failure,
}

/// Keeps a result for equal calls by hand, as though one of them had come to it. Of an idempotent memo it becomes the
/// key's one result, with the holder that is named (it need not exist): refused with
/// [`Refusal::Exists`](crate::Refusal::Exists) when the key has one, and with [`Refusal::Busy`](crate::Refusal::Busy)
/// while a task has reserved it. Of a cached memo it is put into the cache in place of what was there. Of both: both, or
/// neither. Answers [`Done::Nothing`](crate::Done::Nothing).
#[derive(Clone, Debug, PartialEq)]
pub struct KeepResult {
    /// The key, and what it is for.
    pub memo: Memo,
    /// Whose result it is said to be.
    pub holder: TaskRef,
    /// The result.
    pub result: Payload,
}

/// A change of what an execution carries along.
#[derive(Clone, Debug, PartialEq)]
pub enum BaggageChange {
    /// Sets counters that are absent.
    EnsureCounters(Vec<(Name, Number)>),
    /// Adds to a counter, from 0 where absent.
    AddCounter(Name, Number),
    /// Sets state values that are absent.
    EnsureState(Vec<(Name, Payload)>),
    /// Sets a state value.
    SetState(Name, Payload),
}

/// A counter's value. Whole as long as whole numbers are added and fit.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Number {
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Real(f64),
}

impl Number {
    /// The sum: whole if both are and it fits, else real.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.checked_add(b).map_or(Self::Real(a as f64 + b as f64), Self::Whole),
            (a, b) => Self::Real(a.as_f64() + b.as_f64()),
        }
    }

    /// The value as a float.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Real(x) => x,
        }
    }
}

impl From<BaggageChange> for Effect {
    /// The same change made from inside a task.
    fn from(change: BaggageChange) -> Self {
        match change {
            BaggageChange::EnsureCounters(counters) => Self::EnsureCounters(counters),
            BaggageChange::AddCounter(name, amount) => Self::AddCounter(name, amount),
            BaggageChange::EnsureState(values) => Self::EnsureState(values),
            BaggageChange::SetState(name, value) => Self::SetState(name, value),
        }
    }
}

//! What callers of the engine can meet: errors of a client's calls, and the interrupts that stop a task's code.

use stent_core::error::StoreError;
use stent_core::name::NameError;
use stent_core::payload::PayloadError;
use stent_core::{Done, Refusal};

use crate::schedule::ScheduleError;

/// Why a client's call came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The store failed; nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store refused: the state of things does not allow it.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// A name breaks a rule.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A payload breaks a limit or cannot be read.
    #[error("{0}")]
    Payload(std::sync::Arc<PayloadError>),
    /// The wait took longer than the caller allowed; what was waited for goes on.
    #[error("the wait took longer than allowed")]
    TimedOut,
    /// There is no schedule of this name.
    #[error("there is no schedule {:?}", .0.as_str())]
    UnknownSchedule(stent_core::Name),
    /// A schedule's line or time zone cannot be.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// There is no execution or task with this id.
    #[error("there is no execution or task with this id")]
    Unknown,
    /// The engine was closed.
    #[error("the engine is closed")]
    Closed,
}

impl From<PayloadError> for EngineError {
    fn from(error: PayloadError) -> Self {
        Self::Payload(std::sync::Arc::new(error))
    }
}

/// An answer that does not belong to its command: a store that breaks the contract.
pub(crate) fn wrong_answer(done: &Done) -> EngineError {
    let kind = stent_core::StoreErrorKind::Corrupt;
    StoreError::new(kind, format!("the store answered a command with {done:?}, which answers another")).into()
}

/// Why a task's code must stop. Once one is there, every call on the task's context answers the same, and nothing
/// more is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Interrupt {
    /// The task waits through the store and will be replayed when it is woken.
    #[error("the task is suspended")]
    Suspended,
    /// The task was ended by others: cancelled, or its execution's deadline passed.
    #[error("the task was cancelled")]
    Cancelled,
    /// The attempt gave no sign of life for longer than its timeout.
    #[error("the attempt took longer than its timeout")]
    TimedOut,
    /// Another worker owns the task by now.
    #[error("the lease is lost")]
    LeaseLost,
    /// The code does not fit the history.
    #[error("the code does not fit the recorded history")]
    Mismatch,
    /// The worker shuts down.
    #[error("the worker shuts down")]
    Closed,
}

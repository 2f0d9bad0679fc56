//! How a command ends: its exit code, and the words for people when it is not 0.

use std::fmt;

use stent_core::{Refusal, StoreError};
use stent_engine::EngineError;

/// Why a command came to nothing. The number is the exit code; docs/reference/cli.md tells of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// The database failed, or the command was interrupted.
    Failed = 1,
    /// Arguments that cannot be used; clap's own code for such things.
    Usage = 2,
    /// There is nothing with this id.
    Unknown = 3,
    /// The state of things does not allow it.
    Refused = 4,
    /// There is no database to work on.
    NoDatabase = 5,
}

/// A failure: a code and the words for it.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) code: Code,
    pub(crate) words: String,
}

impl Failed {
    pub(crate) fn new(code: Code, words: impl Into<String>) -> Self {
        Self { code, words: words.into() }
    }

    /// Nothing has this id.
    pub(crate) fn unknown(what: &str, id: impl fmt::Display) -> Self {
        Self::new(Code::Unknown, format!("there is no {what} {id} in this database"))
    }

    /// What went wrong while something was done to `what`.
    pub(crate) fn of(error: EngineError, what: &str, id: impl fmt::Display) -> Self {
        match error {
            EngineError::Unknown | EngineError::Refused(Refusal::Unknown) => Self::unknown(what, id),
            EngineError::Refused(Refusal::Terminal(state)) => {
                Self::new(Code::Refused, format!("the {what} {id} has already ended: it is {state}"))
            }
            EngineError::Refused(refusal) => Self::new(Code::Refused, format!("the {what} {id}: {refusal}")),
            other => Self::from(other),
        }
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        self.code as u8
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::new(Code::Failed, error.to_string())
    }
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Refused(refusal) => Self::new(Code::Refused, refusal.to_string()),
            EngineError::UnknownSchedule(name) => Self::unknown("schedule", name),
            EngineError::Name(error) => Self::new(Code::Usage, error.to_string()),
            EngineError::Payload(error) => Self::new(Code::Usage, error.to_string()),
            other => Self::new(Code::Failed, other.to_string()),
        }
    }
}

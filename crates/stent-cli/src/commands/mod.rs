//! The commands over a database, one file each. Each turns its arguments into calls of the engine and what they answer
//! into what is shown; none opens or closes anything.

pub(crate) mod cleanup;
pub(crate) mod dlq;
pub(crate) mod list;
pub(crate) mod schedules;
pub(crate) mod show;
pub(crate) mod stats;
pub(crate) mod steer;
pub(crate) mod tasks;

use std::time::Duration;

use stent_core::{ExecutionState, Name, TaskId, TaskState};

use crate::exit::Failed;
use crate::output::Shown;

/// What a command comes to.
pub(crate) type Outcome = Result<Shown, Failed>;

/// An id, as commands show it.
pub(crate) fn id(text: &str) -> Result<TaskId, String> {
    let hint = "an id has 32 hexadecimal digits, as `stent list` shows it: 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b";
    text.parse().map_err(|_| hint.to_owned())
}

pub(crate) fn queue(text: &str) -> Result<Name, String> {
    Name::new("queue", text).map_err(|error| error.to_string())
}

pub(crate) fn signal_name(text: &str) -> Result<Name, String> {
    Name::new("signal", text).map_err(|error| error.to_string())
}

pub(crate) fn schedule_name(text: &str) -> Result<Name, String> {
    Name::new("schedule", text).map_err(|error| error.to_string())
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    stent_core::duration::parse_duration(text).map_err(|error| error.to_string())
}

pub(crate) fn execution_state(text: &str) -> Result<ExecutionState, String> {
    named(&ExecutionState::ALL, ExecutionState::as_str, text)
}

pub(crate) fn task_state(text: &str) -> Result<TaskState, String> {
    named(&TaskState::ALL, TaskState::as_str, text)
}

fn named<S: Copy>(all: &[S], name: fn(S) -> &'static str, text: &str) -> Result<S, String> {
    let words = || all.iter().map(|state| name(*state)).collect::<Vec<_>>().join(", ");
    all.iter().copied().find(|state| name(*state) == text).ok_or_else(|| format!("a state is one of {}", words()))
}

//! What a task is asked to do and what a worker gets when it claims one.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::id::{SessionId, TaskId, TaskRef};
use crate::memo::Memo;
use crate::name::Name;
use crate::payload::Payload;
use crate::retry::RetryPolicy;
use crate::time::Timestamp;

/// The right to write for a task: its owner's session and the epoch of the claim. A store refuses every write whose
/// lease is not the one that stands ([`Refusal::LeaseLost`](crate::Refusal::LeaseLost)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The task.
    pub task: TaskRef,
    /// Who owns it.
    pub session: SessionId,
    /// Grows by one with each claim.
    pub epoch: u64,
}

/// What a task runs, where it may run, and how it is retried.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpec {
    /// The registered function.
    pub function: Name,
    /// Its arguments.
    pub args: Payload,
    /// Its queue.
    pub queue: Name,
    /// Higher is claimed first; from `i32::MIN` to `i32::MAX`, 0 by default.
    pub priority: i32,
    /// Sorted, without repeats.
    pub tags: Vec<Name>,
    /// A JSON object of the caller's (trace context and the like), handed to the code.
    pub headers: Option<Bytes>,
    /// Retry policy and timeouts.
    pub options: TaskOptions,
}

/// How the stored form of options with a memo begins: a store tells by it, from the row it has in hand, whether the end
/// of a task concerns anybody else. So a task without a memo has nothing more to write and nobody anything more to read.
pub const MEMO_MARK: &str = "{\"memo\":";

/// What stays with a task through all its attempts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskOptions {
    /// What makes equal calls share one result; most tasks have none. The first field, so that stored options begin with
    /// [`MEMO_MARK`] exactly where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<Box<Memo>>,
    /// How a failed attempt is tried again.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// Milliseconds an attempt may go without a sign of life (a step, a heartbeat) while it runs; parked time does
    /// not count. `None`: no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

impl TaskOptions {
    /// The stored form; `None` for the defaults, which most tasks have and no row needs to repeat.
    #[must_use]
    pub fn to_stored(&self) -> Option<String> {
        if *self == Self::default() { None } else { serde_json::to_string(self).ok() }
    }

    /// The memo of a task that shares one result with all equal calls, for ever.
    #[must_use]
    pub fn idempotent(&self) -> Option<&Memo> {
        self.memo.as_deref().filter(|memo| memo.idempotent)
    }

    /// Reads the stored form; options that cannot be read are the defaults.
    #[must_use]
    pub fn from_stored(stored: Option<&str>) -> Self {
        stored.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

/// A task in its new owner's hands.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedTask {
    /// The right to write for it.
    pub lease: Lease,
    /// What to run.
    pub spec: TaskSpec,
    /// The task that called it, unless it is a root.
    pub parent: Option<TaskId>,
    /// Which attempt this is, from 1; resumes and losses do not count.
    pub attempt: u32,
    /// Which run this is, from 1: grows with each retry and each replay, never reset.
    pub run: u32,
    /// Losses in a row.
    pub losses: u32,
    /// When it was created, by the store's clock.
    pub created_at: Timestamp,
}

impl ClaimedTask {
    /// Whether there can be any history: the first claim of a task finds none.
    #[must_use]
    pub const fn has_history(&self) -> bool {
        self.lease.epoch > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_back_from_their_stored_form_and_the_defaults_need_none() {
        assert_eq!(TaskOptions::default().to_stored(), None);
        assert_eq!(TaskOptions::from_stored(None), TaskOptions::default());
        let retry =
            RetryPolicy { max_attempts: u32::MAX, initial_delay_ms: 1, factor: 1.1, max_delay_ms: 9, jitter: 0.3 };
        for options in [
            TaskOptions { retry, ..TaskOptions::default() },
            TaskOptions { retry: RetryPolicy::none(), timeout_ms: Some(u64::MAX), memo: None },
        ] {
            assert_eq!(TaskOptions::from_stored(options.to_stored().as_deref()), options);
        }
    }
}

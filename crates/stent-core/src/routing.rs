//! Routing: which tasks a worker may take. A route is a (queue, function, tag set); stores number them, and a worker
//! asks only for its own, so that what it cannot run costs its claims nothing.

use serde::{Deserialize, Serialize};

use crate::limits::MAX_CONCURRENT;
use crate::name::Name;

/// The queue of tasks that name none.
pub const DEFAULT_QUEUE: &str = "default";

/// What a worker serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Serve {
    /// Only these queues; `None` for all.
    pub queues: Option<Vec<Name>>,
    /// The functions it knows. A function that no live worker knows leaves its task pending.
    pub functions: Vec<Name>,
    /// Only tasks that share one of these tags, and untagged ones; `None` for all.
    pub tags: Option<Vec<Name>>,
}

impl Serve {
    /// Whether a task of this route is the worker's to take.
    #[must_use]
    pub fn accepts(&self, queue: &str, function: &str, tags: &[Name]) -> bool {
        self.functions.iter().any(|f| f.as_str() == function)
            && self.queues.as_ref().is_none_or(|queues| queues.iter().any(|q| q.as_str() == queue))
            && (tags.is_empty() || self.tags.as_ref().is_none_or(|mine| tags.iter().any(|tag| mine.contains(tag))))
    }
}

/// How many tasks of one function may be in somebody's hands at once, in all processes together: `max_concurrent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct MaxConcurrent(u32);

impl MaxConcurrent {
    /// Checks a number: from 1 to [`MAX_CONCURRENT`](crate::limits::MAX_CONCURRENT).
    ///
    /// # Errors
    /// [`MaxConcurrentError`], naming the number and the rule.
    pub const fn new(tasks: u32) -> Result<Self, MaxConcurrentError> {
        if tasks == 0 || tasks > MAX_CONCURRENT { Err(MaxConcurrentError { tasks }) } else { Ok(Self(tasks)) }
    }

    /// The number of tasks.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for MaxConcurrent {
    type Error = MaxConcurrentError;

    fn try_from(tasks: u32) -> Result<Self, MaxConcurrentError> {
        Self::new(tasks)
    }
}

impl From<MaxConcurrent> for u32 {
    fn from(limit: MaxConcurrent) -> Self {
        limit.0
    }
}

/// A number that cannot be a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be from 1 to {MAX_CONCURRENT}, not {tasks}")]
pub struct MaxConcurrentError {
    tasks: u32,
}

/// The place of a ready task in its route: the smaller is claimed first. A resuming task comes before every new one,
/// whatever their priorities; among new ones the highest priority, then the oldest.
#[must_use]
pub const fn rank(resuming: bool, priority: i32) -> i64 {
    if resuming { i64::MIN } else { -(priority as i64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|t| Name::stored(t)).collect()
    }

    #[test]
    fn a_worker_takes_untagged_tasks_and_those_that_share_a_tag() {
        let serve = Serve { queues: None, functions: names(&["f"]), tags: Some(names(&["gpu", "big"])) };
        assert!(serve.accepts("any", "f", &[]));
        assert!(serve.accepts("any", "f", &names(&["small", "gpu"])));
        assert!(!serve.accepts("any", "f", &names(&["small"])));
        assert!(!serve.accepts("any", "g", &[]));
    }

    #[test]
    fn a_limit_is_at_least_one_and_at_most_what_rows_can_bear() {
        assert_eq!(MaxConcurrent::new(1).map(MaxConcurrent::get), Ok(1));
        assert_eq!(MaxConcurrent::new(MAX_CONCURRENT).map(MaxConcurrent::get), Ok(MAX_CONCURRENT));
        for wrong in [0, MAX_CONCURRENT + 1] {
            let error = MaxConcurrent::new(wrong).unwrap_err().to_string();
            assert_eq!(error, format!("must be from 1 to 10000, not {wrong}"));
            assert!(serde_json::from_str::<MaxConcurrent>(&wrong.to_string()).is_err());
        }
    }

    #[test]
    fn resuming_comes_before_any_priority_and_high_before_low() {
        assert!(rank(true, i32::MIN) < rank(false, i32::MAX));
        assert!(rank(false, i32::MAX) < rank(false, i32::MIN));
    }
}

//! Routing: which tasks a worker may take. A route is a (queue, function, tag set); stores number them, and a worker
//! asks only for its own, so that what it cannot run costs its claims nothing.

use serde::{Deserialize, Serialize};

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
    fn resuming_comes_before_any_priority_and_high_before_low() {
        assert!(rank(true, i32::MIN) < rank(false, i32::MAX));
        assert!(rank(false, i32::MAX) < rank(false, i32::MIN));
    }
}

//! Memos: what makes equal calls share one result. A memo is a key and what the key is for; the face makes the key's
//! text, stores compare it byte by byte and never look inside. What a store does with it, part of the specification in
//! [`command`](crate::command):
//!
//! - A task's memo is looked up when it is started: the result of its key's idempotent calls, if it is idempotent and
//!   there is one; else, if it is cached and nobody has reserved the key, what the cache has and is not over
//!   (`expires_at` later than the clock shows). A cached result that an idempotent task finds becomes its key's. With a
//!   hit the task is created as one that has ended with it and never started; a root's execution has ended too.
//!   Without, it is created for whoever claims it, never in anybody's hands.
//! - When an idempotent task completes that has reserved its key ([`Reserve`]), its result becomes the key's, for ever,
//!   and all who wait for the key leave its line and are woken. A cached task's result is put into the cache, in place
//!   of what was there; not the result of another call.
//! - When a task that has reserved a key ends otherwise, the key goes to the oldest of those who wait for it (by
//!   execution, then task), which leaves the line and is woken; if nobody waits it is free. Whoever ends in the line
//!   leaves it. A retry, a release, a suspension and a loss keep a reservation and a place in the line.
//! - All that follows once everything else that the command does is done, so that what it has ended inherits nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::limits::KEY_BYTES;
use crate::task::Lease;

/// What a task that shares its result with equal calls was called with.
///
/// Both sorts are looked up when the task is started, idempotency first: a hit starts it as one that has ended with the
/// stored result, and its body never runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// What makes two calls equal.
    pub key: MemoKey,
    /// One result for the key, ever. Whoever finds nobody's result reserves the key before its body runs
    /// ([`Command::Reserve`](crate::Command::Reserve)); who comes meanwhile waits for that one's end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
    /// A result is kept for equal calls; nobody waits for anybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// How long a cached result is kept, in milliseconds from its end on; `None` for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

impl Memo {
    /// One result for this key, ever.
    #[must_use]
    pub const fn idempotent(key: MemoKey) -> Self {
        Self { key, idempotent: true, cached: false, ttl_ms: None }
    }

    /// A result that is kept under this key, for so long.
    #[must_use]
    pub fn cached(key: MemoKey, ttl: Option<Duration>) -> Self {
        Self { key, idempotent: false, cached: true, ttl_ms: ttl.map(millis) }
    }

    /// The same with its result kept in the cache too, for so long.
    #[must_use]
    pub fn and_cached(self, ttl: Option<Duration>) -> Self {
        Self { cached: true, ttl_ms: ttl.map(millis), ..self }
    }

    /// How long a cached result is kept.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl_ms.map(Duration::from_millis)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).min(crate::limits::DURATION_MS)
}

/// Reserves the key of an idempotent task that the caller owns, before its body runs. Answers
/// [`Done::Reserved`](crate::Done::Reserved):
///
/// - [`Reservation::Held`] when the key was free or is the task's own already (after a resume, a retry, a loss), and
///   for a task that is not idempotent: its body may run.
/// - [`Reservation::Hit`] when the key has a result: the task has ended with it, here and now, as one that was never
///   started; what an end brings follows. A root whose deadline has passed is refused as at
///   [`Finish`](crate::command::Finish).
/// - [`Reservation::Busy`] when another task has reserved it: this one stands in the key's line and is suspended, its
///   `woken` mark cleared. Nothing of it is held any more.
/// - [`Reservation::Ancestor`] when that other one is an ancestor of this task, which would wait for itself: nothing
///   has changed, and its owner ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// The task's lease.
    pub lease: Lease,
}

/// What came of a [`Reserve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// The task has the key.
    Held,
    /// The task has ended with the key's result.
    Hit,
    /// The task waits for the key.
    Busy,
    /// This ancestor of the task has the key.
    Ancestor(TaskId),
}

/// A checked key: 1 to 1,024 bytes, any characters but NUL, which not every store can keep in a text. The face writes
/// `name|version|` and then the arguments (or a key function's answer), so that functions never share a result.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemoKey(Arc<str>);

impl MemoKey {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`MemoKeyError`], naming the key and the rule it breaks.
    pub fn new(text: &str) -> Result<Self, MemoKeyError> {
        let rule = if text.is_empty() {
            "must not be empty"
        } else if text.len() > KEY_BYTES {
            "must have at most 1,024 bytes: let a key function name what matters, or use a digest"
        } else if text.contains('\0') {
            "must not contain the character NUL"
        } else {
            return Ok(Self(text.into()));
        };
        Err(MemoKeyError { shown: crate::name::shown(text), rule })
    }

    /// A key as a store gives it back: it was checked when it was written.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MemoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

impl TryFrom<String> for MemoKey {
    type Error = MemoKeyError;

    fn try_from(text: String) -> Result<Self, MemoKeyError> {
        Self::new(&text)
    }
}

impl From<MemoKey> for String {
    fn from(key: MemoKey) -> Self {
        key.as_str().to_owned()
    }
}

/// A key that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key \"{shown}\" {rule}")]
pub struct MemoKeyError {
    shown: String,
    rule: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{MEMO_MARK, TaskOptions};

    #[test]
    fn a_key_over_its_limit_is_refused_with_the_rule_and_one_at_it_is_not() {
        assert!(MemoKey::new(&"k".repeat(KEY_BYTES)).is_ok());
        let error = MemoKey::new(&"k".repeat(KEY_BYTES + 1)).unwrap_err().to_string();
        assert!(error.starts_with("the key \"kkkk") && error.contains("at most 1,024 bytes"), "{error}");
        assert!(MemoKey::new("").unwrap_err().to_string().contains("must not be empty"));
        assert!(MemoKey::new("a\0b").unwrap_err().to_string().contains("\"a\\0b\" must not contain"));
    }

    #[test]
    fn stored_options_begin_with_the_mark_exactly_where_there_is_a_memo() {
        let memo = Memo::idempotent(MemoKey::new("m:f|None|[\"a\\n\"]\n").unwrap()).and_cached(Some(Duration::MAX));
        let with = TaskOptions { memo: Some(Box::new(memo)), ..TaskOptions::default() };
        let stored = with.to_stored().unwrap();
        assert!(stored.starts_with(MEMO_MARK), "{stored}");
        assert_eq!(TaskOptions::from_stored(Some(&stored)), with);
        let without = TaskOptions { timeout_ms: Some(1), ..TaskOptions::default() };
        assert!(!without.to_stored().unwrap().starts_with(MEMO_MARK));
    }
}

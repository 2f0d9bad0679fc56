//! What is known of a function beside its code: how its tasks are started, and under which key its results are found.
//! It is what workers publish, as JSON, and the same in every face, so that whoever calls a function by name starts it
//! as its own process would.

use serde::{Deserialize, Serialize};

use crate::key_text;
use crate::memo::{Memo, MemoKey, MemoKeyError};
use crate::name::Name;
use crate::payload::Payload;
use crate::retry::RetryPolicy;
use crate::routing::{DEFAULT_QUEUE, MaxConcurrent};
use crate::task::{TaskOptions, TaskSpec};

/// The options of a function. What is left out has its default, in JSON too.
///
/// ```
/// use stent_core::function::FunctionOptions;
///
/// let options: FunctionOptions = serde_json::from_str(r#"{"queue": "critical", "idempotent": true}"#).unwrap();
/// assert!(options.queue.is_some() && options.idempotent && options.max_concurrent.is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FunctionOptions {
    /// The names of its arguments, in order.
    pub parameters: Vec<String>,
    /// Its queue, unless it joins its caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Name>,
    /// Its priority; 0 stands for its caller's.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Sorted, without repeats.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Name>,
    /// How a failed attempt is tried again, where the function says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Milliseconds an attempt may go without a sign of life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Another version finds no result of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether results are kept for other calls with the same key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// Milliseconds a kept result counts; for ever unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Whether one result is committed for each key, ever.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
    /// How many of its tasks may be in somebody's hands at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<MaxConcurrent>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(priority: &i32) -> bool {
    *priority == 0
}

impl FunctionOptions {
    /// What makes equal calls share one result, if the function's results are kept at all. `answer` is what a key
    /// function said of the call; without one the arguments stand in the key.
    ///
    /// # Errors
    /// [`MemoKeyError`] for a key that breaks a rule.
    pub fn memo(&self, name: &str, args: &Payload, answer: Option<&str>) -> Result<Option<Memo>, MemoKeyError> {
        if !self.cached && !self.idempotent {
            return Ok(None);
        }
        let version = self.version.as_deref();
        let key = match answer {
            Some(answer) => key_text::of_answer(name, version, answer),
            None => key_text::of_arguments(name, version, args),
        };
        let (idempotent, cached) = (self.idempotent, self.cached);
        Ok(Some(Memo { key: MemoKey::new(&key)?, idempotent, cached, ttl_ms: self.ttl_ms.filter(|_| cached) }))
    }

    /// A task of the function. Below a `parent` it joins that one's queue, with its priority and headers, unless the
    /// function has its own.
    #[must_use]
    pub fn task(&self, function: Name, args: Payload, parent: Option<&TaskSpec>) -> TaskSpec {
        let queue = self.queue.clone().or_else(|| parent.map(|parent| parent.queue.clone()));
        let own = Some(self.priority).filter(|priority| *priority != 0);
        TaskSpec {
            function,
            args,
            queue: queue.unwrap_or_else(|| Name::stored(DEFAULT_QUEUE)),
            priority: own.or_else(|| parent.map(|parent| parent.priority)).unwrap_or(0),
            tags: self.tags.clone(),
            headers: parent.and_then(|parent| parent.headers.clone()),
            options: TaskOptions {
                memo: None,
                retry: self.retry.clone().unwrap_or_else(RetryPolicy::of_functions),
                timeout_ms: self.timeout_ms,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(json: serde_json::Value) -> FunctionOptions {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_child_joins_its_parents_queue_with_its_priority_unless_its_function_has_its_own() {
        let own = options(serde_json::json!({"queue": "critical", "priority": 7}));
        let parent = own.task(Name::stored("parent"), Payload::null(), None);
        let plain = FunctionOptions::default();
        let child = plain.task(Name::stored("child"), Payload::null(), Some(&parent));
        assert_eq!((child.queue.as_str(), child.priority), ("critical", 7));
        let other = options(serde_json::json!({"queue": "slow", "priority": -1}));
        let child = other.task(Name::stored("child"), Payload::null(), Some(&parent));
        assert_eq!((child.queue.as_str(), child.priority), ("slow", -1));
        assert_eq!(plain.task(Name::stored("root"), Payload::null(), None).queue.as_str(), DEFAULT_QUEUE);
    }

    #[test]
    fn a_key_is_made_of_all_arguments_or_of_what_the_key_function_answers() {
        let args = Payload::json(&("user-123", 1)).unwrap();
        let kept = options(serde_json::json!({"idempotent": true, "cached": true, "ttl_ms": 5, "version": "v2"}));
        let memo = kept.memo("mails:welcome", &args, None).unwrap().unwrap();
        assert_eq!(memo.key.as_str(), "mails:welcome|v2|[\"user-123\",1]");
        assert_eq!((memo.idempotent, memo.cached, memo.ttl_ms), (true, true, Some(5)));
        let memo = options(serde_json::json!({"cached": true})).memo("f", &args, Some("mine")).unwrap().unwrap();
        assert_eq!((memo.key.as_str(), memo.idempotent, memo.ttl_ms), ("f|None|mine", false, None));
        assert_eq!(FunctionOptions::default().memo("f", &args, None).unwrap(), None);
    }

    #[test]
    fn what_is_left_out_is_not_written() {
        let json =
            serde_json::to_value(options(serde_json::json!({"parameters": ["n"], "max_concurrent": 2}))).unwrap();
        assert_eq!(json, serde_json::json!({"parameters": ["n"], "max_concurrent": 2}));
    }
}

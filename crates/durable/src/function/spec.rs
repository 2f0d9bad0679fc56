//! Where a function's metadata becomes what the engine knows: how a task of it is started, under which key its result
//! is found, and what workers publish of it. The one place to go on from when the engine learns of another option.

use std::time::Duration;

use serde_json::{Map, Value};
use stent_core::{Memo, MemoKey, Name, Payload, RetryPolicy, key_text};

use super::Function;
use super::meta::FunctionMeta;
use crate::context::{Child, SpawnDefaults, TaskContext};
use crate::options::{RetryStrategy, SpawnOptions};
use crate::task_error::{TaskError, TaskResult};

/// How a task of the function is started where the caller says nothing else.
pub(crate) fn options(meta: &FunctionMeta) -> SpawnOptions {
    let policy = meta.retry.clone();
    SpawnOptions {
        max_attempts: policy.as_ref().map(|policy| policy.max_attempts),
        retry_strategy: policy.as_ref().map(strategy),
        queue: meta.queue.map(String::from),
        priority: Some(meta.priority).filter(|priority| *priority != 0),
        tags: meta.tags.iter().map(|tag| (*tag).to_owned()).collect(),
        timeout: meta.timeout,
        ..SpawnOptions::default()
    }
}

/// The retries of a function that says nothing about them, where its client says nothing either.
pub(crate) fn default_retry() -> RetryPolicy {
    super::meta::Retry::DEFAULT.policy()
}

pub(crate) fn strategy(policy: &RetryPolicy) -> RetryStrategy {
    RetryStrategy::Exponential {
        initial_delay: Duration::from_millis(policy.initial_delay_ms),
        factor: policy.factor,
        max_delay: Duration::from_millis(policy.max_delay_ms),
        jitter: policy.jitter,
    }
}

/// A child of the task in hand: in its queue, with its priority and headers, unless the function has its own.
pub(super) fn child(meta: &FunctionMeta, context: &TaskContext) -> TaskResult<Child> {
    let mut options = options(meta);
    context.client().defaults().fill_function(&mut options);
    Child::named(meta.name, &SpawnDefaults::of(context), &options)
}

/// What a call's result is found by, if the function's results are kept at all. A key function is asked once; `record`
/// keeps its answer where replays would ask again.
pub(crate) fn memo<F: Function>(
    args: &F::Args,
    payload: &Payload,
    record: impl FnOnce(&dyn Fn() -> Option<String>) -> TaskResult<Option<String>>,
) -> TaskResult<Option<Box<Memo>>> {
    let meta = F::meta();
    if !meta.has_key() {
        return Ok(None);
    }
    let key = match record(&|| F::key(args))? {
        Some(own) => key_text::of_answer(meta.name, meta.version, &own),
        None => key_text::of_arguments(meta.name, meta.version, payload),
    };
    let key = MemoKey::new(&key).map_err(TaskError::invalid)?;
    let memo = match (meta.idempotent, meta.cached) {
        (true, true) => Memo::idempotent(key).and_cached(meta.ttl),
        (true, false) => Memo::idempotent(key),
        (false, _) => Memo::cached(key, meta.ttl),
    };
    Ok(Some(Box::new(memo)))
}

/// The memo of a call inside a durable function: the answer of a key function is recorded there.
pub(super) fn memo_inside<F: Function>(
    args: &F::Args,
    payload: &Payload,
    context: &TaskContext,
) -> TaskResult<Option<Box<Memo>>> {
    memo::<F>(args, payload, |ask| {
        if !F::HAS_KEY_FUNCTION {
            return Ok(None);
        }
        let name = Name::stored(&format!("key:{}", F::meta().name));
        let made = context.value(&name, || Payload::json(&ask()).unwrap_or_else(|_| Payload::null()))?;
        made.read().map_err(|error| TaskError::unreadable(&name, error))
    })
}

/// What workers publish of a function, beside its name.
pub(crate) fn published(meta: &FunctionMeta) -> Value {
    let mut options = Map::new();
    let mut put = |name: &str, value: Value| drop(options.insert(name.to_owned(), value));
    let ms = |span: Duration| Value::from(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    put("parameters", meta.parameters.into());
    if let Some(queue) = meta.queue {
        put("queue", queue.into());
    }
    if meta.priority != 0 {
        put("priority", meta.priority.into());
    }
    if !meta.tags.is_empty() {
        put("tags", meta.tags.into());
    }
    if let Some(retry) = &meta.retry {
        put("retry", serde_json::to_value(retry).unwrap_or_default());
    }
    if let Some(timeout) = meta.timeout {
        put("timeout_ms", ms(timeout));
    }
    if let Some(version) = meta.version {
        put("version", version.into());
    }
    if meta.cached {
        put("cached", true.into());
    }
    if let Some(ttl) = meta.ttl {
        put("ttl_ms", ms(ttl));
    }
    if meta.idempotent {
        put("idempotent", true.into());
    }
    if let Some(limit) = meta.max_concurrent {
        put("max_concurrent", limit.into());
    }
    Value::Object(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::Arguments;

    #[durable::function(name = "mails:welcome", idempotent, cached(ttl = "1d"), version = "v2", max_concurrent = 2)]
    async fn welcome(user: String, tries: u64) -> String {
        format!("{user}{tries}")
    }

    #[durable::function(name = "mails:goodbye", cached(key = |user, ..| user.clone()))]
    async fn goodbye(user: String, tries: u64) -> String {
        format!("{user}{tries}")
    }

    #[durable::function(
        name = "mails:plain",
        retry(max_attempts = 5, initial_delay = "1s", backoff_factor = 3.0, max_delay = "60s", jitter = 0.2)
    )]
    async fn plain() {}

    fn memo<F: Function>(args: &F::Args) -> Option<Memo> {
        super::memo::<F>(args, &args.write().unwrap(), |ask| Ok(ask())).unwrap().map(|memo| *memo)
    }

    #[test]
    fn a_key_is_made_of_all_arguments_or_of_what_the_key_function_answers() {
        let of_all = memo::<welcome>(&("user-123".into(), 1)).unwrap();
        assert_eq!(of_all.key.as_str(), "mails:welcome|v2|[\"user-123\",1]");
        assert_eq!((of_all.idempotent, of_all.cached, of_all.ttl()), (true, true, Some(Duration::from_secs(86_400))));
        let own = memo::<goodbye>(&("user-123".into(), 1)).unwrap();
        assert_eq!(own, memo::<goodbye>(&("user-123".into(), 2)).unwrap());
        assert_eq!((own.key.as_str(), own.idempotent), ("mails:goodbye|None|user-123", false));
        assert_eq!(memo::<plain>(&()), None);
    }

    #[test]
    fn what_is_published_says_how_a_function_is_run() {
        let published = published(welcome.meta());
        let expected = serde_json::json!({
            "parameters": ["user", "tries"],
            "version": "v2",
            "cached": true,
            "ttl_ms": 86_400_000,
            "idempotent": true,
            "max_concurrent": 2,
        });
        assert_eq!(published, expected);
        let policy: RetryPolicy = serde_json::from_value(super::published(plain.meta())["retry"].take()).unwrap();
        let expected =
            RetryPolicy { max_attempts: 5, initial_delay_ms: 1_000, factor: 3.0, max_delay_ms: 60_000, jitter: 0.2 };
        assert_eq!(policy, expected);
    }
}

//! How a task is started, retried and given up: plain values with defaults, turned into the engine's terms in one
//! place. Whatever breaks a limit is refused here, by the option's name, before anything is written.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use stent_core::command::Deadline;
use stent_core::history::Due;
use stent_core::limits::{DURATION_MS, HEADERS_BYTES, TAGS};
use stent_core::routing::DEFAULT_QUEUE;
use stent_core::{Name, Payload, RetryPolicy, TaskOptions, TaskSpec};

use crate::error::DurableError;
use crate::failure::millis;
use crate::function::spec::{default_retry, strategy};

/// How long between one attempt at a task and the next. By default five seconds; how many attempts there are is
/// said beside it (by default five).
///
/// ```
/// use std::time::Duration;
/// use durable::{RetryStrategy, SpawnOptions};
///
/// let doubling = RetryStrategy::Exponential {
///     initial_delay: Duration::from_millis(200),
///     factor: 2.0,
///     max_delay: Duration::from_secs(60),
///     jitter: 0.1,
/// };
/// let options = SpawnOptions { retry_strategy: Some(doubling), max_attempts: Some(8), ..SpawnOptions::default() };
/// assert_ne!(options.retry_strategy, Some(RetryStrategy::default()));
/// assert_eq!(RetryStrategy::default(), RetryStrategy::Fixed { delay: Duration::from_secs(5) });
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum RetryStrategy {
    /// The first failure is final, whatever `max_attempts` says.
    None,
    /// The same delay each time.
    Fixed {
        /// Between one attempt's end and the next's start.
        delay: Duration,
    },
    /// Delays that grow.
    Exponential {
        /// Before the second attempt.
        initial_delay: Duration,
        /// By what the delay grows from one attempt to the next.
        factor: f64,
        /// What no delay exceeds, jitter aside.
        max_delay: Duration,
        /// From 0.0 to 1.0: how far a delay may stray, as a share of itself, so that many tasks that failed together
        /// do not come back together.
        jitter: f64,
    },
}

impl Default for RetryStrategy {
    fn default() -> Self {
        Self::Fixed { delay: Duration::from_secs(5) }
    }
}

impl RetryStrategy {
    fn policy(&self, max_attempts: u32) -> Result<RetryPolicy, DurableError> {
        if max_attempts == 0 {
            return Err(DurableError::option("max_attempts", "is 0, and must be at least 1: the first attempt counts"));
        }
        match *self {
            Self::None => Ok(RetryPolicy::none()),
            Self::Fixed { delay } => Ok(RetryPolicy::fixed(span("retry_strategy", delay)?, max_attempts)),
            Self::Exponential { initial_delay, factor, max_delay, jitter } => {
                if !(factor.is_finite() && factor > 0.0) {
                    return Err(DurableError::option(
                        "retry_strategy",
                        format!("has a factor of {factor}: a finite number above 0 is wanted"),
                    ));
                }
                if !(0.0..=1.0).contains(&jitter) {
                    return Err(DurableError::option(
                        "retry_strategy",
                        format!("has a jitter of {jitter}: a number from 0 to 1 is wanted"),
                    ));
                }
                let initial_delay_ms = millis(span("retry_strategy", initial_delay)?);
                let max_delay_ms = millis(span("retry_strategy", max_delay)?);
                Ok(RetryPolicy { max_attempts, initial_delay_ms, factor, max_delay_ms, jitter })
            }
        }
    }
}

/// When a task is cancelled by itself. Both spans are counted by the store's clock.
///
/// ```
/// use std::time::Duration;
/// use durable::{CancellationPolicy, SpawnOptions};
///
/// let within_the_day = CancellationPolicy {
///     max_pending_time: Some(Duration::from_secs(3_600)),
///     max_running_time: Some(Duration::from_secs(86_400)),
/// };
/// let options = SpawnOptions { cancellation: Some(within_the_day), ..SpawnOptions::default() };
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CancellationPolicy {
    /// From its creation to its first start.
    pub max_pending_time: Option<Duration>,
    /// From its first start to its end; sleeping, waiting and retries count.
    pub max_running_time: Option<Duration>,
}

/// How one task is started. Every field has a default, which is the client's where it has one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// use std::time::Duration;
/// use durable::{Durable, SpawnOptions};
///
/// let client = Durable::builder().database_url("sqlite::memory:").build().await?;
/// let options = SpawnOptions {
///     queue: Some("reports".into()),
///     priority: Some(5),
///     delay: Some(Duration::from_secs(60)),
///     idempotency_key: Some("report:2031-07".into()),
///     ..SpawnOptions::default()
/// };
/// let first = client.spawn_by_name("report", serde_json::json!({}), options.clone()).await?;
/// let again = client.spawn_by_name("report", serde_json::json!({}), options).await?;
/// assert_eq!(first.task_id, again.task_id); // one execution for each key
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpawnOptions {
    /// How many attempts in all, the first counted; at least 1.
    pub max_attempts: Option<u32>,
    /// How long between attempts.
    pub retry_strategy: Option<RetryStrategy>,
    /// What travels along with the task and its children for [`TaskContext::headers`](crate::TaskContext::headers)
    /// to show: trace context, a tenant. At most 64 KiB as JSON.
    pub headers: Option<Map<String, Value>>,
    /// Which queue it joins. A child joins its parent's unless told otherwise.
    pub queue: Option<String>,
    /// Higher is started first; 0 by default. A child has its parent's unless told otherwise.
    pub priority: Option<i32>,
    /// Only workers that serve one of these, or no tags in particular, run it. At most 16.
    pub tags: Vec<String>,
    /// Not to be started before this long from now.
    pub delay: Option<Duration>,
    /// How long an attempt may go without a sign of life (a call on its context) while it runs; waiting does not
    /// count. Counts as a failure, of kind timeout.
    pub timeout: Option<Duration>,
    /// From its creation to its end: past that it is ended as timed out.
    pub expiry: Option<Duration>,
    /// When it is cancelled by itself. Not for children, who end with their execution.
    pub cancellation: Option<CancellationPolicy>,
    /// The start key: one execution for each, ever; a second start answers the first's. Not for children, whose name
    /// is their key.
    pub idempotency_key: Option<String>,
}

/// What a client starts tasks with unless told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub(crate) queue: Name,
    /// None where the application said nothing: then tasks have theirs, functions theirs.
    pub(crate) max_attempts: Option<u32>,
    pub(crate) retry_strategy: Option<RetryStrategy>,
    pub(crate) cancellation: CancellationPolicy,
}

/// How many attempts a task has unless somebody says otherwise.
const DEFAULT_ATTEMPTS: u32 = 5;

impl Default for Defaults {
    fn default() -> Self {
        Self {
            queue: Name::stored(DEFAULT_QUEUE),
            max_attempts: None,
            retry_strategy: None,
            cancellation: CancellationPolicy::default(),
        }
    }
}

impl Defaults {
    /// The retries of a function that says nothing about them: what the application set for its client, else those
    /// of functions.
    pub(crate) fn fill_function(&self, options: &mut SpawnOptions) {
        let policy = default_retry();
        if options.retry_strategy.is_none() {
            options.retry_strategy = Some(self.retry_strategy.clone().unwrap_or_else(|| strategy(&policy)));
        }
        options.max_attempts = options.max_attempts.or(self.max_attempts).or(Some(policy.max_attempts));
    }
}

impl SpawnOptions {
    /// The task to be started, for the engine.
    pub(crate) fn spec(&self, function: Name, args: Payload, defaults: &Defaults) -> Result<TaskSpec, DurableError> {
        let queue = match &self.queue {
            Some(queue) => Name::new("queue", queue)?,
            None => defaults.queue.clone(),
        };
        let strategy = self.retry_strategy.as_ref().or(defaults.retry_strategy.as_ref());
        let strategy = strategy.cloned().unwrap_or_default();
        let retry = strategy.policy(self.max_attempts.or(defaults.max_attempts).unwrap_or(DEFAULT_ATTEMPTS))?;
        let timeout_ms = self.timeout.map(|timeout| span("timeout", timeout).map(millis)).transpose()?;
        Ok(TaskSpec {
            function,
            args,
            queue,
            priority: self.priority.unwrap_or(0),
            tags: tags(&self.tags)?,
            headers: self.headers.as_ref().map(headers).transpose()?.flatten(),
            options: TaskOptions { retry, timeout_ms, ..TaskOptions::default() },
        })
    }

    pub(crate) fn key(&self) -> Result<Option<Name>, DurableError> {
        Ok(self.idempotency_key.as_ref().map(|key| Name::new("idempotency key", key)).transpose()?)
    }

    pub(crate) fn due(&self) -> Result<Option<Due>, DurableError> {
        let delay = self.delay.filter(|delay| !delay.is_zero());
        delay.map(|delay| span("delay", delay).map(Due::In)).transpose()
    }

    pub(crate) fn deadline(&self, defaults: &Defaults) -> Result<Deadline, DurableError> {
        let policy = self.cancellation.as_ref().unwrap_or(&defaults.cancellation);
        let within = |option, limit: Option<Duration>| limit.map(|limit| span(option, limit)).transpose();
        Ok(Deadline {
            expire_after: within("expiry", self.expiry)?,
            start_within: within("max_pending_time", policy.max_pending_time)?,
            run_within: within("max_running_time", policy.max_running_time)?,
        })
    }
}

/// A span within the limit, which keeps all arithmetic on times in range.
pub(crate) fn span(option: &'static str, span: Duration) -> Result<Duration, DurableError> {
    if millis(span) > DURATION_MS {
        let words = format!("is {span:?}, over the limit of about 100 years");
        return Err(DurableError::option(option, words));
    }
    Ok(span)
}

/// Checked, sorted, without repeats.
pub(crate) fn tag_names(texts: &[String]) -> Result<Vec<Name>, DurableError> {
    let mut tags = texts.iter().map(|tag| Name::new("tag", tag)).collect::<Result<Vec<_>, _>>()?;
    tags.sort();
    tags.dedup();
    Ok(tags)
}

fn tags(texts: &[String]) -> Result<Vec<Name>, DurableError> {
    let tags = tag_names(texts)?;
    if tags.len() > TAGS {
        return Err(DurableError::option("tags", format!("has {} entries, {TAGS} are the limit", tags.len())));
    }
    Ok(tags)
}

fn headers(headers: &Map<String, Value>) -> Result<Option<Bytes>, DurableError> {
    if headers.is_empty() {
        return Ok(None);
    }
    let json = serde_json::to_vec(headers).map_err(|error| DurableError::option("headers", error.to_string()))?;
    if json.len() > HEADERS_BYTES {
        return Err(DurableError::option("headers", format!("has {} bytes, 64 KiB are the limit", json.len())));
    }
    Ok(Some(json.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(options: &SpawnOptions) -> Result<TaskSpec, DurableError> {
        options.spec(Name::stored("f"), Payload::null(), &Defaults::default())
    }

    #[test]
    fn defaults_come_from_the_client_and_options_win_over_them() {
        let plain = spec(&SpawnOptions::default()).unwrap();
        assert_eq!((&*plain.queue, plain.options.retry), ("default", RetryPolicy::default()));
        let options = SpawnOptions { max_attempts: Some(2), queue: Some("q".into()), ..SpawnOptions::default() };
        let own = spec(&options).unwrap();
        assert_eq!((&*own.queue, own.options.retry.max_attempts), ("q", 2));
        let none = SpawnOptions { retry_strategy: Some(RetryStrategy::None), ..options };
        assert_eq!(spec(&none).unwrap().options.retry, RetryPolicy::none());
    }

    #[test]
    fn tags_are_sorted_and_each_is_there_once() {
        let options = SpawnOptions { tags: ["b", "a", "b"].map(String::from).to_vec(), ..SpawnOptions::default() };
        assert_eq!(spec(&options).unwrap().tags, [Name::stored("a"), Name::stored("b")]);
    }

    #[test]
    fn what_breaks_a_limit_is_refused_by_its_name() {
        let years = Duration::from_secs(101 * 366 * 24 * 3_600);
        let with = SpawnOptions::default;
        let exponential = |factor, jitter| {
            let span = Duration::from_secs(1);
            let strategy = RetryStrategy::Exponential { initial_delay: span, factor, max_delay: span, jitter };
            SpawnOptions { retry_strategy: Some(strategy), ..with() }
        };
        let long = Map::from_iter([("a".to_owned(), Value::String("x".repeat(HEADERS_BYTES)))]);
        for (refused, words) in [
            (SpawnOptions { max_attempts: Some(0), ..with() }, "`max_attempts`"),
            (SpawnOptions { timeout: Some(years), ..with() }, "`timeout`"),
            (SpawnOptions { queue: Some(" q".into()), ..with() }, "queue name \" q\""),
            (SpawnOptions { tags: (0..17).map(|n| n.to_string()).collect(), ..with() }, "`tags`"),
            (SpawnOptions { headers: Some(long), ..with() }, "`headers`"),
            (exponential(f64::NAN, 0.0), "`retry_strategy`"),
            (exponential(2.0, 1.5), "jitter"),
        ] {
            let error = spec(&refused).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}

//! What is known of an annotated function before it runs: its name and options, made and checked while the user's code
//! compiles. How they become a task and what workers publish lies in `spec`.

use std::time::Duration;

use stent_core::RetryPolicy;
use stent_core::duration::read_duration;
use stent_core::limits::{DURATION_MS, NAME_BYTES, TAGS};

/// The name and the options of a durable function, as [`#[durable::function]`](macro@crate::function) reads them.
///
/// ```
/// use std::time::Duration;
///
/// #[durable::function(queue = "critical", priority = 10, tags = ["billing"], version = "v2", timeout = "2m")]
/// async fn charge(order_id: String, cents: u64) -> String {
///     format!("{order_id}: {cents}")
/// }
///
/// let meta = charge.meta();
/// assert!(meta.name().ends_with(":charge"));
/// assert_eq!(meta.parameters(), ["order_id", "cents"]);
/// assert_eq!((meta.queue_name(), meta.base_priority()), (Some("critical"), 10));
/// assert_eq!((meta.tag_names(), meta.version_name()), (&["billing"][..], Some("v2")));
/// assert_eq!(meta.attempt_timeout(), Some(Duration::from_secs(120)));
/// assert!(!meta.is_cached() && !meta.is_idempotent() && meta.ttl().is_none() && meta.limit().is_none());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionMeta {
    pub(super) name: &'static str,
    pub(super) parameters: &'static [&'static str],
    pub(super) retry: Option<RetryPolicy>,
    pub(super) queue: Option<&'static str>,
    pub(super) priority: i32,
    pub(super) tags: &'static [&'static str],
    pub(super) version: Option<&'static str>,
    pub(super) timeout: Option<Duration>,
    pub(super) cached: bool,
    pub(super) ttl: Option<Duration>,
    pub(super) idempotent: bool,
    pub(super) max_concurrent: Option<u32>,
}

impl FunctionMeta {
    /// What it is registered, stored and started under.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The names of its arguments, in order.
    #[must_use]
    pub const fn parameters(&self) -> &'static [&'static str] {
        self.parameters
    }

    /// Its queue, unless it joins its caller's.
    #[must_use]
    pub const fn queue_name(&self) -> Option<&'static str> {
        self.queue
    }

    /// Its priority; 0 stands for its caller's.
    #[must_use]
    pub const fn base_priority(&self) -> i32 {
        self.priority
    }

    /// Its tags.
    #[must_use]
    pub const fn tag_names(&self) -> &'static [&'static str] {
        self.tags
    }

    /// Its version: another one finds no result of this one.
    #[must_use]
    pub const fn version_name(&self) -> Option<&'static str> {
        self.version
    }

    /// How long an attempt may go without a sign of life.
    #[must_use]
    pub const fn attempt_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Whether its results are kept for other calls with the same key.
    #[must_use]
    pub const fn is_cached(&self) -> bool {
        self.cached
    }

    /// How long a kept result counts; for ever unless said otherwise.
    #[must_use]
    pub const fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// Whether one result is committed for each key, ever.
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    /// How many of its tasks may run at the same time, in all workers together.
    #[must_use]
    pub const fn limit(&self) -> Option<u32> {
        self.max_concurrent
    }

    /// Whether its calls have a key to find results by.
    pub(super) const fn has_key(&self) -> bool {
        self.cached || self.idempotent
    }
}

/// How the attribute writes it down. Each value is checked, which stops the compiler at a bad one.
#[doc(hidden)]
#[allow(clippy::panic, reason = "these run while the user's code compiles: a panic is the compile error")]
impl FunctionMeta {
    pub const fn new(name: &'static str, parameters: &'static [&'static str]) -> Self {
        check_name(name);
        Self {
            name,
            parameters,
            retry: None,
            queue: None,
            priority: 0,
            tags: &[],
            version: None,
            timeout: None,
            cached: false,
            ttl: None,
            idempotent: false,
            max_concurrent: None,
        }
    }

    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry.0);
        self
    }

    #[must_use]
    pub const fn queue(mut self, name: &'static str) -> Self {
        check_name(name);
        self.queue = Some(name);
        self
    }

    #[must_use]
    pub const fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    #[must_use]
    pub const fn tags(mut self, tags: &'static [&'static str]) -> Self {
        assert!(tags.len() <= TAGS, "a function has at most 16 tags");
        let mut at = 0;
        while at < tags.len() {
            check_name(tags[at]);
            at += 1;
        }
        self.tags = tags;
        self
    }

    #[must_use]
    pub const fn version(mut self, version: &'static str) -> Self {
        check_name(version);
        self.version = Some(version);
        self
    }

    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        assert!(!timeout.is_zero(), "`timeout` must be longer than nothing");
        self.timeout = Some(checked(timeout));
        self
    }

    #[must_use]
    pub const fn cached(mut self) -> Self {
        self.cached = true;
        self
    }

    #[must_use]
    pub const fn cache_ttl(mut self, ttl: Duration) -> Self {
        assert!(!ttl.is_zero(), "`ttl` must be longer than nothing");
        self.ttl = Some(checked(ttl));
        self
    }

    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    #[must_use]
    pub const fn max_concurrent(mut self, limit: u32) -> Self {
        assert!(limit > 0, "`max_concurrent` must be at least 1");
        self.max_concurrent = Some(limit);
        self
    }
}

/// A retry policy as the attribute writes it down.
#[doc(hidden)]
#[derive(Debug)]
pub struct Retry(RetryPolicy);

#[doc(hidden)]
#[allow(clippy::panic, reason = "these run while the user's code compiles: a panic is the compile error")]
impl Retry {
    /// Three attempts, a second apart, then two, then four, up to a minute, a tenth more or less.
    pub const DEFAULT: Self = Self(RetryPolicy::of_functions());

    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        assert!(attempts > 0, "`max_attempts` must be at least 1: the first attempt counts");
        self.0.max_attempts = attempts;
        self
    }

    #[must_use]
    pub const fn initial_delay(mut self, delay: Duration) -> Self {
        self.0.initial_delay_ms = checked(delay).as_millis() as u64;
        self
    }

    #[must_use]
    pub const fn backoff_factor(mut self, factor: f64) -> Self {
        assert!(factor.is_finite() && factor > 0.0, "`backoff_factor` must be a number above 0");
        self.0.factor = factor;
        self
    }

    #[must_use]
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.0.max_delay_ms = checked(delay).as_millis() as u64;
        self
    }

    #[must_use]
    pub const fn jitter(mut self, jitter: f64) -> Self {
        assert!(jitter >= 0.0 && jitter <= 1.0, "`jitter` must be from 0.0 to 1.0");
        self.0.jitter = jitter;
        self
    }

    pub(super) fn policy(self) -> RetryPolicy {
        self.0
    }
}

/// A duration in an attribute.
#[doc(hidden)]
#[must_use]
#[allow(clippy::panic, reason = "runs while the user's code compiles: a panic is the compile error")]
pub const fn duration(text: &str) -> Duration {
    match read_duration(text) {
        Ok(duration) => duration,
        Err(flaw) => match flaw.at {
            0 => panic!("no duration (10s, 1h30m, 1.5d): a number is expected at its beginning"),
            _ => panic!("{}", flaw.rule),
        },
    }
}

#[allow(clippy::panic, reason = "runs while the user's code compiles: a panic is the compile error")]
const fn checked(duration: Duration) -> Duration {
    assert!(duration.as_millis() <= DURATION_MS as u128, "a duration is over the limit of about 100 years");
    duration
}

/// The rules of `Name`, for names in an attribute.
#[allow(clippy::panic, reason = "runs while the user's code compiles: a panic is the compile error")]
const fn check_name(name: &str) {
    let bytes = name.as_bytes();
    assert!(!bytes.is_empty(), "a name must not be empty");
    assert!(bytes.len() <= NAME_BYTES, "a name must have at most 255 bytes");
    assert!(bytes[0] != b' ' && bytes[bytes.len() - 1] != b' ', "a name must not begin or end with a blank");
    let mut at = 0;
    while at < bytes.len() {
        assert!(bytes[at] >= 0x20 && bytes[at] != 0x7f, "a name must not contain control characters");
        at += 1;
    }
}

//! Retry policies: how often, and how long between. Pure arithmetic; the caller brings the random number.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a failed task is tried again. The delay before attempt `n + 1` is
/// `min(initial_delay * factor^(n - 1), max_delay)`, plus or minus up to `jitter` times that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How many attempts in all, the first counted. At least 1; `u32::MAX` stands for no end.
    pub max_attempts: u32,
    /// Milliseconds before the second attempt.
    pub initial_delay_ms: u64,
    /// By what the delay grows from one attempt to the next; 1.0 keeps it fixed.
    pub factor: f64,
    /// Milliseconds no delay exceeds.
    pub max_delay_ms: u64,
    /// From 0.0 to 1.0: how far the delay may stray, as a share of itself.
    pub jitter: f64,
}

impl RetryPolicy {
    /// One attempt, no retry.
    #[must_use]
    pub const fn none() -> Self {
        Self { max_attempts: 1, initial_delay_ms: 0, factor: 1.0, max_delay_ms: 0, jitter: 0.0 }
    }

    /// `max_attempts` attempts, `delay` apart.
    #[must_use]
    pub fn fixed(delay: Duration, max_attempts: u32) -> Self {
        let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Self { max_attempts, initial_delay_ms: ms, factor: 1.0, max_delay_ms: ms, jitter: 0.0 }
    }

    /// What a function has that says nothing: three attempts, a second apart, then two, then four, up to a minute, a
    /// tenth more or less.
    #[must_use]
    pub const fn of_functions() -> Self {
        Self { max_attempts: 3, initial_delay_ms: 1_000, factor: 2.0, max_delay_ms: 60_000, jitter: 0.1 }
    }

    /// Whether a task whose attempt number `attempt` (from 1) failed may be tried again.
    #[must_use]
    pub const fn allows_another(&self, attempt: u32) -> bool {
        attempt < self.max_attempts
    }

    /// How long to wait after attempt number `attempt` (from 1) failed. `unit` is a random number from 0.0 to 1.0.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stent_core::RetryPolicy;
    /// let policy = RetryPolicy { max_attempts: 9, initial_delay_ms: 1_000, factor: 2.0, max_delay_ms: 5_000, jitter: 0.1 };
    /// assert_eq!(policy.delay_after(3, 0.5), Duration::from_secs(4));
    /// assert_eq!(policy.delay_after(4, 0.5), Duration::from_secs(5));
    /// assert_eq!(policy.delay_after(1, 0.0), Duration::from_millis(900));
    /// ```
    #[must_use]
    pub fn delay_after(&self, attempt: u32, unit: f64) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.initial_delay_ms as f64 * self.factor.max(0.0).powi(exponent);
        let capped = grown.min(self.max_delay_ms as f64);
        let strayed = capped * (1.0 + self.jitter.clamp(0.0, 1.0) * (unit.clamp(0.0, 1.0) * 2.0 - 1.0));
        Duration::from_micros((strayed * 1_000.0).max(0.0) as u64)
    }
}

impl Default for RetryPolicy {
    /// Five attempts, five seconds apart.
    fn default() -> Self {
        Self::fixed(Duration::from_secs(5), 5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_delay_grows_by_its_factor_up_to_its_cap_and_strays_by_its_jitter_to_both_sides() {
        let policy =
            RetryPolicy { max_attempts: 9, initial_delay_ms: 1_000, factor: 3.0, max_delay_ms: 20_000, jitter: 0.1 };
        let ms = |attempt, unit| policy.delay_after(attempt, unit).as_millis();
        assert_eq!([1, 2, 3, 4].map(|attempt| ms(attempt, 0.5)), [1_000, 3_000, 9_000, 20_000]);
        assert_eq!([0.0, 0.25, 1.0].map(|unit| ms(1, unit)), [900, 950, 1_100]);
    }

    proptest! {
        #[test]
        fn a_delay_never_exceeds_its_cap_and_jitter(attempt in 1u32.., unit in 0.0f64..=1.0, initial in 0u64..1_000_000, factor in 0.0f64..10.0) {
            let policy = RetryPolicy { max_attempts: 3, initial_delay_ms: initial, factor, max_delay_ms: 60_000, jitter: 0.1 };
            prop_assert!(policy.delay_after(attempt, unit) <= Duration::from_millis(66_000));
        }
    }
}

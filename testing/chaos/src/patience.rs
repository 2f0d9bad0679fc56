//! Calls that wait out a store that cannot be reached: what anybody does who calls across a server's restart. Only
//! where a run has such restarts; elsewhere the first refusal fails it.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use durable::DurableError;
use tokio::time::Instant;

/// Between two calls.
const REST: Duration = Duration::from_millis(100);

/// How long calls are repeated, and how many had to be.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    repeated: AtomicU32,
}

impl Patience {
    pub const fn of(limit: Duration) -> Self {
        Self { limit, repeated: AtomicU32::new(0) }
    }

    pub const fn none() -> Self {
        Self::of(Duration::ZERO)
    }

    /// The first answer that is not the store's absence, or that absence once it has lasted too long. A call that held
    /// for a good part of that had a store: what it comes to then begins another absence.
    pub async fn with<T, C>(&self, mut call: impl FnMut() -> C) -> Result<T, DurableError>
    where
        C: Future<Output = Result<T, DurableError>>,
    {
        let mut absent: Option<Instant> = None;
        loop {
            let called = Instant::now();
            match call().await {
                Err(error) if error.is_transient() => {
                    if called.elapsed() > self.limit / 3 {
                        absent = None;
                    }
                    if absent.get_or_insert_with(Instant::now).elapsed() >= self.limit {
                        return Err(error);
                    }
                    self.repeated.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(REST).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// How many calls came to nothing and were made again.
    pub fn repeated(&self) -> u32 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Whether any call is ever made again.
    pub const fn is_some(&self) -> bool {
        !self.limit.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Several rests, of a busy machine too.
    const LIMIT: Duration = Duration::from_millis(900);

    #[tokio::test]
    async fn a_call_that_held_for_long_and_then_failed_is_made_again() {
        let patience = Patience::of(LIMIT);
        let calls = AtomicUsize::new(0);
        let outcome = patience.with(|| async {
            if calls.fetch_add(1, Ordering::Relaxed) > 0 {
                return Ok(());
            }
            tokio::time::sleep(LIMIT * 2).await;
            Err(DurableError::TimedOut)
        });
        assert_eq!((outcome.await.is_ok(), patience.repeated()), (true, 1));
    }

    #[tokio::test]
    async fn an_absence_is_an_error_once_it_has_lasted_too_long() {
        let began = Instant::now();
        let patience = Patience::of(LIMIT);
        let outcome: Result<(), _> = patience.with(|| async { Err(DurableError::TimedOut) }).await;
        assert!(outcome.is_err() && began.elapsed() >= LIMIT && patience.repeated() >= 2);
        let hasty = Patience::none();
        let outcome: Result<(), _> = hasty.with(|| async { Err(DurableError::TimedOut) }).await;
        assert_eq!((outcome.is_err(), hasty.repeated()), (true, 0));
    }
}

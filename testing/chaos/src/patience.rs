//! Calls that wait out a store that cannot be reached: what anybody does who calls across a server's restart. Only
//! where a run has such restarts; elsewhere the first refusal fails it.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use durable::DurableError;

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

    /// The first answer that is not the store's absence, or that absence once it has lasted too long.
    pub async fn with<T, C>(&self, mut call: impl FnMut() -> C) -> Result<T, DurableError>
    where
        C: Future<Output = Result<T, DurableError>>,
    {
        let since = Instant::now();
        loop {
            match call().await {
                Err(error) if error.is_transient() && since.elapsed() < self.limit => {
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

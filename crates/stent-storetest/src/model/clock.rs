//! The clocks a model goes by: closures, so that a simulation or a test brings its own, and one that stands still
//! until it is moved. Timers go by the wall clock, liveness by the time since boot.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stent_core::Timestamp;

/// Shows the store's time: what timers and deadlines go by.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Shows the time since boot: what beats and silence are counted by.
pub type Uptime = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A clock that moves only when it is told to. Clones share it.
///
/// ```
/// use std::time::Duration;
/// use stent_storetest::model::ManualClock;
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now(), before + Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    shown: Arc<Mutex<(Timestamp, Duration)>>,
}

/// Where a manual clock begins: 2026-01-01T00:00:00Z.
const BEGIN: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

impl ManualClock {
    /// A clock that shows the beginning of 2026.
    #[must_use]
    pub fn new() -> Self {
        Self { shown: Arc::new(Mutex::new((BEGIN, Duration::ZERO))) }
    }

    /// What the wall clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// How long it has run, jumps of the wall clock not counted.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = (shown.0 + by, shown.1.saturating_add(by));
    }

    /// Makes the wall clock jump to `time`; no time passes.
    pub fn set(&self, time: Timestamp) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).0 = time;
    }

    /// The wall clock as a closure.
    #[must_use]
    pub fn wall(&self) -> WallClock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }

    /// The time since boot as a closure.
    #[must_use]
    pub fn boot(&self) -> Uptime {
        let clock = self.clone();
        Arc::new(move || clock.uptime())
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

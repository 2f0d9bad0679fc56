//! The only place that reads clocks. Timers go by the wall clock, liveness by the time since boot, so that a clock that
//! jumps never makes a session immortal nor dead. Tests move the wall clock by an offset; nothing moves the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use stent_core::Timestamp;

/// The wall clock plus an offset, shared by all that is cloned from it.
///
/// ```
/// use std::time::Duration;
/// let clock = stent_sqlite::Clock::new();
/// let before = clock.now();
/// clock.set_offset_ms(3_600_000);
/// assert!(clock.now().since(before) >= Duration::from_secs(3_600));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<Hands>);

#[derive(Debug, Default)]
struct Hands {
    offset_ms: AtomicI64,
    /// Microseconds since 1970 at which it stands still; [`MOVING`] while it does not.
    frozen_at: AtomicI64,
}

/// What `frozen_at` says of a clock that moves: a time nobody freezes at.
const MOVING: i64 = 0;

impl Clock {
    /// The wall clock as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The wall clock moved by `STENT_CLOCK_OFFSET_MS`, for tests of whole processes.
    #[must_use]
    pub fn from_env() -> Self {
        let clock = Self::new();
        if let Some(ms) = std::env::var("STENT_CLOCK_OFFSET_MS").ok().and_then(|text| text.trim().parse().ok()) {
            clock.set_offset_ms(ms);
        }
        clock
    }

    /// Moves the clock: later reads show the wall clock plus this.
    pub fn set_offset_ms(&self, ms: i64) {
        self.0.offset_ms.store(ms, Ordering::Relaxed);
    }

    /// Stops the clock at this time; from here on only [`advance`](Self::advance) and this move it.
    pub fn freeze(&self, at: Timestamp) {
        self.0.frozen_at.store(at.as_micros(), Ordering::Relaxed);
    }

    /// Moves the clock on, frozen or not.
    pub fn advance(&self, by: Duration) {
        match self.0.frozen_at.load(Ordering::Relaxed) {
            MOVING => {
                let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
                self.0.offset_ms.fetch_add(ms, Ordering::Relaxed);
            }
            at => self.freeze(Timestamp::from_micros(at) + by),
        }
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let frozen_at = self.0.frozen_at.load(Ordering::Relaxed);
        if frozen_at != MOVING {
            return Timestamp::from_micros(frozen_at);
        }
        let wall = Timestamp::from(SystemTime::now());
        let offset = self.0.offset_ms.load(Ordering::Relaxed);
        let span = Duration::from_millis(offset.unsigned_abs());
        if offset < 0 { wall - span } else { wall + span }
    }
}

/// A moment of this machine's present boot: what beats are counted by.
#[derive(Clone, Debug)]
pub(crate) struct BootMoment {
    /// Milliseconds since boot, sleep included.
    pub(crate) ms: i64,
    /// Which boot; a beat of another one is from before the machine went down.
    pub(crate) boot: Arc<str>,
}

/// Reads the time since boot.
#[derive(Clone, Debug)]
pub(crate) struct BootClock {
    boot: Arc<str>,
}

impl BootClock {
    pub(crate) fn new() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { boot: boot.trim().into() }
    }

    pub(crate) fn now(&self) -> BootMoment {
        let time = clock_gettime(ClockId::Boottime);
        BootMoment { ms: time.tv_sec * 1_000 + time.tv_nsec / 1_000_000, boot: Arc::clone(&self.boot) }
    }
}

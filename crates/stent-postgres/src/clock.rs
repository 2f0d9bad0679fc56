//! The only place that reads clocks. Whether something is due is decided by the server's clock, which this process knows
//! from the server's answers; between them it counts on by itself. Tests move what it shows by an offset.
//!
//! Invariant: what it knows of the server's clock is never ahead of it, since an answer counts from its arrival.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use stent_core::Timestamp;

/// The server's clock plus an offset, shared by all that is cloned from it. Until a server has answered it is this
/// machine's.
///
/// ```
/// use std::time::Duration;
/// let clock = stent_postgres::Clock::new();
/// let before = clock.now();
/// clock.set_offset_ms(3_600_000);
/// assert!(clock.now().since(before) >= Duration::from_secs(3_600));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<Hands>);

#[derive(Debug, Default)]
struct Hands {
    server: ServerClock,
    offset_ms: AtomicI64,
    /// Microseconds since 1970 at which it stands still; [`MOVING`] while it does not.
    frozen_at: AtomicI64,
}

/// What `frozen_at` says of a clock that moves: a time nobody freezes at.
const MOVING: i64 = 0;

impl Clock {
    /// The server's clock as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The server's clock moved by `STENT_CLOCK_OFFSET_MS`, for tests of whole processes.
    #[must_use]
    pub fn from_env() -> Self {
        let clock = Self::new();
        if let Some(ms) = std::env::var("STENT_CLOCK_OFFSET_MS").ok().and_then(|text| text.trim().parse().ok()) {
            clock.set_offset_ms(ms);
        }
        clock
    }

    /// Moves the clock: later reads show the server's clock plus this.
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
        self.shows(self.0.server.now())
    }

    /// What it shows when the server's clock shows `server`.
    pub(crate) fn shows(&self, server: Timestamp) -> Timestamp {
        let frozen_at = self.0.frozen_at.load(Ordering::Relaxed);
        if frozen_at != MOVING {
            return Timestamp::from_micros(frozen_at);
        }
        let offset = self.0.offset_ms.load(Ordering::Relaxed);
        let span = Duration::from_millis(offset.unsigned_abs());
        if offset < 0 { server - span } else { server + span }
    }

    /// The server's clock showed this in an answer that arrived just now.
    pub(crate) fn note(&self, server_micros: i64) {
        self.0.server.note(server_micros);
    }
}

/// What this process knows of the server's clock: one answer, and when it arrived.
#[derive(Debug)]
pub(crate) struct ServerClock {
    /// Where this process counts from: it never jumps, whatever this machine's clock does.
    start: Instant,
    /// What the server's clock showed at `start`, by the newest answer; [`UNKNOWN`] before the first. One number, so
    /// that an answer and its arrival can never be torn apart.
    at_start: AtomicI64,
}

/// No server has answered.
const UNKNOWN: i64 = i64::MIN;

impl Default for ServerClock {
    fn default() -> Self {
        Self { start: Instant::now(), at_start: AtomicI64::new(UNKNOWN) }
    }
}

impl ServerClock {
    /// Takes a newer answer, be it a step back: the server's clock is the truth, and another server may have taken over.
    pub(crate) fn note(&self, server_micros: i64) {
        self.note_at(server_micros, Instant::now());
    }

    fn note_at(&self, server_micros: i64, arrived: Instant) {
        self.at_start.store(server_micros.saturating_sub(self.counted(arrived)), Ordering::Relaxed);
    }

    /// What it shows by the newest answer, at most.
    pub(crate) fn now(&self) -> Timestamp {
        self.at(Instant::now()).unwrap_or_else(|| Timestamp::from(SystemTime::now()))
    }

    fn at(&self, moment: Instant) -> Option<Timestamp> {
        match self.at_start.load(Ordering::Relaxed) {
            UNKNOWN => None,
            at_start => Some(Timestamp::from_micros(at_start.saturating_add(self.counted(moment)))),
        }
    }

    fn counted(&self, moment: Instant) -> i64 {
        i64::try_from(moment.saturating_duration_since(self.start).as_micros()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_from_its_arrival_so_the_servers_clock_is_never_overtaken() {
        let clock = ServerClock::default();
        assert_eq!(clock.at(Instant::now()), None);
        // Asked at the server's 5,000, arrived 300 µs later.
        let arrived = clock.start + Duration::from_micros(700);
        clock.note_at(5_000, arrived);
        assert_eq!(clock.at(arrived), Some(Timestamp::from_micros(5_000)));
        assert_eq!(clock.at(arrived + Duration::from_micros(40)), Some(Timestamp::from_micros(5_040)));
    }

    #[test]
    fn the_newest_answer_holds_even_when_it_goes_back() {
        let clock = ServerClock::default();
        let arrived = clock.start + Duration::from_secs(1);
        clock.note_at(9_000_000, arrived);
        clock.note_at(2_000_000, arrived);
        assert_eq!(clock.at(arrived + Duration::from_secs(1)), Some(Timestamp::from_micros(3_000_000)));
    }

    #[test]
    fn before_the_first_answer_this_machines_clock_is_shown() {
        let machine = Timestamp::from(SystemTime::now());
        let shown = Clock::new().now();
        assert!(shown.since(machine) < Duration::from_secs(60) && machine.since(shown) < Duration::from_secs(60));
    }

    #[test]
    fn a_moved_or_frozen_clock_shows_so_whatever_the_server_says() {
        let clock = Clock::new();
        clock.set_offset_ms(-2_000);
        assert_eq!(clock.shows(Timestamp::from_micros(5_000_000)), Timestamp::from_micros(3_000_000));
        clock.freeze(Timestamp::from_micros(77));
        clock.note(1_000_000);
        assert_eq!(clock.now(), Timestamp::from_micros(77));
        clock.advance(Duration::from_micros(3));
        assert_eq!(clock.now(), Timestamp::from_micros(80));
    }
}

//! The time of a test. It stands still while anything has something to do, and while nobody waits; else it jumps to
//! the next point at which something is due (see `keeper`). This file counts who is busy and who sleeps; it never
//! moves by itself.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use stent_core::Timestamp;
use stent_engine::{Engine, WorkerConfig};
use tokio::sync::Notify;

use crate::BEGINNING;
use crate::process::Watched;

/// How long everything must rest while some code waits outside before time passes at its ordinary pace, and how far
/// it then goes at once.
pub(crate) const PACE: Duration = Duration::from_millis(10);

/// How long a waiting task is kept in memory: not at all, so that every wait is replayed.
pub(crate) const PARK_FOR: Duration = Duration::ZERO;

/// The time of one test, shared by all its processes.
pub struct Time {
    /// What the store's clock shows, in microseconds since 1970.
    clock: Arc<AtomicI64>,
    state: Mutex<State>,
    /// Somebody began to wait, or everything came to rest.
    changed: Notify,
    /// Nothing is left that could end a wait.
    stalled: Notify,
}

#[derive(Default)]
struct State {
    now: Duration,
    sleepers: BTreeMap<(Duration, u64), Sleeper>,
    /// Counts everything that needs a number of its own.
    count: u64,
    /// Futures that were woken and not polled since.
    busy: usize,
    /// Grows with everything that happens.
    events: u64,
    waits: usize,
    engines: BTreeMap<u64, Engine>,
    /// What was still waited for when nothing was left to happen.
    stuck: String,
}

struct Sleeper {
    waker: Waker,
    /// Somebody asked for this very point in time; all others are the engine's upkeep.
    is_due: bool,
}

/// Why a wait came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// The time it had is over.
    TimedOut,
    /// Nothing is left that could end it: which tasks wait, and for what.
    Stalled(String),
}

/// How things stand.
pub(crate) enum Stand {
    /// Something has something to do, or nobody waits.
    Still,
    /// Code waits for something outside.
    Outside(u64),
    /// Only time can bring something.
    Quiet,
}

impl Time {
    /// A time that stands at its beginning, and that nobody lets pass yet.
    pub fn new() -> Arc<Self> {
        let clock = Arc::new(AtomicI64::new(BEGINNING.as_micros()));
        Arc::new(Self { clock, state: Mutex::default(), changed: Notify::new(), stalled: Notify::new() })
    }

    /// What a store's clock shows, as a store asks for it.
    pub(crate) fn store_clock(&self) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
        let clock = Arc::clone(&self.clock);
        Arc::new(move || Timestamp::from_micros(clock.load(Ordering::Acquire)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much of it has passed.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.state().now
    }

    /// Numbers that look random and are the same in every run.
    pub fn random(&self) -> u64 {
        let mut state = self.state();
        state.count += 1;
        let mut z = state.count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An engine whose rest is waited for, until it is forgotten by this number.
    pub fn watch(&self, engine: &Engine) -> u64 {
        let mut state = self.state();
        state.count += 1;
        let number = state.count;
        state.engines.insert(number, engine.clone());
        number
    }

    /// The engine of this number counts no more.
    pub fn forget(&self, number: u64) {
        let gone = self.state().engines.remove(&number);
        drop(gone);
    }

    /// No engine counts any more.
    pub fn forget_all(&self) {
        let gone = std::mem::take(&mut self.state().engines);
        drop(gone);
    }

    pub(crate) fn becomes_busy(&self) {
        let mut state = self.state();
        state.busy += 1;
        state.events += 1;
    }

    pub(crate) fn becomes_quiet(&self) {
        let mut state = self.state();
        state.busy -= 1;
        if state.busy == 0 {
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// A worker's configuration as it suits a time that jumps: whatever waits is put aside before time goes on, so
    /// that its code is replayed; and what ended before a long sleep is still there after it.
    pub fn worker_config(&self, config: WorkerConfig) -> WorkerConfig {
        WorkerConfig { park_for: PARK_FOR, retention_period: None, ..config }
    }

    /// Resolves when this much of the test's time has passed.
    pub fn sleep(self: &Arc<Self>, duration: Duration, is_due: bool) -> impl Future<Output = ()> + use<> {
        let key = {
            let mut state = self.state();
            state.count += 1;
            (state.now.saturating_add(duration), state.count)
        };
        let slot = SleepSlot { time: Arc::clone(self), key };
        poll_fn(move |cx| {
            let mut state = slot.time.state();
            if state.now >= key.0 {
                return Poll::Ready(());
            }
            state.sleepers.insert(key, Sleeper { waker: cx.waker().clone(), is_due });
            Poll::Pending
        })
    }

    /// Waits for a future while time is skipped, for at most `timeout` of it.
    pub async fn wait<F: Future>(self: &Arc<Self>, future: F, timeout: Option<Duration>) -> Result<F::Output, WaitEnd> {
        let wait = async {
            let _waits = Waits::begin(self);
            let mut future = pin!(future);
            let mut limit = pin!(timeout.map(|timeout| self.sleep(timeout, true)));
            let mut stalled = pin!(self.stalled.notified());
            stalled.as_mut().enable();
            poll_fn(|cx| {
                if let Poll::Ready(output) = future.as_mut().poll(cx) {
                    return Poll::Ready(Ok(output));
                }
                if let Some(limit) = limit.as_mut().as_pin_mut()
                    && limit.poll(cx).is_ready()
                {
                    return Poll::Ready(Err(WaitEnd::TimedOut));
                }
                let stalled = stalled.as_mut().poll(cx);
                stalled.map(|()| Err(WaitEnd::Stalled(self.state().stuck.clone())))
            })
            .await
        };
        Watched::new(self, wait).await
    }

    /// Resolves when nothing has anything to do, without any time passing for it.
    pub async fn settle(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.is_quiet() {
                return;
            }
            // Code that waits outside wakes nobody when it is done with that.
            drop(tokio::time::timeout(PACE, changed).await);
        }
    }

    fn is_quiet(&self) -> bool {
        let engines = {
            let state = self.state();
            if state.busy > 0 {
                return false;
            }
            state.engines.clone()
        };
        engines.values().all(Engine::is_idle) && self.state().busy == 0
    }

    pub(crate) fn stand(&self) -> Stand {
        let events = {
            let state = self.state();
            if state.waits == 0 || state.busy > 0 {
                return Stand::Still;
            }
            state.events
        };
        let is_quiet = self.is_quiet();
        if self.state().events != events {
            Stand::Still
        } else if is_quiet {
            Stand::Quiet
        } else {
            Stand::Outside(events)
        }
    }

    /// Sets the time forward and wakes whom it concerns.
    pub(crate) fn jump(&self, to: Duration) {
        let mut woken = Vec::new();
        {
            let mut state = self.state();
            state.now = state.now.max(to);
            state.events += 1;
            self.clock.store((BEGINNING + state.now).as_micros(), Ordering::Release);
            while let Some(sleeper) = state.sleepers.first_entry()
                && sleeper.key().0 <= to
            {
                woken.push(sleeper.remove().waker);
            }
        }
        for waker in woken {
            waker.wake();
        }
    }

    pub(crate) fn events(&self) -> u64 {
        self.state().events
    }

    /// Ends all waits: nothing is left that could end them otherwise.
    pub(crate) fn stall(&self, stuck: String) {
        self.state().stuck = stuck;
        self.stalled.notify_waiters();
    }

    /// Resolves at the next change, if it is enabled before that.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// What the store's clock shows.
    #[must_use]
    pub fn clock(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.load(Ordering::Acquire))
    }

    /// The next point that somebody asked for, and the next at which the engine looks around by itself.
    pub(crate) fn next_sleepers(&self) -> (Option<Duration>, Option<Duration>) {
        let state = self.state();
        let due = state.sleepers.iter().find(|(_, sleeper)| sleeper.is_due).map(|(key, _)| key.0);
        (due, state.sleepers.first_key_value().map(|(key, _)| key.0))
    }
}

/// Takes a sleeper out when its future is dropped.
struct SleepSlot {
    time: Arc<Time>,
    key: (Duration, u64),
}

impl Drop for SleepSlot {
    fn drop(&mut self) {
        let sleeper = self.time.state().sleepers.remove(&self.key);
        drop(sleeper);
    }
}

/// Somebody waits, so time may pass.
struct Waits<'t>(&'t Time);

impl<'t> Waits<'t> {
    fn begin(time: &'t Time) -> Self {
        let mut state = time.state();
        state.waits += 1;
        state.events += 1;
        drop(state);
        Self(time)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.state().waits -= 1;
    }
}

//! A scheduler for one thread: which ready future is polled next is drawn from a seed, time is virtual and jumps to the
//! next sleeper when nothing is ready. Futures belong to a process; killing it drops them wherever they stand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use stent_core::store::BoxFuture;
use stent_engine::Runtime;

/// Which process a future belongs to; 0 is the test's own.
pub type ProcessId = usize;

struct Task {
    process: ProcessId,
    future: BoxFuture<'static, ()>,
    ready: Arc<Ready>,
}

struct Ready(AtomicBool);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

#[derive(Default)]
struct Shared {
    spawned: Vec<(ProcessId, BoxFuture<'static, ()>)>,
    sleepers: BTreeMap<(Duration, u64), Waker>,
    now: Duration,
    sleeps: u64,
}

/// The scheduler.
pub struct Scheduler {
    tasks: Vec<Task>,
    shared: Arc<Mutex<Shared>>,
    rng: Arc<Mutex<fastrand::Rng>>,
    polls: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scheduler {
    /// A scheduler whose every choice follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let rng = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
        Self { tasks: Vec::new(), shared: Arc::default(), rng, polls: 0 }
    }

    /// The seeded chance that everything in this world shares.
    #[must_use]
    pub fn rng(&self) -> Arc<Mutex<fastrand::Rng>> {
        Arc::clone(&self.rng)
    }

    /// A runtime for the futures of one process.
    #[must_use]
    /// Its clock runs `pace` times as fast as the world's.
    pub fn runtime(&self, process: ProcessId, pace: f64) -> SimRuntime {
        SimRuntime { process, pace, shared: Arc::clone(&self.shared), rng: Arc::clone(&self.rng) }
    }

    /// Virtual time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        lock(&self.shared).now
    }

    /// How many polls there were: a coarse clock of what happened, the same for the same seed.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// Drops every future of a process, wherever it stands.
    pub fn kill(&mut self, process: ProcessId) {
        let (dead, alive) = std::mem::take(&mut self.tasks).into_iter().partition(|task| task.process == process);
        self.tasks = alive;
        let dead: Vec<Task> = dead;
        drop(dead);
        lock(&self.shared).spawned.retain(|(of, _)| *of != process);
    }

    /// Polls one ready future, or lets time pass to the next sleeper. False when neither is there.
    pub fn turn(&mut self) -> bool {
        let spawned = std::mem::take(&mut lock(&self.shared).spawned);
        for (process, future) in spawned {
            let ready = Arc::new(Ready(AtomicBool::new(true)));
            self.tasks.push(Task { process, future, ready });
        }
        let ready: Vec<usize> =
            (0..self.tasks.len()).filter(|&i| self.tasks[i].ready.0.load(Ordering::Acquire)).collect();
        if ready.is_empty() {
            return self.pass_time();
        }
        let at = ready[lock(&self.rng).usize(..ready.len())];
        self.polls += 1;
        let task = &mut self.tasks[at];
        task.ready.0.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(&task.ready));
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            drop(self.tasks.swap_remove(at));
        }
        true
    }

    fn pass_time(&self) -> bool {
        let mut shared = lock(&self.shared);
        let Some((&(at, _), _)) = shared.sleepers.first_key_value() else { return false };
        shared.now = shared.now.max(at);
        while let Some(entry) = shared.sleepers.first_entry() {
            if entry.key().0 > at {
                break;
            }
            entry.remove().wake();
        }
        true
    }
}

/// The engine's runtime inside the simulation.
#[derive(Clone)]
pub struct SimRuntime {
    process: ProcessId,
    pace: f64,
    shared: Arc<Mutex<Shared>>,
    rng: Arc<Mutex<fastrand::Rng>>,
}

impl SimRuntime {
    /// Lets other futures go first, a random number of times up to `most`; each is a place to crash at.
    pub async fn dawdle(&self, most: usize) {
        let times = lock(&self.rng).usize(..=most);
        for _ in 0..times {
            let mut yielded = false;
            std::future::poll_fn(|cx| {
                if std::mem::replace(&mut yielded, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
    }
}

impl Runtime for SimRuntime {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        lock(&self.shared).spawned.push((self.process, task));
    }

    fn spawn_lane(&self, lane: BoxFuture<'static, ()>) {
        self.spawn(lane);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let shared = Arc::clone(&self.shared);
        let key = {
            let mut shared = lock(&shared);
            shared.sleeps += 1;
            (shared.now.saturating_add(duration.div_f64(self.pace)), shared.sleeps)
        };
        Box::pin(std::future::poll_fn(move |cx| {
            let mut shared = lock(&shared);
            if shared.now >= key.0 {
                shared.sleepers.remove(&key);
                return Poll::Ready(());
            }
            shared.sleepers.insert(key, cx.waker().clone());
            Poll::Pending
        }))
    }

    fn now(&self) -> Duration {
        lock(&self.shared).now.mul_f64(self.pace)
    }

    fn random(&self) -> u64 {
        lock(&self.rng).u64(..)
    }
}

//! Where futures run, and where pacing and chance come from. One seam, so that a test can put a seeded scheduler and
//! virtual time in place of tokio and the machine's clock. Truth about time is the store's; this is only for pacing.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use stent_core::store::BoxFuture;

/// Runs futures and knows how long things take.
pub trait Runtime: Send + Sync + 'static {
    /// Runs a future to its end in the background.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Runs a committer lane, which may block its thread inside a poll.
    fn spawn_lane(&self, lane: BoxFuture<'static, ()>);

    /// Whether a commit may block the calling thread: it is none that drives everything else, such as an event loop's.
    /// Provided: no thread but a lane's.
    fn may_block_here(&self) -> bool {
        false
    }

    /// Resolves after this long.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Time that passed since some fixed point; never goes back.
    fn now(&self) -> Duration;

    /// 64 random bits.
    fn random(&self) -> u64;
}

/// Tokio, the machine's monotonic clock, and a thread for each lane.
#[derive(Debug)]
pub struct TokioRuntime {
    handle: tokio::runtime::Handle,
    started: Instant,
}

impl TokioRuntime {
    /// The tokio runtime that the caller runs in.
    ///
    /// # Errors
    /// When there is none.
    pub fn current() -> Result<Self, tokio::runtime::TryCurrentError> {
        Ok(Self { handle: tokio::runtime::Handle::try_current()?, started: Instant::now() })
    }
}

impl Runtime for TokioRuntime {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(self.handle.spawn(task));
    }

    fn spawn_lane(&self, lane: BoxFuture<'static, ()>) {
        let handle = self.handle.clone();
        let spawned = std::thread::Builder::new().name("stent-commit".into()).spawn(move || {
            // Sleeps, and what a store on a network awaits, are driven by the runtime that the engine lives in.
            let _entered = handle.enter();
            drive_here(lane);
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "the committer's thread could not start");
        }
    }

    /// On a tokio runtime with other threads to go on. A thread without any may be the event loop of something else.
    fn may_block_here(&self) -> bool {
        tokio::runtime::Handle::try_current().is_ok_and(|here| {
            here.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread && here.metrics().num_workers() > 1
        })
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _entered = self.handle.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}

/// How long a lane that has just been at work looks for more before its thread sleeps. Whoever awaits one write after
/// another asks again within microseconds, while waking a sleeping thread costs tens of them.
const LOOK_AGAIN: Duration = Duration::from_micros(50);

struct ThisThread {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for ThisThread {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Drives a future on this thread, which it may block.
fn drive_here(mut future: BoxFuture<'static, ()>) {
    let this = Arc::new(ThisThread { thread: std::thread::current(), woken: AtomicBool::new(true) });
    let waker = Waker::from(Arc::clone(&this));
    loop {
        if this.woken.swap(false, Ordering::AcqRel) {
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                return;
            }
            let rested = Instant::now();
            while !this.woken.load(Ordering::Acquire) && rested.elapsed() < LOOK_AGAIN {
                std::thread::yield_now();
            }
        } else {
            std::thread::park();
        }
    }
}

/// What came first: a future, or the end of its time.
pub(crate) async fn within<T>(
    runtime: &dyn Runtime,
    limit: Duration,
    future: impl Future<Output = T> + Send,
) -> Option<T> {
    let mut sleep = runtime.sleep(limit);
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
            return std::task::Poll::Ready(Some(value));
        }
        sleep.as_mut().poll(cx).map(|()| None)
    })
    .await
}

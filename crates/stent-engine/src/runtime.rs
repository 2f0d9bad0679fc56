//! Where futures run, and where pacing and chance come from. One seam, so that a test can put a seeded scheduler and
//! virtual time in place of tokio and the machine's clock. Truth about time is the store's; this is only for pacing.

use std::future::Future;
use std::time::{Duration, Instant};

use stent_core::store::BoxFuture;

/// Runs futures and knows how long things take.
pub trait Runtime: Send + Sync + 'static {
    /// Runs a future to its end in the background.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Runs a committer lane, which may block its thread inside a poll.
    fn spawn_lane(&self, lane: BoxFuture<'static, ()>);

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
        let spawned = std::thread::Builder::new().name("stent-commit".into()).spawn(move || {
            // A store on a network needs a reactor on the very thread that drives its lane.
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(lane),
                Err(error) => tracing::error!(%error, "the committer's thread could not start"),
            }
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "the committer's thread could not start");
        }
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

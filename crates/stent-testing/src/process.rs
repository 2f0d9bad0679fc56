//! A process of a test: the engine's futures run on the ambient tokio, their sleeps in the test's time. Every future
//! is watched, so that it is known whether any of them still has something to do; killing the process drops them all
//! wherever they stand.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use stent_core::store::BoxFuture;
use stent_engine::{Engine, Runtime};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::Time;

/// Where the futures of one process run.
pub struct Process {
    time: Arc<Time>,
    handle: Handle,
    /// None once it was killed.
    futures: Mutex<Option<JoinSet<()>>>,
    /// What its engine is watched as.
    watched: Mutex<Option<u64>>,
}

impl Process {
    /// One that goes by `time`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(time: &Arc<Time>) -> Arc<Self> {
        let futures = Mutex::new(Some(JoinSet::new()));
        Arc::new(Self { time: Arc::clone(time), handle: Handle::current(), futures, watched: Mutex::default() })
    }

    /// Time stands still while this engine, the process's own, is not idle.
    pub fn watch(&self, engine: &Engine) {
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.time.watch(engine));
    }

    /// Drops every future of the process, wherever it stands, and waits until they are gone.
    pub async fn kill(&self) {
        if let Some(mut futures) = self.stop() {
            futures.shutdown().await;
        }
    }

    /// Takes every future of the process away; they end when what is returned is dropped.
    pub fn stop(&self) -> Option<JoinSet<()>> {
        if let Some(number) = self.watched.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.time.forget(number);
        }
        self.futures.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Runtime for Process {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let mut futures = self.futures.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(futures) = &mut *futures else { return };
        while futures.try_join_next().is_some() {}
        drop(futures.spawn_on(Watched::new(&self.time, task), &self.handle));
    }

    fn spawn_lane(&self, lane: BoxFuture<'static, ()>) {
        self.spawn(lane);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.time.sleep(duration, false))
    }

    fn now(&self) -> Duration {
        self.time.elapsed()
    }

    fn random(&self) -> u64 {
        self.time.random()
    }
}

/// A future that counts as busy from the moment it is woken until it has been polled.
pub struct Watched<F> {
    future: Pin<Box<F>>,
    ready: Arc<Ready>,
}

struct Ready {
    time: Arc<Time>,
    is_set: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl<F: Future> Watched<F> {
    /// Watches a future; it counts as woken.
    #[must_use]
    pub fn new(time: &Arc<Time>, future: F) -> Self {
        time.becomes_busy();
        let ready = Ready { time: Arc::clone(time), is_set: AtomicBool::new(true), waker: Mutex::new(None) };
        Self { future: Box::pin(future), ready: Arc::new(ready) }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let ready = Arc::clone(&self.ready);
        *ready.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        if !ready.is_set.swap(false, Ordering::AcqRel) {
            ready.time.becomes_busy();
        }
        let waker = Waker::from(Arc::clone(&ready));
        let polled = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        ready.time.becomes_quiet();
        polled
    }
}

impl<F> Drop for Watched<F> {
    fn drop(&mut self) {
        // From now on a wake counts for nothing.
        if self.ready.is_set.swap(true, Ordering::AcqRel) {
            self.ready.time.becomes_quiet();
        }
    }
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_set.swap(true, Ordering::AcqRel) {
            self.time.becomes_busy();
        }
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake_by_ref();
        }
    }
}

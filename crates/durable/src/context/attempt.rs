//! One attempt in hand, as all parts of its code share it: whether the engine stopped it, and the failure that ends it
//! although its code goes on waiting (a durable call whose return type has no place for that failure does not return).

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

use stent_core::{Failure, Payload};
use stent_engine::{AttemptError, Interrupt};
use tokio::task::AbortHandle;
use tracing::Span;

use crate::task_error::TaskError;

/// What there is once for each attempt.
pub(crate) struct Attempt {
    /// The engine has stopped the code.
    interrupted: AtomicBool,
    /// What the span was told last.
    pub(super) replaying: AtomicBool,
    pub(super) span: Span,
    /// Whether `ending` is set.
    ends: AtomicBool,
    ending: Mutex<Option<Failure>>,
    /// Parts of the code that the runtime runs beside it.
    branches: Mutex<Branches>,
}

#[derive(Default)]
struct Branches {
    handles: Vec<AbortHandle>,
    /// Whoever polls the code itself.
    driver: Option<Waker>,
    /// The code is over: nothing runs beside it any more.
    closed: bool,
}

impl Attempt {
    pub(super) fn new(is_replaying: bool, span: Span) -> Self {
        Self {
            interrupted: AtomicBool::new(false),
            replaying: AtomicBool::new(is_replaying),
            span,
            ends: AtomicBool::new(false),
            ending: Mutex::default(),
            branches: Mutex::default(),
        }
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    pub(crate) fn stop(&self, interrupt: Interrupt) -> TaskError {
        self.interrupted.store(true, Ordering::Release);
        TaskError::stopped(interrupt)
    }

    /// Ends the attempt with this failure, whatever its code still waits for. The first stands.
    pub(crate) fn end_with(&self, failure: Failure) {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.ends.store(true, Ordering::Release);
        let branches = self.branches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = &branches.driver {
            driver.wake_by_ref();
        }
    }

    /// A part of the code runs beside it, until the attempt ends.
    pub(crate) fn add_branch(&self, handle: AbortHandle) {
        let mut branches = self.branches.lock().unwrap_or_else(PoisonError::into_inner);
        if branches.closed {
            return handle.abort();
        }
        branches.handles.retain(|handle| !handle.is_finished());
        branches.handles.push(handle);
    }

    /// Runs the attempt's code to its end, or to the failure that ends it before.
    pub(crate) async fn guard(
        &self,
        code: impl Future<Output = Result<Payload, TaskError>>,
    ) -> Result<Payload, AttemptError> {
        let _branches = EndsBranches(self);
        let mut code = pin!(code);
        poll_fn(|cx| {
            let polled = code.as_mut().poll(cx);
            {
                let mut branches = self.branches.lock().unwrap_or_else(PoisonError::into_inner);
                if !branches.handles.is_empty() {
                    branches.driver = Some(cx.waker().clone());
                }
            }
            if self.ends.load(Ordering::Acquire)
                && let Some(failure) = self.ending.lock().unwrap_or_else(PoisonError::into_inner).take()
            {
                return Poll::Ready(Err(AttemptError::Failed(failure)));
            }
            polled.map_err(|error| error.into_attempt(self.is_interrupted()))
        })
        .await
    }
}

/// Stops what runs beside the code once that is over.
struct EndsBranches<'a>(&'a Attempt);

impl Drop for EndsBranches<'_> {
    fn drop(&mut self) {
        let mut branches = self.0.branches.lock().unwrap_or_else(PoisonError::into_inner);
        branches.closed = true;
        for handle in branches.handles.drain(..) {
            handle.abort();
        }
    }
}

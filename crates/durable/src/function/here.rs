//! Where code runs: inside a durable function, inside a step's body, in a client's scope, or as written. Known while a
//! future is polled and only then, so that it travels with the future through `join!` and `select!`, and not into a
//! `tokio::spawn`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::runtime::{Handle, Id};

use crate::client::Durable;
use crate::context::TaskContext;

use super::plain::PlainRun;

thread_local! {
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
}

/// Where code runs.
#[derive(Clone)]
pub(crate) enum Here {
    /// Inside a durable function, or a task's own code.
    Inside(Arc<TaskContext>),
    /// Inside a step's body, which is recorded as a whole.
    Step(Arc<TaskContext>),
    /// In a client's scope: calls are dispatched.
    Client(Durable),
    /// As written: calls are plain calls.
    Plain(Arc<PlainRun>),
}

impl Here {
    /// Where the calling code runs, as far as anybody has said.
    pub(crate) fn get() -> Option<Self> {
        HERE.with_borrow(Clone::clone)
    }

    /// Where a call that is made now belongs. Nobody has said: on the process's default client if there is one, else
    /// nowhere.
    ///
    /// # Errors
    /// [`Astray`] in a future that a worker's runtime runs by itself: whether it is part of a durable function
    /// cannot be seen, and a call of one that is not recorded would be made again by each replay.
    pub(crate) fn find() -> Result<Self, Astray> {
        if let Some(here) = Self::get() {
            return Ok(here);
        }
        if is_astray() {
            return Err(Astray);
        }
        Ok(match Durable::default_client() {
            Some(client) => Self::Client(client),
            None => Self::Plain(Arc::default()),
        })
    }

    /// The durable function whose code this is, outside of its steps.
    pub(crate) fn inside() -> Option<Arc<TaskContext>> {
        HERE.with_borrow(|here| match here {
            Some(Self::Inside(context)) => Some(Arc::clone(context)),
            _ => None,
        })
    }

    /// Runs a step's body, which is no place for durable calls.
    pub(crate) async fn in_step<F: Future>(body: F) -> F::Output {
        match Self::inside() {
            Some(context) => Self::Step(context).run(body).await,
            None => body.await,
        }
    }

    /// Runs a future here.
    pub(crate) async fn run<F: Future>(self, future: F) -> F::Output {
        let mut here = Some(self);
        let mut future = pin!(future);
        poll_fn(|cx| {
            let _entered = Entered::swap(&mut here);
            future.as_mut().poll(cx)
        })
        .await
    }
}

/// Code of which nobody knows where it belongs.
#[derive(Debug)]
pub(crate) struct Astray;

impl Astray {
    pub(crate) const WORDS: &str = "a durable call was made in a future that the runtime of a worker runs by itself, \
         where nobody can see which durable function it belongs to: start such a future with `durable::spawn`, or, if \
         it belongs to none, use `client.dispatch(..)` or `client.scope(..)`";
}

/// Puts a place into the thread while a future is polled, and back after.
struct Entered<'h>(&'h mut Option<Here>);

impl<'h> Entered<'h> {
    fn swap(here: &'h mut Option<Here>) -> Self {
        HERE.with_borrow_mut(|current| std::mem::swap(current, here));
        Self(here)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        HERE.with_borrow_mut(|current| std::mem::swap(current, self.0));
    }
}

/// The runtimes that workers run on, and how many on each.
static WORKERS: LazyLock<Mutex<HashMap<Id, usize>>> = LazyLock::new(Mutex::default);

/// A worker on this runtime, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct WorkersRuntime(Option<Id>);

impl WorkersRuntime {
    /// Of a worker that could not start.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    pub(crate) fn enter() -> Self {
        let id = Handle::try_current().ok().map(|handle| handle.id());
        if let Some(id) = id {
            *WORKERS.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_insert(0) += 1;
        }
        Self(id)
    }
}

impl Drop for WorkersRuntime {
    fn drop(&mut self) {
        let Some(id) = self.0 else { return };
        let mut workers = WORKERS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = workers.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                workers.remove(&id);
            }
        }
    }
}

/// Whether this is a spawned future of a runtime that a worker runs on. The future that a program gives its runtime to
/// begin with (`main`, a test) is none.
fn is_astray() -> bool {
    tokio::task::try_id().is_some()
        && Handle::try_current()
            .is_ok_and(|handle| WORKERS.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&handle.id()))
}

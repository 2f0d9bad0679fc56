//! Code of a durable function that runs beside it, on another thread: with a numbered scope of its own, so that neither
//! disturbs the other's order of calls.

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polled, Poll};

use tokio::task::JoinHandle;

use super::call::find;
use super::here::Here;

/// Runs a future beside this one on the runtime, as `tokio::spawn` does, as a part of the durable function whose code
/// this is: its durable calls are recorded in a numbered scope of their own. It ends with the function at the latest.
///
/// ```
/// #[durable::function]
/// async fn count(pages: u64) -> u64 {
///     pages * 300
/// }
///
/// #[durable::function]
/// async fn count_both() -> u64 {
///     let left = durable::spawn(async { count(3).await });
///     let right = count(4).await;
///     left.await + right
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let executor = durable::testing::Executor::new().await;
/// # assert_eq!(executor.dispatch(count_both, ()).await.unwrap().wait(None).await.unwrap(), 2_100);
/// # }
/// ```
///
/// # Panics
/// Outside of a tokio runtime.
pub fn spawn<Fut>(future: Fut) -> Branch<Fut::Output>
where
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    let here = match find() {
        Here::Inside(context) => match context.branch("spawn") {
            Ok(branch) => Here::Inside(Arc::new(branch)),
            // A fixed name breaks no rule.
            Err(_) => Here::Inside(context),
        },
        other => other,
    };
    let attempt = match &here {
        Here::Inside(context) | Here::Step(context) => Some(context.attempt_in_hand()),
        _ => None,
    };
    let handle = tokio::spawn(here.run(future));
    if let Some(attempt) = attempt {
        attempt.add_branch(handle.abort_handle());
    }
    Branch(handle)
}

/// A future that runs beside the code that [spawned](spawn) it; awaited, it gives what that came to. A panic in it is
/// one in whoever awaits it. Dropped, it runs on until the function ends.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let beside: durable::Branch<u64> = durable::spawn(async { 6 * 7 });
/// assert_eq!(beside.await, 42);
/// # }
/// ```
pub struct Branch<T>(JoinHandle<T>);

impl<T> Future for Branch<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Polled<'_>) -> Poll<T> {
        match Pin::new(&mut self.0).poll(cx) {
            Poll::Ready(Ok(value)) => Poll::Ready(value),
            Poll::Ready(Err(stopped)) => match stopped.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Stopped with the function: whoever waits for it is being dropped too.
                Err(_) => Poll::Pending,
            },
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for Branch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Branch").finish_non_exhaustive()
    }
}

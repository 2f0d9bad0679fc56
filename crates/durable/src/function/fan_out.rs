//! One function over many items. Inside of a durable function all children that may run at once are asked in one poll
//! of the code, so they share a commit.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use stent_core::Failure;

use super::Function;
use super::call::FunctionCall;
use super::outcome::Fallible;

/// A durable function over many items, made by [`Callable::map`](crate::Callable::map). Awaited, it gives what every
/// call returned, in the order of the items; [`try_all`](Self::try_all) gives the values, or the first failure once the
/// rest have settled.
///
/// A failure that has no place in the function's return type (see [`FunctionCall`]) ends the caller the same way,
/// after the rest have settled.
///
/// ```
/// #[durable::function]
/// async fn resize(image: String) -> u64 {
///     image.len() as u64
/// }
///
/// #[durable::function]
/// async fn resize_all(images: Vec<String>) -> u64 {
///     resize.map(images).max_parallel(8).await.into_iter().sum()
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let executor = durable::testing::Executor::new().await;
/// # let images: Vec<String> = vec!["a".into(), "bb".into(), "ccc".into()];
/// # assert_eq!(executor.dispatch(resize_all, images).await.unwrap().wait(None).await.unwrap(), 6);
/// # }
/// ```
#[must_use = "nothing starts before it is awaited"]
pub struct FunctionMap<F: Function> {
    args: Vec<F::Args>,
    max_parallel: usize,
}

impl<F: Function> FunctionMap<F> {
    pub(super) fn new(args: Vec<F::Args>) -> Self {
        Self { args, max_parallel: usize::MAX }
    }

    /// At most this many at once (at least one); all of them unless told otherwise.
    pub fn max_parallel(mut self, most: usize) -> Self {
        self.max_parallel = most.max(1);
        self
    }

    /// All values in the order of the items, or the first failure in that order once the rest have settled.
    ///
    /// # Errors
    /// The first failure.
    pub async fn try_all(self) -> Result<Vec<<F::Output as Fallible>::Value>, <F::Output as Fallible>::Error>
    where
        F::Output: Fallible,
    {
        self.into_future().await.into_iter().map(Fallible::into_result).collect()
    }

    async fn drive(self) -> Vec<F::Output> {
        let mut kept: Vec<Option<F::Output>> = Vec::new();
        kept.resize_with(self.args.len(), || None);
        let mut failed: Option<(usize, FunctionCall<F>, Box<Failure>)> = None;
        let mut waiting = self.args.into_iter().enumerate();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.max_parallel
                && let Some((place, args)) = waiting.next()
            {
                let mut call = Some(FunctionCall::<F>::new(args));
                running.push(poll_fn(move |cx| {
                    let Some(asked) = &mut call else { return std::task::Poll::Pending };
                    asked.poll_outcome(cx).map(|outcome| (place, outcome, call.take()))
                }));
            }
            let Some((place, outcome, call)) = running.next().await else { break };
            match (outcome, call) {
                (Ok(output), _) => kept[place] = Some(output),
                (Err(failure), Some(call)) if failed.as_ref().is_none_or(|(first, ..)| place < *first) => {
                    failed = Some((place, call, failure));
                }
                (Err(_), _) => {}
            }
        }
        if let Some((_, call, failure)) = failed {
            call.refuse(failure);
            std::future::pending::<()>().await;
        }
        kept.into_iter().flatten().collect()
    }
}

impl<F: Function> IntoFuture for FunctionMap<F> {
    type Output = Vec<F::Output>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.drive())
    }
}

impl<F: Function> fmt::Debug for FunctionMap<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionMap")
            .field("function", &F::meta().name())
            .field("items", &self.args.len())
            .field("max_parallel", &self.max_parallel)
            .finish()
    }
}

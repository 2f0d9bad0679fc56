//! The call of a durable function: what calling one gives. Made inside of a durable function it is a child from that
//! moment on, so that its place does not depend on who polls first; made elsewhere it begins, as any async call does,
//! when it is first polled.
//!
//! Invariant: it resolves with what the function returned, or not at all.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polled, Poll};

use stent_core::store::BoxFuture;
use stent_core::{Failure, Name, TaskId};

use super::fan_out::FunctionMap;
use super::here::{Astray, Here};
use super::meta::FunctionMeta;
use super::outcome::Ended;
use super::spec;
use super::{Arguments, Function, IntoArguments};
use crate::client::Durable;
use crate::context::TaskContext;
use crate::task::TaskHandle;
use crate::task_error::{TaskError, TaskResult};

/// What the name of an annotated function stands for: it is called like the function that was written, and has these
/// methods beside.
///
/// ```
/// #[durable::function]
/// async fn double(n: u64) -> u64 {
///     2 * n
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // There is no executor here, so this runs as written.
/// assert_eq!(double(4).await, 8);
/// assert_eq!(double.map([1, 2, 3]).await, [2, 4, 6]);
/// assert!(double.meta().name().ends_with(":double"));
/// # }
/// ```
pub struct Callable<F, C> {
    call: C,
    function: PhantomData<fn() -> F>,
}

impl<F: Function, C> Callable<F, C> {
    #[doc(hidden)]
    pub const fn new(call: C) -> Self {
        Self { call, function: PhantomData }
    }

    /// Its name and options.
    #[must_use]
    pub fn meta(&self) -> &'static FunctionMeta {
        F::meta()
    }

    /// Calls it once for each item and gives the results in the order of the items; all the children are written in
    /// one batch. An item is the function's argument, or a tuple of them. See [`FunctionMap`] for a cap and for what
    /// happens to failures.
    ///
    /// ```
    /// #[durable::function]
    /// async fn charge(order: String, cents: u64) -> Result<String, String> {
    ///     if cents == 0 { Err("nothing to charge".into()) } else { Ok(order) }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let orders = [("a".to_owned(), 5), ("b".to_owned(), 0)];
    /// let outcomes = charge.map(orders.clone()).max_parallel(8).await;
    /// assert_eq!(outcomes, [Ok("a".to_owned()), Err("nothing to charge".to_owned())]);
    /// let all: Result<Vec<String>, String> = charge.map(orders).try_all().await;
    /// assert_eq!(all.unwrap_err(), "nothing to charge");
    /// # }
    /// ```
    pub fn map<I>(&self, items: I) -> FunctionMap<F>
    where
        I: IntoIterator,
        I::Item: IntoArguments<F::Args>,
    {
        FunctionMap::new(items.into_iter().map(IntoArguments::into_arguments).collect())
    }
}

impl<F, C> Deref for Callable<F, C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.call
    }
}

impl<F: Function, C> fmt::Debug for Callable<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Callable").field(&F::meta().name()).finish()
    }
}

/// A call of a durable function, which resolves with what the function returns.
///
/// Inside of a durable function it is a child: it has begun when this is made, it survives crashes, and several run
/// beside each other under `join!` and `select!`. Outside it is dispatched and awaited by the process's default
/// client ([`make_default`](crate::DurableBuilder::make_default)) or that of the [scope](crate::Durable::scope); with
/// neither it is the plain call that was written.
///
/// What ends a call otherwise than by the function's own result (a panic, a timeout, a cancel, out of attempts) is an
/// `Err` where the return type has a place for it: `Result<_, TaskError>`, or `Result<_, E>` with `E: From<Failure>`.
/// Where it has none the call does not return: inside of a durable function that function's attempt fails with this
/// failure, outside the caller panics with it ([`Durable::dispatch`] gives it as a value instead).
///
/// ```
/// #[durable::function]
/// async fn greet(name: String) -> String {
///     format!("Hello, {name}!")
/// }
///
/// #[durable::function]
/// async fn greet_both() -> String {
///     let ann = greet("Ann".into()); // a `FunctionCall`: both have begun before the first is awaited
///     let bob = greet("Bob".into());
///     format!("{} {}", ann.await, bob.await)
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let executor = durable::testing::Executor::new().await;
/// let greeted = executor.dispatch(greet_both, ()).await.unwrap().wait(None).await.unwrap();
/// assert_eq!(greeted, "Hello, Ann! Hello, Bob!");
/// # }
/// ```
#[must_use = "a call that is not awaited is given up"]
pub struct FunctionCall<F: Function>(State<F>);

enum State<F: Function> {
    /// Made outside of any durable function, and not polled yet.
    New(Option<F::Args>),
    /// A child of the task whose code made the call.
    Child(Arc<TaskContext>, TaskHandle<()>),
    /// It could not be made a child.
    Refused(Arc<TaskContext>, Option<TaskError>),
    /// Dispatched, or run as written.
    Elsewhere(BoxFuture<'static, F::Output>),
}

/// Nothing in it is pinned in place.
impl<F: Function> Unpin for FunctionCall<F> {}

impl<F: Function> FunctionCall<F> {
    #[doc(hidden)]
    pub fn new(args: F::Args) -> Self {
        match Here::get() {
            Some(Here::Inside(context)) => Self(State::child(context, &args)),
            Some(Here::Step(context)) => Self(State::Refused(context, Some(in_step(F::meta().name())))),
            _ => Self(State::New(Some(args))),
        }
    }

    /// What it came to: the function's own result, or the failure that has no place in that.
    pub(super) fn poll_outcome(&mut self, cx: &mut Polled<'_>) -> Poll<Result<F::Output, Box<Failure>>> {
        loop {
            match &mut self.0 {
                State::New(args) => match args.take() {
                    Some(args) => self.0 = State::begin(args),
                    None => return Poll::Pending,
                },
                State::Child(context, child) => {
                    must_be_at_home(context);
                    let calls = context.calls();
                    let Poll::Ready(ended) = Pin::new(&mut child.call).poll(cx) else { return Poll::Pending };
                    return match ended {
                        Ok(delivery) => {
                            calls.mark_replay();
                            Poll::Ready(F::read(Ended::of_delivery(F::meta().name(), child.task_id, &delivery)))
                        }
                        Err(interrupt) => {
                            drop(calls.attempt.stop(interrupt));
                            // The code is stopped here: it is dropped where it stands.
                            Poll::Pending
                        }
                    };
                }
                State::Refused(context, error) => {
                    if let Some(error) = error.take() {
                        context.refuse(&error);
                    }
                    return Poll::Pending;
                }
                State::Elsewhere(future) => return future.as_mut().poll(cx).map(Ok),
            }
        }
    }

    /// Ends the task in hand with a failure that its code has no place for.
    pub(super) fn refuse(&self, failure: Box<Failure>) {
        if let State::Child(context, child) = &self.0 {
            context.refuse(&TaskError::Child { name: F::meta().name().to_owned(), task_id: child.task_id, failure });
        }
    }
}

impl<F: Function> State<F> {
    fn begin(args: F::Args) -> Self {
        match find() {
            Here::Inside(context) => Self::child(context, &args),
            Here::Step(context) => Self::Refused(context, Some(in_step(F::meta().name()))),
            Here::Client(client) => Self::Elsewhere(Box::pin(dispatched::<F>(client, args))),
            Here::Plain(run) => Self::Elsewhere(Box::pin(Here::Plain(run).run(F::run(args)))),
        }
    }

    fn child(context: Arc<TaskContext>, args: &F::Args) -> Self {
        match start_child::<F>(&context, args) {
            Ok(child) => Self::Child(context, child),
            Err(error) => Self::Refused(context, Some(error)),
        }
    }
}

fn start_child<F: Function>(context: &TaskContext, args: &F::Args) -> TaskResult<TaskHandle<()>> {
    let meta = F::meta();
    let payload = args.write().map_err(TaskError::invalid)?;
    let memo = spec::memo_inside::<F>(args, &payload, context)?;
    let name = Name::new("function", meta.name()).map_err(TaskError::invalid)?;
    spec::child(meta, context)?.with_memo(memo).start(context.calls(), &name, payload)
}

/// Dispatches a call and waits for its end.
async fn dispatched<F: Function>(client: Durable, args: F::Args) -> F::Output {
    let ended = match client.dispatch_of::<F>(args).start().await {
        Ok(execution) => execution.ended().await,
        Err(error) => Ended::new(F::meta().name(), TaskId::from_bytes([0; 16]), Err(Box::new(error.to_failure()))),
    };
    match F::read(ended) {
        Ok(output) => output,
        Err(failure) => fail_loudly(&format!("{}: {failure}", F::meta().name())),
    }
}

/// Why a durable call cannot be made in a step's body: a replay would not make it again.
pub(super) fn in_step(name: &str) -> TaskError {
    TaskError::invalid(format!(
        "\"{name}\" is called inside of a step, which is recorded as a whole: call it before or after"
    ))
}

/// Where a call belongs that is made now.
///
/// # Panics
/// Where nobody can see it: see [`Here::find`].
pub(super) fn find() -> Here {
    Here::find().unwrap_or_else(|Astray| fail_loudly(Astray::WORDS))
}

/// A call of one durable function is only awaited by its own code.
pub(super) fn must_be_at_home(context: &TaskContext) {
    let at_home = match Here::get() {
        Some(Here::Inside(here) | Here::Step(here)) => here.is_same_attempt(context),
        _ => false,
    };
    if !at_home {
        fail_loudly(Astray::WORDS);
    }
}

/// What cannot be said by a call that may return anything.
#[expect(clippy::panic, reason = "a call returns what its function returns, which may have no place for a failure")]
pub(super) fn fail_loudly(words: &str) -> ! {
    panic!("{words}")
}

impl<F: Function> Future for FunctionCall<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Polled<'_>) -> Poll<F::Output> {
        match self.poll_outcome(cx) {
            Poll::Ready(Ok(output)) => Poll::Ready(output),
            Poll::Ready(Err(failure)) => {
                self.refuse(failure);
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<F: Function> fmt::Debug for FunctionCall<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FunctionCall").field(&F::meta().name()).finish()
    }
}

//! What the code of a durable function calls, wherever in it: the context is found, not handed around. Inside of a
//! durable function each call is recorded, and its place in the history is that of the moment at which it was made;
//! without an engine each does the plain thing, so that unit tests need none.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stent_core::store::BoxFuture;
use stent_core::{Failure, FailureKind, Name, Payload, TaskId, Timestamp};
use uuid::Uuid;

use super::call::{find, in_step, must_be_at_home};
use super::call_error::CallError;
use super::entry::FunctionEntry;
use super::here::Here;
use super::spans::{IntoSpan, IntoTimeout};
use super::{plain, spec};
use crate::client::Durable;
use crate::context::{Child, SpawnDefaults, TaskContext};
use crate::error::DurableError;
use crate::failure::StepError;
use crate::options::SpawnOptions;
use crate::task_error::{TaskError, TaskResult};

const NOBODY: &str = "there is no executor here, so nothing can come of it";

/// A wait for a signal or an event.
type Wait<T> = BoxFuture<'static, Result<T, CallError>>;

/// What a call on the context came to. Control flow, and calls that cannot be carried out, end the code here.
pub(super) async fn shown<T>(
    context: Arc<TaskContext>,
    asked: impl Future<Output = TaskResult<T>>,
) -> Result<T, CallError> {
    must_be_at_home(&context);
    match asked.await.map_err(CallError::of) {
        Ok(value) => Ok(value),
        Err(Ok(error)) => Err(error),
        Err(Err(hidden)) => stopped(&context, &hidden).await,
    }
}

/// The end of code that is dropped where it stands.
pub(super) async fn stopped<T>(context: &TaskContext, error: &TaskError) -> T {
    context.refuse(error);
    pending().await
}

/// Asks the task in hand at once, or, where the future is made elsewhere, whatever it is first polled in.
pub(super) fn asked<T, Fut, Else>(
    what: &'static str,
    ask: impl FnOnce(&TaskContext) -> Fut + Send,
    elsewhere: impl FnOnce(Here) -> Else + Send,
) -> impl Future<Output = Result<T, CallError>> + Send
where
    T: Send,
    Fut: Future<Output = TaskResult<T>> + Send,
    Else: Future<Output = Result<T, CallError>> + Send,
{
    let begun = match Here::inside() {
        Some(context) => {
            let future = ask(&context);
            Ok((context, future))
        }
        None => Err(ask),
    };
    async move {
        let (context, future) = match begun {
            Ok(begun) => begun,
            Err(ask) => match find() {
                Here::Inside(context) => {
                    let future = ask(&context);
                    (context, future)
                }
                Here::Step(context) => return stopped(&context, &in_step(what)).await,
                outside => return elsewhere(outside).await,
            },
        };
        shown(context, future).await
    }
}

/// Sleeps, through crashes and for as long as you like; a sleeping function holds no worker's slot.
///
/// ```
/// #[durable::function]
/// async fn remind(to: String) -> String {
///     durable::sleep("30d").await;
///     durable::sleep(std::time::Duration::from_secs(5)).await;
///     to
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let executor = durable::testing::Executor::new().await;
/// # assert_eq!(executor.dispatch(remind, "ann".to_owned()).await.unwrap().wait(None).await.unwrap(), "ann");
/// # }
/// ```
///
/// Text that is no duration fails the function for good.
pub fn sleep<S: IntoSpan>(span: S) -> impl Future<Output = ()> + Send + use<S> {
    let span = span.into_span().map_err(TaskError::invalid);
    let plainly = span.clone();
    let slept = asked(
        "sleep",
        |context| {
            let slept = span.map(|span| context.sleep_for("sleep", span));
            async move { slept?.await }
        },
        |_| async move {
            match plainly {
                Ok(span) => tokio::time::sleep(span).await,
                Err(error) => super::call::fail_loudly(&error.to_string()),
            }
            Ok(())
        },
    );
    async move { drop(slept.await) }
}

/// Sleeps until a time; one that has passed does not sleep.
///
/// ```
/// #[durable::function]
/// async fn at_noon() {
///     let noon = durable::now() + std::time::Duration::from_secs(3_600);
///     durable::sleep_until(noon).await;
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let executor = durable::testing::Executor::new().await;
/// # executor.dispatch(at_noon, ()).await.unwrap().wait(None).await.unwrap();
/// # }
/// ```
pub fn sleep_until<M: Into<Timestamp>>(time: M) -> impl Future<Output = ()> + Send + use<M> {
    let time = time.into();
    let slept = asked(
        "sleep",
        move |context| context.sleep_until("sleep", time),
        move |_| async move {
            tokio::time::sleep(time.since(plain::now())).await;
            Ok(())
        },
    );
    async move { drop(slept.await) }
}

/// Runs a piece of code and records what it comes to: whatever happens after, it is not run again. For effects on the
/// outside world that are not worth a function of their own. See [`TaskContext::step`].
///
/// ```
/// #[durable::function]
/// async fn pay(cents: u64) -> Result<u16, durable::CallError> {
///     let key = durable::uuid();
///     durable::step("charge", || async move {
///         // The same key, should the process die in here: the bank knows the repetition.
///         let _ = (key, cents);
///         Ok(200)
///     })
///     .await
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # assert_eq!(pay(5).await, Ok(200));
/// # let executor = durable::testing::Executor::new().await;
/// # assert_eq!(executor.dispatch(pay, 5_u64).await.unwrap().wait(None).await.unwrap(), Ok(200));
/// # }
/// ```
///
/// # Errors
/// [`CallError::Failed`] with what the body failed with.
pub fn step<T, F, Fut>(name: &str, body: F) -> impl Future<Output = Result<T, CallError>> + Send + use<T, F, Fut>
where
    F: FnOnce() -> Fut + Send,
    Fut: Future<Output = Result<T, StepError>> + Send,
    T: Serialize + DeserializeOwned + Send,
{
    let name = name.to_owned();
    let begun = Here::inside().map(|context| (context.begin(&name), context));
    async move {
        let (begun, context) = match begun {
            Some(begun) => begun,
            None => match find() {
                Here::Inside(context) => (context.begin(&name), context),
                Here::Step(context) => return stopped(&context, &in_step(&name)).await,
                _ => return body().await.map_err(|error| CallError::failed(&name, error)),
            },
        };
        shown(context, async move { begun?.run(body).await }).await
    }
}

/// Waits for a signal to this execution, for at most `timeout` (`"3d"`, a `Duration`, or `None`). Signals of one name
/// are taken one by one, in order; one that came before is there.
///
/// ```
/// #[durable::function]
/// async fn decide() -> bool {
///     durable::wait_for_signal("approve", "3d").await.unwrap_or(false)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// let executor = durable::testing::Executor::new().await;
/// let execution = executor.dispatch(decide, ()).await?;
/// execution.signal("approve", &true).await?;
/// assert!(execution.wait(None).await?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`CallError::TimedOut`]; [`CallError::Failed`] when what came does not fit `T`.
pub fn wait_for_signal<T: DeserializeOwned + Send + 'static>(name: &str, timeout: impl IntoTimeout) -> Wait<T> {
    let timeout = timeout.into_timeout().map_err(TaskError::invalid);
    let (of_task, of_nobody) = (name.to_owned(), name.to_owned());
    let waited = asked(
        "wait_for_signal",
        move |context| {
            let waited = timeout.map(|timeout| context.wait_for_signal::<T>(&of_task, timeout));
            async move { waited?.await }
        },
        move |_| async move { Err(CallError::failed(&of_nobody, NOBODY)) },
    );
    Box::pin(waited)
}

/// Waits for an event of the function's queue, as [`wait_for_signal`] does for a signal; every execution that waits for
/// it gets it.
///
/// ```
/// #[durable::function]
/// async fn tracking(order: u64) -> Option<String> {
///     durable::wait_for_event(&format!("packed:{order}"), "7d").await.ok()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// let executor = durable::testing::Executor::new().await;
/// let execution = executor.dispatch(tracking, 7_u64).await?;
/// executor.emit_event("packed:7", "1Z999", None).await?;
/// assert_eq!(execution.wait(None).await?, Some("1Z999".to_owned()));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`wait_for_signal`].
pub fn wait_for_event<T: DeserializeOwned + Send + 'static>(name: &str, timeout: impl IntoTimeout) -> Wait<T> {
    let timeout = timeout.into_timeout().map_err(TaskError::invalid);
    let (of_task, of_nobody) = (name.to_owned(), name.to_owned());
    let waited = asked(
        "wait_for_event",
        move |context| {
            let waited = timeout.map(|timeout| context.await_event::<T>(&of_task, timeout));
            async move { waited?.await }
        },
        move |_| async move { Err(CallError::failed(&of_nobody, NOBODY)) },
    );
    Box::pin(waited)
}

/// Gives a signal to an execution, once: a replay does not send it again. It is kept until a wait takes it.
///
/// ```
/// use durable::TaskId;
///
/// #[durable::function]
/// async fn approve(order: TaskId) -> Result<(), durable::CallError> {
///     durable::signal(order, "approve", &true).await
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let executor = durable::testing::Executor::new().await;
/// # let nobody = TaskId::from_bytes([7; 16]);
/// # assert!(executor.dispatch(approve, nobody).await.unwrap().wait(None).await.unwrap().is_err());
/// # }
/// ```
///
/// # Errors
/// [`CallError::Failed`] when there is no such execution or it has ended.
pub fn signal<P: Serialize + ?Sized>(
    to: TaskId,
    name: &str,
    payload: &P,
) -> impl Future<Output = Result<(), CallError>> + Send + use<P> {
    let payload = serde_json::to_value(payload).map_err(TaskError::invalid);
    let (by_client, of_task, of_client) = (payload.clone(), name.to_owned(), name.to_owned());
    asked(
        "signal",
        move |context| {
            let given = payload.map(|payload| context.signal(to, &of_task, &payload));
            async move { given?.await }
        },
        move |here| async move {
            let client = client_of(here, &of_client)?;
            let payload = by_client.map_err(|error| CallError::failed(&of_client, error.to_string()))?;
            client.signal(to, &of_client, &payload).await.map_err(|error| CallError::failed(&of_client, error))
        },
    )
}

/// Publishes an event in the function's queue, once: a replay does not send it again.
///
/// ```
/// #[durable::function]
/// async fn packed(order: u64) -> Result<(), durable::CallError> {
///     durable::emit(&format!("packed:{order}"), "1Z999").await
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let executor = durable::testing::Executor::new().await;
/// # executor.dispatch(packed, 7_u64).await.unwrap().wait(None).await.unwrap().unwrap();
/// # }
/// ```
///
/// # Errors
/// [`CallError::Failed`] without an executor.
pub fn emit<P: Serialize + ?Sized>(
    name: &str,
    payload: &P,
) -> impl Future<Output = Result<(), CallError>> + Send + use<P> {
    let payload = serde_json::to_value(payload).map_err(TaskError::invalid);
    let (by_client, of_task, of_client) = (payload.clone(), name.to_owned(), name.to_owned());
    asked(
        "emit",
        move |context| {
            let given = payload.map(|payload| context.emit_event(&of_task, &payload));
            async move { given?.await }
        },
        move |here| async move {
            let client = client_of(here, &of_client)?;
            let payload = by_client.map_err(|error| CallError::failed(&of_client, error.to_string()))?;
            client.emit_event(&of_client, &payload, None).await.map_err(|error| CallError::failed(&of_client, error))
        },
    )
}

/// Calls a function by its registered name, with JSON for arguments (an array by place, or an object by name): one
/// whose code this program need not have.
///
/// ```
/// use serde_json::json;
///
/// #[durable::function(name = "payments:take")]
/// async fn charge(order: String, cents: u64) -> String {
///     format!("{order}: {cents}")
/// }
///
/// #[durable::function]
/// async fn pay(order: String) -> Result<serde_json::Value, durable::CallError> {
///     durable::call("payments:take", json!({ "order": order, "cents": 250 })).await
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # assert_eq!(pay("a".into()).await.unwrap(), "a: 250");
/// # let executor = durable::testing::Executor::new().await;
/// # let paid = executor.dispatch(pay, "a".to_owned()).await.unwrap().wait(None).await.unwrap();
/// # assert_eq!(paid.unwrap(), "a: 250");
/// # }
/// ```
///
/// # Errors
/// [`CallError::Failed`] with what ended it.
pub fn call(name: &str, args: Value) -> impl Future<Output = Result<Value, CallError>> + Send + use<> {
    let (of_task, of_others, by_others) = (name.to_owned(), name.to_owned(), args.clone());
    asked(
        "call",
        move |context| {
            let child = child_by_name(context, &of_task, &args).map(|child| context.join(child));
            async move { child?.await }
        },
        move |here| async move {
            let called = match here {
                Here::Client(client) => run_by_name(&client, &of_others, by_others).await,
                here => run_as_written(here, &of_others, &by_others).await,
            };
            called.map_err(|failure| CallError::Failed { name: of_others, failure: Box::new(failure) })
        },
    )
}

fn child_by_name(context: &TaskContext, name: &str, args: &Value) -> TaskResult<crate::task::TaskHandle<Value>> {
    let child = match context.client().registry().meta(name) {
        Some(meta) => spec::child(meta, context)?,
        None => Child::named(name, &SpawnDefaults::of(context), &SpawnOptions::default())?,
    };
    let payload = Payload::json(args).map_err(TaskError::invalid)?;
    child.start(context.calls(), &Name::new("function", name).map_err(TaskError::invalid)?, payload)
}

async fn run_by_name(client: &Durable, name: &str, args: Value) -> Result<Value, Failure> {
    let mut options = SpawnOptions::default();
    if let Some(meta) = client.registry().meta(name) {
        options = spec::options(meta);
        client.defaults().fill_function(&mut options);
    }
    let ended = async {
        let spawned = client.spawn_by_name(name, args, options).await?;
        client.wait_for(spawned.task_id, None).await?.output()
    };
    ended.await.map_err(|error: DurableError| error.to_failure())
}

async fn run_as_written(here: Here, name: &str, args: &Value) -> Result<Value, Failure> {
    let failed = |words: String| Failure::new(FailureKind::Error, words);
    let found = FunctionEntry::linked().find(|entry| entry.meta().name() == name);
    let entry = found.ok_or_else(|| failed(format!("no function is named \"{name}\" here")))?;
    let args = Payload::json(args).map_err(|error| failed(error.to_string()))?;
    let result = here.run((entry.as_written)(args)).await.map_err(|error| error.to_failure())?;
    result.read().map_err(|error| failed(error.to_string()))
}

fn client_of(here: Here, name: &str) -> Result<Durable, CallError> {
    match here {
        Here::Client(client) => Ok(client),
        _ => Err(CallError::failed(name, NOBODY)),
    }
}

/// The time, recorded: the same on every replay.
///
/// ```
/// #[durable::function]
/// async fn stamp() -> i64 {
///     durable::now().as_micros()
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # assert!(stamp().await > 0);
/// # }
/// ```
#[must_use]
pub fn now() -> Timestamp {
    match find() {
        // Code that is stopped is told no recorded time any more; it is dropped when it next awaits something.
        Here::Inside(context) => context.now().unwrap_or_else(|_| context.calls().context.now()),
        Here::Step(context) => context.calls().context.now(),
        Here::Client(_) | Here::Plain(_) => plain::now(),
    }
}

/// A random number from 0.0 to 1.0 (which it never is), the same on every replay. Not for secrets.
///
/// ```
/// #[durable::function]
/// async fn is_in_trial() -> bool {
///     durable::random() < 0.1
/// }
/// # drop(is_in_trial());
/// ```
#[must_use]
pub fn random() -> f64 {
    match find() {
        Here::Inside(context) => context.rand(),
        // The 53 bits that a float's fraction holds.
        _ => (plain::random_bits() >> 11) as f64 / (1_u64 << 53) as f64,
    }
}

/// An id of your own (a UUIDv7), the same on every replay: a key by which an outside service knows a repetition.
///
/// ```
/// #[durable::function]
/// async fn invoice_number() -> String {
///     durable::uuid().to_string()
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # assert_eq!(invoice_number().await.len(), 36);
/// # }
/// ```
#[must_use]
pub fn uuid() -> Uuid {
    match find() {
        Here::Inside(context) => context.uuid7(),
        _ => plain::random_uuid(),
    }
}

/// How long a wait may take, for errors that are told at once.
pub(super) fn timeout_of(timeout: impl IntoTimeout) -> Result<Option<Duration>, DurableError> {
    timeout.into_timeout().map_err(|error| DurableError::option("timeout", format!("is no span: {error}")))
}

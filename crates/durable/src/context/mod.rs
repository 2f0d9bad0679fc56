//! What a task's code calls: every durable operation, typed. Each method asks the engine at once, in the order of the
//! calls, and returns a future that holds nothing of the context; names and values are checked before.
//!
//! - `steps`: inline operations; - `waits`: times, events, signals; - `children`: spawn, join, fan-out;
//! - `baggage`: counters and state of the execution; here: what needs no waiting.

mod attempt;
mod baggage;
mod children;
mod steps;
mod waits;

use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use stent_core::{Failure, Name, Payload, RunId, TaskId, Timestamp, Verdict};
use stent_engine::{Call, Context, Delivery};
use tracing::Span;
use uuid::Uuid;

pub(crate) use attempt::Attempt;
pub use baggage::{Counters, Number, StateValues};
pub use children::FanOut;
pub(crate) use children::{Child, SpawnDefaults, StartedRecord};

use crate::client::Durable;
use crate::options::span;
use crate::task_error::{TaskError, TaskResult};

/// A task in hand: how its code reaches everything durable.
///
/// All methods take `&self` and may run concurrently under `join!` and `select!` within the task's own future. The
/// name of a call is its place in the history: the second call of a name is told from the first by its order, so
/// calls that run beside each other on other threads need a [`branch`](Self::branch) each.
///
/// ```
/// use std::time::Duration;
/// use durable::{Task, TaskContext, TaskResult, async_trait};
///
/// struct Reminder;
///
/// #[async_trait]
/// impl Task for Reminder {
///     const NAME: &'static str = "reminder";
///     type Params = String;
///     type Output = String;
///
///     async fn run(to: String, mut ctx: TaskContext) -> TaskResult<String> {
///         let sent_at = ctx.now()?;
///         ctx.step("first mail", || async { Ok(()) }).await?;
///         ctx.sleep_for("a month", Duration::from_secs(30 * 86_400)).await?;
///         let key = format!("{}:second mail", ctx.task_id); // for the mail server to know repeats by
///         ctx.step("second mail", || async { Ok(key.len()) }).await?;
///         let waited = ctx.now()?.since(sent_at);
///         Ok(format!("{to}: {} days, attempt {}", waited.as_secs() / 86_400, ctx.attempt))
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let executor = durable::testing::Executor::new().await; // its time is skipped
/// executor.register::<Reminder>().await;
/// assert_eq!(executor.run::<Reminder>("ann".into()).await.unwrap(), "ann: 30 days, attempt 1");
/// # }
/// ```
pub struct TaskContext {
    /// The task's id. It never changes, not by retries, not by a replay from the dead letters: the key by which an
    /// outside service knows a repeated call.
    pub task_id: TaskId,
    /// The id of this run: another one after a retry or a replay.
    pub run_id: RunId,
    /// Which attempt this is, from 1. A resume after a suspension or a crash is the same attempt.
    pub attempt: u32,
    /// How many workers in a row have died over this task, or lost it, since it last recorded something new.
    pub losses: u32,
    calls: Calls,
    client: Durable,
}

/// The engine's context, and what the code's branches share: what the futures hold.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) context: Context,
    pub(crate) attempt: Arc<Attempt>,
}

impl Calls {
    /// Waits for a call's outcome and tells interrupts from outcomes.
    async fn outcome(&self, call: Call) -> TaskResult<Delivery> {
        let delivery = call.await.map_err(|interrupt| self.attempt.stop(interrupt))?;
        self.mark_replay();
        Ok(delivery)
    }

    /// Lets what is logged from here on say whether the code has been here before.
    pub(crate) fn mark_replay(&self) {
        if self.attempt.replaying.load(Ordering::Relaxed) && !self.context.is_replaying() {
            self.attempt.replaying.store(false, Ordering::Relaxed);
            self.attempt.span.record("replaying", false);
        }
    }
}

impl TaskContext {
    pub(crate) fn new(context: Context, client: Durable, span: Span) -> Self {
        let attempt = Arc::new(Attempt::new(context.is_replaying(), span));
        Self::of(Calls { context, attempt }, client)
    }

    fn of(calls: Calls, client: Durable) -> Self {
        let context = &calls.context;
        let (task_id, run_id) = (context.task_id(), context.run_id());
        let (attempt, losses) = (context.attempt(), context.task().losses);
        Self { task_id, run_id, attempt, losses, calls, client }
    }

    /// The same task in another pair of hands, with the same scope.
    pub(crate) fn again(&self) -> Self {
        Self::of(self.calls.clone(), self.client.clone())
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// A value read off the world, once: recorded, and handed out again on replay.
    pub(crate) fn value(&self, name: &Name, make: impl FnOnce() -> Payload) -> TaskResult<Payload> {
        self.context().value(name, make).map_err(|interrupt| self.calls.attempt.stop(interrupt))
    }

    /// Ends the attempt with an error that its code has no place for. Control flow does that by itself.
    pub(crate) fn refuse(&self, error: &TaskError) {
        if !error.is_control() {
            self.calls.attempt.end_with(error.to_failure());
        }
    }

    /// Whether both are hands on one attempt.
    pub(crate) fn is_same_attempt(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.calls.attempt, &other.calls.attempt)
    }

    pub(crate) fn attempt_in_hand(&self) -> Arc<Attempt> {
        Arc::clone(&self.calls.attempt)
    }

    fn context(&self) -> &Context {
        &self.calls.context
    }

    /// A sign of life in a long operation: the attempt may go on for `extend` from now before it counts as hung. Also
    /// where long code without other calls learns that it was cancelled.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use durable::{TaskContext, TaskResult};
    /// async fn import(ctx: &TaskContext, files: &[String]) -> TaskResult<()> {
    ///     for file in files {
    ///         ctx.heartbeat(Duration::from_secs(60)).await?;
    ///         # let _ = file;
    ///         // .. a minute's work
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Control flow only.
    pub async fn heartbeat(&self, extend: Duration) -> TaskResult<()> {
        let extend = span("heartbeat", extend).map_err(TaskError::invalid)?;
        self.context().heartbeat(extend).map_err(|interrupt| self.calls.attempt.stop(interrupt))
    }

    /// The time, recorded: the same on every replay.
    ///
    /// ```
    /// # use durable::{TaskContext, TaskResult};
    /// async fn stamp(ctx: &TaskContext) -> TaskResult<std::time::SystemTime> {
    ///     Ok(ctx.now()?.into())
    /// }
    /// ```
    ///
    /// # Errors
    /// Control flow only.
    pub fn now(&self) -> TaskResult<Timestamp> {
        let context = self.context();
        let make = || Payload::json(&context.now()).unwrap_or_else(|_| Payload::null());
        let payload = self.value(&Name::stored("now"), make)?;
        payload.read().map_err(|error| TaskError::unreadable("now", error))
    }

    /// A random number from 0.0 to 1.0 (which it never is), the same on every replay. Not for secrets: it is derived
    /// from the task's id.
    ///
    /// ```
    /// # use durable::TaskContext;
    /// fn is_in_trial(ctx: &TaskContext) -> bool {
    ///     ctx.rand() < 0.1
    /// }
    /// ```
    #[must_use]
    pub fn rand(&self) -> f64 {
        let bytes = self.context().derived("rand");
        let bits = bytes.first_chunk::<8>().map_or(0, |chunk| u64::from_le_bytes(*chunk));
        // The 53 bits that a float's fraction holds.
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An id of your own, the same on every replay: a UUIDv7 with the time of the task's creation.
    ///
    /// ```
    /// # use durable::TaskContext;
    /// fn invoice_number(ctx: &TaskContext) -> String {
    ///     ctx.uuid7().to_string()
    /// }
    /// ```
    #[must_use]
    pub fn uuid7(&self) -> Uuid {
        let derived = self.context().derived("uuid7");
        let mut random = [0; 10];
        random.copy_from_slice(&derived[..10]);
        uuid::Builder::from_unix_timestamp_millis(self.context().task().created_at.unix_ms(), &random).into_uuid()
    }

    /// What its starter gave along ([`SpawnOptions::headers`](crate::SpawnOptions::headers)); empty if nothing. The
    /// children have the same unless they were given their own.
    ///
    /// ```
    /// # use durable::TaskContext;
    /// fn tenant(ctx: &TaskContext) -> Option<String> {
    ///     ctx.headers().get("tenant")?.as_str().map(String::from)
    /// }
    /// ```
    #[must_use]
    pub fn headers(&self) -> Map<String, Value> {
        let stored = self.context().task().spec.headers.as_deref();
        stored.and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default()
    }

    /// Whether recorded outcomes are still being handed out again: the code has been here before. For logs; nothing
    /// that is done may depend on it.
    ///
    /// ```
    /// # use durable::TaskContext;
    /// fn log(ctx: &TaskContext, words: &str) {
    ///     if !ctx.is_replaying() {
    ///         tracing::info!("{words}");
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        self.context().is_replaying()
    }

    /// A context for code that runs beside this one, on another thread or in a spawned future: with a scope of its
    /// own, so that neither disturbs the other's order of calls. Its name must be the same on every replay. A branch
    /// that outlives its task's future can record nothing more.
    ///
    /// ```
    /// # use durable::{TaskContext, TaskResult};
    /// async fn both(ctx: &TaskContext) -> TaskResult<u64> {
    ///     let left = ctx.branch("left")?;
    ///     let beside = tokio::spawn(async move { left.step("count", || async { Ok(1_u64) }).await });
    ///     let here = ctx.step("count", || async { Ok(2_u64) }).await?;
    ///     Ok(here + beside.await??)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TaskError::Invalid`] for a name that breaks a rule.
    pub fn branch(&self, name: &str) -> TaskResult<Self> {
        let context = self.context().branch(&checked("branch", name)?);
        Ok(Self::of(Calls { context, attempt: self.attempt_in_hand() }, self.client.clone()))
    }

    /// What the application gave its client along with [`state`](crate::DurableBuilder::state): a pool of
    /// connections, an HTTP client.
    ///
    /// ```
    /// # use durable::{TaskContext, TaskResult};
    /// struct Mailer;
    ///
    /// async fn send(ctx: &TaskContext) -> TaskResult<()> {
    ///     let mailer = ctx.app::<Mailer>()?;
    ///     ctx.step("send", || async { Ok(drop(mailer)) }).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TaskError::Invalid`] when the client was given nothing of this type.
    pub fn app<S: Send + Sync + 'static>(&self) -> TaskResult<Arc<S>> {
        let missing = || {
            let name = type_name::<S>();
            TaskError::invalid(format!("the client has no state of type {name}: give it one with `.state(..)`"))
        };
        self.client.app_state::<S>().ok_or_else(missing)
    }

    /// The client that runs this task, for what is not part of it: what is done through it is neither recorded nor
    /// replayed, so it belongs into steps.
    ///
    /// ```
    /// # use durable::{TaskContext, TaskResult};
    /// async fn paused(ctx: &TaskContext) -> TaskResult<bool> {
    ///     let client = ctx.client().clone();
    ///     ctx.step("pause", || async move { Ok(client.pause_queue("imports").await?) }).await
    /// }
    /// ```
    #[must_use]
    pub fn client(&self) -> &Durable {
        &self.client
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext")
            .field("task_id", &self.task_id)
            .field("run_id", &self.run_id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

fn checked(what: &'static str, name: &str) -> TaskResult<Name> {
    Name::new(what, name).map_err(TaskError::invalid)
}

/// A recorded result as a value.
fn read<T: DeserializeOwned>(name: &str, payload: &Payload) -> TaskResult<T> {
    payload.read().map_err(|error| TaskError::unreadable(name, error))
}

/// What a call came to: its value, a timeout, or the error made of its failure.
fn settle<T: DeserializeOwned>(
    name: &str,
    delivery: &Delivery,
    failed: impl FnOnce(Box<Failure>) -> TaskError,
) -> TaskResult<T> {
    match delivery.verdict {
        Verdict::Ok => read(name, &delivery.payload),
        Verdict::Failed => Err(failed(Box::new(Failure::from_payload(&delivery.payload)))),
        Verdict::TimedOut => Err(TaskError::Timeout { name: name.to_owned() }),
    }
}

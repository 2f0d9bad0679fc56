//! The task in hand, as the code of a durable function sees it: who it is, and what its execution carries along.
//! Nothing here shows the engine's control flow; [`Context::task`] gives the hands that do.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use stent_core::routing::DEFAULT_QUEUE;
use stent_core::{TaskId, command};

use super::call::{fail_loudly, find, in_step};
use super::free::{shown, stopped};
use super::here::Here;
use super::plain::PlainRun;
use crate::client::Durable;
use crate::context::{Number, TaskContext};
use crate::failure::as_json;
use crate::task_error::{TaskError, TaskResult};

/// The task in hand. See [`context`].
///
/// ```
/// #[durable::function]
/// async fn import(rows: Vec<u64>) -> f64 {
///     let here = durable::context();
///     here.counter("imported").ensure(0).await;
///     for _ in &rows {
///         here.counter("imported").add(1).await;
///     }
///     here.state("phase").set("done").await;
///     tracing::info!(task = %here.task_id(), execution = %here.execution_id(), attempt = here.attempt(), "imported");
///     here.counter("imported").get().await.map_or(0.0, |count| count.as_f64())
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(import(vec![1, 2]).await, 2.0); // as written, without an executor
/// # let executor = durable::testing::Executor::new().await;
/// # assert_eq!(executor.dispatch(import, vec![1, 2, 3]).await.unwrap().wait(None).await.unwrap(), 3.0);
/// # }
/// ```
#[derive(Clone)]
pub struct Context(Place);

#[derive(Clone)]
enum Place {
    Task(Arc<TaskContext>),
    Plain(Arc<PlainRun>),
}

/// The task whose code this is. Where a function runs as written, without an engine, its counters and state live as
/// long as the outermost call.
///
/// ```
/// #[durable::function]
/// async fn tenant() -> Option<String> {
///     Some(durable::context().headers().get("tenant")?.as_str()?.to_owned())
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # assert_eq!(tenant().await, None);
/// # }
/// ```
///
/// # Panics
/// Outside of any durable function where there is a client: nothing runs there.
#[must_use]
pub fn context() -> Context {
    match find() {
        Here::Inside(context) | Here::Step(context) => Context(Place::Task(context)),
        Here::Plain(run) => Context(Place::Plain(run)),
        Here::Client(_) => fail_loudly("`durable::context` is for the code of durable functions: none runs here"),
    }
}

impl Context {
    /// The task's id. It never changes, not by retries, not by a replay from the dead letters: a key by which an
    /// outside service knows a repetition.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        match &self.0 {
            Place::Task(task) => task.task_id,
            Place::Plain(run) => TaskId::from_uuid(run.id),
        }
    }

    /// The id of the execution that the task belongs to: its root's.
    #[must_use]
    pub fn execution_id(&self) -> TaskId {
        match &self.0 {
            Place::Task(task) => task.calls().context.task().lease.task.execution.root(),
            Place::Plain(run) => TaskId::from_uuid(run.id),
        }
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        match &self.0 {
            Place::Task(task) => task.attempt,
            Place::Plain(_) => 1,
        }
    }

    /// Whether recorded outcomes are still being handed out again. For logs; nothing that is done may depend on it.
    ///
    /// ```
    /// # fn log(words: &str) {
    /// if !durable::context().is_replaying() {
    ///     tracing::info!("{words}");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        matches!(&self.0, Place::Task(task) if task.is_replaying())
    }

    /// Which queue it is in; its children join it unless their function has one of its own.
    ///
    /// ```
    /// # fn log() {
    /// let here = durable::context();
    /// tracing::info!(queue = here.queue(), priority = here.priority(), tags = ?here.tags(), "at work");
    /// # }
    /// ```
    #[must_use]
    pub fn queue(&self) -> String {
        match &self.0 {
            Place::Task(task) => task.calls().context.task().spec.queue.to_string(),
            Place::Plain(_) => DEFAULT_QUEUE.to_owned(),
        }
    }

    /// Its priority; its children have it unless their function has one of its own.
    #[must_use]
    pub fn priority(&self) -> i32 {
        match &self.0 {
            Place::Task(task) => task.calls().context.task().spec.priority,
            Place::Plain(_) => 0,
        }
    }

    /// Its tags.
    ///
    /// ```
    /// #[durable::function]
    /// async fn whose() -> String {
    ///     let here = durable::context();
    ///     let tenant = here.headers().get("tenant").map(ToString::to_string);
    ///     format!("{tenant:?}, {}", here.tags().join(" "))
    /// }
    /// ```
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        match &self.0 {
            Place::Task(task) => task.calls().context.task().spec.tags.iter().map(ToString::to_string).collect(),
            Place::Plain(_) => Vec::new(),
        }
    }

    /// What its starter gave along; its children have the same.
    ///
    /// ```
    /// fn tenant(here: &durable::Context) -> Option<String> {
    ///     Some(here.headers().get("tenant")?.as_str()?.to_owned())
    /// }
    /// ```
    #[must_use]
    pub fn headers(&self) -> Map<String, Value> {
        match &self.0 {
            Place::Task(task) => task.headers(),
            Place::Plain(_) => Map::new(),
        }
    }

    /// What the application gave its client along with [`state`](crate::DurableBuilder::state), if it did.
    ///
    /// ```
    /// struct Mailer;
    ///
    /// # fn mailer() -> Option<std::sync::Arc<Mailer>> {
    /// durable::context().app::<Mailer>()
    /// # }
    /// ```
    #[must_use]
    pub fn app<S: Send + Sync + 'static>(&self) -> Option<Arc<S>> {
        match &self.0 {
            Place::Task(task) => task.client().app_state::<S>(),
            Place::Plain(_) => None,
        }
    }

    /// The client that runs the task. A [dispatch](Durable::dispatch) through it is recorded; anything else belongs
    /// into a step.
    ///
    /// ```
    /// #[durable::function]
    /// async fn survey(_to: String) {}
    ///
    /// #[durable::function]
    /// async fn follow_up(to: String) -> bool {
    ///     let Some(client) = durable::context().client() else { return false };
    ///     client.dispatch(survey, to).delay("1w").await.is_ok() // once, whatever crashes
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let executor = durable::testing::Executor::new().await;
    /// # assert!(executor.dispatch(follow_up, "ann".to_owned()).await.unwrap().wait(None).await.unwrap());
    /// # }
    /// ```
    #[must_use]
    pub fn client(&self) -> Option<Durable> {
        match &self.0 {
            Place::Task(task) => Some(task.client().clone()),
            Place::Plain(_) => None,
        }
    }

    /// The same task with results that show the engine's control flow, for functions that return a
    /// [`TaskResult`](crate::TaskResult) and pass it on.
    ///
    /// ```
    /// # use std::time::Duration;
    /// #[durable::function]
    /// async fn import(files: Vec<String>) -> durable::TaskResult<usize> {
    ///     if let Some(task) = durable::context().task() {
    ///         task.heartbeat(Duration::from_secs(60)).await?;
    ///     }
    ///     Ok(files.len())
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # assert_eq!(import(vec![]).await.unwrap(), 0);
    /// # }
    /// ```
    #[must_use]
    pub fn task(&self) -> Option<TaskContext> {
        match &self.0 {
            Place::Task(task) => Some(task.again()),
            Place::Plain(_) => None,
        }
    }

    /// A counter of this execution, shared by its tasks and seen from outside.
    #[must_use]
    pub fn counter(&self, name: &str) -> Counter {
        Counter { name: name.to_owned(), place: self.0.clone() }
    }

    /// A value of this execution, shared by its tasks and seen from outside.
    #[must_use]
    pub fn state(&self, name: &str) -> StateValue {
        StateValue { name: name.to_owned(), place: self.0.clone() }
    }
}

/// A counter of an execution. Every change is recorded, so that a replay does not count twice; a read is too, so that
/// it tells the same again.
///
/// ```
/// # async fn count() {
/// let imported = durable::context().counter("imported");
/// imported.ensure(0).await;
/// imported.add(3).await;
/// assert!(imported.get().await.is_some());
/// # }
/// ```
#[derive(Clone)]
pub struct Counter {
    name: String,
    place: Place,
}

impl Counter {
    /// Sets it unless there is one.
    pub async fn ensure(&self, value: impl Into<Number>) {
        let value = value.into();
        match &self.place {
            Place::Task(task) => {
                let made = async { task.counters().ensure([(&*self.name, value)]).await };
                settled(task, "counter", made).await;
            }
            Place::Plain(run) => drop(run.carried().counters.entry(self.name.clone()).or_insert(value.into())),
        }
    }

    /// Adds to it, from 0 where absent, and gives its new value.
    pub async fn add(&self, amount: impl Into<Number>) -> Number {
        let amount = amount.into();
        match &self.place {
            Place::Task(task) => {
                settled(task, "counter", async { task.counters().add(&self.name, amount).await }).await
            }
            Place::Plain(run) => {
                let mut carried = run.carried();
                let count = carried.counters.entry(self.name.clone()).or_insert(command::Number::Whole(0));
                *count = count.plus(amount.into());
                (*count).into()
            }
        }
    }

    /// Its value; `None` where absent.
    pub async fn get(&self) -> Option<Number> {
        match &self.place {
            Place::Task(task) => settled(task, "counter", async { task.counters().get(&self.name).await }).await,
            Place::Plain(run) => run.carried().counters.get(&self.name).copied().map(Number::from),
        }
    }
}

/// A value that an execution carries along, by its name. Every change and every read is recorded, as with a
/// [`Counter`].
///
/// ```
/// # async fn phases() {
/// let phase = durable::context().state("phase");
/// phase.ensure("invited").await;
/// phase.set("active").await;
/// assert_eq!(phase.get::<String>().await.as_deref(), Some("active"));
/// # }
/// ```
#[derive(Clone)]
pub struct StateValue {
    name: String,
    place: Place,
}

impl StateValue {
    /// Sets it unless there is one. A value that serde cannot write fails the function for good.
    pub async fn ensure<V: Serialize + Sync + ?Sized>(&self, value: &V) {
        match &self.place {
            Place::Task(task) => settled(task, "state", async { task.state().ensure(&self.name, value).await }).await,
            Place::Plain(run) => drop(run.carried().state.entry(self.name.clone()).or_insert_with(|| as_json(value))),
        }
    }

    /// Sets it. A value that serde cannot write fails the function for good.
    pub async fn set<V: Serialize + Sync + ?Sized>(&self, value: &V) {
        match &self.place {
            Place::Task(task) => settled(task, "state", async { task.state().set(&self.name, value).await }).await,
            Place::Plain(run) => drop(run.carried().state.insert(self.name.clone(), as_json(value))),
        }
    }

    /// The value; `None` where absent. One that does not fit `V` fails the function.
    pub async fn get<V: Serialize + DeserializeOwned + Send>(&self) -> Option<V> {
        match &self.place {
            Place::Task(task) => settled(task, "state", async { task.state().get(&self.name).await }).await,
            Place::Plain(run) => {
                let found = run.carried().state.get(&self.name).cloned()?;
                serde_json::from_value(found).ok()
            }
        }
    }
}

/// What a change came to. None of them has a failure that code could handle, so one ends the attempt.
async fn settled<T>(task: &Arc<TaskContext>, what: &str, made: impl Future<Output = TaskResult<T>>) -> T {
    if matches!(Here::get(), Some(Here::Step(_))) {
        return stopped(task, &in_step(what)).await;
    }
    match shown(Arc::clone(task), made).await {
        Ok(value) => value,
        Err(error) => stopped(task, &TaskError::from(error)).await,
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("task_id", &self.task_id()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counter").field(&self.name).finish()
    }
}

impl fmt::Debug for StateValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StateValue").field(&self.name).finish()
    }
}

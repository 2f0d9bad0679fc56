//! What a durable function is to Rust: the trait [`Task`], and the handle on a child that was spawned. How a task is
//! found by name and run is the registry's business.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stent_core::TaskId;
use stent_engine::Call;

use crate::context::TaskContext;
use crate::task_error::TaskResult;

/// A durable function: ordinary async code, run by a worker, that goes on from its last recorded step when the
/// process dies.
///
/// The code runs again from its start whenever it resumes, over the recorded outcomes of its calls, so between the
/// calls it must do the same each time: what reads the world or changes it belongs into
/// [`step`](TaskContext::step)s.
///
/// ```
/// use durable::{Task, TaskContext, TaskResult, async_trait};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Order {
///     id: u64,
///     cents: i64,
/// }
///
/// struct Fulfil;
///
/// #[async_trait]
/// impl Task for Fulfil {
///     const NAME: &'static str = "fulfil";
///     type Params = Order;
///     type Output = String;
///
///     async fn run(order: Order, ctx: TaskContext) -> TaskResult<String> {
///         let receipt = ctx.step("charge", || async { Ok(format!("receipt of {}", order.cents)) }).await?;
///         ctx.step("ship", || async { Ok(format!("{}: {receipt}", order.id)) }).await
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let executor = durable::testing::Executor::new().await;
/// executor.register::<Fulfil>().await;
/// let output = executor.run::<Fulfil>(Order { id: 7, cents: 250 }).await.unwrap();
/// assert_eq!(output, "7: receipt of 250");
/// # }
/// ```
#[async_trait::async_trait]
pub trait Task: Send + Sync + 'static {
    /// What it is registered, stored and started under. One name, one task; renaming it strands what is under way.
    const NAME: &'static str;
    /// How many of its tasks may be under way at once, in all processes together; `None` for any number. A task counts
    /// from its claim to the end of its attempt, sleeping and waiting included; between two attempts it does not. Of
    /// several versions that run at once the smallest number counts. From 1 to 10,000. One that waits for another of its own
    /// kind may wait for ever, when all slots are held by such as wait.
    ///
    /// ```
    /// use durable::{Task, TaskContext, TaskResult, async_trait};
    ///
    /// struct Export;
    ///
    /// #[async_trait]
    /// impl Task for Export {
    ///     const NAME: &'static str = "export";
    ///     const MAX_CONCURRENT: Option<u32> = Some(5);
    ///     type Params = u64;
    ///     type Output = u64;
    ///
    ///     async fn run(rows: u64, ctx: TaskContext) -> TaskResult<u64> {
    ///         ctx.step("export", || async { Ok(rows) }).await
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let executor = durable::testing::Executor::new().await;
    /// executor.register::<Export>().await;
    /// assert_eq!(executor.run::<Export>(7).await.unwrap(), 7);
    /// # }
    /// ```
    const MAX_CONCURRENT: Option<u32> = None;
    /// What it is started with. Stored as JSON.
    type Params: Serialize + DeserializeOwned + Send + 'static;
    /// What it ends with. Stored as JSON.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// The code.
    ///
    /// # Errors
    /// Whatever its calls and its own code fail with. A failure is retried as the task's options say; control flow
    /// ([`TaskError::Control`](crate::TaskError::Control)) is none.
    async fn run(params: Self::Params, ctx: TaskContext) -> TaskResult<Self::Output>;
}

/// A child that was spawned: give it to [`TaskContext::join`] for its output. Dropped, the child runs on until its
/// parent ends.
///
/// ```
/// # use durable::{Task, TaskContext, TaskResult, async_trait};
/// # struct Charge;
/// # #[async_trait]
/// # impl Task for Charge {
/// #     const NAME: &'static str = "charge";
/// #     type Params = i64;
/// #     type Output = String;
/// #     async fn run(cents: i64, _: TaskContext) -> TaskResult<String> { Ok(cents.to_string()) }
/// # }
/// async fn pay(ctx: &TaskContext) -> TaskResult<String> {
///     let charge = ctx.spawn::<Charge>("charge", 250, Default::default()).await?;
///     tracing::info!(name = charge.name(), child = %charge.task_id(), "charging");
///     ctx.join(charge).await
/// }
/// ```
#[must_use = "a child that is not joined is cancelled when its parent ends"]
pub struct TaskHandle<O> {
    pub(crate) name: String,
    pub(crate) task_id: TaskId,
    pub(crate) call: Call,
    pub(crate) output: PhantomData<fn() -> O>,
}

impl<O> TaskHandle<O> {
    /// The child's id: the same after a crash, so fit for a payment's idempotency key.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        self.task_id
    }

    /// The name it was spawned under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<O> fmt::Debug for TaskHandle<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("name", &self.name).field("task_id", &self.task_id).finish_non_exhaustive()
    }
}

//! Tests of durable code: an executor in memory whose time is skipped, so that a sleep of thirty days takes
//! milliseconds; crashes at will; and [`check_replay`], which kills a workflow before and after everything it records
//! and compares what comes out.
//!
//! ```
//! use std::time::Duration;
//! use durable::testing::Executor;
//! use durable::{Task, TaskContext, TaskError, TaskResult, async_trait};
//!
//! struct Approval;
//!
//! #[async_trait]
//! impl Task for Approval {
//!     const NAME: &'static str = "approval";
//!     type Params = u64;
//!     type Output = String;
//!
//!     async fn run(order: u64, ctx: TaskContext) -> TaskResult<String> {
//!         let month = Duration::from_secs(30 * 86_400);
//!         match ctx.await_event::<String>(&format!("approved:{order}"), Some(month)).await {
//!             Ok(by) => Ok(format!("approved by {by}")),
//!             Err(TaskError::Timeout { .. }) => Ok("nobody cared".into()),
//!             Err(error) => Err(error),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), durable::DurableError> {
//! let executor = Executor::new().await;
//! executor.register::<Approval>().await;
//!
//! // Nobody answers: a month passes at once.
//! assert_eq!(executor.run::<Approval>(1).await?, "nobody cared");
//!
//! // Somebody does, and the process dies in between.
//! let task = executor.spawn::<Approval>(2).await?;
//! executor.settle().await; // it waits now
//! executor.crash().await;
//! executor.emit_event("approved:2", "ann", None).await?;
//! assert_eq!(executor.wait_for_output::<Approval>(task.task_id, None).await?, "approved by ann");
//! # Ok(())
//! # }
//! ```

mod replay;
mod workflow;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use stent_core::{Store, TaskId, Timestamp};
use stent_testing::World;
use stent_testing::process::Process;
pub(crate) use stent_testing::time::Time;
/// Where a process was killed.
///
/// ```
/// # fn point(divergence: &durable::testing::ReplayDivergence) -> Option<String> {
/// if let durable::testing::ReplayDivergence::Outcome { at, .. } = divergence {
///     return Some(at.to_string()); // before write 2 (step "charge")
/// }
/// None
/// # }
/// ```
pub use stent_testing::trial::KillPoint;
/// One thing that a task has recorded.
///
/// ```
/// # async fn outputs(executor: &durable::testing::Executor, task: durable::TaskId) -> Result<(), durable::DurableError> {
/// for call in executor.recorded(task).await? {
///     println!("{} {}: {}", call.kind, call.key, call.output);
///     assert!(!call.failed);
/// }
/// # Ok(())
/// # }
/// ```
pub use stent_testing::trial::RecordedCall;
use tokio::sync::Mutex;

pub use replay::{ReplayDivergence, ReplayReport, check_replay};
pub use workflow::Workflow;

use crate::builder::DurableBuilder;
use crate::client::{Durable, Parts};
use crate::error::DurableError;
use crate::task::Task;
use crate::worker::Worker;

/// A client on a store in memory with a worker of its own, and time that is skipped: it stands still while anything
/// has something to do, and jumps to what is due next while somebody waits ([`run`](Self::run),
/// [`advance`](Self::advance), [`Durable::wait_for`]). Whatever waits is put aside at once, so its code is replayed
/// all the time.
///
/// It stands for the client, so everything a [`Durable`] can do it can. A wait that nothing is left to end comes to
/// [`DurableError::Stalled`], which says what was waited for.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// use std::time::Duration;
/// use durable::testing::Executor;
/// use durable::{Durable, SpawnOptions, TaskStatus};
///
/// let executor = Executor::with(Durable::builder().queue_name("mine").state(vec![1, 2, 3])).await?;
/// let expiry = SpawnOptions { expiry: Some(Duration::from_secs(86_400)), ..SpawnOptions::default() };
/// let task = executor.spawn_by_name("known to nobody", serde_json::json!(null), expiry).await?;
///
/// let before = executor.now();
/// executor.advance(Duration::from_secs(3_600)).await;
/// assert_eq!(executor.now().since(before).as_secs(), 3_600);
/// assert_eq!(executor.wait_for(task.task_id, None).await?.status, TaskStatus::TimedOut);
/// # Ok(())
/// # }
/// ```
pub struct Executor {
    world: World,
    client: Durable,
    /// The client's process, which no crash touches.
    outside: Arc<Process>,
    /// The process that runs the tasks.
    running: Mutex<Option<Running>>,
}

struct Running {
    process: Arc<Process>,
    worker: Worker,
}

impl Executor {
    /// An executor with everything as by default.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn new() -> Self {
        match DurableBuilder::default().parts() {
            Ok(parts) => Self::of(parts).await,
            Err(error) => {
                let executor = Self::of(Parts::default()).await;
                executor.client.defer(error);
                executor
            }
        }
    }

    /// An executor whose client is built like this; its store and address count for nothing.
    ///
    /// # Errors
    /// As [`DurableBuilder::build`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn with(builder: DurableBuilder) -> Result<Self, DurableError> {
        Ok(Self::of(builder.parts()?).await)
    }

    async fn of(parts: Parts) -> Self {
        let world = World::new();
        let (outside, client) = process(&world, world.store(), &parts);
        let running = Some(Running::start(&world, world.store(), &client).await);
        Self { world, client, outside, running: Mutex::new(running) }
    }

    /// Starts a task and waits for its output while time is skipped.
    ///
    /// # Errors
    /// As [`Durable::spawn`] and [`Durable::wait_for_output`].
    pub async fn run<T: Task>(&self, params: T::Params) -> Result<T::Output, DurableError> {
        let spawned = self.client.spawn::<T>(params).await?;
        self.client.wait_for_output::<T>(spawned.task_id, None).await
    }

    /// Lets this much time pass, with all that is due in it.
    pub async fn advance(&self, by: Duration) {
        let time = &self.world.time;
        drop(time.wait(time.sleep(by, true), None).await);
    }

    /// Waits until nothing has anything to do any more but wait, without any time passing for it.
    pub async fn settle(&self) {
        self.world.time.settle().await;
    }

    /// What the store's clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.world.time.clock()
    }

    /// Kills the process that runs the tasks, wherever each of them stands, and starts another.
    pub async fn crash(&self) {
        let mut running = self.running.lock().await;
        if let Some(running) = running.take() {
            running.kill().await;
        }
        *running = Some(Running::start(&self.world, self.world.store(), &self.client).await);
    }

    /// What a task has recorded, in order.
    ///
    /// ```
    /// # use durable::{Task, TaskContext, TaskResult, async_trait};
    /// # struct Order;
    /// # #[async_trait]
    /// # impl Task for Order {
    /// #     const NAME: &'static str = "order";
    /// #     type Params = ();
    /// #     type Output = ();
    /// #     async fn run((): (), ctx: TaskContext) -> TaskResult<()> {
    /// #         ctx.step("charge", || async { Ok(250) }).await?;
    /// #         ctx.step("ship", || async { Ok("1Z999".to_string()) }).await?;
    /// #         Ok(())
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), durable::DurableError> {
    /// # let executor = durable::testing::Executor::new().await;
    /// # executor.register::<Order>().await;
    /// let task = executor.spawn::<Order>(()).await?;
    /// executor.wait_for(task.task_id, None).await?;
    /// let steps: Vec<_> = executor.recorded(task.task_id).await?.into_iter().map(|call| call.key).collect();
    /// assert_eq!(steps, ["charge", "ship"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`].
    pub async fn recorded(&self, task: TaskId) -> Result<Vec<RecordedCall>, DurableError> {
        let store = self.world.store();
        let task = store.find_task(task).await?.ok_or(DurableError::UnknownTask)?;
        let history = store.history(task, 0).await?;
        Ok(history.records.iter().map(RecordedCall::of).collect())
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // Their futures hold the very process that holds them.
        let running = self.running.get_mut().take();
        drop((self.outside.stop(), running.and_then(|running| running.process.stop())));
    }
}

impl Deref for Executor {
    type Target = Durable;

    fn deref(&self) -> &Durable {
        &self.client
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// A new process in a world, with a client.
fn process(world: &World, store: Arc<dyn Store>, parts: &Parts) -> (Arc<Process>, Durable) {
    let (process, engine) = world.process(store);
    (process, Durable::new(engine, parts.clone(), Some(Arc::clone(&world.time))))
}

impl Running {
    /// A process on `store` with a worker that serves every queue and whatever `client` has registered.
    async fn start(world: &World, store: Arc<dyn Store>, client: &Durable) -> Self {
        let (process, own) = process(world, store, client.parts());
        let worker = own.start_worker_of_test().await;
        Self { process, worker }
    }

    async fn kill(self) {
        self.process.kill().await;
        drop(self.worker);
    }
}

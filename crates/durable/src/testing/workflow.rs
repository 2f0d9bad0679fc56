//! What a check of replays runs: a task with its parameters, the tasks it calls, what they find in the application's
//! state, and what comes from outside meanwhile.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::Value;
use stent_core::store::BoxFuture;
use stent_core::{Payload, TaskId};

use crate::builder::DurableBuilder;
use crate::client::{Durable, Parts};
use crate::error::DurableError;
use crate::function::{Arguments, Function, IntoArguments, spec};
use crate::options::{Defaults, SpawnOptions};
use crate::registry::Registry;
use crate::task::Task;

type Outside = Arc<dyn Fn(Durable, TaskId) -> BoxFuture<'static, ()> + Send + Sync>;

/// A task as [`check_replay`](super::check_replay) runs it, again and again.
///
/// Its steps must come to the same each time, so what they reach outside is best a stand-in, given along as
/// [`state`](Self::state).
///
/// ```
/// use durable::testing::{Workflow, check_replay};
/// use durable::{SpawnOptions, Task, TaskContext, TaskResult, async_trait};
///
/// struct Charge;
///
/// #[async_trait]
/// impl Task for Charge {
///     const NAME: &'static str = "charge";
///     type Params = i64;
///     type Output = String;
///
///     async fn run(cents: i64, ctx: TaskContext) -> TaskResult<String> {
///         let bank = ctx.app::<&'static str>()?;
///         ctx.step("charge", || async move { Ok(format!("{cents} at {bank}")) }).await
///     }
/// }
///
/// struct Order;
///
/// #[async_trait]
/// impl Task for Order {
///     const NAME: &'static str = "order";
///     type Params = i64;
///     type Output = (String, String);
///
///     async fn run(cents: i64, ctx: TaskContext) -> TaskResult<(String, String)> {
///         let charge = ctx.spawn::<Charge>("charge", cents, SpawnOptions::default()).await?;
///         let address: String = ctx.await_event("address", None).await?;
///         Ok((ctx.join(charge).await?, address))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let order = Workflow::<Order>::of(250)
///     .registering::<Charge>()
///     .state("a stand-in for the bank")
///     .alongside(|client, _order| async move {
///         client.emit_event("address", "1 Main Street", None).await.unwrap();
///     });
/// let report = check_replay(order).await.unwrap();
/// assert!(report.kills > 4);
/// # }
/// ```
#[must_use = "give it to `check_replay`"]
pub struct Workflow<T> {
    name: &'static str,
    params: Result<Payload, DurableError>,
    builder: DurableBuilder,
    registry: Registry,
    registered: Result<(), DurableError>,
    options: SpawnOptions,
    outside: Outside,
    alike: Arc<dyn Fn(&mut Value) + Send + Sync>,
    task: PhantomData<fn() -> T>,
}

impl<T: Task> Workflow<T> {
    /// The task with what it is started with.
    pub fn of(params: T::Params) -> Self {
        let workflow = Self::named(T::NAME, Payload::json(&params).map_err(DurableError::from));
        workflow.registering::<T>()
    }
}

impl<F: Function> Workflow<F> {
    /// A durable function with its arguments.
    ///
    /// ```
    /// use durable::testing::{Workflow, check_replay};
    ///
    /// #[durable::function]
    /// async fn charge(cents: u64) -> String {
    ///     format!("receipt over {cents}")
    /// }
    ///
    /// #[durable::function]
    /// async fn order(cents: u64) -> String {
    ///     durable::sleep("1h").await;
    ///     charge(cents).await
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let report = check_replay(Workflow::call(order, 250)).await.unwrap();
    /// assert_eq!(report.outcome, "receipt over 250");
    /// # }
    /// ```
    pub fn call(_function: F, args: impl IntoArguments<F::Args>) -> Self {
        let mut workflow = Self::named(F::meta().name(), args.into_arguments().write().map_err(DurableError::from));
        workflow.options = spec::options(F::meta());
        Defaults::default().fill_function(&mut workflow.options);
        workflow
    }
}

impl<T> Workflow<T> {
    fn named(name: &'static str, params: Result<Payload, DurableError>) -> Self {
        let (registry, registered) = match Registry::linked() {
            Ok(registry) => (registry, Ok(())),
            Err(error) => (Registry::default(), Err(error)),
        };
        Self {
            name,
            params,
            builder: DurableBuilder::default(),
            registry,
            registered,
            options: SpawnOptions::default(),
            outside: Arc::new(|_, _| Box::pin(async {})),
            alike: Arc::new(|_| {}),
            task: PhantomData,
        }
    }

    /// Another task that it calls.
    pub fn registering<C: Task>(mut self) -> Self {
        self.registered = self.registered.and(self.registry.add::<C>());
        self
    }

    /// Something of the application's that its tasks reach by [`TaskContext::app`](crate::TaskContext::app); the same
    /// one in all runs.
    pub fn state<S: Send + Sync + 'static>(mut self, state: S) -> Self {
        self.builder = self.builder.state(state);
        self
    }

    /// How it is started.
    ///
    /// ```
    /// # use durable::testing::Workflow;
    /// # use durable::{SpawnOptions, Task};
    /// fn once<T: Task>(workflow: Workflow<T>) -> Workflow<T> {
    ///     workflow.options(SpawnOptions { max_attempts: Some(1), ..SpawnOptions::default() })
    /// }
    /// ```
    pub fn options(mut self, options: SpawnOptions) -> Self {
        self.options = options;
        self
    }

    /// What happens outside once it was started, in every run: events, signals, a cancel. The client is one that no
    /// kill touches; the id is the task's.
    pub fn alongside<F, Fut>(mut self, outside: F) -> Self
    where
        F: Fn(Durable, TaskId) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.outside = Arc::new(move |client, task| Box::pin(outside(client, task)));
        self
    }

    /// Evens out what may differ between two runs, a time in an output say, before outputs are compared.
    ///
    /// ```
    /// # use durable::testing::Workflow;
    /// # use durable::Task;
    /// fn without_times<T: Task>(workflow: Workflow<T>) -> Workflow<T> {
    ///     workflow.alike(|output| {
    ///         if let Some(fields) = output.as_object_mut() {
    ///             fields.remove("finished_at");
    ///         }
    ///     })
    /// }
    /// ```
    pub fn alike(mut self, even_out: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.alike = Arc::new(even_out);
        self
    }

    pub(super) fn prepare(self) -> Result<Prepared, DurableError> {
        self.registered?;
        let parts = Parts { registry: Arc::new(self.registry), ..self.builder.parts()? };
        let (name, outside, alike) = (self.name, self.outside, self.alike);
        Ok(Prepared { name, params: self.params?, parts, options: self.options, outside, alike })
    }
}

impl<T> fmt::Debug for Workflow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workflow").field("task", &self.name).finish_non_exhaustive()
    }
}

/// A workflow that was checked, without its type.
pub(super) struct Prepared {
    pub(super) name: &'static str,
    pub(super) params: Payload,
    pub(super) parts: Parts,
    pub(super) options: SpawnOptions,
    pub(super) outside: Outside,
    pub(super) alike: Arc<dyn Fn(&mut Value) + Send + Sync>,
}

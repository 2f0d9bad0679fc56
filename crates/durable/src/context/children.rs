//! Calling other tasks: spawn and join, fan-out over many, and starting executions of their own. A child is a task
//! like any other: seen, retried, cancelled with its parent, kept as a dead letter when it fails for good.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use stent_core::command::{Effect, Start};
use stent_core::history::Due;
use stent_core::{ExecutionId, Memo, Name, Payload, RunId, TaskSpec};

use super::{Calls, TaskContext, checked, settle};
use crate::error::DurableError;
use crate::options::SpawnOptions;
use crate::report::SpawnResult;
use crate::task::{Task, TaskHandle};
use crate::task_error::{TaskError, TaskResult};

impl TaskContext {
    /// Starts a child and goes on; [`join`](Self::join) waits for its end. The name tells this call from others in
    /// the history. The child joins this task's queue, with its headers and priority, unless the options say
    /// otherwise; it is retried by the client's defaults or the options.
    ///
    /// ```
    /// # use durable::{SpawnOptions, Task, TaskContext, TaskResult, async_trait};
    /// # struct Charge;
    /// # #[async_trait]
    /// # impl Task for Charge {
    /// #     const NAME: &'static str = "charge";
    /// #     type Params = i64;
    /// #     type Output = String;
    /// #     async fn run(cents: i64, _: TaskContext) -> TaskResult<String> { Ok(cents.to_string()) }
    /// # }
    /// async fn pay_twice(ctx: &TaskContext) -> TaskResult<String> {
    ///     let once = SpawnOptions { max_attempts: Some(1), ..SpawnOptions::default() };
    ///     let first = ctx.spawn::<Charge>("first half", 125, once).await?;
    ///     let second = ctx.spawn::<Charge>("second half", 125, SpawnOptions::default()).await?;
    ///     Ok(format!("{} {}", ctx.join(first).await?, ctx.join(second).await?))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TaskError::Invalid`] for a name or option that breaks a rule, or parameters that serde cannot write.
    pub async fn spawn<T: Task>(
        &self,
        name: &str,
        params: T::Params,
        options: SpawnOptions,
    ) -> TaskResult<TaskHandle<T::Output>> {
        let child = Child::of::<T>(self, &options)?;
        child.start(&self.calls, &checked("child", name)?, Payload::json(&params).map_err(TaskError::invalid)?)
    }

    /// Waits for a child's end and gives its output.
    ///
    /// ```
    /// # use durable::{TaskContext, TaskHandle, TaskResult};
    /// async fn both(ctx: &TaskContext, a: TaskHandle<u64>, b: TaskHandle<u64>) -> TaskResult<u64> {
    ///     let (a, b) = tokio::try_join!(ctx.join(a), ctx.join(b))?;
    ///     Ok(a + b)
    /// }
    ///
    /// async fn faster(ctx: &TaskContext, a: TaskHandle<u64>, b: TaskHandle<u64>) -> TaskResult<u64> {
    ///     tokio::select! { // the same one again on every replay
    ///         a = ctx.join(a) => a,
    ///         b = ctx.join(b) => b,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TaskError::Child`] when it failed for good, was cancelled or ran out of time; [`TaskError::Payload`] when its
    /// output does not fit; control flow.
    pub fn join<O: DeserializeOwned>(
        &self,
        handle: TaskHandle<O>,
    ) -> impl Future<Output = TaskResult<O>> + Send + use<O> {
        let calls = self.calls.clone();
        let TaskHandle { name, task_id, call, .. } = handle;
        async move {
            let delivery = calls.outcome(call).await?;
            settle(&name, &delivery, |failure| TaskError::Child { name: name.clone(), task_id, failure })
        }
    }

    /// Runs a child for each item and gives their outputs in the order of the items. The first failure ends it, and
    /// is what it comes to; see [`FanOut`] for a cap on how many run at once, for options, and for collecting every
    /// outcome instead.
    ///
    /// ```
    /// # use durable::{Task, TaskContext, TaskResult, async_trait};
    /// # struct Resize;
    /// # #[async_trait]
    /// # impl Task for Resize {
    /// #     const NAME: &'static str = "resize";
    /// #     type Params = String;
    /// #     type Output = u64;
    /// #     async fn run(image: String, _: TaskContext) -> TaskResult<u64> { Ok(image.len() as u64) }
    /// # }
    /// async fn resize_all(ctx: &TaskContext, images: Vec<String>) -> TaskResult<u64> {
    ///     let sizes = ctx.map::<Resize>("resize", images).concurrency(8).await?;
    ///     Ok(sizes.iter().sum())
    /// }
    /// ```
    pub fn map<T: Task>(&self, name: &str, items: impl IntoIterator<Item = T::Params>) -> FanOut<T> {
        FanOut {
            name: checked("child", name),
            args: items.into_iter().map(|item| Payload::json(&item).map_err(TaskError::invalid)).collect(),
            child: Child::of::<T>(self, &SpawnOptions::default()),
            defaults: SpawnDefaults::of(self),
            concurrency: usize::MAX,
            calls: self.calls.clone(),
            task: PhantomData,
        }
    }

    /// Starts an execution of its own, once: a replay does not start it again. It is no child: it goes on when this
    /// task ends, and nothing waits for it.
    ///
    /// ```
    /// # use durable::{SpawnOptions, Task, TaskContext, TaskResult, async_trait};
    /// # struct Survey;
    /// # #[async_trait]
    /// # impl Task for Survey {
    /// #     const NAME: &'static str = "survey";
    /// #     type Params = String;
    /// #     type Output = ();
    /// #     async fn run(_: String, _: TaskContext) -> TaskResult<()> { Ok(()) }
    /// # }
    /// async fn follow_up(ctx: &TaskContext, to: String) -> TaskResult<()> {
    ///     let survey = ctx.dispatch::<Survey>(to, SpawnOptions::default()).await?;
    ///     tracing::info!(task = %survey.task_id, "a survey was started");
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TaskError::Invalid`] as with [`spawn`](Self::spawn); control flow.
    pub fn dispatch<T: Task>(
        &self,
        params: T::Params,
        options: SpawnOptions,
    ) -> impl Future<Output = TaskResult<SpawnResult>> + Send + use<T> {
        let effect = Payload::json(&params).map_err(TaskError::invalid).and_then(|args| {
            let defaults = SpawnDefaults::of(self);
            self.start_of(T::NAME, args, &options, &defaults).map_err(TaskError::invalid)
        });
        let started = self.effect::<StartedRecord>(format!("dispatch:{}", T::NAME), effect);
        async move {
            let StartedRecord { execution, created } = started.await?;
            let task_id = execution.root();
            Ok(SpawnResult { task_id, run_id: RunId::derive(task_id, 1), attempt: 1, created })
        }
    }

    pub(crate) fn start_of(
        &self,
        function: &str,
        args: Payload,
        options: &SpawnOptions,
        from: &SpawnDefaults,
    ) -> Result<Effect, DurableError> {
        let defaults = self.client.defaults();
        Ok(Effect::Start(Box::new(Start {
            id: self.calls.context.engine().new_execution_id(),
            spec: from.complete(options.spec(Name::new("task", function)?, args, defaults)?, options),
            key: options.key()?,
            due: options.due()?,
            deadline: options.deadline(defaults)?,
            claim_for: None,
        })))
    }
}

/// The record of a dispatch.
#[derive(Deserialize)]
pub(crate) struct StartedRecord {
    pub(crate) execution: ExecutionId,
    pub(crate) created: bool,
}

/// What a child has of its parent where the options say nothing.
pub(crate) struct SpawnDefaults {
    parent: TaskSpec,
    client: crate::client::Durable,
}

impl SpawnDefaults {
    pub(crate) fn of(context: &TaskContext) -> Self {
        Self { parent: context.calls.context.task().spec.clone(), client: context.client.clone() }
    }

    fn complete(&self, mut spec: TaskSpec, options: &SpawnOptions) -> TaskSpec {
        if options.queue.is_none() {
            spec.queue = self.parent.queue.clone();
        }
        if options.priority.is_none() {
            spec.priority = self.parent.priority;
        }
        if options.headers.is_none() {
            spec.headers = self.parent.headers.clone();
        }
        spec
    }
}

/// A child but for its arguments.
pub(crate) struct Child {
    spec: TaskSpec,
    due: Option<Due>,
}

impl Child {
    fn of<T: Task>(context: &TaskContext, options: &SpawnOptions) -> TaskResult<Self> {
        Self::named(T::NAME, &SpawnDefaults::of(context), options)
    }

    pub(crate) fn named(task: &str, defaults: &SpawnDefaults, options: &SpawnOptions) -> TaskResult<Self> {
        let of_executions = "is for executions: a child ends with its parent and has its name for a key";
        for (option, is_set) in [
            ("idempotency_key", options.idempotency_key.is_some()),
            ("cancellation", options.cancellation.is_some()),
            ("expiry", options.expiry.is_some()),
        ] {
            if is_set {
                return Err(TaskError::invalid(DurableError::option(option, of_executions)));
            }
        }
        let spec = || options.spec(Name::new("task", task)?, Payload::null(), defaults.client.defaults());
        let spec = defaults.complete(spec().map_err(TaskError::invalid)?, options);
        Ok(Self { spec, due: options.due().map_err(TaskError::invalid)? })
    }

    /// The same with what its result is found by.
    pub(crate) fn with_memo(mut self, memo: Option<Box<Memo>>) -> Self {
        self.spec.options.memo = memo;
        self
    }

    pub(crate) fn start<O>(&self, calls: &Calls, name: &Name, args: Payload) -> TaskResult<TaskHandle<O>> {
        let spec = TaskSpec { args, ..self.spec.clone() };
        let child = calls.context.start_child(name, spec, self.due);
        Ok(TaskHandle { name: name.to_string(), task_id: child.id, call: child.call, output: PhantomData })
    }
}

/// Children over many items, made by [`TaskContext::map`]: awaited, it gives the outputs in the order of the items,
/// or the first failure. Children that still run then are cancelled when their parent ends.
///
/// ```
/// # use durable::{SpawnOptions, Task, TaskContext, TaskResult, async_trait};
/// # struct Fetch;
/// # #[async_trait]
/// # impl Task for Fetch {
/// #     const NAME: &'static str = "fetch";
/// #     type Params = String;
/// #     type Output = String;
/// #     async fn run(url: String, _: TaskContext) -> TaskResult<String> { Ok(url) }
/// # }
/// async fn fetch_what_can_be(ctx: &TaskContext, urls: Vec<String>) -> TaskResult<Vec<String>> {
///     let twice = SpawnOptions { max_attempts: Some(2), ..SpawnOptions::default() };
///     let outcomes = ctx.map::<Fetch>("fetch", urls).concurrency(4).options(twice).collect_all().await?;
///     Ok(outcomes.into_iter().filter_map(Result::ok).collect())
/// }
/// ```
#[must_use = "nothing starts before it is awaited"]
pub struct FanOut<T: Task> {
    name: TaskResult<Name>,
    args: TaskResult<VecDeque<Payload>>,
    child: TaskResult<Child>,
    defaults: SpawnDefaults,
    concurrency: usize,
    calls: Calls,
    task: PhantomData<fn() -> T>,
}

impl<T: Task> FanOut<T> {
    /// At most this many children at once (at least one); all of them unless told otherwise.
    pub fn concurrency(mut self, most: usize) -> Self {
        self.concurrency = most.max(1);
        self
    }

    /// How each child is started, as with [`TaskContext::spawn`].
    pub fn options(mut self, options: SpawnOptions) -> Self {
        self.child = Child::named(T::NAME, &self.defaults, &options);
        self
    }

    /// Every child's outcome, in the order of the items, whatever fails.
    ///
    /// # Errors
    /// Control flow, and what no child could start with; a child's own failure stands in its place.
    pub async fn collect_all(self) -> TaskResult<Vec<TaskResult<T::Output>>> {
        self.drive(|outcome| match outcome {
            Err(error) if error.is_control() => Err(error),
            outcome => Ok(outcome),
        })
        .await
    }

    /// Runs all children; `keep` decides whether an outcome ends everything.
    async fn drive<R>(self, keep: impl Fn(TaskResult<T::Output>) -> TaskResult<R> + Send) -> TaskResult<Vec<R>> {
        let (name, child, mut args) = (self.name?, self.child?, self.args?);
        let calls = &self.calls;
        let mut kept: Vec<Option<R>> = Vec::new();
        kept.resize_with(args.len(), || None);
        let mut running = FuturesUnordered::new();
        let mut next = 0;
        loop {
            while running.len() < self.concurrency
                && let Some(args) = args.pop_front()
            {
                let TaskHandle { name, task_id, call, .. } = child.start::<T::Output>(calls, &name, args)?;
                let place = next;
                next += 1;
                running.push(async move {
                    let outcome = match calls.outcome(call).await {
                        Ok(delivery) => settle(&name, &delivery, |failure| TaskError::Child {
                            name: name.clone(),
                            task_id,
                            failure,
                        }),
                        Err(error) => Err(error),
                    };
                    (place, outcome)
                });
            }
            let Some((place, outcome)) = running.next().await else { break };
            kept[place] = Some(keep(outcome)?);
        }
        Ok(kept.into_iter().flatten().collect())
    }
}

impl<T: Task> IntoFuture for FanOut<T> {
    type Output = TaskResult<Vec<T::Output>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.drive(|outcome| outcome))
    }
}

impl<T: Task> fmt::Debug for FanOut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FanOut")
            .field("name", &self.name)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

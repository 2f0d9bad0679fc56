//! The client: how an application starts tasks, asks after them and runs workers. A thin layer: names and values are
//! checked and written as JSON here, everything else is the engine's.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use stent_core::{ExecutionId, Memo, Name, Payload, RunId, TaskId};
use stent_engine::{Ended, Engine, EngineError, StartRequest, Started};

use crate::builder::DurableBuilder;
use crate::error::DurableError;
use crate::options::{Defaults, SpawnOptions, span};
use crate::registry::Registry;
use crate::report::{SpawnResult, TaskReport};
use crate::task::Task;
use crate::testing::Time;
use crate::worker::WorkerOptions;

/// What the application gave along, by type.
pub(crate) type AppState = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// The client of one store: starts tasks, asks after them, runs workers. Clones share everything; it is cheap to
/// clone and made to be shared.
///
/// ```
/// use durable::{Durable, Task, TaskContext, TaskResult, WorkerOptions, async_trait};
///
/// struct Greet;
///
/// #[async_trait]
/// impl Task for Greet {
///     const NAME: &'static str = "greet";
///     type Params = String;
///     type Output = String;
///
///     async fn run(name: String, ctx: TaskContext) -> TaskResult<String> {
///         ctx.step("greet", || async { Ok(format!("Hello, {name}!")) }).await
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// let client = Durable::builder().database_url("sqlite::memory:").build().await?;
/// client.register::<Greet>().await;
/// let worker = client.start_worker(WorkerOptions::default()).await;
///
/// let spawned = client.spawn::<Greet>("Ann".into()).await?;
/// assert_eq!(client.wait_for_output::<Greet>(spawned.task_id, None).await?, "Hello, Ann!");
///
/// let many = client.spawn_all::<Greet>(vec!["Bob".into(), "Cleo".into()]).await?;
/// let report = client.wait_for(many[1].task_id, None).await?;
/// assert_eq!(report.json()?, Some("Hello, Cleo!".into()));
///
/// worker.shutdown().await;
/// client.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Durable(Arc<Inner>);

struct Inner {
    engine: Engine,
    parts: Parts,
    /// The error of a call that returns none, for the next that does.
    deferred: Mutex<Option<DurableError>>,
    /// The time of a test, which is skipped.
    time: Option<Arc<Time>>,
}

/// What a client has beside its engine.
#[derive(Clone, Default)]
pub(crate) struct Parts {
    pub(crate) registry: Arc<Registry>,
    pub(crate) defaults: Defaults,
    pub(crate) app: Arc<AppState>,
}

/// The client that was made the process's default.
static DEFAULT: RwLock<Option<Durable>> = RwLock::new(None);

impl Durable {
    /// Begins to build a client.
    pub fn builder() -> DurableBuilder {
        DurableBuilder::default()
    }

    pub(crate) fn new(engine: Engine, parts: Parts, time: Option<Arc<Time>>) -> Self {
        Self(Arc::new(Inner { engine, parts, deferred: Mutex::new(None), time }))
    }

    /// The client that was built with [`make_default`](DurableBuilder::make_default) last, if one was.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), durable::DurableError> {
    /// use durable::Durable;
    ///
    /// Durable::builder().database_url("sqlite::memory:").queue_name("mine").make_default().build().await?;
    /// assert_eq!(Durable::default_client().expect("it was just made").queue_name(), "mine");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn default_client() -> Option<Self> {
        DEFAULT.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn make_default(&self) {
        *DEFAULT.write().unwrap_or_else(PoisonError::into_inner) = Some(self.clone());
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.parts.registry
    }

    pub(crate) fn defaults(&self) -> &Defaults {
        &self.0.parts.defaults
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    /// What all clones share.
    pub(crate) fn shared(&self) -> &Arc<impl Sized + use<>> {
        &self.0
    }

    pub(crate) fn time(&self) -> Option<&Arc<Time>> {
        self.0.time.as_ref()
    }

    pub(crate) fn app_state<S: Send + Sync + 'static>(&self) -> Option<Arc<S>> {
        self.0.parts.app.get(&TypeId::of::<S>()).cloned()?.downcast().ok()
    }

    /// The queue that this client starts tasks in and emits events to unless told otherwise.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), durable::DurableError> {
    /// let client = durable::Durable::builder().database_url("sqlite::memory:").build().await?;
    /// assert_eq!(client.queue_name(), "default");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn queue_name(&self) -> &str {
        &self.0.parts.defaults.queue
    }

    /// The engine, for a call that can fail: first comes what an earlier call could not say.
    pub(crate) fn engine(&self) -> Result<&Engine, DurableError> {
        if let Some(error) = self.0.deferred.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        #[cfg(feature = "sqlite")]
        if stent_sqlite::outbox::inside() {
            return Err(DurableError::InsideTransaction);
        }
        #[cfg(feature = "postgres")]
        if crate::transaction::inside::inside() {
            return Err(DurableError::InsideTransaction);
        }
        Ok(&self.0.engine)
    }

    /// The engine, for making ids only.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn engine_inside(&self) -> &Engine {
        &self.0.engine
    }

    /// Keeps an error of a call that returns none; the first stays.
    pub(crate) fn defer(&self, error: DurableError) {
        tracing::error!(%error, "this fails the next call that can fail");
        self.0.deferred.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Makes a task known to this client's workers, also to those that run already. A name that is taken is logged
    /// and fails the client's next call that can fail; [`try_register`](Self::try_register) tells at once.
    pub async fn register<T: Task>(&self) {
        if let Err(error) = self.try_register::<T>().await {
            self.defer(error);
        }
    }

    /// Makes a task known to this client's workers, also to those that run already.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, Task, TaskContext, TaskResult, async_trait};
    /// # struct Greet;
    /// # #[async_trait]
    /// # impl Task for Greet {
    /// #     const NAME: &'static str = "greet";
    /// #     type Params = ();
    /// #     type Output = ();
    /// #     async fn run((): (), _: TaskContext) -> TaskResult<()> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), DurableError> {
    /// # let client = Durable::builder().database_url("sqlite::memory:").build().await?;
    /// client.try_register::<Greet>().await?;
    /// assert!(matches!(client.try_register::<Greet>().await, Err(DurableError::NameTaken { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::NameTaken`]; [`DurableError::Name`] for a name that breaks a rule.
    #[expect(clippy::unused_async, reason = "a store may have to be told one day; callers await it already")]
    pub async fn try_register<T: Task>(&self) -> Result<(), DurableError> {
        self.0.parts.registry.add::<T>()
    }

    /// Starts a task with the client's defaults. When this returns, it is committed.
    ///
    /// # Errors
    /// [`DurableError::Payload`] when serde cannot write the parameters or they are over 16 MiB; the store's failure.
    pub async fn spawn<T: Task>(&self, params: T::Params) -> Result<SpawnResult, DurableError> {
        self.spawn_with_options::<T>(params, SpawnOptions::default()).await
    }

    /// Starts a task.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, SpawnOptions, Task, TaskId};
    /// async fn later<T: Task>(client: &Durable, params: T::Params) -> Result<TaskId, DurableError> {
    ///     let in_an_hour = SpawnOptions { delay: Some(std::time::Duration::from_secs(3_600)), ..Default::default() };
    ///     Ok(client.spawn_with_options::<T>(params, in_an_hour).await?.task_id)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::Option`] and [`DurableError::Name`] for options that break a rule; else as
    /// [`spawn`](Self::spawn).
    pub async fn spawn_with_options<T: Task>(
        &self,
        params: T::Params,
        options: SpawnOptions,
    ) -> Result<SpawnResult, DurableError> {
        self.start(T::NAME, Payload::json(&params)?, &options, None).await
    }

    /// Starts a task by its name, with JSON for parameters: for one whose type this process does not know.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, SpawnOptions};
    /// async fn resize(client: &Durable, image: &str) -> Result<(), DurableError> {
    ///     let params = serde_json::json!({ "image": image });
    ///     client.spawn_by_name("resize", params, SpawnOptions::default()).await.map(drop)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`spawn_with_options`](Self::spawn_with_options).
    pub async fn spawn_by_name(
        &self,
        name: &str,
        params: Value,
        options: SpawnOptions,
    ) -> Result<SpawnResult, DurableError> {
        self.start(name, Payload::json(&params)?, &options, None).await
    }

    /// Starts many tasks in as few commits as their size allows; the answers are in the order of `params`.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn); the first failure, after all were tried.
    pub async fn spawn_all<T: Task>(&self, params: Vec<T::Params>) -> Result<Vec<SpawnResult>, DurableError> {
        self.spawn_all_with_options::<T>(params, SpawnOptions::default()).await
    }

    /// [`spawn_all`](Self::spawn_all) with options, the same for each.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, SpawnOptions, Task};
    /// async fn in_bulk<T: Task>(client: &Durable, all: Vec<T::Params>) -> Result<usize, DurableError> {
    ///     let bulk = SpawnOptions { queue: Some("bulk".into()), priority: Some(-10), ..Default::default() };
    ///     Ok(client.spawn_all_with_options::<T>(all, bulk).await?.len())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`spawn_all`](Self::spawn_all); [`DurableError::Option`] for a key, which only one task could have.
    pub async fn spawn_all_with_options<T: Task>(
        &self,
        params: Vec<T::Params>,
        options: SpawnOptions,
    ) -> Result<Vec<SpawnResult>, DurableError> {
        if options.idempotency_key.is_some() {
            return Err(DurableError::option("idempotency_key", "is for one task, not for many"));
        }
        let engine = self.engine()?;
        let name = Name::new("task", T::NAME)?;
        let like = self.request(name, Payload::null(), &options)?;
        let requests = params.iter().map(|params| {
            let mut request = like.clone();
            request.spec.args = Payload::json(params)?;
            Ok(request)
        });
        let requests = requests.collect::<Result<Vec<_>, DurableError>>()?;
        Ok(engine.start_many(requests).await?.into_iter().map(spawned).collect())
    }

    pub(crate) async fn start(
        &self,
        name: &str,
        args: Payload,
        options: &SpawnOptions,
        memo: Option<Box<Memo>>,
    ) -> Result<SpawnResult, DurableError> {
        let engine = self.engine()?;
        let mut request = self.request(Name::new("task", name)?, args, options)?;
        request.spec.options.memo = memo;
        let started = engine.start(request).await?;
        if started.created {
            return Ok(spawned(started));
        }
        let root = started.execution.root();
        let task = stent_core::TaskRef::root(started.execution);
        // The key outlives its execution: one that was cleaned up is not started a second time.
        let (run, attempt) = engine.store().task(task).await?.map_or((1, 1), |view| (view.run, view.attempt));
        Ok(SpawnResult { task_id: root, run_id: RunId::derive(root, run), attempt, created: false })
    }

    pub(crate) fn request(
        &self,
        function: Name,
        args: Payload,
        options: &SpawnOptions,
    ) -> Result<StartRequest, DurableError> {
        let defaults = self.defaults();
        Ok(StartRequest {
            id: None,
            spec: options.spec(function, args, defaults)?,
            key: options.key()?,
            due: options.due()?,
            deadline: options.deadline(defaults)?,
        })
    }

    /// Publishes an event: whoever waits for it in the queue (the client's, unless named), now or within the
    /// retention of 30 days, gets it.
    ///
    /// ```
    /// # use durable::{Durable, DurableError};
    /// async fn packed(client: &Durable, order: u64, tracking: &str) -> Result<(), DurableError> {
    ///     client.emit_event(&format!("packed:{order}"), tracking, None).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::Name`]; [`DurableError::Payload`]; the store's failure.
    pub async fn emit_event<P: Serialize + ?Sized>(
        &self,
        name: &str,
        payload: &P,
        queue: Option<&str>,
    ) -> Result<(), DurableError> {
        let engine = self.engine()?;
        let name = Name::new("event", name)?;
        let payload = Payload::json(payload)?;
        let queue = queue.map(|queue| Name::new("queue", queue)).transpose()?;
        Ok(engine.emit(queue.unwrap_or_else(|| self.defaults().queue.clone()), name, payload).await?)
    }

    /// Gives a signal to an execution, by its root's id. It is kept until a wait takes it.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn approve(client: &Durable, order: TaskId) -> Result<(), DurableError> {
    ///     client.signal(order, "approve", &true).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`]; [`DurableError::Refused`] when it has ended; else as
    /// [`emit_event`](Self::emit_event).
    pub async fn signal<P: Serialize + ?Sized>(
        &self,
        task_id: TaskId,
        name: &str,
        payload: &P,
    ) -> Result<(), DurableError> {
        let engine = self.engine()?;
        let name = Name::new("signal", name)?;
        Ok(engine.signal(execution(task_id), name, Payload::json(payload)?).await?)
    }

    /// Cancels a task and what it called; a root's id cancels the whole execution. Running code learns of it at its
    /// next call on the context and is stopped.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn stop(client: &Durable, task: TaskId) -> Result<(), DurableError> {
    ///     match client.cancel_task(task).await {
    ///         Err(error) if error.already_ended().is_some() => Ok(()), // too late is fine
    ///         other => other,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`]; [`DurableError::Refused`] when it has ended.
    pub async fn cancel_task(&self, task_id: TaskId) -> Result<(), DurableError> {
        Ok(self.engine()?.cancel(task_id).await?)
    }

    /// Where a task stands, and its result once it has one; `None` for an unknown id. Does not wait.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId, TaskStatus};
    /// async fn is_done(client: &Durable, task: TaskId) -> Result<bool, DurableError> {
    ///     let report = client.get_task_result(task).await?;
    ///     Ok(report.is_some_and(|report| report.status == TaskStatus::Completed))
    /// }
    /// ```
    ///
    /// # Errors
    /// The store's failure.
    pub async fn get_task_result(&self, task_id: TaskId) -> Result<Option<TaskReport>, DurableError> {
        let store = self.engine()?.store();
        let Some(task) = store.find_task(task_id).await? else { return Ok(None) };
        Ok(store.task(task).await?.map(TaskReport::of_task))
    }

    /// Waits for the end of an execution, by its root's id, wherever it runs.
    ///
    /// # Errors
    /// [`DurableError::TimedOut`] when it takes longer than `timeout` (the execution goes on);
    /// [`DurableError::UnknownTask`]; [`DurableError::Child`] for the id of a child. An execution that failed is no
    /// error here: see its [`status`](TaskReport::status).
    pub async fn wait_for(&self, task_id: TaskId, timeout: Option<Duration>) -> Result<TaskReport, DurableError> {
        let engine = self.engine()?;
        let view = self.end(task_id, timeout, |limit| engine.wait(execution(task_id), limit)).await?;
        Ok(TaskReport::of_execution(view))
    }

    /// Awaits an execution's end, while a test's time is skipped.
    async fn end<T, F>(
        &self,
        task_id: TaskId,
        timeout: Option<Duration>,
        wait: impl FnOnce(Option<Duration>) -> F + Send,
    ) -> Result<T, DurableError>
    where
        F: Future<Output = Result<T, EngineError>> + Send,
        T: Send,
    {
        let timeout = timeout.map(|timeout| span("timeout", timeout)).transpose()?;
        let ended = match self.time() {
            Some(time) => time.wait(wait(None), timeout).await?,
            None => wait(timeout).await,
        };
        match ended {
            Ok(ended) => Ok(ended),
            Err(EngineError::Unknown) => match self.engine()?.store().find_task(task_id).await? {
                Some(child) => Err(DurableError::Child { execution: child.execution.root() }),
                None => Err(DurableError::UnknownTask),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the end of an execution and gives its output.
    ///
    /// # Errors
    /// [`DurableError::Failed`] when it ended otherwise than with a result; else as [`wait_for`](Self::wait_for).
    pub async fn wait_for_output<T: Task>(
        &self,
        task_id: TaskId,
        timeout: Option<Duration>,
    ) -> Result<T::Output, DurableError> {
        let engine = self.engine()?;
        match self.end(task_id, timeout, |limit| engine.wait_for_result(execution(task_id), limit)).await? {
            Ended::Completed(result) => Ok(result.read()?),
            Ended::Seen(view) => TaskReport::of_execution(*view).output(),
        }
    }

    /// Ends the client's work on its store and leaves the database as it should lie while nobody uses it. Workers are
    /// shut down before.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn close(&self) -> Result<(), DurableError> {
        Ok(self.engine()?.close().await?)
    }
}

/// Runs one task to its end in this process, with a worker of its own: on the process's default client if there is
/// one ([`Durable::default_client`]), else on the default store. The shortest way to something durable; a program
/// with more to do builds a client.
///
/// ```no_run
/// # use durable::{DurableError, Task, TaskContext, TaskResult, async_trait};
/// # struct Hello;
/// # #[async_trait]
/// # impl Task for Hello {
/// #     const NAME: &'static str = "hello";
/// #     type Params = String;
/// #     type Output = String;
/// #     async fn run(name: String, _: TaskContext) -> TaskResult<String> { Ok(name) }
/// # }
/// #[tokio::main]
/// async fn main() -> Result<(), DurableError> {
///     println!("{}", durable::run::<Hello>("world".into()).await?);
///     Ok(())
/// }
/// ```
///
/// # Errors
/// As [`DurableBuilder::build`], [`Durable::try_start_worker`], [`Durable::spawn`] and [`Durable::wait_for_output`].
pub async fn run<T: Task>(params: T::Params) -> Result<T::Output, DurableError> {
    let client = match Durable::default_client() {
        Some(client) => client,
        None => Durable::builder().build().await?,
    };
    match client.try_register::<T>().await {
        // The application has registered it already.
        Ok(()) | Err(DurableError::NameTaken { .. }) => {}
        Err(error) => return Err(error),
    }
    let worker = client.try_start_worker(WorkerOptions::default()).await?;
    let spawned = client.spawn::<T>(params).await?;
    let output = client.wait_for_output::<T>(spawned.task_id, None).await;
    worker.shutdown().await;
    output
}

pub(crate) const fn execution(root: TaskId) -> ExecutionId {
    ExecutionId::from_uuid(root.uuid())
}

pub(crate) fn spawned(started: Started) -> SpawnResult {
    let task_id = started.execution.root();
    SpawnResult { task_id, run_id: RunId::derive(task_id, 1), attempt: 1, created: started.created }
}

impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durable").field("queue_name", &self.queue_name()).finish_non_exhaustive()
    }
}

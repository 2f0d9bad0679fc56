//! Starting a durable function from outside, with options, and the handle on what was started. Made inside of a
//! durable function with its own client, a start is recorded: a replay does not start it again.

use std::any::type_name;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use stent_core::TaskId;
use stent_core::command::Effect;

use super::free::{shown, timeout_of};
use super::here::Here;
use super::outcome::Ended;
use super::spans::{IntoSpan, IntoTimeout};
use super::spec;
use super::{Arguments, Function, IntoArguments};
use crate::client::Durable;
use crate::context::{SpawnDefaults, StartedRecord, TaskContext};
use crate::error::DurableError;
use crate::options::SpawnOptions;
use crate::report::TaskReport;

impl Durable {
    /// Starts a durable function. What is not said by an option is the function's own; awaited, it gives a handle once
    /// the start is committed.
    ///
    /// ```
    /// use durable::Durable;
    ///
    /// #[durable::function(queue = "critical")]
    /// async fn charge(order: String, cents: u64) -> String {
    ///     format!("{order}: {cents}")
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), durable::DurableError> {
    /// # let client = Durable::builder().database_url("sqlite::memory:").build().await?;
    /// let execution = client
    ///     .dispatch(charge, ("a".to_owned(), 250))
    ///     .delay("5m")
    ///     .priority(3)
    ///     .tags(["billing"])
    ///     .expiry("1h")
    ///     .idempotency_key("charge a")
    ///     .await?;
    /// println!("{}", execution.id());
    /// # Ok(())
    /// # }
    /// ```
    pub fn dispatch<F: Function>(&self, _function: F, args: impl IntoArguments<F::Args>) -> Dispatch<F> {
        self.dispatch_of(args.into_arguments())
    }

    pub(super) fn dispatch_of<F: Function>(&self, args: F::Args) -> Dispatch<F> {
        let mut options = spec::options(F::meta());
        self.defaults().fill_function(&mut options);
        Dispatch { client: self.clone(), args, options, flaw: None, deadline: None }
    }

    /// The handle on an execution of a durable function that was started before, by its id.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// #[durable::function]
    /// async fn charge(cents: u64) -> String {
    ///     format!("receipt over {cents}")
    /// }
    ///
    /// # async fn receipt(client: &Durable, id: TaskId) -> Result<String, DurableError> {
    /// client.execution_of(charge, id).wait("30s").await
    /// # }
    /// ```
    #[must_use]
    pub fn execution_of<F: Function>(&self, _function: F, id: TaskId) -> Execution<F> {
        Execution { client: self.clone(), id, created: false, function: PhantomData }
    }
}

/// The start of a durable function, made by [`Durable::dispatch`]. An option that cannot be is told when it is
/// awaited.
///
/// ```
/// # use durable::{Durable, DurableError, TaskId};
/// #[durable::function]
/// async fn report(month: String) -> usize {
///     month.len()
/// }
///
/// async fn once_a_month(client: &Durable, month: &str) -> Result<bool, DurableError> {
///     let start = client.dispatch(report, month.to_owned()).tags(["slow"]).expiry("1d");
///     let execution = start.idempotency_key(format!("report:{month}")).await?;
///     execution.signal("looks-at", &month).await?;
///     Ok(execution.created())
/// }
/// ```
///
/// ```
/// # use durable::Durable;
/// #[durable::function]
/// async fn report(month: String) -> String {
///     month
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// # let client = Durable::builder().database_url("sqlite::memory:").build().await?;
/// let tenant = serde_json::Map::from_iter([("tenant".to_owned(), "acme".into())]);
/// let started = client.dispatch(report, "2031-07".to_owned()).queue("reports").headers(tenant).max_duration("1d").await?;
/// assert!(started.created());
/// let soon = client.dispatch(report, "2031-07".to_owned()).delay("soon").await;
/// assert!(soon.unwrap_err().to_string().contains("\"soon\" is no duration"));
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing starts before it is awaited"]
pub struct Dispatch<F: Function> {
    client: Durable,
    args: F::Args,
    options: SpawnOptions,
    /// The first option that cannot be.
    flaw: Option<DurableError>,
    /// By which of its two names the deadline was set.
    deadline: Option<&'static str>,
}

impl<F: Function> Dispatch<F> {
    /// Not to be started before this long from now.
    pub fn delay(mut self, delay: impl IntoSpan) -> Self {
        self.options.delay = self.span("delay", delay);
        self
    }

    /// Higher is started first.
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// The queue it joins.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.options.queue = Some(queue.into());
        self
    }

    /// Its tags, instead of the function's.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.options.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// From its creation to its end: past that it is ended as timed out. [`max_duration`](Self::max_duration) is
    /// another name of the same limit.
    pub fn expiry(self, expiry: impl IntoSpan) -> Self {
        self.deadline("expiry", expiry)
    }

    /// As [`expiry`](Self::expiry).
    pub fn max_duration(self, most: impl IntoSpan) -> Self {
        self.deadline("max_duration", most)
    }

    fn deadline(mut self, name: &'static str, span: impl IntoSpan) -> Self {
        if self.deadline.is_some_and(|other| other != name) {
            let both = DurableError::option(name, "`expiry` and `max_duration` are one limit: set one of them");
            self.flaw.get_or_insert(both);
        }
        self.deadline = Some(name);
        self.options.expiry = self.span(name, span);
        self
    }

    /// What travels along with it and its children for [`Context::headers`](crate::Context::headers) to show.
    pub fn headers(mut self, headers: Map<String, Value>) -> Self {
        self.options.headers = Some(headers);
        self
    }

    /// The start key: one execution for each, ever; a second start answers the first's.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.options.idempotency_key = Some(key.into());
        self
    }

    fn span(&mut self, option: &'static str, span: impl IntoSpan) -> Option<std::time::Duration> {
        match span.into_span() {
            Ok(span) => Some(span),
            Err(error) => {
                self.flaw.get_or_insert(DurableError::option(option, format!("is no span: {error}")));
                None
            }
        }
    }

    pub(super) async fn start(self) -> Result<Execution<F>, DurableError> {
        if let Some(flaw) = self.flaw {
            return Err(flaw);
        }
        let payload = self.args.write()?;
        let started = match Here::inside() {
            Some(context) if context.client().is_of(&self.client) => {
                return self.start_recorded(context, payload).await;
            }
            Some(_) => {
                let words = "belongs to another client than the durable function whose code this is, so the start \
                             would not be recorded: dispatch inside of a step, or through `durable::context().client()`";
                return Err(DurableError::option("client", words));
            }
            None => {
                let memo = spec::memo::<F>(&self.args, &payload, |ask| Ok(ask()));
                let memo = memo.map_err(|error| DurableError::option("key", error.to_string()))?;
                self.client.start(F::meta().name(), payload, &self.options, memo).await?
            }
        };
        Ok(Execution { client: self.client, id: started.task_id, created: started.created, function: PhantomData })
    }

    async fn start_recorded(
        self,
        context: Arc<TaskContext>,
        payload: stent_core::Payload,
    ) -> Result<Execution<F>, DurableError> {
        let name = F::meta().name();
        let unkept = |error: crate::TaskError| DurableError::option("key", error.to_string());
        let memo = spec::memo_inside::<F>(&self.args, &payload, &context).map_err(unkept)?;
        let mut effect = context.start_of(name, payload, &self.options, &SpawnDefaults::of(&context))?;
        if let Effect::Start(start) = &mut effect {
            start.spec.options.memo = memo;
        }
        let started = context.effect::<StartedRecord>(format!("dispatch:{name}"), Ok(effect));
        let started = shown(Arc::clone(&context), started).await;
        let StartedRecord { execution, created } =
            started.map_err(|error| DurableError::option("dispatch", error.to_string()))?;
        Ok(Execution { client: self.client, id: execution.root(), created, function: PhantomData })
    }
}

impl<F: Function> IntoFuture for Dispatch<F> {
    type Output = Result<Execution<F>, DurableError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

/// An execution of a durable function.
///
/// ```
/// # use durable::{Durable, DurableError, TaskId};
/// #[durable::function]
/// async fn render(month: String) -> usize {
///     month.len()
/// }
///
/// async fn once_a_day(client: &Durable, month: &str) -> Result<bool, DurableError> {
///     let start = client.dispatch(render, month.to_owned()).tags(["slow"]).expiry("1d");
///     let execution = start.idempotency_key(format!("render:{month}")).await?;
///     execution.signal("looks-at", &month).await?;
///     Ok(execution.created())
/// }
/// ```
///
/// ```
/// use durable::{Durable, DurableError, WorkerOptions};
///
/// #[durable::function]
/// async fn divide(a: u64, b: u64) -> Result<u64, String> {
///     a.checked_div(b).ok_or_else(|| "by nothing".to_owned())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), DurableError> {
/// # let client = Durable::builder().database_url("sqlite::memory:").default_max_attempts(1).build().await?;
/// let halves = client.dispatch(divide, (8, 2)).await?;
/// assert!(matches!(halves.result().await, Err(DurableError::NotEnded { .. })));
/// let worker = client.try_start_worker(WorkerOptions::default()).await?;
/// assert_eq!(halves.wait("30s").await?, Ok(4));
/// assert_eq!(halves.result().await?, Ok(4));
/// assert_eq!(halves.state().await?.attempts, 1);
/// // The function's own error is part of what it returns.
/// assert_eq!(client.dispatch(divide, (8, 0)).await?.wait(None).await?, Err("by nothing".to_owned()));
/// # let late = client.dispatch(divide, (8, 1)).delay("1h").await?;
/// late.cancel().await?;
/// assert!(late.result().await.unwrap_err().is_cancelled());
/// worker.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct Execution<F: Function> {
    client: Durable,
    id: TaskId,
    created: bool,
    function: PhantomData<fn() -> F>,
}

impl<F: Function> Execution<F> {
    /// Its id, which is its root task's.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Whether this start made it: false when its key was known.
    #[must_use]
    pub fn created(&self) -> bool {
        self.created
    }

    /// Waits for its end and gives what the function returned.
    ///
    /// # Errors
    /// [`DurableError::TimedOut`] when that takes longer than `timeout` (the execution goes on);
    /// [`DurableError::Failed`] when something ended it that the return type has no place for: see
    /// [`is_cancelled`](DurableError::is_cancelled) and [`is_expired`](DurableError::is_expired).
    pub async fn wait(&self, timeout: impl IntoTimeout) -> Result<F::Output, DurableError> {
        let timeout = timeout_of(timeout)?;
        read::<F>(&self.client.wait_for(self.id, timeout).await?)
    }

    /// What the function returned, without waiting.
    ///
    /// # Errors
    /// [`DurableError::NotEnded`] while it runs; else as [`wait`](Self::wait).
    pub async fn result(&self) -> Result<F::Output, DurableError> {
        read::<F>(&self.client.result_of(self.id).await?)
    }

    /// Where it stands.
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`]; the store's failure.
    pub async fn state(&self) -> Result<TaskReport, DurableError> {
        Ok(self.client.state_of(self.id).await?.report)
    }

    /// Cancels it, with everything it called.
    ///
    /// # Errors
    /// As [`Durable::cancel_task`].
    pub async fn cancel(&self) -> Result<(), DurableError> {
        self.client.cancel_task(self.id).await
    }

    /// Gives it a signal.
    ///
    /// # Errors
    /// As [`Durable::signal`].
    pub async fn signal<P: Serialize + Sync + ?Sized>(&self, name: &str, payload: &P) -> Result<(), DurableError> {
        self.client.signal(self.id, name, payload).await
    }

    /// How it ended, for whoever has only the return type to say it in.
    pub(super) async fn ended(&self) -> Ended {
        match self.client.wait_for(self.id, None).await {
            Ok(report) => ended(&report),
            Err(error) => Ended::new(F::meta().name(), self.id, Err(Box::new(error.to_failure()))),
        }
    }
}

fn ended(report: &TaskReport) -> Ended {
    Ended::new(&report.name, report.task_id, report.outcome().map_err(Box::new))
}

fn read<F: Function>(report: &TaskReport) -> Result<F::Output, DurableError> {
    let (task_id, status) = (report.task_id, report.status);
    F::read(ended(report)).map_err(|failure| DurableError::Failed { task_id, status, failure })
}

impl<F: Function> fmt::Debug for Dispatch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch").field("function", &F::meta().name()).field("options", &self.options).finish()
    }
}

impl<F: Function> fmt::Debug for Execution<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution").field("function", &type_name::<F>()).field("id", &self.id).finish_non_exhaustive()
    }
}

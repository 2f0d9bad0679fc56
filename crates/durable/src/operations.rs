//! What an application asks over all that is stored: executions with their progress, lists, counts, clean-up, counters
//! and state values from outside a task. Queues and dead letters have a file of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use stent_core::command::BaggageChange;
use stent_core::view::{ExecutionFilter, TaskFilter};
use stent_core::{ExecutionId, ExecutionState, Name, Payload, Progress, TaskId, TaskRef, TaskState, Timestamp};
use stent_engine::Cleaned;

use crate::client::Durable;
use crate::context::Number;
use crate::error::DurableError;
use crate::options::span;
use crate::report::{TaskReport, TaskStatus};

/// An execution as it stood when it was asked for, with all that it carries.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// # let client = durable::Durable::builder().database_url("sqlite::memory:").build().await?;
/// use durable::{Number, ProgressStatus, SpawnOptions};
///
/// let options = SpawnOptions { priority: Some(5), tags: vec!["billing".into()], ..SpawnOptions::default() };
/// let spawned = client.spawn_by_name("report", serde_json::json!({}), options).await?;
/// client.increment_counter(spawned.task_id, "looks", 1_i64).await?;
///
/// let execution = client.execution(spawned.task_id).await?.expect("it was just started");
/// assert_eq!((execution.priority, execution.retries), (5, 0));
/// assert_eq!(execution.counters["looks"], Number::Whole(1));
/// assert_eq!(execution.progress[0].step, "report");
/// assert_eq!(execution.progress[0].status, ProgressStatus::Dispatched);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionReport {
    /// Its root: where it stands, its result or failure, its queue, its times.
    pub root: TaskReport,
    /// How often its root was tried again.
    pub retries: u32,
    /// Its root's priority.
    pub priority: i32,
    /// Its root's tags.
    pub tags: Vec<String>,
    /// Its counters.
    pub counters: BTreeMap<String, Number>,
    /// Its state values that are JSON.
    pub state: BTreeMap<String, Value>,
    /// How far it has come: its tasks and their recorded steps, oldest first.
    pub progress: Vec<Progress>,
}

/// Which executions to list: newest first.
///
/// ```
/// use durable::{ExecutionQuery, TaskStatus};
/// let second_page = ExecutionQuery { status: Some(TaskStatus::Failed), offset: 10, ..ExecutionQuery::default() };
/// assert_eq!(second_page.limit, 10);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionQuery {
    /// Only those that stand so. A waiting execution is running: none is suspended.
    pub status: Option<TaskStatus>,
    /// Only those of this queue.
    pub queue: Option<String>,
    /// How many at most. Default 10.
    pub limit: u32,
    /// How many to pass over first.
    pub offset: u32,
}

impl Default for ExecutionQuery {
    fn default() -> Self {
        Self { status: None, queue: None, limit: 10, offset: 0 }
    }
}

/// How much of everything there is, at one moment.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// # let client = durable::Durable::builder().database_url("sqlite::memory:").build().await?;
/// use durable::{Stats, TaskStatus};
///
/// client.spawn_by_name("report", serde_json::json!({}), Default::default()).await?;
/// let stats: Stats = client.stats().await?;
/// assert_eq!(stats.executions[&TaskStatus::Pending], 1);
/// assert_eq!(stats.tasks[&("default".to_owned(), TaskStatus::Pending)], 1);
/// assert_eq!((stats.dead_letters, stats.workers), (0, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Executions by how they stand; what is not there counts 0.
    pub executions: BTreeMap<TaskStatus, u64>,
    /// Tasks by queue and how they stand.
    pub tasks: BTreeMap<(String, TaskStatus), u64>,
    /// Dead letters.
    pub dead_letters: u64,
    /// Workers that are there.
    pub workers: u64,
}

impl Durable {
    /// One execution with its progress, counters and state values, by its root's id; `None` when there is none.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn last_step(client: &Durable, order: TaskId) -> Result<Option<String>, DurableError> {
    ///     let execution = client.execution(order).await?;
    ///     Ok(execution.and_then(|execution| execution.progress.last().map(|entry| entry.step.clone())))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::Child`] for the id of a child; the store's failure.
    pub async fn execution(&self, task_id: TaskId) -> Result<Option<ExecutionReport>, DurableError> {
        let engine = self.engine()?;
        let store = engine.store();
        let id = ExecutionId::from_uuid(task_id.uuid());
        let Some(view) = store.execution(id).await? else {
            return match store.find_task(task_id).await? {
                Some(child) => Err(DurableError::Child { execution: child.execution.root() }),
                None => Ok(None),
            };
        };
        let baggage = store.baggage(id).await?;
        let progress = engine.progress(id).await?;
        let json = |(name, value): (Name, Payload)| Some((name.to_string(), value.read().ok()?));
        Ok(Some(ExecutionReport {
            retries: view.attempts.saturating_sub(1),
            priority: view.priority,
            tags: view.tags.iter().map(ToString::to_string).collect(),
            root: TaskReport::of_execution(view),
            counters: baggage.counters.into_iter().map(|(name, value)| (name.to_string(), value.into())).collect(),
            state: baggage.state.into_iter().filter_map(json).collect(),
            progress,
        }))
    }

    /// Executions, newest first.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, ExecutionQuery, TaskStatus};
    /// async fn what_failed(client: &Durable) -> Result<(), DurableError> {
    ///     let failed = ExecutionQuery { status: Some(TaskStatus::Failed), limit: 100, ..Default::default() };
    ///     for execution in client.list_executions(failed).await? {
    ///         println!("{} {}: {:?}", execution.name, execution.task_id, execution.failure);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::Option`] for a status that no execution has; [`DurableError::Name`]; the store's failure.
    pub async fn list_executions(&self, query: ExecutionQuery) -> Result<Vec<TaskReport>, DurableError> {
        let ExecutionQuery { status, queue, limit, offset } = query;
        let state = status.map(state_of).transpose()?;
        let queue = queue.map(|queue| Name::new("queue", &queue)).transpose()?;
        let views = self.engine()?.store().executions(ExecutionFilter { state, queue, limit, offset }).await?;
        Ok(views.into_iter().map(TaskReport::of_execution).collect())
    }

    /// How many executions stand so, or how many there are.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskStatus};
    /// async fn is_quiet(client: &Durable) -> Result<bool, DurableError> {
    ///     Ok(client.count_executions(Some(TaskStatus::Running)).await? == 0)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`list_executions`](Self::list_executions).
    pub async fn count_executions(&self, status: Option<TaskStatus>) -> Result<u64, DurableError> {
        let state = status.map(state_of).transpose()?;
        Ok(self.engine()?.store().count_executions(state).await?)
    }

    /// The children that workers have in hand right now, of all executions; at most `limit`.
    ///
    /// ```
    /// # use durable::{Durable, DurableError};
    /// async fn at_work(client: &Durable) -> Result<Vec<String>, DurableError> {
    ///     Ok(client.running_activities(100).await?.into_iter().map(|task| task.name).collect())
    /// }
    /// ```
    ///
    /// # Errors
    /// The store's failure.
    pub async fn running_activities(&self, limit: u32) -> Result<Vec<TaskReport>, DurableError> {
        let filter =
            TaskFilter { state: Some(TaskState::Running), only_children: true, limit, ..TaskFilter::default() };
        let views = self.engine()?.store().list_tasks(filter).await?;
        Ok(views.into_iter().map(TaskReport::of_task).collect())
    }

    /// How many tasks wait for a worker in a queue, or in all: ready ones, delayed ones, and those between two attempts.
    /// Counted by the indexes that claims go by, however much else is stored.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), durable::DurableError> {
    /// # let client = durable::Durable::builder().database_url("sqlite::memory:").build().await?;
    /// client.spawn_by_name("report", serde_json::json!({}), Default::default()).await?;
    /// assert_eq!(client.queue_depth(Some("default")).await?, 1);
    /// assert_eq!(client.queue_depth(None).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::Name`]; the store's failure.
    pub async fn queue_depth(&self, queue: Option<&str>) -> Result<u64, DurableError> {
        let queue = queue.map(|queue| Name::new("queue", queue)).transpose()?;
        Ok(self.engine()?.store().count_tasks(queue, Some(TaskState::Pending)).await?)
    }

    /// How much of everything there is. Reads all tasks once: for people, not for loops.
    ///
    /// ```
    /// # use durable::{Durable, DurableError};
    /// async fn dead_letters(client: &Durable) -> Result<u64, DurableError> {
    ///     Ok(client.stats().await?.dead_letters)
    /// }
    /// ```
    ///
    /// # Errors
    /// The store's failure.
    pub async fn stats(&self) -> Result<Stats, DurableError> {
        let view = self.engine()?.store().stats().await?;
        let mut stats = Stats { dead_letters: view.letters, workers: view.workers, ..Stats::default() };
        for (state, count) in view.executions {
            *stats.executions.entry(TaskStatus::of_execution(state)).or_default() += count;
        }
        for ((queue, state), count) in view.tasks {
            stats.tasks.insert((queue.to_string(), TaskStatus::of(state)), count);
        }
        Ok(stats)
    }

    /// Deletes what is older than this by the store's clock: dead letters that were put away, then executions that
    /// ended and have no letter left, each with all that belonged to it. What runs, the keys of starts and idempotency
    /// results stay. Workers do the same by themselves ([`WorkerOptions`](crate::WorkerOptions)).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use durable::{Cleaned, Durable, DurableError};
    /// async fn only_a_day(client: &Durable) -> Result<u64, DurableError> {
    ///     let cleaned: Cleaned = client.clean_up(Duration::from_secs(86_400)).await?;
    ///     Ok(cleaned.executions)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::Option`] for a span over the limit; the store's failure.
    pub async fn clean_up(&self, older_than: Duration) -> Result<Cleaned, DurableError> {
        let before = self.moment_before(older_than)?;
        Ok(self.engine()?.clean_up(before).await?)
    }

    pub(crate) fn moment_before(&self, older_than: Duration) -> Result<Timestamp, DurableError> {
        Ok(self.engine()?.store().now() - span("older_than", older_than)?)
    }

    /// Sets counters of an execution that are absent, from outside its tasks.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn prepare(client: &Durable, import: TaskId) -> Result<(), DurableError> {
    ///     client.ensure_counters(import, [("imported", 0_i64), ("refused", 0)]).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`]; [`DurableError::Name`]; the store's failure.
    pub async fn ensure_counters<N: Into<Number>>(
        &self,
        task_id: TaskId,
        values: impl IntoIterator<Item = (&str, N)>,
    ) -> Result<(), DurableError> {
        let values = values.into_iter().map(|(name, value)| Ok((Name::new("counter", name)?, value.into().into())));
        let values = values.collect::<Result<Vec<_>, DurableError>>()?;
        self.change(task_id, BaggageChange::EnsureCounters(values)).await.map(drop)
    }

    /// Adds to a counter of an execution, from outside its tasks, from 0 where it is absent; the new value. However many
    /// do so at once, each addition counts.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, Number, TaskId};
    /// async fn looked(client: &Durable, execution: TaskId) -> Result<Number, DurableError> {
    ///     client.increment_counter(execution, "looks", 1_i64).await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`ensure_counters`](Self::ensure_counters).
    pub async fn increment_counter(
        &self,
        task_id: TaskId,
        name: &str,
        amount: impl Into<Number>,
    ) -> Result<Number, DurableError> {
        let change = BaggageChange::AddCounter(Name::new("counter", name)?, amount.into().into());
        self.change(task_id, change).await?.ok_or(DurableError::UnknownTask)
    }

    /// The counters of an execution, by any of its tasks; empty when there are none.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn imported(client: &Durable, import: TaskId) -> Result<f64, DurableError> {
    ///     Ok(client.counters(import).await?.get("imported").map_or(0.0, |value| value.as_f64()))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`]; the store's failure.
    pub async fn counters(&self, task_id: TaskId) -> Result<BTreeMap<String, Number>, DurableError> {
        let task = self.place_of(task_id).await?;
        let baggage = self.engine()?.store().baggage(task.execution).await?;
        Ok(baggage.counters.into_iter().map(|(name, value)| (name.to_string(), value.into())).collect())
    }

    /// Sets a state value of an execution if it is absent, from outside its tasks.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn begin(client: &Durable, order: TaskId) -> Result<(), DurableError> {
    ///     client.ensure_state(order, "phase", "new").await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`set_state`](Self::set_state).
    pub async fn ensure_state<V: Serialize + ?Sized>(
        &self,
        task_id: TaskId,
        name: &str,
        value: &V,
    ) -> Result<(), DurableError> {
        let value = (Name::new("state", name)?, Payload::json(value)?);
        self.change(task_id, BaggageChange::EnsureState(vec![value])).await.map(drop)
    }

    /// Sets a state value of an execution, from outside its tasks.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn hold(client: &Durable, order: TaskId) -> Result<(), DurableError> {
    ///     client.set_state(order, "phase", "on hold").await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`]; [`DurableError::Name`]; [`DurableError::Payload`]; the store's failure.
    pub async fn set_state<V: Serialize + ?Sized>(
        &self,
        task_id: TaskId,
        name: &str,
        value: &V,
    ) -> Result<(), DurableError> {
        let change = BaggageChange::SetState(Name::new("state", name)?, Payload::json(value)?);
        self.change(task_id, change).await.map(drop)
    }

    /// The state values of an execution, by any of its tasks.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn is_on_hold(client: &Durable, order: TaskId) -> Result<bool, DurableError> {
    ///     Ok(client.state_values(order).await?.get("phase") == Some(&"on hold".into()))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`]; [`DurableError::Payload`] for one that cannot be read; the store's failure.
    pub async fn state_values(&self, task_id: TaskId) -> Result<BTreeMap<String, Value>, DurableError> {
        let task = self.place_of(task_id).await?;
        let baggage = self.engine()?.store().baggage(task.execution).await?;
        let read = |(name, value): (Name, Payload)| Ok((name.to_string(), value.read()?));
        baggage.state.into_iter().map(read).collect()
    }

    async fn change(&self, task_id: TaskId, change: BaggageChange) -> Result<Option<Number>, DurableError> {
        let task = self.place_of(task_id).await?;
        Ok(self.engine()?.change_baggage(task.execution, change).await?.map(Number::from))
    }

    async fn place_of(&self, task_id: TaskId) -> Result<TaskRef, DurableError> {
        self.engine()?.store().find_task(task_id).await?.ok_or(DurableError::UnknownTask)
    }
}

/// The state of executions that a status stands for.
fn state_of(status: TaskStatus) -> Result<ExecutionState, DurableError> {
    Ok(match status {
        TaskStatus::Pending => ExecutionState::Pending,
        TaskStatus::Running => ExecutionState::Running,
        TaskStatus::Completed => ExecutionState::Completed,
        TaskStatus::Failed => ExecutionState::Failed,
        TaskStatus::TimedOut => ExecutionState::TimedOut,
        TaskStatus::Cancelled => ExecutionState::Cancelled,
        TaskStatus::Suspended => {
            return Err(DurableError::option("status", "cannot be suspended: an execution that waits is running"));
        }
    })
}

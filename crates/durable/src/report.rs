//! What a client learns of a task: the answer to a start, and a picture of where it stands. Read-only; nothing here
//! can be written back.

use serde::de::DeserializeOwned;
use serde_json::Value;
use stent_core::state::TaskState;
use stent_core::view::{ExecutionView, TaskView};
use stent_core::{ExecutionState, Failure, FailureKind, Payload, RunId, TaskId, Timestamp};

use crate::error::DurableError;

/// The answer to a start: it is committed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// # let client = durable::Durable::builder().database_url("sqlite::memory:").build().await?;
/// let spawned = client.spawn_by_name("report", serde_json::json!({}), Default::default()).await?;
/// println!("Spawned task: {}", spawned.task_id);
/// assert!(spawned.created);
/// assert_eq!(spawned.attempt, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpawnResult {
    /// The task. Never changes, whatever is retried or replayed.
    pub task_id: TaskId,
    /// Its present run: another one after a retry or a replay.
    pub run_id: RunId,
    /// The attempt that runs or is next, from 1.
    pub attempt: u32,
    /// False when the start's key was known: this is the task of the earlier start.
    pub created: bool,
}

/// Where a task stands.
///
/// ```
/// use durable::TaskStatus;
/// assert!(TaskStatus::Failed.is_terminal());
/// assert!(!TaskStatus::Suspended.is_terminal());
/// assert_eq!(TaskStatus::TimedOut.to_string(), "timed_out");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TaskStatus {
    /// Waits for a worker: at once, after its delay, or for its next attempt.
    Pending,
    /// A worker has it in hand.
    Running,
    /// Waits through the store for a time, an event, a signal or a child.
    Suspended,
    /// Ended with a result.
    Completed,
    /// Ended with a failure; its dead letter can be replayed.
    Failed,
    /// Ended by its expiry.
    TimedOut,
    /// Ended by a cancel.
    Cancelled,
}

impl TaskStatus {
    pub(crate) const fn of(state: TaskState) -> Self {
        match state {
            TaskState::Pending => Self::Pending,
            TaskState::Running => Self::Running,
            TaskState::Suspended => Self::Suspended,
            TaskState::Completed => Self::Completed,
            TaskState::Failed => Self::Failed,
            TaskState::TimedOut => Self::TimedOut,
            TaskState::Cancelled => Self::Cancelled,
        }
    }

    pub(crate) const fn of_execution(state: ExecutionState) -> Self {
        match state {
            ExecutionState::Pending => Self::Pending,
            ExecutionState::Running | ExecutionState::Cancelling => Self::Running,
            ExecutionState::Completed => Self::Completed,
            ExecutionState::Failed => Self::Failed,
            ExecutionState::TimedOut => Self::TimedOut,
            ExecutionState::Cancelled => Self::Cancelled,
        }
    }

    /// Whether nothing but a replay of its dead letter can change it any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::TimedOut | Self::Cancelled)
    }

    /// How a sentence about its end goes on.
    pub(crate) const fn ended(self) -> &'static str {
        match self {
            Self::TimedOut => "ran out of time",
            Self::Cancelled => "was cancelled",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Pending | Self::Running | Self::Suspended => "has not ended",
        }
    }
}

impl std::fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        })
    }
}

/// A task as it stood when it was asked for.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// # let client = durable::Durable::builder().database_url("sqlite::memory:").build().await?;
/// use durable::TaskStatus;
///
/// let spawned = client.spawn_by_name("report", serde_json::json!({}), Default::default()).await?;
/// let report = client.get_task_result(spawned.task_id).await?.expect("it was just started");
/// assert_eq!(report.status, TaskStatus::Pending);
/// assert_eq!(report.name, "report");
/// assert!(report.json()?.is_none()); // no result yet
/// assert!(report.output::<String>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TaskReport {
    /// Which task.
    pub task_id: TaskId,
    /// The name it is registered under.
    pub name: String,
    /// Its queue.
    pub queue: String,
    /// Where it stands.
    pub status: TaskStatus,
    /// Attempts so far: 0 before the first.
    pub attempts: u32,
    /// When it was created, by the store's clock.
    pub created_at: Timestamp,
    /// When it first started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Why it ended without a result; before its end, why its last attempt came to nothing.
    pub failure: Option<Failure>,
    result: Option<Payload>,
}

impl TaskReport {
    pub(crate) fn of_execution(view: ExecutionView) -> Self {
        Self {
            task_id: view.id.root(),
            name: view.function.to_string(),
            queue: view.queue.to_string(),
            status: TaskStatus::of_execution(view.state),
            attempts: view.attempts,
            created_at: view.created_at,
            started_at: view.started_at,
            completed_at: view.completed_at,
            failure: view.failure,
            result: view.result,
        }
    }

    pub(crate) fn of_task(view: TaskView) -> Self {
        Self {
            task_id: view.task.task,
            name: view.function.to_string(),
            queue: view.queue.to_string(),
            status: TaskStatus::of(view.state),
            attempts: if view.epoch == 0 { 0 } else { view.attempt },
            created_at: view.created_at,
            started_at: view.started_at,
            completed_at: view.completed_at,
            failure: view.failure,
            result: view.result,
        }
    }

    /// The result as JSON; `None` unless it completed.
    ///
    /// # Errors
    /// [`DurableError::Payload`] when it cannot be read.
    pub fn json(&self) -> Result<Option<Value>, DurableError> {
        Ok(self.result.as_ref().map(Payload::read).transpose()?)
    }

    /// The result as a value of the task's output type.
    ///
    /// # Errors
    /// [`DurableError::Failed`] unless it completed; [`DurableError::Payload`] when the result does not fit.
    pub fn output<O: DeserializeOwned>(&self) -> Result<O, DurableError> {
        match &self.result {
            Some(result) if self.status == TaskStatus::Completed => Ok(result.read()?),
            _ => Err(self.to_error()),
        }
    }

    /// The result, or the failure that there is instead.
    pub(crate) fn outcome(&self) -> Result<Payload, Failure> {
        match &self.result {
            Some(result) if self.status == TaskStatus::Completed => Ok(result.clone()),
            _ => Err(self.ended_by()),
        }
    }

    /// Why there is no result. What an earlier attempt failed with does not tell why it was cancelled or expired.
    fn ended_by(&self) -> Failure {
        match (self.status, &self.failure) {
            (TaskStatus::Cancelled, _) => Failure::new(FailureKind::Cancelled, "Execution cancelled"),
            (TaskStatus::TimedOut, _) => {
                Failure::new(FailureKind::Timeout, "Execution expired: it ran out of its time")
            }
            (_, Some(failure)) => failure.clone(),
            (_, None) => Failure::new(FailureKind::Error, "no reason was recorded"),
        }
    }

    fn to_error(&self) -> DurableError {
        let (task_id, status) = (self.task_id, self.status);
        DurableError::Failed { task_id, status, failure: Box::new(self.ended_by()) }
    }
}

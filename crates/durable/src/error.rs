//! What a client's calls can fail with. Errors of a task's own code are [`TaskError`](crate::TaskError)s; they come
//! back to a client as [`DurableError::Failed`], as data.

use stent_core::name::NameError;
use stent_core::payload::PayloadError;
use stent_core::{Failure, FailureKind, Refusal, StoreError, TaskId};
use stent_engine::{EngineError, ScheduleError};

use crate::report::TaskStatus;

/// Why a client's call came to nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use durable::{Durable, DurableError};
///
/// let refused = Durable::builder().database_url("redis://localhost").build().await;
/// assert!(matches!(refused, Err(DurableError::Address { .. })));
///
/// let client = Durable::builder().database_url("sqlite::memory:").build().await.unwrap();
/// let unnamed = client.spawn_by_name("", serde_json::json!({}), Default::default()).await;
/// assert_eq!(unnamed.unwrap_err().to_string(), r#"the task name "" must not be empty"#);
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DurableError {
    /// The store failed; nothing was written. Its hint says what to do.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database's address is not one that this build can use.
    #[error("{problem}: {hint}")]
    Address {
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A name breaks a rule.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A value cannot be stored, or a stored one not be read.
    #[error(transparent)]
    Payload(#[from] std::sync::Arc<PayloadError>),
    /// An option cannot be what it was set to.
    #[error("the option `{option}` {problem}")]
    Option {
        /// Which option.
        option: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no schedule of this name.
    #[error("there is no schedule {name:?}")]
    UnknownSchedule {
        /// Which.
        name: String,
    },
    /// A schedule's cron line or time zone cannot be.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Two tasks or functions were registered under one name.
    #[error("\"{name}\" is registered already: each task needs a `NAME`, each function a `name` of its own")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is no task with this id.
    #[error("there is no task with this id")]
    UnknownTask,
    /// The state of things does not allow it.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The wait took longer than the caller allowed; what was waited for goes on.
    #[error("the wait took longer than allowed; the task goes on")]
    TimedOut,
    /// In a test whose time is skipped: nothing is left to happen that could end the wait.
    #[error("nothing is left that could end this wait: {waits}")]
    Stalled {
        /// The tasks that have not ended, and what each waits for.
        waits: String,
    },
    /// The awaited task ended otherwise than with a result.
    #[error("the task {task_id} {}: {failure}", .status.ended())]
    Failed {
        /// Which task.
        task_id: TaskId,
        /// How it ended.
        status: TaskStatus,
        /// Why.
        failure: Box<Failure>,
    },
    /// A result was asked for without waiting, and there is none yet.
    #[error("the execution has not ended: it is {status}")]
    NotEnded {
        /// Where it stands.
        status: TaskStatus,
    },
    /// The awaited task is a child; only executions are waited for.
    #[error("the task is a child of {execution}: wait for that one")]
    Child {
        /// The execution's root.
        execution: TaskId,
    },
    /// The call was made inside a transaction of the user's own, by the same thread (SQLite) or task (PostgreSQL): it
    /// could wait for itself.
    #[error("this code is inside a transaction of its own: make this call before or after it, or through its handle")]
    InsideTransaction,
    /// The call was made outside of a tokio runtime.
    #[error("there is no tokio runtime here: build the client inside of one")]
    NoRuntime,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

impl DurableError {
    pub(crate) fn option(option: &'static str, problem: impl Into<String>) -> Self {
        Self::Option { option, problem: problem.into() }
    }

    /// Whether the same call may succeed later without anybody changing it.
    ///
    /// ```
    /// use durable::DurableError;
    /// assert!(!DurableError::UnknownTask.is_transient());
    /// ```
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::TimedOut => true,
            _ => false,
        }
    }

    /// Whether the execution ended by a cancel.
    ///
    /// ```
    /// use durable::DurableError;
    /// assert!(!DurableError::UnknownTask.is_cancelled() && !DurableError::TimedOut.is_expired());
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Failed { status: TaskStatus::Cancelled, .. })
    }

    /// Whether the execution ended by its expiry. A wait that was too short is [`DurableError::TimedOut`] instead: there
    /// the execution goes on.
    ///
    /// ```
    /// # use durable::DurableError;
    /// fn came_to_nothing(error: &DurableError) -> bool {
    ///     error.is_cancelled() || error.is_expired()
    /// }
    /// ```
    #[must_use]
    pub fn is_expired(&self) -> bool {
        matches!(self, Self::Failed { status: TaskStatus::TimedOut, .. })
    }

    /// The failure in the words of durable code.
    pub(crate) fn to_failure(&self) -> Failure {
        match self {
            Self::Failed { failure, .. } => (**failure).clone(),
            Self::TimedOut => Failure::new(FailureKind::Timeout, self.to_string()),
            other => Failure::new(FailureKind::Error, other.to_string()),
        }
    }

    /// Whether the task had ended already, and how.
    ///
    /// ```
    /// use durable::DurableError;
    /// assert!(DurableError::UnknownTask.already_ended().is_none());
    /// ```
    #[must_use]
    pub fn already_ended(&self) -> Option<TaskStatus> {
        match self {
            Self::Refused(Refusal::Terminal(state)) => Some(TaskStatus::of(*state)),
            _ => None,
        }
    }
}

impl From<stent_testing::time::WaitEnd> for DurableError {
    fn from(end: stent_testing::time::WaitEnd) -> Self {
        match end {
            stent_testing::time::WaitEnd::TimedOut => Self::TimedOut,
            stent_testing::time::WaitEnd::Stalled(waits) => Self::Stalled { waits },
        }
    }
}

impl From<EngineError> for DurableError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => Self::Store(error),
            EngineError::Refused(Refusal::Unknown) | EngineError::Unknown => Self::UnknownTask,
            EngineError::Refused(refusal) => Self::Refused(refusal),
            EngineError::Name(error) => Self::Name(error),
            EngineError::Payload(error) => Self::Payload(error),
            EngineError::UnknownSchedule(name) => Self::UnknownSchedule { name: name.to_string() },
            EngineError::Schedule(error) => Self::Schedule(error),
            EngineError::TimedOut => Self::TimedOut,
            EngineError::Closed => Self::Closed,
        }
    }
}

impl From<PayloadError> for DurableError {
    fn from(error: PayloadError) -> Self {
        Self::Payload(std::sync::Arc::new(error))
    }
}

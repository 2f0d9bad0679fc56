//! What a task's code meets and returns: [`TaskError`]. Control flow (a suspension, a cancel) is told apart from
//! failure; both travel up through `?`. Nothing here is matched by its words.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use stent_core::{Failure, FailureKind, TaskId};
use stent_engine::{AttemptError, Interrupt};

use crate::failure::{StepError, as_json, failure_of, millis};

/// What a task's code returns, and most of what it calls.
///
/// ```
/// use durable::{TaskContext, TaskResult};
///
/// async fn ship(ctx: &TaskContext, order: u64) -> TaskResult<String> {
///     let label = ctx.step("label", || async { Ok(format!("label-{}", 7)) }).await?;
///     Ok(format!("{order}:{label}"))
/// }
/// ```
pub type TaskResult<T> = Result<T, TaskError>;

/// Why the engine stops a task's code for now or for good. Pass it on with `?`; whatever the code does instead, every
/// further call answers the same, and nothing of what it returns is recorded.
///
/// ```
/// use durable::{ControlFlow, TaskError};
///
/// fn is_cancelled(error: &TaskError) -> bool {
///     matches!(error, TaskError::Control(ControlFlow::Cancelled))
/// }
/// assert!(!is_cancelled(&TaskError::Control(ControlFlow::Suspend)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ControlFlow {
    /// The task waits through the store; its code runs again from the start, over its history, once it is woken.
    Suspend,
    /// The task was cancelled, or its execution's deadline has passed.
    Cancelled,
    /// The attempt gave no sign of life for longer than its timeout allows.
    TimedOut,
    /// Another worker owns the task by now.
    LeaseLost,
    /// The code does not fit the recorded history: it was changed in a way that its running tasks cannot follow.
    Mismatch,
    /// The worker shuts down; another goes on with the task.
    Shutdown,
}

impl ControlFlow {
    const fn of(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::Suspended => Self::Suspend,
            Interrupt::Cancelled => Self::Cancelled,
            Interrupt::TimedOut => Self::TimedOut,
            Interrupt::LeaseLost => Self::LeaseLost,
            Interrupt::Mismatch => Self::Mismatch,
            Interrupt::Closed => Self::Shutdown,
        }
    }

    const fn interrupt(self) -> Interrupt {
        match self {
            Self::Suspend => Interrupt::Suspended,
            Self::Cancelled => Interrupt::Cancelled,
            Self::TimedOut => Interrupt::TimedOut,
            Self::LeaseLost => Interrupt::LeaseLost,
            Self::Mismatch => Interrupt::Mismatch,
            Self::Shutdown => Interrupt::Closed,
        }
    }
}

/// Why a task's code does not go on: either the engine stops it ([`Control`](Self::Control)), or something failed.
///
/// Inside a [`TaskResult`], `?` accepts the errors of the context's calls, a [`StepError`], serde's errors, anyhow's,
/// any other `std::error::Error`, and plain strings. For that it implements no `Error` itself.
///
/// ```
/// use std::time::Duration;
/// use durable::{TaskContext, TaskError, TaskResult};
///
/// async fn approved(ctx: &TaskContext) -> TaskResult<bool> {
///     match ctx.await_event::<bool>("approved", Some(Duration::from_secs(3600))).await {
///         Err(TaskError::Timeout { .. }) => Ok(false), // late is as good as no
///         other => other,
///     }
/// }
///
/// fn check(amount: i64) -> TaskResult<i64> {
///     if amount < 0 {
///         return Err(TaskError::user("a negative amount", serde_json::json!({ "amount": amount })).permanent());
///     }
///     if amount == 0 {
///         return Err(TaskError::from("nothing there yet").retry_after(Duration::from_secs(60)));
///     }
///     let limit: i64 = "1000".parse()?;
///     Ok(amount.min(limit))
/// }
/// let error = check(-5).unwrap_err();
/// assert_eq!(error.to_string(), "a negative amount");
/// assert_eq!(error.failure().unwrap().details["amount"], -5);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TaskError {
    /// The engine stops the code. Not a failure: nothing is retried, nothing recorded.
    Control(ControlFlow),
    /// A wait took longer than it may. Recorded: a replay of this attempt times out at the same place.
    Timeout {
        /// What was waited for.
        name: String,
    },
    /// A step's body failed.
    Step {
        /// The step.
        name: String,
        /// What it said.
        failure: Box<Failure>,
    },
    /// A child failed for good, was cancelled, or ran out of time.
    Child {
        /// The name it was spawned under.
        name: String,
        /// The child.
        task_id: TaskId,
        /// Why.
        failure: Box<Failure>,
    },
    /// A change through the engine was refused: a signal to an execution that has ended, say.
    Refused {
        /// The call.
        name: String,
        /// Why.
        failure: Box<Failure>,
    },
    /// The task's own code failed.
    User(Box<Failure>),
    /// A call that cannot be carried out as given: a name that breaks a rule, a value that serde cannot write. It
    /// would fail the same way again, so it is permanent.
    Invalid(Box<Failure>),
    /// A stored value does not fit the type it is read as. Permanent, until the code is another.
    Payload {
        /// The call it is the outcome of.
        name: String,
        /// What does not fit.
        failure: Box<Failure>,
    },
}

impl TaskError {
    /// A failure with these words and data of its own, kept as JSON.
    #[must_use]
    pub fn user(message: impl fmt::Display, details: impl Serialize) -> Self {
        let failure = Failure { details: as_json(details), ..Failure::new(FailureKind::Error, message.to_string()) };
        Self::User(Box::new(failure))
    }

    /// Never to be tried again, whatever the task's retry strategy allows. Control flow stays what it is.
    #[must_use]
    pub fn permanent(self) -> Self {
        self.with(|failure| failure.permanent = true)
    }

    /// How long to wait before the next attempt, instead of what the retry strategy says.
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        self.with(|failure| failure.retry_after_ms = Some(millis(delay)))
    }

    fn with(mut self, change: impl FnOnce(&mut Failure)) -> Self {
        match &mut self {
            Self::Control(_) => {}
            Self::Timeout { .. } => {
                let mut failure = self.to_failure();
                change(&mut failure);
                return Self::User(Box::new(failure));
            }
            Self::Step { failure, .. }
            | Self::Child { failure, .. }
            | Self::Refused { failure, .. }
            | Self::User(failure)
            | Self::Invalid(failure)
            | Self::Payload { failure, .. } => change(failure),
        }
        self
    }

    /// The failure below, if this is one that carries any: its words, its data, whether it is permanent.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Control(_) | Self::Timeout { .. } => None,
            Self::Step { failure, .. }
            | Self::Child { failure, .. }
            | Self::Refused { failure, .. }
            | Self::User(failure)
            | Self::Invalid(failure)
            | Self::Payload { failure, .. } => Some(failure),
        }
    }

    /// Whether the engine stops the code: then there is nothing to handle, only to pass on.
    ///
    /// ```
    /// # use durable::{ControlFlow, TaskError};
    /// assert!(TaskError::Control(ControlFlow::Suspend).is_control());
    /// assert!(!TaskError::from("out of stock").is_control());
    /// ```
    #[must_use]
    pub fn is_control(&self) -> bool {
        matches!(self, Self::Control(_))
    }

    /// Whether something took longer than it may: a wait of this code, or whatever ended the child or step below.
    ///
    /// ```
    /// # use durable::TaskError;
    /// assert!(TaskError::Timeout { name: "approved".into() }.is_timeout());
    /// ```
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. }) || self.failure().is_some_and(|f| f.kind == FailureKind::Timeout)
    }

    pub(crate) const fn stopped(interrupt: Interrupt) -> Self {
        Self::Control(ControlFlow::of(interrupt))
    }

    /// A call that cannot be carried out as given.
    pub(crate) fn invalid(error: impl fmt::Display) -> Self {
        Self::Invalid(Box::new(Failure { permanent: true, ..Failure::new(FailureKind::Error, error.to_string()) }))
    }

    pub(crate) fn unreadable(name: &str, error: impl fmt::Display) -> Self {
        let words = format!("{name}: {error}");
        let failure = Failure { permanent: true, ..Failure::new(FailureKind::Payload, words) };
        Self::Payload { name: name.to_owned(), failure: Box::new(failure) }
    }

    pub(crate) fn to_failure(&self) -> Failure {
        match self {
            Self::Timeout { .. } => Failure::new(FailureKind::Timeout, self.to_string()),
            Self::Control(flow) => Failure::new(FailureKind::Error, format!("control flow of no engine: {flow:?}")),
            Self::Step { failure, .. } | Self::Child { failure, .. } | Self::Refused { failure, .. } => {
                Failure { message: self.to_string(), ..(**failure).clone() }
            }
            Self::User(failure) | Self::Invalid(failure) | Self::Payload { failure, .. } => (**failure).clone(),
        }
    }

    /// How the attempt ends. Control flow counts only if the engine sent it.
    pub(crate) fn into_attempt(self, interrupted: bool) -> AttemptError {
        match self {
            Self::Control(flow) if interrupted => AttemptError::Interrupted(flow.interrupt()),
            failed => AttemptError::Failed(failed.to_failure()),
        }
    }
}

impl From<StepError> for TaskError {
    fn from(error: StepError) -> Self {
        Self::User(Box::new(error.into_failure()))
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for TaskError {
    fn from(error: E) -> Self {
        Self::User(Box::new(failure_of(&*error.into())))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control(flow) => write!(f, "the engine stops the task: {}", flow.interrupt()),
            Self::Timeout { name } => write!(f, "the wait for \"{name}\" took longer than it may"),
            Self::Step { name, failure } => write!(f, "step \"{name}\" failed: {failure}"),
            Self::Child { name, failure, .. } => write!(f, "child \"{name}\" failed: {failure}"),
            Self::Refused { name, failure } => write!(f, "\"{name}\" was refused: {failure}"),
            Self::User(failure) | Self::Invalid(failure) | Self::Payload { failure, .. } => failure.fmt(f),
        }
    }
}

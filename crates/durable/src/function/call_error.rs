//! What the free functions fail with: outcomes that a function's code can handle, and nothing of the engine's control
//! flow. It is an ordinary error that serde carries, so it can be part of a function's own.

use serde::{Deserialize, Serialize};
use stent_core::Failure;

use crate::failure::StepError;
use crate::task_error::TaskError;

/// Why something that a durable function asked for came to nothing. A suspension or a cancel is none of it: there the
/// call does not return.
///
/// ```
/// use durable::CallError;
///
/// #[durable::function]
/// async fn approved(order: u64) -> bool {
///     match durable::wait_for_signal::<bool>("approved", "3d").await {
///         Ok(decided) => decided,
///         Err(late) if late.is_timeout() => false,
///         Err(CallError::Failed { failure, .. }) => {
///             tracing::warn!(order, %failure, "not a yes or a no");
///             false
///         }
///         Err(_) => false,
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let executor = durable::testing::Executor::new().await;
/// # assert!(!executor.dispatch(approved, 7_u64).await.unwrap().wait(None).await.unwrap());
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallError {
    /// A wait took longer than it may.
    #[error("the wait for \"{name}\" took longer than it may")]
    TimedOut {
        /// What was waited for.
        name: String,
    },
    /// A step's body or a child failed, a change was refused, or what came does not fit.
    #[error("\"{name}\" failed: {failure}")]
    Failed {
        /// Which.
        name: String,
        /// Why.
        failure: Box<Failure>,
    },
}

impl CallError {
    /// Whether a wait took longer than it may.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// What user code can handle of an error; else the error, which ends the attempt.
    pub(super) fn of(error: TaskError) -> Result<Self, TaskError> {
        match error {
            TaskError::Timeout { name } => Ok(Self::TimedOut { name }),
            TaskError::Step { name, failure }
            | TaskError::Child { name, failure, .. }
            | TaskError::Refused { name, failure }
            | TaskError::Payload { name, failure } => Ok(Self::Failed { name, failure }),
            hidden @ (TaskError::Control(_) | TaskError::User(_) | TaskError::Invalid(_)) => Err(hidden),
        }
    }

    pub(super) fn failed(name: &str, why: impl Into<StepError>) -> Self {
        Self::Failed { name: name.to_owned(), failure: Box::new(why.into().into_failure()) }
    }
}

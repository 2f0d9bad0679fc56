//! How far an execution has come, for people: a view over its tasks and recorded steps, with no rows of its own. Nothing
//! here decides anything; replay never reads it.

use std::fmt;

use serde::Serialize;

use crate::payload::Failure;
use crate::state::TaskState;
use crate::time::Timestamp;
use crate::view::{StepView, TaskView};

/// How one entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressStatus {
    /// Waits for a worker: its first, or its next attempt's.
    Dispatched,
    /// In a worker's hands, or waiting for something through the store.
    Running,
    /// Ended with a result.
    Completed,
    /// Ended otherwise; the detail says how.
    Failed,
    /// Answered from a stored result: its body did not run.
    CacheHit,
}

impl ProgressStatus {
    /// The word that users read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dispatched => "dispatched",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::CacheHit => "cache_hit",
        }
    }

    /// How a task stands.
    fn of(task: &TaskView) -> Self {
        match task.state {
            TaskState::Pending => Self::Dispatched,
            TaskState::Running | TaskState::Suspended => Self::Running,
            TaskState::Completed if task.is_cache_hit() => Self::CacheHit,
            TaskState::Completed => Self::Completed,
            TaskState::Failed | TaskState::TimedOut | TaskState::Cancelled => Self::Failed,
        }
    }
}

impl fmt::Display for ProgressStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entry: a task (the root first, then what it called), or a recorded step.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The function's name; of a step its key: `charge`, `charge#2`.
    pub step: String,
    /// How it stands.
    pub status: ProgressStatus,
    /// When its present attempt began; unknown of steps, which are recorded when they end.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// What went wrong, last time or for good.
    pub detail: Option<String>,
}

/// The progress of an execution, oldest first: tasks by their creation, steps by their record.
#[must_use]
pub fn progress(tasks: &[TaskView], steps: &[StepView]) -> Vec<Progress> {
    // A root and its first child may share their moment, as a step and its task; whoever calls comes first.
    let mut entries: Vec<_> =
        tasks.iter().map(|task| ((task.created_at, u8::from(!task.task.is_root())), of_task(task))).collect();
    entries.extend(steps.iter().map(|step| ((step.at, 2), of_step(step))));
    entries.sort_by_key(|(place, _)| *place);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn of_task(task: &TaskView) -> Progress {
    let words = |failure: &Failure| failure.message.clone();
    let detail = match task.state {
        TaskState::Completed => None,
        TaskState::Cancelled => Some("cancelled".to_owned()),
        TaskState::TimedOut => Some("timed out".to_owned()),
        _ => task.failure.as_ref().map(words),
    };
    Progress {
        step: task.function.to_string(),
        status: ProgressStatus::of(task),
        started_at: task.started_at,
        completed_at: task.completed_at,
        detail,
    }
}

fn of_step(step: &StepView) -> Progress {
    Progress {
        step: step.key.to_string(),
        status: if step.failure.is_some() { ProgressStatus::Failed } else { ProgressStatus::Completed },
        started_at: None,
        completed_at: Some(step.at),
        detail: step.failure.as_ref().map(|failure| failure.message.clone()),
    }
}

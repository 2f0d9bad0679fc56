//! The state machine of tasks and executions: one pure function each, `(state, event) -> next | refused`, exhaustive.
//! Every store asks these functions (or proves against them, where a transition is part of a SQL statement), so no
//! store has rules of its own. The invariant: a terminal state never changes, except by an explicit replay.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TaskState {
    /// Waits for a worker: ready, or delayed until its due time.
    Pending = 0,
    /// A session owns it.
    Running = 1,
    /// Waits through the store for a timer, signal, event or child; nobody owns it.
    Suspended = 2,
    /// Ended with a result.
    Completed = 3,
    /// Ended for good with a failure; a dead letter tells which.
    Failed = 4,
    /// Ended by its execution's deadline.
    TimedOut = 5,
    /// Ended by a cancel, its parent's end or its execution's.
    Cancelled = 6,
}

/// What can happen to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskEvent {
    /// A worker takes it.
    Claim,
    /// Its owner puts it aside until something wakes it.
    Suspend,
    /// What it waits for is there, or its time has come.
    Wake,
    /// Its code returned a result.
    Complete,
    /// Its code failed for good, or it was lost too often.
    Fail,
    /// Somebody puts it away as a dead letter, whoever owns it.
    PutAway,
    /// Its attempt failed and another will follow.
    Retry,
    /// Its owner gives it back unfinished: a drain, a mismatch, a loss.
    Release,
    /// Its execution's deadline passed.
    TimeOut,
    /// Somebody cancelled it, or an ancestor ended.
    Cancel,
    /// Its dead letter is replayed; or, of a task that was cancelled, its ancestor's. Only the replay of an ancestor
    /// brings a cancelled task back.
    Replay,
}

/// An event that a state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAllowed<S> {
    /// The state that stands.
    pub state: S,
}

impl TaskState {
    /// All states, for tests over all pairs and for stores that map numbers back.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Running, Self::Suspended, Self::Completed, Self::Failed, Self::TimedOut, Self::Cancelled];

    /// What follows when `event` meets this state.
    ///
    /// # Errors
    /// [`NotAllowed`] with the state that stands.
    pub const fn on(self, event: TaskEvent) -> Result<Self, NotAllowed<Self>> {
        use TaskEvent as E;
        use TaskState as S;
        match (self, event) {
            (S::Pending, E::Claim) => Ok(S::Running),
            (S::Running, E::Suspend) => Ok(S::Suspended),
            // A wake of what runs or is ready already leaves a mark, not a new state.
            (S::Suspended | S::Pending, E::Wake) => Ok(S::Pending),
            (S::Running, E::Wake) => Ok(S::Running),
            (S::Running, E::Complete) => Ok(S::Completed),
            (S::Running, E::Fail) | (S::Pending | S::Running | S::Suspended, E::PutAway) => Ok(S::Failed),
            (S::Running, E::Retry | E::Release) => Ok(S::Pending),
            (S::Pending | S::Running | S::Suspended, E::TimeOut) => Ok(S::TimedOut),
            (S::Pending | S::Running | S::Suspended, E::Cancel) => Ok(S::Cancelled),
            (S::Failed | S::Cancelled, E::Replay) => Ok(S::Pending),
            (state, _) => Err(NotAllowed { state }),
        }
    }

    /// Whether nothing but a replay can change it any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::TimedOut | Self::Cancelled)
    }

    /// The state that a store keeps as this number.
    #[must_use]
    pub fn stored(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n).copied())
    }

    /// The word people and queries use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an execution stands, as users see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ExecutionState {
    /// Its root task was never claimed.
    Pending = 0,
    /// Its root task was claimed at least once; waiting, sleeping and between retries included.
    Running = 1,
    /// Ended with a result.
    Completed = 2,
    /// Ended with a failure.
    Failed = 3,
    /// Ended by its deadline.
    TimedOut = 4,
    /// A cancel is on its way through its tasks.
    Cancelling = 5,
    /// Ended by a cancel.
    Cancelled = 6,
}

/// What can happen to an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExecutionEvent {
    /// Its root task is claimed.
    Start,
    /// Its root task completed.
    Complete,
    /// Its root task failed for good.
    Fail,
    /// Its deadline passed.
    TimeOut,
    /// Somebody asks for its end.
    AskCancel,
    /// All its tasks are cancelled.
    Cancel,
    /// Its root's dead letter is replayed.
    Replay,
}

impl ExecutionState {
    /// All states, for tests over all pairs and for stores that map numbers back.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelling,
        Self::Cancelled,
    ];

    /// The state of a task that says the same.
    #[must_use]
    pub const fn as_task_state(self) -> TaskState {
        match self {
            Self::Pending => TaskState::Pending,
            Self::Running | Self::Cancelling => TaskState::Running,
            Self::Completed => TaskState::Completed,
            Self::Failed => TaskState::Failed,
            Self::TimedOut => TaskState::TimedOut,
            Self::Cancelled => TaskState::Cancelled,
        }
    }

    /// What follows when `event` meets this state.
    ///
    /// # Errors
    /// [`NotAllowed`] with the state that stands.
    pub const fn on(self, event: ExecutionEvent) -> Result<Self, NotAllowed<Self>> {
        use ExecutionEvent as E;
        use ExecutionState as S;
        match (self, event) {
            (S::Pending | S::Running, E::Start) => Ok(S::Running),
            (S::Pending | S::Running, E::Complete) => Ok(S::Completed),
            (S::Pending | S::Running, E::Fail) => Ok(S::Failed),
            (S::Pending | S::Running | S::Cancelling, E::TimeOut) => Ok(S::TimedOut),
            (S::Pending | S::Running | S::Cancelling, E::AskCancel) => Ok(S::Cancelling),
            (S::Pending | S::Running | S::Cancelling, E::Cancel) => Ok(S::Cancelled),
            (S::Failed, E::Replay) => Ok(S::Running),
            (state, _) => Err(NotAllowed { state }),
        }
    }

    /// Whether nothing but a replay can change it any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::TimedOut | Self::Cancelled)
    }

    /// The state that a store keeps as this number.
    #[must_use]
    pub fn stored(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n).copied())
    }

    /// What users see: stores write an execution's row at its start and end only, so whether it runs is read off
    /// its root task.
    #[must_use]
    pub const fn shown(self, root_started: bool) -> Self {
        match self {
            Self::Pending if root_started => Self::Running,
            state => state,
        }
    }

    /// The word people and queries use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for ExecutionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK_EVENTS: [TaskEvent; 10] = [
        TaskEvent::Claim,
        TaskEvent::Suspend,
        TaskEvent::Wake,
        TaskEvent::Complete,
        TaskEvent::Fail,
        TaskEvent::Retry,
        TaskEvent::Release,
        TaskEvent::TimeOut,
        TaskEvent::Cancel,
        TaskEvent::Replay,
    ];

    const EXECUTION_EVENTS: [ExecutionEvent; 7] = [
        ExecutionEvent::Start,
        ExecutionEvent::Complete,
        ExecutionEvent::Fail,
        ExecutionEvent::TimeOut,
        ExecutionEvent::AskCancel,
        ExecutionEvent::Cancel,
        ExecutionEvent::Replay,
    ];

    /// Rows are states, columns events, in the order above; a dot is a refusal.
    #[test]
    fn every_pair_of_task_state_and_event_comes_out_as_the_table_says() {
        let table = TaskState::ALL.map(|state| {
            let cells = TASK_EVENTS.map(|event| state.on(event).map_or('.', |next| initial(next.as_str())));
            format!("{:<9} {}", state.as_str(), cells.iter().collect::<String>())
        });
        let expected = [
            "pending   r.p....tx.",
            "running   .srcfpptx.",
            "suspended ..p....tx.",
            "completed ..........",
            "failed    .........p",
            "timed_out ..........",
            "cancelled .........p",
        ];
        assert_eq!(table, expected.map(String::from));
    }

    #[test]
    fn every_pair_of_execution_state_and_event_comes_out_as_the_table_says() {
        let table = ExecutionState::ALL.map(|state| {
            let cells = EXECUTION_EVENTS.map(|event| state.on(event).map_or('.', |next| initial(next.as_str())));
            format!("{:<10} {}", state.as_str(), cells.iter().collect::<String>())
        });
        let expected = [
            "pending    rcft~x.",
            "running    rcft~x.",
            "completed  .......",
            "failed     ......r",
            "timed_out  .......",
            "cancelling ...t~x.",
            "cancelled  .......",
        ];
        assert_eq!(table, expected.map(String::from));
    }

    fn initial(word: &str) -> char {
        match word {
            "cancelled" => 'x',
            "cancelling" => '~',
            other => other.chars().next().unwrap(),
        }
    }

    /// Only a replay leaves a terminal state, and only of a failure or of what was cancelled with it.
    #[test]
    fn only_a_replay_of_a_failure_leaves_a_terminal_state() {
        for state in TaskState::ALL.into_iter().filter(|s| s.is_terminal()) {
            for event in TASK_EVENTS {
                let leaves = state.on(event).is_ok();
                let replayable = matches!(state, TaskState::Failed | TaskState::Cancelled);
                assert_eq!(leaves, replayable && event == TaskEvent::Replay);
            }
        }
    }
}

//! Why a task does not go on: what a person asks first. Read from the store in a few queries, so it is a picture of a
//! moment, and nothing is decided by it.

use std::fmt;
use std::time::Duration;

use stent_core::history::OpenCall;
use stent_core::view::TaskView;
use stent_core::{MaxConcurrent, Name, SessionId, TaskId, TaskRef, TaskState, Timestamp};

use crate::client::Engine;
use crate::error::EngineError;

/// Where a task stands, and what keeps it there.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// It has ended.
    Ended(TaskState),
    /// A worker runs it; its code may wait for these calls.
    Running(SessionId, Vec<OpenCall>),
    /// It is put aside until one of these calls is answered.
    Suspended(Vec<OpenCall>),
    /// It waits for a worker. With nothing in its way, the next that has a free slot takes it.
    Pending(Vec<Obstacle>),
}

/// What is in the way of a pending task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No live worker knows its function.
    UnknownFunction(Name),
    /// Its queue is paused.
    PausedQueue(Name),
    /// It is delayed: by its start, by the back-off of a retry, or as it was given back.
    Delayed {
        /// Until when, by the store's clock.
        until: Timestamp,
        /// How long that is from now.
        left: Duration,
    },
    /// Its function is at its limit.
    LimitReached {
        /// Its function.
        function: Name,
        /// The limit in force.
        limit: MaxConcurrent,
        /// Who holds the slots.
        holders: Vec<TaskRef>,
        /// Those among them that called it, directly or through others: they may wait for it while it waits for them.
        ancestors: Vec<TaskRef>,
    },
}

impl Engine {
    /// Why a task does not go on.
    ///
    /// # Errors
    /// [`EngineError::Unknown`]; the store's failure.
    pub async fn why(&self, task: TaskId) -> Result<Why, EngineError> {
        let store = self.store();
        let at = store.find_task(task).await?.ok_or(EngineError::Unknown)?;
        let view = store.task(at).await?.ok_or(EngineError::Unknown)?;
        // Only what is open: there are no records after the last.
        let open = || async { Ok::<_, EngineError>(store.history(at, u32::MAX).await?.open) };
        Ok(match (view.state, view.session) {
            (TaskState::Pending, _) => Why::Pending(self.obstacles(&view).await?),
            (TaskState::Suspended, _) => Why::Suspended(open().await?),
            (TaskState::Running, Some(session)) => Why::Running(session, open().await?),
            (state, _) => Why::Ended(state),
        })
    }

    async fn obstacles(&self, view: &TaskView) -> Result<Vec<Obstacle>, EngineError> {
        let store = self.store();
        let mut obstacles = Vec::new();
        if !store.functions().await?.iter().any(|known| known.name == view.function) {
            obstacles.push(Obstacle::UnknownFunction(view.function.clone()));
        }
        if store.queues().await?.iter().any(|queue| queue.paused && queue.name == view.queue) {
            obstacles.push(Obstacle::PausedQueue(view.queue.clone()));
        }
        let now = store.now();
        obstacles.extend(view.due.map(|until| Obstacle::Delayed { until, left: until.since(now) }));
        let used = store.limit(&view.function).await?;
        if let Some(limit) = used.limit
            && !view.holds_slot
            && used.holders.len() >= limit.get() as usize
        {
            let ancestors = self.ancestors_among(view, &used.holders).await?;
            let (function, holders) = (view.function.clone(), used.holders);
            obstacles.push(Obstacle::LimitReached { function, limit, holders, ancestors });
        }
        Ok(obstacles)
    }

    /// The holders that a task was called by, the nearest first.
    async fn ancestors_among(&self, view: &TaskView, holders: &[TaskRef]) -> Result<Vec<TaskRef>, EngineError> {
        let execution = view.task.execution;
        let mut found = Vec::new();
        // Most holders are of other executions, and then nobody is asked.
        if holders.iter().any(|holder| holder.execution == execution) {
            let mut parent = view.parent;
            while let Some(task) = parent {
                let task = TaskRef { execution, task };
                found.extend(holders.contains(&task).then_some(task));
                parent = self.store().task(task).await?.and_then(|view| view.parent);
            }
        }
        Ok(found)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = |f: &mut fmt::Formatter<'_>, calls: &[OpenCall]| {
            let keys: Vec<_> = calls.iter().map(|call| call.key.as_str()).collect();
            if keys.is_empty() { Ok(()) } else { write!(f, ", waiting for {}", keys.join(", ")) }
        };
        match self {
            Self::Ended(state) => write!(f, "it has ended: {state}"),
            Self::Running(session, open) => {
                write!(f, "worker session {session} runs it")?;
                calls(f, open)
            }
            Self::Suspended(open) => {
                f.write_str("it is suspended")?;
                calls(f, open)
            }
            Self::Pending(obstacles) if obstacles.is_empty() => {
                f.write_str("nothing is in its way: the next worker that serves it and has a free slot takes it")
            }
            Self::Pending(obstacles) => {
                let words: Vec<_> = obstacles.iter().map(ToString::to_string).collect();
                f.write_str(&words.join("; "))
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |tasks: &[TaskRef]| tasks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::UnknownFunction(function) => write!(f, "no live worker knows the function \"{function}\""),
            Self::PausedQueue(queue) => write!(f, "its queue \"{queue}\" is paused"),
            Self::Delayed { left, .. } => write!(f, "it is delayed for another {left:?}"),
            Self::LimitReached { function, limit, holders, ancestors } => {
                let (limit, held) = (limit.get(), list(holders));
                write!(f, "the function \"{function}\" is at its limit of {limit}; its slots are held by {held}")?;
                if !ancestors.is_empty() {
                    let own = list(ancestors);
                    write!(f, ", of which {own} called this task: a task that waits for its own slot waits for ever")?;
                }
                Ok(())
            }
        }
    }
}

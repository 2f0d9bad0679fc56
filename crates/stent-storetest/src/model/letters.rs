//! ReplayLetter and DiscardLetter: tasks that failed for good run again, or stay as they are.

use std::collections::BTreeSet;

use stent_core::command::{Deadline, Done, Outcome, Refusal, ReplayLetter};
use stent_core::routing::rank;
use stent_core::state::{ExecutionEvent, TaskEvent};
use stent_core::{RecordKind, TaskId, TaskRef, TaskState};

use super::{Act, Model};

impl Act<'_> {
    pub(super) fn replay_letter(&mut self, replay: &ReplayLetter) -> Outcome {
        let at = replay.task;
        if !self.model.letters.contains_key(&at) {
            return Err(Refusal::Unknown);
        }
        let root = self.model.tasks.get(&TaskRef::root(at.execution));
        if !at.is_root() && root.is_some_and(|root| root.state == TaskState::Failed) {
            return Err(Refusal::ReplayRoot);
        }
        let task = self.model.tasks.get_mut(&at).ok_or(Refusal::Unknown)?;
        task.state = task.state.on(TaskEvent::Replay).map_err(|refused| Refusal::Terminal(refused.state))?;
        // A parent that has had the failure is told nothing more; one that has not yet gets what comes now.
        task.detached |= task.call.is_some() && !task.undelivered;
        task.undelivered = false;
        task.rank = rank(false, task.spec.priority);
        task.leave_hands();
        task.due = None;
        (task.run, task.losses) = (task.run + 1, 0);
        (task.started_at, task.completed_at) = (None, None);
        if replay.reset_attempts {
            task.attempt = 1;
        }
        if let Some(queue) = &replay.queue {
            task.spec.queue = queue.clone();
        }
        let run = task.run;
        self.model.letters.remove(&at);
        if at.is_root() {
            self.revive_below(at, replay.reset_attempts);
            self.model.letters.retain(|letter, _| letter.execution != at.execution);
            if let Some(execution) = self.model.executions.get_mut(&at.execution) {
                execution.state = execution.state.on(ExecutionEvent::Replay).unwrap_or(execution.state);
                (execution.completed_at, execution.deadline) = (None, None);
                // Not on its first claim either: a root that was put away may never have been claimed.
                execution.limits = Deadline::default();
            }
        }
        self.wakes.ready = true;
        Ok(Done::Replayed { run })
    }

    /// Brings back what was cancelled with a root: through parents that are pending again, the children whose ends
    /// these have not had and will not be told.
    fn revive_below(&mut self, root: TaskRef, reset_attempts: bool) {
        let mut revived = vec![root];
        let mut next = 0;
        while let Some(parent) = revived.get(next).copied() {
            let had = self.model.children_had(parent);
            let children = self.model.tasks_of(root.execution).filter(|(at, task)| {
                task.state == TaskState::Cancelled
                    && !task.undelivered
                    && task.call.as_ref().is_some_and(|call| call.parent == parent.task)
                    && !had.contains(&at.task)
            });
            let children: Vec<_> = children.map(|(child, _)| child).collect();
            for child in children {
                self.revive(child, reset_attempts);
                revived.push(child);
            }
            next += 1;
        }
    }

    fn revive(&mut self, at: TaskRef, reset_attempts: bool) {
        let Some(task) = self.model.tasks.get_mut(&at) else { return };
        let Ok(state) = task.state.on(TaskEvent::Replay) else { return };
        task.state = state;
        task.rank = rank(false, task.spec.priority);
        task.leave_hands();
        task.due = None;
        (task.run, task.losses) = (task.run + 1, 0);
        (task.started_at, task.completed_at, task.failure) = (None, None, None);
        if reset_attempts {
            task.attempt = 1;
        }
    }

    pub(super) fn discard_letter(&mut self, at: TaskRef) -> Outcome {
        Ok(Done::Changed(self.model.letters.remove(&at).is_some()))
    }
}

impl Model {
    /// The children whose ends a task has in its history.
    fn children_had(&self, at: TaskRef) -> BTreeSet<TaskId> {
        let records = self.tasks.get(&at).into_iter().flat_map(|task| task.records.values());
        let children = records.filter(|written| written.record.kind == RecordKind::Child);
        children.filter_map(|written| written.record.source.map(TaskId::from_bytes)).collect()
    }
}

//! ReplayLetter and DiscardLetter: tasks that failed for good run again, or stay as they are.

use stent_core::command::{Done, Outcome, Refusal, ReplayLetter};
use stent_core::routing::rank;
use stent_core::state::{ExecutionEvent, TaskEvent};
use stent_core::{TaskRef, TaskState};

use super::Act;

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
        (task.due, task.session, task.woken) = (None, None, false);
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
            self.model.letters.retain(|letter, _| letter.execution != at.execution);
            if let Some(execution) = self.model.executions.get_mut(&at.execution) {
                execution.state = execution.state.on(ExecutionEvent::Replay).unwrap_or(execution.state);
                (execution.completed_at, execution.deadline) = (None, None);
            }
        }
        self.wakes.ready = true;
        Ok(Done::Replayed { run })
    }

    pub(super) fn discard_letter(&mut self, at: TaskRef) -> Outcome {
        Ok(Done::Changed(self.model.letters.remove(&at).is_some()))
    }
}

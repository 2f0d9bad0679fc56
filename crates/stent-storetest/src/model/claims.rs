//! Claim: what is due is promoted, then the first of what is ready and served changes hands.

use stent_core::command::{Claim, Done, Outcome, Refusal};
use stent_core::limits::{CLAIM_TASKS, PROMOTE_TASKS};
use stent_core::routing::rank;
use stent_core::state::TaskEvent;
use stent_core::{TaskRef, TaskState, Timestamp};

use super::Act;

impl Act<'_> {
    pub(super) fn claim(&mut self, claim: &Claim) -> Outcome {
        if !self.model.is_open(claim.session) {
            return Err(Refusal::SessionGone);
        }
        self.promote(self.now);
        let mut ready: Vec<(i64, TaskRef)> = Vec::new();
        for (at, task) in &self.model.tasks {
            let spec = &task.spec;
            if task.is_ready()
                && claim.serve.accepts(&spec.queue, &spec.function, &spec.tags)
                && !self.model.is_paused(&spec.queue)
            {
                ready.push((task.rank, *at));
            }
        }
        ready.sort_unstable();
        let mut tasks = Vec::new();
        for (_, at) in ready {
            if tasks.len() < claim.max.min(CLAIM_TASKS) as usize && self.has_slot(at) {
                tasks.extend(self.own(at, claim.session));
            }
        }
        let next_due = self.model.tasks.values().filter_map(|task| task.due).min();
        let mut limited = claim.serve.functions.clone();
        limited.retain(|function| self.model.limit_in_force(function).is_some());
        limited.sort_unstable();
        limited.dedup();
        Ok(Done::Claimed { tasks, next_due, limited })
    }

    /// Whether a task holds a slot of its function's limit, gets one now, or needs none.
    fn has_slot(&mut self, at: TaskRef) -> bool {
        let Some(task) = self.model.tasks.get(&at) else { return false };
        let limit = self.model.limit_in_force(&task.spec.function);
        let Some(limit) = limit.filter(|_| !task.holds_slot) else { return true };
        let is_free = self.model.limit(&task.spec.function).holders.len() < limit.get() as usize;
        if let Some(task) = self.model.tasks.get_mut(&at) {
            task.holds_slot = is_free;
        }
        is_free
    }

    /// Makes ready what is due, earliest first.
    pub(super) fn promote(&mut self, until: Timestamp) {
        let due = self.model.tasks.iter().filter_map(|(at, task)| Some((task.due.filter(|due| *due <= until)?, *at)));
        let mut due: Vec<_> = due.collect();
        due.sort_unstable();
        for (_, at) in due.into_iter().take(PROMOTE_TASKS as usize) {
            let Some(task) = self.model.tasks.get_mut(&at) else { continue };
            let Ok(state) = task.state.on(TaskEvent::Wake) else { continue };
            // A delayed task keeps the rank it was put aside with; a suspended one resumes.
            if task.state == TaskState::Suspended {
                task.rank = rank(true, task.spec.priority);
            }
            (task.state, task.due) = (state, None);
            self.wakes.ready = true;
        }
    }
}

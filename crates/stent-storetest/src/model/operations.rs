//! The operations over what is stored: cleaning up by age, putting a task away, baggage from outside a task.

use stent_core::command::{BaggageChange, CleanExecutions, Done, Effect, Number, Operation, Outcome, PutAway, Refusal};
use stent_core::limits::{CLEAN_EXECUTIONS, GONE_PROCESS, SWEEP_TASKS};
use stent_core::state::{ExecutionEvent, TaskEvent};
use stent_core::{ExecutionId, Timestamp};

use super::queues::swept;
use super::{Act, Model};

impl Act<'_> {
    pub(super) fn operate(&mut self, operation: &Operation) -> Outcome {
        match operation {
            Operation::CleanExecutions(clean) => self.clean_executions(clean),
            Operation::CleanLetters(before) => self.clean_letters(*before),
            Operation::ForgetProcesses => self.forget_processes(),
            Operation::PutAway(put) => self.put_away(put),
            Operation::ChangeBaggage(execution, change) => self.change_baggage(*execution, change),
            Operation::Promote(until) => {
                self.promote(*until);
                Ok(Done::Nothing)
            }
            Operation::KeepResult(keep) => self.keep_result(keep),
        }
    }

    fn clean_executions(&mut self, clean: &CleanExecutions) -> Outcome {
        let first = clean.from.unwrap_or_else(|| ExecutionId::from_bytes([0; 16]));
        let last = ExecutionId::latest(clean.before.unix_ms());
        let mut looked: Vec<_> =
            self.model.executions.range(first..).map(|(id, _)| *id).take_while(|id| *id <= last).collect();
        let limit = CLEAN_EXECUTIONS as usize;
        let next = looked.get(limit).copied();
        looked.truncate(limit);
        looked.retain(|id| self.model.may_go(*id, clean.before));
        for id in &looked {
            self.delete(*id);
        }
        Ok(Done::Cleaned { count: u32::try_from(looked.len()).unwrap_or(CLEAN_EXECUTIONS), next })
    }

    fn delete(&mut self, id: ExecutionId) {
        let model = &mut *self.model;
        model.executions.remove(&id);
        model.tasks.retain(|at, _| at.execution != id);
        model.signals.retain(|(of, _), _| *of != id);
        model.cursors.retain(|(at, ..), _| at.execution != id);
        model.counters.retain(|(of, _), _| *of != id);
        model.state.retain(|(of, _), _| *of != id);
    }

    fn clean_letters(&mut self, before: Timestamp) -> Outcome {
        let old = self.model.letters.iter().filter(|(_, moved_at)| **moved_at < before);
        let mut old: Vec<_> = old.map(|(at, moved_at)| (*moved_at, *at)).collect();
        old.sort_unstable();
        for (_, at) in old.iter().take(SWEEP_TASKS as usize) {
            self.model.letters.remove(at);
        }
        Ok(swept(old.len()))
    }

    fn forget_processes(&mut self) -> Outcome {
        let uptime = self.model.uptime;
        let silent = self.model.sessions.iter().filter(|(_, row)| !row.is_open && uptime > row.beat + GONE_PROCESS);
        let gone: Vec<_> = silent.map(|(session, _)| *session).filter(|session| !self.model.owns(*session)).collect();
        for session in gone.iter().take(SWEEP_TASKS as usize) {
            self.model.sessions.remove(session);
        }
        Ok(swept(gone.len()))
    }

    fn put_away(&mut self, put: &PutAway) -> Outcome {
        let (at, now) = (put.task, self.now);
        let task = self.model.tasks.get_mut(&at).ok_or(Refusal::Unknown)?;
        if let Err(refused) = task.state.on(TaskEvent::PutAway) {
            return Err(Refusal::Terminal(refused.state));
        }
        task.failure = Some(put.failure.clone());
        let parent = task.attached_parent(at);
        self.stop(at, TaskEvent::PutAway, parent.is_some());
        self.model.letters.insert(at, now);
        if at.is_root() {
            self.end_execution(at.execution, ExecutionEvent::Fail);
            self.stop_all(at.execution, TaskEvent::Cancel);
        } else {
            let ended = self.cancel_below(at);
            self.drop_waits(&ended);
        }
        if let Some(parent) = parent {
            self.wake(parent);
        }
        Ok(Done::Nothing)
    }

    fn change_baggage(&mut self, execution: ExecutionId, change: &BaggageChange) -> Outcome {
        if !self.model.executions.contains_key(&execution) {
            return Err(Refusal::Unknown);
        }
        self.carry_out(execution, &Effect::from(change.clone()))?;
        match change {
            BaggageChange::AddCounter(name, _) => {
                let value = self.model.counters.get(&(execution, name.clone())).copied();
                Ok(Done::Counter(value.unwrap_or(Number::Whole(0))))
            }
            _ => Ok(Done::Nothing),
        }
    }
}

impl Model {
    /// Whether an execution ended before this moment and nobody needs it any more.
    fn may_go(&self, id: ExecutionId, before: Timestamp) -> bool {
        let ended = self.executions.get(&id).and_then(|row| row.completed_at);
        ended.is_some_and(|at| at < before)
            && !self.letters.keys().any(|letter| letter.execution == id)
            && self.tasks_of(id).all(|(_, task)| task.state.is_terminal() && task.session.is_none())
    }

    fn owns(&self, session: stent_core::SessionId) -> bool {
        self.tasks.values().any(|task| task.session == Some(session))
    }
}

//! Signal and Emit: payloads for one execution, and for whoever waits under a name.

use stent_core::command::{Done, Emit, Outcome, Refusal, Signal, Wait};
use stent_core::{ExecutionId, SignalId};

use super::Act;
use super::rows::{GivenSignal, Published};

impl Act<'_> {
    pub(super) fn signal(&mut self, signal: &Signal) -> Outcome {
        let execution = self.model.executions.get(&signal.execution).ok_or(Refusal::Unknown)?;
        if execution.state.is_terminal() {
            return Err(Refusal::Terminal(execution.state.as_task_state()));
        }
        let mut given = self.model.signals.iter().filter(|((execution, _), _)| *execution == signal.execution);
        if given.any(|(_, line)| line.iter().any(|given| given.id == signal.id)) {
            return Err(Refusal::Exists);
        }
        let given = GivenSignal { id: signal.id, payload: signal.payload.clone(), consumed: false };
        self.model.signals.entry((signal.execution, signal.name.clone())).or_default().push(given);
        self.wake_for_signal(signal.execution, &signal.name);
        Ok(Done::Nothing)
    }

    /// A signal whose wait was given up goes back to its place in the line, before all that came later.
    pub(super) fn return_signal(&mut self, execution: ExecutionId, id: SignalId) {
        let lines = self.model.signals.iter_mut().filter(|((of, _), _)| *of == execution);
        let mut returned = None;
        for ((_, name), line) in lines {
            if let Some(signal) = line.iter_mut().find(|signal| signal.id == id && signal.consumed) {
                signal.consumed = false;
                returned = Some(name.clone());
            }
        }
        if let Some(name) = returned {
            self.wake_for_signal(execution, &name);
        }
    }

    pub(super) fn emit(&mut self, emit: &Emit) -> Outcome {
        let stream = self.model.streams.entry((emit.queue.clone(), emit.name.clone())).or_default();
        stream.last_place += 1;
        let event = Published { id: emit.id, payload: emit.payload.clone(), at: self.now };
        stream.events.insert(stream.last_place, event);
        let waits = self.model.waits.iter().filter(
            |(_, row)| matches!(&row.wait, Wait::Event(queue, name) if *queue == emit.queue && *name == emit.name),
        );
        let mut tasks: Vec<_> = waits.map(|((at, _), _)| *at).collect();
        tasks.dedup();
        for task in tasks {
            self.wake(task);
        }
        Ok(Done::Nothing)
    }
}

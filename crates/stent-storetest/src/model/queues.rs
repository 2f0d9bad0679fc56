//! Queues, and the sweeps: what time alone brings about, a bounded number at once.

use stent_core::command::{Done, Outcome, Refusal};
use stent_core::limits::SWEEP_TASKS;
use stent_core::{Name, Timestamp};

use super::Act;

impl Act<'_> {
    pub(super) fn set_queue(&mut self, name: &Name, pause: Option<bool>) -> Outcome {
        let before = self.model.queues.get(name).copied();
        let after = pause.or(before).unwrap_or(false);
        self.model.queues.insert(name.clone(), after);
        // What lay in a paused queue can be claimed from now on.
        self.wakes.ready |= before == Some(true) && !after;
        Ok(Done::Changed(before != Some(after)))
    }

    pub(super) fn drop_queue(&mut self, name: &Name) -> Outcome {
        if self.model.tasks.values().any(|task| !task.state.is_terminal() && task.spec.queue == *name) {
            return Err(Refusal::Busy);
        }
        Ok(Done::Changed(self.model.queues.remove(name).is_some()))
    }

    pub(super) fn expire(&mut self) -> Outcome {
        let live = self.model.executions.iter().filter(|(_, row)| !row.state.is_terminal());
        let overdue = live.filter_map(|(id, row)| row.deadline.map(|(at, state)| (at, *id, state)));
        let mut overdue: Vec<_> = overdue.filter(|(at, ..)| *at <= self.now).collect();
        overdue.sort_unstable();
        for (_, execution, state) in overdue.iter().take(SWEEP_TASKS as usize) {
            self.end_all(*execution, *state);
        }
        Ok(swept(overdue.len()))
    }

    pub(super) fn prune_events(&mut self, before: Timestamp) -> Outcome {
        let mut old: Vec<_> = Vec::new();
        for (stream, row) in &self.model.streams {
            let events = row.events.iter().filter(|(_, event)| event.at < before);
            old.extend(events.map(|(place, event)| (event.at, stream.clone(), *place)));
        }
        old.sort_unstable();
        for (_, stream, place) in old.iter().take(SWEEP_TASKS as usize) {
            if let Some(stream) = self.model.streams.get_mut(stream) {
                stream.events.remove(place);
            }
        }
        Ok(swept(old.len()))
    }
}

/// A sweep that found this many and handled as many as it may.
pub(super) fn swept(found: usize) -> Done {
    let limit = SWEEP_TASKS as usize;
    Done::Swept { count: u32::try_from(found.min(limit)).unwrap_or(SWEEP_TASKS), more: found > limit }
}

//! Slots: how many tasks may run code at the same time. A waiting task holds none; one that resumes takes the next
//! free slot before any new claim.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

/// The slots of one worker.
pub(crate) struct Slots {
    all: usize,
    state: Mutex<State>,
    freed: Notify,
}

struct State {
    free: usize,
    resuming: VecDeque<oneshot::Sender<Slot>>,
}

/// The right to run code; given back when dropped.
pub(crate) struct Slot(Option<Arc<Slots>>);

impl Slots {
    pub(crate) fn new(all: usize) -> Arc<Self> {
        let state = State { free: all, resuming: VecDeque::new() };
        Arc::new(Self { all, state: Mutex::new(state), freed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Slot> {
        self.take_up_to(1).pop()
    }

    /// As many free slots as there are, up to `most`.
    pub(crate) fn take_up_to(self: &Arc<Self>, most: usize) -> Vec<Slot> {
        let mut state = self.state();
        let taken = state.free.min(most);
        state.free -= taken;
        drop(state);
        (0..taken).map(|_| Slot(Some(Arc::clone(self)))).collect()
    }

    /// A slot for a task that resumes: at once if one is free, else the next that is given back.
    pub(crate) fn resume(self: &Arc<Self>) -> Result<Slot, oneshot::Receiver<Slot>> {
        let mut state = self.state();
        if state.free > 0 {
            state.free -= 1;
            return Ok(Slot(Some(Arc::clone(self))));
        }
        let (give, given) = oneshot::channel();
        state.resuming.push_back(give);
        Err(given)
    }

    /// Resolves when a slot may have become free.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    pub(crate) fn all_free(&self) -> bool {
        self.state().free == self.all
    }

    fn give_back(self: Arc<Self>) {
        let mut state = self.state();
        let Some(next) = state.resuming.pop_front() else {
            state.free += 1;
            drop(state);
            self.freed.notify_one();
            return;
        };
        drop(state);
        // A receiver that is gone drops the slot, which then comes back here.
        drop(next.send(Slot(Some(self))));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.0.take() {
            slots.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resuming_task_gets_the_next_slot_and_one_that_went_away_passes_it_on() {
        let slots = Slots::new(1);
        let held = slots.try_take().unwrap();
        assert!(slots.try_take().is_none());
        let gone = slots.resume().err().unwrap();
        let mut waits = slots.resume().err().unwrap();
        drop(gone);
        drop(held);
        assert!(slots.try_take().is_none());
        let slot = waits.try_recv().unwrap();
        drop(slot);
        assert!(slots.all_free());
    }
}

//! The start of a task that runs in place. Its row follows later, and is accepted only under its parent's lease: until
//! it is on its way, the parent may not be put aside.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use stent_core::command::StartChild;

use super::Activation;
use super::state::{Rest, State};
use crate::error::Interrupt;

/// The start of a task that runs in place, until it is on its way.
pub(crate) struct OwnStart {
    pub(crate) start: Box<StartChild>,
    pub(crate) row: RowToCome,
}

/// Keeps the parent from being put aside: the child's row is only accepted under its lease.
pub(crate) struct RowToCome(Weak<Activation>);

impl RowToCome {
    pub(crate) fn of(parent: &Arc<Activation>) -> Self {
        parent.rows_to_come.fetch_add(1, Ordering::AcqRel);
        Self(Arc::downgrade(parent))
    }
}

impl Drop for RowToCome {
    fn drop(&mut self) {
        if let Some(parent) = self.0.upgrade() {
            parent.rows_to_come.fetch_sub(1, Ordering::AcqRel);
            // Never waits for the lock: a runtime that ends drops the child's code under it. Whoever holds it looks
            // at the parent anyway.
            if let Ok(state) = parent.state.try_lock() {
                state.wake_driver();
            }
        }
    }
}

impl State {
    /// Stops the code so that its task can be suspended, if nothing is on its way for it.
    pub(crate) fn stops_for_suspension(&mut self, activation: &Activation) -> bool {
        let may = self.interrupt.is_none() && !self.woken && self.rest() == Rest::Waits;
        let may = may && activation.rows_to_come.load(Ordering::Acquire) == 0;
        if may {
            self.interrupt(Interrupt::Suspended);
        }
        may
    }

    pub(crate) fn own_start_is_due(&self) -> bool {
        self.own_start.is_some()
    }

    pub(crate) fn take_own_start(&mut self) -> Option<OwnStart> {
        self.own_start.take()
    }
}

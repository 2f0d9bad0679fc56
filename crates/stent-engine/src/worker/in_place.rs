//! Children in place: a child that its parent's own worker may run begins at once, without a round through the queue.
//! Its start row goes with the next batch and nobody waits for it. Never past ready work of higher priority: only
//! while the last claim came back short and nothing has become ready since.

use std::sync::Arc;

use stent_core::command::StartChild;
use stent_core::task::Lease;
use stent_core::{ClaimedTask, TaskRef};

use super::{WorkerCore, drive};
use crate::activation::{Activation, OwnStart, RowToCome};

impl WorkerCore {
    /// Begins the child here and now if it may be; else gives its start back, to be queued. `fresh`: the parent has
    /// not called it in an earlier life.
    pub(crate) fn start_in_place(
        self: &Arc<Self>,
        parent: &Arc<Activation>,
        mut start: StartChild,
        fresh: bool,
    ) -> Option<Box<StartChild>> {
        let may = fresh && start.due.is_none() && parent.task.losses == 0;
        let slot = if may { self.slot_for_new_work(&start.spec) } else { None };
        let Some(slot) = slot else { return Some(Box::new(start)) };
        start.in_place = true;
        let place = TaskRef { execution: start.parent.task.execution, task: start.child };
        let task = ClaimedTask {
            lease: Lease { task: place, session: start.parent.session, epoch: 1 },
            spec: start.spec.clone(),
            parent: Some(start.parent.task.task),
            attempt: 1,
            run: 1,
            losses: 0,
            created_at: self.engine.store().now(),
        };
        let own = OwnStart { start: Box::new(start), row: RowToCome::of(parent) };
        let drive = drive::run_in_place(Arc::clone(self), task, slot, Arc::downgrade(parent), own);
        self.engine.core().runtime.spawn(Box::pin(drive));
        None
    }
}

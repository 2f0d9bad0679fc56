//! Suspects: tasks whose workers died twice or more in a row over them. One at a time runs in a worker, by name, so that
//! the next death charges it alone. Its turn is over once it has a new record, for then it is none any more.
//!
//! Invariant: a name is taken away before the next suspect is named.

use std::sync::Arc;

use stent_core::{ClaimedTask, Command};
use tokio::sync::OwnedMutexGuard;

use super::WorkerCore;
use crate::committer::Reply;

/// A suspect's turn. When it is over, in whatever way but the end of its process, its name is taken away.
pub(crate) struct Turn {
    worker: Arc<WorkerCore>,
    _guard: OwnedMutexGuard<()>,
}

impl Turn {
    /// Waits for the turn and names the task before its body starts. None when that could not be written.
    pub(super) async fn of(worker: &Arc<WorkerCore>, guard: OwnedMutexGuard<()>, task: &ClaimedTask) -> Option<Self> {
        if worker.is_stopped() || worker.session() != task.lease.session {
            return None;
        }
        let turn = Self { worker: Arc::clone(worker), _guard: guard };
        let command = Command::NameSuspect(task.lease.session, Some(task.lease.task));
        let named = worker.engine.core().committer.insist(None, command).await;
        matches!(named, Ok(Ok(_))).then_some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // A worker that ended abruptly leaves the name: its death charges the one that ran.
        if !self.worker.is_stopped() {
            let command = Command::NameSuspect(self.worker.session(), None);
            self.worker.engine.core().committer.queue(None, command, Reply::Nobody);
        }
    }
}

//! The short way round within one process: who must look because of a batch that was just committed. Other processes
//! learn of it through the store's watch; a wake that is missed only waits for the next poll.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use stent_core::SessionId;
use stent_core::store::{Wakes, Watcher};

use crate::ends::Ends;
use crate::worker::WorkerCore;

/// The workers and waiters of this process.
pub(crate) struct Hub {
    workers: Mutex<Vec<Weak<WorkerCore>>>,
    pub(crate) ends: Arc<Ends>,
}

impl Hub {
    pub(crate) fn new(ends: Arc<Ends>) -> Self {
        Self { workers: Mutex::default(), ends }
    }

    pub(crate) fn join(&self, worker: &Arc<WorkerCore>) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.retain(|worker| worker.strong_count() > 0);
        workers.push(Arc::downgrade(worker));
    }

    pub(crate) fn workers(&self) -> Vec<Arc<WorkerCore>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    fn worker_of(&self, session: SessionId) -> Option<Arc<WorkerCore>> {
        self.workers().into_iter().find(|worker| worker.session() == session)
    }

    /// Tells everybody in this process whom a batch concerns.
    pub(crate) fn spread(&self, wakes: &Wakes) {
        if wakes.is_empty() {
            return;
        }
        for (session, task) in &wakes.woken {
            if let Some(worker) = self.worker_of(*session) {
                worker.woken(*task);
            }
        }
        for (session, task, _) in &wakes.stopped {
            if let Some(worker) = self.worker_of(*session) {
                worker.stopped(*task);
            }
        }
        if wakes.ready {
            for worker in self.workers() {
                worker.work_may_be_there();
            }
        }
        self.ends.tell(&wakes.ended);
    }
}

impl Watcher for Hub {
    fn changed(&self) {
        self.ends.look();
        for worker in self.workers() {
            worker.work_may_be_there();
            worker.look_for_nudges();
            worker.schedules.come();
        }
    }

    fn ended(&self) {
        self.ends.look();
    }
}

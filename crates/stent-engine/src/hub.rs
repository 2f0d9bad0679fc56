//! The short way round within one process: who must look because of a batch that was just committed. Other processes
//! learn of it through the store's watch; a wake that is missed only waits for the next poll.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use stent_core::command::{Command, Ending, Outcome};
use stent_core::store::{Wakes, Watcher};
use stent_core::{ExecutionId, Payload, SessionId, TaskRef};
use tokio::sync::Notify;

use crate::worker::WorkerCore;

/// The workers and waiters of this process.
#[derive(Default)]
pub(crate) struct Hub {
    workers: Mutex<Vec<Weak<WorkerCore>>>,
    waiters: Mutex<HashMap<ExecutionId, Arc<Waiter>>>,
    /// Told of every foreign change: whoever waits for an execution that others may run.
    changed: Notify,
}

/// What those share who wait for the end of one execution.
#[derive(Default)]
pub(crate) struct Waiter {
    /// Told when it ended.
    pub(crate) ended: Notify,
    /// Its result, when it completed in this process. What has completed stays so.
    result: Mutex<Option<Payload>>,
}

impl Waiter {
    pub(crate) fn result(&self) -> Option<Payload> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Hub {
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
        if !wakes.ended.is_empty() {
            let waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
            for waiter in wakes.ended.iter().filter_map(|id| waiters.get(id)) {
                waiter.ended.notify_waiters();
            }
        }
    }

    /// Keeps the results that a batch has committed for those who wait for them here, who need not read them then.
    pub(crate) fn keep_results(&self, commands: &[Command], outcomes: &[Outcome]) {
        let waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        if waiters.is_empty() {
            return;
        }
        for (command, outcome) in commands.iter().zip(outcomes) {
            if let (Command::Finish(finish), Ok(_)) = (command, outcome)
                && let Ending::Completed(result) = &finish.ending
                && finish.lease.task == TaskRef::root(finish.lease.task.execution)
                && let Some(waiter) = waiters.get(&finish.lease.task.execution)
            {
                *waiter.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result.clone());
            }
        }
    }

    /// Somebody waits for the end of an execution.
    pub(crate) fn await_end(&self, id: ExecutionId) -> Arc<Waiter> {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(waiters.entry(id).or_default())
    }

    /// Forgets the waiters of an execution once the last one is gone.
    pub(crate) fn forget_end(&self, id: ExecutionId, mine: Arc<Waiter>) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        drop(mine);
        if waiters.get(&id).is_some_and(|waiter| Arc::strong_count(waiter) == 1) {
            waiters.remove(&id);
        }
    }

    /// Resolves at the next foreign change, if it is enabled before the change.
    pub(crate) fn foreign_change(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }
}

impl Watcher for Hub {
    fn changed(&self) {
        self.changed.notify_waiters();
        for worker in self.workers() {
            worker.work_may_be_there();
            worker.look_for_nudges();
            worker.schedules.come();
        }
    }

    fn ended(&self) {
        self.changed.notify_waiters();
    }
}

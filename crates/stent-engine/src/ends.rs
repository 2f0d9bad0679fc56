//! Who waits in this process for executions to end. Of those that end here everybody is told at once, with the result.
//! Of another process's ends nothing is known but that there were some; then all that are waited for are looked at
//! together, so that a thousand waits cost the store hardly more than one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stent_core::command::{Command, Ending, Outcome};
use stent_core::{ExecutionId, Payload, Store, TaskRef};
use tokio::sync::Notify;

use crate::runtime::Runtime;

/// So few look each for itself: that is one trip to the store, where a common look and then theirs are two.
const FEW: usize = 4;

/// How many are looked at in one query.
const AT_ONCE: usize = 1_000;

/// A look that takes less is not rested from.
const BRIEF: Duration = Duration::from_millis(1);

/// The waits for ends, by execution.
pub(crate) struct Ends {
    store: Weak<dyn Store>,
    runtime: Arc<dyn Runtime>,
    waiters: Mutex<HashMap<ExecutionId, Arc<Waiter>>>,
    looking: Mutex<Looking>,
}

/// What those share who wait for the end of one execution.
#[derive(Default)]
pub(crate) struct Waiter {
    /// It ended, or may have.
    pub(crate) told: Notify,
    /// Its result, when it completed in this process. What has completed stays so.
    result: Mutex<Option<Payload>>,
}

/// Whether a common look is under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looking {
    No,
    Once,
    /// Something came up meanwhile that it may have missed.
    AndAgain,
}

impl Waiter {
    pub(crate) fn result(&self) -> Option<Payload> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Ends {
    pub(crate) fn new(store: Weak<dyn Store>, runtime: Arc<dyn Runtime>) -> Arc<Self> {
        Arc::new(Self { store, runtime, waiters: Mutex::default(), looking: Mutex::new(Looking::No) })
    }

    fn waiters(&self) -> MutexGuard<'_, HashMap<ExecutionId, Arc<Waiter>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn looking(&self) -> MutexGuard<'_, Looking> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody waits for the end of an execution, and looks once it does.
    pub(crate) fn await_one(&self, id: ExecutionId) -> Arc<Waiter> {
        Arc::clone(self.waiters().entry(id).or_default())
    }

    /// Forgets the waiters of an execution once the last one is gone.
    pub(crate) fn forget_one(&self, id: ExecutionId, mine: Arc<Waiter>) {
        let mut waiters = self.waiters();
        drop(mine);
        if waiters.get(&id).is_some_and(|waiter| Arc::strong_count(waiter) == 1) {
            waiters.remove(&id);
        }
    }

    /// These have ended.
    pub(crate) fn tell(&self, ended: &[ExecutionId]) {
        if ended.is_empty() {
            return;
        }
        let waiters = self.waiters();
        for waiter in ended.iter().filter_map(|id| waiters.get(id)) {
            waiter.told.notify_waiters();
        }
    }

    /// Keeps the results that a batch has committed for those who wait for them here, who need not read them then.
    pub(crate) fn keep_results(&self, commands: &[Command], outcomes: &[Outcome]) {
        let waiters = self.waiters();
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

    /// Another process may have ended some of those that are waited for. Never waits.
    pub(crate) fn look(self: &Arc<Self>) {
        let waiters = self.waiters();
        if waiters.len() <= FEW {
            return waiters.values().for_each(|waiter| waiter.told.notify_waiters());
        }
        drop(waiters);
        let mut looking = self.looking();
        if *looking == Looking::No {
            *looking = Looking::Once;
            self.runtime.spawn(Box::pin(Arc::clone(self).look_for_all()));
        } else {
            *looking = Looking::AndAgain;
        }
    }

    async fn look_for_all(self: Arc<Self>) {
        loop {
            let began = self.runtime.now();
            self.look_once().await;
            let took = self.runtime.now().saturating_sub(began);
            if took >= BRIEF {
                // However many are waited for, half of the time the store is left alone.
                self.runtime.sleep(took).await;
            }
            let mut looking = self.looking();
            if *looking == Looking::Once {
                *looking = Looking::No;
                return;
            }
            *looking = Looking::Once;
        }
    }

    async fn look_once(&self) {
        let ids: Vec<_> = self.waiters().keys().copied().collect();
        for ids in ids.chunks(AT_ONCE) {
            let Some(store) = self.store.upgrade() else { return };
            match store.which_ended(ids.to_vec()).await {
                Ok(ended) => self.tell(&ended),
                // Each wait looks by itself before long.
                Err(error) => tracing::debug!(%error, "what ended elsewhere could not be looked for"),
            }
        }
    }
}

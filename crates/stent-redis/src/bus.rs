//! The two ends of the bus within a process: commits ring, watchers are told. Both ends only leave word; what speaks to
//! Redis runs in the background (`line.rs`), so no commit ever waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stent_core::Watcher;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::address::Address;

/// How long a close waits at most for the word of its last commits to go out: nobody else would be told of them.
const FAREWELL: Duration = Duration::from_millis(500);

/// Tells others, and hears of them.
pub(crate) struct Bus {
    shared: Arc<Shared>,
    runtime: Handle,
    /// What runs in the background; nothing before the first use and after a close.
    tasks: Mutex<Vec<AbortHandle>>,
}

pub(crate) struct Shared {
    pub(crate) address: Address,
    /// What our messages begin with, so that we know them for our own.
    pub(crate) name: String,
    watchers: Mutex<Vec<Weak<dyn Watcher>>>,
    /// How often was rung, and up to which ring word has gone out.
    pub(crate) rung: watch::Sender<u64>,
    pub(crate) said: watch::Sender<u64>,
    /// Whether what was rung, or heard, and is not passed on yet is more than ends of executions.
    pub(crate) rang_for_work: AtomicBool,
    pub(crate) heard_of_work: AtomicBool,
    pub(crate) heard: Notify,
    warned: AtomicBool,
}

impl Bus {
    pub(crate) fn new(address: Address, runtime: Handle) -> Self {
        let shared = Shared {
            address,
            name: Uuid::new_v4().simple().to_string(),
            watchers: Mutex::default(),
            rung: watch::Sender::new(0),
            said: watch::Sender::new(0),
            rang_for_work: AtomicBool::new(false),
            heard_of_work: AtomicBool::new(false),
            heard: Notify::new(),
            warned: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), runtime, tasks: Mutex::default() }
    }

    /// Where it speaks to, in the words that it was given.
    pub(crate) fn address(&self) -> &str {
        &self.shared.address.text
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the background, unless it runs.
    fn start(&self) {
        let mut tasks = self.tasks();
        if tasks.is_empty() {
            tasks.push(self.runtime.spawn(Arc::clone(&self.shared).speak()).abort_handle());
            tasks.push(self.runtime.spawn(Arc::clone(&self.shared).listen()).abort_handle());
            tasks.push(self.runtime.spawn(Arc::clone(&self.shared).pass_on()).abort_handle());
        }
    }

    /// Tells `watcher` of what is heard until it is dropped.
    pub(crate) fn add(&self, watcher: Weak<dyn Watcher>) {
        let mut watchers = self.shared.watchers();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(watcher);
        drop(watchers);
        self.start();
    }

    /// Something was committed here that others should know of; nothing but ends of executions, or more. Never waits.
    pub(crate) fn ring(&self, only_ends: bool) {
        self.start();
        self.shared.rang_for_work.fetch_or(!only_ends, Ordering::AcqRel);
        self.shared.rung.send_modify(|rings| *rings += 1);
    }

    /// Lets the last word go out, if that is quick, and ends the background; used again, it begins again.
    pub(crate) async fn close(&self) {
        if !self.tasks().is_empty() {
            let rings = *self.shared.rung.borrow();
            let mut said = self.shared.said.subscribe();
            // On the bus's runtime: whoever closes the store may have none.
            let farewell = self.runtime.spawn(async move {
                tokio::time::timeout(FAREWELL, said.wait_for(|said| *said >= rings)).await.is_ok()
            });
            if !farewell.await.unwrap_or(false) {
                tracing::debug!("other processes could not be told of the last commits: they find them by polling");
            }
        }
        self.end();
    }

    fn end(&self) {
        for task in self.tasks().drain(..) {
            task.abort();
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn watchers(&self) -> MutexGuard<'_, Vec<Weak<dyn Watcher>>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tell(&self, only_ends: bool) {
        // Not under the lock: a watcher may do as it likes.
        let watchers: Vec<_> = self.watchers().iter().filter_map(Weak::upgrade).collect();
        watchers.iter().for_each(|watcher| if only_ends { watcher.ended() } else { watcher.changed() });
    }

    /// Says once in the bus's life that it does not work; what follows is detail.
    pub(crate) fn warn(&self, error: &dyn std::fmt::Display) {
        if self.warned.swap(true, Ordering::AcqRel) {
            tracing::debug!(%error, "Redis is out of reach");
        } else {
            tracing::warn!(%error, "Redis is out of reach: changes of other processes are found by polling meanwhile");
        }
    }
}

//! Between the engine and an event loop of Python's. The engine's side puts what became ready into an outbox and wakes
//! the loop once; Python takes all of it in one call, runs its code until that rests, and hands back what was asked in
//! one call. The engine decides everything; nothing here calls into Python's code.
//!
//! - [`outbox`]: what goes to Python; - [`code`]: one attempt as the engine's worker sees it;
//! - [`run`]: the same attempt as Python sees it; - [`asks`]: what Python hands over;
//! - [`host`]: the functions; - [`client`]: starting and waiting; - [`schedules`]: cron;
//! - [`class`]: the class that Python sees.
//!
//! Invariant: no lock of this module is held while the interpreter's lock is waited for.

mod asks;
pub mod class;
mod client;
mod code;
mod host;
mod outbox;
mod run;
mod schedules;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use stent_core::Name;
use stent_core::function::FunctionOptions;
use stent_engine::{Engine, WaitPace, Worker};

use host::{Functions, Published};
use outbox::Outbox;
use run::Run;

use crate::simulated::Simulated;

/// What one event loop has to do with one database.
pub(crate) struct Bridge {
    pub(crate) engine: Engine,
    pub(crate) outbox: Outbox,
    pub(crate) functions: Functions,
    published: Published,
    runs: Mutex<HashMap<u64, Arc<Run>>>,
    last_run: AtomicU64,
    workers: Mutex<HashMap<u64, Worker>>,
    records: crate::records::Records,
    /// How often waits look by themselves.
    pace: WaitPace,
    /// A test's world, whose workers live and die there.
    simulated: Option<Arc<Simulated>>,
}

impl Bridge {
    pub(crate) fn run(&self, number: u64) -> Option<Arc<Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// A function of this executor's.
    fn learn(&self, name: Name, options: FunctionOptions) {
        self.functions.insert(name, options);
        for worker in self.workers.lock().unwrap_or_else(PoisonError::into_inner).values() {
            worker.look_for_work();
        }
    }

    fn next_run(&self) -> u64 {
        self.last_run.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn insert(&self, run: &Arc<Run>) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).insert(run.number, Arc::clone(run));
    }

    fn remove(&self, number: u64) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }
}

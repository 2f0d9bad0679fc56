//! What the test kits of the faces share. It knows names, bytes and stores; how a test starts something and looks at
//! what came of it is the face's own (`durable::testing`, `stent.testing`).
//!
//! - [`time`]: the time of a test, and [`World`], a store in memory that goes by it;
//! - [`process`]: where an engine's futures run, and how they all end at once;
//! - [`gate`]: a store that stops answering at a commit of a task's;
//! - [`trial`]: what is run for a check of replays, and how two runs are compared.
//!
//! Invariant: time passes only while somebody waits and nothing has anything to do.

pub mod gate;
mod keeper;
pub mod process;
pub mod time;
pub mod trial;

use std::sync::Arc;
use std::time::Duration;

use stent_core::{Store, Timestamp};
use stent_engine::Engine;
use stent_storetest::model::ModelStore;
use tokio::task::AbortHandle;

use process::Process;
use time::Time;

/// When every test's time begins: 2030-01-01, so that a time of the machine's own stands out.
pub const BEGINNING: Timestamp = Timestamp::from_micros(1_893_456_000_000_000);

/// A store in memory, the time it goes by, and who lets that pass.
pub struct World {
    /// The time that all its processes share.
    pub time: Arc<Time>,
    model: ModelStore,
    keeper: AbortHandle,
}

impl World {
    /// An empty one at the beginning of its time.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        let time = Time::new();
        // Silence is counted by a clock that stands: a jump in time kills nobody.
        let model = ModelStore::with_uptime(time.store_clock(), Arc::new(|| Duration::ZERO));
        let keeper = tokio::spawn(keeper::keep(Arc::clone(&time), Arc::new(model.handle()))).abort_handle();
        Self { time, model, keeper }
    }

    /// A new process's handle on the store.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.model.handle())
    }

    /// A new process, whose engine sees `store`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn process(&self, store: Arc<dyn Store>) -> (Arc<Process>, Engine) {
        let process = Process::new(&self.time);
        let engine = Engine::new(store, Arc::<Process>::clone(&process));
        process.watch(&engine);
        (process, engine)
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.keeper.abort();
        self.time.forget_all();
    }
}

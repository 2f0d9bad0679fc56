//! What happened outside, kept by the test: a step body that ran twice stands here twice.

use std::sync::{Arc, Mutex};

use durable::testing::Executor;
use durable::{Durable, TaskContext};

/// A list of lines. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<String>>>);

impl Ledger {
    pub(crate) fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// How many lines say this.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|written| *written == line).count()
    }

    /// The ledger of a task's application.
    pub(crate) fn of(ctx: &TaskContext) -> Self {
        Self::clone(&ctx.app::<Self>().unwrap())
    }
}

/// An executor whose tasks find a ledger.
pub(crate) async fn executor_with_ledger() -> (Executor, Ledger) {
    let ledger = Ledger::default();
    let executor = Executor::with(Durable::builder().state(ledger.clone())).await.unwrap();
    (executor, ledger)
}

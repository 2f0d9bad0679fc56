//! What really ran, outside of any store, and gates that hold it back. Both are shared by all processes of a scenario
//! that live in this one.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Everything that was done, in order.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<watch::Sender<Vec<String>>>);

impl Default for Ledger {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }
}

impl Ledger {
    pub(crate) fn add(&self, entry: impl Into<String>) {
        self.0.send_modify(|entries| entries.push(entry.into()));
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    pub(crate) fn count(&self, entry: &str) -> usize {
        self.0.borrow().iter().filter(|other| *other == entry).count()
    }

    /// Resolves once the entry is there so many times.
    pub(crate) async fn reaches(&self, entry: &str, times: usize) {
        let mut entries = self.0.subscribe();
        let there = entries.wait_for(|all| all.iter().filter(|other| *other == entry).count() >= times);
        drop(there.await);
    }

    /// Resolves once so many entries begin with this.
    pub(crate) async fn reaches_all(&self, prefix: &str, times: usize) {
        let mut entries = self.0.subscribe();
        let there = entries.wait_for(|all| all.iter().filter(|other| other.starts_with(prefix)).count() >= times);
        drop(there.await);
    }
}

/// Named gates; each is shut until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gates {
    open: Arc<Mutex<HashSet<String>>>,
    moved: Arc<tokio::sync::Notify>,
}

impl Gates {
    pub(crate) fn open(&self, gate: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(gate.to_owned());
        self.moved.notify_waiters();
    }

    pub(crate) fn is_open(&self, gate: &str) -> bool {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).contains(gate)
    }

    /// Resolves once the gate is open.
    pub(crate) fn pass(&self, gate: &str) -> impl Future<Output = ()> + Send + use<> {
        let (gates, gate) = (self.clone(), gate.to_owned());
        async move {
            loop {
                let moved = gates.moved.notified();
                let mut moved = std::pin::pin!(moved);
                moved.as_mut().enable();
                if gates.is_open(&gate) {
                    return;
                }
                moved.await;
            }
        }
    }
}

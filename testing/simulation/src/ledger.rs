//! What really happened, kept outside of the store: which step bodies ran, and which were acknowledged to the code.
//! The judge of every simulation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by all processes of a world; survives them.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    steps: BTreeMap<(String, String), Step>,
    results: BTreeMap<String, String>,
    wrongs: Vec<String>,
}

#[derive(Default)]
struct Step {
    bodies: u32,
    acknowledged: bool,
}

impl Ledger {
    fn with<T>(&self, f: impl FnOnce(&mut Entries) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A step's body runs.
    pub fn body(&self, task: &str, step: &str) {
        self.with(|entries| {
            let entry = entries.steps.entry((task.into(), step.into())).or_default();
            entry.bodies += 1;
            if entry.acknowledged {
                entries.wrongs.push(format!("{task}: step {step} ran again after it was recorded"));
            }
        });
    }

    /// A step's record was acknowledged to the code.
    pub fn acknowledged(&self, task: &str, step: &str) {
        self.with(|entries| entries.steps.entry((task.into(), step.into())).or_default().acknowledged = true);
    }

    /// How often a step's body ran.
    #[must_use]
    pub fn bodies(&self, task: &str, step: &str) -> u32 {
        self.with(|entries| entries.steps.get(&(task.to_owned(), step.to_owned())).map_or(0, |step| step.bodies))
    }

    /// A call of a key came to this: the same for all.
    pub fn result(&self, key: &str, result: &str) {
        self.with(|entries| {
            let first = entries.results.entry(key.to_owned()).or_insert_with(|| result.to_owned()).clone();
            if first != result {
                entries.wrongs.push(format!("{key} has two results: {first} and {result}"));
            }
        });
    }

    /// Something that must not be.
    pub fn wrong(&self, what: String) {
        self.with(|entries| entries.wrongs.push(what));
    }

    /// Everything that must not be.
    #[must_use]
    pub fn wrongs(&self) -> Vec<String> {
        self.with(|entries| entries.wrongs.clone())
    }
}

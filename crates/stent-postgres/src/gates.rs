//! What every claim goes by: which queues are paused and which functions are limited. A committer remembers what it saw
//! last; it is no truth: a claim reads it anew, and what else relies on it is checked as it is written.

use std::sync::Arc;

use stent_core::Name;

use crate::batch::Batch;
use crate::error::{Step, broken};
use crate::query::Query;
use crate::rows;

/// What claims go by.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Gates {
    /// The queues that they pass by, in order of name.
    pub(crate) paused: Vec<Name>,
    /// The functions of which a task needs a slot, in order of name.
    pub(crate) limited: Vec<Name>,
}

impl Gates {
    /// From their stored form: an empty name stands between the two.
    pub(crate) fn read(words: &[&str]) -> Self {
        let mut halves = words.split(|word| word.is_empty());
        let mut half = || halves.next().unwrap_or_default().iter().map(|word| Name::stored(word)).collect();
        Self { paused: half(), limited: half() }
    }

    /// Their stored form.
    pub(crate) fn words(&self) -> Vec<String> {
        let text = |names: &[Name]| names.iter().map(|name| name.as_str().to_owned()).collect();
        [text(&self.paused), vec![String::new()], text(&self.limited)].concat()
    }

    /// Whether a task of this function needs a slot.
    pub(crate) fn is_limited(&self, function: &Name) -> bool {
        self.limited.binary_search(function).is_ok()
    }
}

impl Batch<'_> {
    /// What claims go by. A trusting batch goes by what it saw last.
    pub(crate) async fn gates(&mut self) -> Step<Arc<Gates>> {
        if let Some(gates) = &self.memory.gates
            && (self.gates_are_fresh || !self.is_careful())
        {
            return Ok(Arc::clone(gates));
        }
        let row = self.row(Query::ClaimGates, &[]).await?.ok_or(broken("what claims go by is not answered"))?;
        let gates = Arc::new(Gates::read(&rows::get::<Vec<&str>>(&row, 0)?));
        self.note_gates(Arc::clone(&gates));
        Ok(gates)
    }

    /// What claims go by, as just read.
    pub(crate) fn note_gates(&mut self, gates: Arc<Gates>) {
        self.memory.gates = Some(gates);
        self.memory.gates_seen = self.now;
        self.gates_are_fresh = true;
    }

    /// Whether a task of this queue and function may begin in somebody's hands; what this goes by is checked when the
    /// batch is sent.
    pub(crate) async fn may_begin(&mut self, queue: &Name, function: &Name) -> Step<bool> {
        let gates = self.gates().await?;
        let may = !gates.paused.contains(queue) && !gates.is_limited(function);
        if may {
            self.writes.rely_on(&gates);
        }
        Ok(may)
    }

    /// A queue was paused, resumed or dropped by this batch, or limits came or went.
    pub(crate) fn forget_gates(&mut self) {
        self.memory.gates = None;
        self.gates_are_fresh = false;
    }
}

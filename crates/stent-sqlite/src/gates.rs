//! What every claim goes by: which queues are paused and which functions are limited. A batch reads it once, in its own
//! transaction, so it is exact.

use std::collections::HashMap;
use std::sync::Arc;

use stent_core::Name;

use crate::batch::Batch;
use crate::error::Step;
use crate::query::Query;

/// What every claim goes by.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    /// The queues that it passes by.
    pub(crate) paused: Vec<Name>,
    /// The functions that are limited, with the limit in force.
    pub(crate) limits: HashMap<Name, u32>,
}

impl Batch<'_> {
    /// What claims go by.
    pub(crate) fn gates(&mut self) -> Step<Arc<Gates>> {
        if let Some(gates) = &self.gates {
            return Ok(Arc::clone(gates));
        }
        let mut gates = Gates::default();
        let mut rows = self.sql.get(Query::ClaimGates)?.query([])?;
        while let Some(row) = rows.next()? {
            let name = Name::stored(&row.get::<_, String>(0)?);
            match row.get::<_, Option<u32>>(1)? {
                Some(limit) => drop(gates.limits.insert(name, limit)),
                None => gates.paused.push(name),
            }
        }
        drop(rows);
        Ok(Arc::clone(self.gates.insert(Arc::new(gates))))
    }

    /// A queue was paused, resumed or dropped by this batch, or limits came or went.
    pub(crate) fn forget_gates(&mut self) {
        self.gates = None;
    }
}

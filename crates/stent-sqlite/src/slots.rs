//! The slots of limited functions: claims take them, whatever ends an attempt lets them go, and publishing a limit makes
//! them. Nothing is counted but what is still held above a limit that was lowered.
//!
//! Invariant: a task has the number of a slot if and only if that slot names the task as its holder.

use std::collections::HashMap;

use rusqlite::params;
use stent_core::{MaxConcurrent, Name, TaskRef};

use crate::batch::Batch;
use crate::error::Step;
use crate::gates::Gates;
use crate::query::Query;
use crate::rows::Held;

/// The slots that a claim may take, by function; functions without a limit are not among them.
pub(crate) struct Free(HashMap<Name, Vec<i64>>);

impl Free {
    /// Those of these functions, `most` of each at most.
    pub(crate) fn of<'f>(
        batch: &mut Batch<'_>,
        gates: &Gates,
        functions: impl Iterator<Item = &'f Name>,
        most: usize,
    ) -> Step<Self> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut free = HashMap::new();
        for function in functions {
            let Some(limit) = gates.limits.get(function).filter(|_| !free.contains_key(function)) else { continue };
            let statement = batch.sql.get(Query::SlotFree)?;
            let rows = statement.query_map(params![function.as_str(), limit, most], |row| row.get(0))?;
            let mut numbers = rows.collect::<rusqlite::Result<Vec<i64>>>()?;
            // Taken from the end.
            numbers.reverse();
            free.insert(function.clone(), numbers);
        }
        Ok(Self(free))
    }

    /// Whether a task of this function that holds no slot can be claimed.
    pub(crate) fn has(&self, function: &Name) -> bool {
        self.0.get(function).is_none_or(|numbers| !numbers.is_empty())
    }

    /// A slot for a task that holds none; `None` where it needs none.
    pub(crate) fn take(&mut self, batch: &mut Batch<'_>, function: &Name, task: TaskRef) -> Step<Option<i64>> {
        let Some(number) = self.0.get_mut(function).and_then(Vec::pop) else { return Ok(None) };
        let statement = batch.sql.get(Query::SlotHold)?;
        let ids = (task.execution.as_bytes(), task.task.as_bytes());
        statement.execute(params![function.as_str(), number, ids.0, ids.1])?;
        *batch.slots_left.entry(function.clone()).or_default() -= 1;
        Ok(Some(number))
    }
}

/// Lets go of the slot that a task holds, if it does: the one place that does. The task's own row forgets its number in
/// the statement that ends its attempt.
pub(crate) fn let_go(batch: &mut Batch<'_>, task: TaskRef, held: Held) -> Step<()> {
    let Some(number) = held.slot else { return Ok(()) };
    let function = batch.routes.route(&mut batch.sql, held.route)?.function;
    let statement = batch.sql.get(Query::SlotLetGo)?;
    let ids = (task.execution.as_bytes(), task.task.as_bytes());
    statement.execute(params![function.as_str(), number, ids.0, ids.1])?;
    *batch.slots_left.entry(function).or_default() += 1;
    Ok(())
}

/// Says at the end of a batch that there is work, if it let slots go that ready tasks wait for. Where a claim of the same
/// batch took them again, nobody else has to look.
pub(crate) fn tell_of_left(batch: &mut Batch<'_>) -> rusqlite::Result<()> {
    for (function, left) in std::mem::take(&mut batch.slots_left) {
        if left > 0 && !batch.wakes.ready {
            batch.wakes.ready = batch.sql.get(Query::SlotWanted)?.exists([function.as_str()])?;
        }
    }
    Ok(())
}

/// Limits of these functions were published, or are no more: what is in force is worked out anew, and whoever waited may
/// find that there is room.
pub(crate) fn settle(batch: &mut Batch<'_>, functions: &[Name]) -> Step<()> {
    for function in functions {
        batch.sql.get(Query::LimitSettle)?.execute([function.as_str()])?;
        batch.forget_gates();
        batch.wakes.ready = true;
    }
    Ok(())
}

/// Makes the slots of a limit that is published.
pub(crate) fn make(batch: &mut Batch<'_>, function: &Name, limit: MaxConcurrent) -> Step<()> {
    batch.sql.get(Query::SlotInsert)?.execute(params![function.as_str(), limit.get()])?;
    Ok(())
}

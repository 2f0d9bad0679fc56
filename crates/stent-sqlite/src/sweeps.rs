//! Expire and PruneEvents: what time alone brings about, a bounded number at once.

use rusqlite::params;
use stent_core::command::Done;
use stent_core::limits::SWEEP_TASKS;
use stent_core::{ExecutionId, ExecutionState, Timestamp};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::Query;
use crate::tree;

/// Carries out `Expire`.
pub(crate) fn expire(batch: &mut Batch<'_>) -> Step<Done> {
    let now = batch.now.as_micros();
    let mut overdue = {
        let statement = batch.sql.get(Query::ExecutionsOverdue)?;
        let rows = statement.query_map([now, i64::from(SWEEP_TASKS) + 1], |row| {
            let state = row.get::<_, Option<i64>>(1)?.and_then(ExecutionState::stored);
            Ok((ExecutionId::from_bytes(row.get(0)?), state.unwrap_or(ExecutionState::TimedOut)))
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()?
    };
    let more = overdue.len() > SWEEP_TASKS as usize;
    overdue.truncate(SWEEP_TASKS as usize);
    for (execution, state) in &overdue {
        tree::end_execution(batch, *execution, *state)?;
    }
    Ok(Done::Swept { count: u32::try_from(overdue.len()).unwrap_or(u32::MAX), more })
}

/// Carries out `PruneEvents`.
pub(crate) fn prune_events(batch: &mut Batch<'_>, before: Timestamp) -> Step<Done> {
    let before = before.as_micros();
    let count = batch.sql.get(Query::EventsPrune)?.execute(params![before, SWEEP_TASKS])?;
    let more = batch.sql.get(Query::EventsOlder)?.query_row([before], |row| row.get(0))?;
    Ok(Done::Swept { count: u32::try_from(count).unwrap_or(u32::MAX), more })
}

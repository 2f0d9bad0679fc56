//! Expire and PruneEvents: what time alone brings about, a bounded number at once.

use stent_core::command::Done;
use stent_core::limits::SWEEP_TASKS;
use stent_core::{ExecutionId, ExecutionState, Timestamp};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::Query;
use crate::{rows, tree};

/// Carries out `Expire`.
pub(crate) async fn expire(batch: &mut Batch<'_>) -> Step<Done> {
    let now = batch.now.as_micros();
    let found = batch.peek(Query::ExecutionsOverdue, &[&now, &(i64::from(SWEEP_TASKS) + 1)]).await?;
    let more = found.len() > SWEEP_TASKS as usize;
    let mut count = 0;
    for row in found.iter().take(SWEEP_TASKS as usize) {
        let execution = ExecutionId::from_bytes(rows::bytes16(row, 0)?);
        tree::take_all(batch, execution).await?;
        let Some(standing) = batch.lock(execution).await? else { continue };
        // Another process may have ended it since it was listed.
        if standing.state.is_terminal() || standing.overdue_at.is_none_or(|at| at > batch.now) {
            continue;
        }
        let state = standing.deadline_state.unwrap_or(ExecutionState::TimedOut);
        tree::end_execution(batch, execution, state).await?;
        count += 1;
    }
    Ok(Done::Swept { count, more })
}

/// Carries out `PruneEvents`.
pub(crate) async fn prune_events(batch: &mut Batch<'_>, before: Timestamp) -> Step<Done> {
    let before = before.as_micros();
    let count = batch.execute(Query::EventsPrune, &[&before, &i64::from(SWEEP_TASKS)]).await?;
    let more = batch.exists(Query::EventsOlder, &[&before]).await?;
    Ok(Done::Swept { count: u32::try_from(count).unwrap_or(u32::MAX), more })
}

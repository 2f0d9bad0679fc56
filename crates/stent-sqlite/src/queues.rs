//! SetQueue and DropQueue.

use rusqlite::params;
use stent_core::Name;
use stent_core::command::{Done, Refusal};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::Query;

fn paused(batch: &mut Batch<'_>, name: &Name) -> Step<Option<bool>> {
    let mut rows = batch.sql.get(Query::QueuePaused)?.query([name.as_str()])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

/// Carries out `SetQueue`.
pub(crate) fn set(batch: &mut Batch<'_>, name: &Name, pause: Option<bool>) -> Step<Done> {
    let before = paused(batch, name)?;
    let after = pause.or(before).unwrap_or(false);
    if before == Some(after) {
        return Ok(Done::Changed(false));
    }
    batch.sql.get(Query::QueueUpsert)?.execute(params![name.as_str(), after])?;
    batch.forget_gates();
    // What lay in a paused queue can be claimed from now on.
    batch.wakes.ready |= before == Some(true);
    Ok(Done::Changed(true))
}

/// Carries out `DropQueue`.
pub(crate) fn drop_queue(batch: &mut Batch<'_>, name: &Name) -> Step<Done> {
    let busy: bool = batch.sql.get(Query::QueueBusy)?.query_row([name.as_str()], |row| row.get(0))?;
    if busy {
        return Err(Refusal::Busy.into());
    }
    let changed = batch.sql.get(Query::QueueDelete)?.execute([name.as_str()])?;
    batch.forget_gates();
    Ok(Done::Changed(changed > 0))
}

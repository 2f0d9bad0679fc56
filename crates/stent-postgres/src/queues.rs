//! SetQueue and DropQueue.

use stent_core::Name;
use stent_core::command::{Done, Refusal};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::Query;
use crate::rows;

async fn paused(batch: &mut Batch<'_>, name: &Name) -> Step<Option<bool>> {
    let row = batch.row(Query::QueuePaused, &[&name.as_str()]).await?;
    row.map(|row| rows::get(&row, 0)).transpose()
}

/// Carries out `SetQueue`.
pub(crate) async fn set(batch: &mut Batch<'_>, name: &Name, pause: Option<bool>) -> Step<Done> {
    let before = paused(batch, name).await?;
    let after = pause.or(before).unwrap_or(false);
    if before == Some(after) {
        return Ok(Done::Changed(false));
    }
    batch.execute(Query::QueueUpsert, &[&name.as_str(), &after]).await?;
    batch.forget_gates();
    // What lay in a paused queue can be claimed from now on.
    batch.wakes.ready |= before == Some(true);
    Ok(Done::Changed(true))
}

/// Carries out `DropQueue`.
pub(crate) async fn drop_queue(batch: &mut Batch<'_>, name: &Name) -> Step<Done> {
    if batch.exists(Query::QueueBusy, &[&name.as_str()]).await? {
        return Err(Refusal::Busy.into());
    }
    let changed = batch.execute(Query::QueueDelete, &[&name.as_str()]).await?;
    batch.forget_gates();
    Ok(Done::Changed(changed > 0))
}

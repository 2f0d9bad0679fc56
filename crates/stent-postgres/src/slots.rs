//! The slots of limited functions: `claim_limited.sql` takes them, whatever ends an attempt lets them go, and publishing a
//! limit makes them. Nothing is counted but what is still held above a limit that was lowered.
//!
//! Invariant: a task has the number of a slot if and only if that slot names the task as its holder.

use std::collections::BTreeSet;

use stent_core::{MaxConcurrent, Name, TaskRef};
use tokio_postgres::Error;

use crate::batch::{Batch, Wire};
use crate::error::Step;
use crate::query::{Column, Link, Query};
use crate::rows::Held;

/// Lets go of the slot that a task holds, if it does: the one place that does. The task's own row forgets its number in
/// the statement that ends its attempt.
pub(crate) async fn let_go(batch: &mut Batch<'_>, task: TaskRef, held: Held) -> Step<()> {
    let Some(number) = held.slot else { return Ok(()) };
    let function = batch.route(held.route).await?.function;
    batch.writes.let_go(&function, number, task);
    *batch.slots_left.entry(function).or_default() += 1;
    Ok(())
}

/// A claim has taken a slot.
pub(crate) fn taken(batch: &mut Batch<'_>, function: &Name) {
    *batch.slots_left.entry(function.clone()).or_default() -= 1;
}

/// Whether slots were let go that a claim of the same batch did not take again.
pub(crate) fn are_left(batch: &Batch<'_>) -> bool {
    batch.slots_left.values().any(|left| *left > 0)
}

/// Whether a ready task waits for slots that this batch has let go. Asked once it is committed: whoever became ready
/// before is seen, and whoever does later finds the slots.
pub(crate) async fn are_wanted(batch: &mut Batch<'_>) -> bool {
    let left = batch.slots_left.iter().filter(|(_, left)| **left > 0);
    let functions = Column(left.map(|(function, _)| function.as_str().to_owned()).collect());
    if functions.0.is_empty() {
        return false;
    }
    let Wire::Own(link, _, begin) = batch.wire() else { return true };
    // What cannot be asked is taken to be so: a wake for nothing harms nobody.
    ask(link, begin, &functions).await.unwrap_or(true)
}

async fn ask(link: &Link, begin: &str, functions: &Column<String>) -> Result<bool, Error> {
    if !link.is_direct() {
        link.client().batch_execute(begin).await?;
    }
    let wanted = !link.query(Query::SlotWanted, &[functions]).await?.is_empty();
    if !link.is_direct() {
        link.client().batch_execute("COMMIT").await?;
    }
    Ok(wanted)
}

/// Limits of these functions were published, or are no more: what is in force is worked out anew, and whoever waited may
/// find that there is room.
pub(crate) async fn settle(batch: &mut Batch<'_>, functions: Vec<Name>) -> Step<()> {
    if functions.is_empty() {
        return Ok(());
    }
    // Each once: no statement may lock a row twice.
    let names: BTreeSet<String> = functions.iter().map(|function| function.as_str().to_owned()).collect();
    let functions = Column(names.into_iter().collect());
    batch.execute(Query::LimitLock, &[&functions]).await?;
    batch.execute(Query::LimitSettle, &[&functions]).await?;
    batch.forget_gates();
    batch.wakes.ready = true;
    Ok(())
}

/// Makes the slots of a limit that is published.
pub(crate) async fn make(batch: &mut Batch<'_>, function: &Name, limit: MaxConcurrent) -> Step<()> {
    let most = i32::try_from(limit.get()).unwrap_or(i32::MAX);
    batch.execute(Query::SlotInsert, &[&function.as_str(), &most]).await?;
    Ok(())
}

//! The slots of limited functions: `claim_limited.sql` takes them, whatever ends an attempt lets them go, and publishing a
//! limit makes them. Nothing is counted but what is still held above a limit that was lowered.
//!
//! Invariant: a task has the number of a slot if and only if that slot names the task as its holder.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stent_core::{MaxConcurrent, Name, TaskRef};
use tokio_postgres::Error;

use crate::batch::{Batch, Wire};
use crate::error::Step;
use crate::gates::Gates;
use crate::query::{Column, Params, Query};
use crate::rows::{self, Held, Row};

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

/// A task of this function was started. One of a limited function may have to wait for a slot; then whoever lets one go
/// comes for it, and nobody else needs to be woken.
pub(crate) fn wanted(batch: &mut Batch<'_>, function: &Name) {
    let is_limited = batch.memory.gates.as_ref().is_some_and(|gates| gates.is_limited(function));
    match (is_limited, batch.wire()) {
        (true, Wire::Own(..)) => drop(batch.slots_wanted.insert(function.clone())),
        _ => batch.wakes.ready = true,
    }
}

/// Whether slots were let go that no claim of the same batch took again.
pub(crate) fn are_left(batch: &Batch<'_>) -> bool {
    batch.slots_left.values().any(|left| *left > 0)
}

/// Whether slots and tasks may be for each other that the batch has left apart.
pub(crate) fn may_meet(batch: &Batch<'_>) -> bool {
    !batch.slots_wanted.is_empty() || are_left(batch)
}

/// What to ask once the batch is committed, and of which functions: whether a ready task waits for slots that it has let
/// go, whether a slot is free for a task that it has started. Behind the commit, so that whoever came before is seen,
/// and whoever comes later sees what this batch has left.
pub(crate) fn questions(batch: &Batch<'_>) -> Vec<(Query, Column<String>)> {
    let left = batch.slots_left.iter().filter(|(_, left)| **left > 0).map(|(function, _)| function.as_str().to_owned());
    let wanted = batch.slots_wanted.iter().map(|function| function.as_str().to_owned());
    let questions = [(Query::SlotWanted, Column(left.collect())), (Query::SlotFree, Column(wanted.collect()))];
    questions.into_iter().filter(|(_, functions): &(_, Column<String>)| !functions.0.is_empty()).collect()
}

/// Whether slots and tasks meet that the batch has left apart. The first of its questions may have been answered.
pub(crate) async fn do_meet(batch: &Batch<'_>, questions: &[(Query, Column<String>)], first: Option<Vec<Row>>) -> bool {
    let mut known = first;
    for (query, functions) in questions {
        let answer = match known.take() {
            Some(rows) => Some(rows),
            None => afterwards(batch, *query, &[functions]).await,
        };
        // What cannot be asked is taken to be so: a wake for nothing harms nobody.
        if answer.is_none_or(|rows| !rows.is_empty()) {
            return true;
        }
    }
    false
}

/// How old what claims go by may be for `wanted`. A limit that has come since is only not made use of there, and that one
/// is gone shows when it is asked for a slot.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// Sees to it that a process that starts tasks and never claims any learns which functions are limited. Called once the
/// batch is committed.
pub(crate) async fn learn_limits(batch: &mut Batch<'_>) {
    let is_known = batch.memory.gates.is_some() && batch.now.since(batch.memory.gates_seen) < KNOWN_FOR;
    if is_known {
        return;
    }
    if let Some(rows) = afterwards(batch, Query::ClaimGates, &[]).await
        && let Some(row) = rows.first()
        && let Ok(words) = rows::get::<Vec<&str>>(row, 0)
    {
        batch.note_gates(Arc::new(Gates::read(&words)));
    }
}

/// Asks something once the batch is committed.
async fn afterwards(batch: &Batch<'_>, query: Query, params: Params<'_>) -> Option<Vec<Row>> {
    let Wire::Own(link, _, begin) = batch.wire() else { return None };
    let asked = async {
        if !link.is_direct() {
            link.client().batch_execute(begin).await?;
        }
        let rows = link.query(query, params).await?;
        if !link.is_direct() {
            link.client().batch_execute("COMMIT").await?;
        }
        Ok::<_, Error>(rows)
    };
    asked.await.inspect_err(|error| tracing::debug!(%error, "nothing could be asked behind a batch")).ok()
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

//! ReplayLetter and DiscardLetter: tasks that failed for good run again, or stay as they are.

use std::collections::{HashMap, HashSet};

use stent_core::command::{Done, Refusal, ReplayLetter};
use stent_core::routing::rank;
use stent_core::state::TaskEvent;
use stent_core::{ExecutionId, TaskId, TaskRef, TaskState};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::Query;
use crate::rows::{self, Held, stored_small, uuid};
use crate::slots;

/// Carries out [`ReplayLetter`].
pub(crate) async fn replay(batch: &mut Batch<'_>, replay: &ReplayLetter) -> Step<Done> {
    let task = replay.task;
    batch.lock(task.execution).await?;
    let (execution, id) = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    if !batch.exists(Query::LetterExists, &[&execution, &id]).await? {
        return Err(Refusal::Unknown.into());
    }
    let Some(row) = batch.standing(task).await? else { return Err(Refusal::Unknown.into()) };
    if let Err(refused) = row.state.on(TaskEvent::Replay) {
        return Err(Refusal::Terminal(refused.state).into());
    }
    let root = TaskRef::root(task.execution);
    if !task.is_root() && batch.standing(root).await?.is_some_and(|root| root.state == TaskState::Failed) {
        return Err(Refusal::ReplayRoot.into());
    }
    let route = match &replay.queue {
        None => row.held.route,
        Some(queue) => {
            let route = batch.route(row.held.route).await?;
            batch.route_number(queue, &route.function, &route.tags).await?
        }
    };
    if task.is_root() {
        batch.execute(Query::ExecutionReplay, &[&execution, &route]).await?;
        batch.execute(Query::LetterDeleteAll, &[&execution]).await?;
    } else {
        batch.execute(Query::LetterDelete, &[&execution, &id]).await?;
    }
    let attempt = stored_small(if replay.reset_attempts { 1 } else { row.attempt });
    // A parent that has had the failure is told nothing more; one that has not looked yet gets what comes now.
    let detached = !task.is_root() && (row.detached || !row.undelivered);
    let rank = rank(false, row.priority);
    batch.execute(Query::TaskReplay, &[&execution, &id, &rank, &attempt, &route, &detached]).await?;
    batch.changed(task);
    // It may have been put away by hand, and its owner not have heeded that yet.
    slots::let_go(batch, task, row.held).await?;
    if task.is_root() {
        revive_below(batch, task, replay.reset_attempts).await?;
    }
    batch.wakes.ready = true;
    Ok(Done::Replayed { run: row.run + 1 })
}

/// Brings back what was cancelled with a root: through parents that are pending again, the children whose ends these
/// have not had and will not be told.
async fn revive_below(batch: &mut Batch<'_>, root: TaskRef, reset_attempts: bool) -> Step<()> {
    let execution = root.execution;
    let mut cancelled = cancelled_by_parent(batch, execution).await?;
    let mut revived = vec![root.task];
    while let Some(parent) = revived.pop() {
        let Some(children) = cancelled.remove(&parent) else { continue };
        let had = children_had(batch, TaskRef { execution, task: parent }).await?;
        for (child, priority, held) in children.into_iter().filter(|(child, ..)| !had.contains(child)) {
            let ids = (uuid(execution.as_bytes()), uuid(child.as_bytes()));
            let rank = rank(false, priority);
            batch.execute(Query::TaskRevive, &[&ids.0, &ids.1, &rank, &reset_attempts]).await?;
            let task = TaskRef { execution, task: child };
            batch.changed(task);
            // Its owner may not have heeded yet that it was cancelled.
            slots::let_go(batch, task, held).await?;
            revived.push(child);
        }
    }
    Ok(())
}

/// A cancelled task, its priority, and the slot that it holds until its owner heeds.
type Cancelled = (TaskId, i32, Held);

/// The cancelled tasks of an execution by parent, without those whose parents are to be told.
async fn cancelled_by_parent(batch: &mut Batch<'_>, execution: ExecutionId) -> Step<HashMap<TaskId, Vec<Cancelled>>> {
    let mut found = HashMap::<_, Vec<_>>::new();
    for row in batch.query(Query::TasksCancelled, &[&uuid(execution.as_bytes())]).await? {
        let child = (TaskId::from_bytes(rows::bytes16(&row, 0)?), rows::get(&row, 2)?, Held::read(&row, 3)?);
        found.entry(TaskId::from_bytes(rows::bytes16(&row, 1)?)).or_default().push(child);
    }
    Ok(found)
}

/// The children whose ends a task has in its history.
async fn children_had(batch: &mut Batch<'_>, task: TaskRef) -> Step<HashSet<TaskId>> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    let rows = batch.query(Query::RecordChildren, &[&ids.0, &ids.1]).await?;
    rows.iter().map(|row| rows::bytes16(row, 0).map(TaskId::from_bytes)).collect()
}

/// Carries out `DiscardLetter`.
pub(crate) async fn discard(batch: &mut Batch<'_>, task: TaskRef) -> Step<Done> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    let changed = batch.execute(Query::LetterDelete, &[&ids.0, &ids.1]).await?;
    Ok(Done::Changed(changed > 0))
}

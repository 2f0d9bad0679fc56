//! ReplayLetter and DiscardLetter: tasks that failed for good run again, or stay as they are.

use std::collections::{HashMap, HashSet};

use rusqlite::params;
use stent_core::command::{Done, Refusal, ReplayLetter};
use stent_core::routing::rank;
use stent_core::state::TaskEvent;
use stent_core::{ExecutionId, TaskId, TaskRef, TaskState};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::Query;
use crate::rows::Held;
use crate::slots;

/// Carries out [`ReplayLetter`].
pub(crate) fn replay(batch: &mut Batch<'_>, replay: &ReplayLetter) -> Step<Done> {
    let task = replay.task;
    let ids = [task.execution.as_bytes(), task.task.as_bytes()];
    if !batch.sql.get(Query::LetterExists)?.exists(ids)? {
        return Err(Refusal::Unknown.into());
    }
    let Some(row) = batch.standing(task)? else { return Err(Refusal::Unknown.into()) };
    if let Err(refused) = row.state.on(TaskEvent::Replay) {
        return Err(Refusal::Terminal(refused.state).into());
    }
    let root = TaskRef::root(task.execution);
    if !task.is_root() && batch.standing(root)?.is_some_and(|root| root.state == TaskState::Failed) {
        return Err(Refusal::ReplayRoot.into());
    }
    let route = match &replay.queue {
        None => row.held.route,
        Some(queue) => {
            let route = batch.routes.route(&mut batch.sql, row.held.route)?;
            batch.routes.number(&mut batch.sql, queue, &route.function, &route.tags)?
        }
    };
    if task.is_root() {
        batch.sql.get(Query::ExecutionReplay)?.execute(params![task.execution.as_bytes(), route])?;
        batch.sql.get(Query::LetterDeleteAll)?.execute([task.execution.as_bytes()])?;
    } else {
        batch.sql.get(Query::LetterDelete)?.execute(ids)?;
    }
    let attempt = if replay.reset_attempts { 1 } else { row.attempt };
    // A parent that has had the failure is told nothing more; one that has not looked yet gets what comes now.
    let detached = !task.is_root() && (row.detached || !row.undelivered);
    batch.sql.get(Query::TaskReplay)?.execute(params![
        task.execution.as_bytes(),
        task.task.as_bytes(),
        rank(false, row.priority),
        attempt,
        route,
        detached
    ])?;
    // It may have been put away by hand, and its owner not have heeded that yet.
    slots::let_go(batch, task, row.held)?;
    if task.is_root() {
        revive_below(batch, task, replay.reset_attempts)?;
    }
    batch.wakes.ready = true;
    Ok(Done::Replayed { run: row.run + 1 })
}

/// Brings back what was cancelled with a root: through parents that are pending again, the children whose ends these
/// have not had and will not be told.
fn revive_below(batch: &mut Batch<'_>, root: TaskRef, reset_attempts: bool) -> Step<()> {
    let execution = root.execution;
    let mut cancelled = cancelled_by_parent(batch, execution)?;
    let mut revived = vec![root.task];
    while let Some(parent) = revived.pop() {
        let Some(children) = cancelled.remove(&parent) else { continue };
        let had = children_had(batch, TaskRef { execution, task: parent })?;
        for (child, priority, held) in children.into_iter().filter(|(child, ..)| !had.contains(child)) {
            let ids = (execution.as_bytes(), child.as_bytes());
            let statement = batch.sql.get(Query::TaskRevive)?;
            statement.execute(params![ids.0, ids.1, rank(false, priority), reset_attempts])?;
            // Its owner may not have heeded yet that it was cancelled.
            slots::let_go(batch, TaskRef { execution, task: child }, held)?;
            revived.push(child);
        }
    }
    Ok(())
}

/// A cancelled task, its priority, and the slot that it holds until its owner heeds.
type Cancelled = (TaskId, i32, Held);

/// The cancelled tasks of an execution by parent, without those whose parents are to be told.
fn cancelled_by_parent(batch: &mut Batch<'_>, execution: ExecutionId) -> Step<HashMap<TaskId, Vec<Cancelled>>> {
    let mut found = HashMap::<_, Vec<_>>::new();
    let mut rows = batch.sql.get(Query::TasksCancelled)?.query([execution.as_bytes()])?;
    while let Some(row) = rows.next()? {
        let child = (TaskId::from_bytes(row.get(0)?), row.get(2)?, Held::read(row, 3)?);
        found.entry(TaskId::from_bytes(row.get(1)?)).or_default().push(child);
    }
    Ok(found)
}

/// The children whose ends a task has in its history.
fn children_had(batch: &mut Batch<'_>, task: TaskRef) -> Step<HashSet<TaskId>> {
    let statement = batch.sql.get(Query::RecordChildren)?;
    let rows = statement.query_map([task.execution.as_bytes(), task.task.as_bytes()], |row| row.get(0))?;
    Ok(rows.map(|id| id.map(TaskId::from_bytes)).collect::<rusqlite::Result<_>>()?)
}

/// Carries out `DiscardLetter`.
pub(crate) fn discard(batch: &mut Batch<'_>, task: TaskRef) -> Step<Done> {
    let changed = batch.sql.get(Query::LetterDelete)?.execute([task.execution.as_bytes(), task.task.as_bytes()])?;
    if changed > 0 {
        batch.drop_cursors(task)?;
    }
    Ok(Done::Changed(changed > 0))
}

//! ReplayLetter and DiscardLetter: tasks that failed for good run again, or stay as they are.

use rusqlite::params;
use stent_core::TaskRef;
use stent_core::command::{Done, Refusal, ReplayLetter};
use stent_core::routing::rank;
use stent_core::state::TaskEvent;

use crate::batch::Batch;
use crate::error::Step;
use crate::query::Query;

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
    if !task.is_root() && batch.standing(root)?.is_some_and(|root| root.state.on(TaskEvent::Replay).is_ok()) {
        return Err(Refusal::ReplayRoot.into());
    }
    let route = match &replay.queue {
        None => row.route,
        Some(queue) => {
            let route = batch.routes.route(&mut batch.sql, row.route)?;
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
    batch.wakes.ready = true;
    Ok(Done::Replayed { run: row.run + 1 })
}

/// Carries out `DiscardLetter`.
pub(crate) fn discard(batch: &mut Batch<'_>, task: TaskRef) -> Step<Done> {
    let changed = batch.sql.get(Query::LetterDelete)?.execute([task.execution.as_bytes(), task.task.as_bytes()])?;
    Ok(Done::Changed(changed > 0))
}

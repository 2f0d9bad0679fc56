//! The operations over what is stored: cleaning up by age, putting a task away, baggage from outside a task. Cleaning is
//! bounded in what it looks at and in the rows it deletes, and waits for nobody: what is locked is passed over.

use stent_core::command::{BaggageChange, CleanExecutions, Done, Effect, Operation, PutAway, Refusal};
use stent_core::limits::{CLEAN_EXECUTIONS, CLEAN_ROWS, GONE_PROCESS, SWEEP_TASKS};
use stent_core::state::TaskEvent;
use stent_core::{ExecutionId, ExecutionState, TaskRef, Timestamp};
use uuid::Uuid;

use crate::batch::Batch;
use crate::error::Step;
use crate::query::{Blob, Column, Query};
use crate::rows::{self, uuid};
use crate::{claims, endings, memos, records, tree};

/// What belongs to executions beside their roots, in the order in which it goes: a history before whom it tells of.
const PARTS: [Query; 6] = [
    Query::CleanRecords,
    Query::CleanSignals,
    Query::CleanCursors,
    Query::CleanCounters,
    Query::CleanState,
    Query::CleanChildren,
];

/// Carries out an [`Operation`].
pub(crate) async fn operate(batch: &mut Batch<'_>, operation: &Operation) -> Step<Done> {
    match operation {
        Operation::CleanExecutions(clean) => clean_executions(batch, clean).await,
        Operation::CleanLetters(before) => clean_letters(batch, *before).await,
        Operation::ForgetProcesses => forget_processes(batch).await,
        Operation::PutAway(put) => put_away(batch, put).await,
        Operation::ChangeBaggage(execution, change) => change_baggage(batch, *execution, change).await,
        Operation::Promote(until) => claims::promote(batch, *until).await.map(|()| Done::Nothing),
        Operation::KeepResult(keep) => memos::keep_result(batch, keep).await,
    }
}

/// Carries out [`CleanExecutions`]. All that may go of what was looked at goes together, part by part.
async fn clean_executions(batch: &mut Batch<'_>, clean: &CleanExecutions) -> Step<Done> {
    let first = clean.from.map_or(Uuid::nil(), |id| uuid(id.as_bytes()));
    let last = uuid(ExecutionId::latest(clean.before.unix_ms()).as_bytes());
    let (before, limit) = (clean.before.as_micros(), i64::from(CLEAN_EXECUTIONS) + 1);
    let looked = batch.peek(Query::CleanLook, &[&first, &last, &before, &limit]).await?;
    let (mut may_go, mut next) = (Column::default(), None);
    for (place, row) in looked.iter().enumerate() {
        let id: Uuid = rows::get(row, 0)?;
        if place == CLEAN_EXECUTIONS as usize {
            next = Some(ExecutionId::from_bytes(*id.as_bytes()));
        } else if rows::get(row, 1)? {
            may_go.push(id);
        }
    }
    if may_go.0.is_empty() {
        return Ok(Done::Cleaned { count: 0, next });
    }
    let locked = ids(&batch.query(Query::CleanLock, &[&may_go]).await?)?;
    let gone = ids(&batch.query(Query::CleanCheck, &[&locked, &before]).await?)?;
    let Some(begin) = gone.0.first().copied() else { return Ok(Done::Cleaned { count: 0, next }) };
    let mut rows_left = i64::from(CLEAN_ROWS);
    for part in PARTS {
        let deleted = batch.execute(part, &[&gone, &rows_left]).await?;
        rows_left -= i64::try_from(deleted).unwrap_or(rows_left);
        if rows_left <= 0 {
            return Ok(Done::Cleaned { count: 0, next: Some(ExecutionId::from_bytes(*begin.as_bytes())) });
        }
    }
    batch.execute(Query::CleanRoot, &[&gone]).await?;
    let count = batch.execute(Query::CleanExecution, &[&gone]).await?;
    for id in &gone.0 {
        batch.forget_execution(ExecutionId::from_bytes(*id.as_bytes()));
    }
    Ok(Done::Cleaned { count: u32::try_from(count).unwrap_or(u32::MAX), next })
}

fn ids(rows: &[rows::Row]) -> Step<Column<Uuid>> {
    Ok(Column(rows.iter().map(|row| rows::get(row, 0)).collect::<Step<_>>()?))
}

async fn clean_letters(batch: &mut Batch<'_>, before: Timestamp) -> Step<Done> {
    let before = before.as_micros();
    if batch.peek(Query::LettersOlder, &[&before]).await?.is_empty() {
        return Ok(Done::Swept { count: 0, more: false });
    }
    let count = batch.execute(Query::LettersPrune, &[&before, &i64::from(SWEEP_TASKS)]).await?;
    // What another batch holds is passed over; that it is still there is no reason to come again at once.
    let more = count > 0 && batch.exists(Query::LettersOlder, &[&before]).await?;
    Ok(Done::Swept { count: u32::try_from(count).unwrap_or(u32::MAX), more })
}

async fn forget_processes(batch: &mut Batch<'_>) -> Step<Done> {
    let (span, limit) = (i64::try_from(GONE_PROCESS.as_micros()).unwrap_or(i64::MAX), i64::from(SWEEP_TASKS));
    let gone = ids(&batch.query(Query::SessionsForgotten, &[&span, &(limit + 1)]).await?)?;
    let more = gone.0.len() > SWEEP_TASKS as usize;
    let gone = Column(gone.0.into_iter().take(SWEEP_TASKS as usize).collect::<Vec<_>>());
    batch.execute(Query::SessionDelete, &[&gone]).await?;
    let (since, own) = (batch.now.as_micros() - span, batch.fence().map_or(Uuid::nil(), |fence| fence.instance));
    batch.execute(Query::CommittersPrune, &[&since, &own, &limit]).await?;
    Ok(Done::Swept { count: u32::try_from(gone.0.len()).unwrap_or(u32::MAX), more })
}

/// Carries out [`PutAway`].
async fn put_away(batch: &mut Batch<'_>, put: &PutAway) -> Step<Done> {
    let task = put.task;
    let row = endings::take(batch, task, TaskEvent::PutAway).await?;
    let parent = row.parent.filter(|_| !row.detached);
    let (ids, now) = ((uuid(task.execution.as_bytes()), uuid(task.task.as_bytes())), batch.now.as_micros());
    tree::stop(batch, tree::OpenTask::of(task, &row), TaskEvent::PutAway, parent.is_some()).await?;
    let failure = Blob(put.failure.to_payload().as_stored().clone());
    batch.execute(Query::TaskPutAway, &[&ids.0, &ids.1, &failure]).await?;
    batch.execute(Query::LetterInsert, &[&ids.0, &ids.1, &now]).await?;
    if task.is_root() {
        let failed = ExecutionState::Failed as i16;
        if batch.execute(Query::ExecutionEnd, &[&ids.0, &failed, &now]).await? > 0 {
            batch.wakes.ended.push(task.execution);
        }
        tree::stop_all(batch, task.execution, TaskEvent::Cancel).await?;
        tree::drop_waits(batch, &[task]).await?;
    } else {
        let ended = tree::cancel_below(batch, task).await?;
        tree::drop_waits(batch, &ended).await?;
    }
    if let Some(parent) = parent {
        tree::wake(batch, TaskRef { execution: task.execution, task: parent }).await?;
    }
    Ok(Done::Nothing)
}

async fn change_baggage(batch: &mut Batch<'_>, execution: ExecutionId, change: &BaggageChange) -> Step<Done> {
    // The lock is what it meets whoever deletes the execution at.
    if batch.lock(execution).await?.is_none() {
        return Err(Refusal::Unknown.into());
    }
    if let BaggageChange::AddCounter(name, amount) = change {
        return records::add_counter(batch, execution, name, *amount).await.map(Done::Counter);
    }
    records::carry_out(batch, execution, &Effect::from(change.clone())).await?;
    Ok(Done::Nothing)
}

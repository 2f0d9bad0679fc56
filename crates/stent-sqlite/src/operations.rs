//! The operations over what is stored: cleaning up by age, putting a task away, baggage from outside a task. Cleaning is
//! bounded in what it looks at and in the rows it deletes, since everybody else waits for it.

use rusqlite::params;
use stent_core::command::{BaggageChange, CleanExecutions, Done, Effect, Operation, PutAway, Refusal};
use stent_core::limits::{CLEAN_EXECUTIONS, CLEAN_ROWS, GONE_PROCESS, SWEEP_TASKS};
use stent_core::state::TaskEvent;
use stent_core::{ExecutionId, ExecutionState, SessionId, TaskId, TaskRef, Timestamp};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::Query;
use crate::{claims, memos, records, tree};

/// What belongs to an execution beside its root, in the order in which it goes: a history before whom it tells of.
const PARTS: [Query; 6] = [
    Query::CleanRecords,
    Query::CleanSignals,
    Query::CleanCursors,
    Query::CleanCounters,
    Query::CleanState,
    Query::CleanChildren,
];

/// Carries out an [`Operation`].
pub(crate) fn operate(batch: &mut Batch<'_>, operation: &Operation) -> Step<Done> {
    match operation {
        Operation::CleanExecutions(clean) => clean_executions(batch, clean),
        Operation::CleanLetters(before) => clean_letters(batch, *before),
        Operation::ForgetProcesses => forget_processes(batch),
        Operation::PutAway(put) => put_away(batch, put),
        Operation::ChangeBaggage(execution, change) => change_baggage(batch, *execution, change),
        Operation::Promote(until) => claims::promote(batch, *until).map(|()| Done::Nothing),
        Operation::KeepResult(keep) => memos::keep_result(batch, keep),
    }
}

/// Carries out [`CleanExecutions`].
fn clean_executions(batch: &mut Batch<'_>, clean: &CleanExecutions) -> Step<Done> {
    let first = clean.from.unwrap_or_else(|| ExecutionId::from_bytes([0; 16]));
    let last = ExecutionId::latest(clean.before.unix_ms());
    let limit = CLEAN_EXECUTIONS as usize;
    let mut looked = {
        let statement = batch.sql.get(Query::CleanLook)?;
        let range = params![first.as_bytes(), last.as_bytes(), clean.before.as_micros(), CLEAN_EXECUTIONS + 1];
        let rows = statement.query_map(range, |row| Ok((ExecutionId::from_bytes(row.get(0)?), row.get(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<(ExecutionId, bool)>>>()?
    };
    let next = looked.get(limit).map(|(id, _)| *id);
    looked.truncate(limit);
    let (mut count, mut rows_left) = (0, i64::from(CLEAN_ROWS));
    for (execution, _) in looked.into_iter().filter(|(_, may_go)| *may_go) {
        if !delete(batch, execution, &mut rows_left)? {
            return Ok(Done::Cleaned { count, next: Some(execution) });
        }
        count += 1;
    }
    Ok(Done::Cleaned { count, next })
}

/// Deletes an execution, or as much of it as may go at once; whether all of it is gone.
fn delete(batch: &mut Batch<'_>, execution: ExecutionId, rows_left: &mut i64) -> Step<bool> {
    for part in PARTS {
        if *rows_left <= 0 {
            return Ok(false);
        }
        let deleted = batch.sql.get(part)?.execute(params![execution.as_bytes(), *rows_left])?;
        *rows_left -= i64::try_from(deleted).unwrap_or(*rows_left);
    }
    if *rows_left <= 0 {
        return Ok(false);
    }
    batch.sql.get(Query::CleanRoot)?.execute([execution.as_bytes()])?;
    *rows_left -= 1;
    batch.sql.get(Query::CleanExecution)?.execute([execution.as_bytes()])?;
    Ok(true)
}

fn clean_letters(batch: &mut Batch<'_>, before: Timestamp) -> Step<Done> {
    let before = before.as_micros();
    let pruned = {
        let statement = batch.sql.get(Query::LettersPrune)?;
        let rows = statement.query_map(params![before, SWEEP_TASKS], |row| {
            Ok(TaskRef { execution: ExecutionId::from_bytes(row.get(0)?), task: TaskId::from_bytes(row.get(1)?) })
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()?
    };
    for task in &pruned {
        batch.drop_cursors(*task)?;
    }
    let more = batch.sql.get(Query::LettersOlder)?.query_row([before], |row| row.get(0))?;
    Ok(Done::Swept { count: u32::try_from(pruned.len()).unwrap_or(u32::MAX), more })
}

fn forget_processes(batch: &mut Batch<'_>) -> Step<Done> {
    let boot = batch.boot.clone();
    let since = boot.ms.saturating_sub(i64::try_from(GONE_PROCESS.as_millis()).unwrap_or(i64::MAX));
    let mut gone = {
        let statement = batch.sql.get(Query::SessionsForgotten)?;
        let rows = statement.query_map(params![since, &*boot.boot, SWEEP_TASKS + 1], |row| row.get(0))?;
        rows.map(|id| id.map(SessionId::from_bytes)).collect::<rusqlite::Result<Vec<_>>>()?
    };
    let more = gone.len() > SWEEP_TASKS as usize;
    gone.truncate(SWEEP_TASKS as usize);
    for session in &gone {
        batch.sql.get(Query::SessionDelete)?.execute([session.as_bytes()])?;
    }
    Ok(Done::Swept { count: u32::try_from(gone.len()).unwrap_or(u32::MAX), more })
}

/// Carries out [`PutAway`].
fn put_away(batch: &mut Batch<'_>, put: &PutAway) -> Step<Done> {
    let task = put.task;
    let Some(row) = batch.standing(task)? else { return Err(Refusal::Unknown.into()) };
    if let Err(refused) = row.state.on(TaskEvent::PutAway) {
        return Err(Refusal::Terminal(refused.state).into());
    }
    let parent = row.parent.filter(|_| !row.detached);
    let (ids, now) = ((task.execution.as_bytes(), task.task.as_bytes()), batch.now.as_micros());
    tree::stop(batch, tree::OpenTask::of(task, &row), TaskEvent::PutAway, parent.is_some())?;
    let failure = put.failure.to_payload();
    batch.sql.get(Query::TaskPutAway)?.execute(params![ids.0, ids.1, &failure.as_stored()[..]])?;
    batch.sql.get(Query::LetterInsert)?.execute(params![ids.0, ids.1, now])?;
    if task.is_root() {
        let failed = ExecutionState::Failed as u8;
        let changed = batch.sql.get(Query::ExecutionEnd)?.execute(params![ids.0, failed, now])?;
        if changed > 0 {
            batch.wakes.ended.push(task.execution);
        }
        tree::cancel_rest(batch, task.execution)?;
    } else {
        let ended = tree::cancel_below(batch, task)?;
        tree::drop_waits(batch, &ended)?;
    }
    if let Some(parent) = parent {
        tree::wake(batch, TaskRef { execution: task.execution, task: parent })?;
    }
    Ok(Done::Nothing)
}

fn change_baggage(batch: &mut Batch<'_>, execution: ExecutionId, change: &BaggageChange) -> Step<Done> {
    if !batch.sql.get(Query::ExecutionRead)?.exists([execution.as_bytes()])? {
        return Err(Refusal::Unknown.into());
    }
    if let BaggageChange::AddCounter(name, amount) = change {
        return records::add_counter(batch, execution, name, *amount).map(Done::Counter);
    }
    records::carry_out(batch, execution, &Effect::from(change.clone()))?;
    Ok(Done::Nothing)
}

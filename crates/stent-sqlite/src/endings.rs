//! Release, Finish and Cancel: how an attempt or a task ends, and who else ends or learns of it.

use rusqlite::params;
use stent_core::command::{Deliver, Done, Ending, Finish, Refusal, Release, StartChild};
use stent_core::routing::rank;
use stent_core::state::TaskEvent;
use stent_core::{
    CallKey, ExecutionId, ExecutionState, Failure, Lease, Memo, Payload, Record, RecordKind, TaskRef, TaskState,
    Timestamp, Verdict,
};

use crate::batch::Batch;
use crate::error::Step;
use crate::memos::Ended;
use crate::query::Query;
use crate::rows::{self, Standing};
use crate::tree::OpenTask;
use crate::{records, slots, starts, tree, waits};

/// Carries out [`Release`].
pub(crate) fn release(batch: &mut Batch<'_>, release: &Release) -> Step<Done> {
    let row = batch.leased(&release.lease)?;
    let task = release.lease.task;
    let due = (!release.delay.is_zero()).then(|| batch.now + release.delay);
    batch.sql.get(Query::TaskPend)?.execute(params![
        task.execution.as_bytes(),
        task.task.as_bytes(),
        due.is_none(),
        rank(true, row.priority),
        due.map(Timestamp::as_micros),
        row.losses,
        release.reason.as_ref().map(|reason| reason.to_payload().as_stored().to_vec())
    ])?;
    slots::let_go(batch, task, row.held)?;
    batch.wakes.ready = true;
    Ok(Done::Nothing)
}

/// How a task ended for good.
enum End<'a> {
    Completed(&'a Payload),
    Failed(Payload),
}

/// Carries out [`Finish`].
pub(crate) fn finish(batch: &mut Batch<'_>, finish: &Finish) -> Step<Done> {
    let lease = &finish.lease;
    let row = match &finish.start {
        Some(start) => started(batch, start, lease)?,
        None => batch.leased(lease)?,
    };
    let end = match &finish.ending {
        Ending::Retry(failure, delay) => {
            retry(batch, lease.task, &row, failure, *delay)?;
            return Ok(Done::Finished { delivered: None });
        }
        Ending::Completed(result) => End::Completed(result),
        Ending::Failed(failure) => End::Failed(failure.to_payload()),
    };
    if lease.task.is_root() {
        end_root(batch, lease.task.execution, matches!(end, End::Completed(_)))?;
    }
    let delivered = end_task(batch, lease.task, &row, &end, finish.deliver.as_ref(), row.losses)?;
    for signal in &finish.returned {
        let execution = lease.task.execution;
        let mut rows = batch.sql.get(Query::SignalReturn)?.query([execution.as_bytes(), signal.as_bytes()])?;
        let name = rows.next()?.map(|row| row.get::<_, String>(0)).transpose()?;
        drop(rows);
        if let Some(name) = name {
            crate::messages::wake_waiters(batch, execution, &name)?;
        }
    }
    Ok(Done::Finished { delivered: delivered.map(Box::new) })
}

/// The task that ends, after its start where its row is not there yet. Looks whether the end will be allowed before
/// it writes the start, so that a refusal changes nothing.
fn started(batch: &mut Batch<'_>, start: &StartChild, lease: &Lease) -> Step<Standing> {
    let child = starts::child(start);
    if batch.standing(child)?.is_none() {
        batch.leased(&start.parent)?;
        let allowed = child == lease.task
            && starts::is_in_place(start)
            && lease.session == start.parent.session
            && lease.epoch == 1;
        if !allowed {
            return Err(Refusal::LeaseLost.into());
        }
        starts::insert_child(batch, start)?;
    }
    batch.leased(lease)
}

fn retry(
    batch: &mut Batch<'_>,
    task: TaskRef,
    row: &Standing,
    failure: &Failure,
    delay: std::time::Duration,
) -> Step<()> {
    let due = (!delay.is_zero()).then(|| batch.now + delay);
    batch.sql.get(Query::TaskRetry)?.execute(params![
        task.execution.as_bytes(),
        task.task.as_bytes(),
        due.is_none(),
        rank(false, row.priority),
        due.map(Timestamp::as_micros),
        &failure.to_payload().as_stored()[..]
    ])?;
    slots::let_go(batch, task, row.held)?;
    batch.wakes.ready = true;
    tree::drop_waits(batch, &[task])
}

/// Ends the execution with its root, or refuses since its deadline has passed (and ends it so) or it has ended.
fn end_root(batch: &mut Batch<'_>, execution: ExecutionId, completed: bool) -> Step<()> {
    let state = if completed { ExecutionState::Completed } else { ExecutionState::Failed };
    let now = batch.now.as_micros();
    let changed = batch.sql.get(Query::ExecutionFinish)?.execute(params![execution.as_bytes(), state as u8, now])?;
    if changed > 0 {
        batch.wakes.ended.push(execution);
        return Ok(());
    }
    let standing = {
        let mut rows = batch.sql.get(Query::ExecutionRead)?.query([execution.as_bytes()])?;
        let Some(row) = rows.next()? else { return Err(Refusal::LeaseLost.into()) };
        (rows::execution_state(row, 0)?, row.get::<_, Option<i64>>(2)?.and_then(ExecutionState::stored))
    };
    let state = match standing {
        (state, _) if state.is_terminal() => state,
        (_, by_deadline) => {
            let state = by_deadline.unwrap_or(ExecutionState::TimedOut);
            tree::end_execution(batch, execution, state)?;
            state
        }
    };
    Err(Refusal::Terminal(state.as_task_state()).into())
}

/// Ends a running task for good: its row, what lies below it, its waits, its letter, and its parent's knowledge of it.
fn end_task(
    batch: &mut Batch<'_>,
    task: TaskRef,
    row: &Standing,
    end: &End<'_>,
    deliver: Option<&Deliver>,
    losses: u32,
) -> Step<Option<Record>> {
    let parent = row.parent.filter(|_| !row.detached).map(|parent| TaskRef { execution: task.execution, task: parent });
    let record = match (parent, deliver) {
        (Some(parent), Some(deliver)) => delivery(batch, task, parent, row, end, deliver)?,
        _ => None,
    };
    let tell = parent.is_some() && record.is_none();
    let (state, result, failure) = match end {
        End::Completed(result) => (TaskState::Completed, Some(&result.as_stored()[..]), None),
        End::Failed(failure) => (TaskState::Failed, None, Some(&failure.as_stored()[..])),
    };
    let now = batch.now.as_micros();
    let statement = batch.sql.get(Query::TaskFinish)?;
    statement.raw_bind_parameter(1, task.execution.as_bytes())?;
    statement.raw_bind_parameter(2, task.task.as_bytes())?;
    statement.raw_bind_parameter(3, state as u8)?;
    statement.raw_bind_parameter(4, now)?;
    statement.raw_bind_parameter(5, result)?;
    statement.raw_bind_parameter(6, failure)?;
    statement.raw_bind_parameter(7, tell)?;
    statement.raw_bind_parameter(8, losses)?;
    statement.raw_execute()?;
    if let Some(memo) = &row.memo {
        let result = if let End::Completed(result) = end { Some((*result).clone()) } else { None };
        batch.ended.push(Ended { task, memo: Memo::clone(memo), result });
    }
    slots::let_go(batch, task, row.held)?;
    if state == TaskState::Failed {
        let statement = batch.sql.get(Query::LetterInsert)?;
        statement.execute(params![task.execution.as_bytes(), task.task.as_bytes(), now])?;
    } else {
        // A failed task may be replayed, and a cancelled one with it; a completed one is done with its events.
        batch.drop_cursors(task)?;
    }
    if task.is_root() {
        tree::cancel_rest(batch, task.execution)?;
    } else {
        let ended = tree::cancel_below(batch, task)?;
        tree::drop_waits(batch, &ended)?;
    }
    if let Some(parent) = parent {
        match &record {
            // Its own row, written just now, says that it is delivered.
            Some(_) => waits::drop_wait_for(batch, parent, task.task)?,
            None => tree::wake(batch, parent)?,
        }
    }
    Ok(record)
}

/// A running task ends with the result of an equal call: as one that was never started, whose result is not its own.
pub(crate) fn hit(batch: &mut Batch<'_>, task: TaskRef, row: Standing, result: &Payload) -> Step<()> {
    if task.is_root() {
        end_root(batch, task.execution, true)?;
    }
    let row = Standing { memo: None, ..row };
    end_task(batch, task, &row, &End::Completed(result), None, row.losses)?;
    batch.sql.get(Query::TaskUnstart)?.execute([task.execution.as_bytes(), task.task.as_bytes()])?;
    Ok(())
}

/// Writes a child's end into its parent's history, if the parent's lease holds and the place is free.
fn delivery(
    batch: &mut Batch<'_>,
    task: TaskRef,
    parent: TaskRef,
    row: &Standing,
    end: &End<'_>,
    deliver: &Deliver,
) -> Step<Option<Record>> {
    let lease = &deliver.parent;
    let held = lease.task == parent
        && batch.is_open(lease.session)?
        && batch.standing(parent)?.is_some_and(|row| row.is_held_by(lease));
    if !held || records::is_taken(batch, lease, deliver.seq)? {
        return Ok(None);
    }
    let (verdict, payload) = match end {
        End::Completed(result) => (Verdict::Ok, (*result).clone()),
        End::Failed(failure) => (Verdict::Failed, failure.clone()),
    };
    let record = Record {
        seq: deliver.seq,
        key: row.key.clone().unwrap_or_else(|| CallKey::stored("")),
        kind: RecordKind::Child,
        run: deliver.run,
        seen: row.seen,
        digest: Some(row.digest),
        verdict,
        payload,
        source: Some(*task.task.as_bytes()),
        at: batch.now,
    };
    records::insert(batch, lease, &record)?;
    Ok(Some(record))
}

/// Fails a running task that its workers died under too often.
pub(crate) fn fail(batch: &mut Batch<'_>, task: TaskRef, failure: &Failure, losses: u32) -> Step<()> {
    let Some(row) = batch.standing(task)? else { return Ok(()) };
    if row.state.on(TaskEvent::Fail).is_err() {
        return Ok(());
    }
    if task.is_root() {
        let now = batch.now.as_micros();
        let execution = task.execution;
        let failed = ExecutionState::Failed as u8;
        let changed = batch.sql.get(Query::ExecutionEnd)?.execute(params![execution.as_bytes(), failed, now])?;
        if changed > 0 {
            batch.wakes.ended.push(execution);
        }
    }
    end_task(batch, task, &row, &End::Failed(failure.to_payload()), None, losses)?;
    Ok(())
}

/// Carries out `Cancel`.
pub(crate) fn cancel(batch: &mut Batch<'_>, task: TaskRef) -> Step<Done> {
    let Some(row) = batch.standing(task)? else { return Err(Refusal::Unknown.into()) };
    if let Err(refused) = row.state.on(TaskEvent::Cancel) {
        return Err(Refusal::Terminal(refused.state).into());
    }
    if task.is_root() {
        tree::end_execution(batch, task.execution, ExecutionState::Cancelled)?;
        return Ok(Done::Nothing);
    }
    let parent = row.parent.filter(|_| !row.detached);
    tree::stop(batch, OpenTask::of(task, &row), TaskEvent::Cancel, parent.is_some())?;
    let ended = tree::cancel_below(batch, task)?;
    tree::drop_waits(batch, &ended)?;
    if let Some(parent) = parent {
        tree::wake(batch, TaskRef { execution: task.execution, task: parent })?;
    }
    Ok(Done::Nothing)
}

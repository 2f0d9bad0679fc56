//! Release, Finish and Cancel: how an attempt or a task ends, and who else ends or learns of it.

use std::sync::Arc;

use stent_core::command::{Deliver, Done, Ending, Finish, Refusal, Release, StartChild};
use stent_core::routing::rank;
use stent_core::state::TaskEvent;
use stent_core::{
    CallKey, ExecutionId, ExecutionState, Failure, Lease, Payload, Record, RecordKind, TaskRef, TaskState, Timestamp,
    Verdict,
};

use crate::batch::Batch;
use crate::error::{Step, Stop};
use crate::memos::Ended;
use crate::query::{Blob, Query};
use crate::rows::{self, Standing, stored_small, uuid};
use crate::tree::OpenTask;
use crate::writes::TaskEnd;
use crate::{records, slots, starts, tree, waits};

/// Carries out [`Release`].
pub(crate) async fn release(batch: &mut Batch<'_>, release: &Release) -> Step<Done> {
    let row = batch.leased(&release.lease).await?;
    let due = (!release.delay.is_zero()).then(|| batch.now + release.delay);
    let reason = release.reason.as_ref().map(|reason| Blob(reason.to_payload().as_stored().clone()));
    pend(batch, release.lease.task, &row, due, row.losses, reason).await?;
    Ok(Done::Nothing)
}

/// A running task becomes pending again with what it has done and the rank of a resuming one: ready at once, or when it
/// is due.
pub(crate) async fn pend(
    batch: &mut Batch<'_>,
    task: TaskRef,
    row: &Standing,
    due: Option<Timestamp>,
    losses: u32,
    reason: Option<Blob>,
) -> Step<()> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    let (rank, due) = (rank(true, row.priority), due.map(Timestamp::as_micros));
    slots::let_go(batch, task, row.held).await?;
    batch.execute(Query::TaskPend, &[&ids.0, &ids.1, &rank, &due, &stored_small(losses), &reason]).await?;
    batch.changed(task);
    batch.wakes.ready = true;
    Ok(())
}

/// How a task ended for good.
enum End<'a> {
    Completed(&'a Payload),
    Failed(Payload),
}

/// Carries out [`Finish`].
pub(crate) async fn finish(batch: &mut Batch<'_>, finish: &Finish) -> Step<Done> {
    let lease = &finish.lease;
    let row = match &finish.start {
        Some(start) => started(batch, start, lease).await?,
        None => batch.leased(lease).await?,
    };
    // What reaches beyond the task itself, its signals and its children, begins with the execution.
    if !row.waitless || !finish.returned.is_empty() || (lease.task.is_root() && !row.childless) {
        batch.lock(lease.task.execution).await?;
    }
    let end = match &finish.ending {
        Ending::Retry(failure, delay) => {
            retry(batch, lease.task, &row, failure, *delay).await?;
            return Ok(Done::Finished { delivered: None });
        }
        Ending::Completed(result) => End::Completed(result),
        Ending::Failed(failure) => End::Failed(failure.to_payload()),
    };
    if lease.task.is_root() {
        end_root(batch, lease.task.execution, matches!(end, End::Completed(_))).await?;
    }
    let delivered = end_task(batch, lease.task, &row, &end, finish.deliver.as_ref(), row.losses).await?;
    let execution = lease.task.execution;
    for signal in &finish.returned {
        let ids = (uuid(execution.as_bytes()), uuid(signal.as_bytes()));
        if let Some(row) = batch.row(Query::SignalReturn, &[&ids.0, &ids.1]).await? {
            crate::messages::wake_waiters(batch, execution, rows::get(&row, 0)?).await?;
        }
    }
    Ok(Done::Finished { delivered: delivered.map(Box::new) })
}

/// The task that ends, after its start where its row is not there yet. Looks whether the end will be allowed before
/// it writes the start, so that a refusal changes nothing.
async fn started(batch: &mut Batch<'_>, start: &StartChild, lease: &Lease) -> Step<Standing> {
    let child = starts::child(start);
    if starts::there_already(batch, child).await?.is_none() {
        match may_bring_its_start(batch, start, lease).await {
            Ok(()) => drop(starts::insert_child(batch, start).await?),
            // A trusting batch has not looked whether the row is there. If it is, the start does not matter.
            Err(Stop::Refused(refusal)) => {
                if batch.is_careful() || batch.standing(child).await?.is_none() {
                    return Err(refusal.into());
                }
            }
            Err(stop) => return Err(stop),
        }
    }
    batch.leased(lease).await
}

async fn may_bring_its_start(batch: &mut Batch<'_>, start: &StartChild, lease: &Lease) -> Step<()> {
    batch.leased(&start.parent).await?;
    let own = starts::child(start) == lease.task && starts::is_in_place(start);
    let allowed = own && lease.session == start.parent.session && lease.epoch == 1;
    if allowed { Ok(()) } else { Err(Refusal::LeaseLost.into()) }
}

async fn retry(
    batch: &mut Batch<'_>,
    task: TaskRef,
    row: &Standing,
    failure: &Failure,
    delay: std::time::Duration,
) -> Step<()> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    let due = (!delay.is_zero()).then(|| (batch.now + delay).as_micros());
    let failure = Blob(failure.to_payload().as_stored().clone());
    slots::let_go(batch, task, row.held).await?;
    batch.execute(Query::TaskRetry, &[&ids.0, &ids.1, &rank(false, row.priority), &due, &failure]).await?;
    batch.changed(task);
    batch.wakes.ready = true;
    if row.waitless { Ok(()) } else { tree::drop_waits(batch, &[task]).await }
}

/// Ends the execution with its root, or refuses since its deadline has passed (and ends it so) or it has ended. A
/// trusting batch takes neither to be so; its statement fails if one is.
async fn end_root(batch: &mut Batch<'_>, execution: ExecutionId, completed: bool) -> Step<()> {
    if batch.is_careful() {
        let Some(standing) = batch.lock(execution).await? else { return Err(Refusal::LeaseLost.into()) };
        if standing.state.is_terminal() {
            return Err(Refusal::Terminal(standing.state.as_task_state()).into());
        }
        if standing.overdue_at.is_some_and(|at| at <= batch.now) || standing.state as i16 >= 2 {
            let state = standing.deadline_state.unwrap_or(ExecutionState::TimedOut);
            tree::end_execution(batch, execution, state).await?;
            return Err(Refusal::Terminal(state.as_task_state()).into());
        }
    }
    let state = if completed { ExecutionState::Completed } else { ExecutionState::Failed };
    batch.writes.finish(execution.as_bytes(), state as i16);
    batch.wakes.ended.push(execution);
    Ok(())
}

/// Ends a running task for good: its row, what lies below it, its waits, its letter, and its parent's knowledge of it.
async fn end_task(
    batch: &mut Batch<'_>,
    task: TaskRef,
    row: &Standing,
    end: &End<'_>,
    deliver: Option<&Deliver>,
    losses: u32,
) -> Step<Option<Record>> {
    let parent = row.parent.filter(|_| !row.detached).map(|parent| TaskRef { execution: task.execution, task: parent });
    let record = match (parent, deliver) {
        (Some(parent), Some(deliver)) => delivery(batch, task, parent, row, end, deliver).await?,
        _ => None,
    };
    let tell = parent.is_some() && record.is_none();
    let (state, result, failure) = match end {
        End::Completed(result) => (TaskState::Completed, Some(*result), None),
        End::Failed(failure) => (TaskState::Failed, None, Some(failure)),
    };
    batch.writes.end(&TaskEnd { task, state, losses, result, failure, undelivered: tell });
    batch.changed(task);
    if let Some(memo) = &row.memo {
        batch.ended.push(Ended { task, memo: Arc::clone(memo), result: result.cloned() });
    }
    slots::let_go(batch, task, row.held).await?;
    if state == TaskState::Failed {
        let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
        batch.execute(Query::LetterInsert, &[&ids.0, &ids.1, &batch.now.as_micros()]).await?;
    }
    if row.childless {
        if !row.waitless {
            tree::drop_waits(batch, &[task]).await?;
        }
    } else if task.is_root() {
        tree::stop_all(batch, task.execution, TaskEvent::Cancel).await?;
        tree::drop_waits(batch, &[task]).await?;
    } else {
        let ended = tree::cancel_below(batch, task).await?;
        tree::drop_waits(batch, &ended).await?;
    }
    if let Some(parent) = parent {
        match &record {
            // Nothing was left to be told.
            Some(_) => waits::forget_child_wait(batch, parent, task.task).await?,
            None => tree::wake(batch, parent).await?,
        }
    }
    Ok(record)
}

/// A running task ends with the result of an equal call: as one that was never started, whose result is not its own.
pub(crate) async fn hit(batch: &mut Batch<'_>, task: TaskRef, row: Standing, result: &Payload) -> Step<()> {
    if !row.waitless || (task.is_root() && !row.childless) {
        batch.lock(task.execution).await?;
    }
    if task.is_root() {
        end_root(batch, task.execution, true).await?;
    }
    let row = Standing { memo: None, ..row };
    end_task(batch, task, &row, &End::Completed(result), None, row.losses).await?;
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    batch.execute(Query::TaskUnstart, &[&ids.0, &ids.1]).await?;
    Ok(())
}

/// Writes a child's end into its parent's history, if the parent's lease holds and the place is free.
async fn delivery(
    batch: &mut Batch<'_>,
    task: TaskRef,
    parent: TaskRef,
    row: &Standing,
    end: &End<'_>,
    deliver: &Deliver,
) -> Step<Option<Record>> {
    let lease = &deliver.parent;
    let held = lease.task == parent
        && batch.is_open(lease.session).await?
        && batch.standing(parent).await?.is_some_and(|row| row.is_held_by(lease));
    if !held || (batch.is_careful() && records::is_taken(batch, lease, deliver.seq).await?) {
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
    batch.writes.record(lease.task, lease.epoch, &record);
    Ok(Some(record))
}

/// Fails a running task that its workers died under too often.
pub(crate) async fn fail(batch: &mut Batch<'_>, task: TaskRef, failure: &Failure, losses: u32) -> Step<()> {
    batch.lock(task.execution).await?;
    let Some(row) = batch.standing(task).await? else { return Ok(()) };
    if row.state.on(TaskEvent::Fail).is_err() {
        return Ok(());
    }
    if task.is_root() {
        let (now, failed) = (batch.now.as_micros(), ExecutionState::Failed as i16);
        let execution = task.execution;
        let changed = batch.execute(Query::ExecutionEnd, &[&uuid(execution.as_bytes()), &failed, &now]).await?;
        if changed > 0 {
            batch.wakes.ended.push(execution);
        }
    }
    end_task(batch, task, &row, &End::Failed(failure.to_payload()), None, losses).await?;
    Ok(())
}

/// Takes a task that has not ended from whoever owns it, to be ended by others: its owner's committers are bumped, its
/// execution and itself locked. Of a root all tasks of the execution are taken.
pub(crate) async fn take(batch: &mut Batch<'_>, task: TaskRef, event: TaskEvent) -> Step<Standing> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    // Looked at without a lock: its owner's batch under way may be about to change it, and is waited for first.
    let Some(seen) = batch.row(Query::TaskOwner, &[&ids.0, &ids.1]).await? else {
        return Err(Refusal::Unknown.into());
    };
    if let Some(session) = rows::maybe_uuid(&seen, 0)? {
        batch.take_from(stent_core::SessionId::from_bytes(*session.as_bytes()), task).await?;
    }
    if task.is_root() {
        tree::take_all(batch, task.execution).await?;
    }
    batch.lock(task.execution).await?;
    batch.changed(task);
    let Some(row) = batch.standing(task).await? else { return Err(Refusal::Unknown.into()) };
    if let Err(refused) = row.state.on(event) {
        return Err(Refusal::Terminal(refused.state).into());
    }
    // It may have been claimed since it was looked at.
    if let Some(session) = row.session {
        batch.take_from(session, task).await?;
    }
    Ok(row)
}

/// Carries out `Cancel`.
pub(crate) async fn cancel(batch: &mut Batch<'_>, task: TaskRef) -> Step<Done> {
    let row = take(batch, task, TaskEvent::Cancel).await?;
    if task.is_root() {
        tree::end_execution(batch, task.execution, ExecutionState::Cancelled).await?;
        return Ok(Done::Nothing);
    }
    let parent = row.parent.filter(|_| !row.detached);
    tree::stop(batch, OpenTask::of(task, &row), TaskEvent::Cancel, parent.is_some()).await?;
    let ended = tree::cancel_below(batch, task).await?;
    tree::drop_waits(batch, &ended).await?;
    if let Some(parent) = parent {
        tree::wake(batch, TaskRef { execution: task.execution, task: parent }).await?;
    }
    Ok(Done::Nothing)
}

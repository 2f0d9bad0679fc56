//! Sessions: opening, beating, naming a suspect, publishing, closing, and taking over what a dead one owned.

use rusqlite::params;
use stent_core::command::{Done, OpenSession, Refusal};
use stent_core::limits::{LOSSES, SWEEP_TASKS};
use stent_core::routing::rank;
use stent_core::state::TaskEvent;
use stent_core::view::FunctionView;
use stent_core::{ExecutionId, Failure, FailureKind, MaxConcurrent, Name, SessionId, TaskId, TaskRef, TaskState};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::Query;
use crate::rows::Standing;
use crate::{endings, rows, slots};

/// What a session's row says.
pub(crate) struct SessionRow {
    pub(crate) is_open: bool,
    pub(crate) suspect: Option<TaskRef>,
}

/// A session's row, if there is one.
pub(crate) fn read(batch: &mut Batch<'_>, session: SessionId) -> Step<Option<SessionRow>> {
    let mut rows = batch.sql.get(Query::SessionRead)?.query([session.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let suspect = match (row.get::<_, Option<[u8; 16]>>(1)?, row.get::<_, Option<[u8; 16]>>(2)?) {
        (Some(execution), Some(task)) => {
            Some(TaskRef { execution: ExecutionId::from_bytes(execution), task: TaskId::from_bytes(task) })
        }
        _ => None,
    };
    Ok(Some(SessionRow { is_open: row.get::<_, i64>(0)? == 1, suspect }))
}

/// Carries out [`OpenSession`].
pub(crate) fn open(batch: &mut Batch<'_>, open: &OpenSession) -> Step<Done> {
    let changed = batch.sql.get(Query::SessionInsert)?.execute(params![
        open.session.as_bytes(),
        open.worker_id,
        open.host,
        open.pid,
        batch.boot.ms,
        &*batch.boot.boot
    ])?;
    if changed == 0 {
        return Err(Refusal::Exists.into());
    }
    batch.set_open(open.session, true);
    Ok(Done::Nothing)
}

/// Carries out `Beat`.
pub(crate) fn beat(batch: &mut Batch<'_>, session: SessionId) -> Step<Done> {
    let boot = batch.boot.clone();
    let changed = batch.sql.get(Query::SessionBeat)?.execute(params![session.as_bytes(), boot.ms, &*boot.boot])?;
    if changed == 0 { Err(Refusal::SessionGone.into()) } else { Ok(Done::Nothing) }
}

/// Carries out `NameSuspect`.
pub(crate) fn name_suspect(batch: &mut Batch<'_>, session: SessionId, suspect: Option<TaskRef>) -> Step<Done> {
    let changed = batch.sql.get(Query::SessionSuspect)?.execute(params![
        session.as_bytes(),
        suspect.as_ref().map(|task| task.execution.as_bytes()),
        suspect.as_ref().map(|task| task.task.as_bytes())
    ])?;
    if changed == 0 { Err(Refusal::SessionGone.into()) } else { Ok(Done::Nothing) }
}

/// Carries out `CloseSession`.
pub(crate) fn close(batch: &mut Batch<'_>, session: SessionId) -> Step<Done> {
    if !batch.is_open(session)? {
        return Ok(Done::Nothing);
    }
    shut(batch, session)?;
    for task in owned(batch, session, i64::MAX)? {
        let Some(row) = batch.standing(task)? else { continue };
        take_away(batch, task, &row, row.losses)?;
    }
    Ok(Done::Nothing)
}

fn shut(batch: &mut Batch<'_>, session: SessionId) -> Step<()> {
    batch.sql.get(Query::SessionClose)?.execute([session.as_bytes()])?;
    let limited = unpublish(batch, session)?;
    slots::settle(batch, &limited)?;
    batch.set_open(session, false);
    Ok(())
}

/// Forgets what a session published. Answers of which functions it had a limit.
fn unpublish(batch: &mut Batch<'_>, session: SessionId) -> Step<Vec<Name>> {
    let mut limited = Vec::new();
    let mut rows = batch.sql.get(Query::FunctionDelete)?.query([session.as_bytes()])?;
    while let Some(row) = rows.next()? {
        if row.get(1)? {
            limited.push(Name::stored(&row.get::<_, String>(0)?));
        }
    }
    Ok(limited)
}

/// What names the session as its owner, ended tasks included, in order of id.
fn owned(batch: &mut Batch<'_>, session: SessionId, limit: i64) -> Step<Vec<TaskRef>> {
    let rows = batch.sql.get(Query::SessionTasks)?.query_map(params![session.as_bytes(), limit], |row| {
        Ok(TaskRef { execution: ExecutionId::from_bytes(row.get(0)?), task: TaskId::from_bytes(row.get(1)?) })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A running task becomes ready with the rank of a resuming one; one that others have ended is owned no more.
fn take_away(batch: &mut Batch<'_>, task: TaskRef, row: &Standing, losses: u32) -> Step<()> {
    if row.state.on(TaskEvent::Release).is_err() {
        return disown(batch, task, row);
    }
    let none = None::<i64>;
    batch.sql.get(Query::TaskPend)?.execute(params![
        task.execution.as_bytes(),
        task.task.as_bytes(),
        true,
        rank(true, row.priority),
        none,
        losses,
        none
    ])?;
    batch.wakes.ready = true;
    slots::let_go(batch, task, row.held)
}

/// Nobody is behind a task any more that others have ended.
pub(crate) fn disown(batch: &mut Batch<'_>, task: TaskRef, row: &Standing) -> Step<()> {
    batch.sql.get(Query::TaskDisown)?.execute([task.execution.as_bytes(), task.task.as_bytes()])?;
    slots::let_go(batch, task, row.held)
}

/// Carries out `TakeOver`.
pub(crate) fn take_over(batch: &mut Batch<'_>, session: SessionId) -> Step<Done> {
    let Some(SessionRow { suspect, .. }) = read(batch, session)? else {
        return Ok(Done::Swept { count: 0, more: false });
    };
    shut(batch, session)?;
    let mut tasks = owned(batch, session, i64::from(SWEEP_TASKS) + 1)?;
    let more = tasks.len() > SWEEP_TASKS as usize;
    tasks.truncate(SWEEP_TASKS as usize);
    let left = if more { 2 } else { 0 };
    batch.sql.get(Query::SessionEmptied)?.execute(params![session.as_bytes(), left])?;
    let mut count = 0;
    for task in tasks {
        // Looked up anew: the end of one lost task may have ended the next.
        let Some(row) = batch.standing(task)? else { continue };
        let runs = row.state == TaskState::Running;
        count += u32::from(runs);
        let charged = runs && suspect.is_none_or(|suspect| suspect == task);
        let losses = match charged {
            true if wrote_a_record(batch, task, row.epoch)? => 1,
            true => row.losses + 1,
            false => row.losses,
        };
        if charged && losses >= LOSSES {
            let words = format!("its workers died under it {losses} times in a row");
            endings::fail(batch, task, &Failure::new(FailureKind::Lost, words), losses)?;
        } else {
            take_away(batch, task, &row, losses)?;
        }
    }
    Ok(Done::Swept { count, more })
}

/// Whether a task wrote a record under its present epoch.
fn wrote_a_record(batch: &mut Batch<'_>, task: TaskRef, epoch: u64) -> Step<bool> {
    let statement = batch.sql.get(Query::RecordOfEpoch)?;
    Ok(statement.exists(params![task.execution.as_bytes(), task.task.as_bytes(), rows::stored(epoch)])?)
}

/// Carries out `Publish`.
pub(crate) fn publish(batch: &mut Batch<'_>, session: SessionId, functions: &[FunctionView]) -> Step<Done> {
    if !batch.is_open(session)? {
        return Err(Refusal::SessionGone.into());
    }
    let mut limited = unpublish(batch, session)?;
    for function in functions {
        let (options, limit) = (function.options.to_string(), function.max_concurrent);
        let statement = batch.sql.get(Query::FunctionInsert)?;
        let number = limit.map(MaxConcurrent::get);
        statement.execute(params![session.as_bytes(), function.name.as_str(), options, number])?;
        if let Some(limit) = limit {
            slots::make(batch, &function.name, limit)?;
            limited.push(function.name.clone());
        }
    }
    slots::settle(batch, &limited)?;
    Ok(Done::Nothing)
}

//! Sessions: opening, beating, naming a suspect, publishing, closing, and taking over what a dead one owned.

use stent_core::command::{Done, OpenSession, Refusal};
use stent_core::limits::{LOSSES, SWEEP_TASKS};
use stent_core::routing::rank;
use stent_core::state::TaskEvent;
use stent_core::view::FunctionView;
use stent_core::{ExecutionId, Failure, FailureKind, SessionId, TaskId, TaskRef, TaskState};
use uuid::Uuid;

use crate::batch::Batch;
use crate::endings;
use crate::error::Step;
use crate::query::{Column, Query};
use crate::rows::{self, Standing, uuid};

/// Carries out [`OpenSession`].
pub(crate) async fn open(batch: &mut Batch<'_>, open: &OpenSession) -> Step<Done> {
    let (instance, lanes) = batch.fence().map_or((Uuid::nil(), 0), |fence| (fence.instance, fence.lanes));
    let lanes = i32::try_from(lanes).unwrap_or(i32::MAX);
    let (id, pid) = (uuid(open.session.as_bytes()), i64::from(open.pid));
    let presence = batch.presence_key(open.session);
    // A NUL is the one character that the server does not take.
    let (worker, host) = (open.worker_id.replace('\0', ""), open.host.replace('\0', ""));
    let params: [&dyn crate::query::Param; 7] = [&id, &instance, &presence, &pid, &worker, &host, &lanes];
    if batch.execute(Query::SessionInsert, &params).await? == 0 {
        return Err(Refusal::Exists.into());
    }
    batch.set_open(open.session, true, true);
    Ok(Done::Nothing)
}

/// Carries out `Beat`.
pub(crate) async fn beat(batch: &mut Batch<'_>, session: SessionId) -> Step<Done> {
    let (id, presence) = (uuid(session.as_bytes()), batch.presence_key(session));
    let (alone, among_others) = (Query::SessionBeatAlone, Query::SessionBeat);
    let changed = batch.alone_or(alone, among_others, &[&id, &presence]).await?;
    if changed == 0 { Err(Refusal::SessionGone.into()) } else { Ok(Done::Nothing) }
}

/// Carries out `NameSuspect`.
pub(crate) async fn name_suspect(batch: &mut Batch<'_>, session: SessionId, suspect: Option<TaskRef>) -> Step<Done> {
    let execution = suspect.map(|task| uuid(task.execution.as_bytes()));
    let task = suspect.map(|task| uuid(task.task.as_bytes()));
    let changed = batch.execute(Query::SessionSuspect, &[&uuid(session.as_bytes()), &execution, &task]).await?;
    if changed == 0 { Err(Refusal::SessionGone.into()) } else { Ok(Done::Nothing) }
}

/// Carries out `CloseSession`.
pub(crate) async fn close(batch: &mut Batch<'_>, session: SessionId) -> Step<Done> {
    if !batch.is_open(session).await? {
        return Ok(Done::Nothing);
    }
    shut(batch, session).await?;
    let owned = owned(batch, session, i64::MAX).await?;
    batch.read_all(&owned).await?;
    for task in owned {
        let Some(row) = batch.standing(task).await? else { continue };
        take_away(batch, task, &row, row.losses).await?;
    }
    Ok(Done::Nothing)
}

/// Closes a session, behind its own committers: whatever they had under way is there, and nothing more will come.
async fn shut(batch: &mut Batch<'_>, session: SessionId) -> Step<()> {
    batch.bump(session).await?;
    batch.memory.let_go_all(session);
    batch.overtakes = true;
    batch.execute(Query::SessionClose, &[&uuid(session.as_bytes())]).await?;
    batch.execute(Query::FunctionDelete, &[&uuid(session.as_bytes())]).await?;
    let ours = batch.memory.session(session).is_some();
    batch.set_open(session, false, ours);
    Ok(())
}

/// What names the session as its owner, ended tasks included, in order of id.
async fn owned(batch: &mut Batch<'_>, session: SessionId, limit: i64) -> Step<Vec<TaskRef>> {
    let rows = batch.query(Query::SessionTasks, &[&uuid(session.as_bytes()), &limit]).await?;
    rows.iter().map(|row| rows::task_ref(row, 0)).collect()
}

/// A running task becomes ready with the rank of a resuming one; one that others have ended is owned no more.
async fn take_away(batch: &mut Batch<'_>, task: TaskRef, row: &Standing, losses: u32) -> Step<()> {
    if row.state.on(TaskEvent::Release).is_err() {
        let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
        batch.execute(Query::TaskDisown, &[&ids.0, &ids.1]).await?;
        batch.changed(task);
        return Ok(());
    }
    endings::pend(batch, task, rank(true, row.priority), None, losses, None).await
}

/// Carries out `TakeOver`.
pub(crate) async fn take_over(batch: &mut Batch<'_>, session: SessionId) -> Step<Done> {
    let id = uuid(session.as_bytes());
    // Before the session is locked: a beat has its committer's row first and comes to the session then.
    batch.bump(session).await?;
    let Some(row) = batch.row(Query::SessionRead, &[&id]).await? else {
        return Ok(Done::Swept { count: 0, more: false });
    };
    let suspect = match (rows::maybe_uuid(&row, 1)?, rows::maybe_uuid(&row, 2)?) {
        (Some(execution), Some(task)) => Some(TaskRef {
            execution: ExecutionId::from_bytes(*execution.as_bytes()),
            task: TaskId::from_bytes(*task.as_bytes()),
        }),
        _ => None,
    };
    shut(batch, session).await?;
    let mut tasks = owned(batch, session, i64::from(SWEEP_TASKS) + 1).await?;
    let more = tasks.len() > SWEEP_TASKS as usize;
    tasks.truncate(SWEEP_TASKS as usize);
    let left: i16 = if more { 2 } else { 0 };
    batch.execute(Query::SessionEmptied, &[&id, &left]).await?;
    batch.read_all(&tasks).await?;
    let recorded = wrote_records(batch, &tasks).await?;
    let mut count = 0;
    for task in tasks {
        // Looked up anew: the end of one lost task may have ended the next.
        let Some(row) = batch.standing(task).await? else { continue };
        let runs = row.state == TaskState::Running;
        count += u32::from(runs);
        let charged = runs && suspect.is_none_or(|suspect| suspect == task);
        let losses = match charged {
            true if recorded.contains(&task) => 1,
            true => row.losses + 1,
            false => row.losses,
        };
        if charged && losses >= LOSSES {
            let words = format!("its workers died under it {losses} times in a row");
            endings::fail(batch, task, &Failure::new(FailureKind::Lost, words), losses).await?;
        } else {
            take_away(batch, task, &row, losses).await?;
        }
    }
    Ok(Done::Swept { count, more })
}

/// Those of the tasks that wrote a record under their present epoch.
async fn wrote_records(batch: &mut Batch<'_>, tasks: &[TaskRef]) -> Step<Vec<TaskRef>> {
    let executions = Column(tasks.iter().map(|task| uuid(task.execution.as_bytes())).collect());
    let ids = Column(tasks.iter().map(|task| uuid(task.task.as_bytes())).collect());
    let rows = batch.query(Query::RecordsOfEpoch, &[&executions, &ids]).await?;
    rows.iter().map(|row| rows::task_ref(row, 0)).collect()
}

/// Carries out `Publish`.
pub(crate) async fn publish(batch: &mut Batch<'_>, session: SessionId, functions: &[FunctionView]) -> Step<Done> {
    if !batch.is_open(session).await? {
        return Err(Refusal::SessionGone.into());
    }
    let id = uuid(session.as_bytes());
    batch.execute(Query::FunctionDelete, &[&id]).await?;
    for function in functions {
        let options = function.options.to_string();
        batch.execute(Query::FunctionInsert, &[&id, &function.name.as_str(), &options]).await?;
    }
    Ok(Done::Nothing)
}

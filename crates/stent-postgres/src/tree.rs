//! What one task's change means for others: waking whoever waits, ending what lies below, ending whole executions.
//! Ending a task that somebody owns begins with bumping its owner's committers.

use std::sync::Arc;

use stent_core::routing::rank;
use stent_core::state::TaskEvent;
use stent_core::{CallKey, ExecutionId, ExecutionState, Memo, RecordKind, SessionId, TaskId, TaskRef, TaskState};

use crate::batch::Batch;
use crate::error::Step;
use crate::memos::Ended;
use crate::query::Query;
use crate::rows::{self, Held, Row, Standing, uuid};
use crate::slots;

/// Wakes a task, as the head of `stent_core::command` says.
pub(crate) async fn wake(batch: &mut Batch<'_>, task: TaskRef) -> Step<()> {
    let Some(row) = batch.standing(task).await? else { return Ok(()) };
    if row.state.on(TaskEvent::Wake).is_err() {
        return Ok(());
    }
    match row.state {
        TaskState::Suspended => {
            let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
            batch.execute(Query::TaskPromote, &[&ids.0, &ids.1, &rank(true, row.priority)]).await?;
            batch.changed(task);
            batch.wakes.ready = true;
        }
        TaskState::Running => {
            // Marked once a batch, not once a child.
            if batch.marked.insert(task) {
                mark_woken(batch, task, true).await?;
            }
            if let Some(session) = row.session {
                batch.wakes.woken.push((session, task));
            }
        }
        // Pending: ready already, or delayed by a wait of its own, which stands.
        _ => {}
    }
    Ok(())
}

/// Sets or clears the mark of a running task.
pub(crate) async fn mark_woken(batch: &mut Batch<'_>, task: TaskRef, woken: bool) -> Step<()> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    batch.execute(Query::TaskMarkWoken, &[&ids.0, &ids.1, &woken]).await?;
    batch.forget_row(task);
    if !woken {
        batch.marked.remove(&task);
    }
    Ok(())
}

/// Forgets all waits of tasks that ended or begin anew. After their states are settled, so that the lines they leave
/// wake none of them.
pub(crate) async fn drop_waits(batch: &mut Batch<'_>, tasks: &[TaskRef]) -> Step<()> {
    for task in tasks {
        let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
        let rows = batch.query(Query::WaitDeleteAll, &[&ids.0, &ids.1]).await?;
        lines_moved(batch, task.execution, &rows).await?;
    }
    Ok(())
}

/// Forgets a wait that nothing came for.
pub(crate) async fn drop_wait(batch: &mut Batch<'_>, task: TaskRef, key: &CallKey) -> Step<()> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    let rows = batch.query(Query::WaitDelete, &[&ids.0, &ids.1, &key.as_str()]).await?;
    lines_moved(batch, task.execution, &rows).await
}

/// Waits have left the lines of the signals they stood in: those behind them moved up, and a signal may be there for
/// them now.
async fn lines_moved(batch: &mut Batch<'_>, execution: ExecutionId, deleted: &[Row]) -> Step<()> {
    for row in deleted {
        if rows::get::<i16>(row, 0)? != RecordKind::Signal as i16 {
            continue;
        }
        let name = rows::get::<Option<&str>>(row, 1)?.unwrap_or_default();
        if batch.exists(Query::SignalNth, &[&uuid(execution.as_bytes()), &name, &0_i64]).await? {
            crate::messages::wake_waiters(batch, execution, name).await?;
        }
    }
    Ok(())
}

/// What the end of a task that has not ended goes by.
pub(crate) struct OpenTask {
    task: TaskRef,
    state: TaskState,
    session: Option<SessionId>,
    held: Held,
    memo: Option<Arc<Memo>>,
}

impl OpenTask {
    pub(crate) fn of(task: TaskRef, row: &Standing) -> Self {
        Self { task, state: row.state, session: row.session, held: row.held, memo: row.memo.clone() }
    }
}

/// Bumps the committers of all who own tasks of an execution, before it is locked: a committer has its own row first and
/// comes to the execution then, so that who locks them the other way round may wait for it in a circle. Who comes to own
/// one later is bumped later.
pub(crate) async fn take_all(batch: &mut Batch<'_>, execution: ExecutionId) -> Step<()> {
    for row in batch.query(Query::TasksOpenAll, &[&uuid(execution.as_bytes())]).await? {
        if let Some(session) = rows::maybe_uuid(&row, 1)? {
            let task = TaskRef { execution, task: TaskId::from_bytes(rows::bytes16(&row, 0)?) };
            batch.take_from(SessionId::from_bytes(*session.as_bytes()), task).await?;
        }
    }
    Ok(())
}

/// The open tasks that a statement lists, locked in the order of their ids, their owners' committers bumped.
async fn open_tasks(
    batch: &mut Batch<'_>,
    query: Query,
    execution: ExecutionId,
    parent: Option<TaskId>,
) -> Step<Vec<OpenTask>> {
    let id = uuid(execution.as_bytes());
    let below = parent.map(|parent| uuid(parent.as_bytes()));
    let listed = match &below {
        Some(parent) => batch.query(query, &[&id, parent]).await?,
        None => batch.query(query, &[&id]).await?,
    };
    let mut tasks = Vec::with_capacity(listed.len());
    for row in &listed {
        let task = TaskRef { execution, task: TaskId::from_bytes(rows::bytes16(row, 0)?) };
        if let Some(session) = rows::maybe_uuid(row, 1)? {
            batch.take_from(SessionId::from_bytes(*session.as_bytes()), task).await?;
        }
        batch.changed(task);
        tasks.push(task);
    }
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    tasks.sort_unstable();
    batch.read_all(&tasks).await?;
    let mut open = Vec::with_capacity(tasks.len());
    for task in tasks {
        let Some(row) = batch.standing(task).await? else { continue };
        if row.state.is_terminal() {
            continue;
        }
        // It may have been claimed since it was listed.
        if let Some(session) = row.session {
            batch.take_from(session, task).await?;
        }
        open.push(OpenTask::of(task, &row));
    }
    Ok(open)
}

/// Ends a task that has not ended, by somebody other than its owner (`Cancel` or `TimeOut`). `tell` leaves its end for
/// its parent to find. Its waits are dropped by the caller. One that somebody owns holds its slot until that one heeds.
pub(crate) async fn stop(batch: &mut Batch<'_>, open: OpenTask, event: TaskEvent, tell: bool) -> Step<()> {
    let OpenTask { task, state, session, held, memo } = open;
    let Ok(state) = state.on(event) else { return Ok(()) };
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    let now = batch.now.as_micros();
    batch.execute(Query::TaskStop, &[&ids.0, &ids.1, &(state as i16), &now, &tell]).await?;
    batch.changed(task);
    match session {
        Some(session) => batch.wakes.stopped.push((session, task, state)),
        None => slots::let_go(batch, task, held).await?,
    }
    batch.ended.extend(memo.map(|memo| Ended { task, memo, result: None }));
    Ok(())
}

/// Cancels every descendant of a task that has not ended. Their parents end with them, so none is told. Answers the
/// task and all that were stopped. Repeated until none is left: one that was claimed meanwhile may have called more.
pub(crate) async fn cancel_below(batch: &mut Batch<'_>, task: TaskRef) -> Step<Vec<TaskRef>> {
    let execution = task.execution;
    let mut stopped = vec![task];
    let mut next = 0;
    while let Some(parent) = stopped.get(next).map(|parent| parent.task) {
        loop {
            let open = open_tasks(batch, Query::TasksOpenChildren, execution, Some(parent)).await?;
            if open.is_empty() {
                break;
            }
            for child in open {
                stopped.push(child.task);
                stop(batch, child, TaskEvent::Cancel, false).await?;
            }
        }
        next += 1;
    }
    Ok(stopped)
}

/// Ends every task of an execution that has not ended, the root too. Repeated until none is left.
pub(crate) async fn stop_all(batch: &mut Batch<'_>, execution: ExecutionId, event: TaskEvent) -> Step<()> {
    let mut stopped = Vec::new();
    loop {
        let open = open_tasks(batch, Query::TasksOpenAll, execution, None).await?;
        if open.is_empty() {
            break;
        }
        for task in open {
            stopped.push(task.task);
            stop(batch, task, event, false).await?;
        }
    }
    drop_waits(batch, &stopped).await
}

/// Ends an execution by its deadline or a cancel: every task of it that has not ended, then the execution itself.
pub(crate) async fn end_execution(batch: &mut Batch<'_>, execution: ExecutionId, state: ExecutionState) -> Step<()> {
    let event = if state == ExecutionState::TimedOut { TaskEvent::TimeOut } else { TaskEvent::Cancel };
    stop_all(batch, execution, event).await?;
    let now = batch.now.as_micros();
    let changed = batch.execute(Query::ExecutionEnd, &[&uuid(execution.as_bytes()), &(state as i16), &now]).await?;
    if changed > 0 {
        batch.wakes.ended.push(execution);
    }
    Ok(())
}

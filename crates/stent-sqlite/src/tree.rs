//! What one task's change means for others: waking whoever waits, ending what lies below, ending whole executions.

use rusqlite::{Row, params};
use stent_core::routing::rank;
use stent_core::state::TaskEvent;
use stent_core::{CallKey, ExecutionId, ExecutionState, Memo, RecordKind, SessionId, TaskId, TaskRef, TaskState};

use crate::batch::Batch;
use crate::error::Step;
use crate::memos::Ended;
use crate::query::Query;
use crate::rows::{self, Held, Standing};
use crate::slots;

/// Wakes a task, as the head of `stent_core::command` says.
pub(crate) fn wake(batch: &mut Batch<'_>, task: TaskRef) -> Step<()> {
    let Some(row) = batch.standing(task)? else { return Ok(()) };
    if row.state.on(TaskEvent::Wake).is_err() {
        return Ok(());
    }
    match row.state {
        TaskState::Suspended => {
            batch.sql.get(Query::TaskPromote)?.execute(params![
                task.execution.as_bytes(),
                task.task.as_bytes(),
                rank(true, row.priority)
            ])?;
            batch.wakes.ready = true;
        }
        TaskState::Running => {
            if !row.woken {
                mark_woken(batch, task, true)?;
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
pub(crate) fn mark_woken(batch: &mut Batch<'_>, task: TaskRef, woken: bool) -> Step<()> {
    let statement = batch.sql.get(Query::TaskMarkWoken)?;
    statement.execute(params![task.execution.as_bytes(), task.task.as_bytes(), woken])?;
    Ok(())
}

/// Forgets all waits of tasks that ended or begin anew. After their states are settled, so that the lines they leave
/// wake none of them.
pub(crate) fn drop_waits(batch: &mut Batch<'_>, tasks: &[TaskRef]) -> Step<()> {
    for task in tasks {
        let place = [task.execution.as_bytes(), task.task.as_bytes()];
        let (any, names) = {
            let mut rows = batch.sql.get(Query::WaitList)?.query(place)?;
            let (mut any, mut names) = (false, Vec::new());
            while let Some(row) = rows.next()? {
                any = true;
                names.extend(signal_name(row, 1, 4)?);
            }
            (any, names)
        };
        // Most tasks wait for nothing when they end.
        if any {
            batch.sql.get(Query::WaitDeleteAll)?.execute(place)?;
            names.iter().try_for_each(|name| line_moved(batch, task.execution, name))?;
        }
    }
    Ok(())
}

/// Forgets a wait that nothing came for.
pub(crate) fn drop_wait(batch: &mut Batch<'_>, task: TaskRef, key: &CallKey) -> Step<()> {
    let name = {
        let statement = batch.sql.get(Query::WaitDelete)?;
        let mut rows = statement.query(params![task.execution.as_bytes(), task.task.as_bytes(), key.as_str()])?;
        rows.next()?.map(|row| signal_name(row, 0, 1)).transpose()?.flatten()
    };
    name.map_or(Ok(()), |name| line_moved(batch, task.execution, &name))
}

/// The name of the signal that a wait stands in line for, if it waits for one.
fn signal_name(row: &Row<'_>, kind: usize, name: usize) -> rusqlite::Result<Option<String>> {
    if row.get::<_, i64>(kind)? != RecordKind::Signal as i64 {
        return Ok(None);
    }
    Ok(Some(row.get::<_, Option<String>>(name)?.unwrap_or_default()))
}

/// A wait has left the line of a name: those behind it moved up, and a signal may be there for them now.
fn line_moved(batch: &mut Batch<'_>, execution: ExecutionId, name: &str) -> Step<()> {
    let there = batch.sql.get(Query::SignalNth)?.exists(params![execution.as_bytes(), name, 0])?;
    if there { crate::messages::wake_waiters(batch, execution, name) } else { Ok(()) }
}

/// What the end of a task that has not ended goes by.
pub(crate) struct OpenTask {
    task: TaskRef,
    state: TaskState,
    session: Option<SessionId>,
    held: Held,
    memo: Option<Box<Memo>>,
}

impl OpenTask {
    pub(crate) fn of(task: TaskRef, row: &Standing) -> Self {
        Self { task, state: row.state, session: row.session, held: row.held, memo: row.memo.clone() }
    }
}

fn open_tasks(
    batch: &mut Batch<'_>,
    query: Query,
    execution: ExecutionId,
    parent: Option<TaskId>,
) -> Step<Vec<OpenTask>> {
    let read = |row: &rusqlite::Row<'_>| {
        let task = TaskRef { execution, task: TaskId::from_bytes(row.get(0)?) };
        let session = row.get::<_, Option<[u8; 16]>>(2)?.map(SessionId::from_bytes);
        Ok(OpenTask {
            task,
            state: rows::task_state(row, 1)?,
            session,
            held: Held::read(row, 3)?,
            memo: rows::memo(row, 5)?,
        })
    };
    let statement = batch.sql.get(query)?;
    let found = match parent {
        Some(parent) => statement.query_map([execution.as_bytes(), parent.as_bytes()], read)?.collect(),
        None => statement.query_map([execution.as_bytes()], read)?.collect::<rusqlite::Result<Vec<_>>>(),
    };
    Ok(found?)
}

/// Ends a task that has not ended, by somebody other than its owner (`Cancel` or `TimeOut`). `tell` leaves its end for
/// its parent to find. Its waits are dropped by the caller. One that somebody owns holds its slot until that one heeds.
pub(crate) fn stop(batch: &mut Batch<'_>, open: OpenTask, event: TaskEvent, tell: bool) -> Step<()> {
    let OpenTask { task, state, session, held, memo } = open;
    let Ok(state) = state.on(event) else { return Ok(()) };
    let now = batch.now.as_micros();
    batch.sql.get(Query::TaskStop)?.execute(params![
        task.execution.as_bytes(),
        task.task.as_bytes(),
        state as u8,
        now,
        tell
    ])?;
    match session {
        Some(session) => batch.wakes.stopped.push((session, task, state)),
        None => slots::let_go(batch, task, held)?,
    }
    batch.ended.extend(memo.map(|memo| Ended { task, memo: *memo, result: None }));
    Ok(())
}

/// Cancels every descendant of a task that has not ended. Their parents end with them, so none is told. Answers the
/// task and all that were stopped.
pub(crate) fn cancel_below(batch: &mut Batch<'_>, task: TaskRef) -> Step<Vec<TaskRef>> {
    let execution = task.execution;
    let mut stopped = vec![task];
    let mut next = 0;
    while let Some(parent) = stopped.get(next).map(|parent| parent.task) {
        for child in open_tasks(batch, Query::TasksOpenChildren, execution, Some(parent))? {
            stopped.push(child.task);
            stop(batch, child, TaskEvent::Cancel, false)?;
        }
        next += 1;
    }
    Ok(stopped)
}

/// Ends every task of an execution that has not ended.
fn stop_all(batch: &mut Batch<'_>, execution: ExecutionId, event: TaskEvent) -> Step<()> {
    let root = TaskRef::root(execution);
    let row = batch.standing(root)?;
    let mut open = open_tasks(batch, Query::TasksOpenAll, execution, None)?;
    open.extend(row.map(|row| OpenTask::of(root, &row)));
    stop_these(batch, open, event)
}

/// Cancels what is left of an execution whose root has just ended, and forgets what the root waited for.
pub(crate) fn cancel_rest(batch: &mut Batch<'_>, execution: ExecutionId) -> Step<()> {
    let open = open_tasks(batch, Query::TasksOpenAll, execution, None)?;
    stop_these(batch, open, TaskEvent::Cancel)?;
    drop_waits(batch, &[TaskRef::root(execution)])
}

fn stop_these(batch: &mut Batch<'_>, mut open: Vec<OpenTask>, event: TaskEvent) -> Step<()> {
    open.sort_unstable_by_key(|open| open.task);
    let mut stopped = Vec::with_capacity(open.len());
    for task in open {
        stopped.push(task.task);
        stop(batch, task, event, false)?;
    }
    drop_waits(batch, &stopped)
}

/// Ends an execution by its deadline or a cancel: every task of it that has not ended, then the execution itself.
pub(crate) fn end_execution(batch: &mut Batch<'_>, execution: ExecutionId, state: ExecutionState) -> Step<()> {
    let event = if state == ExecutionState::TimedOut { TaskEvent::TimeOut } else { TaskEvent::Cancel };
    stop_all(batch, execution, event)?;
    let now = batch.now.as_micros();
    let changed = batch.sql.get(Query::ExecutionEnd)?.execute(params![execution.as_bytes(), state as u8, now])?;
    if changed > 0 {
        batch.wakes.ended.push(execution);
    }
    Ok(())
}

//! Reading what people see: executions, tasks, letters, sessions, queues, functions. One query each.

use rusqlite::{Row, params};
use stent_core::command::Number;
use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, Nudge, QueueView, SessionView, Stats,
    StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, ExecutionId, ExecutionState, Failure, MaxConcurrent, Name, Payload, SessionId, TaskId, TaskRef, TaskState,
};

use crate::presence::Beat;
use crate::query::{Query, Statements};
use crate::rows;

fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<Name> {
    Ok(Name::stored(row.get_ref(column)?.as_str()?))
}

fn task_ref(row: &Row<'_>, column: usize) -> rusqlite::Result<TaskRef> {
    Ok(TaskRef { execution: ExecutionId::from_bytes(row.get(column)?), task: TaskId::from_bytes(row.get(column + 1)?) })
}

fn failure(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Failure>> {
    Ok(rows::maybe_payload(row, column)?.map(|payload| Failure::from_payload(&payload)))
}

fn execution_view(row: &Row<'_>) -> rusqlite::Result<ExecutionView> {
    let started_at = rows::maybe_time(row, 5)?;
    let attempt: u32 = row.get(10)?;
    // The attempt that runs or is next counts once it was claimed.
    let claimed = rows::maybe_time(row, 11)?.is_some();
    Ok(ExecutionView {
        id: ExecutionId::from_bytes(row.get(0)?),
        function: name(row, 1)?,
        queue: name(row, 2)?,
        state: rows::execution_state(row, 3)?.shown(started_at.is_some()),
        created_at: rows::time(row, 4)?,
        started_at,
        completed_at: rows::maybe_time(row, 6)?,
        deadline: rows::maybe_time(row, 7)?,
        result: rows::maybe_payload(row, 8)?,
        failure: failure(row, 9)?,
        attempts: if claimed { attempt } else { attempt.saturating_sub(1) },
        priority: row.get(12)?,
        tags: rows::tags(row, 13)?,
    })
}

pub(crate) fn execution(sql: &mut Statements<'_>, id: ExecutionId) -> rusqlite::Result<Option<ExecutionView>> {
    let mut rows = sql.get(Query::ExecutionView)?.query([id.as_bytes()])?;
    rows.next()?.map(execution_view).transpose()
}

pub(crate) fn which_ended(sql: &mut Statements<'_>, ids: &[ExecutionId]) -> rusqlite::Result<Vec<ExecutionId>> {
    let mut ended = Vec::new();
    for id in ids {
        if sql.get(Query::ExecutionEnded)?.exists([id.as_bytes()])? {
            ended.push(*id);
        }
    }
    Ok(ended)
}

pub(crate) fn executions(sql: &mut Statements<'_>, filter: &ExecutionFilter) -> rusqlite::Result<Vec<ExecutionView>> {
    use ExecutionState as S;
    let queue = filter.queue.as_deref();
    let (limit, offset) = (filter.limit, filter.offset);
    let mut take = |query, state: Option<u8>| {
        let statement = sql.get(query)?;
        match state {
            Some(state) => statement.query_map(params![queue, limit, offset, state], execution_view)?.collect(),
            None => statement.query_map(params![queue, limit, offset], execution_view)?.collect(),
        }
    };
    match filter.state {
        None => take(Query::ExecutionList, None),
        Some(S::Pending) => take(Query::ExecutionListLive, Some(0)),
        Some(S::Running) => take(Query::ExecutionListLive, Some(1)),
        Some(S::Completed) => take(Query::ExecutionListCompleted, None),
        Some(rare) => take(Query::ExecutionListFailed, Some(rare as u8)),
    }
}

pub(crate) fn count_executions(sql: &mut Statements<'_>, state: Option<ExecutionState>) -> rusqlite::Result<u64> {
    use ExecutionState as S;
    let first = |row: &Row<'_>| rows::number(row, 0);
    match state {
        None => sql.get(Query::ExecutionCount)?.query_row([], first),
        Some(S::Pending) => sql.get(Query::ExecutionCountLive)?.query_row([0], first),
        Some(S::Running) => sql.get(Query::ExecutionCountLive)?.query_row([1], first),
        Some(S::Completed) => sql.get(Query::ExecutionCountCompleted)?.query_row([], first),
        Some(rare) => sql.get(Query::ExecutionCountFailed)?.query_row([rare as u8], first),
    }
}

pub(crate) fn find_task(sql: &mut Statements<'_>, id: TaskId) -> rusqlite::Result<Option<TaskRef>> {
    let root = ExecutionId::from_bytes(*id.as_bytes());
    if sql.get(Query::ExecutionRead)?.exists([root.as_bytes()])? {
        return Ok(Some(TaskRef::root(root)));
    }
    let (low, high) = ExecutionId::neighbours(id);
    let mut rows = sql.get(Query::TaskFind)?.query([id.as_bytes(), low.as_bytes(), high.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(TaskRef { execution: ExecutionId::from_bytes(row.get(0)?), task: id }))
}

fn task_view(row: &Row<'_>) -> rusqlite::Result<TaskView> {
    Ok(TaskView {
        task: task_ref(row, 0)?,
        parent: row.get::<_, Option<[u8; 16]>>(2)?.map(TaskId::from_bytes),
        key: row.get(3)?,
        function: name(row, 4)?,
        queue: name(row, 5)?,
        state: rows::task_state(row, 6)?,
        priority: row.get(7)?,
        tags: rows::tags(row, 8)?,
        attempt: row.get(9)?,
        run: row.get(10)?,
        losses: row.get(11)?,
        epoch: rows::number(row, 12)?,
        session: row.get::<_, Option<[u8; 16]>>(13)?.map(SessionId::from_bytes),
        woken: row.get(14)?,
        due: rows::maybe_time(row, 15)?,
        created_at: rows::time(row, 16)?,
        started_at: rows::maybe_time(row, 17)?,
        completed_at: rows::maybe_time(row, 18)?,
        args: rows::payload(row, 19)?,
        result: rows::maybe_payload(row, 20)?,
        failure: failure(row, 21)?,
        holds_slot: row.get(22)?,
    })
}

pub(crate) fn task(sql: &mut Statements<'_>, task: TaskRef) -> rusqlite::Result<Option<TaskView>> {
    let mut rows = sql.get(Query::TaskView)?.query([task.execution.as_bytes(), task.task.as_bytes()])?;
    rows.next()?.map(task_view).transpose()
}

pub(crate) fn tasks(sql: &mut Statements<'_>, execution: ExecutionId) -> rusqlite::Result<Vec<TaskView>> {
    sql.get(Query::TaskList)?.query_map([execution.as_bytes()], task_view)?.collect()
}

pub(crate) fn list_tasks(sql: &mut Statements<'_>, filter: &TaskFilter) -> rusqlite::Result<Vec<TaskView>> {
    let TaskFilter { state, only_children, limit, offset, .. } = *filter;
    let queue = filter.queue.as_deref();
    if state == Some(TaskState::Running) {
        let statement = sql.get(Query::TaskPageRunning)?;
        return statement.query_map(params![queue, only_children, limit, offset], task_view)?.collect();
    }
    let state = state.map(|state| state as u8);
    let statement = sql.get(Query::TaskPage)?;
    statement.query_map(params![queue, state, only_children, limit, offset], task_view)?.collect()
}

/// Those that are pending or running are counted by their indexes, all others one by one.
pub(crate) fn count_tasks(
    sql: &mut Statements<'_>,
    queue: Option<&str>,
    state: Option<TaskState>,
) -> rusqlite::Result<u64> {
    let first = |row: &Row<'_>| rows::number(row, 0);
    match state {
        Some(TaskState::Pending) => sql.get(Query::TaskCountPending)?.query_row([queue], first),
        Some(TaskState::Running) => sql.get(Query::TaskCountRunning)?.query_row([queue], first),
        _ => sql.get(Query::TaskCount)?.query_row(params![queue, state.map(|state| state as u8)], first),
    }
}

pub(crate) fn steps(sql: &mut Statements<'_>, execution: ExecutionId, limit: u32) -> rusqlite::Result<Vec<StepView>> {
    let view = |row: &Row<'_>| {
        Ok(StepView {
            task: TaskId::from_bytes(row.get(0)?),
            seq: row.get(1)?,
            key: rows::key(row, 2)?.unwrap_or_else(|| CallKey::stored("")),
            failure: failure(row, 3)?,
            at: rows::time(row, 4)?,
        })
    };
    sql.get(Query::StepList)?.query_map(params![execution.as_bytes(), limit], view)?.collect()
}

pub(crate) fn stats(sql: &mut Statements<'_>) -> rusqlite::Result<Stats> {
    let executions = |row: &Row<'_>| Ok((rows::execution_state(row, 0)?, rows::number(row, 1)?));
    let tasks = |row: &Row<'_>| Ok(((name(row, 0)?, rows::task_state(row, 1)?), rows::number(row, 2)?));
    let executions: rusqlite::Result<_> = sql.get(Query::StatsExecutions)?.query_map([], executions)?.collect();
    let tasks: rusqlite::Result<_> = sql.get(Query::StatsTasks)?.query_map([], tasks)?.collect();
    let workers = sql.get(Query::SessionCount)?.query_row([], |row| rows::number(row, 0))?;
    Ok(Stats { executions: executions?, tasks: tasks?, letters: count_letters(sql)?, workers })
}

pub(crate) fn count_letters(sql: &mut Statements<'_>) -> rusqlite::Result<u64> {
    sql.get(Query::LetterCount)?.query_row([], |row| rows::number(row, 0))
}

fn letter_view(row: &Row<'_>) -> rusqlite::Result<LetterView> {
    Ok(LetterView {
        task: task_ref(row, 0)?,
        function: name(row, 2)?,
        queue: name(row, 3)?,
        failure: Failure::from_payload(&rows::maybe_payload(row, 4)?.unwrap_or_else(Payload::null)),
        moved_at: rows::time(row, 5)?,
        through_root: row.get(6)?,
    })
}

pub(crate) fn letters(sql: &mut Statements<'_>, limit: u32) -> rusqlite::Result<Vec<LetterView>> {
    sql.get(Query::LetterList)?.query_map([limit], letter_view)?.collect()
}

pub(crate) fn letter(sql: &mut Statements<'_>, task: TaskRef) -> rusqlite::Result<Option<LetterView>> {
    let mut rows = sql.get(Query::LetterRead)?.query([task.execution.as_bytes(), task.task.as_bytes()])?;
    rows.next()?.map(letter_view).transpose()
}

pub(crate) fn sessions(sql: &mut Statements<'_>) -> rusqlite::Result<Vec<SessionView>> {
    let view = |row: &Row<'_>| {
        let suspect = row.get::<_, Option<[u8; 16]>>(4)?.is_some();
        Ok(SessionView {
            session: SessionId::from_bytes(row.get(0)?),
            worker_id: row.get(1)?,
            host: row.get(2)?,
            pid: row.get(3)?,
            suspect: if suspect { Some(task_ref(row, 4)?) } else { None },
        })
    };
    sql.get(Query::SessionList)?.query_map([], view)?.collect()
}

/// The last beats of the open sessions.
pub(crate) fn beats(sql: &mut Statements<'_>) -> rusqlite::Result<Vec<Beat>> {
    let beat =
        |row: &Row<'_>| Ok(Beat { session: SessionId::from_bytes(row.get(0)?), ms: row.get(6)?, boot: row.get(7)? });
    sql.get(Query::SessionList)?.query_map([], beat)?.collect()
}

/// The sessions that were taken over in part.
pub(crate) fn emptied(sql: &mut Statements<'_>) -> rusqlite::Result<Vec<SessionId>> {
    let id = |row: &Row<'_>| Ok(SessionId::from_bytes(row.get(0)?));
    sql.get(Query::SessionEmptiedList)?.query_map([], id)?.collect()
}

pub(crate) fn nudges(sql: &mut Statements<'_>, session: SessionId) -> rusqlite::Result<Vec<Nudge>> {
    let nudge = |row: &Row<'_>| {
        Ok(Nudge { task: task_ref(row, 0)?, epoch: rows::number(row, 2)?, state: rows::task_state(row, 3)? })
    };
    sql.get(Query::SessionNudges)?.query_map([session.as_bytes()], nudge)?.collect()
}

pub(crate) fn queues(sql: &mut Statements<'_>) -> rusqlite::Result<Vec<QueueView>> {
    let view = |row: &Row<'_>| Ok(QueueView { name: name(row, 0)?, paused: row.get(1)? });
    sql.get(Query::QueueList)?.query_map([], view)?.collect()
}

/// One for each session that knows it, oldest first.
pub(crate) fn functions(sql: &mut Statements<'_>) -> rusqlite::Result<Vec<FunctionView>> {
    let view = |row: &Row<'_>| {
        let options = serde_json::from_str(row.get_ref(1)?.as_str()?).unwrap_or_default();
        Ok(FunctionView { name: name(row, 0)?, options, max_concurrent: limit(row, 2)? })
    };
    sql.get(Query::FunctionList)?.query_map([], view)?.collect()
}

/// A limit; a number that cannot be one is none.
fn limit(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<MaxConcurrent>> {
    Ok(row.get::<_, Option<u32>>(column)?.and_then(|limit| MaxConcurrent::new(limit).ok()))
}

pub(crate) fn limit_view(sql: &mut Statements<'_>, function: &Name) -> rusqlite::Result<LimitView> {
    let holders: rusqlite::Result<_> =
        sql.get(Query::LimitHolders)?.query_map([function.as_str()], |row| task_ref(row, 0))?.collect();
    let mut rows = sql.get(Query::LimitView)?.query([function.as_str()])?;
    let in_force = rows.next()?.map(|row| limit(row, 0)).transpose()?.flatten();
    Ok(LimitView { limit: in_force, holders: holders? })
}

pub(crate) fn baggage(sql: &mut Statements<'_>, execution: ExecutionId) -> rusqlite::Result<Baggage> {
    let id = execution.as_bytes();
    let counters: rusqlite::Result<Vec<(Name, Number)>> =
        sql.get(Query::CounterList)?.query_map([id], |row| Ok((name(row, 0)?, rows::counter(row, 1)?)))?.collect();
    let state: rusqlite::Result<Vec<(Name, Payload)>> =
        sql.get(Query::StateList)?.query_map([id], |row| Ok((name(row, 0)?, rows::payload(row, 1)?)))?.collect();
    Ok(Baggage { counters: counters?, state: state? })
}

//! Reading what people see: executions, tasks, letters, sessions, queues, functions. One query each.

use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, Nudge, QueueView, SessionView, Stats,
    StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, ExecutionId, ExecutionState, Failure, MaxConcurrent, Name, Payload, SessionId, TaskId, TaskRef, TaskState,
};

use crate::error::{Step, Stop};
use crate::query::{Column, Params, Query};
use crate::readers::Reader;
use crate::rows::{self, Row, get, name, task_ref};

fn failure(row: &Row, column: usize) -> Step<Option<Failure>> {
    Ok(rows::maybe_payload(row, column)?.map(|payload| Failure::from_payload(&payload)))
}

fn session(row: &Row, column: usize) -> Step<SessionId> {
    Ok(SessionId::from_bytes(rows::bytes16(row, column)?))
}

/// What each row says.
fn all<T>(rows: &[Row], view: impl Fn(&Row) -> Step<T>) -> Step<Vec<T>> {
    rows.iter().map(view).collect()
}

fn execution_view(row: &Row) -> Step<ExecutionView> {
    let started_at = rows::maybe_time(row, 5)?;
    let attempt = rows::count(row, 10)?;
    // The attempt that runs or is next counts once it was claimed.
    let claimed = rows::maybe_time(row, 11)?.is_some();
    Ok(ExecutionView {
        id: ExecutionId::from_bytes(rows::bytes16(row, 0)?),
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
        priority: get(row, 12)?,
        tags: rows::tags(row, 13)?,
    })
}

pub(crate) async fn execution(reader: Reader<'_>, id: ExecutionId) -> Step<Option<ExecutionView>> {
    let row = reader.first(Query::ExecutionView, &[&rows::uuid(id.as_bytes())]).await?;
    row.as_ref().map(execution_view).transpose()
}

pub(crate) async fn which_ended(reader: Reader<'_>, ids: &[ExecutionId]) -> Step<Vec<ExecutionId>> {
    let ids = Column(ids.iter().map(|id| rows::uuid(id.as_bytes())).collect::<Vec<_>>());
    all(&reader.query(Query::ExecutionEnded, &[&ids]).await?, |row| Ok(ExecutionId::from_bytes(rows::bytes16(row, 0)?)))
}

pub(crate) async fn executions(reader: Reader<'_>, filter: &ExecutionFilter) -> Step<Vec<ExecutionView>> {
    use ExecutionState as S;
    let queue = filter.queue.as_ref().map(|queue| queue.as_str());
    let (limit, offset) = (i64::from(filter.limit), i64::from(filter.offset));
    let page: Params<'_> = &[&queue, &limit, &offset];
    let found = match filter.state {
        None => reader.query(Query::ExecutionList, page).await?,
        Some(S::Pending) => reader.query(Query::ExecutionListLive, &[&queue, &limit, &offset, &false]).await?,
        Some(S::Running) => reader.query(Query::ExecutionListLive, &[&queue, &limit, &offset, &true]).await?,
        Some(S::Completed) => reader.query(Query::ExecutionListCompleted, page).await?,
        Some(rare) => reader.query(Query::ExecutionListFailed, &[&queue, &limit, &offset, &stored(rare)]).await?,
    };
    all(&found, execution_view)
}

/// A state as the server keeps it.
fn stored(state: ExecutionState) -> i16 {
    i16::from(state as u8)
}

pub(crate) async fn count_executions(reader: Reader<'_>, state: Option<ExecutionState>) -> Step<u64> {
    use ExecutionState as S;
    let row = match state {
        None => reader.first(Query::ExecutionCount, &[]).await?,
        Some(S::Pending) => reader.first(Query::ExecutionCountLive, &[&false]).await?,
        Some(S::Running) => reader.first(Query::ExecutionCountLive, &[&true]).await?,
        Some(S::Completed) => reader.first(Query::ExecutionCountCompleted, &[]).await?,
        Some(rare) => reader.first(Query::ExecutionCountFailed, &[&stored(rare)]).await?,
    };
    counted(row.as_ref())
}

pub(crate) async fn find_task(reader: Reader<'_>, id: TaskId) -> Step<Option<TaskRef>> {
    let (low, high) = ExecutionId::neighbours(id);
    let [task, low, high] = [id.as_bytes(), low.as_bytes(), high.as_bytes()].map(rows::uuid);
    let Some(row) = reader.first(Query::TaskFind, &[&task, &low, &high]).await? else { return Ok(None) };
    Ok(Some(TaskRef { execution: ExecutionId::from_bytes(rows::bytes16(&row, 0)?), task: id }))
}

fn task_view(row: &Row) -> Step<TaskView> {
    Ok(TaskView {
        task: task_ref(row, 0)?,
        parent: rows::maybe_uuid(row, 2)?.map(|id| TaskId::from_bytes(*id.as_bytes())),
        key: get(row, 3)?,
        function: name(row, 4)?,
        queue: name(row, 5)?,
        state: rows::task_state(row, 6)?,
        priority: get(row, 7)?,
        tags: rows::tags(row, 8)?,
        attempt: rows::count(row, 9)?,
        run: rows::count(row, 10)?,
        losses: rows::count(row, 11)?,
        epoch: rows::number(row, 12)?,
        session: rows::maybe_uuid(row, 13)?.map(|id| SessionId::from_bytes(*id.as_bytes())),
        woken: get(row, 14)?,
        due: rows::maybe_time(row, 15)?,
        created_at: rows::time(row, 16)?,
        started_at: rows::maybe_time(row, 17)?,
        completed_at: rows::maybe_time(row, 18)?,
        args: rows::payload(row, 19)?,
        result: rows::maybe_payload(row, 20)?,
        failure: failure(row, 21)?,
        holds_slot: get(row, 22)?,
    })
}

pub(crate) async fn task(reader: Reader<'_>, task: TaskRef) -> Step<Option<TaskView>> {
    let (execution, id) = (rows::uuid(task.execution.as_bytes()), rows::uuid(task.task.as_bytes()));
    reader.first(Query::TaskView, &[&execution, &id]).await?.as_ref().map(task_view).transpose()
}

pub(crate) async fn tasks(reader: Reader<'_>, execution: ExecutionId) -> Step<Vec<TaskView>> {
    all(&reader.query(Query::TaskList, &[&rows::uuid(execution.as_bytes())]).await?, task_view)
}

pub(crate) async fn list_tasks(reader: Reader<'_>, filter: &TaskFilter) -> Step<Vec<TaskView>> {
    let queue = filter.queue.as_ref().map(|queue| queue.as_str());
    let (limit, offset, children) = (i64::from(filter.limit), i64::from(filter.offset), filter.only_children);
    let state = filter.state.map(|state| i16::from(state as u8));
    let found = match filter.state {
        Some(TaskState::Running) => reader.query(Query::TaskPageRunning, &[&queue, &children, &limit, &offset]).await?,
        _ => reader.query(Query::TaskPage, &[&queue, &state, &children, &limit, &offset]).await?,
    };
    all(&found, task_view)
}

/// Those that are pending or running are counted by their indexes, all others one by one.
pub(crate) async fn count_tasks(reader: Reader<'_>, queue: Option<&str>, state: Option<TaskState>) -> Step<u64> {
    let row = match state {
        Some(TaskState::Pending) => reader.first(Query::TaskCountPending, &[&queue]).await?,
        Some(TaskState::Running) => reader.first(Query::TaskCountRunning, &[&queue]).await?,
        _ => reader.first(Query::TaskCount, &[&queue, &state.map(|state| i16::from(state as u8))]).await?,
    };
    counted(row.as_ref())
}

fn counted(row: Option<&Row>) -> Step<u64> {
    rows::number(row.ok_or(Stop::Broken("a count was not answered"))?, 0)
}

pub(crate) async fn steps(reader: Reader<'_>, execution: ExecutionId, limit: u32) -> Step<Vec<StepView>> {
    let view = |row: &Row| {
        Ok(StepView {
            task: TaskId::from_bytes(rows::bytes16(row, 0)?),
            seq: u32::try_from(get::<i64>(row, 1)?).map_err(|_| Stop::Broken("a record's place is out of range"))?,
            key: CallKey::stored(get(row, 2)?),
            failure: failure(row, 3)?,
            at: rows::time(row, 4)?,
        })
    };
    all(&reader.query(Query::StepList, &[&rows::uuid(execution.as_bytes()), &i64::from(limit)]).await?, view)
}

pub(crate) async fn stats(reader: Reader<'_>) -> Step<Stats> {
    let none: Params<'_> = &[];
    let queries =
        [Query::StatsExecutions, Query::StatsTasks, Query::LetterCount, Query::SessionCount].map(|query| (query, none));
    reader.prepare(&queries).await?;
    let [executions, tasks, letters, workers] = queries.map(|(query, params)| reader.query(query, params));
    let (executions, tasks, letters, workers) = tokio::join!(biased; executions, tasks, letters, workers);
    let executions = all(&executions?, |row| Ok((rows::execution_state(row, 0)?, rows::number(row, 1)?)))?;
    let tasks = all(&tasks?, |row| Ok(((name(row, 0)?, rows::task_state(row, 1)?), rows::number(row, 2)?)))?;
    Ok(Stats {
        executions: executions.into_iter().collect(),
        tasks: tasks.into_iter().collect(),
        letters: counted(letters?.first())?,
        workers: counted(workers?.first())?,
    })
}

pub(crate) async fn count_letters(reader: Reader<'_>) -> Step<u64> {
    counted(reader.first(Query::LetterCount, &[]).await?.as_ref())
}

fn letter_view(row: &Row) -> Step<LetterView> {
    Ok(LetterView {
        task: task_ref(row, 0)?,
        function: name(row, 2)?,
        queue: name(row, 3)?,
        failure: Failure::from_payload(&rows::maybe_payload(row, 4)?.unwrap_or_else(Payload::null)),
        moved_at: rows::time(row, 5)?,
        through_root: get(row, 6)?,
    })
}

pub(crate) async fn letters(reader: Reader<'_>, limit: u32) -> Step<Vec<LetterView>> {
    all(&reader.query(Query::LetterList, &[&i64::from(limit)]).await?, letter_view)
}

pub(crate) async fn letter(reader: Reader<'_>, task: TaskRef) -> Step<Option<LetterView>> {
    let (execution, id) = (rows::uuid(task.execution.as_bytes()), rows::uuid(task.task.as_bytes()));
    reader.first(Query::LetterRead, &[&execution, &id]).await?.as_ref().map(letter_view).transpose()
}

pub(crate) async fn sessions(reader: Reader<'_>) -> Step<Vec<SessionView>> {
    let view = |row: &Row| {
        let suspect = rows::maybe_uuid(row, 4)?.is_some();
        let pid = u32::try_from(get::<i64>(row, 3)?).map_err(|_| Stop::Broken("a process's number is out of range"))?;
        Ok(SessionView {
            session: session(row, 0)?,
            worker_id: get(row, 1)?,
            host: get(row, 2)?,
            pid,
            suspect: if suspect { Some(task_ref(row, 4)?) } else { None },
        })
    };
    all(&reader.query(Query::SessionList, &[]).await?, view)
}

pub(crate) async fn nudges(reader: Reader<'_>, session: SessionId) -> Step<Vec<Nudge>> {
    let nudge = |row: &Row| {
        Ok(Nudge { task: task_ref(row, 0)?, epoch: rows::number(row, 2)?, state: rows::task_state(row, 3)? })
    };
    all(&reader.query(Query::SessionNudges, &[&rows::uuid(session.as_bytes())]).await?, nudge)
}

pub(crate) async fn queues(reader: Reader<'_>) -> Step<Vec<QueueView>> {
    let view = |row: &Row| Ok(QueueView { name: name(row, 0)?, paused: get(row, 1)? });
    all(&reader.query(Query::QueueList, &[]).await?, view)
}

/// One for each session that knows it, oldest first.
pub(crate) async fn functions(reader: Reader<'_>) -> Step<Vec<FunctionView>> {
    let view = |row: &Row| {
        let options = serde_json::from_str(get(row, 1)?).unwrap_or_default();
        Ok(FunctionView { name: name(row, 0)?, options, max_concurrent: limit(row, 2)? })
    };
    all(&reader.query(Query::FunctionList, &[]).await?, view)
}

/// A limit; a number that cannot be one is none.
fn limit(row: &Row, column: usize) -> Step<Option<MaxConcurrent>> {
    let number = get::<Option<i32>>(row, column)?.and_then(|number| u32::try_from(number).ok());
    Ok(number.and_then(|number| MaxConcurrent::new(number).ok()))
}

pub(crate) async fn limit_view(reader: Reader<'_>, function: &Name) -> Step<LimitView> {
    let name = function.as_str();
    let params: Params<'_> = &[&name];
    let queries = [(Query::LimitView, params), (Query::LimitHolders, params)];
    reader.prepare(&queries).await?;
    let [in_force, holders] = queries.map(|(query, params)| reader.query(query, params));
    let (in_force, holders) = tokio::join!(biased; in_force, holders);
    let in_force = in_force?.first().map(|row| limit(row, 0)).transpose()?.flatten();
    Ok(LimitView { limit: in_force, holders: all(&holders?, |row| task_ref(row, 0))? })
}

pub(crate) async fn baggage(reader: Reader<'_>, execution: ExecutionId) -> Step<Baggage> {
    let id = rows::uuid(execution.as_bytes());
    let place: Params<'_> = &[&id];
    let queries = [(Query::CounterList, place), (Query::StateList, place)];
    reader.prepare(&queries).await?;
    let [counters, state] = queries.map(|(query, params)| reader.query(query, params));
    let (counters, state) = tokio::join!(biased; counters, state);
    Ok(Baggage {
        counters: all(&counters?, |row| Ok((name(row, 0)?, rows::counter(row, 1)?)))?,
        state: all(&state?, |row| Ok((name(row, 0)?, rows::payload(row, 1)?)))?,
    })
}

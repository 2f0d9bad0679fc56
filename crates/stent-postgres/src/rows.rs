//! Rows as values. Reading is lenient where a person may have edited a value, and fails for one command alone where it
//! cannot be.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stent_core::command::Number;
use stent_core::{
    CallKey, ExecutionId, ExecutionState, Lease, Memo, Name, Payload, Refusal, SessionId, TaskId, TaskOptions, TaskRef,
    TaskState, Timestamp,
};
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::error::{Step, Stop};

/// A row of an answer, as the library gives it whose connection it came by.
#[derive(Debug)]
pub(crate) enum Row {
    Ours(tokio_postgres::Row),
    /// By a connection of the user's own.
    #[cfg(feature = "sqlx")]
    Sqlx(sqlx::postgres::PgRow),
}

/// Where a task stands, without its payloads. The columns are those of `task_read.sql`.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) state: TaskState,
    pub(crate) session: Option<SessionId>,
    pub(crate) epoch: u64,
    pub(crate) priority: i32,
    pub(crate) attempt: u32,
    pub(crate) run: u32,
    pub(crate) losses: u32,
    pub(crate) parent: Option<TaskId>,
    pub(crate) key: Option<CallKey>,
    pub(crate) seen: u32,
    pub(crate) digest: [u8; 16],
    pub(crate) undelivered: bool,
    pub(crate) detached: bool,
    pub(crate) held: Held,
    pub(crate) memo: Option<Arc<Memo>>,
    /// Whether it certainly has no children: this process claimed it for the first time and saw it start none.
    pub(crate) childless: bool,
    /// Whether it certainly has no waits, in the same way.
    pub(crate) waitless: bool,
}

/// What a task holds of its function's limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// The number of its slot, if it holds one.
    pub(crate) slot: Option<i32>,
    /// Its route, which names its function.
    pub(crate) route: i64,
}

impl Held {
    /// Reads a slot's number and a route's from `at` on.
    pub(crate) fn read(row: &Row, at: usize) -> Step<Self> {
        Ok(Self { slot: get(row, at)?, route: get(row, at + 1)? })
    }
}

impl Standing {
    /// Reads the columns of `task_read.sql` from `at` on.
    pub(crate) fn read(row: &Row, at: usize) -> Step<Self> {
        Ok(Self {
            state: task_state(row, at)?,
            session: maybe_uuid(row, at + 1)?.map(|id| SessionId::from_bytes(*id.as_bytes())),
            epoch: number(row, at + 2)?,
            priority: get(row, at + 3)?,
            attempt: count(row, at + 4)?,
            run: count(row, at + 5)?,
            losses: count(row, at + 6)?,
            parent: maybe_uuid(row, at + 7)?.map(|id| TaskId::from_bytes(*id.as_bytes())),
            key: key(row, at + 8)?,
            seen: get::<Option<i32>>(row, at + 9)?.map_or(0, |seen| u32::try_from(seen).unwrap_or(0)),
            digest: maybe_digest(row, at + 10)?.unwrap_or_default(),
            undelivered: get(row, at + 11)?,
            detached: get(row, at + 12)?,
            held: Held::read(row, at + 13)?,
            memo: memo(row, at + 15)?,
            childless: false,
            waitless: false,
        })
    }

    /// Whether this very claim of it stands.
    pub(crate) fn is_held_by(&self, lease: &Lease) -> bool {
        self.state == TaskState::Running && self.session == Some(lease.session) && self.epoch == lease.epoch
    }
}

/// An execution as its lock shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExecutionStanding {
    pub(crate) state: ExecutionState,
    pub(crate) overdue_at: Option<Timestamp>,
    pub(crate) deadline_state: Option<ExecutionState>,
}

impl ExecutionStanding {
    /// Reads the columns of `execution_lock.sql`.
    pub(crate) fn read(row: &Row) -> Step<Self> {
        Ok(Self {
            state: execution_state(row, 0)?,
            overdue_at: maybe_time(row, 1)?,
            deadline_state: get::<Option<i16>>(row, 2)?.and_then(|n| ExecutionState::stored(i64::from(n))),
        })
    }
}

/// Why a lease does not stand: its task has ended under it, or somebody else owns the task by now.
pub(crate) fn lost(task: Option<&Standing>, lease: &Lease) -> Refusal {
    match task {
        Some(task) if task.state.is_terminal() && task.epoch == lease.epoch => Refusal::Terminal(task.state),
        _ => Refusal::LeaseLost,
    }
}

/// Tags; what cannot be read as any is none.
pub(crate) fn tags(row: &Row, column: usize) -> Step<Vec<Name>> {
    Ok(serde_json::from_str(get(row, column)?).unwrap_or_default())
}

/// A column's value.
pub(crate) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Step<T> {
    match row {
        Row::Ours(row) => Ok(row.try_get(column)?),
        #[cfg(feature = "sqlx")]
        Row::Sqlx(row) => crate::theirs::value(row, column),
    }
}

/// An id of ours as the server keeps it.
pub(crate) const fn uuid(bytes: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*bytes)
}

/// Sixteen bytes.
pub(crate) fn bytes16(row: &Row, column: usize) -> Step<[u8; 16]> {
    Ok(*get::<Uuid>(row, column)?.as_bytes())
}

/// Sixteen bytes, where there are any.
pub(crate) fn maybe_uuid(row: &Row, column: usize) -> Step<Option<Uuid>> {
    get(row, column)
}

/// A task's place, from two columns.
pub(crate) fn task_ref(row: &Row, column: usize) -> Step<TaskRef> {
    Ok(TaskRef {
        execution: ExecutionId::from_bytes(bytes16(row, column)?),
        task: TaskId::from_bytes(bytes16(row, column + 1)?),
    })
}

/// A digest, where there is one.
pub(crate) fn maybe_digest(row: &Row, column: usize) -> Step<Option<[u8; 16]>> {
    Ok(get::<Option<&[u8]>>(row, column)?.and_then(|bytes| bytes.try_into().ok()))
}

/// A task's state.
pub(crate) fn task_state(row: &Row, column: usize) -> Step<TaskState> {
    TaskState::stored(i64::from(get::<i16>(row, column)?)).ok_or(Stop::Broken("a task's state is out of range"))
}

/// An execution's state.
pub(crate) fn execution_state(row: &Row, column: usize) -> Step<ExecutionState> {
    let stored = ExecutionState::stored(i64::from(get::<i16>(row, column)?));
    stored.ok_or(Stop::Broken("an execution's state is out of range"))
}

/// A number that is never negative.
pub(crate) fn number(row: &Row, column: usize) -> Step<u64> {
    u64::try_from(get::<i64>(row, column)?).map_err(|_| Stop::Broken("a number is out of range"))
}

/// A small number that is never negative.
pub(crate) fn count(row: &Row, column: usize) -> Step<u32> {
    u32::try_from(get::<i32>(row, column)?).map_err(|_| Stop::Broken("a count is out of range"))
}

/// A point in time.
pub(crate) fn time(row: &Row, column: usize) -> Step<Timestamp> {
    get(row, column).map(Timestamp::from_micros)
}

/// A point in time, where there is one.
pub(crate) fn maybe_time(row: &Row, column: usize) -> Step<Option<Timestamp>> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_micros))
}

/// A span of time that may be absent, in microseconds.
pub(crate) fn maybe_span(row: &Row, column: usize) -> Step<Option<Duration>> {
    Ok(get::<Option<i64>>(row, column)?.map(|micros| Duration::from_micros(micros.unsigned_abs())))
}

/// A span of time as it is kept.
pub(crate) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// A name.
pub(crate) fn name(row: &Row, column: usize) -> Step<Name> {
    get::<&str>(row, column).map(Name::stored)
}

/// A call's key, where there is one.
pub(crate) fn key(row: &Row, column: usize) -> Step<Option<CallKey>> {
    Ok(get::<Option<&str>>(row, column)?.map(CallKey::stored))
}

/// Options; what cannot be read as any is the defaults, so that no row can stand in the way of a claim by them.
pub(crate) fn options(row: &Row, column: usize) -> Step<TaskOptions> {
    get::<Option<&str>>(row, column).map(TaskOptions::from_stored)
}

/// The memo in options that have one; NULL where there is none.
fn memo(row: &Row, column: usize) -> Step<Option<Arc<Memo>>> {
    let options = get::<Option<&str>>(row, column)?;
    Ok(options.and_then(|options| TaskOptions::from_stored(Some(options)).memo).map(Arc::from))
}

/// Bytes, where there are any.
pub(crate) fn maybe_bytes(row: &Row, column: usize) -> Step<Option<Bytes>> {
    Ok(get::<Option<&[u8]>>(row, column)?.map(Bytes::copy_from_slice))
}

/// A payload, unverified.
pub(crate) fn payload(row: &Row, column: usize) -> Step<Payload> {
    Ok(Payload::from_stored(maybe_bytes(row, column)?.unwrap_or_default()))
}

/// A payload, where there is one.
pub(crate) fn maybe_payload(row: &Row, column: usize) -> Step<Option<Payload>> {
    Ok(maybe_bytes(row, column)?.map(Payload::from_stored))
}

/// A counter's value, from its two columns: whole where it is, else real.
pub(crate) fn counter(row: &Row, column: usize) -> Step<Number> {
    Ok(match get::<Option<i64>>(row, column)? {
        Some(whole) => Number::Whole(whole),
        None => Number::Real(get(row, column + 1)?),
    })
}

/// What the server keeps of a large count.
pub(crate) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What the server keeps of a small count.
pub(crate) fn stored_small(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

//! Rows as values. Reading is lenient where a person may have edited a value, and fails for one command alone where it
//! cannot be.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::Row;
use rusqlite::types::{Type, ValueRef};
use stent_core::command::Number;
use stent_core::{
    CallKey, ExecutionState, Lease, Memo, Name, Payload, SessionId, TaskId, TaskOptions, TaskState, Timestamp,
};

/// Where a task stands, without its payloads. The columns are those of `task_read.sql`.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) state: TaskState,
    pub(crate) session: Option<SessionId>,
    pub(crate) epoch: u64,
    pub(crate) woken: bool,
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
    pub(crate) memo: Option<Box<Memo>>,
}

/// What a task holds of its function's limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// The number of its slot, if it holds one.
    pub(crate) slot: Option<i64>,
    /// Its route, which names its function.
    pub(crate) route: i64,
}

impl Held {
    /// Reads a slot's number and a route's from `at` on.
    pub(crate) fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        Ok(Self { slot: row.get(at)?, route: row.get(at + 1)? })
    }
}

impl Standing {
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            state: task_state(row, 0)?,
            session: row.get::<_, Option<[u8; 16]>>(1)?.map(SessionId::from_bytes),
            epoch: number(row, 2)?,
            woken: row.get(3)?,
            priority: row.get(4)?,
            attempt: row.get(5)?,
            run: row.get(6)?,
            losses: row.get(7)?,
            parent: row.get::<_, Option<[u8; 16]>>(8)?.map(TaskId::from_bytes),
            key: key(row, 9)?,
            seen: row.get::<_, Option<u32>>(10)?.unwrap_or(0),
            digest: row.get::<_, Option<[u8; 16]>>(11)?.unwrap_or_default(),
            undelivered: row.get(12)?,
            detached: row.get(13)?,
            held: Held::read(row, 15)?,
            memo: memo(row, 17)?,
        })
    }

    /// Whether this very claim of it stands.
    pub(crate) fn is_held_by(&self, lease: &Lease) -> bool {
        self.state == TaskState::Running && self.session == Some(lease.session) && self.epoch == lease.epoch
    }
}

fn broken(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, "a number out of range".into())
}

/// A task's state.
pub(crate) fn task_state(row: &Row<'_>, column: usize) -> rusqlite::Result<TaskState> {
    TaskState::stored(row.get(column)?).ok_or_else(|| broken(column))
}

/// An execution's state.
pub(crate) fn execution_state(row: &Row<'_>, column: usize) -> rusqlite::Result<ExecutionState> {
    ExecutionState::stored(row.get(column)?).ok_or_else(|| broken(column))
}

/// A count that is never negative.
pub(crate) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| broken(column))
}

/// A point in time.
pub(crate) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_micros)
}

/// A point in time, where there is one.
pub(crate) fn maybe_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
}

/// A span of time that may be absent, in microseconds.
pub(crate) fn maybe_span(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Duration>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|micros| Duration::from_micros(micros.unsigned_abs())))
}

/// A span of time as it is kept.
pub(crate) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// A call's key, where there is one.
pub(crate) fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<CallKey>> {
    Ok(row.get_ref(column)?.as_str_or_null()?.map(CallKey::stored))
}

/// Tags; what cannot be read as any is none.
pub(crate) fn tags(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<Name>> {
    Ok(serde_json::from_str(row.get_ref(column)?.as_str()?).unwrap_or_default())
}

/// Options; what cannot be read as any is the defaults, so that no row can stand in the way of a claim by them.
pub(crate) fn options(row: &Row<'_>, column: usize) -> rusqlite::Result<TaskOptions> {
    Ok(TaskOptions::from_stored(row.get_ref(column)?.as_str().ok()))
}

/// The memo in options that have one; NULL where there is none.
pub(crate) fn memo(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Box<Memo>>> {
    Ok(row.get_ref(column)?.as_str_or_null()?.and_then(|options| TaskOptions::from_stored(Some(options)).memo))
}

/// Bytes; text is taken as its bytes, so that a value that a person wrote by hand is still a (damaged) payload.
pub(crate) fn maybe_bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Bytes>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Ok(Some(Bytes::copy_from_slice(bytes))),
        ValueRef::Integer(_) | ValueRef::Real(_) => Ok(Some(Bytes::new())),
    }
}

/// A payload, unverified.
pub(crate) fn payload(row: &Row<'_>, column: usize) -> rusqlite::Result<Payload> {
    Ok(Payload::from_stored(maybe_bytes(row, column)?.unwrap_or_default()))
}

/// A payload, where there is one.
pub(crate) fn maybe_payload(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Payload>> {
    Ok(maybe_bytes(row, column)?.map(Payload::from_stored))
}

/// A counter's value: whole and real as SQLite's own types; what is no number (stored as NULL) comes back as that.
pub(crate) fn counter(row: &Row<'_>, column: usize) -> rusqlite::Result<Number> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(n) => Number::Whole(n),
        ValueRef::Real(x) => Number::Real(x),
        _ => Number::Real(f64::NAN),
    })
}

/// What SQLite keeps of a count.
pub(crate) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

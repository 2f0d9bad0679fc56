//! Append, and the effects that a record can carry. A plain record is one row: its statement checks the lease and
//! inserts in one.

use rusqlite::params;
use stent_core::command::{Append, Done, Effect, Number, Refusal, Start};
use stent_core::{ExecutionId, Failure, FailureKind, Lease, Payload, Record, Timestamp, Verdict};

use crate::batch::Batch;
use crate::error::{Step, Stop};
use crate::query::Query;
use crate::{messages, rows, starts};

/// Carries out [`Append`].
pub(crate) fn append(batch: &mut Batch<'_>, append: &Append) -> Step<Done> {
    let record = written(append, batch.now);
    let Some(effect) = &append.effect else { return plain(batch, &append.lease, record) };
    batch.leased(&append.lease)?;
    if is_taken(batch, &append.lease, record.seq)? {
        return Err(Refusal::Exists.into());
    }
    let (verdict, payload) = match carry_out(batch, append.lease.task.execution, effect) {
        Ok(payload) => (Verdict::Ok, payload),
        Err(Stop::Refused(refusal)) => {
            (Verdict::Failed, Failure::new(FailureKind::Error, refusal.to_string()).to_payload())
        }
        Err(failed) => return Err(failed),
    };
    let record = Record { verdict, payload, ..record };
    insert(batch, &append.lease, &record)?;
    Ok(Done::Recorded(Box::new(record)))
}

fn written(append: &Append, at: Timestamp) -> Record {
    let new = &append.record;
    Record {
        seq: new.seq,
        key: new.key.clone(),
        kind: new.kind,
        run: new.run,
        seen: new.seen,
        digest: new.digest,
        verdict: new.verdict,
        payload: new.payload.clone(),
        source: new.source,
        at,
    }
}

/// A record without an effect: one statement, unless it is refused.
fn plain(batch: &mut Batch<'_>, lease: &Lease, record: Record) -> Step<Done> {
    if batch.is_open(lease.session)? {
        let statement = batch.sql.get(Query::RecordAppend)?;
        statement.raw_bind_parameter(1, lease.task.execution.as_bytes())?;
        statement.raw_bind_parameter(2, lease.task.task.as_bytes())?;
        statement.raw_bind_parameter(3, lease.session.as_bytes())?;
        statement.raw_bind_parameter(4, rows::stored(lease.epoch))?;
        statement.raw_bind_parameter(5, record.seq)?;
        statement.raw_bind_parameter(6, record.kind as u8)?;
        statement.raw_bind_parameter(7, record.run)?;
        statement.raw_bind_parameter(8, record.seen)?;
        statement.raw_bind_parameter(9, record.verdict as u8)?;
        statement.raw_bind_parameter(10, record.at.as_micros())?;
        statement.raw_bind_parameter(11, record.key.as_str())?;
        statement.raw_bind_parameter(12, record.digest.as_ref())?;
        statement.raw_bind_parameter(13, &record.payload.as_stored()[..])?;
        statement.raw_bind_parameter(14, record.source.as_ref())?;
        if statement.raw_execute()? > 0 {
            return Ok(Done::Recorded(Box::new(record)));
        }
    }
    batch.leased(lease)?;
    Err(Refusal::Exists.into())
}

/// Whether a place in the history of the lease's task is taken.
pub(crate) fn is_taken(batch: &mut Batch<'_>, lease: &Lease, seq: u32) -> Step<bool> {
    let statement = batch.sql.get(Query::RecordExists)?;
    Ok(statement.exists(params![lease.task.execution.as_bytes(), lease.task.task.as_bytes(), seq])?)
}

/// Writes a record for a task whose lease was checked.
pub(crate) fn insert(batch: &mut Batch<'_>, lease: &Lease, record: &Record) -> Step<()> {
    let changed = batch.sql.get(Query::RecordInsert)?.execute(params![
        lease.task.execution.as_bytes(),
        lease.task.task.as_bytes(),
        record.seq,
        rows::stored(lease.epoch),
        record.kind as u8,
        record.run,
        record.seen,
        record.verdict as u8,
        record.at.as_micros(),
        record.key.as_str(),
        record.digest,
        record.source,
        &record.payload.as_stored()[..],
    ])?;
    if changed == 0 { Err(Refusal::Exists.into()) } else { Ok(()) }
}

/// Makes the change and tells what to record of it.
pub(crate) fn carry_out(batch: &mut Batch<'_>, execution: ExecutionId, effect: &Effect) -> Step<Payload> {
    match effect {
        // Never claimed: a record cannot hand the task out.
        Effect::Start(start) => match starts::start(batch, &Start { claim_for: None, ..Start::clone(start) })? {
            Done::Started { execution, created, .. } => {
                Ok(json(&serde_json::json!({ "execution": execution.to_string(), "created": created })))
            }
            _ => Ok(Payload::null()),
        },
        Effect::Signal(signal) => messages::signal(batch, signal).map(|_| Payload::null()),
        Effect::Emit(emit) => messages::emit(batch, emit).map(|_| Payload::null()),
        Effect::EnsureCounters(counters) => {
            for (name, value) in counters {
                write_counter(batch, Query::CounterEnsure, execution, name, *value)?;
            }
            Ok(Payload::null())
        }
        Effect::AddCounter(name, amount) => Ok(json(&add_counter(batch, execution, name, *amount)?)),
        Effect::EnsureState(values) => {
            for (name, value) in values {
                write_state(batch, Query::StateEnsure, execution, name, value)?;
            }
            Ok(Payload::null())
        }
        Effect::SetState(name, value) => {
            write_state(batch, Query::StateSet, execution, name, value)?;
            Ok(Payload::null())
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> Payload {
    Payload::json(value).unwrap_or_else(|_| Payload::null())
}

/// Adds to a counter; its new value.
pub(crate) fn add_counter(batch: &mut Batch<'_>, execution: ExecutionId, name: &str, amount: Number) -> Step<Number> {
    let value = counter(batch, execution, name)?.plus(amount);
    write_counter(batch, Query::CounterSet, execution, name, value)?;
    Ok(value)
}

fn counter(batch: &mut Batch<'_>, execution: ExecutionId, name: &str) -> Step<Number> {
    let mut rows = batch.sql.get(Query::CounterRead)?.query(params![execution.as_bytes(), name])?;
    Ok(match rows.next()? {
        Some(row) => rows::counter(row, 0)?,
        None => Number::Whole(0),
    })
}

fn write_counter(batch: &mut Batch<'_>, query: Query, execution: ExecutionId, name: &str, value: Number) -> Step<()> {
    let statement = batch.sql.get(query)?;
    match value {
        Number::Whole(n) => statement.execute(params![execution.as_bytes(), name, n])?,
        Number::Real(x) => statement.execute(params![execution.as_bytes(), name, x])?,
    };
    Ok(())
}

fn write_state(batch: &mut Batch<'_>, query: Query, execution: ExecutionId, name: &str, value: &Payload) -> Step<()> {
    batch.sql.get(query)?.execute(params![execution.as_bytes(), name, &value.as_stored()[..]])?;
    Ok(())
}

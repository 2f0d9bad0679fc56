//! Append, and the effects that a record can carry. A plain record is one row among those of its batch.

use stent_core::command::{Append, Done, Effect, Number, Refusal, Start};
use stent_core::{ExecutionId, Failure, FailureKind, Lease, Payload, Record, Timestamp, Verdict};

use crate::batch::Batch;
use crate::error::{Step, Stop};
use crate::query::{Blob, Query};
use crate::rows::{self, uuid};
use crate::{messages, starts};

/// Carries out [`Append`].
pub(crate) async fn append(batch: &mut Batch<'_>, append: &Append) -> Step<Done> {
    batch.leased(&append.lease).await?;
    let record = written(append, batch.now);
    let Some(effect) = &append.effect else {
        insert(batch, &append.lease, &record).await?;
        return Ok(Done::Recorded(Box::new(record)));
    };
    // An effect is not carried out for a record that has no place.
    if is_taken(batch, &append.lease, record.seq).await? {
        return Err(Refusal::Exists.into());
    }
    let (verdict, payload) = match carry_out(batch, append.lease.task.execution, effect).await {
        Ok(payload) => (Verdict::Ok, payload),
        Err(Stop::Refused(refusal)) => {
            (Verdict::Failed, Failure::new(FailureKind::Error, refusal.to_string()).to_payload())
        }
        Err(failed) => return Err(failed),
    };
    let record = Record { verdict, payload, ..record };
    batch.writes.record(append.lease.task, append.lease.epoch, &record);
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

/// Whether a place in the history of the lease's task is taken.
pub(crate) async fn is_taken(batch: &mut Batch<'_>, lease: &Lease, seq: u32) -> Step<bool> {
    let (execution, task) = (uuid(lease.task.execution.as_bytes()), uuid(lease.task.task.as_bytes()));
    batch.exists(Query::RecordExists, &[&execution, &task, &i64::from(seq)]).await
}

/// Writes a record for a task whose lease was checked. A trusting batch takes its place to be free.
pub(crate) async fn insert(batch: &mut Batch<'_>, lease: &Lease, record: &Record) -> Step<()> {
    if batch.is_careful() && is_taken(batch, lease, record.seq).await? {
        return Err(Refusal::Exists.into());
    }
    batch.writes.record(lease.task, lease.epoch, record);
    Ok(())
}

/// Makes the change and tells what to record of it.
pub(crate) async fn carry_out(batch: &mut Batch<'_>, execution: ExecutionId, effect: &Effect) -> Step<Payload> {
    match effect {
        Effect::Start(start) => {
            // Looked for whatever the batch's care: what is refused here is a record, and a record cannot be taken back.
            if start.key.is_none() && batch.exists(Query::ExecutionExists, &[&uuid(start.id.as_bytes())]).await? {
                return Err(Refusal::Exists.into());
            }
            // Never claimed: a record cannot hand the task out.
            match starts::start(batch, &Start { claim_for: None, ..Start::clone(start) }).await? {
                Done::Started { execution, created, .. } => {
                    Ok(json(&serde_json::json!({ "execution": execution.to_string(), "created": created })))
                }
                _ => Ok(Payload::null()),
            }
        }
        Effect::Signal(signal) => messages::signal(batch, signal).await.map(|_| Payload::null()),
        Effect::Emit(emit) => messages::emit(batch, emit).await.map(|_| Payload::null()),
        Effect::EnsureCounters(counters) => {
            for (name, value) in counters {
                write_counter(batch, Query::CounterEnsure, execution, name, *value).await?;
            }
            Ok(Payload::null())
        }
        Effect::AddCounter(name, amount) => Ok(json(&add_counter(batch, execution, name, *amount).await?)),
        Effect::EnsureState(values) => {
            for (name, value) in values {
                write_state(batch, Query::StateEnsure, execution, name, value).await?;
            }
            Ok(Payload::null())
        }
        Effect::SetState(name, value) => {
            write_state(batch, Query::StateSet, execution, name, value).await?;
            Ok(Payload::null())
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> Payload {
    Payload::json(value).unwrap_or_else(|_| Payload::null())
}

/// Adds to a counter; its new value. Tasks of one execution may run in different processes: the row is what they meet at.
pub(crate) async fn add_counter(
    batch: &mut Batch<'_>,
    execution: ExecutionId,
    name: &str,
    amount: Number,
) -> Step<Number> {
    write_counter(batch, Query::CounterEnsure, execution, name, Number::Whole(0)).await?;
    let value = counter(batch, execution, name).await?.plus(amount);
    write_counter(batch, Query::CounterSet, execution, name, value).await?;
    Ok(value)
}

async fn counter(batch: &mut Batch<'_>, execution: ExecutionId, name: &str) -> Step<Number> {
    let row = batch.row(Query::CounterRead, &[&uuid(execution.as_bytes()), &name]).await?;
    row.map_or(Ok(Number::Whole(0)), |row| rows::counter(&row, 0))
}

async fn write_counter(
    batch: &mut Batch<'_>,
    query: Query,
    execution: ExecutionId,
    name: &str,
    value: Number,
) -> Step<()> {
    let whole = match value {
        Number::Whole(whole) => Some(whole),
        Number::Real(_) => None,
    };
    batch.execute(query, &[&uuid(execution.as_bytes()), &name, &whole, &value.as_f64()]).await?;
    Ok(())
}

async fn write_state(
    batch: &mut Batch<'_>,
    query: Query,
    execution: ExecutionId,
    name: &str,
    value: &Payload,
) -> Step<()> {
    let value = Blob(value.as_stored().clone());
    batch.execute(query, &[&uuid(execution.as_bytes()), &name, &value]).await?;
    Ok(())
}

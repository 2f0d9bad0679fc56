//! Signal and Emit: payloads for one execution, and for whoever waits under a name.

use stent_core::command::{Done, Emit, Refusal, Signal};
use stent_core::{ExecutionId, TaskId, TaskRef};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::{Blob, Query};
use crate::rows::{self, uuid};
use crate::tree;

/// Carries out [`Signal`]. The execution's lock is what it meets the waits for it at.
pub(crate) async fn signal(batch: &mut Batch<'_>, signal: &Signal) -> Step<Done> {
    let execution = signal.execution;
    let Some(standing) = batch.lock(execution).await? else { return Err(Refusal::Unknown.into()) };
    if standing.state.is_terminal() {
        return Err(Refusal::Terminal(standing.state.as_task_state()).into());
    }
    let (id, name) = (uuid(execution.as_bytes()), signal.name.as_str());
    let (signal_id, payload) = (uuid(signal.id.as_bytes()), Blob(signal.payload.as_stored().clone()));
    let now = batch.now.as_micros();
    if batch.execute(Query::SignalInsert, &[&id, &name, &signal_id, &payload, &now]).await? == 0 {
        return Err(Refusal::Exists.into());
    }
    wake_waiters(batch, execution, name).await?;
    Ok(Done::Nothing)
}

/// Wakes every task of an execution that waits for signals of a name.
pub(crate) async fn wake_waiters(batch: &mut Batch<'_>, execution: ExecutionId, name: &str) -> Step<()> {
    for row in batch.query(Query::WaitTasksForSignal, &[&uuid(execution.as_bytes()), &name]).await? {
        let task = TaskId::from_bytes(rows::bytes16(&row, 0)?);
        tree::wake(batch, TaskRef { execution, task }).await?;
    }
    Ok(())
}

/// Carries out [`Emit`]. The stream's row is what it meets the waits for it at.
pub(crate) async fn emit(batch: &mut Batch<'_>, emit: &Emit) -> Step<Done> {
    let (queue, name) = (emit.queue.as_str(), emit.name.as_str());
    let place = batch.row(Query::EventStreamNext, &[&queue, &name]).await?;
    let place: i64 = place.map_or(Ok(1), |row| rows::get(&row, 0))?;
    let (id, payload) = (uuid(emit.id.as_bytes()), Blob(emit.payload.as_stored().clone()));
    let now = batch.now.as_micros();
    batch.execute(Query::EventInsert, &[&queue, &name, &place, &id, &payload, &now]).await?;
    for row in batch.query(Query::WaitTasksForEvent, &[&queue, &name]).await? {
        tree::wake(batch, rows::task_ref(&row, 0)?).await?;
    }
    Ok(Done::Nothing)
}

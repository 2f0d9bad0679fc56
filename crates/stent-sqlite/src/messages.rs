//! Signal and Emit: payloads for one execution, and for whoever waits under a name.

use rusqlite::params;
use stent_core::command::{Done, Emit, Refusal, Signal};
use stent_core::{ExecutionId, TaskId, TaskRef};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::Query;
use crate::{rows, tree};

/// Carries out [`Signal`].
pub(crate) fn signal(batch: &mut Batch<'_>, signal: &Signal) -> Step<Done> {
    let execution = signal.execution;
    let state = {
        let mut rows = batch.sql.get(Query::ExecutionRead)?.query([execution.as_bytes()])?;
        match rows.next()? {
            Some(row) => rows::execution_state(row, 0)?,
            None => return Err(Refusal::Unknown.into()),
        }
    };
    if state.is_terminal() {
        return Err(Refusal::Terminal(state.as_task_state()).into());
    }
    let name = signal.name.as_str();
    let place: i64 =
        batch.sql.get(Query::SignalLineEnd)?.query_row(params![execution.as_bytes(), name], |row| row.get(0))?;
    let changed = batch.sql.get(Query::SignalInsert)?.execute(params![
        execution.as_bytes(),
        name,
        place,
        signal.id.as_bytes(),
        &signal.payload.as_stored()[..],
        batch.now.as_micros()
    ])?;
    if changed == 0 {
        return Err(Refusal::Exists.into());
    }
    wake_waiters(batch, execution, name)?;
    Ok(Done::Nothing)
}

/// Wakes every task of an execution that waits for signals of a name.
pub(crate) fn wake_waiters(batch: &mut Batch<'_>, execution: ExecutionId, name: &str) -> Step<()> {
    let tasks = {
        let statement = batch.sql.get(Query::WaitTasksForSignal)?;
        let rows =
            statement.query_map(params![execution.as_bytes(), name], |row| row.get(0).map(TaskId::from_bytes))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()?
    };
    for task in tasks {
        tree::wake(batch, TaskRef { execution, task })?;
    }
    Ok(())
}

/// Carries out [`Emit`].
pub(crate) fn emit(batch: &mut Batch<'_>, emit: &Emit) -> Step<Done> {
    let (queue, name) = (emit.queue.as_str(), emit.name.as_str());
    let place: i64 = batch.sql.get(Query::EventStreamNext)?.query_row([queue, name], |row| row.get(0))?;
    batch.sql.get(Query::EventInsert)?.execute(params![
        queue,
        name,
        place,
        emit.id.as_bytes(),
        &emit.payload.as_stored()[..],
        batch.now.as_micros()
    ])?;
    let tasks = {
        let statement = batch.sql.get(Query::WaitTasksForEvent)?;
        let rows = statement.query_map([queue, name], |row| {
            Ok(TaskRef { execution: ExecutionId::from_bytes(row.get(0)?), task: TaskId::from_bytes(row.get(1)?) })
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()?
    };
    for task in tasks {
        tree::wake(batch, task)?;
    }
    Ok(Done::Nothing)
}

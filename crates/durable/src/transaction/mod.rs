//! Starts and events inside a transaction of the user's own: there when it commits, not there when it does not. They
//! run on the user's connection, never through the store's committers. What is the same whichever database it is lies
//! here: what the verbs ask of the store, and what its answers mean.

#[cfg(feature = "postgres")]
pub(crate) mod inside;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlx")]
mod sqlx;

use serde::Serialize;
use stent_core::command::{Command, Done, Emit, Outcome, Start};
use stent_core::{Name, Payload, Refusal, StoreError, StoreErrorKind};
use stent_engine::{StartRequest, Started};

use crate::client::{Durable, spawned};
use crate::error::DurableError;
use crate::options::SpawnOptions;
use crate::report::SpawnResult;

#[cfg(feature = "sqlx")]
pub use self::sqlx::InSqlxTransaction;
#[cfg(feature = "postgres")]
pub use postgres::InPostgresTransaction;
#[cfg(feature = "sqlite")]
pub use sqlite::InTransaction;

/// The start of a task, with an id of its own.
fn start(client: &Durable, name: &str, args: Payload, options: &SpawnOptions) -> Result<Command, DurableError> {
    let request = client.request(Name::new("task", name)?, args, options)?;
    let StartRequest { spec, key, due, deadline, .. } = request;
    let id = client.engine_inside().new_execution_id();
    Ok(Command::Start(Box::new(Start { id, spec, key, due, deadline, claim_for: None })))
}

fn emit<P: Serialize + ?Sized>(
    client: &Durable,
    name: &str,
    payload: &P,
    queue: Option<&str>,
) -> Result<Command, DurableError> {
    let queue = queue.map(|queue| Name::new("queue", queue)).transpose()?;
    Ok(Command::Emit(Emit {
        id: client.engine_inside().new_event_id(),
        queue: queue.unwrap_or_else(|| client.defaults().queue.clone()),
        name: Name::new("event", name)?,
        payload: Payload::json(payload)?,
    }))
}

/// What became of the one command.
fn answer(mut outcomes: Vec<Outcome>) -> Result<Done, DurableError> {
    outcomes.pop().unwrap_or(Err(Refusal::Unknown)).map_err(DurableError::Refused)
}

fn started(done: &Done) -> Result<SpawnResult, DurableError> {
    match done {
        Done::Started { execution, created, .. } => Ok(spawned(Started { execution: *execution, created: *created })),
        other => Err(StoreError::new(StoreErrorKind::Corrupt, format!("a start was answered with {other:?}")).into()),
    }
}

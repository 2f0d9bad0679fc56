//! `stent signal` and `stent cancel`: what people say to an execution.

use serde_json::{Value, json};
use stent_core::{ExecutionId, Name, Payload, TaskId};
use stent_engine::{Engine, EngineError};

use super::{Outcome, id, signal_name};
use crate::exit::{Code, Failed};
use crate::output::Shown;

#[derive(clap::Args)]
pub(crate) struct SignalArgs {
    /// The execution's id.
    #[arg(value_parser = id)]
    id: TaskId,
    /// The signal's name.
    #[arg(value_parser = signal_name)]
    name: Name,
    /// What it carries, as JSON: '{"approved": true}'.
    #[arg(value_name = "JSON", default_value = "null", value_parser = json_value)]
    payload: Value,
}

#[derive(clap::Args)]
pub(crate) struct CancelArgs {
    /// The execution's id; that of a child cancels it and what it called.
    #[arg(value_parser = id)]
    id: TaskId,
}

fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}; text goes in quotes: '\"like this\"'"))
}

pub(crate) async fn signal(engine: &Engine, args: SignalArgs) -> Outcome {
    let SignalArgs { id, name, payload } = args;
    let execution = ExecutionId::from_uuid(id.uuid());
    let payload = Payload::json(&payload).map_err(EngineError::from)?;
    let given = engine.signal(execution, name.clone(), payload).await;
    if matches!(given, Err(EngineError::Unknown))
        && let Some(child) = engine.store().find_task(id).await?
    {
        let words = format!("{id} is a task of the execution {}: signals go to that", child.execution);
        return Err(Failed::new(Code::Unknown, words));
    }
    given.map_err(|error| Failed::of(error, "execution", id))?;
    Ok(Shown::new(format!("gave the signal {name} to {id}"), json!({ "execution": id, "signal": name })))
}

pub(crate) async fn cancel(engine: &Engine, args: CancelArgs) -> Outcome {
    let id = args.id;
    engine.cancel(id).await.map_err(|error| Failed::of(error, "execution", id))?;
    Ok(Shown::new(format!("cancelled {id}"), json!({ "cancelled": id })))
}

//! `stent list`: executions, newest first.

use serde_json::{Value, json};
use stent_core::view::{ExecutionFilter, ExecutionView};
use stent_core::{ExecutionState, Name};
use stent_engine::Engine;

use super::{Outcome, execution_state, queue};
use crate::output::{Shown, json_failure, json_time, maybe_json_time, maybe_time, plain, short, table, time};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only those in this state: pending, running, completed, failed, timed_out, cancelling, cancelled.
    #[arg(long, value_parser = execution_state)]
    state: Option<ExecutionState>,
    /// Only those of this queue.
    #[arg(long, value_parser = queue)]
    queue: Option<Name>,
    /// How many at most.
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// How many to pass over first.
    #[arg(long, default_value_t = 0)]
    offset: u32,
}

pub(crate) async fn run(engine: &Engine, args: Args) -> Outcome {
    let Args { state, queue, limit, offset } = args;
    let views = engine.store().executions(ExecutionFilter { state, queue, limit, offset }).await?;
    let rows = views.iter().map(row).collect();
    let text = table(["EXECUTION", "FUNCTION", "STATE", "QUEUE", "CREATED", "ENDED", "FAILURE"], rows, "no executions");
    Ok(Shown::new(text, views.iter().map(entry).collect()))
}

fn row(view: &ExecutionView) -> [String; 7] {
    let failure = view.failure.as_ref().map_or_else(String::new, |failure| short(&failure.message));
    [
        view.id.to_string(),
        plain(&view.function),
        view.state.to_string(),
        plain(&view.queue),
        time(view.created_at),
        maybe_time(view.completed_at),
        failure,
    ]
}

/// An execution for programs.
pub(crate) fn entry(view: &ExecutionView) -> Value {
    json!({
        "id": view.id,
        "function": view.function,
        "state": view.state,
        "queue": view.queue,
        "priority": view.priority,
        "tags": view.tags,
        "attempts": view.attempts,
        "created_at": json_time(view.created_at),
        "started_at": maybe_json_time(view.started_at),
        "completed_at": maybe_json_time(view.completed_at),
        "deadline": maybe_json_time(view.deadline),
        "failure": view.failure.as_ref().map(json_failure),
    })
}

//! `stent tasks`: the tasks of one execution, or of all.

use serde_json::{Value, json};
use stent_core::view::{TaskFilter, TaskView};
use stent_core::{Name, TaskId, TaskState};
use stent_engine::Engine;

use super::{Outcome, id, queue, task_state};
use crate::exit::Failed;
use crate::output::{Shown, json_failure, json_time, maybe_json_time, maybe_time, plain, short, table, time};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only those of this execution (its id, or that of any of its tasks), oldest first.
    #[arg(value_parser = id)]
    id: Option<TaskId>,
    /// Only those in this state: pending, running, suspended, completed, failed, timed_out, cancelled.
    #[arg(long, value_parser = task_state)]
    state: Option<TaskState>,
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
    let store = engine.store();
    let views = match args.id {
        Some(id) => {
            let task = store.find_task(id).await?.ok_or_else(|| Failed::unknown("execution", id))?;
            let mut tasks = store.tasks(task.execution).await?;
            tasks.sort_by_key(|view| (view.created_at, !view.task.is_root()));
            tasks.retain(|view| args.state.is_none_or(|state| state == view.state));
            tasks.retain(|view| args.queue.as_ref().is_none_or(|queue| *queue == view.queue));
            tasks.into_iter().skip(args.offset as usize).take(args.limit as usize).collect()
        }
        None => {
            let Args { state, queue, limit, offset, .. } = args;
            store.list_tasks(TaskFilter { state, queue, only_children: false, limit, offset }).await?
        }
    };
    let rows = views.iter().map(row).collect();
    let text = table(["TASK", "FUNCTION", "STATE", "QUEUE", "ATTEMPT", "DUE", "CREATED", "FAILURE"], rows, "no tasks");
    Ok(Shown::new(text, views.iter().map(entry).collect()))
}

fn row(view: &TaskView) -> [String; 8] {
    let failure = view.failure.as_ref().map_or_else(String::new, |failure| short(&failure.message));
    [
        view.task.task.to_string(),
        plain(&view.function),
        view.state.to_string(),
        plain(&view.queue),
        view.attempt.to_string(),
        maybe_time(view.due),
        time(view.created_at),
        failure,
    ]
}

fn entry(view: &TaskView) -> Value {
    json!({
        "id": view.task.task,
        "execution": view.task.execution,
        "parent": view.parent,
        "key": view.key,
        "function": view.function,
        "state": view.state,
        "queue": view.queue,
        "priority": view.priority,
        "tags": view.tags,
        "attempt": view.attempt,
        "losses": view.losses,
        "worker": view.session,
        "due": maybe_json_time(view.due),
        "created_at": json_time(view.created_at),
        "started_at": maybe_json_time(view.started_at),
        "completed_at": maybe_json_time(view.completed_at),
        "failure": view.failure.as_ref().map(json_failure),
    })
}

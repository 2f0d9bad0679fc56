//! `stent stats`: how much of everything there is, counted by the database.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use stent_core::view::Stats;
use stent_core::{ExecutionState, TaskState};
use stent_engine::Engine;

use super::Outcome;
use crate::output::{Shown, plain, table};

pub(crate) async fn run(engine: &Engine) -> Outcome {
    let stats = engine.store().stats().await?;
    Ok(Shown::new(text(&stats), value(&stats)))
}

fn text(stats: &Stats) -> String {
    let executions = ExecutionState::ALL.map(|state| [state.to_string(), stats.executions_in(state).to_string()]);
    let executions = table(["EXECUTIONS", ""], executions.to_vec(), "");
    let tasks = stats.tasks.iter().map(|((queue, state), count)| [plain(queue), state.to_string(), count.to_string()]);
    let tasks = table(["QUEUE", "TASKS", ""], tasks.collect(), "no tasks\n");
    let mut text = format!("{executions}\n{tasks}\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "dead letters  {}", stats.letters);
    let _ = writeln!(text, "workers       {}", stats.workers);
    text
}

fn value(stats: &Stats) -> Value {
    let executions: Map<_, _> = ExecutionState::ALL
        .into_iter()
        .map(|state| (state.as_str().to_owned(), Value::from(stats.executions_in(state))))
        .collect();
    let mut queues: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (queue, _) in stats.tasks.keys() {
        let all = TaskState::ALL.into_iter().map(|state| (state.as_str(), stats.tasks_in(Some(queue), state)));
        queues.entry(queue).or_insert_with(|| all.map(|(state, count)| (state.to_owned(), count.into())).collect());
    }
    json!({ "executions": executions, "tasks": queues, "dead_letters": stats.letters, "workers": stats.workers })
}

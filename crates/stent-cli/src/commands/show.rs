//! `stent show`: one execution with its progress and what it carries.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use stent_core::command::Number;
use stent_core::view::{Baggage, ExecutionView};
use stent_core::{Progress, TaskId};
use stent_engine::Engine;

use super::{Outcome, id, list};
use crate::exit::Failed;
use crate::output::{Shown, json_payload, maybe_json_time, maybe_time, plain, short, table, time};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The execution's id, or that of any of its tasks.
    #[arg(value_parser = id)]
    id: TaskId,
}

pub(crate) async fn run(engine: &Engine, args: Args) -> Outcome {
    let store = engine.store();
    let unknown = || Failed::unknown("execution", args.id);
    let task = store.find_task(args.id).await?.ok_or_else(unknown)?;
    let view = store.execution(task.execution).await?.ok_or_else(unknown)?;
    let baggage = store.baggage(task.execution).await?;
    let progress = engine.progress(task.execution).await?;
    Ok(Shown::new(text(&view, &baggage, &progress), value(&view, &baggage, &progress)))
}

fn text(view: &ExecutionView, baggage: &Baggage, progress: &[Progress]) -> String {
    let tags = view.tags.iter().map(|tag| plain(tag)).collect::<Vec<_>>().join(", ");
    let mut facts = vec![
        ("execution", view.id.to_string()),
        ("function", plain(&view.function)),
        ("state", view.state.to_string()),
        ("queue", plain(&view.queue)),
        ("priority", view.priority.to_string()),
        ("tags", if tags.is_empty() { "-".to_owned() } else { tags }),
        ("attempts", view.attempts.to_string()),
        ("created", time(view.created_at)),
        ("started", maybe_time(view.started_at)),
        ("ended", maybe_time(view.completed_at)),
    ];
    facts.extend(view.deadline.map(|at| ("deadline", time(at))));
    facts.extend(view.result.as_ref().map(|result| ("result", plain(&json_payload(result).to_string()))));
    facts.extend(view.failure.as_ref().map(|failure| ("failure", plain(&failure.to_string()))));
    facts.extend(baggage.counters.iter().map(|(name, value)| ("counter", format!("{} = {}", plain(name), of(*value)))));
    facts.extend(
        baggage.state.iter().map(|(name, value)| ("value", plain(&format!("{name} = {}", json_payload(value))))),
    );
    let mut text = String::new();
    for (name, value) in facts {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<10} {value}");
    }
    let rows = progress.iter().map(|entry| {
        let detail = entry.detail.as_deref().map_or_else(String::new, short);
        [
            plain(&entry.step),
            entry.status.to_string(),
            maybe_time(entry.started_at),
            maybe_time(entry.completed_at),
            detail,
        ]
    });
    let steps = table(["STEP", "STATUS", "STARTED", "ENDED", "DETAIL"], rows.collect(), "");
    format!("{text}\n{steps}")
}

/// A counter's value as JSON has it.
fn of(number: Number) -> Value {
    json!(number)
}

fn value(view: &ExecutionView, baggage: &Baggage, progress: &[Progress]) -> Value {
    let mut value = list::entry(view);
    let counters: Map<_, _> = baggage.counters.iter().map(|(name, value)| (name.to_string(), of(*value))).collect();
    let state: Map<_, _> = baggage.state.iter().map(|(name, value)| (name.to_string(), json_payload(value))).collect();
    let progress: Value = progress.iter().map(entry).collect();
    if let Value::Object(fields) = &mut value {
        fields.insert("result".to_owned(), view.result.as_ref().map_or(Value::Null, json_payload));
        fields.insert("counters".to_owned(), counters.into());
        fields.insert("values".to_owned(), state.into());
        fields.insert("progress".to_owned(), progress);
    }
    value
}

fn entry(progress: &Progress) -> Value {
    json!({
        "step": progress.step,
        "status": progress.status,
        "started_at": maybe_json_time(progress.started_at),
        "completed_at": maybe_json_time(progress.completed_at),
        "detail": progress.detail,
    })
}

//! `stent dlq`: tasks that failed for good, or were put away by hand.

use std::time::Duration;

use serde_json::{Value, json};
use stent_core::view::LetterView;
use stent_core::{Failure, FailureKind, Name, TaskId};
use stent_engine::Engine;

use super::{Outcome, duration, id, queue};
use crate::exit::Failed;
use crate::output::{Shown, json_failure, json_payload, json_time, plain, short, table, time};

/// What a letter is called in an error.
const LETTER: &str = "dead letter of the task";

#[derive(clap::Subcommand)]
pub(crate) enum Args {
    /// List dead letters, newest first.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show one dead letter with all of its failure and its arguments.
    Show(One),
    /// Run a dead letter's task again from its last success. A root brings its execution back.
    Replay {
        /// Whose letter: the task's id.
        #[arg(value_parser = id)]
        id: TaskId,
        /// Run it in another queue.
        #[arg(long, value_parser = queue)]
        queue: Option<Name>,
        /// Go on counting attempts where it failed, so that it gets one; else it counts anew.
        #[arg(long)]
        keep_attempts: bool,
    },
    /// Throw a dead letter away; its task stays failed.
    Discard(One),
    /// Put a task that has not ended away as a dead letter, by hand. Whatever it called is cancelled.
    Move {
        /// Which task.
        #[arg(value_parser = id)]
        id: TaskId,
        /// Why: shown as its failure.
        #[arg(long)]
        reason: String,
    },
    /// Say how many dead letters there are.
    Count,
    /// Throw old dead letters away; their tasks stay failed.
    Cleanup {
        /// Only letters that were put away longer ago than this: 90s, 12h, 7d, 1h30m (s, m, h, d, w).
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        older_than: Duration,
    },
}

#[derive(clap::Args)]
pub(crate) struct One {
    /// Whose letter: the task's id.
    #[arg(value_parser = id)]
    id: TaskId,
}

pub(crate) async fn run(engine: &Engine, args: Args) -> Outcome {
    match args {
        Args::List { limit } => list(engine, limit).await,
        Args::Show(One { id }) => show(engine, id).await,
        Args::Replay { id, queue, keep_attempts } => {
            let run = engine.replay_letter(id, !keep_attempts, queue).await;
            let run = run.map_err(|error| Failed::of(error, LETTER, id))?;
            Ok(Shown::new(format!("replayed {id}: run {run}"), json!({ "replayed": id, "run": run })))
        }
        Args::Discard(One { id }) => {
            if !engine.discard_letter(id).await.map_err(|error| Failed::of(error, LETTER, id))? {
                return Err(Failed::unknown(LETTER, id));
            }
            Ok(Shown::new(format!("discarded the dead letter of {id}"), json!({ "discarded": id })))
        }
        Args::Move { id, reason } => {
            let failure = Failure::new(FailureKind::Error, reason);
            engine.put_away(id, failure).await.map_err(|error| Failed::of(error, "task", id))?;
            Ok(Shown::new(format!("put {id} away as a dead letter"), json!({ "moved": id })))
        }
        Args::Count => {
            let count = engine.store().count_letters().await?;
            Ok(Shown::new(count.to_string(), json!({ "dead_letters": count })))
        }
        Args::Cleanup { older_than } => {
            let before = engine.store().now() - older_than;
            let count = engine.clean_letters(before).await?;
            Ok(Shown::new(format!("deleted {count} dead letters"), json!({ "dead_letters": count })))
        }
    }
}

async fn list(engine: &Engine, limit: u32) -> Outcome {
    let letters = engine.store().letters(limit).await?;
    let rows = letters.iter().map(|letter| {
        [
            letter.task.task.to_string(),
            plain(&letter.function),
            plain(&letter.queue),
            time(letter.moved_at),
            if letter.through_root { "its root" } else { "itself" }.to_owned(),
            short(&letter.failure.to_string()),
        ]
    });
    let text = table(["TASK", "FUNCTION", "QUEUE", "MOVED", "REPLAY", "FAILURE"], rows.collect(), "no dead letters");
    Ok(Shown::new(text, letters.iter().map(entry).collect()))
}

async fn show(engine: &Engine, id: TaskId) -> Outcome {
    let store = engine.store();
    let unknown = || Failed::unknown(LETTER, id);
    let task = store.find_task(id).await?.ok_or_else(unknown)?;
    let letter = store.letter(task).await?.ok_or_else(unknown)?;
    let view = store.task(task).await?.ok_or_else(unknown)?;
    let arguments = json_payload(&view.args);
    let replay = if letter.through_root { format!("through its root, {}", task.execution) } else { "by itself".into() };
    let facts = [
        ("task", id.to_string()),
        ("execution", task.execution.to_string()),
        ("function", plain(&letter.function)),
        ("queue", plain(&letter.queue)),
        ("moved", time(letter.moved_at)),
        ("replayed", replay),
        ("attempts", view.attempt.to_string()),
        ("losses", view.losses.to_string()),
        ("arguments", plain(&arguments.to_string())),
        ("failure", plain(&letter.failure.to_string())),
        ("details", plain(&letter.failure.details.to_string())),
    ];
    let text: String = facts.iter().map(|(name, value)| format!("{name:<10} {value}\n")).collect();
    let mut value = entry(&letter);
    if let Value::Object(fields) = &mut value {
        fields.insert("attempts".to_owned(), view.attempt.into());
        fields.insert("losses".to_owned(), view.losses.into());
        fields.insert("arguments".to_owned(), arguments);
    }
    Ok(Shown::new(text, value))
}

fn entry(letter: &LetterView) -> Value {
    json!({
        "task": letter.task.task,
        "execution": letter.task.execution,
        "function": letter.function,
        "queue": letter.queue,
        "moved_at": json_time(letter.moved_at),
        "through_root": letter.through_root,
        "failure": json_failure(&letter.failure),
    })
}

//! `stent cleanup`: deletes what ended long ago, in small steps beside whatever runs.

use std::time::Duration;

use serde_json::json;
use stent_engine::{Cleaned, Engine};

use super::{Outcome, duration};
use crate::output::Shown;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only what ended, or was put away, longer ago than this: 90s, 12h, 7d, 1h30m (s, m, h, d, w).
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Duration,
}

pub(crate) async fn run(engine: &Engine, args: Args) -> Outcome {
    let before = engine.store().now() - args.older_than;
    let Cleaned { letters, executions } = engine.clean_up(before).await?;
    let text = format!("deleted {executions} executions and {letters} dead letters");
    Ok(Shown::new(text, json!({ "executions": executions, "dead_letters": letters })))
}

//! `stent schedules`: starts that come back by a cron line. They are set by programs, which know what they start.

use serde_json::{Value, json};
use stent_core::{Name, ScheduleView};
use stent_engine::Engine;

use super::{Outcome, schedule_name};
use crate::exit::Failed;
use crate::output::{Shown, maybe_json_time, maybe_time, plain, table};

/// What is said when there is none of a name.
const SCHEDULE: &str = "schedule";

#[derive(clap::Subcommand)]
pub(crate) enum Args {
    /// List schedules, in order of name.
    List,
    /// Have a schedule rest. Ticks that pass meanwhile are not made up for.
    Pause(One),
    /// Have a schedule go on with its next tick.
    Resume(One),
    /// Start what a schedule starts, now, whether it rests or not.
    Run(One),
    /// Delete a schedule. What it has started goes on.
    Delete(One),
}

#[derive(clap::Args)]
pub(crate) struct One {
    /// Which schedule.
    #[arg(value_parser = schedule_name)]
    name: Name,
}

pub(crate) async fn run(engine: &Engine, args: Args) -> Outcome {
    match args {
        Args::List => list(engine).await,
        Args::Pause(One { name }) => {
            let paused = engine.pause_schedule(&name).await?;
            let words = if paused { "rests" } else { "rested already" };
            Ok(Shown::new(said(&name, words), json!({ "schedule": name, "paused": true, "changed": paused })))
        }
        Args::Resume(One { name }) => {
            let resumed = engine.resume_schedule(&name).await?;
            let due = engine.schedule(&name).await?.due;
            let words = if resumed { "goes on" } else { "did not rest" };
            let text = format!("{}, next {}", said(&name, words), maybe_time(due));
            let next = maybe_json_time(due);
            Ok(Shown::new(text, json!({ "schedule": name, "paused": false, "changed": resumed, "next_tick": next })))
        }
        Args::Run(One { name }) => {
            let started = engine.run_schedule(&name).await?;
            let execution = started.execution;
            Ok(Shown::new(format!("started {execution}"), json!({ "schedule": name, "execution": execution })))
        }
        Args::Delete(One { name }) => {
            if !engine.delete_schedule(name.clone()).await? {
                return Err(Failed::unknown(SCHEDULE, plain(&name)));
            }
            Ok(Shown::new(said(&name, "is deleted"), json!({ "deleted": name })))
        }
    }
}

fn said(name: &Name, words: &str) -> String {
    format!("the schedule {} {words}", plain(name))
}

async fn list(engine: &Engine) -> Outcome {
    let views = engine.store().schedules().await?;
    let rows = views.iter().map(|view| {
        let schedule = &view.schedule;
        [
            plain(&schedule.name),
            plain(&schedule.cron),
            plain(&schedule.zone),
            plain(&schedule.spec.function),
            plain(&schedule.spec.queue),
            schedule.missed.as_str().to_owned(),
            if view.paused { "paused".to_owned() } else { maybe_time(view.due) },
            maybe_time(view.last_tick),
        ]
    });
    let head = ["NAME", "CRON", "ZONE", "FUNCTION", "QUEUE", "MISSED", "NEXT", "LAST"];
    Ok(Shown::new(table(head, rows.collect(), "no schedules"), views.iter().map(entry).collect()))
}

fn entry(view: &ScheduleView) -> Value {
    let schedule = &view.schedule;
    json!({
        "name": schedule.name,
        "cron": schedule.cron,
        "time_zone": schedule.zone,
        "function": schedule.spec.function,
        "queue": schedule.spec.queue,
        "priority": schedule.spec.priority,
        "tags": schedule.spec.tags,
        "missed": schedule.missed.as_str(),
        "paused": view.paused,
        "next_tick": maybe_json_time(view.due),
        "last_tick": maybe_json_time(view.last_tick),
        "last_execution": view.last_execution,
    })
}

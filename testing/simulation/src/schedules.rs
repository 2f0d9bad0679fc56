//! The schedules of a simulated world: one tick a second, for as long as processes die, and what must hold of them. A tick
//! that is made up for comes as surely as one in time, and none comes twice.

use std::time::Duration;

use stent_core::command::Deadline;
use stent_core::view::ExecutionFilter;
use stent_core::{MissedTicks, Name, Schedule, Timestamp};
use stent_engine::{Engine, Runtime};
use stent_storetest::model::ModelStore;

use crate::functions::spec;
use crate::runtime::SimRuntime;

/// What the schedules start, and what becomes of missed ticks. A function is a schedule's own, so that it can be counted.
pub(crate) const SCHEDULES: [(&str, MissedTicks); 3] =
    [("tick-all", MissedTicks::All), ("tick-one", MissedTicks::One), ("tick-skip", MissedTicks::Skip)];

/// How long they tick.
const FOR: Duration = Duration::from_secs(7);

/// Sets the schedules, steers them a little, and has them rest in the end.
pub(crate) async fn live(engine: Engine, runtime: SimRuntime) {
    for (function, missed) in SCHEDULES {
        let schedule = Schedule {
            name: Name::stored(function),
            cron: "* * * * * *".to_owned(),
            zone: "Europe/Berlin".to_owned(),
            missed,
            spec: spec(function, "tick"),
            deadline: Deadline::default(),
        };
        engine.set_schedule(schedule.clone()).await.expect("the model never fails");
        // Said again, as every process does when it starts.
        engine.set_schedule(schedule).await.expect("the model never fails");
    }
    runtime.sleep(FOR).await;
    for (function, _) in SCHEDULES {
        engine.pause_schedule(&Name::stored(function)).await.expect("the model never fails");
    }
}

/// What is wrong with what the schedules have started.
pub(crate) fn wrongs(model: &ModelStore, began: Timestamp) -> Vec<String> {
    let rows = model.snapshot();
    let all = rows.executions(&ExecutionFilter { limit: u32::MAX, ..ExecutionFilter::default() });
    let mut wrongs = Vec::new();
    for (function, missed) in SCHEDULES {
        let Some(view) = rows.schedule(&Name::stored(function)) else { continue };
        let started = all.iter().filter(|execution| execution.function.as_str() == function).count();
        let passed = view.last_tick.map_or(0, |last| last.since(began).as_secs());
        let fits = match missed {
            MissedTicks::All => started as u64 == passed && passed > 0,
            MissedTicks::One | MissedTicks::Skip => started as u64 <= passed,
        };
        if !fits {
            wrongs.push(format!("{function} started {started} executions in {passed} ticks: {view:?}"));
        }
    }
    wrongs
}

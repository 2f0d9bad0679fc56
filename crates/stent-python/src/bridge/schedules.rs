//! Cron schedules, as an executor steers them. The calendar and the ticks are the engine's.

use serde::Deserialize;
use serde_json::{Value, json};
use stent_core::{MissedTicks, Name, Payload, Schedule, ScheduleView, Timestamp};

use super::Bridge;
use super::asks::Overrides;
use super::outbox::Answer;
use crate::records::Trouble;

/// What a schedule says beside what it starts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    name: Name,
    cron: String,
    zone: String,
    missed: String,
}

fn shown(view: &ScheduleView) -> Value {
    json!({
        "name": view.schedule.name.as_str(),
        "cron": view.schedule.cron,
        "time_zone": view.schedule.zone,
        "missed": view.schedule.missed.as_str(),
        "function": view.schedule.spec.function.as_str(),
        "queue": view.schedule.spec.queue.as_str(),
        "paused": view.paused,
        "next_tick": view.due.map(Timestamp::as_micros),
        "last_tick": view.last_tick.map(Timestamp::as_micros),
        "last_execution": view.last_execution.map(|id| id.to_string()),
    })
}

impl Bridge {
    /// Sets a schedule; whether anything is different now.
    pub(super) async fn set_schedule(
        &self,
        asked: Asked,
        function: Name,
        args: Payload,
        key_answer: Option<String>,
        overrides: &Overrides,
    ) -> Result<Answer, Trouble> {
        let missed = MissedTicks::ALL.into_iter().find(|one| one.as_str() == asked.missed);
        let missed = missed.ok_or_else(|| Trouble {
            kind: "value",
            words: format!("missed is \"{}\": it must be \"skip\", \"one\" or \"all\"", asked.missed),
        })?;
        let spec = self.root_spec(function, args, key_answer.as_deref(), overrides).await?;
        let schedule = Schedule {
            name: asked.name,
            cron: asked.cron,
            zone: asked.zone,
            missed,
            spec,
            deadline: overrides.deadline(),
        };
        let changed = self.engine.set_schedule(schedule).await?;
        Ok(Answer::Json(serde_json::to_vec(&changed)?))
    }

    /// Any other request about schedules, in JSON.
    pub(super) async fn of_schedules(&self, what: &str, asked: &[u8]) -> Result<Vec<u8>, Trouble> {
        let store = self.engine.store();
        if what == "schedules" {
            let all: Vec<_> = store.schedules().await?.iter().map(shown).collect();
            return Ok(serde_json::to_vec(&all)?);
        }
        let name: Name = serde_json::from_slice(asked)?;
        let answer = match what {
            "schedule" => store.schedule(&name).await?.as_ref().map_or(Value::Null, shown),
            "pause_schedule" => json!(self.engine.pause_schedule(&name).await?),
            "resume_schedule" => json!(self.engine.resume_schedule(&name).await?),
            "delete_schedule" => json!(self.engine.delete_schedule(name).await?),
            "run_schedule" => json!(self.engine.run_schedule(&name).await?.execution.to_string()),
            other => return Err(Trouble { kind: "value", words: format!("there is no request \"{other}\"") }),
        };
        Ok(serde_json::to_vec(&answer)?)
    }
}

//! What clients ask of schedules: set, delete, pause, resume, run now.

use serde_json::{Map, Value};
use stent_core::command::{ResumeSchedule, ScheduleChange, SetSchedule};
use stent_core::{Command, Done, Name, Schedule, ScheduleView, TaskSpec, Timestamp};

use super::Calendar;
use crate::client::{Engine, StartRequest, Started};
use crate::error::{EngineError, wrong_answer};

/// The header that names the schedule of an execution which a schedule started.
pub const SCHEDULE_HEADER: &str = "stent-schedule";

/// The header that tells the tick that an execution was started for, as RFC 3339 in UTC; one that was asked for by hand has
/// none.
pub const TICK_HEADER: &str = "stent-tick";

/// How often a schedule that is changed by others at the same moment is looked at again.
const TRIES: u32 = 20;

impl Engine {
    /// Creates a schedule, or changes the one of its name; false when it says the same already, and nothing is written. Its
    /// line and zone are checked and kept as [`Calendar`] writes them. The first tick is the next that comes. A change
    /// that keeps line and zone keeps the next tick; one that rests stays at rest.
    ///
    /// # Errors
    /// [`EngineError::Schedule`] for a line or zone that cannot be; the store's failure.
    pub async fn set_schedule(&self, schedule: Schedule) -> Result<bool, EngineError> {
        let calendar = Calendar::new(&schedule.cron, &schedule.zone)?;
        let (cron, zone) = (calendar.line().to_owned(), calendar.zone().to_owned());
        let deadline = schedule.deadline.in_micros();
        let schedule = Schedule { cron, zone, deadline, ..schedule };
        let due = calendar.next(self.store().now());
        self.change_schedule(ScheduleChange::Set(Box::new(SetSchedule { schedule, due }))).await
    }

    /// Deletes a schedule; false when there was none. What it has started goes on.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn delete_schedule(&self, name: Name) -> Result<bool, EngineError> {
        self.change_schedule(ScheduleChange::Delete(name)).await
    }

    /// Has a schedule rest; false when it did so before. Ticks that pass meanwhile are not made up for.
    ///
    /// # Errors
    /// [`EngineError::UnknownSchedule`]; the store's failure.
    pub async fn pause_schedule(&self, name: &Name) -> Result<bool, EngineError> {
        let paused = self.change_schedule(ScheduleChange::Pause(name.clone())).await;
        paused.map_err(|error| unknown(error, name))
    }

    /// Has a schedule go on with the next tick that comes; false when it did not rest.
    ///
    /// # Errors
    /// [`EngineError::UnknownSchedule`]; [`EngineError::Schedule`] when its line cannot be read any more; the store's
    /// failure.
    pub async fn resume_schedule(&self, name: &Name) -> Result<bool, EngineError> {
        for _ in 0..TRIES {
            let view = self.schedule(name).await?;
            if !view.paused {
                return Ok(false);
            }
            let due = Calendar::new(&view.schedule.cron, &view.schedule.zone)?.next(self.store().now());
            let resume = ResumeSchedule { name: name.clone(), revision: view.revision, due };
            let resumed = self.change_schedule(ScheduleChange::Resume(resume)).await;
            if resumed.map_err(|error| unknown(error, name))? {
                return Ok(true);
            }
        }
        Err(stent_core::Refusal::Busy.into())
    }

    /// Starts what a schedule starts, now, whether it rests or not. Its ticks stay as they are.
    ///
    /// # Errors
    /// [`EngineError::UnknownSchedule`]; the store's failure.
    pub async fn run_schedule(&self, name: &Name) -> Result<Started, EngineError> {
        let schedule = self.schedule(name).await?.schedule;
        let spec = marked(&schedule, None);
        self.start(StartRequest { id: None, spec, key: None, due: None, deadline: schedule.deadline }).await
    }

    /// One schedule.
    ///
    /// # Errors
    /// [`EngineError::UnknownSchedule`]; the store's failure.
    pub async fn schedule(&self, name: &Name) -> Result<ScheduleView, EngineError> {
        let view = self.store().schedule(name).await?;
        view.ok_or_else(|| EngineError::UnknownSchedule(name.clone()))
    }

    async fn change_schedule(&self, change: ScheduleChange) -> Result<bool, EngineError> {
        match self.change(None, Command::Schedule(change)).await? {
            Done::Changed(changed) => {
                // Workers elsewhere are told by the store.
                self.core().hub.workers().iter().for_each(|worker| worker.schedules.come());
                Ok(changed)
            }
            other => Err(wrong_answer(&other)),
        }
    }
}

fn unknown(error: EngineError, name: &Name) -> EngineError {
    match error {
        EngineError::Unknown => EngineError::UnknownSchedule(name.clone()),
        other => other,
    }
}

/// What a schedule starts, with headers that say where it comes from; the user's own stay. Headers that are no object
/// stay as they are.
pub(crate) fn marked(schedule: &Schedule, tick: Option<Timestamp>) -> TaskSpec {
    let mut spec = schedule.spec.clone();
    let headers = spec.headers.as_deref().map_or_else(|| Ok(Map::new()), serde_json::from_slice);
    if let Ok(mut headers) = headers {
        headers.insert(SCHEDULE_HEADER.to_owned(), Value::from(schedule.name.as_str()));
        if let Some(tick) = tick.and_then(|tick| jiff::Timestamp::from_microsecond(tick.as_micros()).ok()) {
            headers.insert(TICK_HEADER.to_owned(), Value::from(tick.to_string()));
        }
        spec.headers = serde_json::to_vec(&headers).ok().map(Into::into);
    }
    spec
}

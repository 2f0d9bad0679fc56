//! Schedules: set, pause, resume, delete, tick. When a line is due is the caller's to say; whether that has come, the
//! clock's.

use stent_core::command::{Done, Outcome, Refusal, ResumeSchedule, ScheduleChange, SetSchedule, Start, Tick};
use stent_core::{Name, ScheduleView};

use super::{Act, Model};

impl Model {
    /// See [`Store::schedules`](stent_core::Store::schedules).
    #[must_use]
    pub fn schedules(&self) -> Vec<ScheduleView> {
        self.schedules.values().cloned().collect()
    }

    /// See [`Store::schedule`](stent_core::Store::schedule).
    #[must_use]
    pub fn schedule(&self, name: &Name) -> Option<ScheduleView> {
        self.schedules.get(name).cloned()
    }

    /// See [`Store::next_schedules`](stent_core::Store::next_schedules).
    #[must_use]
    pub fn next_schedules(&self, limit: u32) -> Vec<ScheduleView> {
        let mut next: Vec<_> = self.schedules.values().filter(|row| row.due.is_some()).cloned().collect();
        next.sort_by(|one, other| (one.due, &one.schedule.name).cmp(&(other.due, &other.schedule.name)));
        next.truncate(limit as usize);
        next
    }
}

impl Act<'_> {
    pub(super) fn change_schedule(&mut self, change: &ScheduleChange) -> Outcome {
        match change {
            ScheduleChange::Set(set) => self.set_schedule(set),
            ScheduleChange::Delete(name) => Ok(Done::Changed(self.model.schedules.remove(name).is_some())),
            ScheduleChange::Pause(name) => self.pause_schedule(name),
            ScheduleChange::Resume(resume) => self.resume_schedule(resume),
            ScheduleChange::Tick(tick) => self.tick(tick),
        }
    }

    /// The revision that follows.
    fn revision_after(&self, before: Option<u64>) -> u64 {
        let now = u64::try_from(self.now.as_micros()).unwrap_or(0);
        before.map_or(now, |before| now.max(before + 1))
    }

    fn set_schedule(&mut self, set: &SetSchedule) -> Outcome {
        let before = self.model.schedules.get(&set.schedule.name);
        if before.is_some_and(|row| row.schedule == set.schedule) {
            return Ok(Done::Changed(false));
        }
        let mut row = ScheduleView {
            schedule: set.schedule.clone(),
            revision: self.revision_after(before.map(|row| row.revision)),
            paused: false,
            due: set.due,
            last_tick: None,
            last_execution: None,
        };
        if let Some(before) = before {
            let same_ticks = (&before.schedule.cron, &before.schedule.zone) == (&row.schedule.cron, &row.schedule.zone);
            row.due = if same_ticks || before.paused { before.due } else { row.due };
            (row.paused, row.last_tick, row.last_execution) = (before.paused, before.last_tick, before.last_execution);
        }
        self.model.schedules.insert(set.schedule.name.clone(), row);
        self.wakes.ready = true;
        Ok(Done::Changed(true))
    }

    fn pause_schedule(&mut self, name: &Name) -> Outcome {
        let revision = self.revision_after(self.model.schedules.get(name).map(|row| row.revision));
        let row = self.model.schedules.get_mut(name).ok_or(Refusal::Unknown)?;
        if row.paused {
            return Ok(Done::Changed(false));
        }
        (row.paused, row.due, row.revision) = (true, None, revision);
        Ok(Done::Changed(true))
    }

    fn resume_schedule(&mut self, resume: &ResumeSchedule) -> Outcome {
        let revision = self.revision_after(Some(resume.revision));
        let row = self.model.schedules.get_mut(&resume.name).ok_or(Refusal::Unknown)?;
        if !row.paused || row.revision != resume.revision {
            return Ok(Done::Changed(false));
        }
        (row.paused, row.due, row.revision) = (false, resume.due, revision);
        self.wakes.ready = true;
        Ok(Done::Changed(true))
    }

    fn tick(&mut self, tick: &Tick) -> Outcome {
        let stands = |row: &&mut ScheduleView| row.revision == tick.revision && row.due == Some(tick.due);
        let Some(row) = self.model.schedules.get_mut(&tick.name).filter(stands).filter(|_| tick.due <= self.now) else {
            return Ok(Done::Changed(false));
        };
        let is_known = |start: &Start| self.model.executions.contains_key(&start.id);
        if tick.repeats_an_id() || tick.starts.iter().any(is_known) {
            return Err(Refusal::Exists);
        }
        row.due = tick.next;
        if let Some(last) = tick.starts.last() {
            (row.last_tick, row.last_execution) = (Some(tick.last_tick), Some(last.id));
        }
        for start in &tick.starts {
            self.start(&Start { claim_for: None, key: None, ..start.clone() })?;
        }
        Ok(Done::Changed(true))
    }
}

//! Changes of schedules out of chance. Most ticks are of a schedule as it stands; some come early, late, or twice.

use std::time::Duration;

use stent_core::command::{Deadline, ResumeSchedule, ScheduleChange, SetSchedule, Tick};
use stent_core::{MissedTicks, Name, Schedule, Timestamp};

use super::ops::{EXECUTIONS, Maker};
use crate::model::Model;

/// The schedules that sequences know.
pub(super) fn schedule_name(number: u8) -> Name {
    Name::stored(["nightly", "ü'\"%"][usize::from(number % 2)])
}

impl Maker {
    pub(super) fn schedule(&mut self, model: &Model, now: Timestamp, (a, b, c): (u8, u8, u8)) -> ScheduleChange {
        let name = schedule_name(a);
        let row = model.schedule(&name);
        let soon = Some(now + Duration::from_millis(u64::from(b % 3)));
        let revision = row.as_ref().map_or(1, |row| row.revision) - u64::from(c % 8 == 7);
        match (c % 12, row) {
            (0, _) => ScheduleChange::Delete(name),
            (1 | 2, _) => ScheduleChange::Pause(name),
            (3 | 4, _) => {
                let due = soon.filter(|_| !b.is_multiple_of(5));
                ScheduleChange::Resume(ResumeSchedule { name, revision, due })
            }
            (6.., Some(row)) if row.due.is_some() => {
                let due = row.due.unwrap_or(now) + Duration::from_micros(u64::from(c % 24 == 9));
                let ids = [b % EXECUTIONS, (if b.is_multiple_of(3) { b } else { b.wrapping_add(1) }) % EXECUTIONS];
                let starts = ids[..usize::from(c / 12 % 3)].iter().map(|id| self.start(now, *id, b, c)).collect();
                let next = soon.filter(|_| !a.is_multiple_of(16));
                ScheduleChange::Tick(Box::new(Tick { name, revision, due, starts, last_tick: due, next }))
            }
            (5, Some(row)) => {
                // The same once more.
                ScheduleChange::Set(Box::new(SetSchedule { schedule: row.schedule, due: soon }))
            }
            _ => {
                let schedule = Schedule {
                    name,
                    cron: format!("{} * * * *", b % 2),
                    zone: "Europe/Berlin".to_owned(),
                    missed: MissedTicks::ALL[usize::from(b % 3)],
                    spec: self.spec(b),
                    deadline: Deadline {
                        expire_after: (b % 5 == 1).then_some(Duration::from_millis(u64::from(c))),
                        start_within: (b % 5 == 2).then_some(Duration::from_micros(u64::from(c))),
                        run_within: (b % 5 == 2).then_some(Duration::from_millis(3)),
                    },
                };
                ScheduleChange::Set(Box::new(SetSchedule { schedule, due: soon.filter(|_| !b.is_multiple_of(7)) }))
            }
        }
    }
}

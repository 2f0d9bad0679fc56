//! What a schedule that is due comes to: which of its ticks are started now, and which tick is next. Pure; the store
//! carries it out, or not, if somebody else was first.

use std::time::Duration;

use stent_core::limits::SCHEDULE_TICKS;
use stent_core::{MissedTicks, Timestamp};

use super::Calendar;

/// How late a tick may be started that would else be skipped: as long as it takes to take a worker for dead, and the same
/// again for another one to begin.
pub const MISSED_AFTER: Duration = Duration::from_secs(20);

/// What is to be done for a schedule that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The ticks that are started, in order.
    pub(crate) ticks: Vec<Timestamp>,
    /// The tick after those, which may have come already.
    pub(crate) next: Option<Timestamp>,
}

/// What is to be done at `now` for a schedule that is due since `due`.
pub(crate) fn plan(calendar: &Calendar, missed: MissedTicks, due: Timestamp, now: Timestamp) -> Plan {
    match missed {
        MissedTicks::All => {
            let mut ticks = vec![due];
            let mut next = calendar.next(due);
            while let Some(tick) = next.filter(|tick| *tick <= now && ticks.len() < SCHEDULE_TICKS as usize) {
                ticks.push(tick);
                next = calendar.next(tick);
            }
            Plan { ticks, next }
        }
        MissedTicks::One => Plan { ticks: vec![last(calendar, due, now)], next: calendar.next(now) },
        MissedTicks::Skip => {
            let next = calendar.next(now);
            // Once a second one is due nobody was there, and the first is not what is wanted now.
            let in_time = now.since(due) <= MISSED_AFTER && calendar.next(due) == next;
            Plan { ticks: if in_time { vec![due] } else { Vec::new() }, next }
        }
    }
}

/// The last tick that has come by `now`, given that `due` has: halving the time between, since ticks of a year by the
/// second are not to be counted one by one.
fn last(calendar: &Calendar, due: Timestamp, now: Timestamp) -> Timestamp {
    const SECOND: i64 = 1_000_000;
    // A tick has come after `low`, and none has after `high`.
    let (mut low, mut high) = (due.as_micros().div_euclid(SECOND) - 1, now.as_micros().div_euclid(SECOND));
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        let after = calendar.next(Timestamp::from_micros(middle * SECOND));
        if after.is_some_and(|tick| tick <= now) {
            low = middle;
        } else {
            high = middle;
        }
    }
    calendar.next(Timestamp::from_micros(low * SECOND)).filter(|tick| *tick <= now).unwrap_or(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// A Tuesday, on the minute.
    const START: Timestamp = Timestamp::from_micros(1_900_000_020_000_000);

    fn every_minute() -> Calendar {
        Calendar::new("* * * * *", "UTC").unwrap()
    }

    fn minutes(from: u32, to: u32) -> Vec<Timestamp> {
        (from..to).map(|n| START + MINUTE * n).collect()
    }

    #[test]
    fn a_tick_that_is_on_time_is_started_whatever_the_policy() {
        for policy in MissedTicks::ALL {
            for late in [Duration::ZERO, MISSED_AFTER] {
                let plan = plan(&every_minute(), policy, START, START + late);
                assert_eq!((plan.ticks, plan.next), (minutes(0, 1), Some(START + MINUTE)), "{policy:?}");
            }
        }
    }

    #[test]
    fn five_missed_ticks_are_none_one_or_five() {
        let now = START + MINUTE * 4 + Duration::from_secs(1);
        let of = |policy| plan(&every_minute(), policy, START, now);
        let next = Some(START + MINUTE * 5);
        assert_eq!(of(MissedTicks::Skip), Plan { ticks: Vec::new(), next });
        assert_eq!(of(MissedTicks::One), Plan { ticks: minutes(4, 5), next });
        assert_eq!(of(MissedTicks::All), Plan { ticks: minutes(0, 5), next });
    }

    #[test]
    fn one_tick_that_is_too_late_is_skipped() {
        let late = START + MISSED_AFTER + Duration::from_micros(1);
        assert_eq!(plan(&every_minute(), MissedTicks::Skip, START, late).ticks, []);
    }

    #[test]
    fn many_missed_ticks_are_made_up_for_a_part_at_a_time() {
        let now = START + MINUTE * 249;
        let (mut due, mut parts) = (START, Vec::new());
        while due <= now {
            let plan = plan(&every_minute(), MissedTicks::All, due, now);
            parts.push(plan.ticks.len());
            assert_eq!(plan.ticks[0], due);
            due = plan.next.unwrap();
        }
        assert_eq!((parts, due), (vec![100, 100, 50], START + MINUTE * 250));
    }

    #[test]
    fn the_last_tick_of_a_year_of_seconds_is_found_at_once() {
        for line in ["* * * * * *", "7 3 * * *", "0 0 1 1 *", "*/7 * * * * MON"] {
            let calendar = Calendar::new(line, "America/New_York").unwrap();
            let due = calendar.next(START).unwrap();
            let now = due + Duration::from_secs(400 * 86_400);
            let last = last(&calendar, due, now);
            assert!(last <= now && calendar.next(last).unwrap() > now, "{line}");
            assert_eq!(calendar.next(last - Duration::from_secs(1)), Some(last), "{line}");
        }
    }
}

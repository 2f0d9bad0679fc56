//! What is left to chance, drawn from the seed before anything runs: when each kill comes, whom it hits, when the server
//! is killed, and when each execution gets its event. Times are real, so a seed repeats the choices, not the run.

use std::time::Duration;

use fastrand::Rng;

/// Between two kills, most of the time: long enough that the victim has work again, short enough to hit every part of
/// a take-over.
const GAP_MS: std::ops::RangeInclusive<u64> = 250..=850;

/// One kill in so many comes right after the one before, so that a task's taker may die as well.
const BURST_ONE_IN: u32 = 8;
const BURST_GAP_MS: std::ops::RangeInclusive<u64> = 5..=80;

/// How long a killed server stays away before it is started again.
const AWAY_MS: std::ops::RangeInclusive<u64> = 0..=1_500;

/// One event in so many is there before its execution.
const EARLY_ONE_IN: u32 = 4;
const EVENT_DELAY_MS: std::ops::RangeInclusive<u64> = 0..=500;

/// One kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// After the one before.
    pub gap: Duration,
    /// Which worker, counted from 0.
    pub worker: usize,
}

/// The kills of a run, in order.
pub fn kills(seed: u64, count: u32, workers: usize) -> Vec<Kill> {
    let mut rng = Rng::with_seed(seed);
    let kill = |_| {
        let is_burst = rng.u32(0..BURST_ONE_IN) == 0;
        let gap = Duration::from_millis(rng.u64(if is_burst { BURST_GAP_MS } else { GAP_MS }));
        Kill { gap, worker: rng.usize(0..workers) }
    };
    (0..count).map(kill).collect()
}

/// One kill of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// After how many kills of workers.
    pub after_kills: u32,
    /// After the last of these.
    pub gap: Duration,
    /// How long the server stays dead.
    pub downtime: Duration,
}

/// The kills of the server, spread over those of the workers: one somewhere in each equal part of the run.
pub fn outages(seed: u64, count: u32, kills: u32) -> Vec<Outage> {
    // Another stream than those of the kills and of the events.
    let mut rng = Rng::with_seed(!seed);
    let outage = |number: u32| {
        let [first, end] = [number, number + 1].map(|part| part * kills / count);
        let after_kills = rng.u32(first..end.max(first + 1));
        let [gap, downtime] = [GAP_MS, AWAY_MS].map(|range| Duration::from_millis(rng.u64(range)));
        Outage { after_kills, gap, downtime }
    };
    (0..count).map(outage).collect()
}

/// When an execution gets the event it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTime {
    /// Before it is started.
    Early,
    /// So long after it was started, whether it waits for it by then or not.
    After(Duration),
}

/// When the execution with this number gets its event.
pub fn event_time(seed: u64, execution: u32) -> EventTime {
    // Another stream than that of the kills, and one for each execution: they are asked for in any order.
    let mut rng = Rng::with_seed(seed.rotate_left(32) ^ u64::from(execution));
    if rng.u32(0..EARLY_ONE_IN) == 0 {
        return EventTime::Early;
    }
    EventTime::After(Duration::from_millis(rng.u64(EVENT_DELAY_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_plan_and_another_seed_another() {
        assert_eq!(kills(7, 50, 4), kills(7, 50, 4));
        assert_ne!(kills(7, 50, 4), kills(8, 50, 4));
        assert_eq!(event_time(7, 3), event_time(7, 3));
    }

    #[test]
    fn every_worker_is_hit_and_some_kills_come_at_once() {
        let kills = kills(1, 200, 4);
        for worker in 0..4 {
            assert!(kills.iter().any(|kill| kill.worker == worker));
        }
        let bursts = kills.iter().filter(|kill| kill.gap.as_millis() <= u128::from(*BURST_GAP_MS.end())).count();
        assert!((10..50).contains(&bursts), "{bursts}");
    }

    #[test]
    fn the_server_is_killed_once_in_each_part_of_the_run() {
        let outages = outages(3, 10, 100);
        for (part, outage) in (0..10).zip(&outages) {
            assert!((part * 10..part * 10 + 10).contains(&outage.after_kills), "{outages:?}");
        }
        assert_eq!(super::outages(3, 3, 1).len(), 3, "more than there are kills of workers");
        assert_eq!(super::outages(3, 0, 10), []);
    }

    #[test]
    fn events_come_early_and_late() {
        let times: Vec<EventTime> = (1..100).map(|execution| event_time(1, execution)).collect();
        assert!(times.contains(&EventTime::Early));
        assert!(times.iter().any(|time| matches!(time, EventTime::After(delay) if !delay.is_zero())));
    }
}

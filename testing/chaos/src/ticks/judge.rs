//! What a ledger and a list of executions say of schedules that tick every second: no tick twice, none early, none lost
//! but those that passed while nobody was there, and of those what the policy says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use durable::{MissedTicks, Timestamp};
use stent_core::ExecutionState;

use crate::keys::Verdict;
use crate::line::{Line, Verb};

/// How many findings are named.
const SHOWN: usize = 10;

const SECOND: i64 = 1_000_000;

/// How soon after its time a tick was started of which nobody can say that no worker was there.
const IN_TIME_US: i64 = 300_000;

/// How late an execution may be that stands for the last tick: until the next one, and what a busy machine takes.
const LATE_US: i64 = 5 * SECOND;

/// How long before nobody was there, and after that, a tick may have been missed: its start was not committed before the
/// kill, or the next one was due when the first worker was back.
const EDGE_US: i64 = 3 * SECOND;

/// What is known of a schedule.
pub(super) struct Told {
    pub(super) missed: MissedTicks,
    /// Its first tick.
    pub(super) first: Timestamp,
    /// Its last tick that started an execution, as it says itself.
    pub(super) last: Option<Timestamp>,
}

/// An execution as the store has it.
pub(super) struct Started {
    pub(super) number: u64,
    pub(super) created_at: Timestamp,
    pub(super) state: ExecutionState,
}

/// All that is known of a run.
pub(super) struct Facts {
    pub(super) told: Vec<Told>,
    /// From when to when no worker was there, by the wall clock.
    pub(super) alone: Vec<(i64, i64)>,
    pub(super) executions: Vec<Started>,
    pub(super) lines: Vec<Line>,
    pub(super) integrity: String,
    pub(super) time: Duration,
}

/// By tick (seconds): the executions that said so, by number.
type Ticks = BTreeMap<i64, BTreeSet<u64>>;

pub(super) fn judge(kills: u32, facts: &Facts) -> Verdict {
    let created: BTreeMap<u64, &Started> = facts.executions.iter().map(|started| (started.number, started)).collect();
    let mut findings = of_executions(facts, &created);
    let all = facts.ticks(MissedTicks::All);
    let mut words = String::new();
    for told in &facts.told {
        let name = told.missed.as_str();
        let ticks = facts.ticks(told.missed);
        let wrong = of_schedule(facts, told, &ticks, &all, &created);
        findings.extend(wrong.into_iter().map(|wrong| format!("schedule \"{name}\": {wrong}")));
        let made_up = ticks.iter().filter(|(tick, ids)| late_us(**tick, ids, &created) >= SECOND).count();
        let passed = told.last.map_or(0, |last| seconds(last) - seconds(told.first) + 1);
        let count = ticks.len();
        let _ = writeln!(words, "{name:<12}{count:>7}  of {passed} ticks started an execution, {made_up} late");
    }
    let killed = facts.lines.iter().filter(|line| line.verb == Verb::Kill).count();
    let _ = writeln!(words, "{:<12}{kills:>7}  around ticks, {killed} processes in all", "kills");
    let _ = writeln!(words, "{:<12}{:>7}  with no worker for a while", "away", facts.alone.len());
    let (count, seconds) = (findings.len(), facts.time.as_secs_f64());
    let _ = writeln!(words, "{:<12}{count:>7}  integrity check {}, {seconds:.1} s", "findings", facts.integrity);
    for finding in findings.iter().take(SHOWN) {
        let _ = writeln!(words, "found: {finding}");
    }
    let is_clean = findings.is_empty() && facts.integrity == "ok" && killed >= kills as usize;
    Verdict { words, is_clean }
}

const fn seconds(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(SECOND)
}

/// By how much the execution of a tick came after its time.
fn late_us(tick: i64, ids: &BTreeSet<u64>, created: &BTreeMap<u64, &Started>) -> i64 {
    let first = ids.iter().filter_map(|id| created.get(id)).map(|started| started.created_at.as_micros()).min();
    first.map_or(0, |at| at - tick * SECOND)
}

impl Facts {
    /// What the bodies of a schedule's executions said.
    fn ticks(&self, missed: MissedTicks) -> Ticks {
        let mut ticks = Ticks::new();
        for line in self.lines.iter().filter(|line| line.verb == Verb::Run && line.subject.step == missed.as_str()) {
            ticks.entry(i64::from(line.subject.execution)).or_default().insert(line.number);
        }
        ticks
    }

    /// Whether a tick may have passed while nobody was there.
    fn may_be_missed(&self, tick: i64) -> bool {
        let at = tick * SECOND;
        self.alone.iter().any(|(from, to)| (from - EDGE_US..=to + EDGE_US).contains(&at))
    }
}

/// What is wrong with executions, whichever schedule they are of.
fn of_executions(facts: &Facts, created: &BTreeMap<u64, &Started>) -> Vec<String> {
    let ran: BTreeSet<u64> = facts.lines.iter().filter(|line| line.verb == Verb::Run).map(|line| line.number).collect();
    let mut wrong = Vec::new();
    for started in &facts.executions {
        if started.state != ExecutionState::Completed {
            wrong.push(format!("execution {:x} is {}", started.number, started.state.as_str()));
        }
        if !ran.contains(&started.number) {
            wrong.push(format!("execution {:x} never ran", started.number));
        }
    }
    wrong.extend(ran.iter().filter(|id| !created.contains_key(id)).map(|id| format!("{id:x} ran and is nowhere")));
    wrong
}

fn of_schedule(
    facts: &Facts,
    told: &Told,
    ticks: &Ticks,
    all: &Ticks,
    created: &BTreeMap<u64, &Started>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(last) = told.last.map(seconds) else { return vec!["it has never ticked".to_owned()] };
    let in_time = |tick: i64| all.get(&tick).is_some_and(|ids| late_us(tick, ids, created) <= IN_TIME_US);
    for tick in seconds(told.first)..=last {
        match ticks.get(&tick) {
            Some(ids) if ids.len() > 1 => wrong.push(format!("tick {tick} is {} executions: {ids:x?}", ids.len())),
            Some(_) => {}
            None if told.missed == MissedTicks::All => wrong.push(format!("tick {tick} is lost")),
            None if in_time(tick) && !facts.may_be_missed(tick) => {
                wrong.push(format!("tick {tick} is lost, though a worker was there in time"));
            }
            None => {}
        }
    }
    for (tick, ids) in ticks {
        let late = late_us(*tick, ids, created);
        if late < 0 {
            wrong.push(format!("tick {tick} came {} us early", -late));
        }
        if late > LATE_US && told.missed != MissedTicks::All {
            wrong.push(format!("tick {tick} was made up for after {late} us, and was not the last by then"));
        }
        if *tick < seconds(told.first) || *tick > last {
            wrong.push(format!("tick {tick} is none of its ticks"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{Life, Role, Subject};

    /// Ticks of one schedule from 100 on, each as its tick, its execution and by how much that was late.
    fn is_clean(missed: MissedTicks, last: i64, seen: &[(u32, u64, i64)], alone: &[(i64, i64)]) -> bool {
        let at = |second: i64| Timestamp::from_micros(second * SECOND);
        let line = |step: MissedTicks, tick: u32, number: u64| Line {
            verb: Verb::Run,
            subject: Subject { execution: tick, role: Role::Root, step: step.as_str().to_owned() },
            number,
            life: Life { number: 1, pid: 1 },
            at_ns: 0,
        };
        let started = |tick: i64, number: u64, late: i64| Started {
            number,
            created_at: Timestamp::from_micros(tick * SECOND + late),
            state: ExecutionState::Completed,
        };
        let mut lines: Vec<_> = seen.iter().map(|(tick, number, _)| line(missed, *tick, *number)).collect();
        let mut executions: Vec<_> = seen.iter().map(|(tick, id, late)| started((*tick).into(), *id, *late)).collect();
        if missed != MissedTicks::All {
            // Beside one that keeps all of them, in time.
            for tick in 100..=last {
                let number = 1_000 + tick.unsigned_abs();
                lines.push(line(MissedTicks::All, u32::try_from(tick).unwrap(), number));
                executions.push(started(tick, number, 1_000));
            }
        }
        let told = vec![Told { missed, first: at(100), last: Some(at(last)) }];
        let alone = alone.iter().map(|(from, to)| (from * SECOND, to * SECOND)).collect();
        let facts = Facts { told, alone, executions, lines, integrity: "ok".into(), time: Duration::ZERO };
        judge(0, &facts).is_clean
    }

    #[test]
    fn a_tick_that_comes_twice_or_early_or_not_at_all_is_found() {
        use MissedTicks::{All, One, Skip};
        let good = [(100, 1, 500), (101, 2, 500), (102, 3, 2 * SECOND)];
        for missed in MissedTicks::ALL {
            assert!(is_clean(missed, 102, &good, &[]));
            assert!(!is_clean(missed, 102, &[good[0], good[1], (101, 9, 600), good[2]], &[]), "twice");
            assert!(!is_clean(missed, 102, &[good[0], (101, 2, -5), good[2]], &[]), "early");
            assert!(!is_clean(missed, 102, &[good[0], good[2]], &[]), "lost");
            assert!(!is_clean(missed, 101, &good, &[]), "none of its ticks");
        }
        assert!(
            is_clean(Skip, 102, &[good[0], good[2]], &[(99, 102)]) && is_clean(One, 102, &[good[2]], &[(100, 102)])
        );
        assert!(!is_clean(All, 102, &[good[0], good[2]], &[(99, 102)]), "all are owed");
        assert!(!is_clean(One, 100, &[(100, 1, 9 * SECOND)], &[(99, 109)]), "not the last by then");
        assert!(is_clean(All, 100, &[(100, 1, 9 * SECOND)], &[(99, 109)]), "made up for");
    }
}

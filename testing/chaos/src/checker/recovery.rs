//! What a kill interrupts goes on elsewhere, and soon: from the line before the kill to the first line of the same
//! task by another process. A task held waiting counts like one that runs code; one that was dropped before (put
//! aside) was nobody's, and does not.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Finding, Judgement, lines_where};
use crate::line::{Line, Role, Verb};

/// How long 99 of 100 recoveries may take at most.
pub const RECOVERY_P99: Duration = Duration::from_millis(2_500);

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// With a process that runs or holds it; `true` once its code has come to its end.
    With(u32, bool),
    /// Lost by the kill of a process.
    Lost { life: u32, since_ns: u64, had_left: bool },
    /// Put aside.
    Aside,
}

/// What is known of one kill.
struct Hit {
    at_ns: u64,
    tasks: usize,
}

impl Place {
    /// With a process, or lost with it if that is being killed already.
    fn with(life: u32, had_left: bool, hits: &BTreeMap<u32, Hit>) -> Self {
        match hits.get(&life) {
            Some(hit) => Self::Lost { life, since_ns: hit.at_ns, had_left },
            None => Self::With(life, had_left),
        }
    }
}

pub(super) fn check(ledger: &[Line], judgement: &mut Judgement) {
    let mut places: BTreeMap<(u32, Role), Place> = BTreeMap::new();
    let mut slowest: Option<(Duration, Finding)> = None;
    let mut hits: BTreeMap<u32, Hit> = BTreeMap::new();
    for line in ledger {
        let (task, life) = (line.subject.task(), line.life.number);
        match line.verb {
            Verb::Enter => {
                let before = places.insert(task, Place::with(life, false, &hits));
                if let Some(Place::Lost { life: lost_by, since_ns, .. }) = before {
                    let time = Duration::from_nanos(line.at_ns.saturating_sub(since_ns));
                    judgement.recoveries.push(time);
                    if let Some(hit) = hits.get_mut(&lost_by) {
                        hit.tasks += 1;
                    }
                    if slowest.as_ref().is_none_or(|(slowest, _)| *slowest < time) {
                        slowest = Some((time, finding(ledger, task, time)));
                    }
                }
            }
            Verb::Leave => drop(places.insert(task, Place::with(life, true, &hits))),
            Verb::Drop => drop(places.insert(task, Place::Aside)),
            Verb::Kill => {
                hits.insert(life, Hit { at_ns: line.at_ns, tasks: 0 });
                for place in places.values_mut() {
                    if let Place::With(owner, had_left) = *place
                        && owner == life
                    {
                        *place = Place::with(life, had_left, &hits);
                    }
                }
            }
            _ => {}
        }
    }
    for (task, place) in places {
        if let Place::Lost { life, had_left: false, .. } = place {
            let (execution, role) = task;
            let what = format!("execution {execution}: the task {role} never went on after the kill of worker {life}");
            let lines = lines_where(ledger, |line| line.subject.task() == task);
            judgement.findings.push(Finding { what, lines });
        }
    }
    judgement.recoveries.sort_unstable();
    if judgement.recovery(99) > RECOVERY_P99 {
        judgement.findings.extend(slowest.map(|(_, finding)| finding));
    }
    // One for each kill, in the same order as those of the steps.
    for (kill, hit) in judgement.kills.iter_mut().zip(hits.into_values()) {
        kill.tasks = hit.tasks;
    }
}

fn finding(ledger: &[Line], task: (u32, Role), time: Duration) -> Finding {
    let (execution, role) = task;
    let what = format!("recovery is too slow: execution {execution}, task {role} took {} ms", time.as_millis());
    Finding { what, lines: lines_where(ledger, |line| line.subject.task() == task) }
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::super::story::Story;
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn judged(story: &Story) -> Judgement {
        judge(&story.ledger, &story.endings)
    }

    #[test]
    fn recovery_is_measured_from_the_kill_to_the_next_line_elsewhere() {
        let mut story = Story::new();
        story.enter(1, 1).kill(1).later(SECOND_NS).enter(2, 1);
        let judgement = judged(&story);
        assert!(judgement.is_clean(), "{judgement:?}");
        assert_eq!(judgement.recoveries.len(), 1);
        assert!(judgement.recovery(99) >= Duration::from_secs(1) && judgement.recovery(99) < Duration::from_secs(2));
        assert_eq!(judgement.kills[0].tasks, 1);
    }

    #[test]
    fn a_task_begun_between_the_line_before_a_kill_and_the_kill_counts() {
        let mut story = Story::new();
        story.killing(1).enter(1, 1).dead(1).enter(2, 1);
        assert_eq!(judged(&story).recoveries.len(), 1);
    }

    #[test]
    fn a_slow_recovery_is_found() {
        let mut story = Story::new();
        story.enter(1, 1).kill(1).later(3 * SECOND_NS).enter(2, 1);
        assert!(judged(&story).findings[0].what.starts_with("recovery is too slow: execution 1, task root took 3000"));
    }

    #[test]
    fn a_task_that_never_goes_on_is_found() {
        let mut story = Story::new();
        story.enter(1, 1).kill(1);
        assert_eq!(
            judged(&story).findings[0].what,
            "execution 1: the task root never went on after the kill of worker 1"
        );
    }

    #[test]
    fn a_task_whose_end_was_recorded_needs_no_recovery_and_one_whose_end_was_not_does() {
        let mut story = Story::new();
        story.enter(1, 1).leave(1).kill(1);
        assert_eq!((judged(&story).findings, judged(&story).kills[0].tasks), (vec![], 0));
        story.enter(2, 1);
        assert_eq!((judged(&story).recoveries.len(), judged(&story).kills[0].tasks), (1, 1));
    }

    #[test]
    fn a_task_put_aside_before_the_kill_is_not_measured() {
        let mut story = Story::new();
        story.enter(1, 1).dropped(1).kill(1).later(9 * SECOND_NS).enter(2, 1);
        let judgement = judged(&story);
        assert_eq!((judgement.is_clean(), judgement.recoveries.len()), (true, 0));
    }
}

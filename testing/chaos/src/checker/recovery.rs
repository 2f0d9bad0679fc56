//! What a kill interrupts goes on elsewhere, and soon: from the line before the kill to the first line of the same
//! task by another process. A task held waiting counts like one that runs code; one that was dropped before (put
//! aside) was nobody's, and does not.
//!
//! A task over which several workers were killed in a row is measured apart: it waits for its turn.
//!
//! Where the server was away in between, or had only just come back, nobody could have gone on in time: these are
//! measured apart, from its return.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Finding, Judgement, Rules, lines_where, percentile};
use crate::line::{Line, Role, Verb};

/// How long after its return a server still counts as just back: processes connect again meanwhile.
const RETURN_NS: u64 = 5_000_000_000;

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

/// Recoveries of one kind, and the slowest of them.
struct Recoveries<'a> {
    ledger: &'a [Line],
    times: Vec<Duration>,
    slowest: Option<(Duration, (u32, Role))>,
}

/// When the server was away, as far as the ledger has told.
#[derive(Default)]
struct Outages {
    count: usize,
    time: Duration,
    since_ns: Option<u64>,
    /// The end of the last one.
    back_ns: Option<u64>,
}

pub(super) fn check(ledger: &[Line], rules: Rules, judgement: &mut Judgement) {
    let mut places: BTreeMap<(u32, Role), Place> = BTreeMap::new();
    let [mut prompt, mut late, mut suspects] = [(); 3].map(|()| Recoveries::of(ledger));
    let mut suspected = BTreeSet::new();
    let mut outages = Outages::default();
    let mut hits: BTreeMap<u32, Hit> = BTreeMap::new();
    for line in ledger {
        let (task, life) = (line.subject.task(), line.life.number);
        match line.verb {
            Verb::Suspect => drop(suspected.insert(task)),
            Verb::Enter => {
                let is_suspect = suspected.remove(&task);
                let before = places.insert(task, Place::with(life, false, &hits));
                if let Some(Place::Lost { life: lost_by, since_ns, .. }) = before {
                    let (kind, from_ns) = match outages.delay(since_ns, line.at_ns) {
                        Some(back_ns) => (&mut late, back_ns.max(since_ns)),
                        None if is_suspect => (&mut suspects, since_ns),
                        None => (&mut prompt, since_ns),
                    };
                    kind.add(task, Duration::from_nanos(line.at_ns.saturating_sub(from_ns)));
                    if let Some(hit) = hits.get_mut(&lost_by) {
                        hit.tasks += 1;
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
            Verb::Down => outages.begin(line.at_ns),
            Verb::Back => outages.end(line.at_ns),
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
    judgement.recoveries = prompt.held_to(rules.recovery_p99, judgement);
    judgement.late_recoveries = late.held_to(rules.after_outage_p99, judgement);
    judgement.suspects = suspects.held_to(rules.suspect_p99, judgement);
    (judgement.outages, judgement.outage_time) = (outages.count, outages.time);
    // One for each kill, in the same order as those of the steps.
    for (kill, hit) in judgement.kills.iter_mut().zip(hits.into_values()) {
        kill.tasks = hit.tasks;
    }
}

impl<'a> Recoveries<'a> {
    const fn of(ledger: &'a [Line]) -> Self {
        Self { ledger, times: Vec::new(), slowest: None }
    }

    fn add(&mut self, task: (u32, Role), time: Duration) {
        self.times.push(time);
        if self.slowest.is_none_or(|(slowest, _)| slowest < time) {
            self.slowest = Some((time, task));
        }
    }

    /// The times, ascending. If 99 of 100 took longer than they may, the slowest is a finding.
    fn held_to(mut self, limit: Duration, judgement: &mut Judgement) -> Vec<Duration> {
        self.times.sort_unstable();
        if percentile(&self.times, 99) > limit {
            judgement.findings.extend(self.slowest.map(|(time, task)| {
                let ((execution, role), ms) = (task, time.as_millis());
                Finding {
                    what: format!("recovery is too slow: execution {execution}, task {role} took {ms} ms"),
                    lines: lines_where(self.ledger, |line| line.subject.task() == task),
                }
            }));
        }
        self.times
    }
}

impl Outages {
    fn begin(&mut self, at_ns: u64) {
        self.since_ns = Some(at_ns);
    }

    fn end(&mut self, at_ns: u64) {
        if let Some(since_ns) = self.since_ns.take() {
            self.count += 1;
            self.time += Duration::from_nanos(at_ns.saturating_sub(since_ns));
            self.back_ns = Some(at_ns);
        }
    }

    /// The end of the outage that delayed what goes on now and was lost at a time; nothing if none did.
    fn delay(&self, lost_ns: u64, now_ns: u64) -> Option<u64> {
        // Workers may find the server a moment before the supervisor has written down that it is back.
        if self.since_ns.is_some() {
            return Some(now_ns);
        }
        self.back_ns.filter(|back_ns| lost_ns < back_ns + RETURN_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::super::story::{RULES, Story};
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn judged(story: &Story) -> Judgement {
        judge(&story.ledger, &story.endings, RULES)
    }

    #[test]
    fn recovery_is_measured_from_the_kill_to_the_next_line_elsewhere() {
        let mut story = Story::new();
        story.enter(1, 1).kill(1).later(SECOND_NS).enter(2, 1);
        let judgement = judged(&story);
        assert!(judgement.is_clean(), "{judgement:?}");
        assert_eq!(judgement.recoveries.len(), 1);
        let time = judgement.recoveries[0];
        assert!(time >= Duration::from_secs(1) && time < Duration::from_secs(2));
        assert_eq!(judgement.kills[0].tasks, 1);
    }

    #[test]
    fn a_recovery_that_the_servers_outage_delays_is_measured_apart_and_from_its_end() {
        let mut story = Story::new();
        story.enter(1, 1).kill(1).outage(9 * SECOND_NS).later(SECOND_NS).enter(2, 1);
        let judgement = judged(&story);
        assert_eq!((judgement.is_clean(), judgement.recoveries.len(), judgement.outages), (true, 0, 1));
        assert!(judgement.late_recoveries[0] < Duration::from_secs(2), "{judgement:?}");
        assert!(judgement.outage_time >= Duration::from_secs(9));

        let mut story = Story::new();
        story.outage(SECOND_NS).later(SECOND_NS).enter(1, 1).kill(1).later(20 * SECOND_NS).enter(2, 1);
        let judgement = judged(&story);
        assert_eq!(judgement.late_recoveries.len(), 1, "the server had only just come back");
        assert!(judgement.findings[0].what.contains("task root took 20000 ms"), "{judgement:?}");
    }

    #[test]
    fn what_goes_on_before_the_servers_return_is_written_down_is_no_slow_recovery() {
        let mut story = Story::new();
        story.enter(1, 1).kill(1).gone().later(9 * SECOND_NS).enter(2, 1);
        let judgement = judged(&story);
        assert_eq!((judgement.is_clean(), judgement.late_recoveries), (true, vec![Duration::ZERO]));
    }

    #[test]
    fn an_outage_long_before_a_kill_delays_nothing() {
        let mut story = Story::new();
        story.outage(SECOND_NS).later(6 * SECOND_NS).enter(1, 1).kill(1).later(SECOND_NS).enter(2, 1);
        let judgement = judged(&story);
        assert_eq!((judgement.recoveries.len(), judgement.late_recoveries.len()), (1, 0));
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
    fn a_task_over_which_two_workers_were_killed_is_measured_apart() {
        let mut story = Story::new();
        story.enter(1, 1).kill(1).later(9 * SECOND_NS).enter_as_suspect(2, 1);
        let judgement = judged(&story);
        assert_eq!((judgement.is_clean(), judgement.recoveries.len(), judgement.suspects.len()), (true, 0, 1));

        story.kill(2).later(16 * SECOND_NS).enter_as_suspect(3, 1);
        assert!(judged(&story).findings[0].what.contains("task root took 16000 ms"));
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

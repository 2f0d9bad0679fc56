//! Nothing is computed again: once a step's outcome was handed to the code its body never runs again and the outcome
//! never changes; before that it runs again only if whoever ran it was killed. So a kill costs at most the bodies in
//! flight.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Judgement, KillReport, lines_where};
use crate::line::{Line, Subject, Verb};

/// What the ledger has told of one step so far.
#[derive(Default)]
struct Step {
    /// The life that ran the body last, and whether that life got to hand its outcome out.
    runner: Option<(u32, bool)>,
    /// The token handed out.
    outcome: Option<u64>,
}

pub(super) fn check(ledger: &[Line], judgement: &mut Judgement) {
    let mut steps: BTreeMap<&Subject, Step> = BTreeMap::new();
    let mut kills: BTreeMap<u32, KillReport> = BTreeMap::new();
    for line in ledger {
        let (life, subject) = (line.life.number, &line.subject);
        match line.verb {
            Verb::Kill => {
                let bodies = steps.values().filter(|step| step.runner == Some((life, false))).count();
                kills.insert(life, KillReport { bodies, ..KillReport::default() });
            }
            Verb::Run => {
                judgement.runs += 1;
                let step = steps.entry(subject).or_default();
                if let Some(why) = why_not(step, &kills) {
                    judgement.findings.push(finding(ledger, subject, &format!("ran again {why}")));
                }
                if let Some(kill) = step.runner.and_then(|(runner, _)| kills.get_mut(&runner)) {
                    kill.extra_runs += 1;
                }
                step.runner = Some((life, false));
                // Between the line before a kill and the kill itself a process may come to another body, or end one.
                if let Some(kill) = kills.get_mut(&life) {
                    kill.bodies += 1;
                }
            }
            Verb::Ack => {
                let step = steps.entry(subject).or_default();
                if step.outcome.is_some_and(|outcome| outcome != line.number) {
                    judgement.findings.push(finding(
                        ledger,
                        subject,
                        "was handed out with another outcome than before",
                    ));
                }
                step.outcome = Some(line.number);
                if step.runner == Some((life, false)) {
                    step.runner = Some((life, true));
                    if let Some(kill) = kills.get_mut(&life) {
                        kill.bodies -= 1;
                    }
                }
            }
            _ => {}
        }
    }
    for (life, kill) in &kills {
        if kill.extra_runs > kill.bodies {
            let KillReport { extra_runs, bodies, .. } = kill;
            let what = format!("the kill of worker {life} cost {extra_runs} runs, with {bodies} bodies in flight");
            let is_run_of_it = |line: &&Line| line.verb == Verb::Run && line.life.number == *life;
            let hit: BTreeSet<&Subject> = ledger.iter().filter(is_run_of_it).map(|line| &line.subject).collect();
            judgement.findings.push(Finding { what, lines: lines_where(ledger, |line| hit.contains(&line.subject)) });
        }
    }
    judgement.kills = kills.into_values().collect();
}

/// Why a body must not run now; nothing if it may.
fn why_not(step: &Step, kills: &BTreeMap<u32, KillReport>) -> Option<String> {
    if step.outcome.is_some() {
        return Some("after its outcome was handed out".to_owned());
    }
    let (runner, _) = step.runner?;
    (!kills.contains_key(&runner)).then(|| format!("while worker {runner}, which ran it before, had not been killed"))
}

fn finding(ledger: &[Line], subject: &Subject, what: &str) -> Finding {
    let Subject { execution, role, step } = subject;
    let what = format!("execution {execution}: the step {role}/{step} {what}");
    Finding { what, lines: lines_where(ledger, |line| line.subject == *subject) }
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::super::story::{RULES, Story};
    use super::*;

    fn words(story: &Story) -> Vec<String> {
        let mut judgement = Judgement::default();
        check(&story.ledger, &mut judgement);
        judgement.findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_body_may_run_again_after_the_kill_of_its_process_if_its_outcome_was_not_handed_out() {
        let mut story = Story::new();
        story.run(1, "a1", 10).kill(1).run(2, "a1", 20).ack(2, "a1", 20);
        let judgement = judge(&story.ledger, &story.endings, RULES);
        assert_eq!(words(&story), [""; 0]);
        assert_eq!((judgement.kills[0].bodies, judgement.kills[0].extra_runs, judgement.runs), (1, 1, 2));
    }

    #[test]
    fn a_body_that_runs_again_after_its_outcome_was_handed_out_is_found() {
        let mut story = Story::new();
        story.run(1, "a1", 10).ack(1, "a1", 10).kill(1).run(2, "a1", 20);
        assert!(words(&story)[0].starts_with("execution 1: the step root/a1 ran again after its outcome"));
        let judgement = judge(&story.ledger, &story.endings, RULES);
        assert_eq!(judgement.findings[0].lines.len(), 5);
    }

    #[test]
    fn a_body_that_runs_again_while_its_process_lives_is_found() {
        for again_by in [1, 2] {
            let mut story = Story::new();
            story.run(1, "a1", 10).run(again_by, "a1", 20);
            assert_eq!(
                words(&story),
                ["execution 1: the step root/a1 ran again while worker 1, which ran it before, had not been killed"]
            );
        }
    }

    #[test]
    fn an_outcome_that_changes_is_found() {
        let mut story = Story::new();
        story.run(1, "a1", 10).ack(1, "a1", 10).kill(1).ack(2, "a1", 11);
        assert_eq!(words(&story), ["execution 1: the step root/a1 was handed out with another outcome than before"]);
    }

    #[test]
    fn an_outcome_handed_out_again_by_a_replay_is_no_run() {
        let mut story = Story::new();
        story.run(1, "a1", 10).ack(1, "a1", 10).kill(1).ack(2, "a1", 10);
        assert_eq!(words(&story), [""; 0]);
    }

    #[test]
    fn bodies_that_begin_or_end_between_the_line_before_a_kill_and_the_kill_are_counted_as_they_stood() {
        let mut story = Story::new();
        story.run(1, "a1", 10).killing(1).ack(1, "a1", 10).run(1, "a2", 11).dead(1).run(2, "a2", 20);
        let judgement = judge(&story.ledger, &story.endings, RULES);
        assert_eq!((words(&story), judgement.kills[0].bodies, judgement.kills[0].extra_runs), (vec![], 1, 1));
    }

    #[test]
    fn a_kill_that_costs_more_than_it_hit_is_found() {
        let mut story = Story::new();
        story.run(1, "a1", 10).ack(1, "a1", 10).kill(1).run(2, "a1", 20);
        assert!(words(&story).contains(&"the kill of worker 1 cost 1 runs, with 0 bodies in flight".to_owned()));
    }
}

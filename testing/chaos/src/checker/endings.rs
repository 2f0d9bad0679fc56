//! Nothing is lost: every acknowledged execution ended, with the output it would have had without any kill, made of
//! the very runs that the ledger knows as recorded.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Judgement, lines_where};
use crate::line::{Line, Role, Verb};
use crate::supervisor::{Ending, Endings};
use crate::workload::{Outcome, Shape, worth};

pub(super) fn check(ledger: &[Line], endings: &Endings, shape: Shape, judgement: &mut Judgement) {
    let acknowledged: BTreeSet<u32> =
        ledger.iter().filter(|line| line.verb == Verb::Start).map(|line| line.subject.execution).collect();
    judgement.acknowledged = acknowledged.len();
    let handed_out = tokens(ledger);
    for execution in acknowledged {
        let fault = match endings.get(&execution) {
            Some(ending) => fault(execution, ending, shape, &handed_out),
            None => Some("was acknowledged and is not known to have ended".to_owned()),
        };
        match fault {
            None => judgement.completed += 1,
            Some(fault) => judgement.findings.push(Finding {
                what: format!("execution {execution} {fault}"),
                lines: lines_where(ledger, |line| line.subject.execution == execution),
            }),
        }
    }
}

/// The last token handed out for each step.
type Tokens<'a> = BTreeMap<(u32, Role, &'a str), u64>;

fn tokens(ledger: &[Line]) -> Tokens<'_> {
    let handed_out = ledger.iter().filter(|line| line.verb == Verb::Ack);
    let entry = |line: &'_ Line| (line.subject.execution, line.subject.role);
    handed_out.map(|line| ((entry(line).0, entry(line).1, &*line.subject.step), line.number)).collect()
}

fn fault(execution: u32, ending: &Ending, shape: Shape, handed_out: &Tokens<'_>) -> Option<String> {
    let Outcome { made, event } = match ending {
        Ok(outcome) => outcome,
        Err(words) => return Some(words.clone()),
    };
    if *event != shape.event(execution).map(|(_, worth)| worth) {
        return Some("got another event than its own".to_owned());
    }
    let wanted = shape.steps();
    if made.len() != wanted.len() {
        return Some(format!("ended with {} steps of {}", made.len(), wanted.len()));
    }
    made.iter().zip(wanted).find_map(|(made, (role, step))| {
        if (made.role.as_str(), made.step.as_str()) != (&*role.to_string(), step) {
            return Some(format!("ended with {}/{} in the place of {role}/{step}", made.role, made.step));
        }
        if made.worth != worth(execution, role, step) {
            return Some(format!("ended with a wrong value of {role}/{step}"));
        }
        let recorded = handed_out.get(&(execution, role, step));
        (recorded != Some(&made.token))
            .then(|| format!("ended with another outcome of {role}/{step} than it was handed out"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::super::story::{RULES, Story};
    use super::*;

    fn words(story: &Story) -> Vec<String> {
        judge(&story.ledger, &story.endings, RULES).findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn an_execution_that_ended_as_it_should_is_completed() {
        let story = Story::of_one_execution();
        let judgement = judge(&story.ledger, &story.endings, RULES);
        assert_eq!((judgement.findings, judgement.acknowledged, judgement.completed), (vec![], 1, 1));
    }

    #[test]
    fn an_acknowledged_execution_without_an_end_is_lost() {
        let mut story = Story::of_one_execution();
        story.endings.clear();
        assert_eq!(words(&story), ["execution 1 was acknowledged and is not known to have ended"]);
    }

    #[test]
    fn an_execution_that_failed_or_has_not_ended_is_found_with_what_is_known_of_it() {
        let mut story = Story::of_one_execution();
        story.endings.insert(1, Err("failed: it broke".to_owned()));
        assert_eq!(words(&story), ["execution 1 failed: it broke"]);
    }

    #[test]
    fn a_step_missing_misplaced_or_of_another_value_is_found() {
        let spoil = |spoil: fn(&mut Outcome)| {
            let mut story = Story::of_one_execution();
            spoil(story.outcome());
            words(&story)
        };
        assert_eq!(spoil(|outcome| drop(outcome.made.pop())), ["execution 1 ended with 19 steps of 20"]);
        assert_eq!(
            spoil(|outcome| outcome.made.swap(0, 1)),
            ["execution 1 ended with root/a2 in the place of root/a1"]
        );
        assert_eq!(spoil(|outcome| outcome.made[3].worth += 1), ["execution 1 ended with a wrong value of root/a4"]);
        assert_eq!(spoil(|outcome| outcome.event = Some(1)), ["execution 1 got another event than its own"]);
    }

    #[test]
    fn an_output_of_another_run_than_the_recorded_one_is_found() {
        let mut story = Story::of_one_execution();
        story.outcome().made[0].token += 1;
        assert_eq!(words(&story), ["execution 1 ended with another outcome of root/a1 than it was handed out"]);
    }
}

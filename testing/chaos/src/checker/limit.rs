//! Of a limited function no more are in at once than may be, counted from outside: from the line that a body writes first
//! to the one that it writes last, or to the kill of its process. Without kills all together take hardly longer than
//! their bodies side by side.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Finding, Judgement, Rules};
use crate::line::{Line, Role, Verb};

pub(super) fn check(ledger: &[Line], rules: Rules, judgement: &mut Judgement) {
    let Some((limit, body)) = rules.shape.limit() else { return };
    let mut within: BTreeMap<(u32, Role), (u32, usize)> = BTreeMap::new();
    let mut killed = Vec::new();
    for (at, line) in ledger.iter().enumerate() {
        let (task, life) = (line.subject.task(), line.life.number);
        match line.verb {
            // What a process still writes while its kill is on the way is over with it.
            Verb::Enter if !killed.contains(&life) => drop(within.insert(task, (life, at))),
            Verb::Leave | Verb::Drop if within.get(&task).is_some_and(|(owner, _)| *owner == life) => {
                within.remove(&task);
            }
            Verb::Kill => {
                killed.push(life);
                within.retain(|_, (owner, _)| *owner != life);
            }
            _ => {}
        }
        if within.len() > judgement.most_at_once {
            judgement.most_at_once = within.len();
            if within.len() > limit as usize {
                let mut lines: Vec<usize> = within.values().map(|(_, at)| *at).collect();
                lines.sort_unstable();
                let what = format!("{} bodies were in at once, of {limit} that may be", within.len());
                judgement.findings.push(Finding { what, lines });
            }
        }
    }
    if let Some(percent) = rules.time_percent {
        time(ledger, limit, body * percent / 100, judgement);
    }
}

fn time(ledger: &[Line], limit: u32, body: Duration, judgement: &mut Judgement) {
    let at = |verb: Verb| ledger.iter().filter(move |line| line.verb == verb).map(|line| line.at_ns);
    let (Some(first), Some(last)) = (at(Verb::Start).min(), at(Verb::End).max()) else { return };
    let took = Duration::from_nanos(last.saturating_sub(first));
    let count = u32::try_from(at(Verb::End).count()).unwrap_or(u32::MAX);
    let most = body * count / limit;
    judgement.time = Some((took, most));
    if took > most {
        let what = format!("{count} calls took {took:.2?} and may take {most:.2?}");
        judgement.findings.push(Finding { what, lines: Vec::new() });
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{RULES, Story};
    use super::*;
    use crate::workload::Shape;

    fn judged(story: &Story) -> Judgement {
        let rules = Rules { shape: Shape::Limited, ..RULES };
        let mut judgement = Judgement::default();
        check(&story.ledger, rules, &mut judgement);
        judgement
    }

    #[test]
    fn as_many_as_may_be_are_in_order_and_one_more_is_found() {
        let mut story = Story::new();
        for execution in 1..=5 {
            story.enter_of(execution, 1);
        }
        assert_eq!((judged(&story).most_at_once, judged(&story).findings.len()), (5, 0));
        story.enter_of(6, 2);
        let words: Vec<_> = judged(&story).findings.into_iter().map(|finding| finding.what).collect();
        assert_eq!(words, ["6 bodies were in at once, of 5 that may be"]);
    }

    #[test]
    fn those_of_a_killed_process_are_in_no_more() {
        let mut story = Story::new();
        for execution in 1..=5 {
            story.enter_of(execution, 1);
        }
        story.kill(1);
        for execution in 1..=5 {
            story.enter_of(execution, 2);
        }
        assert_eq!((judged(&story).most_at_once, judged(&story).findings.len()), (5, 0));
    }
}

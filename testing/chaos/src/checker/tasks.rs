//! One task has one worker at a time, and a kill costs it no attempt.

use std::collections::BTreeMap;

use super::{Finding, Judgement, lines_where};
use crate::line::{Line, Role, Verb};

pub(super) fn check(ledger: &[Line], judgement: &mut Judgement) {
    let mut owners: BTreeMap<(u32, Role), u32> = BTreeMap::new();
    for line in ledger {
        let (task, life) = (line.subject.task(), line.life.number);
        match line.verb {
            Verb::Enter => {
                owners.insert(task, life);
                if line.number != 1 {
                    let what = format!("was begun as attempt {}: a loss was charged as one", line.number);
                    judgement.findings.push(finding(ledger, task, &what));
                }
            }
            Verb::Run | Verb::Ack | Verb::Leave => match owners.get(&task) {
                Some(owner) if *owner != life => {
                    let what = format!("went on in worker {life} though worker {owner} had it by then");
                    judgement.findings.push(finding(ledger, task, &what));
                }
                _ => {}
            },
            Verb::Up | Verb::Kill | Verb::Dead | Verb::Down | Verb::Back => {}
            Verb::Start | Verb::End | Verb::Suspect | Verb::Drop => {}
        }
    }
}

fn finding(ledger: &[Line], task: (u32, Role), what: &str) -> Finding {
    let (execution, role) = task;
    let what = format!("execution {execution}: the task {role} {what}");
    Finding { what, lines: lines_where(ledger, |line| line.subject.task() == task) }
}

#[cfg(test)]
mod tests {
    use super::super::story::Story;
    use super::*;

    fn words(story: &Story) -> Vec<String> {
        let mut judgement = Judgement::default();
        check(&story.ledger, &mut judgement);
        judgement.findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_task_that_moves_to_another_worker_is_in_order() {
        let mut story = Story::new();
        story.enter(1, 1).run(1, "a1", 10).kill(1).enter(2, 1).run(2, "a1", 20);
        assert_eq!(words(&story), [""; 0]);
    }

    #[test]
    fn a_worker_that_goes_on_with_a_task_another_has_taken_is_found() {
        let mut story = Story::new();
        story.enter(1, 1).enter(2, 1).run(1, "a1", 10);
        assert_eq!(words(&story), ["execution 1: the task root went on in worker 1 though worker 2 had it by then"]);
    }

    #[test]
    fn a_kill_that_cost_an_attempt_is_found() {
        let mut story = Story::new();
        story.enter(1, 1).kill(1).enter(2, 2);
        assert_eq!(words(&story), ["execution 1: the task root was begun as attempt 2: a loss was charged as one"]);
    }
}

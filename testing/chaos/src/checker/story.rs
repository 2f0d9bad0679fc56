//! Ledgers written by hand, for the checker's tests.

use std::time::Duration;

use super::Rules;
use crate::line::{Life, Line, Role, Subject, Verb};
use crate::supervisor::Endings;
use crate::workload::{Made, Outcome, Shape, worth};

/// What the stories are held to.
pub(super) const RULES: Rules = Rules {
    shape: Shape::Mixed,
    recovery_p99: Duration::from_millis(2_500),
    after_outage_p99: Duration::from_secs(15),
    suspect_p99: Duration::from_secs(15),
    time_percent: None,
};

/// A ledger about execution 1, and how that ended.
#[derive(Default)]
pub(super) struct Story {
    pub(super) ledger: Vec<Line>,
    pub(super) endings: Endings,
    now_ns: u64,
}

impl Story {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// One that was started, ran and ended as it should.
    pub(super) fn of_one_execution() -> Self {
        let mut story = Self::new();
        story.add(0, Verb::Start, Subject::root(1), 0);
        let mut made = Vec::new();
        for (token, (role, step)) in (100..).zip(Shape::Mixed.steps()) {
            let subject = Subject { execution: 1, role, step: step.to_owned() };
            story.add(1, Verb::Run, subject.clone(), token).add(1, Verb::Ack, subject, token);
            made.push(Made { role: role.to_string(), step: step.to_owned(), worth: worth(1, role, step), token });
        }
        story.endings.insert(1, Ok(Outcome { made, event: Shape::Mixed.event(1).map(|(_, worth)| worth) }));
        story
    }

    pub(super) fn outcome(&mut self) -> &mut Outcome {
        self.endings.get_mut(&1).unwrap().as_mut().unwrap()
    }

    pub(super) fn later(&mut self, span_ns: u64) -> &mut Self {
        self.now_ns += span_ns;
        self
    }

    pub(super) fn enter(&mut self, life: u32, attempt: u64) -> &mut Self {
        self.add(life, Verb::Enter, Subject::root(1), attempt)
    }

    pub(super) fn enter_of(&mut self, execution: u32, life: u32) -> &mut Self {
        self.add(life, Verb::Enter, Subject::root(execution), 1)
    }

    pub(super) fn enter_as_suspect(&mut self, life: u32, attempt: u64) -> &mut Self {
        self.add(life, Verb::Suspect, Subject::root(1), 0).enter(life, attempt)
    }

    pub(super) fn leave(&mut self, life: u32) -> &mut Self {
        self.add(life, Verb::Leave, Subject::root(1), 0)
    }

    pub(super) fn dropped(&mut self, life: u32) -> &mut Self {
        self.add(life, Verb::Drop, Subject::root(1), 0)
    }

    pub(super) fn run(&mut self, life: u32, step: &str, token: u64) -> &mut Self {
        self.add(life, Verb::Run, root_step(step), token)
    }

    pub(super) fn ack(&mut self, life: u32, step: &str, token: u64) -> &mut Self {
        self.add(life, Verb::Ack, root_step(step), token)
    }

    pub(super) fn kill(&mut self, life: u32) -> &mut Self {
        self.killing(life).dead(life)
    }

    pub(super) fn killing(&mut self, life: u32) -> &mut Self {
        self.add(life, Verb::Kill, Subject::none(), 0)
    }

    /// The server is killed.
    pub(super) fn gone(&mut self) -> &mut Self {
        self.add(0, Verb::Down, Subject::none(), 0)
    }

    /// The server is away for a while.
    pub(super) fn outage(&mut self, span_ns: u64) -> &mut Self {
        self.gone().later(span_ns).add(0, Verb::Back, Subject::none(), 0)
    }

    pub(super) fn dead(&mut self, life: u32) -> &mut Self {
        self.add(life, Verb::Dead, Subject::none(), 0)
    }

    fn add(&mut self, life: u32, verb: Verb, subject: Subject, number: u64) -> &mut Self {
        self.now_ns += 1_000;
        let life = Life { number: life, pid: 4_000 + life };
        self.ledger.push(Line { verb, subject, number, life, at_ns: self.now_ns });
        self
    }
}

fn root_step(step: &str) -> Subject {
    Subject { execution: 1, role: Role::Root, step: step.to_owned() }
}

//! The work: 20 steps in three tasks, one after the other, side by side under one future, in two children at once,
//! around a short durable sleep and an event from outside. Every value is known beforehand, so an output can be judged
//! without another run; every run of a body leaves a token in its value, so an output tells which run was recorded.

use std::sync::Arc;
use std::time::Duration;

use durable::{SpawnOptions, StepError, Task, TaskContext, TaskError, TaskResult, async_trait};
use serde::{Deserialize, Serialize};

use crate::ledger::Ledger;
use crate::line::{Role, Subject, Verb};

/// How long a step's body takes: up to this, by its name and execution.
const BODY_MS: u64 = 14;

/// The durable sleep.
const NAP: Duration = Duration::from_millis(40);

/// The root's steps before, within (three branches) and after the concurrent section, and the steps of each child.
const FIRST: [&str; 5] = ["a1", "a2", "a3", "a4", "a5"];
const BRANCHES: [[&str; 2]; 3] = [["b1", "b2"], ["b3", "b4"], ["b5", "b6"]];
const LAST: [&str; 3] = ["d1", "d2", "d3"];
const OF_CHILD: [&str; 3] = ["c1", "c2", "c3"];

/// What a step gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub role: String,
    pub step: String,
    /// What it is worth, see [`worth`].
    pub worth: u64,
    /// Which run of the body gave it.
    pub token: u64,
}

/// What an execution ends with: what its steps gave, in the order of its code, and what its event brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub made: Vec<Made>,
    pub event: u64,
}

/// The name of the event that an execution waits for; its payload is [`event_worth`].
pub fn event_name(execution: u32) -> String {
    format!("go:{execution}")
}

pub fn event_worth(execution: u32) -> u64 {
    mixed(execution, "event")
}

/// The value of a step: the same in every run.
pub fn worth(execution: u32, role: Role, step: &str) -> u64 {
    mixed(execution, &format!("{role}/{step}"))
}

/// All steps, in the order of [`Outcome::made`].
pub fn steps() -> Vec<(Role, &'static str)> {
    let of = |role: Role| move |step: &&'static str| (role, *step);
    let mut steps: Vec<_> = FIRST.iter().map(of(Role::Root)).collect();
    steps.extend(BRANCHES.iter().flatten().map(of(Role::Root)));
    steps.extend(OF_CHILD.iter().map(of(Role::Left)));
    steps.extend(OF_CHILD.iter().map(of(Role::Right)));
    steps.extend(LAST.iter().map(of(Role::Root)));
    steps
}

/// How every task of the run is started: whatever fails, fails the run.
pub fn once() -> SpawnOptions {
    SpawnOptions { max_attempts: Some(1), ..SpawnOptions::default() }
}

pub struct Root;

#[async_trait]
impl Task for Root {
    const NAME: &'static str = "root";
    type Params = u32;
    type Output = Outcome;

    async fn run(execution: u32, ctx: TaskContext) -> TaskResult<Outcome> {
        let mut pen = Pen::enter(&ctx, execution, Role::Root)?;
        let mut made = pen.steps(&ctx, &FIRST).await?;
        let [one, two, three] = &BRANCHES;
        let branches = tokio::try_join!(pen.steps(&ctx, one), pen.steps(&ctx, two), pen.steps(&ctx, three))?;
        made.extend([branches.0, branches.1, branches.2].concat());
        ctx.sleep_for("nap", NAP).await?;
        let left = ctx.spawn::<Left>("left", execution, once()).await?;
        let right = ctx.spawn::<Right>("right", execution, once()).await?;
        let (left, right) = tokio::try_join!(ctx.join(left), ctx.join(right))?;
        made.extend([left, right].concat());
        let event = ctx.await_event(&event_name(execution), None).await?;
        made.extend(pen.steps(&ctx, &LAST).await?);
        pen.leave()?;
        Ok(Outcome { made, event })
    }
}

pub struct Left;
pub struct Right;

#[async_trait]
impl Task for Left {
    const NAME: &'static str = "left";
    type Params = u32;
    type Output = Vec<Made>;

    async fn run(execution: u32, ctx: TaskContext) -> TaskResult<Vec<Made>> {
        child(execution, Role::Left, &ctx).await
    }
}

#[async_trait]
impl Task for Right {
    const NAME: &'static str = "right";
    type Params = u32;
    type Output = Vec<Made>;

    async fn run(execution: u32, ctx: TaskContext) -> TaskResult<Vec<Made>> {
        child(execution, Role::Right, &ctx).await
    }
}

async fn child(execution: u32, role: Role, ctx: &TaskContext) -> TaskResult<Vec<Made>> {
    let mut pen = Pen::enter(ctx, execution, role)?;
    let made = pen.steps(ctx, &OF_CHILD).await?;
    pen.leave()?;
    Ok(made)
}

/// Writes into the ledger what one task's code does.
struct Pen {
    ledger: Arc<Ledger>,
    task: Subject,
    has_left: bool,
}

impl Pen {
    fn enter(ctx: &TaskContext, execution: u32, role: Role) -> TaskResult<Self> {
        let task = Subject { role, ..Subject::root(execution) };
        let pen = Self { ledger: ctx.app::<Ledger>()?, task, has_left: false };
        pen.write(Verb::Enter, "", ctx.attempt.into())?;
        Ok(pen)
    }

    fn leave(&mut self) -> TaskResult<()> {
        self.has_left = true;
        self.write(Verb::Leave, "", 0)
    }

    /// Steps one after the other.
    async fn steps(&self, ctx: &TaskContext, names: &[&'static str]) -> TaskResult<Vec<Made>> {
        let mut made = Vec::with_capacity(names.len());
        for name in names {
            made.push(self.step(ctx, name).await?);
        }
        Ok(made)
    }

    async fn step(&self, ctx: &TaskContext, name: &'static str) -> TaskResult<Made> {
        let made: Made = ctx.step(name, || self.body(name)).await?;
        // Whatever was handed out is recorded: from here on the body must never run again.
        self.write(Verb::Ack, name, made.token)?;
        Ok(made)
    }

    async fn body(&self, name: &'static str) -> Result<Made, StepError> {
        let token = self.ledger.token();
        self.ledger.add(Verb::Run, self.subject(name), token)?;
        let worth = worth(self.task.execution, self.task.role, name);
        tokio::time::sleep(Duration::from_millis(worth % (BODY_MS + 1))).await;
        Ok(Made { role: self.task.role.to_string(), step: name.to_owned(), worth, token })
    }

    fn write(&self, verb: Verb, step: &str, number: u64) -> TaskResult<()> {
        let written = self.ledger.add(verb, self.subject(step), number);
        written.map_err(|error| TaskError::user("cannot write into the ledger", error.to_string()))
    }

    fn subject(&self, step: &str) -> Subject {
        Subject { step: step.to_owned(), ..self.task.clone() }
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        if !self.has_left {
            // There is nobody left to tell of a failure; the checker would miss the line.
            drop(self.write(Verb::Drop, "", 0));
        }
    }
}

fn mixed(execution: u32, name: &str) -> u64 {
    let digest = blake3::hash(format!("{execution}/{name}").as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_has_20_distinct_steps() {
        let steps = steps();
        let distinct: std::collections::HashSet<_> = steps.iter().collect();
        assert_eq!((steps.len(), distinct.len()), (20, 20));
    }
}

//! The work of a run. Every value is known beforehand, so an output can be judged without another run; every run of a
//! body leaves a token in its value, so an output tells which run was recorded.

mod five;
mod limited;
mod mixed;

use std::sync::Arc;
use std::time::Duration;

use durable::{Durable, DurableError, SpawnOptions, SpawnResult, StepError, TaskContext, TaskError, TaskResult};
use serde::{Deserialize, Serialize};
use stent_core::limits::SUSPECT_LOSSES;

use crate::ledger::Ledger;
use crate::line::{Role, Subject, Verb};

/// What the executions of a run are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// 20 steps in three tasks, a sleep and an event from outside: every way of going on, in few executions.
    Mixed,
    /// Five steps in a row: thousands of them, so that a kill hits many at once.
    Five,
    /// Calls of a function of which only a few may be in at once.
    Limited,
}

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
    pub event: Option<u64>,
}

impl Shape {
    /// All steps, in the order of [`Outcome::made`].
    pub fn steps(self) -> Vec<(Role, &'static str)> {
        match self {
            Self::Mixed => mixed::steps(),
            Self::Five => five::steps(),
            Self::Limited => Vec::new(),
        }
    }

    /// The event that an execution waits for, if it waits for one: its name and its payload.
    pub fn event(self, execution: u32) -> Option<(String, u64)> {
        match self {
            Self::Mixed => Some((format!("go:{execution}"), drawn(execution, "event"))),
            Self::Five | Self::Limited => None,
        }
    }

    /// How many bodies may be in at once, and how long each is, where that is limited.
    pub const fn limit(self) -> Option<(u32, Duration)> {
        match self {
            Self::Mixed | Self::Five => None,
            Self::Limited => Some((limited::LIMIT, limited::BODY)),
        }
    }

    /// Starts an execution.
    pub async fn start(self, client: &Durable, execution: u32) -> Result<SpawnResult, DurableError> {
        match self {
            Self::Mixed => client.spawn_with_options::<mixed::Root>((execution,), once()).await,
            Self::Five | Self::Limited => {
                // The same number leads to the same execution: a start whose answer was lost is repeated.
                let options = SpawnOptions { idempotency_key: Some(format!("execution:{execution}")), ..once() };
                match self {
                    Self::Limited => client.spawn_with_options::<limited::Limited>(execution, options).await,
                    _ => client.spawn_with_options::<five::Five>(execution, options).await,
                }
            }
        }
    }
}

/// Makes a worker's client know all of it.
pub async fn register(client: &Durable) -> Result<(), DurableError> {
    client.try_register::<mixed::Root>().await?;
    client.try_register::<mixed::Left>().await?;
    client.try_register::<mixed::Right>().await?;
    client.try_register::<five::Five>().await?;
    client.try_register::<limited::Limited>().await?;
    client.try_register::<crate::ticks::Tick>().await
}

/// The value of a step: the same in every run.
pub fn worth(execution: u32, role: Role, step: &str) -> u64 {
    drawn(execution, &format!("{role}/{step}"))
}

/// How every task of the run is started: whatever fails, fails the run.
fn once() -> SpawnOptions {
    SpawnOptions { max_attempts: Some(1), ..SpawnOptions::default() }
}

/// Writes into the ledger what one task's code does.
struct Pen {
    ledger: Arc<Ledger>,
    task: Subject,
    /// How long a step's body takes at most; how long, by its name and execution.
    body_ms: u64,
    has_left: bool,
}

impl Pen {
    fn enter(ctx: &TaskContext, execution: u32, role: Role, body_ms: u64) -> TaskResult<Self> {
        let task = Subject { role, ..Subject::root(execution) };
        let pen = Self { ledger: Arc::clone(&*ctx.app::<Arc<Ledger>>()?), task, body_ms, has_left: false };
        if ctx.losses >= SUSPECT_LOSSES {
            pen.write(Verb::Suspect, "", ctx.losses.into())?;
        }
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
        tokio::time::sleep(Duration::from_millis(worth % (self.body_ms + 1))).await;
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

/// FNV-1a: a few lines in any language, since workers in others draw the same.
fn drawn(execution: u32, name: &str) -> u64 {
    let mix = |digest: u64, byte: u8| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{execution}/{name}").bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_an_execution_has_a_name_of_its_own() {
        for (shape, count) in [(Shape::Mixed, 20), (Shape::Five, 5), (Shape::Limited, 0)] {
            let steps = shape.steps();
            let distinct: std::collections::HashSet<_> = steps.iter().collect();
            assert_eq!((steps.len(), distinct.len()), (count, count));
        }
    }
    #[test]
    fn a_value_is_known_in_every_language() {
        // As `worth` of python/flows.py gives it.
        assert_eq!(worth(7, Role::Left, "c1"), 0x16b0_2cf8_f053_0477);
    }
}

//! Five steps in a row, and nothing else.

use durable::{Task, TaskContext, TaskResult, async_trait};

use super::{Outcome, Pen};
use crate::line::Role;

/// How long a step's body takes at most: long enough that a kill finds most executions between two steps.
const BODY_MS: u64 = 400;

const STEPS: [&str; 5] = ["s1", "s2", "s3", "s4", "s5"];

pub(super) fn steps() -> Vec<(Role, &'static str)> {
    STEPS.map(|step| (Role::Root, step)).to_vec()
}

pub(super) struct Five;

#[async_trait]
impl Task for Five {
    const NAME: &'static str = "five";
    type Params = u32;
    type Output = Outcome;

    async fn run(execution: u32, ctx: TaskContext) -> TaskResult<Outcome> {
        let mut pen = Pen::enter(&ctx, execution, Role::Root, BODY_MS)?;
        let made = pen.steps(&ctx, &STEPS).await?;
        pen.leave()?;
        Ok(Outcome { made, event: None })
    }
}

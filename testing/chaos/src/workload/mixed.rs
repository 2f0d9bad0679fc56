//! 20 steps in three tasks, one after the other, side by side under one future, in two children at once, around a short
//! durable sleep and an event from outside.

use std::time::Duration;

use durable::{Task, TaskContext, TaskResult, async_trait};

use super::{Made, Outcome, Pen, Shape, once};
use crate::line::Role;

/// How long a step's body takes at most.
const BODY_MS: u64 = 14;

/// The durable sleep.
const NAP: Duration = Duration::from_millis(40);

/// The root's steps before, within (three branches) and after the concurrent section, and the steps of each child.
const FIRST: [&str; 5] = ["a1", "a2", "a3", "a4", "a5"];
const BRANCHES: [[&str; 2]; 3] = [["b1", "b2"], ["b3", "b4"], ["b5", "b6"]];
const LAST: [&str; 3] = ["d1", "d2", "d3"];
const OF_CHILD: [&str; 3] = ["c1", "c2", "c3"];

pub(super) fn steps() -> Vec<(Role, &'static str)> {
    let of = |role: Role| move |step: &&'static str| (role, *step);
    let mut steps: Vec<_> = FIRST.iter().map(of(Role::Root)).collect();
    steps.extend(BRANCHES.iter().flatten().map(of(Role::Root)));
    steps.extend(OF_CHILD.iter().map(of(Role::Left)));
    steps.extend(OF_CHILD.iter().map(of(Role::Right)));
    steps.extend(LAST.iter().map(of(Role::Root)));
    steps
}

pub(super) struct Root;

#[async_trait]
impl Task for Root {
    const NAME: &'static str = "root";
    /// An array: workers in Python take it as arguments by place.
    type Params = (u32,);
    type Output = Outcome;

    async fn run((execution,): (u32,), ctx: TaskContext) -> TaskResult<Outcome> {
        let mut pen = Pen::enter(&ctx, execution, Role::Root, BODY_MS)?;
        let mut made = pen.steps(&ctx, &FIRST).await?;
        let [one, two, three] = &BRANCHES;
        let branches = tokio::try_join!(pen.steps(&ctx, one), pen.steps(&ctx, two), pen.steps(&ctx, three))?;
        made.extend([branches.0, branches.1, branches.2].concat());
        ctx.sleep_for("nap", NAP).await?;
        let left = ctx.spawn::<Left>("left", execution, once()).await?;
        let right = ctx.spawn::<Right>("right", execution, once()).await?;
        let (left, right) = tokio::try_join!(ctx.join(left), ctx.join(right))?;
        made.extend([left, right].concat());
        let mut event = None;
        if let Some((name, _)) = Shape::Mixed.event(execution) {
            event = Some(ctx.await_event(&name, None).await?);
        }
        made.extend(pen.steps(&ctx, &LAST).await?);
        pen.leave()?;
        Ok(Outcome { made, event })
    }
}

pub(super) struct Left;
pub(super) struct Right;

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
    let mut pen = Pen::enter(ctx, execution, role, BODY_MS)?;
    let made = pen.steps(ctx, &OF_CHILD).await?;
    pen.leave()?;
    Ok(made)
}

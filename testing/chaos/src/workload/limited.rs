//! Calls of a limited function: nothing but a body of a known length, so that the time of all of them is known too.

use std::time::{Duration, Instant};

use durable::{Task, TaskContext, TaskError, TaskResult, async_trait};

use super::{Outcome, Pen};
use crate::line::Role;

/// How many may be in at once, in all workers together.
pub(super) const LIMIT: u32 = 5;

/// How long each is in.
pub(super) const BODY: Duration = Duration::from_millis(20);

pub(super) struct Limited;

#[async_trait]
impl Task for Limited {
    const NAME: &'static str = "limited";
    const MAX_CONCURRENT: Option<u32> = Some(LIMIT);
    type Params = u32;
    type Output = Outcome;

    async fn run(execution: u32, ctx: TaskContext) -> TaskResult<Outcome> {
        // The body is all of this function, with what the ledger and the change of threads take.
        let until = Instant::now() + BODY;
        let mut pen = Pen::enter(&ctx, execution, Role::Root, 0)?;
        // Not the runtime's own sleep, which counts in whole milliseconds and always one more.
        let rest = move || std::thread::sleep(until.saturating_duration_since(Instant::now()));
        let slept = tokio::task::spawn_blocking(rest).await;
        slept.map_err(|error| TaskError::user("the body was not run", error.to_string()))?;
        pen.leave()?;
        Ok(Outcome { made: Vec::new(), event: None })
    }
}

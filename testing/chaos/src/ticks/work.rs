//! What each tick starts: a body that says for which schedule and which time it runs, and as which execution.

use std::sync::Arc;
use std::time::Duration;

use durable::{Task, TaskContext, TaskError, TaskId, TaskResult, async_trait};

use crate::ledger::Ledger;
use crate::line::{Role, Subject, Verb};

/// How long a body takes at most.
const BODY_MS: u64 = 30;

pub struct Tick;

#[async_trait]
impl Task for Tick {
    const NAME: &'static str = "tick";
    /// The schedule's name.
    type Params = String;
    type Output = ();

    async fn run(schedule: String, ctx: TaskContext) -> TaskResult<()> {
        let headers = ctx.headers();
        let tick = headers.get("stent-tick").and_then(|tick| tick.as_str()).unwrap_or_default();
        let tick: jiff::Timestamp = tick.parse().map_err(|_| TaskError::user("its tick is unreadable", tick))?;
        // Until the year 2106.
        let second = u32::try_from(tick.as_second()).unwrap_or(0);
        let subject = Subject { execution: second, role: Role::Root, step: schedule };
        let id = number(ctx.task_id);
        let written = ctx.app::<Arc<Ledger>>()?.add(Verb::Run, subject, id);
        written.map_err(|error| TaskError::user("cannot write into the ledger", error.to_string()))?;
        tokio::time::sleep(Duration::from_millis(id % (BODY_MS + 1))).await;
        Ok(())
    }
}

/// The random half of an id: what tells executions apart in the ledger.
pub fn number(id: TaskId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.as_bytes()[8..]);
    u64::from_le_bytes(bytes)
}

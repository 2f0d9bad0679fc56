//! W1: executions of one step each, started first, then drained. The clock runs from the worker's start to the last
//! result; the starts are W6's business.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};
use durable::{Task, TaskContext, TaskId, TaskResult, TaskStatus, async_trait};
use tokio::sync::Notify;

use super::{open, payload, start_worker, stop};
use crate::figure::{Figure, Sample};
use crate::ground::Ground;

const EXECUTIONS: usize = 20_000;
const BATCH: usize = 1_000;
/// How many of the last bodies to end are asked for their result. Ends are committed about in the order of the bodies,
/// so after these nothing is in flight; to ask for all would be a workload of its own.
const AWAITED: usize = 64;

/// Counts the bodies that have ended.
struct Tally {
    state: Mutex<TallyState>,
    all_ended: Notify,
}

struct TallyState {
    left: usize,
    latest: VecDeque<TaskId>,
}

impl Tally {
    fn of(executions: usize) -> Self {
        let state = TallyState { left: executions, latest: VecDeque::with_capacity(AWAITED) };
        Self { state: Mutex::new(state), all_ended: Notify::new() }
    }

    fn ended(&self, task: TaskId) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.left = state.left.saturating_sub(1);
        if state.latest.len() == AWAITED {
            state.latest.pop_front();
        }
        state.latest.push_back(task);
        if state.left == 0 {
            self.all_ended.notify_one();
        }
    }

    fn latest(&self) -> Vec<TaskId> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).latest.iter().copied().collect()
    }
}

struct OneStep;

#[async_trait]
impl Task for OneStep {
    const NAME: &'static str = "one-step";
    type Params = String;
    type Output = String;

    async fn run(params: String, ctx: TaskContext) -> TaskResult<String> {
        let tally = ctx.app::<Arc<Tally>>()?;
        ctx.step("step", || async { Ok(payload()) }).await?;
        tally.ended(ctx.task_id);
        Ok(params)
    }
}

pub(super) async fn run(ground: &Ground) -> anyhow::Result<Vec<Sample>> {
    let tally = Arc::new(Tally::of(EXECUTIONS));
    let database = ground.fresh_database()?;
    let client = open(&database.url, Arc::clone(&tally)).await?;
    client.try_register::<OneStep>().await?;
    let mut started = Vec::with_capacity(EXECUTIONS);
    for _ in 0..EXECUTIONS / BATCH {
        started.extend(client.spawn_all::<OneStep>(vec![payload(); BATCH]).await?);
    }

    let began = Instant::now();
    let worker = start_worker(&client).await?;
    tally.all_ended.notified().await;
    for task in tally.latest() {
        client.wait_for(task, None).await?;
    }
    let took = began.elapsed();

    for execution in &started {
        let report = client.get_task_result(execution.task_id).await?.context("an execution is gone")?;
        ensure!(report.status == TaskStatus::Completed, "{} is {}", report.task_id, report.status);
    }
    stop(worker, client).await?;
    Ok(vec![Sample::of(Figure::Executions, EXECUTIONS as f64 / took.as_secs_f64())])
}

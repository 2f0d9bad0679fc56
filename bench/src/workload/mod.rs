//! The workloads of the design, one file each, against the public interface of `durable` alone: what they measure is
//! what a user gets. Here is what they share: how a client is opened, how work is started and awaited.

pub mod python;
mod w1;
mod w2;
mod w3;
mod w4;
mod w5;
mod w6;
pub mod w7;

use anyhow::Context;
use durable::{Durable, SpawnResult, Task, TaskContext, TaskResult, Worker, WorkerOptions, async_trait};

use crate::figure::{Part, Sample};
use crate::ground::Ground;

/// Tasks that a worker runs at once: more than any workload has in hand. A child that finds no free slot is queued for
/// whoever has one, and written three times instead of once.
const CONCURRENCY: usize = 12_000;
/// Tasks that a worker takes at once: the most there is.
const CLAIMED_AT_ONCE: u32 = 1_000;

/// Measures one workload.
pub async fn run(part: Part, ground: &Ground) -> anyhow::Result<Vec<Sample>> {
    match part {
        Part::W1 => w1::run(ground).await,
        Part::W2 => w2::run(ground).await,
        Part::W3 => w3::run(ground).await,
        Part::W4 => w4::run(ground).await,
        Part::W5 => w5::run(ground).await,
        Part::W6 => w6::run(ground).await,
        Part::W7 => w7::run(ground).await,
        Part::Raw | Part::Probe => anyhow::bail!("{} is a yardstick, no workload", part.name()),
    }
}

/// A client of the database at an address, with something for its tasks to find.
async fn open(url: &str, state: impl Send + Sync + 'static) -> anyhow::Result<Durable> {
    Ok(Durable::builder().database_url(url).queue_name("bench").state(state).build().await?)
}

/// A worker at its best settings.
async fn start_worker(client: &Durable) -> anyhow::Result<Worker> {
    let options = WorkerOptions { concurrency: CONCURRENCY, batch_size: CLAIMED_AT_ONCE, ..WorkerOptions::default() };
    Ok(client.try_start_worker(options).await?)
}

/// Ends a worker and its client in good order, so that nothing of them runs on beside what is measured next.
async fn stop(worker: Worker, client: Durable) -> anyhow::Result<()> {
    worker.shutdown().await;
    Ok(client.close().await?)
}

/// Awaits an execution's result. One that failed is an error: no figure comes from work that was not done.
async fn await_result<T: Task>(client: &Durable, started: &SpawnResult) -> anyhow::Result<T::Output> {
    let output = client.wait_for_output::<T>(started.task_id, None).await;
    output.with_context(|| format!("{} {}", T::NAME, started.task_id))
}

/// What a step records, a task takes and gives: 100 bytes of JSON.
fn payload() -> String {
    "x".repeat(98)
}

/// So many steps, each awaited before the next.
struct Sequence;

#[async_trait]
impl Task for Sequence {
    const NAME: &'static str = "sequence";
    type Params = usize;
    type Output = String;

    async fn run(steps: usize, ctx: TaskContext) -> TaskResult<String> {
        let mut result = String::new();
        for _ in 0..steps {
            result = ctx.step("step", || async { Ok(payload()) }).await?;
        }
        Ok(result)
    }
}

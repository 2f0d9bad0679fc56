//! The worker process of the demo and the one durable function it runs: an order is reserved, charged, shipped and
//! mailed. Each step asks the outside world, which keeps its ledger; the store knows nothing of it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use durable::{Durable, StepError, Task, TaskContext, TaskResult, WorkerOptions, async_trait};

use super::ledger::{Entry, Ledger, Step};
use super::orders::Order;
use super::place::Place;

/// How many orders are worked on at the same time: enough to have some in the middle of a step when the worker dies,
/// few enough that a person can follow.
const CONCURRENCY: usize = 8;

pub(super) struct Fulfil;

#[async_trait]
impl Task for Fulfil {
    const NAME: &'static str = "fulfil";
    type Params = Order;
    type Output = String;

    async fn run(order: Order, ctx: TaskContext) -> TaskResult<String> {
        let ledger = ctx.app::<Ledger>()?;
        for step in Step::ALL {
            // The same however often the step is asked for, so that the world can tell a repeat from a second order.
            let key = format!("{}:{}", ctx.task_id, step.name());
            ctx.step(step.name(), || ask_the_world(&ledger, &order, step, key)).await?;
        }
        Ok(format!("{} is on its way to {}", order.order_id, order.customer))
    }
}

/// A request travels there, is noted, and the answer travels back.
async fn ask_the_world(ledger: &Ledger, order: &Order, step: Step, key: String) -> Result<(), StepError> {
    let way = one_way(order, step);
    tokio::time::sleep(way).await;
    ledger.add(&Entry { order: order.order_id.clone(), step, key, pid: std::process::id() })?;
    tokio::time::sleep(way).await;
    Ok(())
}

/// Differs from order to order, so that the kill finds them at different steps.
fn one_way(order: &Order, step: Step) -> Duration {
    let (least_ms, most_ms) = match step {
        Step::Reserve => (5, 15),
        Step::Charge => (15, 45),
        Step::Ship => (10, 25),
        Step::Mail => (5, 15),
    };
    let mut hasher = DefaultHasher::new();
    (&order.order_id, step).hash(&mut hasher);
    Duration::from_millis(least_ms + hasher.finish() % (most_ms - least_ms))
}

/// Runs orders until this process's input ends.
pub(super) async fn serve(place: &Place) -> anyhow::Result<()> {
    let ledger = Ledger::open(&place.ledger()).context("cannot open the ledger")?;
    let builder = Durable::builder().database_url(place.store_url()).state(ledger);
    let client = builder.build().await.context("cannot open the store")?;
    client.try_register::<Fulfil>().await?;
    let options = WorkerOptions { concurrency: CONCURRENCY, ..WorkerOptions::default() };
    let worker = client.try_start_worker(options).await.context("cannot start a worker")?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    worker.shutdown().await;
    client.close().await.context("cannot close the store")
}

//! An order from payment to parcel. Each step is recorded, so a crash anywhere between two of them repeats none; the
//! payment's key is made of the task's id, so a crash inside the step charges nobody twice either. The carrier fails
//! at first, and the task is tried again without paying again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use durable::{
    Durable, RetryStrategy, SpawnOptions, StepError, Task, TaskContext, TaskResult, WorkerOptions, async_trait,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    id: u64,
    item: String,
    cents: u64,
}

#[derive(Serialize, Deserialize)]
struct Fulfilled {
    receipt: String,
    tracking: String,
}

/// The world outside, as this program imagines it; tasks reach it as the application's state.
#[derive(Default)]
struct Shop {
    charges: AtomicU32,
    pickups: AtomicU32,
}

impl Shop {
    async fn charge(&self, cents: u64, key: &str) -> Result<String, StepError> {
        if cents == 0 {
            return Err(StepError::new("nothing to charge").permanent());
        }
        let number = self.charges.fetch_add(1, Ordering::SeqCst) + 1;
        println!("charged {cents} cents by a key that ends in {:?}", &key[key.len() - 7..]);
        Ok(format!("receipt {number}"))
    }

    async fn pick_up(&self, order: u64) -> Result<String, StepError> {
        match self.pickups.fetch_add(1, Ordering::SeqCst) {
            0 => Err(StepError::new("the carrier is out for lunch").retry_after(Duration::from_millis(50))),
            _ => Ok(format!("1Z{order:05}")),
        }
    }
}

struct Fulfil;

#[async_trait]
impl Task for Fulfil {
    const NAME: &'static str = "fulfil";
    type Params = Order;
    type Output = Fulfilled;

    async fn run(order: Order, ctx: TaskContext) -> TaskResult<Fulfilled> {
        let shop = ctx.app::<Shop>()?;
        ctx.step("reserve", || async {
            println!("reserved {}", order.item);
            Ok(())
        })
        .await?;
        let charge = || async { shop.charge(order.cents, &format!("{}:charge", ctx.task_id)).await };
        let receipt = ctx.step("charge", charge).await?;
        let tracking = ctx.step("ship", || async { shop.pick_up(order.id).await }).await?;
        Ok(Fulfilled { receipt, tracking })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Durable::builder().state(Shop::default()).build().await?;
    client.register::<Fulfil>().await;
    let worker = client.start_worker(WorkerOptions::default()).await;

    let options = SpawnOptions {
        max_attempts: Some(3),
        retry_strategy: Some(RetryStrategy::Fixed { delay: Duration::from_secs(1) }),
        ..SpawnOptions::default()
    };
    let order = Order { id: 7, item: "a lamp".into(), cents: 4_900 };
    let task = client.spawn_with_options::<Fulfil>(order, options).await?;
    let report = client.wait_for(task.task_id, None).await?;
    let fulfilled: Fulfilled = report.output()?;
    println!("{}, {}, attempt {}", fulfilled.receipt, fulfilled.tracking, report.attempts);

    worker.shutdown().await;
    Ok(())
}

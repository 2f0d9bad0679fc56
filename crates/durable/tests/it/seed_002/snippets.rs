//! The page's further snippets, each with its free names bound around it, and each run.

use std::time::Duration;

use durable::testing::Executor;
use durable::{Durable, StepError, Task, TaskContext, TaskResult, async_trait};
use serde::{Deserialize, Serialize};

struct MyTask;
type MyParams = u64;
type MyOutput = u64;

#[rustfmt::skip]
#[async_trait]
impl Task for MyTask {
    const NAME: &'static str = "my-task";  // Unique identifier
    type Params = MyParams;                 // Input (JSON-serializable)
    type Output = MyOutput;                 // Output (JSON-serializable)

    async fn run(params: Self::Params, mut ctx: TaskContext) -> TaskResult<Self::Output> {
        ctx.step("double", || async { Ok(params * 2) }).await
    }
}

#[tokio::test]
async fn the_task_of_the_page_runs() {
    let executor = Executor::new().await;
    executor.register::<MyTask>().await;
    assert_eq!(executor.run::<MyTask>(21).await.unwrap(), 42);
}

mod stripe {
    use super::StepError;

    pub(super) async fn charge(amount: u64, idempotency_key: &str) -> Result<String, StepError> {
        Ok(format!("{amount} by {idempotency_key}"))
    }
}

struct Payment;

#[rustfmt::skip]
#[async_trait]
impl Task for Payment {
    const NAME: &'static str = "payment";
    type Params = u64;
    type Output = ();

    async fn run(amount: u64, ctx: TaskContext) -> TaskResult<()> {
        ctx.step("charge-payment", || async {
            let idempotency_key = format!("{}:charge", ctx.task_id);
            stripe::charge(amount, &idempotency_key).await
        }).await?;
        Ok(())
    }
}

#[tokio::test]
async fn the_payment_of_the_page_is_charged_by_a_key_of_its_tasks_id() {
    let executor = Executor::new().await;
    executor.register::<Payment>().await;
    let task_id = executor.spawn::<Payment>(250).await.unwrap().task_id;
    executor.wait_for_output::<Payment>(task_id, None).await.unwrap();
    let recorded = executor.recorded(task_id).await.unwrap();
    assert_eq!(recorded[0].output, format!("250 by {task_id}:charge"));
}

#[derive(Serialize, Deserialize)]
struct ShipmentEvent {
    tracking: String,
}

struct Ship;

#[rustfmt::skip]
async fn ship(ctx: &TaskContext, client: &Durable, order_id: u64) -> TaskResult<String> {
    // In one task: wait for an event
    let shipment: ShipmentEvent = ctx.await_event(
        &format!("packed:{}", order_id),
        Some(Duration::from_secs(7 * 24 * 3600)), // 7 day timeout
    ).await?;

    // From another task or service: emit the event
    client.emit_event(
        &format!("packed:{}", order_id),
        &ShipmentEvent { tracking: "1Z999".into() },
        None,
    ).await?;
    Ok(shipment.tracking)
}

#[async_trait]
impl Task for Ship {
    const NAME: &'static str = "ship";
    type Params = u64;
    type Output = (String, String);

    async fn run(order_id: u64, ctx: TaskContext) -> TaskResult<(String, String)> {
        let first = ship(&ctx, ctx.client(), order_id).await?;
        let second = ctx.await_event::<ShipmentEvent>(&format!("packed:{order_id}"), None).await?;
        Ok((first, second.tracking))
    }
}

#[tokio::test]
async fn the_events_of_the_page_go_from_a_client_to_a_task() {
    let executor = Executor::new().await;
    executor.register::<Ship>().await;
    let first = ShipmentEvent { tracking: "1Z000".into() };
    executor.emit_event("packed:7", &first, None).await.unwrap();
    assert_eq!(executor.run::<Ship>(7).await.unwrap(), ("1Z000".into(), "1Z999".into()));
}

//! A person decides, or does not: the task waits for an event under the expense's number, with a timeout that the code
//! catches. While it waits it holds no worker and survives every restart; here the patience is short, so that the
//! program ends.

use std::time::Duration;

use durable::{Durable, Task, TaskContext, TaskError, TaskResult, WorkerOptions, async_trait};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Decision {
    by: String,
    is_approved: bool,
}

struct Expense;

#[async_trait]
impl Task for Expense {
    const NAME: &'static str = "expense";
    type Params = (u64, Duration);
    type Output = String;

    async fn run((number, patience): (u64, Duration), ctx: TaskContext) -> TaskResult<String> {
        ctx.step("ask", || async {
            println!("expense {number}: who approves it?");
            Ok(())
        })
        .await?;
        match ctx.await_event::<Decision>(&format!("decided:{number}"), Some(patience)).await {
            Ok(Decision { by, is_approved: true }) => Ok(format!("expense {number}: paid, approved by {by}")),
            Ok(Decision { by, .. }) => Ok(format!("expense {number}: refused by {by}")),
            Err(TaskError::Timeout { .. }) => Ok(format!("expense {number}: nobody answered, handed to the boss")),
            Err(error) => Err(error),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Durable::builder().build().await?;
    client.register::<Expense>().await;
    let worker = client.start_worker(WorkerOptions::default()).await;

    let answered = client.spawn::<Expense>((1, Duration::from_secs(7 * 86_400))).await?;
    let decision = Decision { by: "ann".into(), is_approved: true };
    client.emit_event("decided:1", &decision, None).await?;
    println!("{}", client.wait_for_output::<Expense>(answered.task_id, None).await?);

    let forgotten = client.spawn::<Expense>((2, Duration::from_millis(200))).await?;
    println!("{}", client.wait_for_output::<Expense>(forgotten.task_id, None).await?);

    worker.shutdown().await;
    Ok(())
}

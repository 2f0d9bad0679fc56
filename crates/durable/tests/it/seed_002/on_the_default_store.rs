use durable::{Durable, Task, TaskContext, TaskResult, WorkerOptions, async_trait};
use serde::{Deserialize, Serialize};

// Define your task parameters and output
#[derive(Serialize, Deserialize)]
struct SendEmailParams {
    to: String,
    subject: String,
    body: String,
}

#[derive(Serialize, Deserialize)]
struct SendEmailResult {
    message_id: String,
}

// Implement the Task trait
struct SendEmailTask;

#[async_trait]
impl Task for SendEmailTask {
    const NAME: &'static str = "send-email";
    type Params = SendEmailParams;
    type Output = SendEmailResult;

    async fn run(params: Self::Params, mut ctx: TaskContext) -> TaskResult<Self::Output> {
        // This step is checkpointed - if the task crashes after sending,
        // it won't send again on retry
        let message_id = ctx.step("send", || async {
            // Your email sending logic here
            Ok("msg-123".to_string())
        }).await?;

        Ok(SendEmailResult { message_id })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Create the client
    let client = Durable::builder()
        .queue_name("emails")
        .build()
        .await?;

    // Register your task
    client.register::<SendEmailTask>().await;

    // Spawn a task
    let result = client.spawn::<SendEmailTask>(SendEmailParams {
        to: "user@example.com".into(),
        subject: "Hello".into(),
        body: "World".into(),
    }).await?;

    println!("Spawned task: {}", result.task_id);

    // Start a worker to process tasks
    let worker = client.start_worker(WorkerOptions::default()).await;

    // Wait for shutdown signal
    tokio::signal::ctrl_c().await?;
    worker.shutdown().await;

    Ok(())
}

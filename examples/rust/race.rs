//! A race of two children: the first answer counts, and the loser is cancelled when its parent ends. A replay takes the
//! same winner again, even if the other one has its answer by then.

use std::time::Duration;

use durable::{Durable, SpawnOptions, Task, TaskContext, TaskResult, WorkerOptions, async_trait};

struct Mirror;

#[async_trait]
impl Task for Mirror {
    const NAME: &'static str = "mirror";
    type Params = (String, Duration);
    type Output = String;

    async fn run((name, delay): (String, Duration), ctx: TaskContext) -> TaskResult<String> {
        ctx.sleep_for("download", delay).await?;
        Ok(format!("the file from {name}"))
    }
}

struct Download;

#[async_trait]
impl Task for Download {
    const NAME: &'static str = "download";
    type Params = ();
    type Output = (String, durable::TaskId);

    async fn run((): (), ctx: TaskContext) -> TaskResult<Self::Output> {
        let far = ("far away".to_string(), Duration::from_secs(3_600));
        let near = ("next door".to_string(), Duration::from_millis(50));
        let far = ctx.spawn::<Mirror>("far", far, SpawnOptions::default()).await?;
        let near = ctx.spawn::<Mirror>("near", near, SpawnOptions::default()).await?;
        let loser = far.task_id();
        let file = tokio::select! {
            file = ctx.join(far) => file?,
            file = ctx.join(near) => file?,
        };
        Ok((file, loser))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Durable::builder().build().await?;
    client.register::<Download>().await;
    client.register::<Mirror>().await;
    let worker = client.start_worker(WorkerOptions::default()).await;

    let task = client.spawn::<Download>(()).await?;
    let (file, loser) = client.wait_for_output::<Download>(task.task_id, None).await?;
    println!("{file}");
    let report = client.get_task_result(loser).await?;
    println!("the other one: {}", report.map_or_else(|| "unknown".into(), |report| report.status.to_string()));

    worker.shutdown().await;
    Ok(())
}

//! Waiting for a service that tells nobody when it is done: ask, sleep, ask again, each time a little later. The sleeps
//! are durable: they may be minutes or days, and no process has to live through them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use durable::{Durable, Task, TaskContext, TaskError, TaskResult, WorkerOptions, async_trait};

/// A transcription service, as this program imagines it: done at the fourth question.
#[derive(Default)]
struct Service(AtomicU32);

impl Service {
    fn ask(&self, job: &str) -> Option<String> {
        let times = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        println!("asked {times} times");
        (times >= 4).then(|| format!("the text of {job}"))
    }
}

struct Transcribe;

#[async_trait]
impl Task for Transcribe {
    const NAME: &'static str = "transcribe";
    type Params = String;
    type Output = String;

    async fn run(job: String, ctx: TaskContext) -> TaskResult<String> {
        let service = ctx.app::<Service>()?;
        let mut pause = Duration::from_millis(20);
        for _ in 0..20 {
            if let Some(text) = ctx.step("ask", || async { Ok(service.ask(&job)) }).await? {
                return Ok(text);
            }
            ctx.sleep_for("between questions", pause).await?;
            pause *= 2;
        }
        Err(TaskError::from("the service never came to an end"))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Durable::builder().state(Service::default()).build().await?;
    client.register::<Transcribe>().await;
    let worker = client.start_worker(WorkerOptions::default()).await;
    let task = client.spawn::<Transcribe>("interview.wav".into()).await?;
    println!("{}", client.wait_for_output::<Transcribe>(task.task_id, None).await?);
    worker.shutdown().await;
    Ok(())
}

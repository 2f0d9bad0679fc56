//! Fan-out: a child for each chapter, four at a time, their results in the order of the chapters. Each child is a task
//! of its own: it may run on another worker, and it is retried by itself.

use durable::{Durable, SpawnOptions, Task, TaskContext, TaskResult, WorkerOptions, async_trait};

struct CountWords;

#[async_trait]
impl Task for CountWords {
    const NAME: &'static str = "count-words";
    type Params = String;
    type Output = usize;

    async fn run(chapter: String, ctx: TaskContext) -> TaskResult<usize> {
        ctx.blocking("count", move || Ok(chapter.split_whitespace().count())).await
    }
}

struct CountBook;

#[async_trait]
impl Task for CountBook {
    const NAME: &'static str = "count-book";
    type Params = Vec<String>;
    type Output = Vec<usize>;

    async fn run(chapters: Vec<String>, ctx: TaskContext) -> TaskResult<Vec<usize>> {
        let twice = SpawnOptions { max_attempts: Some(2), ..SpawnOptions::default() };
        ctx.map::<CountWords>("chapter", chapters).concurrency(4).options(twice).await
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Durable::builder().build().await?;
    client.register::<CountBook>().await;
    client.register::<CountWords>().await;
    let worker = client.start_worker(WorkerOptions::default()).await;

    let chapters = (1..=10).map(|n| "word ".repeat(n * 100)).collect();
    let task = client.spawn::<CountBook>(chapters).await?;
    let words = client.wait_for_output::<CountBook>(task.task_id, None).await?;
    println!("{words:?}");
    println!("{} words in {} chapters", words.iter().sum::<usize>(), words.len());

    worker.shutdown().await;
    Ok(())
}

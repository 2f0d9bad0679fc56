//! A saga: three bookings, and what takes each back. When one fails, those before it are undone in reverse order. The
//! failure is recorded like a result, so a crash in the middle of the undoing goes on undoing.

use durable::{Durable, StepError, Task, TaskContext, TaskError, TaskResult, WorkerOptions, async_trait};

struct Trip;

async fn book(what: &str) -> Result<String, StepError> {
    if what == "car" {
        return Err(StepError::new("no car left").permanent());
    }
    println!("booked the {what}");
    Ok(format!("{what}-1"))
}

async fn cancel(booking: &str) -> Result<(), StepError> {
    println!("cancelled {booking}");
    Ok(())
}

#[async_trait]
impl Task for Trip {
    const NAME: &'static str = "trip";
    type Params = Vec<String>;
    type Output = String;

    async fn run(parts: Vec<String>, ctx: TaskContext) -> TaskResult<String> {
        let mut booked = Vec::new();
        for part in &parts {
            match ctx.step(&format!("book the {part}"), || async { book(part).await }).await {
                Ok(booking) => booked.push(booking),
                Err(TaskError::Step { failure, .. }) => {
                    for booking in booked.iter().rev() {
                        ctx.step(&format!("cancel {booking}"), || async { cancel(booking).await }).await?;
                    }
                    return Ok(format!("no trip: {failure}"));
                }
                Err(stopped) => return Err(stopped),
            }
        }
        Ok(format!("a trip of {}", booked.join(", ")))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Durable::builder().build().await?;
    client.register::<Trip>().await;
    let worker = client.start_worker(WorkerOptions::default()).await;
    for parts in [vec!["flight", "hotel"], vec!["flight", "hotel", "car"]] {
        let task = client.spawn::<Trip>(parts.into_iter().map(String::from).collect()).await?;
        println!("{}", client.wait_for_output::<Trip>(task.task_id, None).await?);
    }
    worker.shutdown().await;
    Ok(())
}

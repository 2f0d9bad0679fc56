//! W6: starts, with no worker to take them: one after another, 64 callers at once, batches of 1,000. A start counts
//! once it is committed, which is when its call returns.

use std::time::{Duration, Instant};

use durable::{Durable, Task, TaskContext, TaskResult, async_trait};

use super::{open, payload};
use crate::figure::{Figure, Sample};
use crate::ground::Ground;

const ONE_AFTER_ANOTHER: usize = 2_000;
const CALLERS: usize = 64;
const STARTS_PER_CALLER: usize = 300;
const BATCHES: usize = 50;
const BATCH: usize = 1_000;

struct Never;

#[async_trait]
impl Task for Never {
    const NAME: &'static str = "never";
    type Params = String;
    type Output = String;

    async fn run(params: String, _: TaskContext) -> TaskResult<String> {
        Ok(params)
    }
}

pub(super) async fn run(ground: &Ground) -> anyhow::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for figure in [Figure::StartsOne, Figure::Starts64, Figure::StartsBatch] {
        let database = ground.fresh_database()?;
        let client = open(&database.url, ()).await?;
        client.try_register::<Never>().await?;
        let (starts, took) = match figure {
            Figure::StartsOne => one_after_another(&client).await?,
            Figure::Starts64 => many_at_once(&client).await?,
            _ => in_batches(&client).await?,
        };
        client.close().await?;
        samples.push(Sample::of(figure, starts as f64 / took.as_secs_f64()));
    }
    Ok(samples)
}

async fn one_after_another(client: &Durable) -> anyhow::Result<(usize, Duration)> {
    let began = Instant::now();
    for _ in 0..ONE_AFTER_ANOTHER {
        client.spawn::<Never>(payload()).await?;
    }
    Ok((ONE_AFTER_ANOTHER, began.elapsed()))
}

async fn many_at_once(client: &Durable) -> anyhow::Result<(usize, Duration)> {
    let began = Instant::now();
    let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(start_in_a_row(client.clone()))).collect();
    for caller in callers {
        caller.await??;
    }
    Ok((CALLERS * STARTS_PER_CALLER, began.elapsed()))
}

async fn start_in_a_row(client: Durable) -> anyhow::Result<()> {
    for _ in 0..STARTS_PER_CALLER {
        client.spawn::<Never>(payload()).await?;
    }
    Ok(())
}

async fn in_batches(client: &Durable) -> anyhow::Result<(usize, Duration)> {
    let began = Instant::now();
    for _ in 0..BATCHES {
        client.spawn_all::<Never>(vec![payload(); BATCH]).await?;
    }
    Ok((BATCHES * BATCH, began.elapsed()))
}

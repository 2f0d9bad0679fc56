//! W4: an idle worker; start one execution, await its result, 200 times in a row. The body does nothing, so the time
//! is all the engine's: the start's commit, the way to the worker, the end's commit, the way back.

use std::time::Instant;

use durable::{Task, TaskContext, TaskResult, async_trait};
use hdrhistogram::Histogram;

use super::{await_result, open, payload, start_worker, stop};
use crate::figure::{Figure, Sample};
use crate::ground::Ground;

/// Before the clock counts: connections, caches, the first pages of the file.
const WARM_UP: usize = 20;
const STARTS: usize = 200;
const NANOS_PER_MS: f64 = 1e6;

struct Echo;

#[async_trait]
impl Task for Echo {
    const NAME: &'static str = "echo";
    type Params = String;
    type Output = String;

    async fn run(params: String, _: TaskContext) -> TaskResult<String> {
        Ok(params)
    }
}

pub(super) async fn run(ground: &Ground) -> anyhow::Result<Vec<Sample>> {
    let database = ground.fresh_database()?;
    let client = open(&database.url, ()).await?;
    client.try_register::<Echo>().await?;
    let worker = start_worker(&client).await?;
    let mut nanos = Histogram::<u64>::new(3)?;
    for number in 0..WARM_UP + STARTS {
        let began = Instant::now();
        let started = client.spawn::<Echo>(payload()).await?;
        await_result::<Echo>(&client, &started).await?;
        if number >= WARM_UP {
            nanos.record(u64::try_from(began.elapsed().as_nanos())?)?;
        }
    }
    stop(worker, client).await?;
    let quantile = |quantile| nanos.value_at_quantile(quantile) as f64 / NANOS_PER_MS;
    Ok(vec![Sample::of(Figure::LatencyP50, quantile(0.5)), Sample::of(Figure::LatencyP99, quantile(0.99))])
}

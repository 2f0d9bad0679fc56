//! W2: many executions of 100 sequential steps, all at once. The clock runs from before they are started, while the
//! worker idles, to the last result.

use std::time::{Duration, Instant};

use super::{Sequence, await_result, open, start_worker, stop};
use crate::figure::{Figure, Sample};
use crate::ground::Ground;

const STEPS: usize = 100;

pub(super) async fn run(ground: &Ground) -> anyhow::Result<Vec<Sample>> {
    let hundred = run_sequences(ground, 100, STEPS).await?;
    let thousand = run_sequences(ground, 1_000, STEPS).await?;
    Ok(vec![
        Sample::of(Figure::Steps100, (100 * STEPS) as f64 / hundred.as_secs_f64()),
        Sample::of(Figure::Steps1000, (1_000 * STEPS) as f64 / thousand.as_secs_f64()),
    ])
}

/// Runs so many executions of so many steps on a fresh database.
pub(super) async fn run_sequences(ground: &Ground, executions: usize, steps: usize) -> anyhow::Result<Duration> {
    let database = ground.fresh_database()?;
    let client = open(&database.url, ()).await?;
    client.try_register::<Sequence>().await?;
    let worker = start_worker(&client).await?;
    let began = Instant::now();
    let started = client.spawn_all::<Sequence>(vec![steps; executions]).await?;
    // One after the other: most have ended by the time they are asked for, and a waiter each would only cost time.
    for execution in &started {
        await_result::<Sequence>(&client, execution).await?;
    }
    let took = began.elapsed();
    stop(worker, client).await?;
    Ok(took)
}

//! W3: one execution of 1,000 sequential steps, alone: what a step costs when nothing shares its commit.

use super::w2::run_sequences;
use crate::figure::{Figure, Sample};
use crate::ground::Ground;

const STEPS: usize = 1_000;

pub(super) async fn run(ground: &Ground) -> anyhow::Result<Vec<Sample>> {
    let took = run_sequences(ground, 1, STEPS).await?;
    Ok(vec![Sample::of(Figure::Step, took.as_secs_f64() * 1_000.0 / STEPS as f64)])
}

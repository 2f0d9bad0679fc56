//! W3: one execution of 1,000 sequential steps, alone: what a step costs when nothing shares its commit.

use super::w2::run_sequences;
use crate::figure::{Figure, Sample};
use crate::place::Place;

const STEPS: usize = 1_000;

pub(super) async fn run(place: &Place) -> anyhow::Result<Vec<Sample>> {
    let took = run_sequences(place, 1, STEPS).await?;
    Ok(vec![Sample::of(Figure::Step, took.as_secs_f64() * 1_000.0 / STEPS as f64)])
}

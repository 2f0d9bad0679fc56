//! The raw limits of SQLite on this disk: commits of one row, rows in commits of 100 and of 1,000. One connection, no
//! other thread, nothing checked; each run on a fresh file, the median of several runs.
//!
//! A row is the probe's record, 100 bytes under (task, key), in the order of its key: the ratios of the aims hold for
//! rows like these. Rows under a bare integer go in two to three times as fast and would be another yardstick.

use std::time::Instant;

use anyhow::Context;
use rusqlite::params;

use super::{PAYLOAD_BYTES, TaskId, create};
use crate::figure::{Figure, Sample, median};
use crate::place::Place;

/// How often each limit is measured in one round.
const RUNS: usize = 5;
/// Commits of one row in a run.
const SINGLE_COMMITS: usize = 1_000;
/// Commits of 100 rows in a run.
const COMMITS_OF_100: usize = 200;
/// Commits of 1,000 rows in a run.
const COMMITS_OF_1000: usize = 100;
/// Rows that have their task in common.
const ROWS_PER_TASK: usize = 100;

/// Measures all of them.
pub fn run(place: &Place) -> anyhow::Result<Vec<Sample>> {
    let commits = rows_per_s(place, SINGLE_COMMITS, 1)?;
    Ok(vec![
        Sample::of(Figure::RawCommits, commits),
        Sample::of(Figure::RawCommit, 1_000.0 / commits),
        Sample::of(Figure::RawRowsBy100, rows_per_s(place, COMMITS_OF_100, 100)?),
        Sample::of(Figure::RawRowsBy1000, rows_per_s(place, COMMITS_OF_1000, 1_000)?),
    ])
}

fn rows_per_s(place: &Place, commits: usize, rows: usize) -> anyhow::Result<f64> {
    let rates = (0..RUNS).map(|_| run_once(place, commits, rows)).collect::<anyhow::Result<Vec<f64>>>()?;
    median(rates).context("no run was made")
}

fn run_once(place: &Place, commits: usize, rows: usize) -> anyhow::Result<f64> {
    let connection = create(&place.fresh_file())?;
    connection.execute_batch(include_str!("../../sql/raw_table.sql"))?;
    let mut begin = connection.prepare("BEGIN IMMEDIATE")?;
    let mut insert = connection.prepare(include_str!("../../sql/raw_insert.sql"))?;
    let mut commit = connection.prepare("COMMIT")?;
    let keys: Vec<String> = (0..ROWS_PER_TASK).map(|number| format!("step#{number:02}")).collect();
    let payload = [b'x'; PAYLOAD_BYTES];
    let began = Instant::now();
    for first in (0..commits * rows).step_by(rows) {
        // A statement alone is a transaction: the barest commit.
        if rows > 1 {
            begin.execute([])?;
        }
        for number in first..first + rows {
            let mut task = TaskId::default();
            task[8..].copy_from_slice(&(number / ROWS_PER_TASK).to_be_bytes());
            insert.execute(params![task, keys[number % ROWS_PER_TASK], payload])?;
        }
        if rows > 1 {
            commit.execute([])?;
        }
    }
    Ok((commits * rows) as f64 / began.elapsed().as_secs_f64())
}

//! The raw limits of PostgreSQL on this disk: commits of one row by one client and by 32, rows in arrays of 100 and of
//! 1,000. Prepared statements that are transactions by themselves, nothing checked; each run on a fresh database, the
//! median of several runs.
//!
//! All clients of a run live on one thread: where client and server share two cores, one that hops between threads
//! takes time from the server that it measures.

use std::time::Instant;

use anyhow::Context;
use futures_util::future::try_join_all;
use tokio_postgres::Client;
use uuid::Uuid;

use super::host::Host;
use super::{PAYLOAD_BYTES, connect, task_id};
use crate::figure::{Figure, Sample, median};

/// How often each limit is measured in one round.
const RUNS: usize = 5;
/// Commits of one row in a run of one client.
const SINGLE_COMMITS: usize = 1_000;
/// The clients of a run of many, and the commits of each.
const CLIENTS: usize = 32;
const COMMITS_PER_CLIENT: usize = 250;
/// Commits of 100 rows in a run.
const COMMITS_OF_100: usize = 200;
/// Commits of 1,000 rows in a run.
const COMMITS_OF_1000: usize = 100;
/// Rows that have their task in common.
const ROWS_PER_TASK: usize = 100;

/// Measures all of them.
pub fn run(host: &Host) -> anyhow::Result<Vec<Sample>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rate = |shape: Shape| -> anyhow::Result<f64> {
        let runs = (0..RUNS).map(|_| runtime.block_on(shape.run_once(host)));
        median(runs.collect::<anyhow::Result<Vec<f64>>>()?).context("no run was made")
    };
    let commits = rate(Shape { clients: 1, commits: SINGLE_COMMITS, rows: 1 })?;
    let by_many = rate(Shape { clients: CLIENTS, commits: COMMITS_PER_CLIENT, rows: 1 })?;
    let by_100 = rate(Shape { clients: 1, commits: COMMITS_OF_100, rows: 100 })?;
    let by_1000 = rate(Shape { clients: 1, commits: COMMITS_OF_1000, rows: 1_000 })?;
    Ok(vec![
        Sample::of(Figure::RawCommits, commits),
        Sample::of(Figure::RawCommit, 1_000.0 / commits),
        Sample::of(Figure::RawCommits32, by_many),
        Sample::of(Figure::RawRowsBy100, by_100),
        Sample::of(Figure::RawRowsBy1000, by_1000),
    ])
}

/// What one run does.
#[derive(Clone, Copy)]
struct Shape {
    clients: usize,
    /// Of each client.
    commits: usize,
    /// In each commit.
    rows: usize,
}

impl Shape {
    /// Rows per second.
    async fn run_once(self, host: &Host) -> anyhow::Result<f64> {
        let database = host.fresh_database()?;
        let clients = try_join_all((0..self.clients).map(|_| connect_to(&database))).await?;
        clients[0].batch_execute(include_str!("../../sql/postgres/raw_table.sql")).await?;
        let writers = clients.iter().zip(0..).map(|(client, number)| Writer::prepare(client, self, number));
        let writers = try_join_all(writers).await?;
        let began = Instant::now();
        try_join_all(writers.iter().map(Writer::write)).await?;
        Ok((self.clients * self.commits * self.rows) as f64 / began.elapsed().as_secs_f64())
    }
}

async fn connect_to(database: &stent_servers::Database) -> anyhow::Result<Client> {
    connect(&database.url()).await
}

/// One client of a run.
struct Writer<'a> {
    client: &'a Client,
    insert: tokio_postgres::Statement,
    shape: Shape,
    number: usize,
    keys: Vec<String>,
}

impl<'a> Writer<'a> {
    async fn prepare(client: &'a Client, shape: Shape, number: usize) -> anyhow::Result<Self> {
        let sql = match shape.rows {
            1 => include_str!("../../sql/postgres/raw_insert.sql"),
            _ => include_str!("../../sql/postgres/raw_insert_rows.sql"),
        };
        let keys = (0..ROWS_PER_TASK).map(|number| format!("step#{number:02}")).collect();
        Ok(Self { client, insert: client.prepare(sql).await?, shape, number, keys })
    }

    async fn write(&self) -> anyhow::Result<()> {
        let Shape { commits, rows, .. } = self.shape;
        let payload: &[u8] = &[b'x'; PAYLOAD_BYTES];
        let mut numbers = self.number * commits * rows..;
        for _ in 0..commits {
            let rows: Vec<(Uuid, &str)> = numbers.by_ref().take(rows).map(|number| self.row(number)).collect();
            if let [(task, key)] = *rows {
                self.client.execute(&self.insert, &[&task, &key, &payload]).await?;
            } else {
                let (tasks, keys): (Vec<Uuid>, Vec<&str>) = rows.into_iter().unzip();
                let payloads = vec![payload; tasks.len()];
                self.client.execute(&self.insert, &[&tasks, &keys, &payloads]).await?;
            }
        }
        Ok(())
    }

    /// A row as the probe has it: the tasks one after the other, each with its steps.
    fn row(&self, number: usize) -> (Uuid, &str) {
        (task_id(number / ROWS_PER_TASK), &self.keys[number % ROWS_PER_TASK])
    }
}

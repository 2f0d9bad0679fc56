//! A worker process: serves until its input ends or a signal takes it. Says on its output when it serves.

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use durable::{Durable, WorkerOptions};

use crate::ledger::Ledger;
use crate::place::Place;
use crate::workload::{Left, Right, Root};

#[derive(clap::Args)]
pub struct Args {
    /// The folder of the run.
    #[arg(long)]
    dir: PathBuf,
    /// Which life this is: another number for each start of a worker.
    #[arg(long)]
    life: u32,
    /// How many tasks run at the same time.
    #[arg(long)]
    concurrency: usize,
}

pub async fn serve(args: Args) -> anyhow::Result<()> {
    let place = Place::at(args.dir);
    let ledger = Ledger::open(&place.ledger(), args.life).context("cannot open the ledger")?;
    let builder = Durable::builder().database_url(place.store_url()).state(ledger);
    let client = builder.build().await.context("cannot open the store")?;
    client.try_register::<Root>().await?;
    client.try_register::<Left>().await?;
    client.try_register::<Right>().await?;
    let options = WorkerOptions { concurrency: args.concurrency, ..WorkerOptions::default() };
    let worker = client.try_start_worker(options).await.context("cannot start a worker")?;
    std::io::stdout().write_all(b"up\n")?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    worker.shutdown().await;
    client.close().await.context("cannot close the store")
}

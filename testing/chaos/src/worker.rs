//! A worker process: serves until its input ends or a signal takes it. Says on its output when it serves.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use durable::{Durable, WorkerOptions};

use crate::keys;
use crate::ledger::Ledger;
use crate::patience::Patience;
use crate::place::Place;
use crate::process::Workload;
use crate::workload::register;

#[derive(clap::Args)]
pub struct Args {
    /// The folder of the run.
    #[arg(long)]
    pub dir: PathBuf,
    /// The address of the store.
    #[arg(long)]
    pub url: String,
    /// Which life this is: another number for each start of a worker.
    #[arg(long)]
    pub life: u32,
    /// How many tasks run at the same time.
    #[arg(long)]
    pub concurrency: usize,
    /// What the run is about.
    #[arg(long, value_enum)]
    workload: Workload,
    /// How long, in milliseconds, to wait for a store that does not answer at the start. Later it is the engine's
    /// business alone.
    #[arg(long)]
    patience_ms: u64,
}

pub async fn serve(args: Args) -> anyhow::Result<()> {
    if args.workload == Workload::Idempotent {
        return keys::serve(args).await;
    }
    let ledger = Ledger::open(&Place::at(&args.dir).ledger(), args.life).context("cannot open the ledger")?;
    let ledger = Arc::new(ledger);
    let patience = Patience::of(Duration::from_millis(args.patience_ms));
    let build = || Durable::builder().database_url(&args.url).state(Arc::clone(&ledger)).build();
    let client = patience.with(build).await.context("cannot open the store")?;
    register(&client).await?;
    let options = WorkerOptions { concurrency: args.concurrency, ..WorkerOptions::default() };
    let worker = patience.with(|| client.try_start_worker(options.clone())).await.context("cannot start a worker")?;
    std::io::stdout().write_all(b"up\n")?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    worker.shutdown().await;
    client.close().await.context("cannot close the store")
}

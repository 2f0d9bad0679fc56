//! `stent-chaos`: real worker processes on a real store, faults at moments drawn from a seed, and a checker that judges
//! from a ledger outside the store. `cargo xtask kill` is the way in.
//!
//! - [`supervisor`]: one run, with [`process`] for the workers, [`plan`] for what is left to chance;
//! - [`workload`], [`worker`]: what runs, and the process that runs it;
//! - [`line`], [`ledger`]: what everybody writes down;
//! - [`checker`], [`report`]: what it means, and how it is told.

mod checker;
mod ledger;
mod line;
mod place;
mod plan;
mod process;
mod report;
mod supervisor;
mod worker;
mod workload;

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::{Parser, ValueEnum};

use crate::place::Place;
use crate::supervisor::Order;

/// Real processes, real faults, and a checker.
#[derive(Parser)]
#[command(name = "stent-chaos", version, disable_help_subcommand = true)]
enum Command {
    /// Kill random workers with SIGKILL at random moments; exit with 1 if anything is lost or computed again.
    Kill(KillArgs),
    /// One worker process of a run.
    #[command(hide = true)]
    Worker(worker::Args),
}

#[derive(clap::Args)]
struct KillArgs {
    /// The store.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    store: Store,
    /// The language of the workers.
    #[arg(long, value_enum, default_value_t = Face::Rust)]
    face: Face,
    /// How many kills.
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Where all that is left to chance comes from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many worker processes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=32))]
    workers: u8,
    /// How many tasks a worker runs at the same time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// How many executions are under way while there are kills.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..))]
    in_flight: u16,
    /// Keep the store and the ledger after a clean run too.
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Store {
    Sqlite,
}

#[derive(Clone, Copy, ValueEnum)]
enum Face {
    Rust,
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Kill(args) => kill(&args),
        Command::Worker(args) => block_on(worker::serve(args)).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn kill(args: &KillArgs) -> anyhow::Result<ExitCode> {
    // The one store and the one face there are; another of either is another way to start a worker.
    let (Store::Sqlite, Face::Rust) = (args.store, args.face);
    let order = Order {
        kills: args.kills,
        seed: args.seed,
        workers: args.workers.into(),
        concurrency: args.concurrency.into(),
        in_flight: args.in_flight.into(),
    };
    let start = Instant::now();
    let dir = tempfile::Builder::new().prefix("stent-chaos-").tempdir().context("cannot make a temporary folder")?;
    let place = Place::at(dir.path());
    println!("{} kills among {} workers, seed {}", order.kills, order.workers, order.seed);
    let ran = block_on(supervisor::run(order, &place, |done| tell(done, order.kills)));
    let judged = ran.and_then(|endings| {
        let ledger = ledger::read(&place.ledger()).context("cannot read the ledger")?;
        let judgement = checker::judge(&ledger, &endings);
        let integrity = integrity(&place.store())?;
        print!("{}", report::table(&judgement, &integrity, start.elapsed()));
        print!("{}", report::findings(&judgement, &ledger));
        Ok(judgement.is_clean() && integrity == "ok")
    });
    let is_clean = matches!(judged, Ok(true));
    if args.keep || !is_clean {
        println!("store and ledger are kept in {}", dir.keep().display());
    }
    println!("{}", if is_clean { "clean" } else { "NOT clean" });
    judged.map(|is_clean| if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every tenth part of the kills; every kill of few.
fn tell(done: u32, kills: u32) {
    let part = kills.div_ceil(10).max(1);
    if done.is_multiple_of(part) || done == kills {
        println!("  {done} of {kills}");
    }
}

/// What SQLite itself says of the file.
fn integrity(store: &Path) -> anyhow::Result<String> {
    let connection = rusqlite::Connection::open(store).context("cannot open the store")?;
    let said = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0));
    said.context("the store cannot be checked")
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Runtime::new().context("cannot start the async runtime")?.block_on(work)
}

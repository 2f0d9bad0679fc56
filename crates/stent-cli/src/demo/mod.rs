//! `stent demo`: a crash that a newcomer can watch. A job runs on the embedded store, its worker process dies by
//! `kill -9` half-way, another goes on, and a ledger outside the store shows what the world saw of it. Nothing here is
//! simulated but the shop: the processes, the signal and the store are real.
//!
//! - [`source`], [`orders`], [`csv`]: from a file to an order book, or to words that say what is wrong with it;
//! - [`story`]: the order of events, with [`child`] for the worker process and [`progress`] for the screen;
//! - [`worker`]: the durable function and the process that runs it;
//! - [`ledger`], [`verdict`]: what the world saw, and what it means.

mod child;
mod csv;
mod ledger;
mod orders;
mod place;
mod progress;
mod source;
mod story;
mod verdict;
mod worker;

use std::fmt::Display;
use std::future::Future;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;

use self::place::Place;
use self::source::Source;

/// The order book that ships.
const SAMPLE: &str = include_str!("../../assets/orders.csv");

/// For arguments and input that cannot be used; clap's own code for such things.
const BAD_INPUT: u8 = 2;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The order book: CSV with the columns order_id, customer, sku, quantity, cents [default: 300 sample orders].
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
    /// Go on without the lines that are no orders, and list them.
    #[arg(long)]
    skip_bad: bool,
    /// Where to put the store and the ledger [default: a new folder among the temporary ones].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct WorkerArgs {
    /// Where the store is.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn run(args: &Args) -> u8 {
    let source = match Source::read(args.orders.as_deref(), args.skip_bad) {
        Ok(source) => source,
        Err(refusal) => return complain(refusal, BAD_INPUT),
    };
    let place = match Place::prepare(args.dir.as_deref()) {
        Ok(place) => place,
        Err(refusal) => return complain(refusal, BAD_INPUT),
    };
    match block_on(story::tell(&source, &place)) {
        Ok(verdict) if verdict.is_good() => 0,
        Ok(_) => 1,
        Err(error) => complain(format!("{error:#}"), 1),
    }
}

pub(crate) fn run_worker(args: &WorkerArgs) -> u8 {
    match block_on(worker::serve(&Place::existing(&args.dir))) {
        Ok(()) => 0,
        Err(error) => complain(format!("the worker: {error:#}"), 1),
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Runtime::new().context("cannot start the async runtime")?.block_on(work)
}

fn complain(what: impl Display, code: u8) -> u8 {
    drop(writeln!(io::stderr(), "error: {what}"));
    code
}

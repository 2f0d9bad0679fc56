//! `stent-chaos`: real worker processes on a real store, faults at moments drawn from a seed, and a checker that judges
//! from a ledger outside the store. `cargo xtask kill` is the way in.
//!
//! - [`supervisor`]: one run, with [`site`] for the store, [`process`] for the workers, [`plan`] for what is left to
//!   chance, [`patience`] for calls across a server's restart;
//! - [`workload`], [`worker`]: what runs, and the process that runs it (`python/` holds those in Python); [`keys`]: the
//!   run of one result for a key; [`ticks`]: the run of schedules;
//! - [`line`], [`ledger`]: what everybody writes down;
//! - [`checker`], [`report`]: what it means, and how it is told.

mod checker;
mod keys;
mod ledger;
mod line;
mod order;
mod patience;
mod place;
mod plan;
mod process;
mod report;
mod site;
mod supervisor;
mod ticks;
mod worker;
mod workload;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;

use crate::order::KillArgs;
use crate::patience::Patience;
use crate::place::Place;
use crate::site::Site;

/// How long the supervisor's own calls are repeated where the server may be away: beyond its longest outage.
const AWAY_LIMIT: Duration = Duration::from_secs(90);

/// Real processes, real faults, and a checker.
#[derive(Parser)]
#[command(name = "stent-chaos", version, disable_help_subcommand = true)]
enum Command {
    /// Kill random workers, and the server they share, with SIGKILL at random moments; exit with 1 if anything is lost
    /// or computed again.
    Kill(KillArgs),
    /// One worker process of a run.
    #[command(hide = true)]
    Worker(worker::Args),
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
    if args.is_of_keys() {
        let order = args.of_keys()?;
        let keys::Order { kills, workers, callers, keys, seed, .. } = order;
        println!("{kills} kills among {workers} workers, {callers} callers of {keys} keys, seed {seed}");
        let run = |place: &Place, site: &Site| block_on(keys::run(order, place, site, |done| tell(done, kills)));
        return kill_and_judge(args, run);
    }
    if args.is_of_ticks() {
        let order = args.of_ticks()?;
        let ticks::Order { kills, workers, seed, .. } = order;
        println!("{kills} kills around ticks among {workers} workers, seed {seed}");
        let run = |place: &Place, site: &Site| block_on(ticks::run(order, place, site, |done| tell(done, kills)));
        return kill_and_judge(args, run);
    }
    let (order, rules) = (args.order()?, args.rules());
    let dir = tempfile::Builder::new().prefix("stent-chaos-").tempdir().context("cannot make a temporary folder")?;
    let place = Place::at(dir.path());
    println!("{}", args.words(&order));
    let site = Arc::new(args.site(&place)?);
    let patience = Arc::new(if order.outages > 0 { Patience::of(AWAY_LIMIT) } else { Patience::none() });
    let start = Instant::now();
    let ran = block_on(supervisor::run(&order, &place, &site, &patience, |done| tell(done, order.kills)));
    let judged = ran.and_then(|endings| {
        let ledger = ledger::read(&place.ledger()).context("cannot read the ledger")?;
        let judgement = checker::judge(&ledger, &endings, rules);
        let integrity = site.integrity()?;
        print!("{}", report::table(&judgement, rules, &integrity, start.elapsed()));
        if patience.repeated() > 0 {
            println!("{} calls of the supervisor were repeated while the server was away", patience.repeated());
        }
        print!("{}", report::findings(&judgement, &ledger));
        Ok(judgement.is_clean() && integrity == "ok")
    });
    let is_clean = matches!(judged, Ok(true));
    if args.keep || !is_clean {
        if let Err(error) = site.keep(&place) {
            eprintln!("the store cannot be kept: {error:#}");
        }
        println!("store and ledger are kept in {}", dir.keep().display());
    }
    println!("{}", if is_clean { "clean" } else { "NOT clean" });
    judged.map(|is_clean| if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same where the run itself says what it is found to be.
fn kill_and_judge(
    args: &KillArgs,
    run: impl FnOnce(&Place, &Site) -> anyhow::Result<keys::Verdict>,
) -> anyhow::Result<ExitCode> {
    let dir = tempfile::Builder::new().prefix("stent-chaos-").tempdir().context("cannot make a temporary folder")?;
    let place = Place::at(dir.path());
    let site = args.site(&place)?;
    let judged = run(&place, &site);
    let is_clean = judged.as_ref().is_ok_and(|verdict| verdict.is_clean);
    if let Ok(verdict) = &judged {
        print!("{}", verdict.words);
    }
    if args.keep || !is_clean {
        if let Err(error) = site.keep(&place) {
            eprintln!("the store cannot be kept: {error:#}");
        }
        println!("store and ledger are kept in {}", dir.keep().display());
    }
    println!("{}", if is_clean { "clean" } else { "NOT clean" });
    judged.map(|verdict| if verdict.is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every tenth part of the kills; every kill of few.
fn tell(done: u32, kills: u32) {
    let part = kills.div_ceil(10).max(1);
    if done.is_multiple_of(part) || done == kills {
        println!("  {done} of {kills}");
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Runtime::new().context("cannot start the async runtime")?.block_on(work)
}

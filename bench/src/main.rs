//! `stent-bench`: the workloads of the design beside the limits of the store they run on. Each round measures every
//! part once, one after the other, so that a ratio is of one machine in one mood. `cargo xtask bench` is the way in.

mod aim;
mod figure;
mod ground;
mod place;
mod postgres;
mod readme;
mod report;
mod sqlite;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, ValueEnum};

use crate::aim::{Aim, POSTGRES, PYTHON_ON_POSTGRES, PYTHON_ON_SQLITE, SQLITE, with_yardsticks};
use crate::figure::{Measured, Part, Sample};
use crate::ground::Ground;
use crate::place::Place;
use crate::report::{Report, Setting};

/// Measure the workloads of the design, the probe and the raw limits side by side.
#[derive(Parser)]
#[command(name = "cargo xtask bench", version)]
struct Args {
    #[command(subcommand)]
    hidden: Option<Hidden>,
    /// The store to measure.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    store: Store,
    /// The face whose aims count; Python is measured beside Rust.
    #[arg(long, value_enum, default_value_t = Face::Rust)]
    face: Face,
    /// The interpreter that runs Python's part; it must find the package.
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// How often to measure each part; the table shows medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Parts to measure, such as W2,W3; the yardsticks of their aims come along.
    #[arg(long, value_enum, value_delimiter = ',', ignore_case = true)]
    only: Vec<Part>,
    /// Write all figures of all rounds to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Put the table between its markers in this file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "README.md")]
    readme: Option<PathBuf>,
    /// Exit with 1 if an aim is met neither absolutely nor as a ratio.
    #[arg(long)]
    check: bool,
    /// Where to put the databases while they are measured; the folder that the build writes to when absent.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// What this program starts of itself.
#[derive(clap::Subcommand)]
enum Hidden {
    /// The process of W7 that will be killed.
    #[command(hide = true)]
    CrashingWorker(workload::w7::CrashingWorker),
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Sqlite,
    Postgres,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Face {
    Rust,
    Python,
}

impl Store {
    const fn aims(self, face: Face) -> &'static [Aim] {
        match (self, face) {
            (Self::Sqlite, Face::Rust) => SQLITE,
            (Self::Postgres, Face::Rust) => POSTGRES,
            (Self::Sqlite, Face::Python) => PYTHON_ON_SQLITE,
            (Self::Postgres, Face::Python) => PYTHON_ON_POSTGRES,
        }
    }

    /// The name in the report and in the README's markers.
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// Where its databases will be; a server is started if it needs one.
    fn ground(self, place: Place) -> anyhow::Result<Ground> {
        Ok(match self {
            Self::Sqlite => Ground::Sqlite(place),
            Self::Postgres => Ground::Postgres(Box::new(postgres::host::Host::start(place)?)),
        })
    }
}

fn main() -> ExitCode {
    run(&Args::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(Hidden::CrashingWorker(worker)) = &args.hidden {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(workload::w7::crash(worker))?;
        return Ok(ExitCode::SUCCESS);
    }
    let aims = args.store.aims(args.face);
    let wanted = if args.only.is_empty() { Part::value_variants() } else { &args.only };
    let ground = args.store.ground(Place::new(args.dir.as_deref())?)?;
    let mut measured = Measured::default();
    for round in 1..=args.rounds {
        measured.next_round();
        for part in with_yardsticks(wanted, aims) {
            eprintln!("round {round} of {}: {}", args.rounds, part.name());
            let samples = measure(part, &ground).with_context(|| part.name())?;
            measured.add(&samples);
            if args.face == Face::Python && !matches!(part, Part::Raw | Part::Probe) {
                eprintln!("round {round} of {}: {} in Python", args.rounds, part.name());
                measured.add(&workload::python::run(part, &ground, &args.python)?);
            }
        }
    }
    let setting = Setting {
        store: args.store.name(),
        version: ground.version()?,
        cores: std::thread::available_parallelism()?.get(),
        filesystem: ground.place().filesystem().to_owned(),
        settings: ground.settings()?,
        rounds: args.rounds.into(),
    };
    let report = Report::new(setting, &measured, aims, wanted);
    println!("{}", report.to_table());
    if let Some(file) = &args.json {
        std::fs::write(file, report.to_json()?).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &args.readme {
        readme::update(file, args.store.name(), &report.to_table())?;
    }
    Ok(if args.check && !report.passed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Measures one part on a runtime of its own, so that nothing of the one before is still at work.
fn measure(part: Part, ground: &Ground) -> anyhow::Result<Vec<Sample>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match (ground, part) {
        (Ground::Sqlite(place), Part::Raw) => sqlite::raw::run(place),
        (Ground::Sqlite(place), Part::Probe) => runtime.block_on(sqlite::probe::run(place)),
        (Ground::Postgres(host), Part::Raw) => postgres::raw::run(host),
        (Ground::Postgres(host), Part::Probe) => runtime.block_on(postgres::probe::run(host)),
        (ground, workload) => runtime.block_on(workload::run(workload, ground)),
    }
}

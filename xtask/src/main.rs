//! `cargo xtask`: the one front door for developers. Each subcommand is a variant here and a file of its own, whose
//! `run` says by its exit code how it went; this file only finds it. Nothing that ships lives here.

mod bench;
mod binaries;
mod breaks;
mod faces;
mod kill;
mod python;
mod setup;
mod table;
mod test;
mod tidy;
mod wheel;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use crate::workspace::Workspace;

/// The one front door for developers.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, disable_help_subcommand = true)]
enum Command {
    /// Install or name what is missing, then run every check and test, phase by phase.
    Test(test::Args),
    /// Check the rules of the house that no compiler knows.
    Tidy,
    /// Measure the workloads, the probe and the raw limits of a store side by side.
    Bench(bench::Args),
    /// Kill random workers of a store at random moments; fail if anything is lost or computed again.
    Kill(kill::Args),
    /// Run the same scenarios in Rust and in Python; fail if the histories they leave differ.
    Faces(faces::Args),
    /// Install the Python package as users do, into a fresh environment; hold its size and its import to their limits.
    Wheel,
    /// Take out, one after the other, the code that keeps each promise; the promise's test must fail each time.
    Breaks(breaks::Args),
}

fn main() -> ExitCode {
    let command = Command::parse();
    let outcome = Workspace::find().and_then(|workspace| match command {
        Command::Test(args) => test::run(&workspace, &args),
        Command::Tidy => tidy::run(&workspace),
        Command::Bench(args) => bench::run(&workspace, &args),
        Command::Kill(args) => kill::run(&workspace, &args),
        Command::Faces(args) => faces::run(&workspace, &args),
        Command::Wheel => wheel::run(&workspace),
        Command::Breaks(args) => breaks::run(&workspace, &args),
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

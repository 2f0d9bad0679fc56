//! `cargo xtask test`: everything that must hold before a change is done, as a list of phases. A phase is a cargo
//! command or a function of this crate; it runs with the terminal as its own, so what it prints is never altered. The
//! first failure ends the run and is named together with the way to repeat it alone.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::workspace::Workspace;
use crate::{binaries, faces, kill, python, setup, table, tidy};

#[derive(clap::Args)]
pub struct Args {
    /// Run this phase alone.
    #[arg(long, value_name = "PHASE", value_parser = PHASES.iter().map(|phase| phase.name).collect::<Vec<_>>())]
    only: Option<String>,
    /// Print the phases and what each runs, and run none.
    #[arg(long)]
    list: bool,
}

/// One named part of the run.
struct Phase {
    name: &'static str,
    work: Work,
}

enum Work {
    /// `cargo` with these arguments.
    Cargo(&'static [&'static str]),
    /// `stent-chaos kill` with these arguments, of the build that the tests were of.
    Kill(&'static str),
    /// A function of this crate, and the command that runs it alone.
    Here { alone: &'static str, run: fn(&Workspace) -> anyhow::Result<()> },
}

/// In the order of their price: what fails soonest comes first.
const PHASES: &[Phase] = &[
    Phase { name: "setup", work: Work::Here { alone: "cargo xtask test --only setup", run: setup::run } },
    Phase { name: "fmt", work: Work::Cargo(&["fmt", "--all", "--check"]) },
    Phase { name: "tidy", work: Work::Here { alone: "cargo xtask tidy", run: tidy::must_be_clean } },
    Phase {
        name: "clippy",
        work: Work::Cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
    },
    // Documentation tests and the examples' own tests are part of it.
    Phase { name: "tests", work: Work::Here { alone: "cargo xtask test --only tests", run: binaries::run } },
    // What docs/seeds.md names was run just now, unless a binary knows nothing of it.
    Phase { name: "seeds", work: Work::Here { alone: "cargo xtask test --only seeds", run: tidy::seeds::must_run } },
    Phase {
        name: "python-check",
        work: Work::Here { alone: "cargo xtask test --only python-check", run: python::check },
    },
    Phase {
        name: "python-tests",
        work: Work::Here { alone: "cargo xtask test --only python-tests", run: python::test },
    },
    Phase { name: "faces", work: Work::Here { alone: "cargo xtask faces", run: faces::phase } },
    // A tenth of what is run by hand before a release: real processes, real kills, judged from outside.
    Phase { name: "kill", work: Work::Kill("--store sqlite --face rust --kills 20 --seed 1") },
    Phase {
        name: "kill-python",
        work: Work::Here { alone: "cargo xtask kill --dev --face python --kills 10 --seed 1", run: kill::python_phase },
    },
    // A tenth of the keys: one result for each, whatever dies.
    Phase { name: "kill-keys", work: Work::Kill("--workload idempotent --store sqlite --kills 5 --seed 1") },
    Phase { name: "kill-keys-postgres", work: Work::Kill("--workload idempotent --store postgres --kills 5 --seed 1") },
    // Kills around the ticks of schedules: each tick is one execution at most, and none is lost.
    Phase { name: "kill-ticks", work: Work::Kill("--workload ticks --store sqlite --kills 12 --seed 1") },
    Phase { name: "kill-ticks-postgres", work: Work::Kill("--workload ticks --store postgres --kills 12 --seed 1") },
    // The same on a server, which is killed too.
    Phase {
        name: "kill-postgres",
        work: Work::Kill("--store postgres --face rust --kills 10 --server-kills 1 --tasks 500 --seed 1"),
    },
];

pub fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<ExitCode> {
    if args.list {
        print!("{}", table::render(["phase", "alone"], &PHASES.iter().map(row_of_list).collect::<Vec<_>>()));
        return Ok(ExitCode::SUCCESS);
    }
    let chosen: Vec<&Phase> =
        PHASES.iter().filter(|phase| args.only.as_ref().is_none_or(|name| name == phase.name)).collect();
    let report = run_phases(&chosen, |phase| phase.work.run(workspace));
    println!("\n{}", report.table(&chosen));
    if let Some((phase, error)) = report.failure {
        eprintln!("phase `{}` failed: {error:#}\nto run it alone: {}", phase.name, phase.work.alone());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

impl Work {
    fn alone(&self) -> String {
        match self {
            Self::Cargo(arguments) => format!("cargo {}", arguments.join(" ")),
            Self::Kill(arguments) => format!("cargo run --package stent-chaos -- kill {arguments}"),
            Self::Here { alone, .. } => (*alone).to_owned(),
        }
    }

    fn run(&self, workspace: &Workspace) -> anyhow::Result<()> {
        match self {
            Self::Cargo(arguments) => must_pass(workspace.cargo().args(*arguments)),
            Self::Kill(arguments) => {
                let program = workspace.program_of_the_tests("stent-chaos")?;
                must_pass(workspace.tool(&program).arg("kill").args(arguments.split(' ')))
            }
            Self::Here { run, .. } => run(workspace),
        }
    }
}

fn must_pass(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// How a run went: the time of each phase that ran, in order, and the failure that ended it.
struct Report<'a> {
    times: Vec<Duration>,
    failure: Option<(&'a Phase, anyhow::Error)>,
}

/// Runs the phases in turn until one fails.
fn run_phases<'a>(phases: &[&'a Phase], mut run: impl FnMut(&Phase) -> anyhow::Result<()>) -> Report<'a> {
    let mut times = Vec::new();
    for phase in phases {
        println!("\n=== {}: {}", phase.name, phase.work.alone());
        let start = Instant::now();
        let outcome = run(phase);
        times.push(start.elapsed());
        println!("=== {}: {:.1} s", phase.name, start.elapsed().as_secs_f64());
        if let Err(error) = outcome {
            return Report { times, failure: Some((phase, error)) };
        }
    }
    Report { times, failure: None }
}

impl Report<'_> {
    fn table(&self, phases: &[&Phase]) -> String {
        let mut rows: Vec<[String; 3]> = Vec::new();
        for (index, phase) in phases.iter().enumerate() {
            let failed = self.failure.as_ref().is_some_and(|(failed, _)| failed.name == phase.name);
            let time = self.times.get(index);
            let outcome = match time {
                Some(_) if failed => "failed",
                Some(_) => "passed",
                None => "not run",
            };
            rows.push([
                phase.name.to_owned(),
                outcome.to_owned(),
                time.map_or_else(String::new, |time| format!("{:.1} s", time.as_secs_f64())),
            ]);
        }
        let total: Duration = self.times.iter().sum();
        rows.push(["all".to_owned(), String::new(), format!("{:.1} s", total.as_secs_f64())]);
        table::render(["phase", "outcome", "time"], &rows)
    }
}

fn row_of_list(phase: &Phase) -> [String; 2] {
    [phase.name.to_owned(), phase.work.alone()]
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    const FIRST: Phase = Phase { name: "first", work: Work::Cargo(&["first"]) };
    const SECOND: Phase = Phase { name: "second", work: Work::Cargo(&["second"]) };
    const THIRD: Phase = Phase { name: "third", work: Work::Here { alone: "cargo third", run: |_| Ok(()) } };

    #[test]
    fn the_first_failure_ends_the_run() {
        let mut ran = Vec::new();
        let report = run_phases(&[&FIRST, &SECOND, &THIRD], |phase| {
            ran.push(phase.name);
            if phase.name == "second" { bail!("broken") } else { Ok(()) }
        });
        assert_eq!(ran, ["first", "second"]);
        let table = report.table(&[&FIRST, &SECOND, &THIRD]);
        assert!(table.contains("second  failed"), "{table}");
        assert!(table.contains("third   not run"), "{table}");
    }

    #[test]
    fn a_phase_names_the_command_that_runs_it_alone() {
        assert_eq!(FIRST.work.alone(), "cargo first");
        assert_eq!(THIRD.work.alone(), "cargo third");
    }

    #[test]
    fn what_is_judged_by_reading_comes_before_tests_and_kills_come_last() {
        let at = |name| PHASES.iter().position(|phase| phase.name == name).unwrap();
        let places = ["fmt", "tidy", "clippy", "tests", "python-check", "python-tests", "kill"].map(at);
        assert!(places.is_sorted(), "{places:?}");
        let mut kills = PHASES.iter().skip_while(|phase| phase.name != "kill");
        assert!(kills.all(|phase| phase.name.starts_with("kill")), "something cheaper waits for a kill");
    }

    #[test]
    fn names_of_phases_are_distinct() {
        let mut names: Vec<_> = PHASES.iter().map(|phase| phase.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PHASES.len());
    }
}

//! `cargo xtask kill`: builds the kill harness and runs it with the options given. What it does, how it judges and
//! which options it knows is the business of `testing/chaos`.

use std::process::ExitCode;

use anyhow::{Context, ensure};

use crate::python::{self, Profile};
use crate::workspace::Workspace;

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Build as the tests do, without optimizations; comes before the other options.
    #[arg(long)]
    dev: bool,
    /// Options of the harness: --store sqlite|postgres, --workload mixed|five|limited|idempotent|ticks,
    /// --face rust|python, --kills N, --server-kills N, --through direct|pgbouncer, --seed X; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

/// Ends as the harness ends: 1 if anything is lost, computed again or too slow to go on.
pub fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<ExitCode> {
    let (profile, mut harness) = if args.dev {
        (Profile::Dev, workspace.tool(&workspace.program_of_the_tests("stent-chaos")?))
    } else {
        let mut cargo = workspace.cargo();
        cargo.args(["run", "--quiet", "--package", "stent-chaos", "--release", "--"]);
        (Profile::Release, cargo)
    };
    harness.arg("kill");
    if python::is_asked_for(&args.options) {
        python::lend(workspace, profile, &mut harness)?;
    }
    let status = harness.args(&args.options).status().context("cannot start the harness")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// A tenth of what is run by hand, as a phase of the tests.
pub fn python_phase(workspace: &Workspace) -> anyhow::Result<()> {
    let options = ["--face", "python", "--kills", "10", "--seed", "1"].map(str::to_owned).to_vec();
    ensure!(run(workspace, &Args { dev: true, options })? == ExitCode::SUCCESS, "not clean");
    Ok(())
}

//! `cargo xtask bench`: builds the benchmarks as users would build the product, and runs them with the options given.
//! What they measure and which options they know is the business of `bench/`.

use std::process::ExitCode;

use anyhow::Context;

use crate::python::{self, Profile};
use crate::workspace::Workspace;

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Options of the benchmarks: --store sqlite|postgres, --face rust|python, --only W2,W3, --rounds N, --json
    /// FILE, --check, --readme; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

/// Ends as the benchmarks end: 1 says that an aim is missed, and only with `--check`; anything else that is not 0
/// says that they could not be run.
pub fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<ExitCode> {
    let mut benchmarks = workspace.cargo();
    benchmarks.args(["run", "--release", "--quiet", "--package", "stent-bench", "--"]);
    if python::is_asked_for(&args.options) {
        python::lend(workspace, Profile::Release, &mut benchmarks)?;
    }
    let status = benchmarks.args(&args.options).status().context("cannot start cargo")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::from(2), ExitCode::from))
}

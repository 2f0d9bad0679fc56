//! `cargo xtask faces`: builds the native module of the Python package and the comparison of the faces, and runs it. What
//! it compares is the business of `testing/faces`.

use std::process::ExitCode;

use anyhow::{Context, ensure};

use crate::python::{self, Profile};
use crate::workspace::Workspace;

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Options of the comparison: --show; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

/// Ends as the comparison ends: 1 if histories differ.
pub fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<ExitCode> {
    let mut comparison = workspace.tool(&workspace.program_of_the_tests("stent-faces")?);
    python::lend(workspace, Profile::Dev, &mut comparison)?;
    let status = comparison.args(&args.options).status().context("cannot start the comparison")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As a phase of the tests.
pub fn phase(workspace: &Workspace) -> anyhow::Result<()> {
    ensure!(run(workspace, &Args { options: Vec::new() })? == ExitCode::SUCCESS, "histories differ");
    Ok(())
}

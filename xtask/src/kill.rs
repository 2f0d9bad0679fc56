//! `cargo xtask kill`: builds the kill harness and runs it with the options given. What it does, how it judges and
//! which options it knows is the business of `testing/chaos`.

use std::process::ExitCode;

use anyhow::Context;

use crate::workspace::Workspace;

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Build as the tests do, without optimizations; comes before the other options.
    #[arg(long)]
    dev: bool,
    /// Options of the harness: --store sqlite|postgres, --workload mixed|five|limited|idempotent|ticks, --face rust, --kills N, --server-kills N, --through
    /// direct|pgbouncer, --seed X; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

/// Ends as the harness ends: 1 if anything is lost, computed again or too slow to go on.
pub fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<ExitCode> {
    let profile: &[&str] = if args.dev { &[] } else { &["--release"] };
    let status = workspace
        .cargo()
        .args(["run", "--quiet", "--package", "stent-chaos"])
        .args(profile)
        .args(["--", "kill"])
        .args(&args.options)
        .status()
        .context("cannot start cargo")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

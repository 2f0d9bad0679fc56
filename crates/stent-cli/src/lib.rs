//! The command `stent`, as a library: [`run`] takes the arguments of a process and gives its exit code. What a command
//! does is in the module of its name; here it is only found.

mod demo;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

/// Durable functions: shows and steers what runs.
#[derive(Parser)]
#[command(name = "stent", version, disable_help_subcommand = true, arg_required_else_help = true)]
enum Command {
    /// Run a real job, kill its worker half-way, and see that nothing is lost and nobody is charged twice.
    Demo(demo::Args),
    /// The worker process of the demo: runs orders until its input ends.
    #[command(hide = true)]
    DemoWorker(demo::WorkerArgs),
}

/// Runs the command that `argv` names; its first entry is the program's own name. The exit code is 0 when all is well,
/// 1 when what was asked for failed, 2 for arguments and input that cannot be used.
///
/// ```
/// use std::process::ExitCode;
/// assert_eq!(stent_cli::run(["stent", "--version"]), ExitCode::SUCCESS);
/// assert_eq!(stent_cli::run(["stent", "no-such-command"]), ExitCode::from(2));
/// ```
pub fn run<A: Into<OsString> + Clone>(argv: impl IntoIterator<Item = A>) -> ExitCode {
    match Command::try_parse_from(argv) {
        Ok(Command::Demo(args)) => demo::run(&args),
        Ok(Command::DemoWorker(args)) => demo::run_worker(&args),
        Err(said) => {
            // Help that was asked for is such an "error" too, with exit code 0. If nobody reads it, nobody misses it.
            drop(said.print());
            u8::try_from(said.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

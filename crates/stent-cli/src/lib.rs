//! The command `stent`, as a library: [`run`] takes the arguments of a process and gives its exit code. What a command
//! does is in the module of its name; here it is only found.

mod commands;
mod database;
mod demo;
mod exit;
mod output;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::Parser;
use stent_engine::Engine;

use commands::{cleanup, dlq, list, schedules, show, stats, steer, tasks};

/// What is said below the list of commands.
const AFTER_HELP: &str = "Exit codes: 0 done, 1 the database failed, 2 unusable arguments, 3 nothing has this id, \
    4 refused as things stand, 5 no such database.";

/// Durable functions: shows and steers what runs.
#[derive(Parser)]
#[command(name = "stent", version, disable_help_subcommand = true, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Arguments {
    /// The database: postgres://HOST/DATABASE or sqlite://FILE [default: $DURABLE_DATABASE_URL, else sqlite://stent.db].
    #[arg(long, global = true, value_name = "URL", hide_default_value = true)]
    db: Option<String>,
    /// Say it as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    #[command(flatten)]
    Over(Operation),
    /// Run a real job, kill its worker half-way, and see that nothing is lost and nobody is charged twice.
    Demo(demo::Args),
    /// The worker process of the demo: runs orders until its input ends.
    #[command(hide = true)]
    DemoWorker(demo::WorkerArgs),
}

/// What is done over a database.
#[derive(clap::Subcommand)]
enum Operation {
    /// List executions, newest first.
    List(list::Args),
    /// Show one execution: its state, progress, counters, result.
    Show(show::Args),
    /// List tasks: of one execution, or of all, newest first.
    Tasks(tasks::Args),
    /// Count executions, tasks, dead letters and workers.
    Stats,
    /// Look after dead letters: tasks that failed for good.
    #[command(subcommand, disable_help_subcommand = true)]
    Dlq(dlq::Args),
    /// Look after schedules: what is started again and again by a cron line.
    #[command(subcommand, disable_help_subcommand = true)]
    Schedules(schedules::Args),
    /// Delete executions and dead letters that ended long ago. What runs is never touched.
    Cleanup(cleanup::Args),
    /// Give a signal to an execution.
    Signal(steer::SignalArgs),
    /// Cancel an execution, or a task with all that it called.
    Cancel(steer::CancelArgs),
}

/// Runs the command that `argv` names; its first entry is the program's own name. The exit code is 0 when all is well;
/// `docs/reference/cli.md` tells of the others.
///
/// ```
/// use std::process::ExitCode;
/// assert_eq!(stent_cli::run(["stent", "--version"]), ExitCode::SUCCESS);
/// assert_eq!(stent_cli::run(["stent", "no-such-command"]), ExitCode::from(2));
/// assert_eq!(stent_cli::run(["stent", "--db", "sqlite://no/such/file.db", "list"]), ExitCode::from(5));
/// ```
pub fn run<A: Into<OsString> + Clone>(argv: impl IntoIterator<Item = A>) -> ExitCode {
    ExitCode::from(code(argv))
}

/// The words that start this program again, where it is not the executable of the process itself.
static HOST: OnceLock<Vec<OsString>> = OnceLock::new();

/// [`run`] inside of another program, an interpreter say, which gives the words that start this one: `python -m stent`.
///
/// ```
/// let words = vec!["python".into(), "-m".into(), "stent".into()];
/// assert_eq!(stent_cli::run_hosted(words, ["stent", "no-such-command"]), 2);
/// ```
pub fn run_hosted<A: Into<OsString> + Clone>(words: Vec<OsString>, argv: impl IntoIterator<Item = A>) -> u8 {
    // The first that says so is right: a process is hosted by one program.
    let _ = HOST.set(words);
    code(argv)
}

fn code<A: Into<OsString> + Clone>(argv: impl IntoIterator<Item = A>) -> u8 {
    match Arguments::try_parse_from(argv) {
        Ok(Arguments { command: Command::Demo(args), .. }) => demo::run(&args),
        Ok(Arguments { command: Command::DemoWorker(args), .. }) => demo::run_worker(&args),
        Ok(Arguments { db, json, command: Command::Over(operation) }) => {
            match database::within(db.as_deref(), async |engine| carry_out(engine, operation).await) {
                Ok(shown) => {
                    shown.print(json);
                    0
                }
                Err(failed) => {
                    drop(writeln!(io::stderr(), "error: {}", output::plain(&failed.words)));
                    failed.exit_code()
                }
            }
        }
        Err(said) => {
            // Help that was asked for is such an "error" too, with exit code 0. If nobody reads it, nobody misses it.
            drop(said.print());
            u8::try_from(said.exit_code()).unwrap_or(1)
        }
    }
}

async fn carry_out(engine: &Engine, operation: Operation) -> commands::Outcome {
    match operation {
        Operation::List(args) => list::run(engine, args).await,
        Operation::Show(args) => show::run(engine, args).await,
        Operation::Tasks(args) => tasks::run(engine, args).await,
        Operation::Stats => stats::run(engine).await,
        Operation::Dlq(args) => dlq::run(engine, args).await,
        Operation::Schedules(args) => schedules::run(engine, args).await,
        Operation::Cleanup(args) => cleanup::run(engine, args).await,
        Operation::Signal(args) => steer::signal(engine, args).await,
        Operation::Cancel(args) => steer::cancel(engine, args).await,
    }
}

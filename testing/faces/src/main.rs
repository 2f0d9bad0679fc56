//! `stent-faces`: runs the same scenarios by a worker in Rust and by one in Python, each on a database of its own of either
//! kind, and fails where the histories they leave differ in more than ids and times. `cargo xtask faces` is the way in.
//!
//! - [`scenarios`]: the code in Rust; `python/scenarios.py` is the same in Python;
//! - [`drive`]: starts them, and gives them from outside what they wait for; - [`story`]: what is compared.

mod drive;
mod scenarios;
mod story;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use durable::{Durable, WorkerOptions};
use stent_servers::Server;

use crate::drive::{Driver, PythonWorker};
use crate::scenarios::NAMES;
use crate::story::Story;

/// Compare the histories that the faces leave.
#[derive(Parser)]
#[command(name = "cargo xtask faces", version)]
struct Args {
    /// The interpreter; it must find the package.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Print the histories too.
    #[arg(long)]
    show: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(&Args::parse()).await.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dir = tempfile::Builder::new().prefix("stent-faces-").tempdir()?;
    let file = |name: &str| format!("sqlite://{}", dir.path().join(name).display());
    let server = Server::start_for_many()?;
    let (one, other) = (server.database()?, server.database()?);
    let on_sqlite = compare(args, "SQLite", &file("rust.db"), &file("python.db")).await.context("on SQLite")?;
    let on_postgres = compare(args, "PostgreSQL", &one.url(), &other.url()).await.context("on PostgreSQL")?;
    Ok(if on_sqlite + on_postgres == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many scenarios differ on one kind of store.
async fn compare(args: &Args, store: &str, for_rust: &str, for_python: &str) -> anyhow::Result<u32> {
    let in_rust = stories_in_rust(for_rust).await.context("in Rust")?;
    let in_python = stories_in_python(for_python, &args.python).await.context("in Python")?;
    let mut differ = 0;
    for ((name, rust), python) in NAMES.iter().zip(&in_rust).zip(&in_python) {
        let is_equal = rust == python;
        println!("{} {name}", if is_equal { "equal " } else { "DIFFER" });
        if args.show || !is_equal {
            println!("in Rust:\n{rust}in Python:\n{python}");
        }
        differ += u32::from(!is_equal);
    }
    println!("{store}: {} scenarios, {differ} differ", NAMES.len());
    Ok(differ)
}

async fn stories_in_rust(url: &str) -> anyhow::Result<Vec<Story>> {
    let client = Durable::builder().database_url(url).build().await?;
    scenarios::register(&client).await?;
    let worker = client.try_start_worker(WorkerOptions { concurrency: 16, ..WorkerOptions::default() }).await?;
    let stories = Driver::new(client.clone(), url)?.run_all().await?;
    worker.shutdown().await;
    client.close().await?;
    Ok(stories)
}

async fn stories_in_python(url: &str, interpreter: &Path) -> anyhow::Result<Vec<Story>> {
    let client = Durable::builder().database_url(url).build().await?;
    let worker = PythonWorker::start(interpreter, url)?;
    let stories = Driver::new(client.clone(), url)?.run_all().await?;
    worker.dismiss()?;
    client.close().await?;
    Ok(stories)
}

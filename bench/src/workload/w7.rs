//! W7: an execution with many recorded steps resumes after a crash. A child process of this program records the steps
//! and is killed; a fresh worker takes the execution over, and the clock runs from its claim until the body of the
//! first call after the recorded ones begins.
//!
//! No interface tells the time of a claim. A herald does: an older execution without any step, lost in the same crash
//! and claimed by the same look, whose body begins as soon as it is in the worker's hands.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context, ensure};
use durable::{Durable, SpawnOptions, SpawnResult, Task, TaskContext, TaskResult, async_trait};

use super::{await_result, open, payload, start_worker, stop};
use crate::figure::{Figure, Sample};
use crate::ground::Ground;

/// What the crashing worker prints once all steps are recorded.
const RECORDED: &str = "recorded";
const NANOS_PER_MS: f64 = 1e6;

/// The process that will be killed.
#[derive(clap::Args)]
pub struct CrashingWorker {
    /// The address of the database.
    url: String,
    steps: usize,
}

/// What the tasks of a process see and report.
#[derive(Default)]
struct Watch {
    /// Whether this process is to die at the first call after the recorded ones.
    crashes: bool,
    claimed: OnceLock<Instant>,
    live: OnceLock<Instant>,
    bodies_run: AtomicUsize,
}

struct Resumed;

#[async_trait]
impl Task for Resumed {
    const NAME: &'static str = "resumed";
    type Params = usize;
    type Output = usize;

    async fn run(steps: usize, ctx: TaskContext) -> TaskResult<usize> {
        let watch = ctx.app::<Arc<Watch>>()?;
        // The herald is claimed first, but whichever body begins first has the time.
        watch.claimed.get_or_init(Instant::now);
        for _ in 0..steps {
            let body = || async {
                watch.bodies_run.fetch_add(1, Ordering::Relaxed);
                Ok(payload())
            };
            ctx.step("step", body).await?;
        }
        if watch.crashes {
            if steps > 0 {
                println!("{RECORDED}");
            }
            std::future::pending::<()>().await;
        }
        let live = || async {
            if steps > 0 {
                watch.live.get_or_init(Instant::now);
            }
            Ok(steps)
        };
        ctx.step("live", live).await
    }
}

pub(super) async fn run(ground: &Ground) -> anyhow::Result<Vec<Sample>> {
    let (short, _) = crash_and_resume(ground, 1_000).await?;
    let (long, take_over) = crash_and_resume(ground, 10_000).await?;
    Ok(vec![
        Sample::of(Figure::Resume1000, short),
        Sample::of(Figure::Resume10000, long),
        Sample::of(Figure::TakeOver10000, take_over),
    ])
}

/// The milliseconds from the claim, and from the worker's start, until the execution is past its recorded steps.
async fn crash_and_resume(ground: &Ground, steps: usize) -> anyhow::Result<(f64, f64)> {
    let database = ground.fresh_database()?;
    let mut process = record_and_crash(&database.url, steps)?;
    process.kill()?;
    process.wait()?;

    let watch = Arc::new(Watch::default());
    let client = open(&database.url, Arc::clone(&watch)).await?;
    client.try_register::<Resumed>().await?;
    // The start key leads to the execution that is there already.
    let resumed = start(&client, steps).await?;
    ensure!(!resumed.created, "the crashed process has left no execution");
    let began = Instant::now();
    let worker = start_worker(&client).await?;
    await_result::<Resumed>(&client, &resumed).await?;
    stop(worker, client).await?;

    let again = watch.bodies_run.load(Ordering::Relaxed);
    ensure!(again == 0, "{again} of {steps} recorded steps ran again");
    let claimed = watch.claimed.get().context("no body began")?;
    let live = watch.live.get().context("the first call after the recorded ones did not begin")?;
    let ms_since = |from: Instant| live.duration_since(from).as_nanos() as f64 / NANOS_PER_MS;
    Ok((ms_since(*claimed), ms_since(began)))
}

/// Starts the process that records the steps, and returns when it has; it hangs there until it is killed.
fn record_and_crash(url: &str, steps: usize) -> anyhow::Result<Child> {
    let mut process = Command::new(std::env::current_exe()?)
        .arg("crashing-worker")
        .arg(url)
        .arg(steps.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = process.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line.trim_end() != RECORDED {
        process.kill()?;
        anyhow::bail!("the process that was to crash ended by itself: {}", process.wait()?);
    }
    Ok(process)
}

/// What the process that is killed does.
pub async fn crash(CrashingWorker { url, steps }: &CrashingWorker) -> anyhow::Result<()> {
    let client = open(url, Arc::new(Watch { crashes: true, ..Watch::default() })).await?;
    client.try_register::<Resumed>().await?;
    start(&client, 0).await?;
    start(&client, *steps).await?;
    let _worker = start_worker(&client).await?;
    std::future::pending().await
}

/// One execution for each number of steps, whichever process asks.
async fn start(client: &Durable, steps: usize) -> anyhow::Result<SpawnResult> {
    let options = SpawnOptions { idempotency_key: Some(format!("resumed:{steps}")), ..SpawnOptions::default() };
    Ok(client.spawn_with_options::<Resumed>(steps, options).await?)
}

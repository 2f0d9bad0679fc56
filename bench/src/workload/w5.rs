//! W5: one parent calls 1,000 children and awaits them all, then another 10,000. The clock runs from before the parent's
//! start to its result. The memory is that of this process, which is client and worker in one.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use durable::{Durable, Task, TaskContext, TaskResult, async_trait};

use super::{await_result, open, payload, start_worker, stop};
use crate::figure::{Figure, Sample};
use crate::ground::Ground;

const CHILDREN: usize = 1_000;

const MANY: usize = 10_000;

struct Child;

#[async_trait]
impl Task for Child {
    const NAME: &'static str = "child";
    type Params = String;
    type Output = String;

    async fn run(params: String, _: TaskContext) -> TaskResult<String> {
        Ok(params)
    }
}

struct Parent;

#[async_trait]
impl Task for Parent {
    const NAME: &'static str = "parent";
    type Params = usize;
    type Output = usize;

    async fn run(children: usize, ctx: TaskContext) -> TaskResult<usize> {
        let results = ctx.map::<Child>("child", (0..children).map(|_| payload())).await?;
        Ok(results.len())
    }
}

pub(super) async fn run(ground: &Ground) -> anyhow::Result<Vec<Sample>> {
    let database = ground.fresh_database()?;
    let client = open(&database.url, ()).await?;
    client.try_register::<Parent>().await?;
    client.try_register::<Child>().await?;
    let worker = start_worker(&client).await?;
    // The first execution of a process pays for what all later ones find ready.
    let first = client.spawn::<Parent>(1).await?;
    await_result::<Parent>(&client, &first).await?;

    let took = await_children(&client, CHILDREN).await?;
    let before = Memory::with_a_new_peak()?;
    let took_many = await_children(&client, MANY).await?;
    let peak = Memory::read("VmHWM")?;
    stop(worker, client).await?;
    Ok(vec![
        Sample::of(Figure::Children, took.as_secs_f64()),
        Sample::of(Figure::ManyChildren, took_many.as_secs_f64()),
        Sample::of(Figure::ManyTimes, took_many.as_secs_f64() / took.as_secs_f64()),
        Sample::of(Figure::ManyMemory, peak.megabytes - before.megabytes),
    ])
}

/// How long a parent takes that calls so many children.
async fn await_children(client: &Durable, children: usize) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let parent = client.spawn::<Parent>(children).await?;
    let awaited = await_result::<Parent>(client, &parent).await?;
    let took = began.elapsed();
    ensure!(awaited == children, "{awaited} children were awaited");
    Ok(took)
}

/// What Linux says that this process holds in memory.
struct Memory {
    megabytes: f64,
}

impl Memory {
    /// What is held now, from which on the peak counts.
    fn with_a_new_peak() -> anyhow::Result<Self> {
        fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of memory")?;
        Self::read("VmRSS")
    }

    fn read(row: &str) -> anyhow::Result<Self> {
        let status = fs::read_to_string("/proc/self/status").context("cannot tell the memory")?;
        let held = status.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(':')?.strip_suffix("kB"));
        let kilobytes: f64 = held.with_context(|| format!("no row {row}"))?.trim().parse()?;
        Ok(Self { megabytes: kilobytes / 1024.0 })
    }
}

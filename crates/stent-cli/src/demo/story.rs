//! The demo from beginning to end: start the orders, kill the worker half-way, start another, judge. What is shown
//! while it runs comes from the ledger, as the verdict does; the store is asked only whether the work has ended.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::Context;
use durable::{Durable, SpawnResult};

use super::child::WorkerProcess;
use super::ledger::{self, Entry, Ledger, Reading, Step};
use super::place::Place;
use super::progress::{Progress, say};
use super::source::Source;
use super::verdict::{Verdict, judge};
use super::worker::Fulfil;

/// How often the ledger is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// How long nothing may happen before the demo gives up and judges what there is.
const STANDSTILL: Duration = Duration::from_secs(30);

pub(super) async fn tell(source: &Source, place: &Place) -> anyhow::Result<Verdict> {
    introduce(source, place);
    drop(Ledger::open(&place.ledger()).context("cannot make the ledger")?);
    let client = Durable::builder().database_url(place.store_url()).build().await.context("cannot make the store")?;
    // One execution for each order.
    let tasks = client.spawn_all::<Fulfil>(source.book.orders.clone()).await.context("cannot start the orders")?;

    let mut stage = Stage::set(source, place)?;
    let mut worker = WorkerProcess::start(place)?;
    stage.progress.say(&format!("worker {} begins", worker.pid()));
    let half = stage.total().div_ceil(2);
    let mut still = stage.play_until(&mut worker, |stage| stage.ran.len() >= half).await?;
    if still == Moving::On {
        worker = replace(worker, place, &mut stage)?;
        let end = all_ended(&client, &tasks);
        tokio::pin!(end);
        still = tokio::select! {
            ended = &mut end => ended.map(|()| Moving::On)?,
            still = stage.play_until(&mut worker, |_| false) => still?,
        };
    }
    stage.look()?;
    stage.progress.finish();
    if still == Moving::On {
        worker.dismiss().await?;
    } else {
        say(&format!("nothing has happened for {} s: giving up", STANDSTILL.as_secs()));
        drop(worker);
    }
    client.close().await.context("cannot close the store")?;

    let verdict = judge(&source.book.orders, &ledger::read(&place.ledger())?);
    say(&format!("\n{verdict}\nlook into the store:\n  {}", place.look_inside()));
    Ok(verdict)
}

fn introduce(source: &Source, place: &Place) {
    let cents = source.book.cents();
    let count = source.book.orders.len();
    say(&format!("order book  {count} orders, {}.{:02} in all ({})", cents / 100, cents % 100, source.name));
    say(&format!("store       {}", place.store().display()));
    say(&format!("ledger      {} (outside the store)", place.ledger().display()));
    if !source.book.bad_lines.is_empty() {
        let count = source.book.bad_lines.len();
        let lines = if count == 1 { "line that is no order" } else { "lines that are no orders" };
        say(&format!("skipped     {count} {lines}:\n{}", source.bad_lines()));
    }
    say("");
}

/// The worker dies in the middle of its work, and another takes its place.
fn replace(worker: WorkerProcess, place: &Place, stage: &mut Stage) -> anyhow::Result<WorkerProcess> {
    let pid = worker.pid();
    let status = worker.kill()?;
    stage.look()?;
    let (ran, total) = (stage.ran.len(), stage.total());
    stage.progress.say(&format!("kill -9 {pid}: the worker is dead ({status})"));
    stage.progress.say(&format!("  {ran} of {total} steps had run, {} orders were under way", stage.under_way()));
    let worker = WorkerProcess::start(place)?;
    stage.progress.say(&format!("worker {} begins", worker.pid()));
    Ok(worker)
}

/// When every order has come to an end, whichever: how it ended is for the ledger to say.
async fn all_ended(client: &Durable, tasks: &[SpawnResult]) -> anyhow::Result<()> {
    for task in tasks {
        client.wait_for(task.task_id, None).await.context("cannot wait for an order")?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Moving {
    On,
    Not,
}

/// What has been seen of the orders so far.
struct Stage {
    progress: Progress,
    reading: Reading,
    ran: HashSet<(String, Step)>,
    orders: usize,
    moved_at: Instant,
}

impl Stage {
    fn set(source: &Source, place: &Place) -> anyhow::Result<Self> {
        let orders = source.book.orders.len();
        Ok(Self {
            progress: Progress::start(orders as u64),
            reading: Reading::start(&place.ledger()).context("cannot read the ledger")?,
            ran: HashSet::new(),
            orders,
            moved_at: Instant::now(),
        })
    }

    fn total(&self) -> usize {
        self.orders * Step::ALL.len()
    }

    /// Follows the ledger until there is enough of it, or until nothing moves any more.
    async fn play_until(
        &mut self,
        worker: &mut WorkerProcess,
        is_enough: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<Moving> {
        self.moved_at = Instant::now();
        loop {
            self.look()?;
            if is_enough(self) {
                return Ok(Moving::On);
            }
            worker.must_live()?;
            if self.moved_at.elapsed() > STANDSTILL {
                return Ok(Moving::Not);
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Takes in what is new in the ledger.
    fn look(&mut self) -> anyhow::Result<()> {
        for Entry { order, step, .. } in self.reading.next().context("cannot read the ledger")? {
            self.moved_at = Instant::now();
            if self.ran.insert((order, step)) {
                self.progress.count(step);
            }
        }
        self.progress.tell();
        Ok(())
    }

    /// Orders that have begun and have not come to their last step.
    fn under_way(&self) -> usize {
        let mut steps: HashMap<&str, usize> = HashMap::new();
        for (order, _) in &self.ran {
            *steps.entry(order).or_default() += 1;
        }
        steps.values().filter(|count| **count < Step::ALL.len()).count()
    }
}

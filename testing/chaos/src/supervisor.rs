//! One run: workers, a steady stream of executions, kills, a quiet phase. It decides nothing about right and wrong: it
//! hands the checker what was acknowledged and how each execution ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use durable::{Durable, TaskId};
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use crate::line::{Subject, Verb};
use crate::place::Place;
use crate::plan::{EventTime, event_time, kills};
use crate::process::Workers;
use crate::workload::{Outcome, Root, event_name, event_worth, once};

/// How long what is still under way may take once the kills are over.
const QUIET_LIMIT: Duration = Duration::from_secs(60);

/// How often, in the quiet phase, somebody looks whether the workers live.
const WATCH: Duration = Duration::from_millis(200);

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub kills: u32,
    pub seed: u64,
    pub workers: usize,
    /// How many tasks a worker runs at the same time.
    pub concurrency: usize,
    /// How many executions are under way at any moment while there are kills.
    pub in_flight: usize,
}

/// How each acknowledged execution ended, by number; `None` if it has not.
pub type Endings = BTreeMap<u32, Option<Ending>>;

/// An output, or words for what there was instead.
pub type Ending = Result<Outcome, String>;

pub async fn run(order: Order, place: &Place, tell: impl Fn(u32)) -> anyhow::Result<Endings> {
    let ledger = Arc::new(Ledger::open(&place.ledger(), 0).context("cannot make the ledger")?);
    let client = Durable::builder().database_url(place.store_url()).build().await.context("cannot make the store")?;
    let mut workers = Workers::start(place, &ledger, order.workers, order.concurrency)?;
    let mut stream = Stream { client: client.clone(), ledger, seed: order.seed, last: 0, under_way: JoinSet::new() };
    let mut endings = Endings::new();
    for index in 0..workers.count() {
        workers.up(index).await?;
    }
    for (index, kill) in (0..).zip(kills(order.seed, order.kills, order.workers)) {
        stream.flow_for(kill.gap, order.in_flight, &mut endings).await?;
        workers.must_live()?;
        workers.kill(kill.worker).await?;
        tell(index + 1);
    }
    let quiet_since = Instant::now();
    while quiet_since.elapsed() < QUIET_LIMIT && !stream.under_way.is_empty() {
        stream.flow_for(WATCH, 0, &mut endings).await?;
        workers.must_live()?;
    }
    stream.under_way.shutdown().await;
    workers.dismiss().await?;
    client.close().await.context("cannot close the store")?;
    Ok(endings)
}

/// Executions, numbered from 1, each watched from its start to its end.
struct Stream {
    client: Durable,
    ledger: Arc<Ledger>,
    seed: u64,
    last: u32,
    under_way: JoinSet<anyhow::Result<(u32, Ending)>>,
}

impl Stream {
    /// Keeps so many executions under way for a while, and takes in those that end.
    async fn flow_for(&mut self, time: Duration, in_flight: usize, endings: &mut Endings) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + time;
        loop {
            while self.under_way.len() < in_flight {
                self.last += 1;
                endings.insert(self.last, None);
                let execution = self.last;
                self.under_way.spawn(watch(self.client.clone(), self.ledger.clone(), execution, self.seed));
            }
            if self.under_way.is_empty() {
                return Ok(());
            }
            match tokio::time::timeout_at(until, self.under_way.join_next()).await {
                Err(_) => return Ok(()),
                Ok(None) => {}
                Ok(Some(ended)) => {
                    let (execution, ending) = ended.context("a watcher of the run stopped")??;
                    endings.insert(execution, Some(ending));
                }
            }
        }
    }
}

/// One execution, from its start to its end, with the event it waits for.
async fn watch(client: Durable, ledger: Arc<Ledger>, execution: u32, seed: u64) -> anyhow::Result<(u32, Ending)> {
    let time = event_time(seed, execution);
    if time == EventTime::Early {
        emit(&client, execution).await?;
    }
    let started = client.spawn_with_options::<Root>(execution, once()).await.context("a start was refused")?;
    ensure!(started.created, "execution {execution} was started before");
    ledger.add(Verb::Start, Subject::root(execution), 0)?;
    if let EventTime::After(delay) = time {
        tokio::time::sleep(delay).await;
        emit(&client, execution).await?;
    }
    let ending = ending(&client, started.task_id).await?;
    ledger.add(Verb::End, Subject::root(execution), 0)?;
    Ok((execution, ending))
}

async fn emit(client: &Durable, execution: u32) -> anyhow::Result<()> {
    let emitted = client.emit_event(&event_name(execution), &event_worth(execution), None).await;
    emitted.context("an event was refused")
}

async fn ending(client: &Durable, task: TaskId) -> anyhow::Result<Ending> {
    let report = client.wait_for(task, None).await.context("an execution cannot be waited for")?;
    Ok(report.output::<Outcome>().map_err(|error| error.to_string()))
}

//! One run: workers, a steady stream of executions, kills, a quiet phase. It decides nothing about right and wrong: it
//! hands the checker what was acknowledged and how each execution ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
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

/// How each execution ended, by number.
pub type Endings = BTreeMap<u32, Ending>;

/// An output, or words for what there was instead.
pub type Ending = Result<Outcome, String>;

/// The root task of each execution whose start was acknowledged.
type Started = Arc<Mutex<BTreeMap<u32, TaskId>>>;

pub async fn run(order: Order, place: &Place, tell: impl Fn(u32)) -> anyhow::Result<Endings> {
    let ledger = Arc::new(Ledger::open(&place.ledger(), 0).context("cannot make the ledger")?);
    let client = Durable::builder().database_url(place.store_url()).build().await.context("cannot make the store")?;
    let mut workers = Workers::start(place, &ledger, order.workers, order.concurrency)?;
    let mut stream = Stream::new(client.clone(), ledger, order.seed);
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
    stream.give_up(&mut endings).await?;
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
    started: Started,
    under_way: JoinSet<anyhow::Result<(u32, Ending)>>,
}

impl Stream {
    fn new(client: Durable, ledger: Arc<Ledger>, seed: u64) -> Self {
        Self { client, ledger, seed, last: 0, started: Started::default(), under_way: JoinSet::new() }
    }

    /// Keeps so many executions under way for a while, and takes in those that end.
    async fn flow_for(&mut self, time: Duration, in_flight: usize, endings: &mut Endings) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + time;
        loop {
            while self.under_way.len() < in_flight {
                self.last += 1;
                let watch = Watch {
                    client: self.client.clone(),
                    ledger: self.ledger.clone(),
                    started: self.started.clone(),
                    execution: self.last,
                };
                self.under_way.spawn(watch.until_its_end(event_time(self.seed, self.last)));
            }
            if self.under_way.is_empty() {
                return Ok(());
            }
            match tokio::time::timeout_at(until, self.under_way.join_next()).await {
                Err(_) => return Ok(()),
                Ok(None) => {}
                Ok(Some(ended)) => {
                    let (execution, ending) = ended.context("a watcher of the run stopped")??;
                    endings.insert(execution, ending);
                }
            }
        }
    }

    /// Stops watching, and notes where those stand that have not ended.
    async fn give_up(&mut self, endings: &mut Endings) -> anyhow::Result<()> {
        self.under_way.shutdown().await;
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let not_ended = started.into_iter().filter(|(execution, _)| !endings.contains_key(execution));
        for (execution, task) in not_ended.collect::<Vec<_>>() {
            let report = self.client.get_task_result(task).await.context("an execution cannot be looked at")?;
            let words = match report {
                None => format!("is not in the store: {task}"),
                Some(report) => {
                    let failure = report.failure.map(|failure| format!(", last failure: {failure}"));
                    format!("has not ended: {task} is {}{}", report.status, failure.unwrap_or_default())
                }
            };
            endings.insert(execution, Err(words));
        }
        Ok(())
    }
}

/// One execution, from its start to its end, with the event it waits for.
struct Watch {
    client: Durable,
    ledger: Arc<Ledger>,
    started: Started,
    execution: u32,
}

impl Watch {
    async fn until_its_end(self, event: EventTime) -> anyhow::Result<(u32, Ending)> {
        if event == EventTime::Early {
            self.emit().await?;
        }
        let started = self.client.spawn_with_options::<Root>(self.execution, once()).await;
        let started = started.context("a start was refused")?;
        ensure!(started.created, "execution {} was started before", self.execution);
        self.ledger.add(Verb::Start, Subject::root(self.execution), 0)?;
        self.started.lock().unwrap_or_else(PoisonError::into_inner).insert(self.execution, started.task_id);
        if let EventTime::After(delay) = event {
            tokio::time::sleep(delay).await;
            self.emit().await?;
        }
        let report = self.client.wait_for(started.task_id, None).await;
        let report = report.context("an execution cannot be waited for")?;
        self.ledger.add(Verb::End, Subject::root(self.execution), 0)?;
        Ok((self.execution, report.output::<Outcome>().map_err(|error| format!("failed: {error}"))))
    }

    async fn emit(&self) -> anyhow::Result<()> {
        let (name, worth) = (event_name(self.execution), event_worth(self.execution));
        self.client.emit_event(&name, &worth, None).await.context("an event was refused")
    }
}

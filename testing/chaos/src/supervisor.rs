//! One run: workers, a steady stream of executions, kills of workers and of the server, a quiet phase. It decides nothing
//! about right and wrong: it hands the checker what was acknowledged and how each execution ended.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use durable::{Durable, TaskId};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::ledger::Ledger;
use crate::line::{Subject, Verb};
use crate::patience::Patience;
use crate::place::Place;
use crate::plan::{EventTime, Outage, event_time, kills, outages};
use crate::process::{Launch, Program, Workers, Workload};
use crate::site::Site;
use crate::workload::{Outcome, Shape};

/// How long no execution may end once the kills are over.
const QUIET_LIMIT: Duration = Duration::from_secs(60);

/// How often, in the quiet phase, somebody looks whether the workers live.
const WATCH: Duration = Duration::from_millis(200);

/// In how many parts the starts that fall between two kills come.
const PARTS: u32 = 10;

/// What to do.
#[derive(Clone, Debug)]
pub struct Order {
    /// What the workers are.
    pub program: Program,
    pub shape: Shape,
    pub kills: u32,
    /// How often the server is killed.
    pub outages: u32,
    pub seed: u64,
    pub workers: usize,
    /// How many tasks a worker runs at the same time.
    pub concurrency: usize,
    /// How many executions are under way at any moment while there are kills.
    pub in_flight: usize,
    /// How many executions there are in all, their starts spread over the kills; else as many as there is time for.
    pub tasks: Option<u32>,
    pub pace: Pace,
}

/// How kills follow each other.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// By how much the gaps of the plan are stretched.
    pub stretch: u32,
    /// How many workers are never killed.
    pub spared: usize,
}

/// How each execution ended, by number.
pub type Endings = BTreeMap<u32, Ending>;

/// An output, or words for what there was instead.
pub type Ending = Result<Outcome, String>;

/// The root task of each execution whose start was acknowledged.
type Started = Arc<Mutex<BTreeMap<u32, TaskId>>>;

pub async fn run(
    order: &Order,
    place: &Place,
    site: &Arc<Site>,
    patience: &Arc<Patience>,
    tell: impl Fn(u32),
) -> anyhow::Result<Endings> {
    let ledger = Arc::new(Ledger::open(&place.ledger(), 0).context("cannot make the ledger")?);
    let client = Durable::builder().database_url(site.url()).build().await.context("cannot make the store")?;
    let launch = Launch {
        url: site.url(),
        concurrency: order.concurrency,
        may_wait: patience.is_some(),
        workload: Workload::Steps,
        program: order.program.clone(),
    };
    let mut workers = Workers::start(place, &ledger, order.workers, launch)?;
    let mut stream = Stream::new(client.clone(), Arc::clone(&ledger), order.clone(), Arc::clone(patience));
    let mut server = ServerKiller { site: Arc::clone(site), ledger, under_way: None };
    let mut endings = Endings::new();
    for index in 0..workers.count() {
        workers.up(index).await?;
    }
    let mut outages = outages(order.seed, order.outages, order.kills).into_iter().peekable();
    for (index, kill) in (0..).zip(kills(order.seed, order.kills, order.workers - order.pace.spared)) {
        while let Some(outage) = outages.next_if(|outage| outage.after_kills <= index) {
            stream.flow_until(server.idle(), &mut endings).await??;
            server.kill(outage, order.pace.stretch);
        }
        for part in 1..=PARTS {
            stream.allow(index * PARTS + part);
            stream.flow_until(sleep(kill.gap * order.pace.stretch / PARTS), &mut endings).await?;
        }
        workers.must_live()?;
        workers.kill(kill.worker).await?;
        tell(index + 1);
    }
    stream.close();
    stream.flow_until(server.idle(), &mut endings).await??;
    let mut quiet = (Instant::now(), endings.len());
    while quiet.0.elapsed() < QUIET_LIMIT && !stream.is_done() {
        stream.flow_until(sleep(WATCH), &mut endings).await?;
        workers.must_live()?;
        if endings.len() > quiet.1 {
            quiet = (Instant::now(), endings.len());
        }
    }
    stream.give_up(&mut endings).await?;
    workers.dismiss().await?;
    client.close().await.context("cannot close the store")?;
    Ok(endings)
}

/// Kills the server beside everything else, one time after the other.
struct ServerKiller {
    site: Arc<Site>,
    ledger: Arc<Ledger>,
    under_way: Option<JoinHandle<anyhow::Result<()>>>,
}

impl ServerKiller {
    /// Begins an outage; the one before must be over.
    fn kill(&mut self, outage: Outage, stretch: u32) {
        let (site, ledger) = (Arc::clone(&self.site), Arc::clone(&self.ledger));
        self.under_way = Some(tokio::task::spawn_blocking(move || {
            std::thread::sleep(outage.gap * stretch);
            ledger.add(Verb::Down, Subject::none(), 0)?;
            site.suffer(outage.downtime)?;
            Ok(ledger.add(Verb::Back, Subject::none(), 0)?)
        }));
    }

    /// When no outage is under way.
    async fn idle(&mut self) -> anyhow::Result<()> {
        match self.under_way.take() {
            Some(outage) => outage.await.context("an outage was not brought to its end")?,
            None => Ok(()),
        }
    }
}

/// Executions, numbered from 1, each watched from its start to its end.
struct Stream {
    client: Durable,
    ledger: Arc<Ledger>,
    patience: Arc<Patience>,
    order: Order,
    last: u32,
    /// How many may be started by now.
    allowed: u32,
    started: Started,
    under_way: JoinSet<anyhow::Result<(u32, Ending)>>,
}

impl Stream {
    fn new(client: Durable, ledger: Arc<Ledger>, order: Order, patience: Arc<Patience>) -> Self {
        let (started, under_way) = (Started::default(), JoinSet::new());
        Self { client, ledger, patience, order, last: 0, allowed: 0, started, under_way }
    }

    /// Lets those start that are due by this part of the kills, counted from 1.
    fn allow(&mut self, part: u32) {
        self.allowed = self.order.tasks.map_or(u32::MAX, |tasks| {
            // Below the number of tasks, so it fits.
            u32::try_from(u64::from(tasks) * u64::from(part) / u64::from(self.order.kills * PARTS)).unwrap_or(tasks)
        });
    }

    /// Whether there is nothing left to start or to wait for. Asked after the last kill.
    fn is_done(&self) -> bool {
        self.under_way.is_empty() && self.order.tasks.is_none_or(|tasks| self.last >= tasks)
    }

    fn fill(&mut self, in_flight: usize) {
        while self.under_way.len() < in_flight && self.last < self.allowed {
            self.last += 1;
            let watch = Watch {
                client: self.client.clone(),
                ledger: Arc::clone(&self.ledger),
                patience: Arc::clone(&self.patience),
                started: Arc::clone(&self.started),
                shape: self.order.shape,
                execution: self.last,
            };
            self.under_way.spawn(watch.until_its_end(event_time(self.order.seed, self.last)));
        }
    }

    /// Keeps executions under way until something else has come to its end, and takes in those that end.
    async fn flow_until<T>(&mut self, end: impl Future<Output = T>, endings: &mut Endings) -> anyhow::Result<T> {
        let mut end = std::pin::pin!(end);
        loop {
            self.fill(self.order.in_flight);
            tokio::select! {
                biased;
                reached = &mut end => return Ok(reached),
                Some(ended) = self.under_way.join_next() => {
                    let (execution, ending) = ended.context("a watcher of the run stopped")??;
                    endings.insert(execution, ending);
                }
            }
        }
    }

    /// Starts no more than there are.
    fn close(&mut self) {
        self.allowed = self.order.tasks.unwrap_or(self.last);
    }

    /// Stops watching, and notes where those stand that have not ended.
    async fn give_up(&mut self, endings: &mut Endings) -> anyhow::Result<()> {
        self.under_way.shutdown().await;
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let not_ended = started.into_iter().filter(|(execution, _)| !endings.contains_key(execution));
        for (execution, task) in not_ended.collect::<Vec<_>>() {
            let report = self
                .patience
                .with(|| self.client.get_task_result(task))
                .await
                .context("an execution cannot be looked at")?;
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
    patience: Arc<Patience>,
    started: Started,
    shape: Shape,
    execution: u32,
}

impl Watch {
    async fn until_its_end(self, event: EventTime) -> anyhow::Result<(u32, Ending)> {
        if event == EventTime::Early {
            self.emit().await?;
        }
        let started = self.patience.with(|| self.shape.start(&self.client, self.execution)).await;
        let started = started.context("a start was refused")?;
        // A start whose answer was lost finds, when it is repeated, what it had started.
        let may_be_there = self.patience.is_some();
        ensure!(started.created || may_be_there, "execution {} was started before", self.execution);
        self.ledger.add(Verb::Start, Subject::root(self.execution), 0)?;
        self.started.lock().unwrap_or_else(PoisonError::into_inner).insert(self.execution, started.task_id);
        if let EventTime::After(delay) = event
            && self.shape.event(self.execution).is_some()
        {
            sleep(delay).await;
            self.emit().await?;
        }
        let report = self.patience.with(|| self.client.wait_for(started.task_id, None)).await;
        let report = report.context("an execution cannot be waited for")?;
        self.ledger.add(Verb::End, Subject::root(self.execution), 0)?;
        Ok((self.execution, report.output::<Outcome>().map_err(|error| format!("failed: {error}"))))
    }

    async fn emit(&self) -> anyhow::Result<()> {
        let Some((name, worth)) = self.shape.event(self.execution) else { return Ok(()) };
        self.client.emit_event(&name, &worth, None).await.context("an event was refused")
    }
}

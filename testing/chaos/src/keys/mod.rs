//! The run of one result for a key: many callers of the same keys, as roots and through children, over worker processes
//! that are killed. Judged from the ledger: one committed result for each key, and all callers equal. A body may run
//! again after a kill; one result counts.

mod judge;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fastrand::Rng;
use stent_engine::{Engine, TokioRuntime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::ledger::{Ledger, read};
use crate::line::{Subject, Verb};
use crate::place::Place;
use crate::plan::kills;
use crate::process::{Launch, Program, Workers, Workload};
use crate::site::Site;
pub use work::{open, serve};

/// How long no call may end once the kills are over.
const QUIET_LIMIT: Duration = Duration::from_secs(60);

/// How often somebody looks whether the workers live.
const WATCH: Duration = Duration::from_millis(200);

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub kills: u32,
    pub seed: u64,
    pub workers: usize,
    pub concurrency: usize,
    /// How many call at the same time; each calls every key once.
    pub callers: u32,
    pub keys: u32,
    /// By how much the gaps between the kills are stretched.
    pub stretch: u32,
}

/// What a run is found to be, in words for whoever watches, and whether nothing is wrong.
pub struct Verdict {
    pub words: String,
    pub is_clean: bool,
}

/// One run, and what the ledger says of it.
pub async fn run(order: Order, place: &Place, site: &Site, tell: impl Fn(u32)) -> anyhow::Result<Verdict> {
    let began = Instant::now();
    let ledger = Arc::new(Ledger::open(&place.ledger(), 0).context("cannot make the ledger")?);
    let store = work::open(&site.url()).await?;
    let engine = Engine::new(store, Arc::new(TokioRuntime::current().context("no runtime")?));
    let launch = Launch {
        url: site.url(),
        concurrency: order.concurrency,
        may_wait: false,
        workload: Workload::Idempotent,
        program: Program::Own,
    };
    let mut workers = Workers::start(place, &ledger, order.workers, launch)?;
    for index in 0..workers.count() {
        workers.up(index).await?;
    }
    let (allow, allowed) = watch::channel(0);
    let done = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for number in 0..order.callers {
        let (engine, ledger) = (engine.clone(), Arc::clone(&ledger));
        let caller = Caller { engine, ledger, number, allowed: allowed.clone(), done: Arc::clone(&done) };
        callers.spawn(caller.call_all(order));
    }
    for (index, kill) in (1..).zip(kills(order.seed, order.kills, order.workers)) {
        // As much work as kills: each falls into the middle of some.
        allow.send_replace(order.keys.saturating_mul(index) / order.kills);
        sleep(kill.gap * order.stretch).await;
        workers.must_live()?;
        workers.kill(kill.worker).await?;
        tell(index);
    }
    allow.send_replace(order.keys);
    let mut quiet = (Instant::now(), 0);
    while done.load(Ordering::Relaxed) < order.calls() {
        ensure!(quiet.0.elapsed() < QUIET_LIMIT, "no call has ended for {QUIET_LIMIT:?}");
        sleep(WATCH).await;
        workers.must_live()?;
        let now = done.load(Ordering::Relaxed);
        if now > quiet.1 {
            quiet = (Instant::now(), now);
        }
    }
    while let Some(ended) = callers.join_next().await {
        ended.context("a caller stopped")??;
    }
    workers.dismiss().await?;
    engine.close().await.context("cannot close the store")?;
    let lines = read(&place.ledger()).context("cannot read the ledger")?;
    Ok(judge::judge(order, &lines, &site.integrity()?, began.elapsed()))
}

impl Order {
    const fn calls(&self) -> usize {
        self.callers as usize * self.keys as usize
    }
}

/// One who calls every key once.
struct Caller {
    engine: Engine,
    ledger: Arc<Ledger>,
    number: u32,
    /// How many keys may have been called by now.
    allowed: watch::Receiver<u32>,
    done: Arc<AtomicUsize>,
}

impl Caller {
    async fn call_all(mut self, order: Order) -> anyhow::Result<()> {
        let mut keys: Vec<u32> = (1..=order.keys).collect();
        // Half of them come to each key at the same time, the others in orders of their own.
        if self.number % 2 == 1 {
            Rng::with_seed(order.seed ^ u64::from(self.number)).shuffle(&mut keys);
        }
        for (place, key) in (0..).zip(keys) {
            self.allowed.wait_for(|allowed| place < *allowed).await.context("the run was given up")?;
            let value = work::call(&self.engine, key, self.number % 4 >= 2).await?;
            self.ledger.add(Verb::Ack, Subject::root(key), value)?;
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

//! The run of schedules: three that tick every second, one for each policy of missed ticks, over worker processes that are
//! killed around the ticks, one at a time or all of them for a while. Judged from the ledger and from what the store says of
//! its executions: each tick is one execution at most, and none is lost but those that its policy lets go.

mod judge;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use durable::{Durable, MissedTicks};
use fastrand::Rng;
use rustix::time::{ClockId, clock_gettime};
use stent_core::view::{ExecutionFilter, ExecutionView};
use tokio::time::sleep;

use crate::keys::Verdict;
use crate::ledger::{Ledger, read};
use crate::place::Place;
use crate::process::{Launch, Program, Workers, Workload};
use crate::site::Site;
use judge::{Facts, Started, Told};
pub use work::Tick;

/// The schedules, each named like its policy.
const SCHEDULES: [MissedTicks; 3] = MissedTicks::ALL;

/// How far from a tick a kill comes at most.
const AROUND_MS: u64 = 60;

/// One kill in so many takes all workers, and leaves nobody there for a while.
const ALL_ONE_IN: u32 = 6;
const AWAY_MS: std::ops::RangeInclusive<u64> = 1_500..=7_000;

/// How long executions may take to end once the schedules rest.
const QUIET_LIMIT: Duration = Duration::from_secs(60);

/// How often somebody looks whether they have.
const WATCH: Duration = Duration::from_millis(100);

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub kills: u32,
    pub seed: u64,
    pub workers: usize,
    pub concurrency: usize,
}

/// Microseconds of the wall clock, which is what schedules go by.
fn wall_us() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

/// Until shortly before or after a second begins: one that has at least a body's time to go.
async fn rest_until_around_a_tick(rng: &mut Rng) {
    let now = wall_us();
    let tick = (now + 300_000).div_euclid(1_000_000) + 1;
    let offset_ms = i64::try_from(rng.u64(0..=2 * AROUND_MS)).unwrap_or(0) - i64::try_from(AROUND_MS).unwrap_or(0);
    let rest_us = tick * 1_000_000 + offset_ms * 1_000 - now;
    sleep(Duration::from_micros(rest_us.unsigned_abs())).await;
}

/// One run, and what there is to say of it.
pub async fn run(order: Order, place: &Place, site: &Site, tell: impl Fn(u32)) -> anyhow::Result<Verdict> {
    let began = Instant::now();
    let ledger = Arc::new(Ledger::open(&place.ledger(), 0).context("cannot make the ledger")?);
    let store = crate::keys::open(&site.url()).await?;
    let client = Durable::builder().store(Arc::clone(&store)).build().await.context("cannot use the store")?;
    let launch = Launch {
        program: Program::Own,
        url: site.url(),
        concurrency: order.concurrency,
        may_wait: false,
        workload: Workload::Steps,
    };
    let mut workers = Workers::start(place, &ledger, order.workers, launch)?;
    for index in 0..workers.count() {
        workers.up(index).await?;
    }
    let mut told = Vec::new();
    for missed in SCHEDULES {
        let name = missed.as_str();
        let set = client.schedule_task::<Tick>(name, "* * * * * *", name.to_owned()).missed(missed);
        set.await.context("a schedule was refused")?;
        let first = client.get_schedule(name).await?.and_then(|schedule| schedule.next_tick);
        told.push(Told { missed, first: first.context("a schedule has no tick")?, last: None });
    }
    let (mut rng, mut alone) = (Rng::with_seed(order.seed), Vec::new());
    for kill in 1..=order.kills {
        rest_until_around_a_tick(&mut rng).await;
        workers.must_live()?;
        if rng.u32(0..ALL_ONE_IN) == 0 {
            let from = wall_us();
            workers.kill_all(Duration::from_millis(rng.u64(AWAY_MS))).await?;
            alone.push((from, wall_us()));
        } else {
            workers.kill(rng.usize(0..order.workers)).await?;
        }
        tell(kill);
    }
    // What is due by now is owed too.
    sleep(Duration::from_secs(2)).await;
    for told in &mut told {
        let name = told.missed.as_str();
        client.pause_schedule(name).await.context("a schedule cannot be paused")?;
        told.last = client.get_schedule(name).await?.and_then(|schedule| schedule.last_tick);
    }
    let executions = all_ended(&*store).await?;
    workers.dismiss().await?;
    client.close().await.context("cannot close the store")?;
    let lines = read(&place.ledger()).context("cannot read the ledger")?;
    let facts = Facts { told, alone, executions, lines, integrity: site.integrity()?, time: began.elapsed() };
    Ok(judge::judge(order.kills, &facts))
}

/// What the schedules have started, once all of it has ended, or nothing more does.
async fn all_ended(store: &dyn stent_core::Store) -> anyhow::Result<Vec<Started>> {
    let since = Instant::now();
    loop {
        let all = store.executions(ExecutionFilter { limit: u32::MAX, ..ExecutionFilter::default() }).await;
        let all = all.context("the executions cannot be listed")?;
        if all.iter().all(|view| view.state.is_terminal()) || since.elapsed() > QUIET_LIMIT {
            ensure!(!all.is_empty(), "no tick has started anything");
            return Ok(all.iter().map(started).collect());
        }
        sleep(WATCH).await;
    }
}

fn started(view: &ExecutionView) -> Started {
    Started { number: work::number(view.id.root()), created_at: view.created_at, state: view.state }
}

//! A worker's part in schedules: it rests until the next tick is due, and then asks the store to start it. All workers of
//! a store do so, whatever they serve; the store lets one of them be first. Who dies before that has changed nothing.
//!
//! Nothing is asked while nothing is due, but now and then, should news of a change have been lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stent_core::command::{ScheduleChange, Start, Tick};
use stent_core::{Command, Done, ExecutionId, Name, ScheduleView, Timestamp};
use tokio::sync::Notify;

use super::WorkerCore;
use crate::error::EngineError;
use crate::runtime::within;
use crate::schedule::Calendar;
use crate::schedule::due::plan;
use crate::schedule::operations::marked;

/// How long what was read of the schedules is believed without any news of them.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The longest time until the store's clock is looked at again: one that is set forward must not freeze a schedule.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// How often at most the schedules are read because others have changed something, which mostly was something else.
const NEWS_REST: Duration = Duration::from_millis(250);

/// How long a worker rests before it looks again at what it could not tick.
const FAILED_REST: Duration = Duration::from_secs(1);

/// How long it rests when somebody else was first, or the store's clock is not there yet after all.
const LATE_REST: Duration = Duration::from_millis(1);

/// How many schedules that are due at the same time are read at once.
const AT_ONCE: u32 = 100;

/// What a worker knows of news.
#[derive(Default)]
pub(crate) struct News {
    came: AtomicBool,
    told: Notify,
    /// A tick is under way, or about to be looked for.
    busy: AtomicBool,
}

impl News {
    /// Others may have changed schedules.
    pub(crate) fn come(&self) {
        if !self.came.swap(true, Ordering::AcqRel) {
            self.told.notify_one();
        }
    }

    /// Whether nothing is read or ticked at the moment, nor about to be.
    pub(crate) fn is_idle(&self) -> bool {
        !self.busy.load(Ordering::Acquire)
    }
}

/// How a look at the schedules ended.
struct Looked {
    /// When the next tick is due.
    due: Option<Timestamp>,
    /// When to look again whatever is due.
    again: Duration,
}

pub(super) async fn run(worker: Arc<WorkerCore>) {
    let mut unreadable = HashSet::new();
    while !worker.is_stopped() && !worker.is_draining() {
        worker.schedules.busy.store(true, Ordering::Release);
        // Whatever changes from here on is seen by this look, or asked for again.
        worker.schedules.came.store(false, Ordering::Release);
        let looked = look(&worker, &mut unreadable).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the schedules could not be read");
            Looked { due: None, again: FAILED_REST }
        });
        worker.schedules.busy.store(false, Ordering::Release);
        rest(&worker, &looked).await;
    }
}

/// Rests until a tick is due, there is news, or it is time to look again.
async fn rest(worker: &Arc<WorkerCore>, looked: &Looked) {
    let (runtime, began) = (&worker.engine.core().runtime, worker.now());
    while !worker.is_stopped() && !worker.is_draining() {
        let rested = worker.now().saturating_sub(began);
        let came = worker.schedules.came.load(Ordering::Acquire);
        let now = worker.engine.store().now();
        if rested >= looked.again || looked.due.is_some_and(|due| due <= now) || (came && rested >= NEWS_REST) {
            return;
        }
        let until_due = looked.due.map_or(Duration::MAX, |due| due.since(now));
        let until_news = if came { NEWS_REST - rested } else { Duration::MAX };
        let longest = (looked.again - rested).min(LONGEST_REST).min(until_due).min(until_news);
        if came {
            runtime.sleep(longest).await;
        } else {
            within(&**runtime, longest, worker.schedules.told.notified()).await;
        }
    }
}

/// Ticks what is due, and says when to come back.
async fn look(worker: &Arc<WorkerCore>, unreadable: &mut HashSet<(Name, u64)>) -> Result<Looked, EngineError> {
    let store = worker.engine.store();
    let first = store.next_schedules(1).await?;
    let Some(due) = first.first().and_then(|view| view.due) else {
        return Ok(Looked { due: None, again: LOOK_AGAIN });
    };
    if due > store.now() {
        return Ok(Looked { due: Some(due), again: LOOK_AGAIN });
    }
    let views = store.next_schedules(AT_ONCE).await?;
    let now = store.now();
    let mut again = Duration::ZERO;
    let mut asked = Vec::new();
    for view in &views {
        let Some(due) = view.due.filter(|due| *due <= now) else { break };
        match Calendar::new(&view.schedule.cron, &view.schedule.zone) {
            Ok(calendar) => asked.push(tick(worker, view, &calendar, due, now)),
            Err(error) => {
                again = FAILED_REST;
                if unreadable.insert((view.schedule.name.clone(), view.revision)) {
                    tracing::error!(schedule = %view.schedule.name, %error, "a schedule cannot be followed");
                }
            }
        }
    }
    for outcome in asked {
        match outcome.await? {
            Ok(Done::Changed(true)) => {}
            Ok(_) => again = again.max(LATE_REST),
            Err(refusal) => {
                tracing::warn!(%refusal, "a tick was refused");
                again = FAILED_REST;
            }
        }
    }
    // Those that cannot be followed stay due, and keep nobody else waiting.
    let due = views.iter().filter_map(|view| view.due).find(|due| *due > now);
    Ok(Looked { due, again })
}

/// Asks for what a due schedule comes to.
fn tick(
    worker: &Arc<WorkerCore>,
    view: &ScheduleView,
    calendar: &Calendar,
    due: Timestamp,
    now: Timestamp,
) -> impl Future<Output = Result<stent_core::Outcome, EngineError>> + Send + use<> {
    let core = worker.engine.core();
    let plan = plan(calendar, view.schedule.missed, due, now);
    let start = |tick: &Timestamp| Start {
        id: worker.engine.new_execution_id(),
        spec: marked(&view.schedule, Some(*tick)),
        key: None,
        due: None,
        deadline: view.schedule.deadline,
        claim_for: None,
    };
    let starts: Vec<_> = plan.ticks.iter().map(start).collect();
    let first: Option<ExecutionId> = starts.first().map(|start| start.id);
    let tick = Tick {
        name: view.schedule.name.clone(),
        revision: view.revision,
        due,
        starts,
        last_tick: plan.ticks.last().copied().unwrap_or(due),
        next: plan.next,
    };
    core.committer.insist(first, Command::Schedule(ScheduleChange::Tick(Box::new(tick))))
}

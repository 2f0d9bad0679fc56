//! Who lets the time of a test pass: it jumps to whatever is due next, by the store's own words, with the engine's
//! upkeep run where nothing is. Code that waits for something outside (a socket, a thread) lets it pass at its
//! ordinary pace.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use stent_core::store::Store;
use stent_core::view::{ExecutionFilter, TaskView};
use stent_core::{StoreError, TaskState, Timestamp};

use crate::time::{PACE, PARK_FOR, Stand, Time};

/// How many times the engine's upkeep runs with nothing due before that counts as the end.
const LAST_LOOKS: u32 = 64;

/// How many paces something outside may take to come, once nothing is left to happen.
const LAST_PACES: u32 = 50;

/// How many tasks a stall names.
const NAMED_TASKS: usize = 10;

/// Lets the time pass until it is aborted.
pub(crate) async fn keep(time: Arc<Time>, store: Arc<dyn Store>) {
    let mut upkeep = Upkeep::default();
    loop {
        let mut changed = pin!(time.changed());
        changed.as_mut().enable();
        match time.stand() {
            Stand::Still => changed.await,
            Stand::Outside(events) => {
                tokio::time::sleep(PACE).await;
                if time.events() == events {
                    time.jump(time.elapsed() + PACE);
                }
            }
            Stand::Quiet => match next(&time, &*store, &mut upkeep).await {
                Some(at) => time.jump(at),
                None => stall(&time, &*store).await,
            },
        }
        // Whoever was woken goes first.
        tokio::task::yield_now().await;
    }
}

/// How often the engine's upkeep ran with nothing coming of it.
#[derive(Default)]
struct Upkeep {
    looks: u32,
    seen: u64,
}

impl Upkeep {
    /// Whether it may still find something; counts the look.
    fn may_look(&mut self, seen: u64) -> bool {
        if std::mem::replace(&mut self.seen, seen) != seen {
            self.looks = 0;
        }
        self.looks += 1;
        self.looks <= LAST_LOOKS
    }
}

/// Where time goes next, if it goes anywhere.
async fn next(time: &Time, store: &dyn Store, upkeep: &mut Upkeep) -> Option<Duration> {
    let (elapsed, clock) = (time.elapsed(), time.clock());
    let (asked, look) = time.next_sleepers();
    let picture = Picture::of(store).await.ok()?;
    let is_overdue = picture.dues.iter().any(|due| *due <= clock);
    let is_soon = look.is_some_and(|look| look <= elapsed + PARK_FOR);
    let stored = picture.dues.into_iter().filter(|due| *due > clock).min();
    let due = asked.into_iter().chain(stored.map(|due| elapsed + due.since(clock))).min();
    match (due, look) {
        // What waits is put aside, and what is overdue is seen to, before time goes on.
        (Some(due), Some(look)) if (is_overdue || is_soon) && upkeep.may_look(picture.seen) => Some(look.min(due)),
        (None, Some(look)) => upkeep.may_look(picture.seen).then_some(look),
        (due, _) => due,
    }
}

/// What the store's tasks wait for.
struct Picture {
    dues: Vec<Timestamp>,
    /// Another one whenever a task was started, claimed, put aside or ended.
    seen: u64,
}

impl Picture {
    async fn of(store: &dyn Store) -> Result<Self, StoreError> {
        let (mut dues, mut seen) = (Vec::new(), DefaultHasher::new());
        let filter = ExecutionFilter { limit: u32::MAX, ..ExecutionFilter::default() };
        for execution in store.executions(filter).await? {
            (execution.id, execution.state).hash(&mut seen);
            if execution.state.is_terminal() {
                continue;
            }
            dues.extend(execution.deadline);
            for task in store.tasks(execution.id).await? {
                (task.task, task.state, task.epoch, task.run, task.due).hash(&mut seen);
                match task.state {
                    TaskState::Pending | TaskState::Suspended => dues.extend(task.due),
                    TaskState::Running => {
                        let open = store.history(task.task, 0).await?.open;
                        dues.extend(open.into_iter().filter_map(|call| call.due));
                    }
                    _ => {}
                }
            }
        }
        for schedule in store.next_schedules(1).await? {
            schedule.due.hash(&mut seen);
            dues.extend(schedule.due);
        }
        Ok(Self { dues, seen: seen.finish() })
    }
}

/// Nothing is left to happen here. Something may come from outside for a while; then all waits end.
async fn stall(time: &Time, store: &dyn Store) {
    let events = time.events();
    for _ in 0..LAST_PACES {
        tokio::time::sleep(PACE).await;
        if time.events() != events {
            return;
        }
    }
    let stuck = waiting(store).await.unwrap_or_else(|error| error.to_string());
    let mut changed = pin!(time.changed());
    changed.as_mut().enable();
    time.stall(stuck);
    changed.await;
}

/// The tasks that have not ended, and what each waits for.
async fn waiting(store: &dyn Store) -> Result<String, StoreError> {
    let mut found = Vec::new();
    let filter = ExecutionFilter { limit: u32::MAX, ..ExecutionFilter::default() };
    for execution in store.executions(filter).await? {
        for task in store.tasks(execution.id).await? {
            if !task.state.is_terminal() {
                found.push(what_for(store, task).await?);
            }
        }
    }
    let more = found.len().saturating_sub(NAMED_TASKS);
    found.truncate(NAMED_TASKS);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    Ok(if found.is_empty() { "every task has ended".to_owned() } else { found.join("; ") })
}

async fn what_for(store: &dyn Store, task: TaskView) -> Result<String, StoreError> {
    let open = store.history(task.task, 0).await?.open;
    let calls: Vec<String> = open.iter().map(|call| format!("{} \"{}\"", call.kind.as_str(), call.key)).collect();
    let what = if calls.is_empty() { "a worker that runs it".to_owned() } else { calls.join(" and ") };
    Ok(format!("\"{}\" ({}, {}) waits for {what}", task.function, task.task.task, task.state))
}

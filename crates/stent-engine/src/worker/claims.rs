//! Asking for work: as much as there are free slots, again at once while a backlog remains, else when something
//! became ready, when the next delayed task is due, or when the poll interval is over. Whoever ends a task of a limited
//! function asks in the same commit, so that the slot which it lets go changes hands without a gap and nobody else needs
//! to be woken for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use stent_core::command::Claim;
use stent_core::limits::CLAIM_TASKS;
use stent_core::{ClaimedTask, Command, Done, ExecutionId, Outcome, Refusal, Serve, Timestamp};

use super::{Slot, WorkerCore};
use crate::client::WaitPace;
use crate::committer::Reply;
use crate::runtime::within;

/// The longest time until a due task is looked at again: a clock that is set forward must not freeze a timer.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Lets others see at once that this worker is gone when its runtime drops this loop.
struct Presence(Option<Arc<WorkerCore>>);

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(worker) = self.0.take() {
            worker.stop();
        }
    }
}

pub(super) async fn run(worker: Arc<WorkerCore>) {
    let mut presence = Presence(Some(Arc::clone(&worker)));
    let mut pause = worker.config.poll_interval;
    loop {
        if worker.is_stopped() || worker.is_draining() {
            break;
        }
        let most = usize::try_from(worker.config.batch.clamp(1, CLAIM_TASKS)).unwrap_or(1);
        worker.claiming.store(true, Ordering::Release);
        let slots = worker.slots.take_up_to(most);
        if slots.is_empty() {
            worker.claiming.store(false, Ordering::Release);
            either(worker.slots.freed(), worker.asked.notified()).await;
            continue;
        }
        let asked = slots.len();
        // Whatever becomes ready from here on is seen by this claim or asked for again.
        worker.all_claimed.store(true, Ordering::Release);
        let (tasks, next_due) = claim(&worker, asked).await;
        let backlog = tasks.len() == asked;
        if backlog {
            worker.all_claimed.store(false, Ordering::Release);
        }
        if !tasks.is_empty() {
            pause = worker.config.poll_interval;
        }
        begin(&worker, tasks, slots);
        worker.claiming.store(false, Ordering::Release);
        if !backlog {
            pause = rest(&worker, next_due, pause).await;
        }
    }
    if worker.is_draining() {
        // The drain ends the session itself.
        presence.0 = None;
    }
}

fn begin(worker: &Arc<WorkerCore>, tasks: Vec<ClaimedTask>, slots: Vec<Slot>) {
    let mut slots = slots.into_iter();
    for task in tasks {
        if let Some(slot) = slots.next() {
            worker.launch(task, slot);
        }
    }
}

async fn claim(worker: &Arc<WorkerCore>, most: usize) -> (Vec<ClaimedTask>, Option<Timestamp>) {
    let serve = current_serve(worker).await;
    if serve.functions.is_empty() {
        return (Vec::new(), None);
    }
    let session = worker.session();
    let claim = Claim { session, serve, max: u32::try_from(most).unwrap_or(u32::MAX) };
    match worker.engine.core().committer.insist(None, Command::Claim(claim)).await {
        Ok(Ok(Done::Claimed { tasks, next_due, limited })) => {
            worker.set_limited(limited);
            (tasks, next_due)
        }
        Ok(Err(Refusal::SessionGone)) => {
            worker.session_is_gone(session).await;
            (Vec::new(), None)
        }
        Ok(Err(refusal)) => {
            tracing::error!(%refusal, "a claim was refused");
            (Vec::new(), None)
        }
        Ok(Ok(_)) | Err(_) => (Vec::new(), None),
    }
}

/// Asks for work behind the end of a task of a limited function, which was queued just now: in its commit, or in the one
/// after.
pub(super) fn ask_behind(worker: &Arc<WorkerCore>, execution: ExecutionId) {
    if worker.is_stopped() || worker.is_draining() {
        return;
    }
    let most = usize::try_from(worker.config.batch.clamp(1, CLAIM_TASKS)).unwrap_or(1);
    let slots = worker.slots.take_up_to(most);
    if slots.is_empty() {
        // They are all in the hands of a claim that may be too early.
        return worker.asked.notify_one();
    }
    let max = u32::try_from(slots.len()).unwrap_or(u32::MAX);
    let claim = Command::Claim(Claim { session: worker.session(), serve: worker.serve(), max });
    worker.engine.core().committer.queue(Some(execution), claim, Reply::Claimed(Arc::clone(worker), slots));
}

/// What came of such a claim.
pub(crate) fn answered(worker: &Arc<WorkerCore>, slots: Vec<Slot>, outcome: Outcome) {
    match outcome {
        Ok(Done::Claimed { tasks, limited, .. }) => {
            worker.set_limited(limited);
            let backlog = tasks.len() == slots.len();
            begin(worker, tasks, slots);
            if backlog {
                worker.work_may_be_there();
            }
        }
        // The other claims learn of it too, and act.
        Err(refusal) => tracing::debug!(%refusal, "a claim was refused"),
        Ok(_) => {}
    }
}

/// What the worker serves, published anew when its host has learned more. What is not published is not claimed: nobody
/// would know its limit.
async fn current_serve(worker: &Arc<WorkerCore>) -> Arc<Serve> {
    let serve = worker.serve();
    if worker.host.functions_known() == serve.functions.len() {
        return serve;
    }
    let functions = worker.host.functions();
    let names = functions.iter().map(|function| function.name.clone()).collect();
    let fresh = Arc::new(Serve { functions: names, ..(*serve).clone() });
    let mut limited: Vec<_> = functions.iter().filter(|function| function.max_concurrent.is_some()).collect();
    limited.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let limited = limited.into_iter().map(|function| function.name.clone()).collect();
    let session = worker.session();
    match worker.engine.core().committer.insist(None, Command::Publish(session, functions)).await {
        Ok(Ok(_)) => {}
        Ok(Err(Refusal::SessionGone)) => {
            worker.session_is_gone(session).await;
            return serve;
        }
        refused => {
            tracing::debug!(?refused, "the functions were not published");
            return serve;
        }
    }
    worker.set_limited(limited);
    *worker.serve.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::clone(&fresh);
    fresh
}

/// Rests until somebody says that there may be work, the next delayed task is due, or the pause is over. Tells the pause
/// after the next look: nothing came, so it is longer.
async fn rest(worker: &Arc<WorkerCore>, next_due: Option<Timestamp>, pause: Duration) -> Duration {
    let (now, shortest) = (worker.engine.store().now(), worker.config.poll_interval);
    let until_due = next_due.map(|due| due.since(now).clamp(Duration::from_micros(200), LONGEST_REST.max(shortest)));
    let limit = until_due.map_or(pause, |due| due.min(pause));
    match within(&*worker.engine.core().runtime, limit, worker.asked.notified()).await {
        Some(()) => shortest,
        None if limit < pause => pause,
        None => {
            let most = worker.config.poll_interval_max.max(shortest);
            WaitPace { least: shortest, most, factor: worker.config.poll_backoff_factor }.after(pause)
        }
    }
}

/// Resolves with the first of two.
async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    std::future::poll_fn(|cx| {
        if one.as_mut().poll(cx).is_ready() || other.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

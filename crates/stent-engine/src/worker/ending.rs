//! What an attempt came to: a result, a failure that is tried again or not, or nothing, because the task was stopped
//! or put aside. The end is queued and nobody waits for it; a store that fails keeps it queued.

use std::sync::Arc;
use std::time::Duration;

use stent_core::command::{Ending as Ends, Finish, Release};
use stent_core::limits::HISTORY_RECORDS;
use stent_core::{ClaimedTask, Command, Failure, FailureKind, Payload};

use super::{Ending, WorkerCore, claims};
use crate::activation::Activation;
use crate::committer::Reply;
use crate::error::Interrupt;
use crate::host::AttemptError;

/// How driving a task ended.
pub(super) enum End {
    /// The code returned.
    Returned(Result<Payload, AttemptError>),
    /// The code panicked.
    Panicked(String),
    /// The code was stopped.
    Interrupted(Interrupt),
    /// The code goes another way than its history.
    Strayed(String),
    /// The code only waits, and is to end before the task is suspended.
    Aside,
    /// It has ended for that; what the store said of the suspension. Nothing: something had come for the task.
    PutAside(Option<Interrupt>),
}

pub(super) fn settle(worker: &Arc<WorkerCore>, activation: &Arc<Activation>, end: End) {
    let (interrupt, mismatch, unfinished, full) = {
        let mut state = activation.state();
        // A hung attempt is ended by the sweep; should its code ever return, that is nothing any more.
        if std::mem::replace(&mut state.settled, true) {
            return;
        }
        (state.interrupt, state.mismatch.clone(), state.unfinished_past(), state.full)
    };
    // Whatever follows ends the attempt: the claim joins the line behind it.
    let _asks = AsksBehind(worker, &activation.task);
    if full {
        let words =
            format!("the task has {HISTORY_RECORDS} records: go on in a child or in a new execution now and then");
        let failure = Failure { permanent: true, ..Failure::new(FailureKind::Error, words) };
        finish(worker, activation, Ends::Failed(failure));
        return worker.remove(activation);
    }
    let end = match (interrupt, end) {
        (_, End::Strayed(why)) => End::Strayed(why),
        (_, End::PutAside(Some(interrupt))) => End::Interrupted(interrupt),
        (_, End::PutAside(None)) => End::PutAside(None),
        // Whatever the code said after an interrupt is not recorded.
        (Some(Interrupt::Mismatch), _) => End::Strayed(mismatch.unwrap_or_default()),
        (Some(interrupt), _) => End::Interrupted(interrupt),
        (None, End::Returned(_) | End::Panicked(_)) if unfinished.is_some() => {
            End::Strayed(unfinished.unwrap_or_default())
        }
        (None, end) => end,
    };
    match end {
        End::Returned(Ok(result)) => finish(worker, activation, Ends::Completed(result)),
        End::Returned(Err(AttemptError::Failed(failure))) => failed(worker, activation, failure),
        End::Returned(Err(AttemptError::Interrupted(interrupt))) => {
            let words = format!("the code returned \"{interrupt}\", which the engine did not say");
            failed(worker, activation, Failure::new(FailureKind::Error, words));
        }
        End::Panicked(words) => failed(worker, activation, Failure::new(FailureKind::Panic, words)),
        End::Interrupted(Interrupt::TimedOut) => {
            let words = "the attempt gave no sign of life for longer than its timeout";
            failed(worker, activation, Failure::new(FailureKind::Timeout, words));
        }
        End::Interrupted(Interrupt::Cancelled) => {
            let heed = Command::Heed(activation.task.lease);
            let committer = &worker.engine.core().committer;
            committer.queue(Some(activation.task.lease.task.execution), heed, Reply::Nobody);
        }
        End::Interrupted(Interrupt::Closed) if worker.is_draining() && !worker.is_stopped() => {
            release(worker, &activation.task, Duration::ZERO, None);
        }
        End::Interrupted(Interrupt::Mismatch) => stray(worker, activation, "the code does not fit"),
        // Whoever has a free slot goes on with it at once, this worker too.
        End::PutAside(None) => release(worker, &activation.task, Duration::ZERO, None),
        End::Interrupted(_) | End::Aside | End::PutAside(Some(_)) => {}
        End::Strayed(why) => stray(worker, activation, &why),
    }
    // A branch that runs on learns that its task has ended; it runs no body any more.
    activation.interrupt(Interrupt::Closed);
    worker.remove(activation);
}

/// Asks for work when it is dropped, where the task whose end was queued meanwhile may have held a slot of a limit.
struct AsksBehind<'a>(&'a Arc<WorkerCore>, &'a ClaimedTask);

impl Drop for AsksBehind<'_> {
    fn drop(&mut self) {
        let Self(worker, task) = self;
        if worker.is_limited(&task.spec.function) {
            claims::ask_behind(worker, task.lease.task.execution);
        }
    }
}

fn stray(worker: &Arc<WorkerCore>, activation: &Arc<Activation>, why: &str) {
    let task = &activation.task;
    let words = format!("NonDeterministic: {why}");
    tracing::error!(task = %task.lease.task, function = %task.spec.function, "{words}");
    release(worker, task, worker.config.mismatch_delay, Some(Failure::new(FailureKind::NonDeterministic, words)));
}

/// A failed attempt: tried again as its policy and the failure itself say, else a dead letter.
fn failed(worker: &Arc<WorkerCore>, activation: &Arc<Activation>, failure: Failure) {
    let task = &activation.task;
    let policy = &task.spec.options.retry;
    if failure.permanent || !policy.allows_another(task.attempt) {
        return finish(worker, activation, Ends::Failed(failure));
    }
    let unit = worker.engine.core().runtime.random() as f64 / u64::MAX as f64;
    let delay = failure.retry_after_ms.map(Duration::from_millis);
    let delay = delay.unwrap_or_else(|| policy.delay_after(task.attempt, unit));
    finish(worker, activation, Ends::Retry(failure, delay));
}

fn finish(worker: &Arc<WorkerCore>, activation: &Arc<Activation>, ending: Ends) {
    let lease = activation.task.lease;
    let ends = !matches!(ending, Ends::Retry(..));
    let (start, returned) = {
        let mut state = activation.state();
        (state.take_own_start(), if ends { state.returned_signals() } else { Vec::new() })
    };
    let (start, _row) = start.map_or((None, None), |own| (Some(own.start), Some(own.row)));
    let committer = &worker.engine.core().committer;
    let counted = Ending::of(worker, lease);
    let queue = |deliver, parent| {
        let finish = Finish { lease, ending, deliver, start, returned };
        let reply = Reply::Ended(parent, counted);
        committer.queue(Some(lease.task.execution), Command::Finish(Box::new(finish)), reply);
    };
    let parent = activation.parent.as_ref().and_then(std::sync::Weak::upgrade).filter(|_| ends);
    match parent {
        Some(parent) => parent.with_delivery(lease.task.task, |deliver| {
            let told = deliver.is_some().then(|| Arc::clone(&parent));
            queue(deliver, told);
        }),
        None => queue(None, None),
    }
}

/// Fails a task for good whose code has not begun; its parent is told by the store.
pub(super) fn fail_before_it_begins(worker: &Arc<WorkerCore>, task: &ClaimedTask, failure: Failure) {
    let ending = Ends::Failed(Failure { permanent: true, ..failure });
    let finish = Finish { lease: task.lease, ending, deliver: None, start: None, returned: Vec::new() };
    let reply = Reply::Ended(None, Ending::of(worker, task.lease));
    let execution = Some(task.lease.task.execution);
    worker.engine.core().committer.queue(execution, Command::Finish(Box::new(finish)), reply);
}

fn release(worker: &Arc<WorkerCore>, task: &ClaimedTask, delay: Duration, reason: Option<Failure>) {
    // A worker that ended abruptly writes nothing any more.
    if worker.is_stopped() {
        return;
    }
    let command = Command::Release(Box::new(Release { lease: task.lease, delay, reason }));
    let reply = Reply::Ended(None, Ending::of(worker, task.lease));
    worker.engine.core().committer.queue(Some(task.lease.task.execution), command, reply);
}

/// Gives a task back that could not be begun.
pub(super) fn give_back(worker: &Arc<WorkerCore>, task: &ClaimedTask, why: &str) {
    let reason = Failure::new(FailureKind::Payload, why);
    release(worker, task, worker.config.mismatch_delay, Some(reason));
}

/// Gives a task back for a while.
pub(super) fn give_back_for(worker: &Arc<WorkerCore>, task: &ClaimedTask, rest: Duration) {
    release(worker, task, rest, None);
}

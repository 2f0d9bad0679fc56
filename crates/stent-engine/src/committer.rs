//! Group commit. Every write of the process is queued here, in the order it was asked; a lane takes all that waits,
//! has the store commit it in one transaction, and answers each. No timer waits for company: what comes while a
//! commit runs is the next batch.
//!
//! Invariant: within a lane, commands are committed and answered in the order in which they were queued. All commands
//! of one execution go to one lane.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stent_core::command::{Command, Outcome};
use stent_core::error::StoreError;
use stent_core::limits::{BATCH_BYTES, BATCH_COMMANDS};
use stent_core::{Done, ExecutionId, Store};
use tokio::sync::{Notify, oneshot};

use crate::activation::Activation;
use crate::error::EngineError;
use crate::hub::Hub;
use crate::runtime::Runtime;
use crate::worker::{Ending, Slot, WorkerCore};

/// How long a lane rests after the store failed, at first and at most.
const REST: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Who is told what came of a command.
pub(crate) enum Reply {
    /// A client that awaits it. It learns of a store's failure and decides for itself.
    Client(oneshot::Sender<Result<Outcome, StoreError>>),
    /// A task's call. A store's failure is not its business: the command is repeated until the store answers.
    Call(Arc<Activation>, u64),
    /// The end of an attempt, repeated until the store answers. A parent in this process learns what was delivered.
    Ended(Option<Arc<Activation>>, Ending),
    /// A start that an idle worker of this process may begin at once.
    StartHere(Arc<WorkerCore>, Slot, oneshot::Sender<Result<Outcome, StoreError>>),
    /// A worker's own bookkeeping, repeated until the store answers.
    Worker(oneshot::Sender<Result<Outcome, StoreError>>),
    /// Nobody; repeated until the store answers all the same.
    Nobody,
}

struct Queued {
    command: Command,
    reply: Reply,
}

/// The queue of one lane.
#[derive(Default)]
struct Lane {
    queue: Mutex<Vec<Queued>>,
    filled: Notify,
    /// Queued or being committed.
    busy: AtomicUsize,
    /// The committer is gone: the lane ends once its queue is empty.
    closed: AtomicBool,
}

/// The committer of a process: one queue and one thread for each lane of the store.
pub struct Committer {
    lanes: Vec<Arc<Lane>>,
}

impl Committer {
    pub(crate) fn start(store: &Arc<dyn Store>, runtime: &Arc<dyn Runtime>, hub: &Arc<Hub>) -> Self {
        let lanes: Vec<_> = (0..store.lanes().max(1)).map(|_| Arc::new(Lane::default())).collect();
        for (number, lane) in lanes.iter().enumerate() {
            let run = run_lane(number, Arc::clone(lane), Arc::clone(store), Arc::clone(runtime), Arc::clone(hub));
            runtime.spawn_lane(Box::pin(run));
        }
        Self { lanes }
    }

    /// Queues a command that concerns `execution` (or none: the first lane).
    pub(crate) fn queue(&self, execution: Option<ExecutionId>, command: Command, reply: Reply) {
        let lane = match execution {
            Some(id) => usize::from(id.as_bytes()[15]) % self.lanes.len(),
            None => 0,
        };
        let lane = &self.lanes[lane];
        lane.busy.fetch_add(1, Ordering::AcqRel);
        lane.queue.lock().unwrap_or_else(PoisonError::into_inner).push(Queued { command, reply });
        lane.filled.notify_one();
    }

    /// Queues a client's command and awaits its outcome.
    pub(crate) async fn ask(&self, execution: Option<ExecutionId>, command: Command) -> Result<Outcome, EngineError> {
        let (tell, told) = oneshot::channel();
        self.queue(execution, command, Reply::Client(tell));
        Ok(told.await.map_err(|_| EngineError::Closed)??)
    }

    /// Queues a worker's command; its outcome is awaited through any failure of the store.
    pub(crate) fn insist(
        &self,
        execution: Option<ExecutionId>,
        command: Command,
    ) -> impl Future<Output = Result<Outcome, EngineError>> + Send + use<> {
        let (tell, told) = oneshot::channel();
        self.queue(execution, command, Reply::Worker(tell));
        async move { Ok(told.await.map_err(|_| EngineError::Closed)??) }
    }

    /// Whether nothing is queued or being committed.
    pub(crate) fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.busy.load(Ordering::Acquire) == 0)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        for lane in &self.lanes {
            lane.closed.store(true, Ordering::Release);
            lane.filled.notify_one();
        }
    }
}

/// One lane: ends when the committer is dropped.
async fn run_lane(number: usize, lane: Arc<Lane>, store: Arc<dyn Store>, runtime: Arc<dyn Runtime>, hub: Arc<Hub>) {
    let mut kept: Vec<Queued> = Vec::new();
    let mut rest = REST.0;
    loop {
        let mut waiting = std::mem::take(&mut kept);
        waiting.append(&mut lane.queue.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            if lane.closed.load(Ordering::Acquire) {
                return;
            }
            lane.filled.notified().await;
            continue;
        }
        kept = beyond_limits(&mut waiting);
        let batch: Vec<_> = waiting.iter().map(|queued| queued.command.clone()).collect();
        let answered = waiting.len();
        match store.commit(number, batch).await {
            Ok(committed) => {
                rest = REST.0;
                debug_assert_eq!(committed.outcomes.len(), waiting.len());
                for (queued, outcome) in waiting.into_iter().zip(committed.outcomes) {
                    answer(queued.reply, outcome);
                }
                hub.spread(&committed.wakes);
                lane.busy.fetch_sub(answered, Ordering::AcqRel);
            }
            Err(error) => {
                tracing::warn!(%error, "a batch was not committed");
                let mut again: Vec<_> = waiting.into_iter().filter_map(|queued| survive(queued, &error)).collect();
                lane.busy.fetch_sub(answered - again.len(), Ordering::AcqRel);
                again.append(&mut kept);
                kept = again;
                if lane.closed.load(Ordering::Acquire) {
                    return;
                }
                runtime.sleep(rest).await;
                rest = (rest * 2).min(REST.1);
            }
        }
    }
}

/// Cuts off what is over the limits of one batch; a single command that is over them alone is a batch of its own.
fn beyond_limits(waiting: &mut Vec<Queued>) -> Vec<Queued> {
    let mut bytes = 0;
    let fit = waiting.iter().take(BATCH_COMMANDS).take_while(|queued| {
        bytes += weight(&queued.command);
        bytes <= BATCH_BYTES
    });
    let fit = fit.count().max(1);
    if fit < waiting.len() { waiting.split_off(fit) } else { Vec::new() }
}

/// The payload bytes of a command, near enough.
fn weight(command: &Command) -> usize {
    match command {
        Command::Start(start) => start.spec.args.as_stored().len(),
        Command::StartChild(start) => start.spec.args.as_stored().len(),
        Command::Append(append) => append.record.payload.as_stored().len(),
        Command::Signal(signal) => signal.payload.as_stored().len(),
        Command::Emit(emit) => emit.payload.as_stored().len(),
        Command::Finish(finish) => match &finish.ending {
            stent_core::command::Ending::Completed(payload) => payload.as_stored().len(),
            _ => 0,
        },
        _ => 0,
    }
}

fn answer(reply: Reply, outcome: Outcome) {
    match reply {
        Reply::Client(tell) | Reply::Worker(tell) => drop(tell.send(Ok(outcome))),
        Reply::Call(activation, call) => activation.answered(call, outcome),
        Reply::Ended(parent, ending) => {
            if let Some(parent) = parent {
                parent.child_ended(&outcome);
            }
            if let Err(refusal) = outcome {
                ending.refused(refusal);
                tracing::debug!(%refusal, "the end of an attempt was refused");
            }
            drop(ending);
        }
        Reply::StartHere(worker, slot, tell) => {
            // Begun here and not by the caller, who may be gone by now.
            if let Ok(Done::Started { claimed: Some(task), .. }) = &outcome {
                worker.launch((**task).clone(), slot);
            }
            drop(tell.send(Ok(outcome)));
        }
        Reply::Nobody => {}
    }
}

/// What happens to a command whose batch was not committed: a client is told, a worker's command stays queued.
fn survive(queued: Queued, error: &StoreError) -> Option<Queued> {
    match queued.reply {
        Reply::Client(tell) | Reply::StartHere(_, _, tell) => {
            drop(tell.send(Err(error.clone())));
            None
        }
        Reply::Call(..) | Reply::Ended(..) | Reply::Worker(_) | Reply::Nobody => Some(queued),
    }
}

//! Group commit. Every write of the process is queued here, in the order it was asked; a lane takes all that waits,
//! has the store commit it in one transaction, and answers each. No timer waits for company: what comes while a
//! commit runs is the next batch.
//!
//! Invariant: within a lane, commands are committed and answered in the order in which they were queued. All commands
//! of one execution go to one lane.

mod gathering;
mod lane;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use stent_core::command::{Command, Outcome};
use stent_core::error::StoreError;
use stent_core::{Done, ExecutionId, Store};
use tokio::sync::oneshot;

pub(crate) use gathering::Gathering;
use lane::{Lane, Queued};

use crate::activation::Activation;
use crate::error::EngineError;
use crate::hub::Hub;
use crate::runtime::Runtime;
use crate::worker::{Ending, Slot, WorkerCore, claims};

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
    /// A claim behind the end of a limited task, with the worker's slots for what it brings; repeated until the store
    /// answers.
    Claimed(Arc<WorkerCore>, Vec<Slot>),
    /// A worker's own bookkeeping, repeated until the store answers.
    Worker(oneshot::Sender<Result<Outcome, StoreError>>),
    /// Nobody; repeated until the store answers all the same.
    Nobody,
}

/// The committer of a process: one line and one thread for each lane of the store.
pub struct Committer {
    lanes: Vec<Arc<Lane>>,
    store: Arc<dyn Store>,
    runtime: Arc<dyn Runtime>,
    hub: Arc<Hub>,
}

impl Committer {
    pub(crate) fn start(store: &Arc<dyn Store>, runtime: &Arc<dyn Runtime>, hub: &Arc<Hub>) -> Self {
        let lanes: Vec<_> = (0..store.lanes().max(1)).map(|number| Arc::new(Lane::new(number))).collect();
        for lane in &lanes {
            let (lane, store) = (Arc::clone(lane), Arc::clone(store));
            let (pace, hub) = (Arc::clone(runtime), Arc::clone(hub));
            runtime.spawn_lane(Box::pin(async move { lane.run(&*store, &*pace, &hub).await }));
        }
        Self { lanes, store: Arc::clone(store), runtime: Arc::clone(runtime), hub: Arc::clone(hub) }
    }

    fn join(&self, execution: Option<ExecutionId>, command: Command, reply: Reply) -> &Lane {
        let lane = match execution {
            Some(id) => usize::from(id.as_bytes()[15]) % self.lanes.len(),
            None => 0,
        };
        let lane = &self.lanes[lane];
        lane.join(Queued { command, reply });
        lane
    }

    /// Queues a command that concerns `execution` (or none: the first lane), under whatever lock. What a drive's thread
    /// queues is looked at when its code rests.
    pub(crate) fn queue(&self, execution: Option<ExecutionId>, command: Command, reply: Reply) {
        let lane = self.join(execution, command, reply);
        if !gathering::note(self) {
            lane.call();
        }
    }

    /// Queues one of many that their asker awaits: the lane is called for it now.
    pub(crate) fn queue_at_once(&self, execution: Option<ExecutionId>, command: Command, reply: Reply) {
        self.join(execution, command, reply).call();
    }

    /// Queues what its asker awaits at once, and may commit it on this thread: never under a lock that an answer takes.
    pub(crate) fn queue_and_commit(&self, execution: Option<ExecutionId>, command: Command, reply: Reply) {
        self.join(execution, command, reply).commit_here(&*self.store, &*self.runtime, &self.hub);
    }

    /// Gathers what this thread queues until the answer is dropped, where the thread may then commit it by itself.
    pub(crate) fn gather(&self) -> Gathering<'_> {
        Gathering::begin(self, self.lanes.iter().any(|lane| lane.is_alone()))
    }

    fn commit_gathered(&self) {
        for lane in &self.lanes {
            lane.commit_here(&*self.store, &*self.runtime, &self.hub);
        }
    }

    /// Queues a client's command and awaits its outcome.
    pub(crate) async fn ask(&self, execution: Option<ExecutionId>, command: Command) -> Result<Outcome, EngineError> {
        let (tell, told) = oneshot::channel();
        self.queue_and_commit(execution, command, Reply::Client(tell));
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

    /// Takes nothing more, and resolves once what was queued is committed and answered; what the store does not take now
    /// is given up.
    pub(crate) async fn close(&self) {
        self.lanes.iter().for_each(|lane| lane.close());
        for lane in &self.lanes {
            lane.ended().await;
        }
    }

    /// Whether nothing is queued or being committed.
    pub(crate) fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| lane.busy.load(Ordering::Acquire) == 0)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.lanes.iter().for_each(|lane| lane.close());
    }
}

fn answer(reply: Reply, outcome: Outcome) {
    match reply {
        Reply::Client(tell) | Reply::Worker(tell) => drop(tell.send(Ok(outcome))),
        Reply::Call(activation, call) => activation.answered(call, outcome),
        Reply::Ended(parent, ending) => {
            let delivered = match outcome {
                Ok(Done::Finished { delivered }) => delivered,
                Ok(_) => None,
                Err(refusal) => {
                    ending.refused(refusal);
                    tracing::debug!(%refusal, "the end of an attempt was refused");
                    None
                }
            };
            if let Some(parent) = parent {
                parent.child_ended(delivered);
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
        Reply::Claimed(worker, slots) => claims::answered(&worker, slots, outcome),
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
        Reply::Call(..) | Reply::Ended(..) | Reply::Claimed(..) | Reply::Worker(_) | Reply::Nobody => Some(queued),
    }
}

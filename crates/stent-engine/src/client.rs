//! The client: what a process asks of executions, whether or not it runs a worker. Every write goes through the group
//! commit; nothing is acknowledged before it is committed.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use stent_core::command::{Deadline, Emit, ReplayLetter, Signal, Start};
use stent_core::history::Due;
use stent_core::store::Watcher;
use stent_core::view::ExecutionView;
use stent_core::{
    Command, Done, EventId, ExecutionId, MemoKey, Name, Outcome, Payload, Refusal, RunId, SessionId, SignalId, Store,
    TaskId, TaskRef, TaskSpec,
};
use tokio::sync::oneshot;

use crate::committer::{Committer, Reply};
use crate::ends::{Ends, Waiter};
use crate::error::{EngineError, wrong_answer};
use crate::host::Host;
use crate::hub::Hub;
use crate::ids::IdMaker;
use crate::runtime::{Runtime, within};
use crate::worker::{Worker, WorkerConfig};

/// How often a wait looks by itself, should no notification come through.
const WAIT_POLL: Duration = Duration::from_secs(1);

/// The pace at which a wait looks by itself, should no notification come through: every second unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaitPace {
    /// The first pause.
    pub least: Duration,
    /// The longest one.
    pub most: Duration,
    /// By how much each pause is longer than the one before; less than 1 counts as 1.
    pub factor: f64,
}

impl Default for WaitPace {
    fn default() -> Self {
        Self { least: WAIT_POLL, most: WAIT_POLL, factor: 1.0 }
    }
}

impl WaitPace {
    /// The pause behind this one.
    pub(crate) fn after(&self, pause: Duration) -> Duration {
        let longer = pause.as_secs_f64() * self.factor.max(1.0);
        Duration::try_from_secs_f64(longer).map_or(self.most, |longer| longer.min(self.most))
    }
}

/// How long a close waits for what was asked before it. A store that is out of reach may not answer at all.
const LAST_COMMITS: Duration = Duration::from_secs(5);

/// A handle on one store; clones share it.
#[derive(Clone)]
pub struct Engine(Arc<EngineCore>);

pub(crate) struct EngineCore {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) committer: Committer,
    pub(crate) hub: Arc<Hub>,
    ids: IdMaker,
}

/// What is to be started.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// The execution's id, if the caller chose one.
    pub id: Option<ExecutionId>,
    /// What to run.
    pub spec: TaskSpec,
    /// The start key: one execution for each, ever.
    pub key: Option<Name>,
    /// Not to run before.
    pub due: Option<Due>,
    /// When to give up.
    pub deadline: Deadline,
}

/// What came of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The execution that stands for it.
    pub execution: ExecutionId,
    /// False when the start key was known and nothing new began.
    pub created: bool,
}

/// The end of an execution that was waited for.
#[derive(Clone, Debug)]
pub enum Ended {
    /// It completed in this process, with this result.
    Completed(Payload),
    /// It ended as the store shows.
    Seen(Box<ExecutionView>),
}

impl Engine {
    /// An engine over `store`. Its committer begins at once; a worker only with [`start_worker`](Self::start_worker).
    #[must_use]
    pub fn new(store: Arc<dyn Store>, runtime: Arc<dyn Runtime>) -> Self {
        let hub = Arc::new(Hub::new(Ends::new(Arc::downgrade(&store), Arc::clone(&runtime))));
        let watcher: Arc<dyn Watcher> = hub.clone();
        store.watch(Arc::downgrade(&watcher));
        let committer = Committer::start(&store, &runtime, &hub);
        Self(Arc::new(EngineCore { store, runtime, committer, hub, ids: IdMaker::default() }))
    }

    pub(crate) fn core(&self) -> &Arc<EngineCore> {
        &self.0
    }

    /// The store, for queries.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// A fresh id; ids made by one process sort in the order they were made.
    #[must_use]
    pub fn new_execution_id(&self) -> ExecutionId {
        let (ms, random) = self.0.fresh();
        ExecutionId::v7(ms, random)
    }

    /// A fresh signal id.
    #[must_use]
    pub fn new_signal_id(&self) -> SignalId {
        let (ms, random) = self.0.fresh();
        SignalId::v7(ms, random)
    }

    /// A fresh event id.
    #[must_use]
    pub fn new_event_id(&self) -> EventId {
        let (ms, random) = self.0.fresh();
        EventId::v7(ms, random)
    }

    /// Starts an execution. When this returns, it is committed. An idle worker of this process that serves it claims
    /// it in the same commit.
    ///
    /// # Errors
    /// The store's failure; [`Refusal::Exists`] for an id that is taken.
    pub async fn start(&self, request: StartRequest) -> Result<Started, EngineError> {
        let id = request.id.unwrap_or_else(|| self.new_execution_id());
        let workers = if request.due.is_none() { self.0.hub.workers() } else { Vec::new() };
        let taker = workers.into_iter().find_map(|worker| {
            let slot = worker.slot_for_new_work(&request.spec)?;
            Some((worker, slot))
        });
        let claim_for = taker.as_ref().map(|(worker, _)| worker.session());
        let command = start_command(id, request, claim_for);
        let (tell, told) = oneshot::channel();
        let reply = match taker {
            Some((worker, slot)) => Reply::StartHere(worker, slot, tell),
            None => Reply::Client(tell),
        };
        self.0.committer.queue_and_commit(Some(id), command, reply);
        match told.await.map_err(|_| EngineError::Closed)??? {
            Done::Started { execution, created, .. } => Ok(Started { execution, created }),
            other => Err(wrong_answer(&other)),
        }
    }

    /// Starts many executions in as few commits as their size allows. Each is started or refused by itself; the first
    /// refusal is returned after all were tried.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_many(&self, requests: Vec<StartRequest>) -> Result<Vec<Started>, EngineError> {
        let mut told = Vec::with_capacity(requests.len());
        for request in requests {
            let id = request.id.unwrap_or_else(|| self.new_execution_id());
            let (tell, answer) = oneshot::channel();
            // The first are on their way while the last are still made.
            self.0.committer.queue_at_once(Some(id), start_command(id, request, None), Reply::Client(tell));
            told.push(answer);
        }
        let mut started = Vec::with_capacity(told.len());
        let mut failed = None;
        for answer in told {
            match answer.await.map_err(|_| EngineError::Closed)? {
                Ok(Ok(Done::Started { execution, created, .. })) => started.push(Started { execution, created }),
                Ok(Ok(other)) => failed = failed.or(Some(wrong_answer(&other))),
                Ok(Err(refusal)) => failed = failed.or(Some(refusal.into())),
                Err(error) => failed = failed.or(Some(error.into())),
            }
        }
        failed.map_or(Ok(started), Err)
    }

    /// Gives a signal to an execution. It is kept until a wait consumes it.
    ///
    /// # Errors
    /// [`EngineError::Unknown`]; [`Refusal::Terminal`] when the execution has ended.
    pub async fn signal(&self, id: ExecutionId, name: Name, payload: Payload) -> Result<(), EngineError> {
        let signal = Signal { id: self.new_signal_id(), execution: id, name, payload };
        self.change(Some(id), Command::Signal(signal)).await.map(drop)
    }

    /// Publishes an event under (queue, name). Whoever waits for it, now or within the retention, gets it.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn emit(&self, queue: Name, name: Name, payload: Payload) -> Result<(), EngineError> {
        let emit = Emit { id: self.new_event_id(), queue, name, payload };
        self.change(None, Command::Emit(emit)).await.map(drop)
    }

    /// Cancels a task and what it called; a root's id cancels its execution.
    ///
    /// # Errors
    /// [`EngineError::Unknown`]; [`Refusal::Terminal`] when it has ended.
    pub async fn cancel(&self, task: TaskId) -> Result<(), EngineError> {
        let task = self.find(task).await?;
        self.change(Some(task.execution), Command::Cancel(task)).await.map(drop)
    }

    /// Waits for the end of an execution, wherever it runs.
    ///
    /// # Errors
    /// [`EngineError::Unknown`]; [`EngineError::TimedOut`] when it takes longer than `timeout` (the execution goes
    /// on).
    pub async fn wait(&self, id: ExecutionId, timeout: Option<Duration>) -> Result<ExecutionView, EngineError> {
        match self.within(timeout, self.end(WaitPace::default(), id, false)).await? {
            Ended::Seen(view) => Ok(*view),
            Ended::Completed(_) => self.0.store.execution(id).await?.ok_or(EngineError::Unknown),
        }
    }

    /// Waits for the end of an execution, wherever it runs; the result of one that ran in this process comes without
    /// asking the store for it.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub async fn wait_for_result(&self, id: ExecutionId, timeout: Option<Duration>) -> Result<Ended, EngineError> {
        self.wait_for_result_at(WaitPace::default(), id, timeout).await
    }

    /// [`wait_for_result`](Self::wait_for_result) at a pace of the caller's own.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub async fn wait_for_result_at(
        &self,
        pace: WaitPace,
        id: ExecutionId,
        timeout: Option<Duration>,
    ) -> Result<Ended, EngineError> {
        self.within(timeout, self.end(pace, id, true)).await
    }

    /// Somebody has heard, by a way that the store knows nothing of, that something changed: waits and workers of this
    /// process look at once.
    pub fn look(&self) {
        self.0.hub.changed();
    }

    async fn within(
        &self,
        timeout: Option<Duration>,
        waiting: impl Future<Output = Result<Ended, EngineError>> + Send,
    ) -> Result<Ended, EngineError> {
        match timeout {
            Some(limit) => within(&*self.0.runtime, limit, waiting).await.unwrap_or(Err(EngineError::TimedOut)),
            None => waiting.await,
        }
    }

    /// The end of an execution; where it `suffices`, the result as soon as it is known here.
    async fn end(&self, pace: WaitPace, id: ExecutionId, suffices: bool) -> Result<Ended, EngineError> {
        let mut pause = pace.least.min(pace.most);
        let waits = Waits { ends: &self.0.hub.ends, id, waiter: Some(self.0.hub.ends.await_one(id)) };
        let Some(waiter) = waits.waiter.as_ref() else { return Err(EngineError::Closed) };
        loop {
            let mut told = std::pin::pin!(waiter.told.notified());
            told.as_mut().enable();
            if let Some(result) = waiter.result().filter(|_| suffices) {
                return Ok(Ended::Completed(result));
            }
            let mut read = self.0.store.execution(id);
            let read = std::future::poll_fn(|cx| match suffices && told.as_mut().poll(cx).is_ready() {
                true => Poll::Ready(None),
                false => read.as_mut().poll(cx).map(Some),
            });
            let Some(view) = read.await else { continue };
            let view = view?.ok_or(EngineError::Unknown)?;
            if view.state.is_terminal() {
                return Ok(Ended::Seen(Box::new(view)));
            }
            within(&*self.0.runtime, pause, told).await;
            pause = pace.after(pause);
        }
    }

    /// Replays a dead letter from its last success; the answer is the id of the new run.
    ///
    /// # Errors
    /// [`EngineError::Unknown`]; [`Refusal::ReplayRoot`] for the letter of a child whose root failed too.
    pub async fn replay_letter(
        &self,
        task: TaskId,
        reset_attempts: bool,
        queue: Option<Name>,
    ) -> Result<RunId, EngineError> {
        let at = self.find(task).await?;
        let replay = ReplayLetter { task: at, reset_attempts, queue };
        match self.change(Some(at.execution), Command::ReplayLetter(replay)).await? {
            Done::Replayed { run } => Ok(RunId::derive(task, run)),
            other => Err(wrong_answer(&other)),
        }
    }

    /// Throws a dead letter away; false when there was none.
    ///
    /// # Errors
    /// [`EngineError::Unknown`] for an unknown task.
    pub async fn discard_letter(&self, task: TaskId) -> Result<bool, EngineError> {
        let at = self.find(task).await?;
        self.changed(Some(at.execution), Command::DiscardLetter(at)).await
    }

    /// Creates a queue where absent, and pauses or resumes it where asked; whether anything is different now.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn set_queue(&self, name: Name, paused: Option<bool>) -> Result<bool, EngineError> {
        self.changed(None, Command::SetQueue(name, paused)).await
    }

    /// Drops an empty queue; false when there was none.
    ///
    /// # Errors
    /// [`Refusal::Busy`] while unfinished tasks lie in it.
    pub async fn drop_queue(&self, name: Name) -> Result<bool, EngineError> {
        self.changed(None, Command::DropQueue(name)).await
    }

    /// Deletes what the cache has under a key, or all it has; how many results that were. Results of idempotent calls
    /// stay.
    ///
    /// # Errors
    /// The store's failure; what was deleted before it stays deleted.
    pub async fn clear_cache(&self, key: Option<MemoKey>) -> Result<u64, EngineError> {
        let mut cleared = 0;
        loop {
            match self.change(None, Command::ClearCache(key.clone())).await? {
                Done::Swept { count, more } => {
                    cleared += u64::from(count);
                    if !more {
                        return Ok(cleared);
                    }
                }
                other => return Err(wrong_answer(&other)),
            }
        }
    }

    /// Carries out one command that a tool asks for by hand: with a lease of a session of its own, say. Its refusal is
    /// answered like anything else.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn carry_out(&self, execution: Option<ExecutionId>, command: Command) -> Result<Outcome, EngineError> {
        self.0.committer.ask(execution, command).await
    }

    /// A fresh session id.
    #[must_use]
    pub fn new_session_id(&self) -> SessionId {
        let (ms, random) = self.0.fresh();
        SessionId::v7(ms, random)
    }

    /// Starts a worker that runs the functions of `host`.
    ///
    /// # Errors
    /// The store's failure, when its presence cannot be entered or its session not opened.
    pub async fn start_worker(&self, config: WorkerConfig, host: Arc<dyn Host>) -> Result<Worker, EngineError> {
        Worker::start(self.clone(), config, host).await
    }

    /// Whether nothing happens but the passing of time: no command is queued or in flight, and no worker of this
    /// process runs code or asks for work.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.committer.is_idle() && self.0.hub.workers().iter().all(|worker| worker.is_idle())
    }

    /// Closes the engine and its store. Workers are shut down before, by their owners. What was asked before is committed
    /// first, unless the store does not answer for five seconds; what is asked later is refused as
    /// [`EngineError::Closed`], so that nobody writes to a store behind its end. Safe to repeat.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn close(&self) -> Result<(), EngineError> {
        if within(&*self.0.runtime, LAST_COMMITS, self.0.committer.close()).await.is_none() {
            tracing::warn!("the store is closed although it did not take everything");
        }
        Ok(self.0.store.close().await?)
    }

    pub(crate) async fn find(&self, id: TaskId) -> Result<TaskRef, EngineError> {
        self.0.store.find_task(id).await?.ok_or(EngineError::Unknown)
    }

    pub(crate) async fn change(&self, execution: Option<ExecutionId>, command: Command) -> Result<Done, EngineError> {
        match self.0.committer.ask(execution, command).await? {
            Ok(done) => Ok(done),
            Err(Refusal::Unknown) => Err(EngineError::Unknown),
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn changed(&self, execution: Option<ExecutionId>, command: Command) -> Result<bool, EngineError> {
        match self.change(execution, command).await? {
            Done::Changed(changed) => Ok(changed),
            other => Err(wrong_answer(&other)),
        }
    }
}

/// Somebody who waits, until the wait is over or dropped.
struct Waits<'a> {
    ends: &'a Ends,
    id: ExecutionId,
    waiter: Option<Arc<Waiter>>,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.ends.forget_one(self.id, waiter);
        }
    }
}

impl EngineCore {
    pub(crate) fn fresh(&self) -> (u64, [u8; 10]) {
        self.ids.next(self.store.now(), self.runtime.random())
    }
}

fn start_command(id: ExecutionId, request: StartRequest, claim_for: Option<stent_core::SessionId>) -> Command {
    let StartRequest { spec, key, due, deadline, .. } = request;
    Command::Start(Box::new(Start { id, spec, key, due, deadline, claim_for }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_by_their_factor_up_to_the_longest_and_never_shrink() {
        let pace = WaitPace { least: Duration::from_millis(100), most: Duration::from_secs(5), factor: 2.0 };
        let pauses: Vec<_> =
            std::iter::successors(Some(pace.least), |pause| Some(pace.after(*pause))).take(8).collect();
        let expected = [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000].map(Duration::from_millis);
        assert_eq!(pauses, expected);
        for factor in [0.5, f64::NAN, -1.0] {
            assert_eq!(WaitPace { factor, ..pace }.after(pace.least), pace.least);
        }
        assert_eq!(WaitPace { factor: f64::INFINITY, ..pace }.after(pace.least), pace.most);
    }
}

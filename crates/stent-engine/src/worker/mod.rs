//! A worker: a session in the store, slots for running code, and five loops (claims, beats, sweeps, schedules, and one
//! drive for each task). It holds no truth: all it knows is in the store, and another worker goes on when it dies.
//!
//! - [`claims`]: asking for work; - [`drive`]: running one task; - [`ending`]: what an attempt came to;
//! - [`slots`]: who may run code now; - [`schedules`]: ticks; - [`upkeep`]: beats, sweeps, take-over; - [`cleanup`]: what is
//!   past its retention; - [`drain`]: an orderly end.

pub(crate) mod claims;
mod cleanup;
mod drain;
mod drive;
mod ending;
mod in_place;
pub(crate) mod schedules;
mod slots;
pub(crate) mod suspects;
mod upkeep;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stent_core::command::{OpenSession, Release};
use stent_core::{
    ClaimedTask, Command, Failure, FailureKind, Lease, Name, Refusal, Serve, SessionId, TaskRef, TaskSpec,
};
use tokio::sync::Notify;

use crate::activation::Activation;
use crate::client::Engine;
use crate::committer::Reply;
use crate::error::{EngineError, Interrupt};
use crate::host::Host;

pub(crate) use slots::{Slot, Slots};

/// How a worker works. Every span has a default; see [`WorkerConfig::default`].
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// What people know it as. A label: it identifies nothing, and a restarted process may use it again.
    pub worker_id: String,
    /// How many tasks run code at the same time. Waiting tasks do not count. Default 100.
    pub concurrency: usize,
    /// How many tasks one claim takes at most. Default 100.
    pub batch: u32,
    /// How often it looks for work by itself, should no notification come through. Default 1 s.
    pub poll_interval: Duration,
    /// How far that interval grows while nothing is found; less than the interval itself counts as it. Default 1 s.
    pub poll_interval_max: Duration,
    /// By what it grows each time; less than 1 counts as 1. Default 2.
    pub poll_backoff_factor: f64,
    /// Only these queues; `None` (the default) for all.
    pub queues: Option<Vec<Name>>,
    /// Only tasks that share one of these tags, and untagged ones; `None` (the default) for all.
    pub tags: Option<Vec<Name>>,
    /// How long an attempt may go without a sign of life; a task's own timeout comes first. Default: no limit.
    pub claim_timeout: Option<Duration>,
    /// How long a shutdown lets running code go on. Default 30 s.
    pub drain_grace: Duration,
    /// After how long without a beat others take this worker for dead, and it them. The same on all workers of a
    /// store. Default 10 s.
    pub worker_timeout: Duration,
    /// How long a waiting task is kept in memory. Default 10 s.
    pub park_for: Duration,
    /// How many waiting tasks are kept in memory at most. Default 10,000.
    pub max_parked: usize,
    /// How long a task whose code does not fit its history rests before it is tried again. Default 5 s.
    pub mismatch_delay: Duration,
    /// How often it deletes what is past its retention. Default 1 h.
    pub cleanup_interval: Duration,
    /// How long executions are kept after their end, and dead letters after they were put away; `None` for ever.
    /// Default 7 days.
    pub retention_period: Option<Duration>,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            worker_id: "worker".into(),
            concurrency: 100,
            batch: 100,
            poll_interval: Duration::from_secs(1),
            poll_interval_max: Duration::from_secs(1),
            poll_backoff_factor: 2.0,
            queues: None,
            tags: None,
            claim_timeout: None,
            drain_grace: Duration::from_secs(30),
            worker_timeout: Duration::from_secs(10),
            park_for: Duration::from_secs(10),
            max_parked: 10_000,
            mismatch_delay: Duration::from_secs(5),
            cleanup_interval: Duration::from_secs(3_600),
            retention_period: Some(Duration::from_secs(7 * 24 * 3_600)),
        }
    }
}

/// A running worker. Dropping it ends it abruptly, as a crash would: others take its tasks over.
pub struct Worker {
    core: Arc<WorkerCore>,
}

pub(crate) struct WorkerCore {
    pub(crate) engine: Engine,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) config: WorkerConfig,
    session: Mutex<SessionId>,
    pub(crate) slots: Arc<Slots>,
    running: Mutex<HashMap<TaskRef, Arc<Activation>>>,
    serve: Mutex<Arc<Serve>>,
    /// The functions among those of which a task needs a slot of a limit, in order of name: as the last claim told, or as
    /// the host says before there was one.
    limited: Mutex<Arc<[Name]>>,
    /// There may be work: ask again.
    asked: Notify,
    /// The last claim came back short, and nothing has become ready since.
    pub(crate) all_claimed: AtomicBool,
    claiming: AtomicBool,
    /// The store may hold marks for this session's tasks.
    nudged: Notify,
    draining: AtomicBool,
    stopped: AtomicBool,
    /// Told when a task leaves, or an end is answered.
    left: Notify,
    /// Whether schedules may have changed.
    pub(crate) schedules: schedules::News,
    /// Ends that are queued and not answered.
    endings: AtomicUsize,
    parked: AtomicUsize,
    /// Stopped code that has not ended.
    unwinding: AtomicUsize,
    /// Whose turn it is to run as a suspect: one at a time, in order of coming.
    suspects: Arc<tokio::sync::Mutex<()>>,
    pulse: Mutex<Pulse>,
}

impl Worker {
    pub(crate) async fn start(engine: Engine, config: WorkerConfig, host: Arc<dyn Host>) -> Result<Self, EngineError> {
        let session = open_session(&engine, &config).await?;
        let now = engine.core().runtime.now();
        let pulse = Pulse { answered: now, judges_from: now + config.worker_timeout };
        let slots = Slots::new(config.concurrency.max(1));
        let serve = Serve { queues: config.queues.clone(), functions: Vec::new(), tags: config.tags.clone() };
        let core = Arc::new(WorkerCore {
            engine,
            host,
            config,
            session: Mutex::new(session),
            slots,
            running: Mutex::default(),
            serve: Mutex::new(Arc::new(serve)),
            limited: Mutex::new(Arc::new([])),
            asked: Notify::new(),
            all_claimed: AtomicBool::new(false),
            claiming: AtomicBool::new(false),
            nudged: Notify::new(),
            draining: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            left: Notify::new(),
            schedules: schedules::News::default(),
            endings: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
            unwinding: AtomicUsize::new(0),
            suspects: Arc::default(),
            pulse: Mutex::new(pulse),
        });
        let inner = core.engine.core();
        inner.hub.join(&core);
        inner.runtime.spawn(Box::pin(claims::run(Arc::clone(&core))));
        inner.runtime.spawn(Box::pin(upkeep::beats(Arc::clone(&core))));
        inner.runtime.spawn(Box::pin(upkeep::sweeps(Arc::clone(&core))));
        inner.runtime.spawn(Box::pin(schedules::run(Arc::clone(&core))));
        Ok(Self { core })
    }

    /// The session that stands for it now; another one after others took it for dead.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.core.session()
    }

    /// Its host has learned functions: there may be tasks of theirs.
    pub fn look_for_work(&self) {
        self.core.work_may_be_there();
    }

    /// Ends in order: no new claims, waiting tasks are put aside, running code gets the grace to finish, what is left
    /// is given back without a loss.
    pub async fn shutdown(self) {
        drain::drain(&self.core).await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.core.stop();
    }
}

/// A new session: present, then open.
async fn open_session(engine: &Engine, config: &WorkerConfig) -> Result<SessionId, EngineError> {
    let (ms, random) = engine.core().fresh();
    let session = SessionId::v7(ms, random);
    engine.store().enter(session)?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let open = OpenSession { session, worker_id: config.worker_id.clone(), host, pid: std::process::id() };
    match engine.core().committer.ask(None, Command::OpenSession(open)).await {
        Ok(Ok(_)) => Ok(session),
        Ok(Err(refusal)) => {
            engine.store().leave(session);
            Err(refusal.into())
        }
        Err(error) => {
            engine.store().leave(session);
            Err(error)
        }
    }
}

impl WorkerCore {
    pub(crate) fn session(&self) -> SessionId {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pace of this process; never goes back.
    pub(crate) fn now(&self) -> Duration {
        self.engine.core().runtime.now()
    }

    fn running(&self) -> MutexGuard<'_, HashMap<TaskRef, Arc<Activation>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Nothing runs and nothing is asked: only time can bring something.
    pub(crate) fn is_idle(&self) -> bool {
        let at_rest = self.slots.all_free() && self.schedules.is_idle();
        let nothing_ends = [&self.endings, &self.unwinding].iter().all(|count| count.load(Ordering::Acquire) == 0);
        !self.claiming.load(Ordering::Acquire) && at_rest && nothing_ends
    }

    /// Something became ready, here or elsewhere.
    pub(crate) fn work_may_be_there(&self) {
        self.all_claimed.store(false, Ordering::Release);
        self.asked.notify_one();
    }

    pub(crate) fn look_for_nudges(&self) {
        self.nudged.notify_one();
    }

    pub(crate) fn woken(&self, task: TaskRef) {
        let activation = self.running().get(&task).cloned();
        match activation {
            Some(activation) => activation.woken(),
            // Claimed by a commit whose answer is still on its way to us: the next look finds the mark.
            None => self.nudged.notify_one(),
        }
    }

    pub(crate) fn stopped(&self, task: TaskRef) {
        let activation = self.running().get(&task).cloned();
        match activation {
            Some(activation) => activation.interrupt(Interrupt::Cancelled),
            None => self.nudged.notify_one(),
        }
    }

    /// A slot for a new task that this worker could begin at once: it serves it, a slot is free, and nothing that
    /// is ready waits before it. None for a limited function: only a claim takes a slot of its limit.
    pub(crate) fn slot_for_new_work(&self, spec: &TaskSpec) -> Option<Slot> {
        let free = self.all_claimed.load(Ordering::Acquire) && !self.is_draining() && !self.is_stopped();
        // What has a memo is looked up first, by the commit that creates it.
        let is_plain = spec.options.memo.is_none() && !self.is_limited(&spec.function);
        if !free || !is_plain || !self.serve().accepts(&spec.queue, &spec.function, &spec.tags) {
            return None;
        }
        self.slots.try_take()
    }

    /// A slot for a task that was claimed before: the next that becomes free.
    async fn slot_to_resume(&self) -> Option<Slot> {
        match self.slots.resume() {
            Ok(slot) => Some(slot),
            Err(waiting) => waiting.await.ok(),
        }
    }

    pub(crate) fn serve(&self) -> Arc<Serve> {
        Arc::clone(&self.serve.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a task of this function needs a slot of a limit, as far as this worker knows.
    pub(crate) fn is_limited(&self, function: &Name) -> bool {
        self.limited.lock().unwrap_or_else(PoisonError::into_inner).binary_search(function).is_ok()
    }

    /// The functions that are limited, in order of name.
    fn set_limited(&self, functions: Vec<Name>) {
        let mut limited = self.limited.lock().unwrap_or_else(PoisonError::into_inner);
        if **limited != *functions {
            *limited = functions.into();
        }
    }

    /// Runs a task that was just claimed.
    pub(crate) fn launch(self: &Arc<Self>, task: ClaimedTask, slot: Slot) {
        let drive = drive::run(Arc::clone(self), task, slot);
        self.engine.core().runtime.spawn(Box::pin(drive));
    }

    fn insert(&self, activation: &Arc<Activation>) {
        self.running().insert(activation.task.lease.task, Arc::clone(activation));
    }

    fn remove(&self, activation: &Arc<Activation>) {
        let mut running = self.running();
        if running.get(&activation.task.lease.task).is_some_and(|other| Arc::ptr_eq(other, activation)) {
            running.remove(&activation.task.lease.task);
        }
        drop(running);
        self.left.notify_waiters();
    }

    fn activation(&self, task: TaskRef) -> Option<Arc<Activation>> {
        self.running().get(&task).cloned()
    }

    fn interrupt_all(&self, interrupt: Interrupt) {
        let all: Vec<_> = self.running().values().cloned().collect();
        for activation in all {
            activation.interrupt(interrupt);
        }
    }

    /// The abrupt end: the session is not present any more, and nothing of it is written from now on.
    fn stop(&self) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        self.engine.store().leave(self.session());
        self.interrupt_all(Interrupt::Closed);
        self.asked.notify_waiters();
        self.asked.notify_one();
        self.nudged.notify_waiters();
        self.nudged.notify_one();
        self.schedules.come();
        self.left.notify_waiters();
    }
}

/// When this worker's own beats were answered. Whoever could not write for a while must not judge others by their
/// silence: they could not write either.
struct Pulse {
    answered: Duration,
    judges_from: Duration,
}

/// Counts an end that was queued, until its answer is dropped.
pub(crate) struct Ending(Weak<WorkerCore>, Lease);

impl Ending {
    fn of(worker: &Arc<WorkerCore>, lease: Lease) -> Self {
        worker.endings.fetch_add(1, Ordering::AcqRel);
        Self(Arc::downgrade(worker), lease)
    }

    /// The end was refused. Where others ended the task before, its owner takes note, or it would be told for ever;
    /// where the lease still stands, the task is given back, or nobody would run it.
    pub(crate) fn refused(&self, refusal: Refusal) {
        let lease = self.1;
        let command = match refusal {
            Refusal::LeaseLost | Refusal::SessionGone => return,
            Refusal::Terminal(_) => Command::Heed(lease),
            other => {
                tracing::error!(task = %lease.task, %other, "the end of an attempt was refused");
                let reason = Failure::new(FailureKind::Error, format!("the end of an attempt was refused: {other}"));
                let delay = self.0.upgrade().map_or(Duration::ZERO, |worker| worker.config.mismatch_delay);
                Command::Release(Box::new(Release { lease, delay, reason: Some(reason) }))
            }
        };
        if let Some(worker) = self.0.upgrade() {
            worker.engine.core().committer.queue(Some(lease.task.execution), command, Reply::Nobody);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(worker) = self.0.upgrade() {
            worker.endings.fetch_sub(1, Ordering::AcqRel);
            worker.left.notify_waiters();
        }
    }
}

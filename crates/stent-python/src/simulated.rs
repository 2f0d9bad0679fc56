//! The database of a test, for `stent.testing`: a world in memory whose time is skipped, with workers that are killed at
//! will. When time passes and when something is killed is decided in `stent-testing`; this file only knows whose workers
//! they are.
//!
//! Invariant: everything of a world runs on one thread of its own and ends with [`Simulated::end`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use stent_core::{ExecutionId, Store};
use stent_engine::{Ended, Engine, EngineError, Host, Worker, WorkerConfig};
use stent_testing::gate::Gate;
use stent_testing::process::Process;
use stent_testing::time::WaitEnd;
use stent_testing::trial::{self, Kill, KillPoint, Trace};
use stent_testing::{BEGINNING, World};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::records::Trouble;

/// A world, its client, and its workers.
pub(crate) struct Simulated {
    world: World,
    outside: Arc<Process>,
    engine: Engine,
    /// What the first workers see of the store.
    gate: Arc<Gate>,
    kill: Option<Kill>,
    workers: tokio::sync::Mutex<Vec<Running>>,
    /// The executions that the test has started, in order.
    started: Mutex<Vec<ExecutionId>>,
    ids: AtomicU64,
    left_behind: Mutex<Option<Trace>>,
    handle: Handle,
    over: Arc<Notify>,
    is_over: AtomicBool,
}

/// A worker and the process that it lives in.
struct Running {
    number: u64,
    config: WorkerConfig,
    host: Arc<dyn Host>,
    process: Arc<Process>,
    worker: Worker,
}

impl Simulated {
    /// A world of which the first process dies at `kill`.
    pub(crate) fn begin(kill: Option<Kill>) -> std::io::Result<Arc<Self>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        crate::runtime::has_threads();
        let (handle, over) = (runtime.handle().clone(), Arc::new(Notify::new()));
        let until = Arc::clone(&over);
        let inside = handle.enter();
        let world = World::new();
        let (outside, engine) = world.process(world.store());
        let gate = Arc::new(Gate::at(world.store(), kill));
        drop(inside);
        let simulated = Arc::new(Self {
            world,
            outside,
            engine,
            gate,
            kill,
            workers: tokio::sync::Mutex::default(),
            started: Mutex::default(),
            ids: AtomicU64::new(0),
            left_behind: Mutex::default(),
            handle,
            over,
            is_over: AtomicBool::new(false),
        });
        std::thread::Builder::new().name("stent-test".into()).spawn(move || runtime.block_on(until.notified()))?;
        simulated.handle.spawn(Arc::clone(&simulated).kill_at_the_gate());
        Ok(simulated)
    }

    /// Where everything of this world runs.
    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The client's engine, which no kill touches.
    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    async fn kill_at_the_gate(self: Arc<Self>) {
        self.gate.shuts().await;
        drop(self.crash().await);
    }

    /// Ids of what the test starts: the same in every run.
    pub(crate) fn next_id(&self) -> ExecutionId {
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&self.ids.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        ExecutionId::v7(BEGINNING.unix_ms(), bytes)
    }

    /// Notes what the test has started.
    pub(crate) fn has_started(&self, id: ExecutionId) {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if !started.contains(&id) {
            started.push(id);
        }
    }

    /// `Engine::wait_for_result` while time is skipped.
    pub(crate) async fn wait(&self, id: ExecutionId, timeout: Option<Duration>) -> Result<Ended, Trouble> {
        match self.world.time.wait(self.engine.wait_for_result(id, None), timeout).await {
            Ok(ended) => Ok(ended?),
            Err(WaitEnd::TimedOut) => Err(EngineError::TimedOut.into()),
            Err(WaitEnd::Stalled(waits)) => {
                let words = format!("nothing is left that could end this wait: {waits}");
                Err(Trouble { kind: "stalled", words })
            }
        }
    }

    /// Starts a worker in a process of its own.
    pub(crate) async fn start_worker(
        &self,
        number: u64,
        config: WorkerConfig,
        host: Arc<dyn Host>,
    ) -> Result<String, Trouble> {
        let mut workers = self.workers.lock().await;
        let config = self.world.time.worker_config(config);
        let running = self.run(self.store(), number, config, host).await?;
        let session = running.worker.session().to_string();
        workers.push(running);
        Ok(session)
    }

    /// The store as a new process meets it: the first ones by the gate, until that is shut.
    fn store(&self) -> Arc<dyn Store> {
        if self.gate.is_shut() { self.world.store() } else { Arc::<Gate>::clone(&self.gate) }
    }

    async fn run(
        &self,
        store: Arc<dyn Store>,
        number: u64,
        config: WorkerConfig,
        host: Arc<dyn Host>,
    ) -> Result<Running, EngineError> {
        let (process, engine) = self.world.process(store);
        let worker = engine.start_worker(config.clone(), Arc::clone(&host)).await?;
        Ok(Running { number, config, host, process, worker })
    }

    /// Ends one worker with its process.
    pub(crate) async fn stop_worker(&self, number: u64) {
        let mut workers = self.workers.lock().await;
        while let Some(at) = workers.iter().position(|running| running.number == number) {
            let running = workers.remove(at);
            running.process.kill().await;
        }
    }

    /// Kills every process that has a worker, wherever its tasks stand, and starts another for each.
    pub(crate) async fn crash(&self) -> Result<(), Trouble> {
        let mut workers = self.workers.lock().await;
        let dead: Vec<_> = workers.drain(..).collect();
        for running in &dead {
            running.process.kill().await;
        }
        for running in dead {
            drop(running.worker);
            workers.push(self.run(self.store(), running.number, running.config, running.host).await?);
        }
        Ok(())
    }

    /// A request of a test's, in JSON.
    pub(crate) async fn carry_out(&self, name: &str, asked: &[u8]) -> Result<Value, Trouble> {
        match name {
            "advance" => {
                let time = &self.world.time;
                let by = Duration::from_micros(serde_json::from_slice(asked)?);
                drop(time.wait(time.sleep(by, true), None).await);
            }
            "settle" => self.world.time.settle().await,
            "crash" => self.crash().await?,
            "clock" => return Ok(json!(self.world.time.clock().as_micros())),
            "leave" => self.leave().await?,
            other => return Err(Trouble { kind: "value", words: format!("there is no request \"{other}\"") }),
        }
        Ok(Value::Null)
    }

    /// Waits until everything that the test started has ended, or never will, and keeps what is left behind.
    async fn leave(&self) -> Result<(), Trouble> {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let store = self.world.store();
        let mut outcomes = serde_json::Map::new();
        for id in &started {
            drop(self.wait(*id, None).await);
            let Some(view) = store.execution(*id).await? else { continue };
            let came_to = match (&view.result, &view.failure) {
                (Some(result), _) => trial::output(result),
                (None, Some(failure)) => json!(format!("{}: {}", view.state.as_str(), failure.message)),
                (None, None) => json!(view.state.as_str()),
            };
            outcomes.insert(format!("{} {id}", view.function), came_to);
        }
        let trace = Trace::of(&*store, started, |_| {}).await?;
        let trace = Trace { outcome: Value::Object(outcomes), killed: self.killed(), ..trace };
        *self.left_behind.lock().unwrap_or_else(PoisonError::into_inner) = Some(trace);
        Ok(())
    }

    /// What "leave" has kept.
    pub(crate) fn take_left_behind(&self) -> Option<Trace> {
        self.left_behind.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Where the first process died, if it did.
    pub(crate) fn killed(&self) -> Option<KillPoint> {
        self.kill.filter(|_| self.gate.is_shut()).map(|kill| kill.point(&self.gate))
    }

    /// Ends all of it.
    pub(crate) async fn end(&self) {
        if self.is_over.swap(true, Ordering::AcqRel) {
            return;
        }
        for running in self.workers.lock().await.drain(..) {
            running.process.kill().await;
        }
        drop(self.outside.stop());
        self.over.notify_one();
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.over.notify_one();
    }
}

//! A world: one store, a client that never dies, workers that do. Starts a mix of executions, sends what they wait for,
//! kills, takes over and restarts by the seed, lets everything come to its end and judges it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stent_core::command::{Deadline, TakeOver};
use stent_core::limits::LOSSES;
use stent_core::{Command, ExecutionId, ExecutionState, FailureKind, Name, Store, Timestamp};
use stent_engine::{Engine, Runtime, StartRequest, Worker, WorkerConfig};
use stent_storetest::model::ModelStore;

use crate::functions::{Functions, LIMITED, ROOTS, spec, text_payload};
use crate::ledger::Ledger;
use crate::runtime::{ProcessId, Scheduler};
use crate::schedules;
use crate::store::SimStore;

/// When a world begins.
const BEGINNING: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// How many worker processes a world has.
const WORKERS: ProcessId = 3;

/// How many executions a world starts: two of each kind.
const EXECUTIONS: usize = 2 * ROOTS.len();

/// After so many polls a world that has not ended is broken.
const PATIENCE: u64 = 3_000_000;

/// What a simulation came to, for the curious.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Polls in all: the same for the same seed.
    pub polls: u64,
    /// Processes killed.
    pub kills: u32,
    /// Virtual time that passed.
    pub time: Duration,
}

type Slot<T> = Arc<Mutex<Option<T>>>;

fn put<T>(slot: &Slot<T>, value: T) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
}

fn take<T>(slot: &Slot<T>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

struct World {
    scheduler: Scheduler,
    model: ModelStore,
    ledger: Ledger,
    /// Restart times of dead processes, workers of living ones.
    processes: Vec<Process>,
    kills: u32,
    /// Kills, and living workers taken over.
    blows: u32,
}

enum Process {
    Alive(Slot<Worker>),
    Dead(Duration),
}

/// Runs the world of one seed to its end.
///
/// # Errors
/// Everything that is not as it must be, in words.
pub fn simulate(seed: u64) -> Result<Outline, String> {
    let scheduler = Scheduler::new(seed);
    let time = scheduler.runtime(0, 1.0);
    let clock = move || BEGINNING + time.now();
    let model = ModelStore::new(Arc::new(clock));
    let mut world = World { scheduler, model, ledger: Ledger::default(), processes: Vec::new(), kills: 0, blows: 0 };
    for number in 1..=WORKERS {
        let process = world.boot(number);
        world.processes.push(process);
    }
    let started = world.client();
    world.schedules();
    world.run(&started)?;
    world.judge(&started)?;
    Ok(Outline { polls: world.scheduler.polls(), kills: world.kills, time: world.scheduler.now() })
}

type Started = Arc<Mutex<Vec<(ExecutionId, &'static str)>>>;

impl World {
    fn chance(&self, one_in: u64) -> bool {
        self.scheduler.rng().lock().unwrap_or_else(PoisonError::into_inner).u64(..one_in) == 0
    }

    /// Starts a worker process with a clock of its own pace.
    fn boot(&mut self, number: ProcessId) -> Process {
        let pace = [1.0, 0.8, 1.3][number % 3];
        let runtime = self.scheduler.runtime(number, pace);
        let store: Arc<dyn Store> = Arc::new(SimStore::new(Arc::new(self.model.handle()), runtime.clone()));
        let engine = Engine::new(store, Arc::new(runtime.clone()));
        let host = Arc::new(Functions { runtime: runtime.clone(), ledger: self.ledger.clone() });
        let config = WorkerConfig {
            worker_id: format!("worker-{number}"),
            concurrency: 4,
            // At once, soon, or later: each meets other races.
            park_for: Duration::from_millis([0, 20, 400][number % 3]),
            mismatch_delay: Duration::from_millis(500),
            ..WorkerConfig::default()
        };
        let slot: Slot<Worker> = Arc::default();
        let into = Arc::clone(&slot);
        runtime.spawn(Box::pin(async move {
            if let Ok(worker) = engine.start_worker(config, host).await {
                put(&into, worker);
            }
        }));
        Process::Alive(slot)
    }

    /// The client: starts everything and sends what is waited for, in the world's process 0.
    fn client(&mut self) -> Started {
        let started: Started = Arc::default();
        let runtime = self.scheduler.runtime(0, 1.0);
        let store: Arc<dyn Store> = Arc::new(SimStore::new(Arc::new(self.model.handle()), runtime.clone()));
        let engine = Engine::new(store, Arc::new(runtime.clone()));
        for (at, root) in ROOTS.into_iter().cycle().take(EXECUTIONS).enumerate() {
            let (engine, runtime, started) = (engine.clone(), runtime.clone(), Arc::clone(&started));
            self.scheduler.runtime(0, 1.0).spawn(Box::pin(async move {
                runtime.sleep(Duration::from_millis(at as u64 * 37)).await;
                let request = StartRequest {
                    id: None,
                    spec: spec(root, &at.to_string()),
                    key: None,
                    due: None,
                    deadline: Deadline::default(),
                };
                let execution = engine.start(request).await.expect("the model never fails").execution;
                started.lock().unwrap_or_else(PoisonError::into_inner).push((execution, root));
                for word in ["x", "y"] {
                    runtime.sleep(Duration::from_millis(runtime.random() % 1_500)).await;
                    match root {
                        "signalled" | "impatient" => {
                            // Refused only by an execution that was lost too often: the judge looks at that.
                            drop(engine.signal(execution, Name::stored("go"), text_payload(word)).await);
                        }
                        "listener" => {
                            let (queue, name) = (Name::stored("default"), Name::stored(&format!("news-{at}")));
                            engine.emit(queue, name, text_payload(word)).await.expect("the model never fails");
                        }
                        _ => {}
                    }
                }
            }));
        }
        started
    }

    /// The schedules, whose steering is in the world's process 0.
    fn schedules(&mut self) {
        let runtime = self.scheduler.runtime(0, 1.0);
        let store: Arc<dyn Store> = Arc::new(SimStore::new(Arc::new(self.model.handle()), runtime.clone()));
        let engine = Engine::new(store, Arc::new(runtime.clone()));
        runtime.clone().spawn(Box::pin(schedules::live(engine, runtime)));
    }

    fn run(&mut self, started: &Started) -> Result<(), String> {
        let quiet_from = Duration::from_secs(8);
        loop {
            if self.scheduler.polls() > PATIENCE || self.scheduler.now() > Duration::from_secs(600) {
                return Err(format!("it does not end: {}", self.unfinished(started)));
            }
            if !self.scheduler.turn() {
                return Err(format!("nothing moves any more: {}", self.unfinished(started)));
            }
            if self.scheduler.now() < quiet_from {
                self.disturb();
            }
            self.restart();
            if self.scheduler.polls().is_multiple_of(16) {
                self.limits_hold(1)?;
            }
            if self.scheduler.polls().is_multiple_of(64) && self.all_ended(started) {
                return Ok(());
            }
        }
    }

    fn disturb(&mut self) {
        if self.chance(200) {
            let victim = self.scheduler.rng().lock().unwrap_or_else(PoisonError::into_inner).usize(0..WORKERS);
            if let Process::Alive(worker) = &self.processes[victim] {
                let worker = Arc::clone(worker);
                self.scheduler.kill(victim + 1);
                drop(take(&worker));
                let rest = Duration::from_millis(self.scheduler.runtime(0, 1.0).random() % 2_000);
                // Somebody has to wait for the restart, or time would have nowhere to go.
                let time = self.scheduler.runtime(0, 1.0);
                time.spawn(time.sleep(rest));
                self.processes[victim] = Process::Dead(self.scheduler.now() + rest);
                self.kills += 1;
                self.blows += 1;
            }
        }
        if self.chance(700) {
            self.blows += 1;
            self.take_a_living_one_over();
        }
    }

    /// Somebody judged a living worker dead: its late writes are refused, nothing else breaks.
    fn take_a_living_one_over(&mut self) {
        let store: Arc<dyn Store> = Arc::new(self.model.handle());
        self.scheduler.runtime(0, 1.0).spawn(Box::pin(async move {
            let sessions = store.sessions().await.unwrap_or_default();
            if let Some(session) = sessions.first() {
                let take = Command::TakeOver(TakeOver { session: session.session });
                drop(store.commit(0, vec![take]).await);
            }
        }));
    }

    fn restart(&mut self) {
        for number in 1..=WORKERS {
            if let Process::Dead(until) = self.processes[number - 1]
                && self.scheduler.now() >= until
            {
                self.processes[number - 1] = self.boot(number);
            }
        }
    }

    fn states(&self, started: &Started) -> Vec<(ExecutionId, &'static str, Option<stent_core::view::ExecutionView>)> {
        let started = started.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let view = |id| now(self.model.execution(id)).ok().flatten();
        started.into_iter().map(|(id, root)| (id, root, view(id))).collect()
    }

    fn all_ended(&self, started: &Started) -> bool {
        let states = self.states(started);
        states.len() == EXECUTIONS
            && states.iter().all(|(_, _, view)| view.as_ref().is_some_and(|view| view.state.is_terminal()))
    }

    fn unfinished(&self, started: &Started) -> String {
        let open = self
            .states(started)
            .into_iter()
            .filter(|(_, _, view)| view.as_ref().is_none_or(|view| !view.state.is_terminal()));
        open.map(|(id, root, _)| format!("{root}: {:#?}\n", now(self.model.tasks(id)))).collect()
    }

    /// No limited function has more slots in hand than this.
    fn limits_hold(&self, most: usize) -> Result<(), String> {
        for function in LIMITED {
            let holders = now(self.model.limit(&Name::stored(function))).map_err(|error| error.to_string())?.holders;
            if holders.len() > most {
                return Err(format!("{function} has {holders:?} under way, of {most} that may be"));
            }
        }
        Ok(())
    }

    fn judge(&self, started: &Started) -> Result<(), String> {
        let mut wrongs = self.ledger.wrongs();
        wrongs.extend(self.limits_hold(0).err());
        wrongs.extend(schedules::wrongs(&self.model, BEGINNING));
        for (id, root, view) in self.states(started) {
            let Some(view) = view else {
                wrongs.push(format!("{root} {id} is lost"));
                continue;
            };
            let expected: &[&str] = match root {
                "linear" => &["abcde"],
                "fan" => &["01234after"],
                "race" => &["ab"],
                "sleeper" => &["after"],
                "flaky" => &["second"],
                "compensates" => &["cancel-booking"],
                "keyed" => &["equal"],
                _ => &["xy"],
            };
            let result: Option<String> = view.result.as_ref().and_then(|result| result.read().ok());
            let fits = result.as_deref().is_some_and(|result| expected.contains(&result));
            // Killed under five workers in a row without a new record: a dead letter, as promised.
            let lost = view.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Lost)
                || result.as_deref().is_some_and(|result| result.contains("times in a row"));
            if lost && self.blows >= LOSSES {
                continue;
            }
            if view.state != ExecutionState::Completed || !fits {
                wrongs.push(format!("{root} {id} ended as {} with {result:?}, {:?}", view.state, view.failure));
            }
        }
        if wrongs.is_empty() { Ok(()) } else { Err(wrongs.join("\n")) }
    }
}

/// The answer of a query that is ready at once, as the model's are.
fn now<T>(query: stent_core::store::Query<'_, T>) -> Result<T, stent_core::StoreError> {
    let mut query = query;
    match query.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => panic!("the model answers at once"),
    }
}

//! `max_concurrent`: a limited function sleeps, is retried, is killed and recurses; two versions register different
//! limits. A gauge outside of any store counts who is in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stent_core::history::Due;
use stent_core::{ExecutionState, MaxConcurrent, RetryPolicy, TaskId, TaskOptions, TaskRef, TaskSpec, TaskState};
use stent_engine::{AttemptError, Engine, EngineError, Obstacle, StartRequest, Why, WorkerConfig};

use crate::kit::world::{Client, config};
use crate::kit::{Functions, Gates, Ledger, Run, World, eventually, failure, name, request, spec};

on_all_stores!(
    a_task_that_sleeps_keeps_its_slot_and_leaves_the_workers_to_others,
    a_retry_in_its_back_off_leaves_its_slot_to_others,
    the_slots_of_a_killed_worker_return,
    a_cancelled_task_keeps_its_slot_until_its_code_is_gone,
    recursion_into_a_full_limit_is_named,
    of_two_versions_the_smaller_limit_counts,
    a_limited_function_is_never_exceeded_and_leaks_nothing_whatever_becomes_of_its_tasks,
    calls_of_a_limited_function_follow_each_other_without_a_poll,
    whatever_is_in_the_way_of_a_task_is_named,
);

/// How many tasks are in, and how many were at most, as one process sees it. A kill ends all code of a process at once;
/// that of a dropped worker ends where the runtime next comes to it, by which time others may have its tasks. So whoever
/// drops one says first that its process is dead. Code that was put aside has ended before its task is gone on with.
#[derive(Clone)]
struct Gauge {
    counts: Arc<Mutex<Counts>>,
    process: usize,
}

#[derive(Default)]
struct Counts {
    /// The tasks whose code is in, by process; the dead have no place here.
    inside: BTreeMap<usize, BTreeSet<TaskId>>,
    most: usize,
    processes: usize,
}

/// One who is in, until it is dropped or its process dies.
struct In(Gauge, TaskId);

impl Gauge {
    fn new() -> Self {
        Self { counts: Arc::default(), process: 0 }.another()
    }

    /// The same gauge in another process.
    fn another(&self) -> Self {
        let mut counts = self.counts();
        counts.processes += 1;
        let process = counts.processes;
        counts.inside.insert(process, BTreeSet::new());
        Self { counts: Arc::clone(&self.counts), process }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, run: &Run) -> In {
        let task = run.task_id();
        let mut counts = self.counts();
        if let Some(inside) = counts.inside.get_mut(&self.process) {
            assert!(inside.insert(task), "the task {task} is in twice in one process");
        }
        let now: BTreeSet<_> = counts.inside.values().flatten().collect();
        counts.most = counts.most.max(now.len());
        In(self.clone(), task)
    }

    /// What of this process is in is in no more.
    fn dies(&self) {
        self.counts().inside.remove(&self.process);
    }

    fn most(&self) -> usize {
        self.counts().most
    }
}

impl Drop for In {
    fn drop(&mut self) {
        let Self(gauge, task) = self;
        if let Some(inside) = gauge.counts().inside.get_mut(&gauge.process) {
            inside.remove(task);
        }
    }
}

async fn holders(engine: &Engine, function: &str) -> Vec<TaskRef> {
    engine.store().limit(&name(function)).await.unwrap().holders
}

/// Retried after this.
fn retried(function: &str, args: &str, delay: Duration, attempts: u32) -> TaskSpec {
    let options = TaskOptions { retry: RetryPolicy::fixed(delay, attempts), timeout_ms: None, memo: None };
    TaskSpec { options, ..spec(function, args) }
}

fn impatient() -> WorkerConfig {
    WorkerConfig { park_for: Duration::from_millis(20), ..config() }
}

/// Scenario 30: sleeping counts, and holds no worker's slot.
async fn a_task_that_sleeps_keeps_its_slot_and_leaves_the_workers_to_others(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("limited", |run: Run| async move {
            run.note("in");
            run.signal("go", None).await?;
            Ok(String::new())
        })
        .with("other", |_| async move { Ok("done".into()) })
        .limit("limited", 2);
    let engine = world.engine();
    let worker = WorkerConfig { concurrency: 1, ..impatient() };
    let _worker = engine.start_worker(worker, Arc::new(functions)).await.unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|args| engine.begin("limited", args));
    let (a, b, c) = (a.await, b.await, c.await);
    for id in [a, b] {
        let task = TaskRef::root(id);
        let state = || async { engine.store().task(task).await.unwrap().unwrap().state };
        eventually("it is suspended", || async { state().await == TaskState::Suspended }).await;
    }
    let other = engine.begin("other", "").await;
    assert_eq!(engine.result(other).await, "done");
    assert_eq!(ledger.count("c:in"), 0);
    let why = engine.why(TaskRef::root(c).task).await.unwrap();
    let Why::Pending(obstacles) = &why else { panic!("{why}") };
    let wanted = Obstacle::LimitReached {
        function: name("limited"),
        limit: MaxConcurrent::new(2).unwrap(),
        holders: vec![TaskRef::root(a), TaskRef::root(b)],
        ancestors: Vec::new(),
    };
    assert_eq!(*obstacles, [wanted]);
    engine.signal(b, name("go"), crate::kit::payload("")).await.unwrap();
    engine.result(b).await;
    ledger.reaches("c:in", 1).await;
    for id in [a, c] {
        engine.signal(id, name("go"), crate::kit::payload("")).await.unwrap();
        engine.result(id).await;
    }
    assert_eq!(holders(&engine, "limited").await, []);
}

/// Scenario 30: between retries a slot is free.
async fn a_retry_in_its_back_off_leaves_its_slot_to_others(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("limited", |run: Run| async move {
            run.note("in");
            if run.args == "fails" && run.context.task().attempt == 1 {
                return Err(AttemptError::Failed(failure("not yet")));
            }
            Ok(String::new())
        })
        .limit("limited", 1);
    let engine = world.engine();
    let _worker = engine.start_worker(config(), Arc::new(functions)).await.unwrap();
    let hour = Duration::from_secs(3_600);
    let fails = engine.start(request(retried("limited", "fails", hour, 2))).await.unwrap().execution;
    ledger.reaches("fails:in", 1).await;
    let next = engine.begin("limited", "next").await;
    engine.result(next).await;
    assert_eq!(ledger.count("fails:in"), 1, "the other one went first");
    world.clock.set_offset_ms(3_601_000);
    engine.result(fails).await;
    assert_eq!(ledger.count("fails:in"), 2);
    assert_eq!(holders(&engine, "limited").await, []);
}

/// Scenario 30: a dead worker's slots return with its tasks.
async fn the_slots_of_a_killed_worker_return(world: World) {
    let (ledger, gates, gauge) = (Ledger::default(), Gates::default(), Gauge::new());
    let functions = |gauge: Gauge| {
        let code = move |run: Run| {
            let gauge = gauge.clone();
            async move {
                let _in = gauge.enter(&run);
                run.note("in");
                run.gates.pass(&run.args).await;
                Ok(String::new())
            }
        };
        Functions::new(&ledger, &gates).with("limited", code).limit("limited", 2)
    };
    let engine = world.engine();
    let dies = world.worker(functions(gauge.clone())).await;
    let started = [engine.begin("limited", "a").await, engine.begin("limited", "b").await];
    ledger.reaches("a:in", 1).await;
    ledger.reaches("b:in", 1).await;
    let third = engine.begin("limited", "c").await;
    let _lives = world.worker(functions(gauge.another())).await;
    gauge.dies();
    drop(dies);
    ledger.reaches("a:in", 2).await;
    ledger.reaches("b:in", 2).await;
    assert_eq!(ledger.count("c:in"), 0, "what was lost comes first");
    ["a", "b", "c"].iter().for_each(|gate| gates.open(gate));
    for id in started.into_iter().chain([third]) {
        engine.result(id).await;
    }
    assert_eq!((gauge.most(), holders(&engine, "limited").await), (2, vec![]));
}

/// A cancel ends the task at once, but its code only where it next meets the engine; nobody takes its place before.
async fn a_cancelled_task_keeps_its_slot_until_its_code_is_gone(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("limited", |run: Run| async move {
            // Asked before anybody hears that it is in, and may open the gate.
            let gone = run.gates.is_open("gone");
            run.note("in");
            if run.args == "busy" && !gone {
                // Code that holds on to its thread: nothing can stop it, whatever is written about it.
                while !run.gates.is_open("gone") {
                    std::thread::yield_now();
                }
                run.note("out");
            }
            Ok(String::new())
        })
        .limit("limited", 1);
    let engine = world.engine();
    let _worker = world.worker(functions).await;
    let busy = engine.begin("limited", "busy").await;
    ledger.reaches("busy:in", 1).await;
    engine.cancel(TaskRef::root(busy).task).await.unwrap();
    assert_eq!(engine.ended(busy).await.state, ExecutionState::Cancelled);
    let next = engine.begin("limited", "next").await;
    // Others are claimed meanwhile, so there was every occasion.
    assert_eq!(holders(&engine, "limited").await, [TaskRef::root(busy)]);
    gates.open("gone");
    engine.result(next).await;
    let order = ledger.all();
    assert_eq!(order, ["busy:in", "busy:out", "next:in"]);
    assert_eq!(holders(&engine, "limited").await, []);
}

/// Scenario 30: a function that calls itself while its limit is used up waits for itself, and `why` says so.
async fn recursion_into_a_full_limit_is_named(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("limited", |run: Run| async move {
            run.note("in");
            let deeper = if run.args == "1" { "2" } else { "3" };
            run.child("limited", deeper).call.await?;
            Ok(String::new())
        })
        .limit("limited", 2);
    let engine = world.engine();
    let _worker = world.worker(functions).await;
    let id = engine.begin("limited", "1").await;
    ledger.reaches("2:in", 1).await;
    let third = || async {
        let tasks = engine.tasks(id).await;
        (tasks.len() == 3).then(|| tasks.into_iter().find(|task| task.state == TaskState::Pending)).flatten()
    };
    eventually("the third is queued", || async { third().await.is_some() }).await;
    let (root, third) = (TaskRef::root(id), third().await.unwrap());
    let why = engine.why(third.task.task).await.unwrap();
    let Why::Pending(obstacles) = &why else { panic!("{why}") };
    let [Obstacle::LimitReached { holders, ancestors, limit, .. }] = &obstacles[..] else { panic!("{why}") };
    let second = TaskRef { execution: id, task: third.parent.unwrap() };
    assert_eq!((limit.get(), holders.len(), ancestors), (2, 2, &vec![second, root]));
    assert!(why.to_string().contains("a task that waits for its own slot waits for ever"), "{why}");
    let why = engine.why(root.task).await.unwrap();
    assert!(matches!(&why, Why::Running(_, open) | Why::Suspended(open) if open.len() == 1), "{why}");
    assert_eq!(ledger.count("3:in"), 0);
    engine.cancel(root.task).await.unwrap();
    eventually("all slots are back", || async { holders_of(&engine).await == 0 }).await;
}

async fn holders_of(engine: &Engine) -> usize {
    holders(engine, "limited").await.len()
}

/// Scenario 30: two versions register limits of 5 and 3: never more than the smaller of new claims.
async fn of_two_versions_the_smaller_limit_counts(world: World) {
    let (ledger, gates, gauge) = (Ledger::default(), Gates::default(), Gauge::new());
    let counter = gauge.clone();
    let functions = Functions::new(&ledger, &gates).with("limited", move |run: Run| {
        let counter = counter.clone();
        async move {
            let _in = counter.enter(&run);
            run.note("in");
            run.gates.pass("three are in").await;
            run.nap(1).await?;
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok(String::new())
        }
    });
    let engine = world.engine();
    let _three = world.worker(functions.clone().limit("limited", 3)).await;
    let _five = world.worker(functions.limit("limited", 5)).await;
    eventually("both have published", || async { engine.store().functions().await.unwrap().len() == 2 }).await;
    let mut started = Vec::new();
    for _ in 0..60 {
        started.push(engine.begin("limited", "").await);
    }
    ledger.reaches("in", 3).await;
    gates.open("three are in");
    for id in started {
        engine.result(id).await;
    }
    assert_eq!((gauge.most(), holders_of(&engine).await), (3, 0));
}

/// Scenario 30, all of it at once: tasks nap, fail and are retried, are cancelled, and their workers die.
async fn a_limited_function_is_never_exceeded_and_leaks_nothing_whatever_becomes_of_its_tasks(world: World) {
    let (ledger, gates, gauge) = (Ledger::default(), Gates::default(), Gauge::new());
    let functions = |gauge: Gauge| {
        let code = move |run: Run| {
            let gauge = gauge.clone();
            async move {
                let _in = gauge.enter(&run);
                let number: u32 = run.args.parse().unwrap();
                run.step("first").await?;
                if number.is_multiple_of(3) {
                    run.nap(5).await?;
                }
                if number.is_multiple_of(4) && run.context.task().attempt == 1 {
                    return Err(AttemptError::Failed(failure("not yet")));
                }
                run.step("second").await?;
                Ok(String::new())
            }
        };
        Functions::new(&ledger, &gates).with("limited", code).limit("limited", 3)
    };
    let engine = world.engine();
    let process = async || {
        let gauge = gauge.another();
        (gauge.clone(), world.worker_with(functions(gauge), impatient()).await)
    };
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(process().await);
    }
    let mut started = Vec::new();
    for number in 0..60 {
        let spec = retried("limited", &number.to_string(), Duration::from_millis(5), 3);
        started.push(engine.start(request(spec)).await.unwrap().execution);
        if number % 20 == 10 {
            // A crash, and another process in its place.
            let (gauge, worker) = workers.remove(0);
            gauge.dies();
            drop(worker);
            workers.push(process().await);
        }
        if number % 7 == 6 {
            drop(engine.cancel(TaskRef::root(started[number / 2]).task).await);
        }
    }
    for id in started {
        let state = engine.ended(id).await.state;
        assert!(matches!(state, ExecutionState::Completed | ExecutionState::Cancelled), "{state}");
    }
    eventually("all slots are back", || async { holders_of(&engine).await == 0 }).await;
    assert!((1..=3).contains(&gauge.most()), "{} at once", gauge.most());
}

/// Whoever ends a task of a limited function claims the next with it: nothing waits for a poll.
async fn calls_of_a_limited_function_follow_each_other_without_a_poll(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions =
        Functions::new(&ledger, &gates).with("limited", |_| async move { Ok(String::new()) }).limit("limited", 1);
    // Longer than anybody here waits for a result.
    let slow = WorkerConfig { poll_interval: Duration::from_secs(600), ..config() };
    let engine = world.engine();
    let _here = engine.start_worker(slow.clone(), Arc::new(functions.clone())).await.unwrap();
    let _there = world.worker_with(functions, slow).await;
    let mut started = Vec::new();
    for _ in 0..40 {
        started.push(engine.begin("limited", "").await);
    }
    for id in started {
        engine.result(id).await;
    }
    assert_eq!(holders_of(&engine).await, 0);
}

async fn whatever_is_in_the_way_of_a_task_is_named(world: World) {
    let engine = world.engine();
    let due = Some(Due::In(Duration::from_secs(3_600)));
    let id = engine.start(StartRequest { due, ..request(spec("later", "")) }).await.unwrap().execution;
    let task = TaskRef::root(id).task;
    engine.set_queue(name("default"), Some(true)).await.unwrap();
    let why = engine.why(task).await.unwrap();
    let Why::Pending(obstacles) = &why else { panic!("{why}") };
    let [unknown, paused, Obstacle::Delayed { until, left }] = &obstacles[..] else { panic!("{why}") };
    assert_eq!(*unknown, Obstacle::UnknownFunction(name("later")));
    assert_eq!(*paused, Obstacle::PausedQueue(name("default")));
    let view = engine.root(id).await;
    assert_eq!((Some(*until), *left <= Duration::from_secs(3_600)), (view.due, true));
    let words =
        "no live worker knows the function \"later\"; its queue \"default\" is paused; it is delayed for another ";
    assert!(why.to_string().starts_with(words), "{why}");
    let _worker = world
        .worker(
            Functions::new(&Ledger::default(), &Gates::default()).with("later", |_| async move { Ok(String::new()) }),
        )
        .await;
    engine.set_queue(name("default"), Some(false)).await.unwrap();
    eventually("nothing but the delay is left", || async {
        matches!(engine.why(task).await, Ok(Why::Pending(left)) if matches!(left[..], [Obstacle::Delayed { .. }]))
    })
    .await;
    engine.cancel(task).await.unwrap();
    assert_eq!(engine.why(task).await.unwrap(), Why::Ended(TaskState::Cancelled));
    let unknown = engine.why(TaskRef::root(engine.new_execution_id()).task).await;
    assert!(matches!(unknown, Err(EngineError::Unknown)), "{unknown:?}");
}

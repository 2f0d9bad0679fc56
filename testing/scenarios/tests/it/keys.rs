//! Scenarios 8 and 29, and what seeds ask of results that are kept: one result for a key whatever becomes of who runs,
//! falsey ones too; a cache with a time; key functions that are asked once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stent_core::command::{Deadline, Effect, Start};
use stent_core::view::MemoView;
use stent_core::{ExecutionId, ExecutionState, Memo, MemoKey, Payload, RetryPolicy, TaskRef, TaskState};
use stent_engine::{AttemptError, Engine};

use crate::kit::code::said;
use crate::kit::world::Client;
use crate::kit::{Functions, Gates, Ledger, Run, Text, World, eventually, failure, name, payload, request, spec};

on_all_stores!(
    a_key_function_that_reads_the_clock_is_asked_once_and_never_on_replay,
    a_holder_that_fails_for_good_leaves_the_key_to_the_next,
    a_holder_that_is_cancelled_leaves_the_key_to_the_next,
    a_holder_that_sleeps_in_back_off_keeps_the_key,
    a_holder_that_is_an_ancestor_of_the_caller_is_named,
    a_holder_whose_process_dies_keeps_the_key,
    many_callers_of_one_key_get_one_result,
    a_falsey_result_is_a_hit_and_runs_nothing,
    a_cached_result_is_kept_until_its_time_is_over_by_the_stores_clock,
    with_both_options_the_key_outlives_the_cache,
);

fn memo_key(text: &str) -> MemoKey {
    MemoKey::new(text).unwrap()
}

/// Idempotent under this key.
fn once(text: &str) -> Option<Memo> {
    Some(Memo::idempotent(memo_key(text)))
}

async fn begin(client: &Engine, function: &str, args: &str, memo: Option<Memo>) -> ExecutionId {
    let mut spec = spec(function, args);
    spec.options.memo = memo.map(Box::new);
    client.start(request(spec)).await.unwrap().execution
}

async fn kept(client: &Engine, key: &str) -> Option<MemoView> {
    client.store().memo(memo_key(key)).await.unwrap()
}

/// Resolves once so many wait for a key.
async fn wait_in_line(client: &Engine, key: &str, count: usize) {
    let stand = || async { kept(client, key).await.is_some_and(|view| view.waiting.len() == count) };
    eventually("they stand in the line", stand).await;
}

/// Runs its body behind a gate of its own name, and does there what its arguments say.
async fn charge(run: Run) -> Text {
    run.ledger.add("charge");
    run.note("body");
    run.gates.pass(&run.args).await;
    if run.args == "fails" { Err(AttemptError::Failed(failure("no money"))) } else { Ok(run.args.clone()) }
}

/// Scenario 8: A key function that reads the clock: evaluated once, replayed from the record. Of a child, and of a
/// dispatch.
async fn a_key_function_that_reads_the_clock_is_asked_once_and_never_on_replay(world: World) {
    static CLOCK: AtomicUsize = AtomicUsize::new(0);
    fn key_of_now(run: &Run) -> Memo {
        run.note("key");
        let now = CLOCK.fetch_add(1, Ordering::Relaxed);
        Memo::idempotent(memo_key(&format!("daily|None|{now}")))
    }
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates).with("charge", charge).with("parent", |run: Run| async move {
        let make = || Ok::<_, Infallible>(Some(key_of_now(&run)));
        let Ok(child) = run.start_child_with(&name("charge"), spec("charge", "child"), None, make);
        let make = || {
            let (id, mut spec) = (run.engine().new_execution_id(), spec("charge", "dispatched"));
            spec.options.memo = Some(Box::new(key_of_now(&run)));
            let start = Start { id, spec, key: None, due: None, deadline: Deadline::default(), claim_for: None };
            Ok::<_, Infallible>(Effect::Start(Box::new(start)))
        };
        let Ok(dispatched) = run.effect_with("dispatch", make);
        let dispatched: serde_json::Value = dispatched.await?.payload.read().unwrap_or_default();
        run.gated("park").await?;
        let first = said(&child.call.await?);
        // The next call of the same name is another: its key is asked for.
        let make = || Ok::<_, Infallible>(Some(key_of_now(&run)));
        let Ok(again) = run.start_child_with(&name("charge"), spec("charge", "child"), None, make);
        Ok(format!("{first} {} {}", said(&again.call.await?), dispatched["execution"].as_str().unwrap_or_default()))
    });
    let client = world.engine();
    let worker = world.worker(functions.clone()).await;
    let id = client.begin("parent", "").await;
    ledger.reaches("park", 1).await;
    ledger.reaches("child:body", 1).await;
    drop(worker);
    for gate in ["child", "dispatched", "park"] {
        gates.open(gate);
    }
    let _second = world.worker(functions).await;
    let result = client.result(id).await;
    let dispatched = result.strip_prefix("child child ").unwrap();
    assert_eq!(client.result(dispatched.parse().unwrap()).await, "dispatched");
    assert_eq!(ledger.count("key"), 3, "once for each call: {:?}", ledger.all());
    // The body of the first child was running when the process died, and was run again under the same key.
    assert_eq!((ledger.count("child:body"), ledger.count("dispatched:body") >= 1), (3, true));
}

/// A process that runs `charge`, one call of a key that has begun, and another one that waits for it.
struct Two {
    client: Engine,
    ledger: Ledger,
    gates: Gates,
    holder: ExecutionId,
    waiter: ExecutionId,
    _worker: stent_engine::Worker,
}

impl Two {
    async fn begin(world: &World, holder: &str) -> Self {
        let (ledger, gates) = (Ledger::default(), Gates::default());
        let worker = world.worker(Functions::new(&ledger, &gates).with("charge", charge)).await;
        let client = world.engine();
        let first = begin(&client, "charge", holder, once("k")).await;
        ledger.reaches(&format!("{holder}:body"), 1).await;
        let waiter = begin(&client, "charge", "second", once("k")).await;
        wait_in_line(&client, "k", 1).await;
        let second = client.root(waiter).await;
        assert_eq!((second.state, second.session), (TaskState::Suspended, None), "it holds nothing");
        gates.open("second");
        Self { client, ledger, gates, holder: first, waiter, _worker: worker }
    }

    /// The second ran its body, and a third finds what it came to.
    async fn the_second_decides(&self) {
        assert_eq!(self.client.result(self.waiter).await, "second");
        let third = begin(&self.client, "charge", "third", once("k")).await;
        assert_eq!(self.client.result(third).await, "second");
        assert!(self.client.root(third).await.is_cache_hit() && !self.client.root(self.waiter).await.is_cache_hit());
        assert_eq!(self.ledger.count("charge"), 2, "{:?}", self.ledger.all());
    }
}

/// Scenario 29: The holder of an idempotency key fails for good: the oldest waiter gets the key.
async fn a_holder_that_fails_for_good_leaves_the_key_to_the_next(world: World) {
    let two = Two::begin(&world, "fails").await;
    two.gates.open("fails");
    assert_eq!(two.client.ended(two.holder).await.state, ExecutionState::Failed);
    two.the_second_decides().await;
    // Its replay finds what others have done meanwhile.
    two.client.replay_letter(two.holder.root(), true, None).await.unwrap();
    assert_eq!(two.client.result(two.holder).await, "second");
    assert_eq!(two.ledger.count("charge"), 2);
}

/// Scenario 29: The holder is cancelled.
async fn a_holder_that_is_cancelled_leaves_the_key_to_the_next(world: World) {
    let two = Two::begin(&world, "first").await;
    two.client.cancel(two.holder.root()).await.unwrap();
    assert_eq!(two.client.ended(two.holder).await.state, ExecutionState::Cancelled);
    two.the_second_decides().await;
}

/// Scenario 29: The holder sleeps in back-off: the waiters go on waiting, and get what its next attempt comes to.
async fn a_holder_that_sleeps_in_back_off_keeps_the_key(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates).with("flaky", |run: Run| async move {
        run.note("body");
        if run.attempt() == 1 { Err(AttemptError::Failed(failure("try again"))) } else { Ok(run.args.clone()) }
    });
    let _worker = world.worker(functions).await;
    let client = world.engine();
    let mut first = spec("flaky", "first");
    first.options.retry = RetryPolicy::fixed(Duration::from_secs(3_600), 2);
    first.options.memo = once("k").map(Box::new);
    let holder = client.start(request(first)).await.unwrap().execution;
    let rests = || async { client.root(holder).await.due.is_some() };
    eventually("the holder rests until its next attempt", rests).await;
    let waiter = begin(&client, "flaky", "second", once("k")).await;
    wait_in_line(&client, "k", 1).await;
    assert_eq!(kept(&client, "k").await.unwrap().holder, Some(TaskRef::root(holder)));
    world.clock.set_offset_ms(3_601_000);
    assert_eq!(client.result(holder).await, "first");
    assert_eq!(client.result(waiter).await, "first");
    assert_eq!((ledger.count("first:body"), ledger.count("second:body")), (2, 0));
}

/// Scenario 29: The holder is an ancestor of the caller, which would wait for itself: an error that names both.
async fn a_holder_that_is_an_ancestor_of_the_caller_is_named(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("between", |run: Run| async move {
            let mut below = spec("charge", "below");
            below.options.memo = once("k").map(Box::new);
            let child = run.start_child(&name("charge"), below, None);
            let (id, end) = (child.id, child.call.await?);
            Ok(format!("{id} {}", said(&end)))
        })
        .with("above", |run: Run| async move { Ok(said(&run.child("between", "").call.await?)) })
        .with("charge", charge);
    let _worker = world.worker(functions).await;
    let client = world.engine();
    let id = begin(&client, "above", "", once("k")).await;
    let words = client.result(id).await;
    let (child, words) = words.split_once(' ').unwrap();
    assert!(words.contains(child) && words.contains(&id.to_string()) && words.contains("\"k\""), "{words}");
    assert!(words.contains("would wait for itself"), "{words}");
    assert_eq!(ledger.count("charge"), 0);
    // It was not tried again, and the holder has the key.
    let below = client.tasks(id).await.into_iter().find(|task| task.task.task.to_string() == child).unwrap();
    assert_eq!((below.state, below.attempt), (TaskState::Failed, 1));
    assert_eq!(kept(&client, "k").await.unwrap().holder, Some(TaskRef::root(id)));
}

/// A key outlives the process of its holder: another one runs the body again, and only that one.
async fn a_holder_whose_process_dies_keeps_the_key(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates).with("charge", charge);
    let client = world.engine();
    let worker = world.worker(functions.clone()).await;
    let holder = begin(&client, "charge", "first", once("k")).await;
    ledger.reaches("first:body", 1).await;
    let waiter = begin(&client, "charge", "second", once("k")).await;
    wait_in_line(&client, "k", 1).await;
    drop(worker);
    let _second = world.worker(functions).await;
    ledger.reaches("first:body", 2).await;
    assert_eq!(kept(&client, "k").await.unwrap().waiting, [TaskRef::root(waiter)]);
    gates.open("first");
    assert_eq!((client.result(holder).await, client.result(waiter).await), ("first".into(), "first".into()));
    assert_eq!(ledger.count("second:body"), 0);
}

/// Three processes, roots and children, all at once: one body runs.
async fn many_callers_of_one_key_get_one_result(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates).with("charge", charge).with("caller", |run: Run| async move {
        let calls = (0..4).map(|number| {
            let mut one = spec("charge", &format!("{} {number}", run.args));
            one.options.memo = once("k").map(Box::new);
            run.start_child(&name("charge"), one, None).call
        });
        let mut ends = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            ends.push(said(&call.await?));
        }
        ends.dedup();
        Ok(ends.join("/"))
    });
    let client = world.engine();
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(world.worker(functions.clone()).await);
    }
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(client.begin("caller", &format!("caller {number}")).await);
        ids.push(begin(&client, "charge", &format!("root {number}"), once("k")).await);
    }
    ledger.reaches("charge", 1).await;
    wait_in_line(&client, "k", 19).await;
    let open: Vec<_> =
        ledger.all().into_iter().filter_map(|entry| Some(entry.strip_suffix(":body")?.to_owned())).collect();
    assert_eq!(open.len(), 1, "{open:?}");
    gates.open(&open[0]);
    for id in ids {
        assert_eq!(client.result(id).await, open[0]);
    }
    assert_eq!(ledger.count("charge"), 1);
    assert_eq!(kept(&client, "k").await.unwrap().result, Some(payload(&open[0])));
}

/// Seed 004, P0.2: a falsey result is a hit: idempotent, cached, as a root and as a child.
async fn a_falsey_result_is_a_hit_and_runs_nothing(world: World) {
    let ledger = Ledger::default();
    let functions = Functions::new(&ledger, &Gates::default())
        .with("empty", |run: Run| async move {
            run.ledger.add("empty");
            Ok(String::new())
        })
        .with("caller", |run: Run| async move {
            let mut one = spec("empty", "");
            one.options.memo = Some(Box::new(Memo::idempotent(memo_key(&run.args))));
            let end = run.start_child(&name("empty"), one, None).call.await?;
            Ok(format!("{:?} {:?}", end.verdict, said(&end)))
        });
    let _worker = world.worker(functions).await;
    let client = world.engine();
    let cached = Memo::cached(memo_key("cached"), None);
    for (bodies, (key, memo)) in (1..).zip([("once", once("once")), ("cached", Some(cached))]) {
        for _ in 0..3 {
            let id = begin(&client, "empty", "", memo.clone()).await;
            assert_eq!(client.result(id).await, "");
        }
        assert_eq!(ledger.count("empty"), bodies, "{key}");
    }
    let id = client.begin("caller", "once").await;
    assert_eq!(client.result(id).await, "Ok \"\"");
    assert!(client.tasks(id).await.iter().any(|task| !task.task.is_root() && task.is_cache_hit()));
    assert_eq!(ledger.count("empty"), 2);
}

/// A function that counts its runs, and comes to which run it was.
fn counting(ledger: &Ledger) -> Functions {
    let runs = Arc::new(AtomicUsize::new(0));
    Functions::new(ledger, &Gates::default()).with("count", move |_| {
        let runs = Arc::clone(&runs);
        async move { Ok(format!("run {}", runs.fetch_add(1, Ordering::Relaxed) + 1)) }
    })
}

async fn counted(client: &Engine, memo: &Memo) -> String {
    let id = begin(client, "count", "", Some(memo.clone())).await;
    client.result(id).await
}

async fn a_cached_result_is_kept_until_its_time_is_over_by_the_stores_clock(world: World) {
    let _worker = world.worker(counting(&Ledger::default())).await;
    let client = world.engine();
    let memo = Memo::cached(memo_key("rates|None|[]"), Some(Duration::from_secs(3_600)));
    let other = Memo::cached(memo_key("rates|v2|[]"), Some(Duration::from_secs(3_600)));
    assert_eq!(counted(&client, &memo).await, "run 1");
    assert_eq!(counted(&client, &memo).await, "run 1");
    world.clock.set_offset_ms(3_000_000);
    assert_eq!(counted(&client, &memo).await, "run 1");
    assert_eq!(counted(&client, &other).await, "run 2", "another version is another key");
    world.clock.set_offset_ms(3_601_000);
    assert_eq!(counted(&client, &memo).await, "run 3");
    assert_eq!(client.clear_cache(Some(memo_key("rates|None|[]"))).await.unwrap(), 1);
    assert_eq!(counted(&client, &memo).await, "run 4");
    assert_eq!(client.clear_cache(None).await.unwrap(), 2);
    assert_eq!(client.clear_cache(None).await.unwrap(), 0);
}

async fn with_both_options_the_key_outlives_the_cache(world: World) {
    let _worker = world.worker(counting(&Ledger::default())).await;
    let client = world.engine();
    let both = Memo::idempotent(memo_key("k")).and_cached(Some(Duration::from_secs(60)));
    assert_eq!(counted(&client, &both).await, "run 1");
    let view = kept(&client, "k").await.unwrap();
    assert_eq!((view.result, view.cached.unwrap().value), (Some(Payload::json("run 1").unwrap()), payload("run 1")));
    world.clock.set_offset_ms(61_000);
    client.clear_cache(None).await.unwrap();
    assert_eq!(counted(&client, &both).await, "run 1");
}

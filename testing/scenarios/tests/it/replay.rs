//! Scenarios 1 to 12: a task's code runs again over its records and goes the very way it went, whatever is ready by
//! then; what does not fit is named before anything runs; interrupted code leaves nothing behind.

use std::collections::HashSet;
use std::time::Duration;

use stent_core::command::{Effect, Emit, Number, Signal, Start};
use stent_core::{
    Codec, Command, ExecutionState, FailureKind, Payload, RecordKind, RetryPolicy, TaskRef, TaskState, Verdict,
};
use stent_engine::{AttemptError, Begun, Worker, WorkerConfig};

use crate::kit::code::said;
use crate::kit::hands::commit;
use crate::kit::world::{Client, config};
use crate::kit::{Functions, Gates, Ledger, Run, Text, World, eventually, failure, name, payload, race, request, spec};

on_all_stores!(
    a_race_takes_the_same_winner_again_although_both_are_ready,
    a_timeout_that_fired_fires_again_although_the_result_is_there,
    a_failure_is_given_again_and_the_rest_of_the_compensation_follows,
    a_retry_keeps_successes_and_runs_failures_anew,
    a_retry_that_calls_a_child_with_other_arguments_gets_another_child,
    two_branches_of_one_name_each_get_their_own_receipt,
    derived_keys_are_the_same_in_the_second_run,
    arguments_in_another_order_are_the_same_call,
    effects_of_a_durable_function_happen_once,
    changed_code_is_named_before_anything_runs_and_the_old_code_goes_on,
    changed_code_that_only_waits_for_what_it_had_left_open_is_named,
    a_child_that_ends_before_it_is_asked_for_again_is_recorded_once,
    code_that_ends_before_it_gets_all_that_it_asked_for_has_not_changed,
    nothing_is_recorded_of_code_that_swallows_a_suspension,
    nothing_is_recorded_of_code_that_swallows_a_cancellation,
    a_branch_that_outlives_its_parents_suspension_cannot_write,
    a_branch_that_outlives_its_parents_cancellation_cannot_write,
);

/// How often a race is run: in all of them the second run must go the first one's way.
const RACES: usize = 20;

/// A child that ends once its gate is open: its arguments name it.
async fn leaf(run: Run) -> Text {
    Ok(run.gated("leaf").await?)
}

fn leaves(functions: Functions) -> Functions {
    // A leaf's gate is that of its arguments, not of its step.
    functions.with("leaf", |run: Run| async move {
        let gate = run.gates.pass(&run.args);
        let body = async {
            gate.await;
            Ok(run.args.clone())
        };
        Ok(said(&run.step_with("leaf", body).await?))
    })
}

/// Scenario 1: Child A ends, the race takes A, step X is recorded, B ends, crash. Replay takes A again although both
/// are ready.
async fn a_race_takes_the_same_winner_again_although_both_are_ready(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = leaves(Functions::new(&ledger, &gates)).with("racer", |run: Run| async move {
        let (a, b) = (run.child("leaf", &format!("{}a", run.args)), run.child("leaf", &format!("{}b", run.args)));
        let (won, first, other) = race(a.call, b.call).await?;
        let x = run.step(&format!("after {}", ["a", "b"][won])).await?;
        run.gated("park").await?;
        Ok(format!("{} {x} {}", said(&first), said(&other.await?)))
    });
    let client = world.engine();
    let worker = world.worker(functions.clone()).await;
    let mut ids = Vec::new();
    for number in 0..RACES {
        gates.open(&format!("{number}a"));
        ids.push(client.begin("racer", &number.to_string()).await);
    }
    for number in 0..RACES {
        ledger.reaches(&format!("{number}:park"), 1).await;
        gates.open(&format!("{number}b"));
    }
    for id in &ids {
        let children_ended = || async { client.children_ended(*id).await };
        eventually("both children end", children_ended).await;
    }
    drop(worker);
    gates.open("park");
    let _second = world.worker(functions).await;
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(client.result(id).await, format!("{number}a after a {number}b"));
        assert_eq!(ledger.count(&format!("{number}:after a")), 1);
        assert_eq!(ledger.count(&format!("{number}:after b")), 0);
        assert_eq!(ledger.count(&format!("{number}a:leaf")) + ledger.count(&format!("{number}b:leaf")), 2);
    }
}

/// Scenario 2: A timeout fired, step Y was recorded, then the child ended, crash. On replay the timeout fires again,
/// the child's result waits.
async fn a_timeout_that_fired_fires_again_although_the_result_is_there(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = leaves(Functions::new(&ledger, &gates)).with("patient", |run: Run| async move {
        let child = run.child("leaf", &format!("{}child", run.args));
        let (won, _, other) = race(child.call, run.nap(20)).await?;
        let y = run.step(["in time", "too late"][won]).await?;
        run.gated("park").await?;
        Ok(format!("{y} {}", said(&other.await?)))
    });
    let client = world.engine();
    let worker = world.worker(functions.clone()).await;
    let mut ids = Vec::new();
    for number in 0..RACES {
        ids.push(client.begin("patient", &number.to_string()).await);
    }
    for (number, id) in ids.iter().enumerate() {
        ledger.reaches(&format!("{number}:park"), 1).await;
        gates.open(&format!("{number}child"));
        let child_ended = || async { client.children_ended(*id).await };
        eventually("the child ends", child_ended).await;
    }
    drop(worker);
    gates.open("park");
    let _second = world.worker(functions).await;
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(client.result(id).await, format!("too late {number}child"));
        assert_eq!(ledger.count(&format!("{number}:too late")), 1);
        assert_eq!(ledger.count(&format!("{number}:in time")), 0);
        assert_eq!(ledger.count(&format!("{number}child:leaf")), 1);
    }
}

/// Scenario 3: B failed, `compensate` was recorded, crash. Replay gives B's failure again; B is not run; the rest of
/// the compensation follows. B is a step, and a child.
async fn a_failure_is_given_again_and_the_rest_of_the_compensation_follows(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("fails", |run: Run| async move {
            run.note("child b");
            Err(AttemptError::Failed(failure("no seat")))
        })
        .with("saga", |run: Run| async move {
            run.step("book").await?;
            let step = run.step_with("b", async { Err(failure("no room")) }).await?;
            let child = run.child("fails", "").call.await?;
            if step.verdict == Verdict::Ok || child.verdict == Verdict::Ok {
                return Ok("nothing failed".into());
            }
            run.step("compensate").await?;
            run.gated("park").await?;
            run.step("compensate the rest").await?;
            Ok(format!("{} {}", said(&step), said(&child)))
        });
    let client = world.engine();
    let worker = world.worker(functions.clone()).await;
    let id = client.begin("saga", "").await;
    ledger.reaches("park", 1).await;
    drop(worker);
    gates.open("park");
    let _second = world.worker(functions).await;
    assert_eq!(client.result(id).await, "failed(no room) failed(no seat)");
    let expected = ["book", "b", "child b", "compensate", "park", "park", "compensate the rest"];
    assert_eq!(ledger.all(), expected);
}

/// Scenario 4: The task fails after a compensation and is retried: successes are kept, failures run anew, no false
/// mismatch.
async fn a_retry_keeps_successes_and_runs_failures_anew(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("unsteady", |run: Run| async move {
            run.note("child");
            if run.gates.is_open("third") { Ok("child".into()) } else { Err(AttemptError::Failed(failure("child"))) }
        })
        .with("saga", |run: Run| async move {
            if run.attempt() == 3 {
                run.gates.open("third");
            }
            let third = run.gates.is_open("third");
            run.step("book").await?;
            let step = run.step_with("b", async { if third { Ok("b".into()) } else { Err(failure("b")) } }).await?;
            let child = run.child("unsteady", "").call.await?;
            if step.verdict == Verdict::Ok && child.verdict == Verdict::Ok {
                let after = run.step("after").await?;
                return Ok(format!("{} {} {after}", said(&step), said(&child)));
            }
            run.step("compensate").await?;
            Err(AttemptError::Failed(failure("rolled back")))
        });
    let client = world.engine();
    let _worker = world.worker(functions).await;
    let mut saga = spec("saga", "");
    saga.options.retry = RetryPolicy::fixed(Duration::from_millis(5), 3);
    let id = client.start(request(saga)).await.unwrap().execution;
    assert_eq!(client.result(id).await, "b child after");
    for (entry, times) in [("book", 1), ("b", 3), ("child", 3), ("compensate", 1), ("after", 1)] {
        assert_eq!(ledger.count(entry), times, "{entry}: {:?}", ledger.all());
    }
    assert_eq!(client.root(id).await.attempt, 3);
}

/// Scenario 4: A retry may call a child with other arguments than the attempt before, whether that child had ended or
/// not: it is another child, and no mismatch.
async fn a_retry_that_calls_a_child_with_other_arguments_gets_another_child(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("echo", |run: Run| async move {
            run.note(&run.args);
            Ok(run.args)
        })
        .with("never", |run: Run| async move { Ok(run.gated("never").await?) })
        .with("parent", |run: Run| async move {
            let attempt = run.attempt();
            let open = run.child("never", &format!("open {attempt}"));
            let echoed = said(&run.child("echo", &format!("ended {attempt}")).call.await?);
            if attempt < 3 {
                return Err(AttemptError::Failed(failure("again")));
            }
            drop(open);
            Ok(echoed)
        });
    let client = world.engine();
    let _worker = world.worker(functions).await;
    let mut parent = spec("parent", "");
    parent.options.retry = RetryPolicy::fixed(Duration::from_millis(5), 3);
    let id = client.start(request(parent)).await.unwrap().execution;
    assert_eq!(client.result(id).await, "ended 3");
    assert_eq!(ledger.all().iter().filter(|entry| entry.contains("ended")).count(), 3, "{:?}", ledger.all());
}

/// Scenario 5: Two branches both call `charge`; on replay the other one gets there first. Each gets its own receipt.
async fn two_branches_of_one_name_each_get_their_own_receipt(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates).with("pays", |run: Run| async move {
        let branch = |who: &'static str, first: bool| {
            let mut run = run.clone();
            run.context = run.context.branch(&name("branch"));
            async move {
                let replay = run.gates.is_open("second run");
                if first == replay {
                    // First the other one: until it was paid at first, until it has asked on replay.
                    run.gates.pass(if replay { "asked" } else { "paid" }).await;
                }
                let begin = run.context.begin_step(&name("charge"));
                run.gates.open(if replay { "asked" } else { "first asks" });
                let receipt = match begin.await? {
                    Begun::Recorded(receipt) => receipt,
                    Begun::Run(ticket) => {
                        run.note(who);
                        run.context.finish_step(ticket, Verdict::Ok, payload(&format!("receipt of {who}"))).await?
                    }
                };
                run.gates.open("paid");
                Ok::<_, AttemptError>(said(&receipt))
            }
        };
        let (left, right) = (tokio::spawn(branch("left", true)), tokio::spawn(branch("right", false)));
        let (left, right) = (left.await.unwrap()?, right.await.unwrap()?);
        run.gated("park").await?;
        Ok(format!("{left}, {right}"))
    });
    let client = world.engine();
    let worker = world.worker(functions.clone()).await;
    let id = client.begin("pays", "").await;
    ledger.reaches("park", 1).await;
    assert_eq!(ledger.all(), ["left", "right", "park"]);
    drop(worker);
    gates.open("second run");
    gates.open("park");
    let _second = world.worker(functions).await;
    assert_eq!(client.result(id).await, "receipt of left, receipt of right");
    assert_eq!(ledger.all(), ["left", "right", "park", "park"]);
}

/// Scenario 6: `k = uuid(); step(charge(k))`, crash in the step: the second run has the same k. The same with `random`,
/// and with a child's `task_id` used as a payment key.
async fn derived_keys_are_the_same_in_the_second_run(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("charge", |run: Run| async move {
            run.note(&format!("child {}", run.task_id()));
            run.gated("charge it").await?;
            Ok(run.task_id().to_string())
        })
        .with("pays", |run: Run| async move {
            for _ in 0..2 {
                let (uuid, random) = (run.derived("uuid"), run.derived("random"));
                run.note(&format!("key {uuid:?} {random:?}"));
            }
            let child = run.child("charge", "");
            run.note(&format!("child {}", child.id));
            run.gated("park").await?;
            assert_eq!(said(&child.call.await?), child.id.to_string());
            Ok("paid".into())
        });
    let client = world.engine();
    let worker = world.worker(functions.clone()).await;
    let id = client.begin("pays", "").await;
    ledger.reaches("park", 1).await;
    ledger.reaches("charge it", 1).await;
    drop(worker);
    gates.open("park");
    gates.open("charge it");
    let _second = world.worker(functions).await;
    assert_eq!(client.result(id).await, "paid");
    let entries = ledger.all();
    let keys: Vec<_> = entries.iter().filter(|entry| entry.starts_with("key")).collect();
    assert_eq!(keys.len(), 4, "{entries:?}");
    assert_eq!(keys[..2], keys[2..], "the second run has other keys");
    assert_ne!(keys[0], keys[1], "two calls of one run have the same key");
    let children: HashSet<_> = entries.iter().filter(|entry| entry.starts_with("child")).collect();
    assert_eq!(children.len(), 1, "{entries:?}");
    assert_eq!(client.tasks(id).await.len(), 2);
}

/// Scenario 7: A `HashMap` argument in another order, blanks elsewhere: same digest, same key, no mismatch. (Binding
/// defaults and names is the faces' work.) Other arguments are one.
async fn arguments_in_another_order_are_the_same_call(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("sum", |run: Run| async move {
            run.note("sum");
            run.gates.pass(&format!("sum {}", run.ledger.count("sum"))).await;
            Ok("3".into())
        })
        .with("calls", |run: Run| async move {
            let written: &[u8] = match (run.gates.is_open("other arguments"), run.gates.is_open("second run")) {
                (true, _) => b"{\"a\":1,\"b\":3}",
                (_, false) => b"{\"a\":1,\"b\":2}",
                _ => b"{ \"b\": 2, \"a\": 1 }",
            };
            let args = Payload::new(&Codec::Json, written).unwrap();
            let mut called = spec("sum", "");
            called.args = args;
            let first = run.start_child(&name("sum"), called.clone(), None).call.await?;
            run.note("first ended");
            let second = run.start_child(&name("sum"), called, None).call;
            run.note("second asked");
            let second = second.await?;
            Ok(said(&first) + &said(&second))
        });
    let client = world.engine();
    let worker = world.worker(functions.clone()).await;
    gates.open("sum 1");
    let id = client.begin("calls", "").await;
    // One child has ended and one runs when the worker dies.
    ledger.reaches("sum", 2).await;
    eventually("both are there", || async { client.tasks(id).await.len() == 3 }).await;
    drop(worker);
    gates.open("other arguments");
    let other = world.worker(functions.clone()).await;
    let reason = || async { client.root(id).await.failure };
    eventually("the mismatch is seen", || async { reason().await.is_some() }).await;
    let reason = reason().await.unwrap();
    assert_eq!(reason.kind, FailureKind::NonDeterministic);
    assert!(reason.message.contains("\"sum\"") && reason.message.contains("other arguments"), "{reason}");
    drop(other);
    let gates = Gates::default();
    gates.open("second run");
    (1..9).for_each(|number| gates.open(&format!("sum {number}")));
    let _third = world.worker(functions.behind(&gates)).await;
    assert_eq!(client.result(id).await, "33");
    assert_eq!(client.tasks(id).await.len(), 3, "a call was made twice");
}

/// Scenario 9: A dispatch, a signal, an emit, a counter add inside a durable function, then a crash: done once.
async fn effects_of_a_durable_function_happen_once(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("receives", |run: Run| async move {
            // The first comes when it comes; a second one would be there by the time that it is asked for.
            let once = said(&run.signal("go", None).await?);
            let told = said(&run.event("news", None).await?);
            run.gates.pass("all is done").await;
            let again = said(&run.signal("go", Some(1)).await?);
            let anew = said(&run.event("news", Some(1)).await?);
            Ok([once, again, told, anew].join(" "))
        })
        .with("dispatched", |run: Run| async move {
            run.note("dispatched");
            Ok(String::new())
        })
        .with("acts", |run: Run| async move {
            let to = run.args.parse().unwrap();
            let engine = run.engine();
            let start = Start {
                id: engine.new_execution_id(),
                spec: spec("dispatched", ""),
                key: None,
                due: None,
                deadline: Default::default(),
                claim_for: None,
            };
            run.effect("dispatch", Effect::Start(Box::new(start))).await?;
            let signal =
                Signal { id: engine.new_signal_id(), execution: to, name: name("go"), payload: payload("once") };
            run.effect("signal", Effect::Signal(signal)).await?;
            let emit = Emit {
                id: engine.new_event_id(),
                queue: name("default"),
                name: name("news"),
                payload: payload("told"),
            };
            run.effect("emit", Effect::Emit(emit)).await?;
            run.effect("add", Effect::AddCounter(name("done"), Number::Whole(1))).await?;
            run.ledger.add("acted");
            // Asked, and not awaited when the worker dies.
            let open = run.effect("add", Effect::AddCounter(name("done"), Number::Whole(10)));
            run.gates.pass("park").await;
            let value: i64 = open.await?.payload.read().unwrap();
            Ok(value.to_string())
        });
    let client = world.engine();
    let worker = world.worker(functions.clone()).await;
    let receiver = client.begin("receives", "").await;
    let id = client.begin("acts", &receiver.to_string()).await;
    ledger.reaches("acted", 1).await;
    // A body under way when its worker dies may run again: the one that is counted below has ended by then.
    let completed = || async { client.store().count_executions(Some(ExecutionState::Completed)).await.unwrap() };
    eventually("the dispatched one ends", || async { completed().await > 0 }).await;
    drop(worker);
    gates.open("park");
    let _second = world.worker(functions).await;
    assert_eq!(client.result(id).await, "11");
    gates.open("all is done");
    assert_eq!(client.result(receiver).await, "once late told late");
    assert_eq!(client.store().baggage(id).await.unwrap().counters, [(name("done"), Number::Whole(11))]);
    assert_eq!(completed().await, 3);
    assert_eq!(client.store().count_executions(None).await.unwrap(), 3);
    assert_eq!(ledger.count("dispatched"), 1);
}

/// The code of scenario 10 in a version: the steps it makes, one after the other.
fn version(ledger: &Ledger, gates: &Gates, steps: &'static [&'static str]) -> Functions {
    Functions::new(ledger, gates).with("versioned", move |run: Run| async move {
        let mut said = Vec::new();
        for step in steps {
            said.push(if *step == "park" { run.gated(step).await? } else { run.step(step).await? });
        }
        Ok(said.join(" "))
    })
}

/// Scenario 10: A renamed, removed, reordered, added step: the mismatch names record and call before anything runs; the
/// old code resumes the same task afterwards.
async fn changed_code_is_named_before_anything_runs_and_the_old_code_goes_on(world: World) {
    const OLD: &[&str] = &["first", "second", "third", "park"];
    const CHANGES: &[(&str, &[&str], &str, &str)] = &[
        ("renamed", &["first", "fresh", "third", "park"], "\"second\"", "\"fresh\""),
        ("added", &["first", "fresh", "second", "third", "park"], "\"second\"", "\"fresh\""),
        ("added in front", &["fresh", "first", "second", "third", "park"], "\"first\"", "\"fresh\""),
        ("removed at the end", &["first", "second"], "\"third\"", "ends"),
        ("removed", &["first", "third", "park"], "\"second\"", "\"third\""),
        ("removed in front", &["second", "third", "park"], "\"first\"", "\"second\""),
        ("reordered", &["second", "first", "third", "park"], "\"first\"", "\"second\""),
    ];
    let client = world.engine();
    let mut wrong = Vec::new();
    for (change, new, record, call) in CHANGES {
        let (ledger, gates) = (Ledger::default(), Gates::default());
        let old = world.worker(version(&ledger, &gates, OLD)).await;
        let id = client.begin("versioned", "").await;
        ledger.reaches("park", 1).await;
        drop(old);
        let before = ledger.all();
        let changed = world.worker(version(&ledger, &gates, new)).await;
        let reason = || async { client.root(id).await.failure };
        let seen = async {
            while reason().await.is_none() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(10), seen).await {
            Err(_) => wrong.push(format!("{change}: no mismatch is reported, the task hangs")),
            Ok(()) => {
                let reason = reason().await.unwrap();
                if reason.kind != FailureKind::NonDeterministic
                    || !reason.message.contains(record)
                    || !reason.message.contains(call)
                {
                    wrong.push(format!("{change}: record {record} and call {call} are not both named: {reason}"));
                }
            }
        }
        if ledger.all() != before {
            wrong.push(format!("{change}: something ran: {:?}", ledger.all()));
        }
        drop(changed);
        gates.open("park");
        let again: Worker = world.worker(version(&ledger, &gates, OLD)).await;
        assert_eq!(client.result(id).await, "first second third park", "{change}");
        assert_eq!(ledger.all(), ["first", "second", "third", "park", "park"], "{change}");
        assert_eq!(client.root(id).await.attempt, 1, "{change}: an attempt was burned");
        again.shutdown().await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Scenario 10: A removed step, and all that the code asks for is what it had left open: a signal, a child, a timer. It
/// is named all the same, and does not wait for ever.
async fn changed_code_that_only_waits_for_what_it_had_left_open_is_named(world: World) {
    fn open(ledger: &Ledger, gates: &Gates, step: Option<&'static str>, wait: &'static str) -> Functions {
        leaves(Functions::new(ledger, gates)).with("waits", move |run: Run| async move {
            run.step("first").await?;
            if let Some(step) = step {
                run.step(step).await?;
            }
            let came = match wait {
                "go" => run.signal("go", None).await?,
                "leaf" => run.child("leaf", "open").call.await?,
                _ => run.nap(5_000).await?,
            };
            Ok(said(&came))
        })
    }
    let client = world.engine();
    for wait in ["go", "leaf", "nap"] {
        let (ledger, gates) = (Ledger::default(), Gates::default());
        let old = world.worker(open(&ledger, &gates, Some("second"), wait)).await;
        let id = client.begin("waits", "").await;
        let root = TaskRef { execution: id, task: id.root() };
        let history = || async { client.store().history(root, 0).await.unwrap() };
        eventually("it waits", || async { history().await.open.len() == 1 }).await;
        assert_eq!(history().await.open[0].seen, 2);
        drop(old);
        let changed = world.worker(open(&ledger, &gates, None, wait)).await;
        eventually("the change is named", || async { client.root(id).await.failure.is_some() }).await;
        let reason = client.root(id).await.failure.unwrap();
        assert_eq!(reason.kind, FailureKind::NonDeterministic, "{wait}: {reason}");
        assert!(reason.message.contains("\"second\"") && reason.message.contains(wait), "{wait}: {reason}");
        drop(changed);
        gates.open("open");
        if wait == "go" {
            client.signal(id, name("go"), payload("")).await.unwrap();
        }
        let again = world.worker(open(&ledger, &gates, Some("second"), wait)).await;
        client.result(id).await;
        assert_eq!(client.root(id).await.attempt, 1, "{wait}: an attempt was burned");
        again.shutdown().await;
    }
}

/// Waiting tasks leave memory at once.
fn suspends() -> WorkerConfig {
    WorkerConfig { park_for: Duration::ZERO, ..config() }
}

/// What code may try after it swallowed an interrupt: every way of writing.
async fn tries_to_write(run: &Run) {
    let _ = run.step("a step").await;
    let _ = run.context.value(&name("a value"), || payload("a value"));
    let _ = run.effect("an add", Effect::AddCounter(name("swallowed"), Number::Whole(1))).await;
    let _ = run.child("leaf", "orphan").call.await;
    let _ = run.nap(1).await;
}

/// What came while the code awaited something the engine knows nothing of may be recorded: code that ends, as it runs
/// again, without having got it has asked for it all the same. A signal among it goes to whoever asks next.
async fn code_that_ends_before_it_gets_all_that_it_asked_for_has_not_changed(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = leaves(Functions::new(&ledger, &gates))
        .with("gives up", |run: Run| async move {
            let _given_up = (run.child("leaf", "slow"), run.signal("go", None));
            run.gates.pass("park").await;
            Ok("went on".into())
        })
        .with("asks next", |run: Run| async move {
            let first = said(&run.child("gives up", "").call.await?);
            Ok(format!("{first}, {}", said(&run.signal("go", Some(60_000)).await?)))
        });
    let client = world.engine();
    let worker = world.worker(functions.clone()).await;
    let id = client.begin("asks next", "").await;
    eventually("all are there", || async { client.tasks(id).await.len() == 3 }).await;
    let tasks = client.tasks(id).await;
    let gives_up = tasks.iter().find(|task| task.function == name("gives up")).unwrap().task;
    gates.open("slow");
    client.signal(id, name("go"), payload("one")).await.unwrap();
    eventually("both are recorded", || async { client.past(gives_up).await.records.len() == 2 }).await;
    drop(worker);
    gates.open("park");
    let _second = world.worker(functions).await;
    let ended = || async { client.root(id).await.state.is_terminal() };
    let strayed = || async { client.tasks(id).await.iter().find_map(|task| task.failure.clone()) };
    eventually("it ends or is named", || async { ended().await || strayed().await.is_some() }).await;
    assert_eq!(strayed().await, None);
    assert_eq!(client.result(id).await, "went on, one");
}

/// A task and its child are gone on with in one process, and the child ends before the code, as it runs again, has come
/// to the call: its end is in the history once, so that the next life finds its way.
async fn a_child_that_ends_before_it_is_asked_for_again_is_recorded_once(world: World) {
    let ledger = Ledger::default();
    let functions = |gates: &Gates| {
        Functions::new(&ledger, gates)
            .with("naps", |run: Run| async move { Ok(run.nap(60_000).await.map(|_| "slept".into())?) })
            .with("waits", |run: Run| async move {
                run.note("begins");
                run.gates.pass("begin").await;
                // While a step's body runs the task stays in its worker.
                let (came, held) = futures_util::future::join(run.child("naps", "").call, run.gated("hold")).await;
                let (came, _) = (said(&came?), held?);
                run.note("has it");
                run.gates.pass("end").await;
                Ok(came)
            })
    };
    let client = world.engine();
    let (first, second, third) = (Gates::default(), Gates::default(), Gates::default());
    first.open("begin");
    let worker = world.worker_with(functions(&first), suspends()).await;
    let id = client.begin("waits", "").await;
    let child = || async { client.tasks(id).await.into_iter().find(|task| task.function == name("naps")) };
    eventually("the child sleeps", || async { child().await.is_some_and(|child| child.state == TaskState::Suspended) })
        .await;
    drop(worker);
    let worker = world.worker_with(functions(&second), suspends()).await;
    ledger.reaches("begins", 2).await;
    world.clock.set_offset_ms(61_000);
    eventually("the child ends", || async { child().await.is_some_and(|child| child.state.is_terminal()) }).await;
    second.open("begin");
    second.open("hold");
    ledger.reaches("has it", 1).await;
    assert_eq!(client.past(TaskRef::root(id)).await.records.len(), 2, "the child's end and the step's");
    drop(worker);
    for gate in ["begin", "hold", "end"] {
        third.open(gate);
    }
    let _third = world.worker_with(functions(&third), suspends()).await;
    assert_eq!(client.result(id).await, "slept");
}

/// Scenario 11: Code swallows a suspension (`let _ = ..`): nothing of it is recorded.
async fn nothing_is_recorded_of_code_that_swallows_a_suspension(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates).with("leaf", leaf).with("swallows", |run: Run| async move {
        let woken = run.signal("go", None).await;
        if woken.is_err() {
            tries_to_write(&run).await;
            run.note("swallowed");
            return Ok("swallowed".into());
        }
        Ok("woken".into())
    });
    let client = world.engine();
    let _worker = world.worker_with(functions, suspends()).await;
    let id = client.begin("swallows", "").await;
    eventually("it is suspended", || async { client.root(id).await.state == TaskState::Suspended }).await;
    ledger.reaches("swallowed", 1).await;
    client.signal(id, name("go"), payload("")).await.unwrap();
    assert_eq!(client.result(id).await, "woken");
    assert_eq!(ledger.all(), ["swallowed"]);
    let records = client.past(TaskRef::root(id)).await.records;
    assert_eq!(records.iter().map(|record| record.kind).collect::<Vec<_>>(), [RecordKind::Signal]);
    assert_eq!(client.tasks(id).await.len(), 1);
    assert!(client.store().baggage(id).await.unwrap().counters.is_empty());
}

/// Scenario 11: Code swallows a cancellation: nothing of it is recorded, its state stands.
async fn nothing_is_recorded_of_code_that_swallows_a_cancellation(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates).with("leaf", leaf).with("swallows", |run: Run| async move {
        run.step("begun").await?;
        let _ = run.signal("go", None).await;
        tries_to_write(&run).await;
        run.note("swallowed");
        Ok("swallowed".into())
    });
    let client = world.engine();
    let _worker = world.worker(functions).await;
    let id = client.begin("swallows", "").await;
    eventually("it waits", || async { !client.past(TaskRef::root(id)).await.open.is_empty() }).await;
    client.cancel(id.root()).await.unwrap();
    ledger.reaches("swallowed", 1).await;
    let view = client.ended(id).await;
    assert_eq!((view.state, view.result), (ExecutionState::Cancelled, None));
    // The worker has said its last word on it once it owns it no more.
    eventually("it is heeded", || async { client.root(id).await.session.is_none() }).await;
    assert_eq!(client.past(TaskRef::root(id)).await.records.len(), 1);
    assert_eq!(client.tasks(id).await.len(), 1);
    assert_eq!(client.ended(id).await.state, ExecutionState::Cancelled);
    assert!(client.store().baggage(id).await.unwrap().counters.is_empty());
    assert_eq!(ledger.all(), ["begun", "swallowed"]);
}

/// Scenario 12: A branch runs on in a spawned task after its parent suspended: it cannot write.
async fn a_branch_that_outlives_its_parents_suspension_cannot_write(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates).with("leaf", leaf).with("branches", |run: Run| async move {
        let mut branch = run.clone();
        branch.context = run.context.branch(&name("branch"));
        if !run.gates.is_open("orphan") {
            tokio::spawn(async move {
                branch.gates.pass("orphan").await;
                tries_to_write(&branch).await;
                branch.ledger.add("orphan is through");
            });
        }
        run.signal("go", None).await?;
        Ok("woken".into())
    });
    let client = world.engine();
    let _worker = world.worker_with(functions, suspends()).await;
    let id = client.begin("branches", "").await;
    eventually("it is suspended", || async { client.root(id).await.state == TaskState::Suspended }).await;
    gates.open("orphan");
    ledger.reaches("orphan is through", 1).await;
    client.signal(id, name("go"), payload("")).await.unwrap();
    assert_eq!(client.result(id).await, "woken");
    // A body may have run while the answer to the suspension was on its way back; nothing of it is recorded.
    assert_eq!(ledger.count("orphan is through"), 1);
    assert_eq!(client.past(TaskRef::root(id)).await.records.len(), 1);
    assert_eq!(client.tasks(id).await.len(), 1);
}

/// Scenario 12: The same when the branch is in the middle of a step's body and its parent is cancelled.
async fn a_branch_that_outlives_its_parents_cancellation_cannot_write(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates).with("leaf", leaf).with("branches", |run: Run| async move {
        let mut branch = run.clone();
        branch.context = run.context.branch(&name("branch"));
        tokio::spawn(async move {
            let finished = branch.gated("orphan").await;
            tries_to_write(&branch).await;
            branch.ledger.add(if finished.is_ok() { "orphan wrote" } else { "orphan is through" });
        });
        run.signal("go", None).await?;
        Ok("woken".into())
    });
    let client = world.engine();
    let _worker = world.worker(functions).await;
    let id = client.begin("branches", "").await;
    ledger.reaches("orphan", 1).await;
    client.cancel(id.root()).await.unwrap();
    eventually("it is heeded", || async { client.root(id).await.session.is_none() }).await;
    gates.open("orphan");
    ledger.reaches_all("orphan ", 1).await;
    assert_eq!(ledger.all(), ["orphan", "orphan is through"]);
    assert!(client.past(TaskRef::root(id)).await.records.is_empty());
    assert_eq!(client.tasks(id).await.len(), 1);
    let cancel_again = commit(&**client.store(), vec![Command::Cancel(TaskRef::root(id))]).unwrap();
    assert_eq!(cancel_again.outcomes, [Err(stent_core::Refusal::Terminal(TaskState::Cancelled))]);
}

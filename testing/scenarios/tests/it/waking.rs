//! Scenarios 21 to 26: what comes is never missed, whichever of two commands is first; and what has ended leaves
//! nothing alive. Where the order matters it is made by hand, in one batch and in two, in both directions.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use stent_core::command::{Deadline, Wait};
use stent_core::{Command, Done, ExecutionState, Outcome, Refusal, Store, TaskRef, TaskState, Timestamp, Verdict};
use stent_engine::{AttemptError, Ended, EngineError, WaitPace};

use crate::kit::code::said;
use crate::kit::hands::{child, commit, delivered, finish, key, suspend, wait};
use crate::kit::wire::Wire;
use crate::kit::world::{Client, config};
use crate::kit::{Functions, Gates, Hands, Ledger, Run, World, eventually, failure, name, payload, race, spec};

on_all_stores!(
    a_childs_end_and_its_parents_suspension_in_either_order_wake_the_parent,
    a_signal_and_a_suspension_in_either_order_wake_the_task,
    an_emit_and_a_wait_in_either_order_meet,
    a_cancel_and_a_new_child_in_either_order_leave_nothing_alive,
    a_deadline_and_a_result_in_either_order_leave_one_end,
    a_signal_given_to_an_abandoned_wait_goes_to_the_next,
    a_signal_that_an_abandoned_wait_consumed_goes_to_the_next_even_after_a_crash,
    ten_signals_of_one_name_are_ten_waits_in_order,
    a_waiter_that_comes_days_later_still_gets_the_event,
    the_end_of_a_parent_cancels_its_children,
    cancelling_an_execution_while_it_starts_children_leaves_none_alive,
    everything_still_runs_while_all_notifications_are_lost,
    a_hundred_waits_for_what_runs_elsewhere_look_together,
);

/// Carries two commands out one after the other: in one batch, or in two.
async fn both(hands: &Hands, first: Command, second: Command, together: bool) -> (Outcome, Outcome) {
    if together {
        let mut outcomes = hands.batch(vec![first, second]).await;
        let second = outcomes.remove(1);
        (outcomes.remove(0), second)
    } else {
        (hands.one(first).await, hands.one(second).await)
    }
}

/// Every way in which two commands can meet: who is first, and whether they share a batch.
const MEETINGS: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];

/// Scenario 21: The child's end and its parent's suspension commit at the same moment, in both orders: the parent
/// wakes.
async fn a_childs_end_and_its_parents_suspension_in_either_order_wake_the_parent(world: World) {
    for (child_first, together) in MEETINGS {
        let hands = Hands::on(&world).await;
        hands.start("parent").await;
        let parent = hands.claim_one("parent").await;
        let (id, start) = child(parent, "call", "child");
        hands.one(start).await.unwrap();
        let lease = hands.claim_one("child").await;
        let parent = if child_first {
            let (ended, suspended) = both(&hands, finish(lease), suspend(parent), together).await;
            assert_eq!((ended.is_ok(), suspended), (true, Ok(Done::Woken)));
            parent
        } else {
            let (suspended, ended) = both(&hands, suspend(parent), finish(lease), together).await;
            assert_eq!((suspended, ended.is_ok()), (Ok(Done::Suspended), true));
            hands.claim_one("parent").await
        };
        assert_eq!(hands.store.arrivals(parent.task).await.unwrap(), [key("call")]);
        let came = hands.one(wait(parent, 1, "call", Wait::Child(id), None)).await;
        assert!(matches!(came, Ok(Done::Delivered(record)) if record.verdict == Verdict::Ok));
        hands.one(finish(parent)).await.unwrap();
    }
}

/// Scenario 22: A signal and a suspension commit at the same moment, in both orders: the task wakes and gets it.
async fn a_signal_and_a_suspension_in_either_order_wake_the_task(world: World) {
    for (signal_first, together) in MEETINGS {
        let hands = Hands::on(&world).await;
        let id = hands.start("waits").await;
        let lease = hands.claim_one("waits").await;
        let asks = |lease| wait(lease, 1, "signal:go", Wait::Signal(name("go")), None);
        assert_eq!(hands.one(asks(lease)).await, Ok(Done::Waiting(None)));
        let lease = if signal_first {
            let (_, suspended) = both(&hands, hands.signal(id, "go", "it"), suspend(lease), together).await;
            assert_eq!(suspended, Ok(Done::Woken));
            lease
        } else {
            let (suspended, _) = both(&hands, suspend(lease), hands.signal(id, "go", "it"), together).await;
            assert_eq!(suspended, Ok(Done::Suspended));
            hands.claim_one("waits").await
        };
        assert_eq!(delivered(&hands.one(asks(lease)).await), "it");
        hands.one(finish(lease)).await.unwrap();
    }
}

/// Scenario 22: An emit and a wait commit at the same moment, in both orders: they meet.
async fn an_emit_and_a_wait_in_either_order_meet(world: World) {
    for (number, (emit_first, together)) in MEETINGS.into_iter().enumerate() {
        let hands = Hands::on(&world).await;
        hands.start("waits").await;
        let lease = hands.claim_one("waits").await;
        let event = format!("news {number}");
        let asks = |lease| wait(lease, 1, "event", Wait::Event(name("default"), name(&event)), None);
        if emit_first {
            let (_, asked) = both(&hands, hands.emit(&event, "it"), asks(lease), together).await;
            assert_eq!(delivered(&asked), "it");
            hands.one(finish(lease)).await.unwrap();
            continue;
        }
        let (asked, _) = both(&hands, asks(lease), hands.emit(&event, "it"), together).await;
        assert_eq!(asked, Ok(Done::Waiting(None)));
        // The mark is there: a suspension is refused, and the next look finds it.
        assert_eq!(hands.one(suspend(lease)).await, Ok(Done::Woken));
        assert_eq!(hands.store.arrivals(lease.task).await.unwrap(), [key("event")]);
        assert_eq!(delivered(&hands.one(asks(lease)).await), "it");
        hands.one(finish(lease)).await.unwrap();
    }
}

/// Scenario 22: A cancel and a new child commit at the same moment, in both orders: no child is left alive.
async fn a_cancel_and_a_new_child_in_either_order_leave_nothing_alive(world: World) {
    for (cancel_first, together) in MEETINGS {
        let hands = Hands::on(&world).await;
        let id = hands.start("parent").await;
        let parent = hands.claim_one("parent").await;
        let (_, start) = child(parent, "call", "child");
        let cancel = Command::Cancel(TaskRef::root(id));
        if cancel_first {
            let (_, started) = both(&hands, cancel, start, together).await;
            assert_eq!(started, Err(Refusal::Terminal(TaskState::Cancelled)));
        } else {
            let (started, cancelled) = both(&hands, start, cancel, together).await;
            assert!(started.is_ok() && cancelled.is_ok());
        }
        let tasks = hands.store.tasks(id).await.unwrap();
        assert!(tasks.iter().all(|task| task.state == TaskState::Cancelled), "{tasks:?}");
        assert_eq!(tasks.len(), if cancel_first { 1 } else { 2 });
        assert!(hands.claim(&["parent", "child"]).await.is_empty());
    }
}

/// Scenario 22: A deadline and a result commit at the same moment, in both orders: there is one end and it stands.
async fn a_deadline_and_a_result_in_either_order_leave_one_end(world: World) {
    let soon = Deadline { expire_after: Some(Duration::from_secs(60)), ..Deadline::default() };
    for (deadline_first, together) in MEETINGS {
        let hands = Hands::on(&world).await;
        let id = hands.start_by(soon, spec("late", "")).await;
        let lease = hands.claim_one("late").await;
        let expected = if deadline_first {
            world.clock.set_offset_ms(61_000);
            let (_, finished) = both(&hands, Command::Expire, finish(lease), together).await;
            assert_eq!(finished, Err(Refusal::Terminal(TaskState::TimedOut)));
            ExecutionState::TimedOut
        } else {
            let (finished, _) = both(&hands, finish(lease), Command::Expire, together).await;
            assert!(finished.is_ok());
            world.clock.set_offset_ms(61_000);
            hands.one(Command::Expire).await.unwrap();
            ExecutionState::Completed
        };
        assert_eq!(hands.store.execution(id).await.unwrap().unwrap().state, expected);
        world.clock.set_offset_ms(0);
    }
    // The deadline has passed and no sweep has seen it yet: the result is refused all the same.
    let hands = Hands::on(&world).await;
    let id = hands.start_by(soon, spec("late", "")).await;
    let lease = hands.claim_one("late").await;
    world.clock.set_offset_ms(61_000);
    assert_eq!(hands.one(finish(lease)).await, Err(Refusal::Terminal(TaskState::TimedOut)));
    assert_eq!(hands.store.execution(id).await.unwrap().unwrap().state, ExecutionState::TimedOut);
}

/// Scenario 23: A signal is given to a wait that was just abandoned, in both orders: the next wait gets it.
async fn a_signal_given_to_an_abandoned_wait_goes_to_the_next(world: World) {
    for (signal_first, together) in MEETINGS {
        let hands = Hands::on(&world).await;
        let id = hands.start("waits").await;
        let lease = hands.claim_one("waits").await;
        let asks = |call| wait(lease, 1, call, Wait::Signal(name("go")), None);
        assert_eq!(hands.one(asks("first")).await, Ok(Done::Waiting(None)));
        let (signal, abandon) = (hands.signal(id, "go", "it"), Command::Abandon(lease, key("first")));
        let (one, other) = if signal_first { (signal, abandon) } else { (abandon, signal) };
        let (one, other) = both(&hands, one, other, together).await;
        assert_eq!((one, other), (Ok(Done::Nothing), Ok(Done::Nothing)));
        assert_eq!(delivered(&hands.one(asks("second")).await), "it");
        hands.one(finish(lease)).await.unwrap();
    }
}

/// Scenario 23: The same where the wait had consumed it already: the code gives the wait up before it is told. And the
/// same once more after a crash, from the records.
async fn a_signal_that_an_abandoned_wait_consumed_goes_to_the_next_even_after_a_crash(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates).with("impatient", |run: Run| async move {
        run.gated("signals are there").await?;
        // Asked second, the signal is consumed by a wait that has lost the race by then.
        let nap_first = run.args.parse().is_ok_and(|number: u32| number % 2 == 1).then(|| run.nap(0));
        let wait = run.signal("go", None);
        let nap = nap_first.unwrap_or_else(|| run.nap(0));
        let (won, first, _) = race(wait, nap).await?;
        let first = if won == 0 { said(&first) } else { "gave up".into() };
        run.step(&first).await?;
        let mut got = Vec::new();
        for _ in 0..if won == 0 { 1 } else { 2 } {
            got.push(said(&run.signal("go", None).await?));
        }
        run.gated("park").await?;
        let last = run.signal("go", Some(1)).await?.verdict;
        Ok(format!("{first}, {}, {}", got.join(", "), if last == Verdict::TimedOut { "no more" } else { "one more" }))
    });
    let client = world.engine();
    let worker = world.worker(functions.clone()).await;
    let mut ids = Vec::new();
    for number in 0..10 {
        let id = client.begin("impatient", &number.to_string()).await;
        ledger.reaches(&format!("{number}:signals are there"), 1).await;
        client.signal(id, name("go"), payload("one")).await.unwrap();
        client.signal(id, name("go"), payload("two")).await.unwrap();
        ids.push(id);
    }
    gates.open("signals are there");
    for number in 0..10 {
        ledger.reaches(&format!("{number}:park"), 1).await;
    }
    drop(worker);
    gates.open("park");
    let _second = world.worker(functions).await;
    for (number, id) in ids.into_iter().enumerate() {
        let result = client.result(id).await;
        assert!(
            ["one, two, no more", "gave up, one, two, no more"].contains(&result.as_str()),
            "{result}: {:#?}",
            client.past(TaskRef::root(id)).await.records
        );
        let ways = ledger.count(&format!("{number}:one")) + ledger.count(&format!("{number}:gave up"));
        assert_eq!(ways, 1, "the replay went the other way: {number} {result}");
    }
}

/// Scenario 23: Ten signals of one name: ten waits, in order, one after the other and all at once; given before and
/// after.
async fn ten_signals_of_one_name_are_ten_waits_in_order(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("in turn", |run: Run| async move {
            let mut got = String::new();
            for _ in 0..10 {
                got += &said(&run.signal("go", None).await?);
            }
            Ok(got)
        })
        .with("at once", |run: Run| async move {
            let waits: Vec<_> = (0..10).map(|_| run.signal("go", None)).collect();
            let came = futures_util::future::try_join_all(waits).await?;
            Ok(came.iter().map(said).collect())
        });
    let client = world.engine();
    let mut ids = Vec::new();
    for function in ["in turn", "at once"] {
        ids.push(client.begin(function, "").await);
    }
    for number in 0..5 {
        for id in &ids {
            client.signal(*id, name("go"), payload(&number.to_string())).await.unwrap();
        }
    }
    let _worker = world.worker(functions).await;
    for id in &ids {
        let half = || async { client.past(TaskRef::root(*id)).await.records.len() == 5 };
        eventually("the first five are taken", half).await;
    }
    for number in 5..10 {
        for id in &ids {
            client.signal(*id, name("go"), payload(&number.to_string())).await.unwrap();
        }
    }
    for id in ids {
        assert_eq!(client.result(id).await, "0123456789");
    }
}

/// Scenario 24: A waiter starts days after the event: it still gets it, within the retention.
async fn a_waiter_that_comes_days_later_still_gets_the_event(world: World) {
    const DAY_MS: i64 = 24 * 3_600 * 1_000;
    let functions = Functions::default().with("late", |run: Run| async move {
        let first = said(&run.event("news", Some(50)).await?);
        Ok(first + " " + &said(&run.event("news", Some(50)).await?))
    });
    let client = world.engine();
    client.emit(name("default"), name("news"), payload("old")).await.unwrap();
    world.clock.set_offset_ms(29 * DAY_MS);
    client.emit(name("default"), name("news"), payload("new")).await.unwrap();
    // The worker prunes as soon as it begins, and again by hand to be sure that it did.
    let _worker = world.worker(functions).await;
    let prune = |before: Timestamp| commit(&**client.store(), vec![Command::PruneEvents(before)]);
    prune(client.store().now() - Duration::from_secs(30 * 24 * 3_600)).unwrap();
    let id = client.begin("late", "").await;
    assert_eq!(client.result(id).await, "old new");
    // Beyond the retention it is gone, and only then.
    world.clock.set_offset_ms(31 * DAY_MS);
    prune(client.store().now() - Duration::from_secs(30 * 24 * 3_600)).unwrap();
    let id = client.begin("late", "").await;
    assert_eq!(client.result(id).await, "new late");
}

/// Scenario 25: A parent ends (or fails) while children run: they are cancelled, not orphaned.
async fn the_end_of_a_parent_cancels_its_children(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("child", |run: Run| async move {
            let grandchild = run.child("grandchild", &run.args);
            run.gated("child").await?;
            Ok(said(&grandchild.call.await?))
        })
        .with("grandchild", |run: Run| async move { Ok(run.gated("grandchild").await?) })
        .with("parent", |run: Run| async move {
            let children: Vec<_> = (0..3).map(|_| run.child("child", &run.args)).collect();
            run.gates.pass(&run.args).await;
            drop(children);
            if run.args == "fails" { Err(AttemptError::Failed(failure("as it should"))) } else { Ok(String::new()) }
        });
    let client = world.engine();
    let _worker = world.worker(functions).await;
    for (how, expected) in [("ends", ExecutionState::Completed), ("fails", ExecutionState::Failed)] {
        let id = client.begin("parent", how).await;
        ledger.reaches(&format!("{how}:child"), 3).await;
        ledger.reaches(&format!("{how}:grandchild"), 3).await;
        // A child in place begins before its row is there: nobody waits for that.
        eventually("every child has its row", || async { client.tasks(id).await.len() == 7 }).await;
        gates.open(how);
        assert_eq!(client.ended(id).await.state, expected);
        let tasks = client.tasks(id).await;
        assert_eq!(tasks.len(), 7);
        let others = tasks.iter().filter(|task| !task.task.is_root());
        assert!(others.clone().all(|task| task.state == TaskState::Cancelled), "{tasks:?}");
        // Their code is stopped too, and says nothing any more.
        let heeded = || async { client.tasks(id).await.iter().all(|task| task.session.is_none()) };
        eventually("the children's code is stopped", heeded).await;
    }
}

/// Scenario 25: Cancelling an execution while it starts children leaves none alive.
async fn cancelling_an_execution_while_it_starts_children_leaves_none_alive(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("child", |run: Run| async move { Ok(run.gated("child").await?) })
        .with("parent", |run: Run| async move {
            let mut children = Vec::new();
            for number in 0..2_000 {
                children.push(run.child("child", &run.args).call);
                if number % 4 == 3 {
                    run.step(&format!("more {number}")).await?;
                }
            }
            futures_util::future::try_join_all(children).await?;
            Ok(String::new())
        });
    let client = world.engine();
    let _worker = world.worker(functions).await;
    let mut children = 0;
    for number in 0..5 {
        let id = client.begin("parent", &number.to_string()).await;
        ledger.reaches(&format!("{number}:child"), 1 + number * 3).await;
        client.cancel(id.root()).await.unwrap();
        assert_eq!(client.ended(id).await.state, ExecutionState::Cancelled);
        let all_gone =
            || async { client.tasks(id).await.iter().all(|task| task.state.is_terminal() && task.session.is_none()) };
        eventually("nothing of it is alive", all_gone).await;
        let tasks = client.tasks(id).await;
        let alive = tasks.iter().filter(|task| task.state != TaskState::Cancelled).count();
        assert_eq!(alive, 0, "of {} tasks: {tasks:#?}", tasks.len());
        children += tasks.len() - 1;
    }
    // In one round or another the cancel came before the first child's row, never in all.
    assert!(children > 0);
    // Slots and claims are not lost on the dead: the worker still works.
    gates.open("child");
    let id = client.begin("child", "").await;
    assert_eq!(client.result(id).await, "child");
}

/// Scenario 26: All notifications are lost: everything still runs, later.
async fn everything_still_runs_while_all_notifications_are_lost(world: World) {
    let deaf = Arc::new(AtomicBool::new(true));
    let process = || World::engine_over(Arc::new(Wire::over(world.store()).deaf(&deaf)));
    let on = |functions: Functions| async { process().start_worker(config(), Arc::new(functions)).await.unwrap() };
    let parents = Functions::default().with("parent", |run: Run| async move {
        let child = said(&run.child("elsewhere", "").call.await?);
        run.nap(30).await?;
        let signal = said(&run.signal("go", None).await?);
        let event = said(&run.event("news", None).await?);
        Ok(format!("{child} {signal} {event}"))
    });
    let children = Functions::default().with("elsewhere", |run: Run| async move { Ok(run.step("child").await?) });
    let (_parents, _children) = (on(parents).await, on(children).await);
    let client = process();
    let id = client.begin("parent", "").await;
    let waits_for = |open: &'static str| {
        let client = &client;
        move || async move { client.past(TaskRef::root(id)).await.open.iter().any(|call| call.key.as_str() == open) }
    };
    eventually("it waits for the signal", waits_for("signal:go")).await;
    // Seed 004, P0.3: who only polls is told of a wait that is too short as everybody is.
    let (short, began) = (Duration::from_millis(150), Instant::now());
    assert!(matches!(client.wait(id, Some(short)).await, Err(EngineError::TimedOut)));
    assert!(matches!(client.wait_for_result(id, Some(short)).await, Err(EngineError::TimedOut)));
    assert!((short * 2..short * 60).contains(&began.elapsed()), "{:?}", began.elapsed());
    client.signal(id, name("go"), payload("signal")).await.unwrap();
    eventually("it waits for the event", waits_for("event:news")).await;
    client.emit(name("default"), name("news"), payload("event")).await.unwrap();
    assert_eq!(client.result(id).await, "child signal event");
    let cancelled = client.begin("parent", "").await;
    let waits = || async { client.past(TaskRef::root(cancelled)).await.open.iter().any(|call| call.due.is_none()) };
    eventually("the other waits", waits).await;
    client.cancel(cancelled.root()).await.unwrap();
    eventually("its worker learns of it", || async { client.root(cancelled).await.session.is_none() }).await;
}

/// What ends elsewhere is looked for once for all who wait: a process with many waits reads no execution that goes on.
async fn a_hundred_waits_for_what_runs_elsewhere_look_together(world: World) {
    let functions = Functions::default()
        .with("waits", |run: Run| async move { Ok(said(&run.signal("go", None).await?)) })
        .with("quick", |_: Run| async move { Ok("done".to_owned()) });
    let _worker = world.worker(functions).await;
    let wire = Arc::new(Wire::over(world.store()));
    let client = World::engine_over(Arc::clone(&wire) as Arc<dyn Store>);
    // None looks by itself before the test is over.
    let hour = Duration::from_secs(3_600);
    let hourly = WaitPace { least: hour, most: hour, factor: 1.0 };
    let mut waits = tokio::task::JoinSet::new();
    let mut ids = Vec::new();
    for _ in 0..100 {
        let id = client.begin("waits", "").await;
        ids.push(id);
        let client = client.clone();
        waits.spawn(async move { client.wait_for_result_at(hourly, id, Some(Duration::from_secs(40))).await });
    }
    eventually("all have looked", || async { wire.reads().0 == 100 }).await;
    let ((_, reads), looks) = (wire.reads(), wire.looks());
    let others = world.engine();
    let quick = others.begin("quick", "").await;
    assert_eq!(others.result(quick).await, "done");
    eventually("it is looked for", || async { wire.looks() > looks }).await;
    // The first few may still be looking for themselves, of when they were alone.
    let since = wire.reads().1 - reads;
    assert!(since <= 4, "of what goes on {since} were read one by one");
    for id in ids {
        others.signal(id, name("go"), payload("went")).await.unwrap();
    }
    while let Some(ended) = waits.join_next().await {
        let Ended::Seen(view) = ended.unwrap().unwrap() else { panic!("it ran elsewhere") };
        assert_eq!(view.result, Some(payload("went")));
    }
    // Once each to see its result, and the last few each time that something happens.
    let since = wire.reads().1 - reads;
    assert!((100..200).contains(&since), "{since} reads");
}

//! Signals, events, timers: what came before or after the wait, in every order with a suspension.

use std::time::Duration;

use stent_core::command::{Await, Emit, Wait};
use stent_core::history::Due;
use stent_core::{
    Command, Done, EventId, ExecutionId, Lease, Payload, RecordKind, Refusal, SignalId, TaskState, Timestamp, Verdict,
};

use super::Fixture;
use super::kit::{HOUR, Kit, await_signal, await_with, complete, finish, json, key, name, record, suspend};
use crate::drive::block_on;

const WAITING: Done = Done::Waiting(None);

fn event(lease: Lease, seq: u32, text: &str) -> Command {
    await_with(lease, seq, text, Wait::Event(name("default"), name("news")), None)
}

pub fn a_signal_before_the_wait_is_there(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    let id = kit.signal(task.lease.task.execution, "go", 5);
    let record = record(kit.ok(await_signal(task.lease, 1, "s", "go")));
    assert_eq!((record.kind, record.verdict, record.seq), (RecordKind::Signal, Verdict::Ok, 1));
    assert_eq!((record.key.clone(), record.payload.clone(), record.digest), (key("s"), json(5), None));
    assert_eq!(record.source, Some(*id.as_bytes()));
    assert_eq!(kit.history(task.lease.task).records, [record]);
    assert_eq!(kit.ok(await_signal(task.lease, 2, "s2", "go")), WAITING);
}

pub fn a_signal_wakes_a_running_task_which_then_finds_it(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    assert_eq!(kit.ok(await_signal(task.lease, 1, "s", "go")), WAITING);
    assert_eq!(kit.arrivals(task.lease.task), []);
    let signal = kit.signal_command(task.lease.task.execution, "go", 1);
    assert_eq!(kit.wakes(Command::Signal(signal)).woken, [(worker, task.lease.task)]);
    assert!(kit.view(task.lease.task).woken);
    assert_eq!(block_on(f.second().nudges(worker)).unwrap()[0].state, TaskState::Running);
    assert_eq!(kit.ok(Command::Heed(task.lease)), Done::Nothing);
    assert!(!kit.view(task.lease.task).woken);
    assert_eq!(kit.arrivals(task.lease.task), [key("s")]);
    assert_eq!(record(kit.ok(await_signal(task.lease, 2, "s", "go"))).payload, json(1));
    assert_eq!((kit.arrivals(task.lease.task), kit.history(task.lease.task).open), (vec![], vec![]));
}

/// Scenario 22: signal against suspension, in both orders.
pub fn a_signal_and_a_suspension_wake_the_task_in_both_orders(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    for signal_first in [true, false] {
        let task = kit.running(worker);
        kit.ok(await_signal(task.lease, 1, "s", "go"));
        let signal = Command::Signal(kit.signal_command(task.lease.task.execution, "go", 1));
        if signal_first {
            let batch = kit.batch(vec![signal, suspend(task.lease)]);
            assert_eq!(batch.outcomes, [Ok(Done::Nothing), Ok(Done::Woken)]);
            assert_eq!((kit.state(task.lease.task), kit.view(task.lease.task).woken), (TaskState::Running, false));
            assert!(matches!(kit.ok(await_signal(task.lease, 1, "s", "go")), Done::Delivered(_)));
        } else {
            let batch = kit.batch(vec![suspend(task.lease), signal]);
            assert_eq!(batch.outcomes, [Ok(Done::Suspended), Ok(Done::Nothing)]);
            assert!(batch.wakes.ready && batch.wakes.woken.is_empty());
            let again = kit.claim_one(worker);
            assert_eq!(again.lease.task, task.lease.task);
            assert!(matches!(kit.ok(await_signal(again.lease, 1, "s", "go")), Done::Delivered(_)));
        }
    }
}

/// Scenario 22: emit against wait and suspension.
pub fn an_event_and_a_suspension_wake_the_task_in_both_orders(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    for emit_first in [true, false] {
        let task = kit.running(worker);
        assert_eq!(kit.ok(event(task.lease, 1, "e")), WAITING);
        let id = EventId::v7(kit.number(), [1; 10]);
        let emit = Command::Emit(Emit { id, queue: name("default"), name: name("news"), payload: json(1) });
        let suspend = suspend(task.lease);
        let batch = kit.batch(if emit_first { vec![emit, suspend] } else { vec![suspend, emit] });
        let lease = if emit_first {
            assert_eq!(batch.outcomes[1], Ok(Done::Woken));
            task.lease
        } else {
            kit.claim_one(worker).lease
        };
        assert!(matches!(kit.ok(event(lease, 1, "e")), Done::Delivered(_)));
        kit.ok(complete(lease));
        kit.ok(Command::PruneEvents(Timestamp::MAX));
    }
}

pub fn ten_signals_go_to_ten_waits_in_order(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    for number in 0..4 {
        kit.signal(task.lease.task.execution, "go", number);
    }
    let waits: Vec<_> =
        (0..10).map(|number| await_signal(task.lease, number + 1, &format!("s{number}"), "go")).collect();
    let first = kit.batch(waits.clone()).outcomes;
    let more = (4..10).map(|number| Command::Signal(kit.signal_command(task.lease.task.execution, "go", number)));
    kit.batch(more.collect());
    // Asked the other way round, each still gets its own.
    let rest: Vec<_> = waits.into_iter().skip(4).rev().collect();
    let mut payloads: Vec<_> = first.into_iter().take(4).map(|outcome| record(outcome.unwrap()).payload).collect();
    let mut late: Vec<_> = kit.batch(rest).outcomes.into_iter().map(|o| record(o.unwrap()).payload).collect();
    late.reverse();
    payloads.extend(late);
    assert_eq!(payloads, (0..10).map(json).collect::<Vec<_>>());
}

pub fn a_later_wait_does_not_take_an_earlier_waits_signal(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let root = kit.running(worker);
    let child = kit.child(root.lease, "c");
    assert_eq!(kit.ok(await_signal(child.lease, 1, "first", "go")), WAITING);
    kit.signal(root.lease.task.execution, "go", 1);
    assert_eq!(kit.ok(await_signal(root.lease, 1, "second", "go")), WAITING);
    assert_eq!((kit.arrivals(child.lease.task), kit.arrivals(root.lease.task)), (vec![key("first")], vec![]));
    kit.signal(root.lease.task.execution, "go", 2);
    assert_eq!(record(kit.ok(await_signal(root.lease, 1, "second", "go"))).payload, json(2));
    assert_eq!(record(kit.ok(await_signal(child.lease, 1, "first", "go"))).payload, json(1));
}

pub fn names_have_lines_of_their_own(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    kit.signal(task.lease.task.execution, "go", 1);
    kit.signal(kit.start(), "stop", 2);
    assert_eq!(kit.ok(await_signal(task.lease, 1, "s", "stop")), WAITING);
    assert_eq!(record(kit.ok(await_signal(task.lease, 1, "g", "go"))).payload, json(1));
}

/// Scenario 23. The other task was woken by the signal, looked in vain, and sleeps: only this can wake it.
pub fn a_signal_for_an_abandoned_wait_goes_to_the_next_which_is_woken(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let leave: [fn(&Kit<'_>, Lease); 4] = [
        |kit, lease| drop(kit.ok(Command::Abandon(lease, key("first")))),
        |kit, lease| drop(kit.ok(complete(lease))),
        |kit, lease| drop(kit.ok(Command::Cancel(lease.task))),
        |kit, lease| {
            let retry = stent_core::command::Ending::Retry(super::kit::failure("x"), HOUR);
            drop(kit.ok(finish(lease, retry)));
        },
    ];
    for leave in leave {
        let root = kit.running(worker);
        let child = kit.child(root.lease, "c");
        kit.ok(await_signal(child.lease, 1, "first", "go"));
        kit.ok(await_signal(root.lease, 1, "second", "go"));
        kit.signal(root.lease.task.execution, "go", 1);
        kit.ok(Command::Heed(root.lease));
        assert_eq!(kit.ok(await_signal(root.lease, 1, "second", "go")), WAITING);
        assert_eq!(kit.ok(suspend(root.lease)), Done::Suspended);
        leave(&kit, child.lease);
        let again = kit.claim_one(worker);
        assert_eq!(again.lease.task, root.lease.task);
        assert_eq!(record(kit.ok(await_signal(again.lease, 2, "second", "go"))).payload, json(1));
        kit.ok(Command::Cancel(root.lease.task));
    }
}

pub fn a_wait_whose_time_is_over_leaves_the_line_too(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let (root, task) = {
        let root = kit.running(worker);
        (root.lease, kit.child(root.lease, "c").lease)
    };
    let first = kit.signal(root.task.execution, "go", 1);
    kit.ok(await_signal(task, 1, "taken", "go"));
    let timed = |seq| await_with(task, seq, "first", Wait::Signal(name("go")), Some(Due::In(HOUR)));
    assert!(matches!(kit.ok(timed(2)), Done::Waiting(Some(_))));
    kit.ok(await_signal(root, 1, "second", "go"));
    kit.advance(HOUR);
    let over = record(kit.ok(timed(2)));
    assert_eq!((over.verdict, over.kind, over.source), (Verdict::TimedOut, RecordKind::Signal, None));
    assert_eq!((over.payload, over.key, over.digest), (Payload::null(), key("first"), None));
    // The child gives its signal back: the root is next in line.
    let end = stent_core::command::Finish {
        lease: task,
        ending: stent_core::command::Ending::Completed(json(0)),
        deliver: None,
        start: None,
        returned: vec![first, SignalId::v7(1, [1; 10])],
    };
    assert_eq!(kit.wakes(Command::Finish(Box::new(end))).woken.first(), Some(&(worker, root.task)));
    let taken = record(kit.ok(await_signal(root, 1, "second", "go")));
    assert_eq!((taken.payload, taken.source), (json(1), Some(*first.as_bytes())));
}

pub fn a_returned_signal_comes_before_later_ones(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let root = kit.running(worker);
    let child = kit.child(root.lease, "c");
    let first = kit.signal(root.lease.task.execution, "go", 1);
    kit.ok(await_signal(child.lease, 1, "s", "go"));
    kit.signal(root.lease.task.execution, "go", 2);
    let end = stent_core::command::Finish {
        lease: child.lease,
        ending: stent_core::command::Ending::Failed(super::kit::failure("x")),
        deliver: None,
        start: None,
        returned: vec![first],
    };
    kit.ok(Command::Finish(Box::new(end)));
    for value in [1, 2] {
        let text = format!("s{value}");
        assert_eq!(record(kit.ok(await_signal(root.lease, value, &text, "go"))).payload, json(value));
    }
}

pub fn signals_to_nobody_and_to_the_ended_are_refused(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let unknown = kit.signal_command(ExecutionId::v7(1, [1; 10]), "go", 1);
    assert_eq!(kit.refused(Command::Signal(unknown)), Refusal::Unknown);
    let task = kit.running(kit.worker());
    let signal = kit.signal_command(task.lease.task.execution, "go", 1);
    kit.ok(Command::Signal(signal.clone()));
    assert_eq!(kit.refused(Command::Signal(signal)), Refusal::Exists);
    kit.ok(complete(task.lease));
    let late = kit.signal_command(task.lease.task.execution, "go", 1);
    assert_eq!(kit.refused(Command::Signal(late)), Refusal::Terminal(TaskState::Completed));
}

/// Scenario 24.
pub fn a_waiter_that_starts_days_later_gets_every_event_in_order(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let ids = [kit.emit("default", "news", 1), kit.emit("default", "news", 2)];
    kit.emit("other", "news", 9);
    kit.emit("default", "weather", 9);
    kit.advance(HOUR * 24 * 9);
    let worker = kit.worker();
    let tasks = [kit.running(worker), kit.running(worker)];
    for task in &tasks {
        for (number, id) in (1..).zip(&ids) {
            let record = record(kit.ok(event(task.lease, number, &format!("e{number}"))));
            assert_eq!(
                (record.kind, record.payload, record.source),
                (RecordKind::Event, json(number), Some(*id.as_bytes()))
            );
        }
        assert_eq!(kit.ok(event(task.lease, 3, "e3")), WAITING);
    }
    let id = EventId::v7(7, [7; 10]);
    let emit = Emit { id, queue: name("default"), name: name("news"), payload: json(3) };
    let mut woken = kit.wakes(Command::Emit(emit)).woken;
    woken.sort_unstable();
    assert_eq!(woken, tasks.each_ref().map(|task| (worker, task.lease.task)));
    for task in &tasks {
        assert_eq!(kit.arrivals(task.lease.task), [key("e3")]);
        assert_eq!(record(kit.ok(event(task.lease, 3, "e3"))).payload, json(3));
    }
}

pub fn an_event_once_had_is_not_had_again_after_a_retry(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    kit.emit("default", "news", 1);
    kit.emit("default", "news", 2);
    kit.ok(event(task.lease, 1, "e"));
    let ending = stent_core::command::Ending::Retry(super::kit::failure("x"), Duration::ZERO);
    kit.ok(finish(task.lease, ending));
    let again = kit.claim_one(worker);
    assert_eq!(record(kit.ok(event(again.lease, 2, "e2"))).payload, json(2));
}

pub fn old_events_are_pruned_and_later_ones_stay(f: &dyn Fixture) {
    let kit = Kit::new(f);
    kit.emit("default", "news", 1);
    kit.advance(HOUR);
    let kept = kit.now();
    kit.emit("default", "news", 2);
    assert_eq!(kit.ok(Command::PruneEvents(kept)), Done::Swept { count: 1, more: false });
    assert_eq!(kit.ok(Command::PruneEvents(kept)), Done::Swept { count: 0, more: false });
    let task = kit.running(kit.worker());
    assert_eq!(record(kit.ok(event(task.lease, 1, "e"))).payload, json(2));
}

pub fn a_timer_fires_when_due_and_not_before(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    let timer = |due| await_with(task.lease, 1, "t", Wait::Timer, Some(due));
    let Done::Waiting(Some(due)) = kit.ok(timer(Due::In(HOUR))) else { panic!() };
    kit.advance(HOUR / 2);
    // A registration keeps its first due time.
    assert_eq!(kit.ok(timer(Due::In(HOUR))), Done::Waiting(Some(due)));
    assert_eq!((kit.arrivals(task.lease.task), kit.history(task.lease.task).open[0].due), (vec![], Some(due)));
    kit.advance(HOUR / 2);
    assert_eq!(kit.arrivals(task.lease.task), [key("t")]);
    let record = record(kit.ok(timer(Due::In(HOUR))));
    assert_eq!((record.kind, record.verdict, record.payload), (RecordKind::Timer, Verdict::Ok, Payload::null()));
    assert!(record.at >= due);
}

pub fn a_time_that_has_passed_is_over_at_once(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    let past = Some(Due::At(kit.now() - HOUR));
    let timer = record(kit.ok(await_with(task.lease, 1, "t", Wait::Timer, past)));
    assert_eq!(timer.verdict, Verdict::Ok);
    let zero = Some(Due::In(Duration::ZERO));
    let signal = record(kit.ok(await_with(task.lease, 2, "s", Wait::Signal(name("go")), zero)));
    assert_eq!(signal.verdict, Verdict::TimedOut);
    let event = record(kit.ok(await_with(task.lease, 3, "e", Wait::Event(name("q"), name("n")), past)));
    assert_eq!((event.verdict, event.kind), (Verdict::TimedOut, RecordKind::Event));
}

pub fn what_came_beats_a_time_that_has_passed(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    let wait = await_with(task.lease, 1, "s", Wait::Signal(name("go")), Some(Due::In(HOUR)));
    kit.ok(wait.clone());
    kit.signal(task.lease.task.execution, "go", 1);
    kit.advance(HOUR * 2);
    assert_eq!(record(kit.ok(wait)).verdict, Verdict::Ok);
}

pub fn a_place_that_is_taken_refuses_a_delivery_and_keeps_what_came(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    kit.ok(super::kit::append(task.lease, 1, "step"));
    assert_eq!(kit.ok(await_signal(task.lease, 1, "s", "go")), WAITING);
    kit.signal(task.lease.task.execution, "go", 1);
    assert_eq!(kit.refused(await_signal(task.lease, 1, "s", "go")), Refusal::Exists);
    assert_eq!(kit.arrivals(task.lease.task), [key("s")]);
    assert_eq!(record(kit.ok(await_signal(task.lease, 2, "s", "go"))).payload, json(1));
}

pub fn an_abandoned_wait_is_forgotten(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    kit.ok(await_with(task.lease, 1, "t", Wait::Timer, Some(Due::In(HOUR))));
    kit.ok(await_signal(task.lease, 1, "s", "go"));
    assert_eq!(
        kit.history(task.lease.task).open.iter().map(|o| o.key.clone()).collect::<Vec<_>>(),
        [key("s"), key("t")]
    );
    for text in ["t", "s", "unknown"] {
        assert_eq!(kit.ok(Command::Abandon(task.lease, key(text))), Done::Nothing);
    }
    assert_eq!(kit.history(task.lease.task).open, []);
    let signal = Command::Signal(kit.signal_command(task.lease.task.execution, "go", 1));
    assert_eq!(kit.wakes(signal).woken, []);
    kit.ok(suspend(task.lease));
    assert_eq!(kit.view(task.lease.task).due, None);
}

pub fn the_record_is_what_the_wait_said_it_would_be(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    kit.signal(task.lease.task.execution, "go", 1);
    let (wait, lease) = (Wait::Signal(name("go")), task.lease);
    let ask = Await { lease, seq: 40, run: 3, key: key("s"), seen: 17, wait, due: None };
    let before = kit.now();
    let record = record(kit.ok(Command::Await(Box::new(ask))));
    assert_eq!((record.seq, record.run, record.seen), (40, 3, 17));
    assert!(record.at >= before && record.at <= kit.now());
}

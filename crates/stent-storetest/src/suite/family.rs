//! Parents and children: starting, ends delivered or found, cancels that reach what lies below.

use std::time::Duration;

use stent_core::command::{Ending, Finish, Wait};
use stent_core::history::Due;
use stent_core::{
    Command, Done, ExecutionId, ExecutionState, Failure, FailureKind, Lease, RecordKind, Refusal, SessionId, TaskId,
    TaskRef, TaskState, Verdict,
};

use super::Fixture;
use super::kit::{
    HOUR, Kit, append, await_with, call, child_ref, complete, deliver, fail, failure, finish, json, key, record,
    start_child, suspend,
};

fn await_child(parent: Lease, seq: u32, text: &str) -> Command {
    await_with(parent, seq, text, Wait::Child(child_ref(parent, text).task), None)
}

fn finish_with(lease: Lease, ending: Ending, to: Option<(Lease, u32)>) -> Finish {
    let deliver = to.and_then(|(parent, seq)| deliver(parent, seq));
    Finish { lease, ending, deliver, start: None, returned: Vec::new() }
}

pub fn a_child_is_queued_once_whoever_asks_again(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let parent = kit.running(worker);
    let started = |created, state| Done::ChildStarted { created, state, digest: [7; 16], claimed: None };
    let start = start_child(parent.lease, "c", false);
    assert_eq!(kit.ok(call(start.clone())), started(true, TaskState::Pending));
    let mut other = start.clone();
    other.digest = [8; 16];
    assert_eq!(kit.ok(call(other)), started(false, TaskState::Pending));
    let child = kit.claim_one(worker);
    assert_eq!((child.parent, child.attempt, child.spec), (Some(parent.lease.task.task), 1, start.spec.clone()));
    kit.ok(complete(child.lease));
    assert_eq!(kit.ok(call(start)), started(false, TaskState::Completed));
    let open = kit.history(parent.lease.task).open;
    assert_eq!(
        (open[0].child, open[0].digest, open[0].kind),
        (Some(child.lease.task.task), Some([7; 16]), RecordKind::Child)
    );
}

pub fn a_child_in_place_is_in_its_parents_sessions_hands(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let parent = kit.running(worker);
    let child = kit.child(parent.lease, "c");
    assert_eq!((child.lease.session, child.lease.epoch), (worker, 1));
    assert_eq!(child.lease.task, child_ref(parent.lease, "c"));
    let view = kit.view(child.lease.task);
    assert_eq!((view.state, view.key.as_deref(), view.parent), (TaskState::Running, Some("c"), child.parent));
    kit.claim_nothing(worker);
    kit.ok(append(child.lease, 1, "step"));
}

/// Scenario 21: the child's end against its parent's suspension, in both orders.
pub fn a_childs_end_and_its_parents_suspension_wake_the_parent_in_both_orders(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    for end_first in [true, false] {
        let parent = kit.running(worker);
        let child = kit.child(parent.lease, "c");
        assert_eq!(kit.ok(await_child(parent.lease, 1, "c")), Done::Waiting(None));
        let (end, suspend) = (complete(child.lease), suspend(parent.lease));
        let batch = kit.batch(if end_first { vec![end, suspend] } else { vec![suspend, end] });
        let lease = if end_first {
            assert_eq!(batch.outcomes[1], Ok(Done::Woken));
            assert_eq!(batch.wakes.woken, [(worker, parent.lease.task)]);
            parent.lease
        } else {
            assert_eq!(batch.outcomes[0], Ok(Done::Suspended));
            assert!(batch.wakes.ready);
            kit.claim_one(worker).lease
        };
        assert_eq!(kit.arrivals(lease.task), [key("c")]);
        let record = record(kit.ok(await_child(lease, 1, "c")));
        assert_eq!((record.kind, record.verdict, record.payload), (RecordKind::Child, Verdict::Ok, json("done")));
        assert_eq!((record.key, record.digest), (key("c"), Some([7; 16])));
        assert_eq!(record.source, Some(*child.lease.task.task.as_bytes()));
        assert_eq!((kit.arrivals(lease.task), kit.history(lease.task).open), (vec![], vec![]));
    }
}

pub fn an_end_delivers_itself_to_a_parent_that_is_held(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let parent = kit.running(kit.worker());
    let child = kit.child(parent.lease, "c");
    let batch = kit.batch(vec![Command::Finish(Box::new(finish_with(
        child.lease,
        Ending::Failed(failure("no")),
        Some((parent.lease, 4)),
    )))]);
    assert_eq!(batch.wakes.woken, []);
    let record = record(batch.outcomes[0].clone().unwrap());
    assert_eq!((record.seq, record.verdict, record.digest), (4, Verdict::Failed, Some([7; 16])));
    assert_eq!(Failure::from_payload(&record.payload), failure("no"));
    let history = kit.history(parent.lease.task);
    assert_eq!((history.records, history.open), (vec![record], vec![]));
    assert!(!kit.view(parent.lease.task).woken);
}

pub fn an_end_that_cannot_be_delivered_wakes_the_parent(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let parent = kit.running(worker);
    kit.ok(append(parent.lease, 1, "step"));
    let stale = Lease { epoch: 7, ..parent.lease };
    let other = kit.running(worker).lease;
    for (text, to) in [("stale", (stale, 2)), ("taken", (parent.lease, 1)), ("other", (other, 2))] {
        let child = kit.child(parent.lease, text);
        let finish = finish_with(child.lease, Ending::Completed(json(1)), Some(to));
        let batch = kit.batch(vec![Command::Finish(Box::new(finish))]);
        assert_eq!(batch.outcomes, [Ok(Done::Finished { delivered: None })]);
        assert_eq!(batch.wakes.woken, [(worker, parent.lease.task)]);
    }
    assert_eq!(kit.arrivals(parent.lease.task), [key("other"), key("stale"), key("taken")]);
    assert_eq!((kit.history(parent.lease.task).records.len(), kit.history(other.task).records.len()), (1, 0));
}

pub fn a_child_in_place_may_bring_its_start_with_its_end(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let parent = kit.running(worker);
    let start = start_child(parent.lease, "c", true);
    let task = child_ref(parent.lease, "c");
    let lease = Lease { task, session: worker, epoch: 1 };
    let mut end = finish_with(lease, Ending::Completed(json(1)), Some((parent.lease, 1)));
    end.start = Some(Box::new(start));
    let outcome = kit.ok(Command::Finish(Box::new(end.clone())));
    assert_eq!(record(outcome).payload, json(1));
    assert_eq!((kit.state(task), kit.view(task).epoch), (TaskState::Completed, 1));
    assert_eq!(kit.refused(Command::Finish(Box::new(end))), Refusal::Terminal(TaskState::Completed));
}

pub fn a_refused_start_refuses_the_end_it_came_with(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (worker, other) = (kit.worker(), kit.worker());
    let parent = kit.running(worker);
    let task = child_ref(parent.lease, "c");
    let lease = Lease { task, session: worker, epoch: 1 };
    let with = |start, lease| {
        let mut end = finish_with(lease, Ending::Completed(json(1)), Some((parent.lease, 1)));
        end.start = Some(Box::new(start));
        Command::Finish(Box::new(end))
    };
    let stale = Lease { epoch: 9, ..parent.lease };
    let queued = start_child(parent.lease, "c", false);
    let wrong_task = start_child(parent.lease, "other", true);
    for (start, lease) in [
        (start_child(stale, "c", true), lease),
        (queued, lease),
        (wrong_task, lease),
        (start_child(parent.lease, "c", true), Lease { session: other, ..lease }),
        (start_child(parent.lease, "c", true), Lease { epoch: 2, ..lease }),
    ] {
        assert_eq!(kit.refused(with(start, lease)), Refusal::LeaseLost);
        assert_eq!(crate::drive::block_on(kit.store.tasks(task.execution)).unwrap().len(), 1);
    }
    kit.ok(Command::Cancel(parent.lease.task));
    let refusal = kit.refused(with(start_child(parent.lease, "c", true), lease));
    assert_eq!(refusal, Refusal::Terminal(TaskState::Cancelled));
}

pub fn a_child_that_is_not_there_cannot_be_awaited(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let parent = kit.running(worker);
    assert_eq!(kit.refused(await_child(parent.lease, 1, "c")), Refusal::Unknown);
    let child = kit.child(parent.lease, "c");
    let grandchild = kit.child(child.lease, "g");
    let of_another = Wait::Child(grandchild.lease.task.task);
    assert_eq!(kit.refused(await_with(parent.lease, 1, "g", of_another, None)), Refusal::Unknown);
}

pub fn a_cancelled_child_is_a_failure_of_its_parents(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let parent = kit.running(worker);
    let child = kit.child(parent.lease, "c");
    let grandchild = kit.child(child.lease, "g");
    let wakes = kit.wakes(Command::Cancel(child.lease.task));
    assert_eq!((wakes.woken, wakes.ended), (vec![(worker, parent.lease.task)], vec![]));
    assert_eq!(wakes.stopped.len(), 2);
    assert_eq!(kit.state(grandchild.lease.task), TaskState::Cancelled);
    let record = record(kit.ok(await_child(parent.lease, 1, "c")));
    assert_eq!(record.verdict, Verdict::Failed);
    assert_eq!(Failure::from_payload(&record.payload).kind, FailureKind::Cancelled);
    assert_eq!(kit.refused(Command::Cancel(child.lease.task)), Refusal::Terminal(TaskState::Cancelled));
}

/// Scenario 25.
pub fn a_parents_end_cancels_all_that_lies_below_it(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let ends: [fn(Lease) -> Command; 3] = [complete, fail, |lease| Command::Cancel(lease.task)];
    for end in ends {
        let root = kit.running(worker);
        let parent = kit.child(root.lease, "p");
        let running = kit.child(parent.lease, "running");
        let suspended = kit.child(running.lease, "suspended");
        kit.ok(super::kit::await_signal(suspended.lease, 1, "s", "go"));
        kit.ok(suspend(suspended.lease));
        kit.ok(call(start_child(parent.lease, "queued", false)));
        let done = kit.child(parent.lease, "done");
        kit.ok(complete(done.lease));
        let aside = kit.child(root.lease, "aside");
        let wakes = kit.wakes(end(parent.lease));
        assert!(wakes.stopped.contains(&(worker, running.lease.task, TaskState::Cancelled)));
        let queued = child_ref(parent.lease, "queued");
        for task in [running.lease.task, suspended.lease.task, queued] {
            assert_eq!(kit.state(task), TaskState::Cancelled);
        }
        assert_eq!(kit.state(done.lease.task), TaskState::Completed);
        assert_eq!(kit.state(aside.lease.task), TaskState::Running);
        kit.ok(Command::Cancel(root.lease.task));
    }
    kit.claim_nothing(worker);
}

/// Scenario 25.
pub fn an_execution_that_is_cancelled_while_it_starts_children_leaves_none_alive(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let root = kit.running(kit.worker());
    let batch = kit.batch(vec![
        call(start_child(root.lease, "a", false)),
        call(start_child(root.lease, "b", true)),
        Command::Cancel(root.lease.task),
        call(start_child(root.lease, "c", false)),
    ]);
    assert_eq!(batch.outcomes[3], Err(Refusal::Terminal(TaskState::Cancelled)));
    let tasks = crate::drive::block_on(kit.store.tasks(root.lease.task.execution)).unwrap();
    assert_eq!(tasks.len(), 3);
    assert!(tasks.iter().all(|task| task.state == TaskState::Cancelled));
    assert_eq!(kit.execution(root.lease.task.execution).state, ExecutionState::Cancelled);
    kit.claim_nothing(kit.worker());
}

pub fn a_roots_end_ends_its_execution_and_every_task_of_it(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let root = kit.running(kit.worker());
    let child = kit.child(root.lease, "c");
    let wakes = kit.wakes(complete(root.lease));
    assert_eq!(wakes.ended, [root.lease.task.execution]);
    let view = kit.execution(root.lease.task.execution);
    assert_eq!((view.state, view.result, view.failure), (ExecutionState::Completed, Some(json("done")), None));
    assert!(view.completed_at.is_some());
    assert_eq!(kit.state(child.lease.task), TaskState::Cancelled);
}

pub fn an_unknown_task_cannot_be_cancelled(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let root = TaskRef::root(kit.start());
    let unknown = TaskRef { task: TaskId::v7(1, [1; 10]), ..root };
    for task in [unknown, TaskRef::root(ExecutionId::v7(1, [1; 10]))] {
        assert_eq!(kit.refused(Command::Cancel(task)), Refusal::Unknown);
    }
    kit.ok(Command::Cancel(root));
    assert_eq!(kit.refused(Command::Cancel(root)), Refusal::Terminal(TaskState::Cancelled));
    assert_eq!(kit.execution(root.execution).started_at, None);
}

pub fn a_wait_for_a_child_may_be_over_before_the_child(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let parent = kit.running(kit.worker());
    let child = kit.child(parent.lease, "c");
    let wait = await_with(parent.lease, 1, "c", Wait::Child(child.lease.task.task), Some(Due::In(HOUR)));
    let Done::Waiting(Some(due)) = kit.ok(wait) else { panic!() };
    assert_eq!(kit.history(parent.lease.task).open[0].due, Some(due));
    kit.ok(suspend(parent.lease));
    assert_eq!(kit.view(parent.lease.task).due, Some(due));
    kit.advance(HOUR);
    let again = kit.claim_one(kit.worker());
    let wait = await_with(again.lease, 1, "c", Wait::Child(child.lease.task.task), None);
    assert_eq!(record(kit.ok(wait)).verdict, Verdict::TimedOut);
    assert_eq!(kit.state(child.lease.task), TaskState::Running);
}

pub fn a_retry_of_the_parent_lets_its_children_go_on(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker: SessionId = kit.worker();
    let parent = kit.running(worker);
    let child = kit.child(parent.lease, "c");
    kit.ok(finish(parent.lease, Ending::Retry(failure("x"), Duration::ZERO)));
    assert_eq!(kit.state(child.lease.task), TaskState::Running);
    let again = kit.claim_one(worker);
    kit.ok(complete(child.lease));
    assert_eq!(kit.arrivals(again.lease.task), [key("c")]);
    assert_eq!(record(kit.ok(await_child(again.lease, 1, "c"))).verdict, Verdict::Ok);
}

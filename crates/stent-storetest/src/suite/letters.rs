//! Dead letters: failures for good, replayed or thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stent_core::command::{Ending, ReplayLetter, Wait};
use stent_core::{Command, Done, ExecutionState, Failure, FailureKind, Lease, Refusal, SessionId, TaskRef, TaskState};

use super::Fixture;
use super::kit::{
    HOUR, Kit, append, await_signal, await_with, call, child_ref, complete, deliver, fail, failure, finish, json, key,
    name, record, replay, start_child, suspend,
};
use crate::drive::block_on;

/// Scenario 35.
pub fn a_replayed_root_goes_on_with_what_it_has_recorded(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running_with(worker, |start| start.deadline.expire_after = Some(HOUR));
    kit.ok(append(task.lease, 1, "kept"));
    kit.ok(fail(task.lease));
    let letter = block_on(kit.store.letter(task.lease.task)).unwrap().unwrap();
    assert_eq!((letter.failure, letter.through_root), (failure("no"), false));
    assert_eq!(kit.execution(task.lease.task.execution).state, ExecutionState::Failed);
    assert_eq!(kit.ok(replay(task.lease.task)), Done::Replayed { run: 2 });
    assert_eq!(block_on(kit.store.letter(task.lease.task)).unwrap(), None);
    let view = kit.execution(task.lease.task.execution);
    assert_eq!((view.state, view.completed_at, view.deadline), (ExecutionState::Running, None, None));
    assert_eq!(kit.refused(complete(task.lease)), Refusal::LeaseLost);
    kit.advance(HOUR * 2);
    assert_eq!(kit.ok(Command::Expire), Done::Swept { count: 0, more: false });
    let again = kit.claim_one(worker);
    assert_eq!((again.lease.task, again.run, again.attempt, again.lease.epoch), (task.lease.task, 2, 1, 2));
    assert_eq!(kit.history(task.lease.task).records.len(), 1);
    kit.ok(complete(again.lease));
    let view = kit.execution(task.lease.task.execution);
    assert_eq!((view.state, view.failure), (ExecutionState::Completed, None));
}

pub fn a_replay_keeps_the_attempt_unless_it_is_reset_and_may_change_the_queue(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker).lease.task;
    let at = |kit: &Kit<'_>| (kit.view(task).attempt, kit.view(task).run, kit.view(task).queue);
    let retry = |lease| finish(lease, Ending::Retry(failure("x"), std::time::Duration::ZERO));
    let lease = stent_core::Lease { task, session: worker, epoch: 1 };
    kit.ok(retry(lease));
    kit.ok(fail(kit.claim_one(worker).lease));
    kit.ok(replay(task));
    assert_eq!(at(&kit), (2, 3, name("default")));
    kit.ok(fail(kit.claim_one(worker).lease));
    let queue = Some(name("repairs"));
    kit.ok(Command::ReplayLetter(ReplayLetter { task, reset_attempts: true, queue }));
    assert_eq!(at(&kit), (1, 4, name("repairs")));
    assert_eq!(kit.execution(task.execution).queue, name("repairs"));
    assert_eq!(kit.claim_one(worker).spec.queue, name("repairs"));
}

pub fn what_has_no_letter_cannot_be_replayed(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    assert_eq!(kit.refused(replay(task.lease.task)), Refusal::Unknown);
    kit.ok(fail(task.lease));
    kit.ok(replay(task.lease.task));
    assert_eq!(kit.refused(replay(task.lease.task)), Refusal::Unknown);
    let cancelled = kit.running(worker).lease.task;
    kit.ok(Command::Cancel(cancelled));
    assert_eq!(kit.refused(replay(cancelled)), Refusal::Unknown);
}

pub fn a_discarded_letter_leaves_the_task_as_it_is(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    kit.ok(fail(task.lease));
    assert_eq!(kit.ok(Command::DiscardLetter(task.lease.task)), Done::Changed(true));
    assert_eq!(kit.ok(Command::DiscardLetter(task.lease.task)), Done::Changed(false));
    assert_eq!((kit.state(task.lease.task), block_on(kit.store.letters(9)).unwrap()), (TaskState::Failed, vec![]));
    assert_eq!(kit.refused(replay(task.lease.task)), Refusal::Unknown);
}

/// Scenario 35: replaying both would run the work twice.
pub fn a_child_whose_root_failed_too_is_replayed_through_it(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let root = kit.running(kit.worker());
    let child = kit.child(root.lease, "c");
    kit.ok(fail(child.lease));
    assert!(!block_on(kit.store.letter(child.lease.task)).unwrap().unwrap().through_root);
    kit.ok(fail(root.lease));
    assert!(block_on(kit.store.letter(child.lease.task)).unwrap().unwrap().through_root);
    assert_eq!(kit.refused(replay(child.lease.task)), Refusal::ReplayRoot);
    assert_eq!(block_on(kit.store.letters(9)).unwrap().len(), 2);
    kit.ok(replay(root.lease.task));
    assert_eq!(block_on(kit.store.letters(9)).unwrap(), []);
    assert_eq!(kit.state(child.lease.task), TaskState::Failed);
}

pub fn a_child_whose_parent_had_its_failure_runs_by_itself(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let root = kit.running(worker);
    let child = kit.child(root.lease, "c");
    let end = stent_core::command::Finish {
        lease: child.lease,
        ending: Ending::Failed(failure("no")),
        deliver: deliver(root.lease, 1),
        start: None,
        returned: Vec::new(),
    };
    kit.ok(Command::Finish(Box::new(end)));
    kit.ok(replay(child.lease.task));
    assert_eq!(kit.history(root.lease.task).open, []);
    let again = kit.claim_one(worker);
    assert_eq!(again.lease.task, child.lease.task);
    assert_eq!(kit.wakes(complete(again.lease)).woken, []);
    assert_eq!((kit.arrivals(root.lease.task), kit.history(root.lease.task).records.len()), (vec![], 1));
}

pub fn a_child_whose_parent_has_not_looked_yet_is_its_child_as_before(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let root = kit.running(worker);
    let child = kit.child(root.lease, "c");
    kit.ok(fail(child.lease));
    kit.ok(replay(child.lease.task));
    assert_eq!((kit.arrivals(root.lease.task), kit.history(root.lease.task).open.len()), (vec![], 1));
    let again = kit.claim_one(worker);
    assert_eq!(kit.wakes(complete(again.lease)).woken, [(worker, root.lease.task)]);
    let wait = stent_core::command::Wait::Child(child_ref(root.lease, "c").task);
    assert_eq!(record(kit.ok(await_with(root.lease, 1, "c", wait, None))).key, key("c"));
}

pub fn a_replayed_child_still_ends_with_its_ancestors(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let root = kit.running(kit.worker());
    let child = kit.child(root.lease, "c");
    kit.ok(fail(child.lease));
    kit.ok(replay(child.lease.task));
    kit.ok(complete(root.lease));
    assert_eq!(kit.state(child.lease.task), TaskState::Cancelled);
}

/// Everything that waits, claimed by one worker.
fn claim_again(kit: &Kit<'_>, worker: SessionId, expected: &[TaskRef]) -> BTreeMap<TaskRef, Lease> {
    let claimed: BTreeMap<_, _> = kit.claim(worker, 100).iter().map(|task| (task.lease.task, task.lease)).collect();
    assert_eq!(claimed.keys().copied().collect::<BTreeSet<_>>(), expected.iter().copied().collect());
    claimed
}

fn await_child(parent: Lease, seq: u32, text: &str) -> Command {
    await_with(parent, seq, text, Wait::Child(child_ref(parent, text).task), None)
}

pub fn a_replayed_root_brings_back_what_was_cancelled_with_it(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (dead, worker) = (kit.worker(), kit.worker());
    let root = kit.running(worker);
    let child = kit.child(root.lease, "c");
    kit.ok(append(child.lease, 1, "kept"));
    let below = kit.child(child.lease, "d");
    kit.ok(await_signal(below.lease, 1, "s", "go"));
    kit.ok(suspend(below.lease));
    kit.ok(call(start_child(root.lease, "q", false)));
    let queued = kit.claim_one(dead);
    kit.ok(finish(queued.lease, Ending::Retry(failure("once"), Duration::ZERO)));
    assert_eq!(kit.claim_one(dead).lease.task, queued.lease.task);
    kit.lose(dead);
    kit.ok(fail(root.lease));
    let [root, child, below, queued] = [root, child, below, queued].map(|task| task.lease);
    for task in [child, below, queued] {
        assert_eq!(kit.state(task.task), TaskState::Cancelled);
    }
    let batch = kit.batch(vec![replay(root.task)]);
    assert_eq!((&batch.outcomes[..], batch.wakes.ready), (&[Ok(Done::Replayed { run: 2 })][..], true));
    for (task, run, attempt) in [(child, 2, 1), (below, 2, 1), (queued, 3, 2)] {
        let view = kit.view(task.task);
        assert_eq!((view.state, view.run, view.attempt, view.losses), (TaskState::Pending, run, attempt, 0));
        assert_eq!((view.session, view.due, view.woken, view.failure), (None, None, false, None));
        assert_eq!((view.started_at, view.completed_at), (None, None));
        assert!(kit.arrivals(task.task).is_empty());
    }
    assert_eq!(kit.history(root.task).open.len(), 2);
    assert_eq!(kit.refused(complete(child)), Refusal::LeaseLost);
    let again = claim_again(&kit, worker, &[root, child, below, queued].map(|lease| lease.task));
    assert_eq!(kit.history(child.task).records.len(), 1);
    let created = |state| Done::ChildStarted { created: false, state, digest: [7; 16], claimed: None };
    assert_eq!(kit.ok(call(start_child(again[&root.task], "c", true))), created(TaskState::Running));
    kit.ok(complete(again[&below.task]));
    assert_eq!(record(kit.ok(await_child(again[&child.task], 2, "d"))).payload, json("done"));
    assert_eq!(kit.wakes(complete(again[&child.task])).woken, [(worker, root.task)]);
    assert_eq!(record(kit.ok(await_child(again[&root.task], 1, "c"))).payload, json("done"));
    // And once more, with what is unfinished this time.
    kit.ok(fail(again[&root.task]));
    kit.ok(replay(root.task));
    claim_again(&kit, worker, &[root.task, queued.task]);
    assert_eq!((kit.state(child.task), kit.state(below.task)), (TaskState::Completed, TaskState::Completed));
}

pub fn a_replayed_root_may_reset_the_attempts_below_it_and_changes_no_queue_but_its_own(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let root = kit.running(worker).lease;
    let child = kit.child(root, "c").lease;
    kit.ok(finish(child, Ending::Retry(failure("once"), Duration::ZERO)));
    kit.ok(fail(root));
    let queue = Some(name("repairs"));
    kit.ok(Command::ReplayLetter(ReplayLetter { task: root.task, reset_attempts: true, queue }));
    assert_eq!(kit.view(root.task).queue, name("repairs"));
    let view = kit.view(child.task);
    assert_eq!((view.state, view.run, view.attempt, view.queue), (TaskState::Pending, 3, 1, name("default")));
    claim_again(&kit, worker, &[root.task, child.task]);
}

pub fn a_replayed_root_leaves_what_ended_before_it(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let root = kit.running(worker).lease;
    let children = ["completes", "fails", "is cancelled"].map(|text| kit.child(root, text).lease);
    let below = children.map(|child| kit.child(child, "below").lease.task);
    let [completes, fails, is_cancelled] = children;
    kit.ok(complete(completes));
    kit.ok(fail(fails));
    kit.ok(Command::Cancel(is_cancelled.task));
    let states = |kit: &Kit<'_>| children.map(|child| kit.state(child.task));
    let before = [TaskState::Completed, TaskState::Failed, TaskState::Cancelled];
    assert_eq!((states(&kit), below.map(|task| kit.state(task))), (before, [TaskState::Cancelled; 3]));
    kit.ok(fail(root));
    kit.ok(replay(root.task));
    assert_eq!((states(&kit), below.map(|task| kit.state(task))), (before, [TaskState::Cancelled; 3]));
    assert_eq!(kit.arrivals(root.task).len(), 3);
    let again = kit.claim_one(worker);
    let end = record(kit.ok(await_child(again.lease, 1, "is cancelled")));
    assert_eq!(Failure::from_payload(&end.payload).kind, FailureKind::Cancelled);
}

pub fn a_replayed_root_leaves_cancelled_what_its_parent_had_an_end_of(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let root = kit.running(worker).lease;
    let [cancelled, detached] = ["cancelled", "detached"].map(|text| kit.child(root, text).lease);
    let below = kit.child(cancelled, "below").lease;
    kit.ok(Command::Cancel(cancelled.task));
    record(kit.ok(await_child(root, 1, "cancelled")));
    kit.ok(fail(detached));
    record(kit.ok(await_child(root, 2, "detached")));
    kit.ok(replay(detached.task));
    kit.ok(fail(root));
    kit.ok(replay(root.task));
    for task in [cancelled, detached, below] {
        assert_eq!((kit.state(task.task), kit.view(task.task).completed_at.is_some()), (TaskState::Cancelled, true));
    }
    assert_eq!((kit.claim_one(worker).lease.task, kit.history(root.task).open), (root.task, vec![]));
}

pub fn letters_are_listed_newest_first(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let mut failed = Vec::new();
    for _ in 0..3 {
        let task = kit.running(worker);
        kit.ok(fail(task.lease));
        failed.push(task.lease.task);
        kit.advance(HOUR);
    }
    failed.reverse();
    let listed = |limit| -> Vec<TaskRef> {
        block_on(kit.store.letters(limit)).unwrap().into_iter().map(|letter| letter.task).collect()
    };
    assert_eq!((listed(9), listed(2)), (failed.clone(), failed[..2].to_vec()));
}

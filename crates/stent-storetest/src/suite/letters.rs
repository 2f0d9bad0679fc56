//! Dead letters: failures for good, replayed or thrown away.

use stent_core::command::{Ending, ReplayLetter};
use stent_core::{Command, Done, ExecutionState, Refusal, TaskRef, TaskState};

use super::Fixture;
use super::kit::{
    HOUR, Kit, append, await_with, child_ref, complete, deliver, fail, failure, finish, key, name, record, replay,
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

//! Losses: attempts whose worker died. Counted apart from attempts, cleared by progress, at the limit a dead letter.

use std::time::Duration;

use stent_core::limits::{LOSSES, SWEEP_TASKS};
use stent_core::{Command, Done, ExecutionState, FailureKind, TaskRef, TaskState};

use super::Fixture;
use super::kit::{Kit, append, take_over};
use crate::drive::block_on;

pub fn a_loss_is_charged_and_the_task_resumes_before_new_ones(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (worker, other) = (kit.worker(), kit.worker());
    let task = kit.running(worker);
    kit.start_with(|start| start.spec.priority = i32::MAX);
    assert_eq!(kit.ok(take_over(worker)), Done::Swept { count: 1, more: false });
    assert_eq!(kit.ok(take_over(worker)), Done::Swept { count: 0, more: false });
    let again = kit.claim(other, 1).remove(0);
    assert_eq!((again.lease.task, again.losses, again.attempt, again.run), (task.lease.task, 1, 1, 1));
}

/// Whoever began the take-over may die before it is done: somebody else has to find the rest.
pub fn a_session_taken_over_in_part_stays_gone_until_nothing_is_left(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let most = SWEEP_TASKS + 20;
    for _ in 0..most {
        kit.start();
    }
    assert_eq!(kit.claim(worker, most).len(), most as usize);
    assert_eq!(kit.ok(take_over(worker)), Done::Swept { count: SWEEP_TASKS, more: true });
    let gone = || block_on(kit.store.gone_sessions(Duration::from_secs(3_600))).unwrap();
    assert!(gone().contains(&worker), "nobody would take the rest over");
    assert_eq!(kit.ok(take_over(worker)), Done::Swept { count: 20, more: false });
    assert!(!gone().contains(&worker));
}

pub fn losses_without_progress_add_up_and_progress_clears_them(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let mut task = kit.running(worker);
    for expected in [1, 2, 1, 2] {
        // The third life writes a record.
        if task.lease.epoch == 3 {
            kit.ok(append(task.lease, 1, "progress"));
        }
        kit.lose(task.lease.session);
        task = kit.claim_one(kit.worker());
        assert_eq!(task.losses, expected);
    }
}

pub fn the_last_loss_is_a_dead_letter(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let id = kit.start();
    for _ in 0..LOSSES {
        assert_eq!(kit.execution(id).completed_at, None);
        let worker = kit.worker();
        kit.claim_one(worker);
        kit.lose(worker);
    }
    kit.claim_nothing(kit.worker());
    let view = kit.execution(id);
    assert_eq!((view.state, view.failure.unwrap().kind), (ExecutionState::Failed, FailureKind::Lost));
    assert_eq!(block_on(kit.store.letter(TaskRef::root(id))).unwrap().unwrap().failure.kind, FailureKind::Lost);
    assert_eq!(kit.view(TaskRef::root(id)).losses, LOSSES);
}

/// The end of the lost root cancels its child, which the same session owned.
pub fn the_last_loss_of_a_root_takes_its_children_with_it(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let root = TaskRef::root(kit.start());
    for _ in 1..LOSSES {
        let worker = kit.worker();
        kit.claim_one(worker);
        kit.lose(worker);
    }
    let worker = kit.worker();
    let parent = kit.claim_one(worker);
    let children: Vec<_> = ["a", "b", "c"].map(|key| kit.child(parent.lease, key).lease.task).into();
    kit.lose(worker);
    assert_eq!(kit.state(root), TaskState::Failed);
    for child in children {
        assert_eq!(kit.state(child), TaskState::Cancelled);
    }
    kit.claim_nothing(kit.worker());
}

pub fn only_a_named_suspect_is_charged(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let (innocent, suspect) = (kit.running(worker), kit.running(worker));
    kit.ok(Command::NameSuspect(worker, Some(suspect.lease.task)));
    assert_eq!(block_on(kit.store.sessions()).unwrap()[0].suspect, Some(suspect.lease.task));
    kit.lose(worker);
    assert_eq!(kit.view(innocent.lease.task).losses, 0);
    assert_eq!(kit.view(suspect.lease.task).losses, 1);
}

pub fn a_suspect_that_is_cleared_is_charged_like_any_other(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let (one, two) = (kit.running(worker), kit.running(worker));
    kit.ok(Command::NameSuspect(worker, Some(one.lease.task)));
    kit.ok(Command::NameSuspect(worker, None));
    kit.lose(worker);
    assert_eq!((kit.view(one.lease.task).losses, kit.view(two.lease.task).losses), (1, 1));
}

pub fn a_retry_clears_losses(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    kit.running(worker);
    kit.lose(worker);
    let task = kit.claim_one(kit.worker());
    let ending = stent_core::command::Ending::Retry(super::kit::failure("again"), std::time::Duration::ZERO);
    kit.ok(super::kit::finish(task.lease, ending));
    assert_eq!(kit.view(task.lease.task).losses, 0);
}

pub fn a_suspended_task_is_nobodys_loss(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    kit.ok(super::kit::await_signal(task.lease, 1, "s", "go"));
    kit.ok(super::kit::suspend(task.lease));
    kit.lose(worker);
    assert_eq!((kit.state(task.lease.task), kit.view(task.lease.task).losses), (TaskState::Suspended, 0));
}

pub fn a_take_over_disowns_what_others_have_ended(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    kit.ok(Command::Cancel(task.lease.task));
    assert_eq!(kit.ok(take_over(worker)), Done::Swept { count: 0, more: false });
    assert_eq!((kit.state(task.lease.task), kit.view(task.lease.task).session), (TaskState::Cancelled, None));
}

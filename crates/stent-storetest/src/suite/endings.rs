//! Results, failures, retries, releases and deadlines: how attempts, tasks and executions end, and that ends stand.

use std::time::Duration;

use stent_core::command::{Ending, Release, Start};
use stent_core::history::Due;
use stent_core::{ClaimedTask, Command, Done, ExecutionState, Refusal, TaskRef, TaskState, Timestamp};

use super::Fixture;
use super::kit::{HOUR, Kit, append, await_signal, complete, fail, failure, finish, json, suspend};
use crate::drive::block_on;

fn retry(lease: stent_core::Lease, delay: Duration) -> Command {
    finish(lease, Ending::Retry(failure("once more"), delay))
}

pub fn a_retry_is_a_new_attempt_and_a_new_run_of_the_same_task(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    kit.ok(append(task.lease, 1, "kept"));
    kit.ok(await_signal(task.lease, 2, "s", "go"));
    assert!(kit.wakes(retry(task.lease, Duration::ZERO)).ready);
    let view = kit.view(task.lease.task);
    assert_eq!((view.state, view.attempt, view.run, view.epoch), (TaskState::Pending, 2, 2, 1));
    assert_eq!((view.session, view.started_at, view.due, view.woken), (None, None, None, false));
    assert_eq!(view.failure, Some(failure("once more")));
    let execution = kit.execution(task.lease.task.execution);
    assert_eq!((execution.state, execution.attempts), (ExecutionState::Running, 1));
    assert_eq!(execution.failure, Some(failure("once more")));
    let history = kit.history(task.lease.task);
    assert_eq!((history.records.len(), history.open.len()), (1, 0));
    assert_eq!(kit.refused(append(task.lease, 2, "late")), Refusal::LeaseLost);
    let again = kit.claim_one(worker);
    assert_eq!((again.attempt, again.run, again.lease.epoch), (2, 2, 2));
}

pub fn a_retry_is_not_claimed_early_and_has_no_precedence(f: &dyn Fixture) {
    let kit = Kit::new(f);
    f.set_clock(kit.now());
    let worker = kit.worker();
    let task = kit.running(worker);
    kit.ok(retry(task.lease, HOUR));
    let view = kit.view(task.lease.task);
    assert_eq!((view.state, view.session, view.started_at), (TaskState::Pending, None, None));
    assert_eq!(view.due, Some(kit.now() + HOUR));
    kit.claim_nothing(worker);
    // Nobody has it, so nobody's end brings it back sooner.
    kit.lose(worker);
    let worker = kit.worker();
    kit.advance(HOUR - Duration::from_micros(1));
    kit.claim_nothing(worker);
    assert_eq!((kit.view(task.lease.task).due, kit.view(task.lease.task).losses), (view.due, 0));
    let high = kit.start_with(|start| start.spec.priority = 1);
    kit.advance(Duration::from_micros(1));
    let claimed: Vec<_> = kit.claim(worker, 9).iter().map(|task| task.lease.task).collect();
    assert_eq!(claimed, [TaskRef::root(high), task.lease.task]);
}

pub fn a_result_clears_the_failure_that_was_shown(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    kit.ok(retry(task.lease, Duration::ZERO));
    kit.ok(complete(kit.claim_one(worker).lease));
    let view = kit.view(task.lease.task);
    assert_eq!((view.state, view.failure, view.result), (TaskState::Completed, None, Some(json("done"))));
    assert!(view.completed_at.is_some() && view.session.is_none());
}

pub fn a_release_charges_nothing_and_resumes_first(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    let started = kit.view(task.lease.task).started_at;
    kit.ok(await_signal(task.lease, 1, "s", "go"));
    let release = |lease, reason: Option<&str>, delay| {
        Command::Release(Box::new(Release { lease, delay, reason: reason.map(failure) }))
    };
    kit.ok(release(task.lease, Some("draining"), Duration::ZERO));
    let view = kit.view(task.lease.task);
    assert_eq!((view.state, view.attempt, view.run, view.losses), (TaskState::Pending, 1, 1, 0));
    assert_eq!((view.failure, view.started_at), (Some(failure("draining")), started));
    assert_eq!(kit.history(task.lease.task).open.len(), 1);
    kit.start_with(|start| start.spec.priority = 9);
    let again = kit.claim(worker, 1).remove(0);
    assert_eq!((again.lease.task, again.attempt), (task.lease.task, 1));
    kit.ok(release(again.lease, None, HOUR));
    assert_eq!(kit.view(task.lease.task).failure, Some(failure("draining")));
    assert_ne!(kit.claim(worker, 1)[0].lease.task, task.lease.task);
    // Delayed: a signal does not bring it back early.
    kit.signal(task.lease.task.execution, "go", 1);
    kit.claim_nothing(worker);
    kit.advance(HOUR);
    assert_eq!(kit.claim_one(worker).lease.task, task.lease.task);
}

pub fn a_terminal_state_never_changes(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let ends: [fn(&Kit<'_>, &ClaimedTask); 4] = [
        |kit, task| drop(kit.ok(complete(task.lease))),
        |kit, task| drop(kit.ok(fail(task.lease))),
        |kit, task| drop(kit.ok(Command::Cancel(task.lease.task))),
        |kit, _| {
            kit.advance(HOUR);
            kit.ok(Command::Expire);
        },
    ];
    for end in ends {
        let task = kit.running_with(worker, |start| start.deadline.expire_after = Some(HOUR));
        end(&kit, &task);
        let before = (kit.view(task.lease.task), kit.execution(task.lease.task.execution));
        assert!(before.0.state.is_terminal() && before.1.state.is_terminal());
        kit.advance(HOUR * 2);
        let late = vec![
            complete(task.lease),
            fail(task.lease),
            retry(task.lease, Duration::ZERO),
            suspend(task.lease),
            Command::Cancel(task.lease.task),
            Command::Signal(kit.signal_command(task.lease.task.execution, "go", 1)),
        ];
        for outcome in kit.batch(late).outcomes {
            assert_eq!(outcome, Err(Refusal::Terminal(before.0.state)));
        }
        kit.ok(Command::Expire);
        kit.claim_nothing(worker);
        assert_eq!((kit.view(task.lease.task), kit.execution(task.lease.task.execution)), before);
        kit.ok(Command::Heed(task.lease));
    }
}

fn expired(kit: &Kit<'_>, id: stent_core::ExecutionId, as_state: ExecutionState) {
    assert_eq!(kit.ok(Command::Expire), Done::Swept { count: 1, more: false });
    assert_eq!(kit.execution(id).state, as_state);
    assert_eq!(kit.ok(Command::Expire), Done::Swept { count: 0, more: false });
}

pub fn an_expiry_times_out_the_execution_with_all_its_tasks(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let root = kit.running_with(worker, |start| start.deadline.expire_after = Some(HOUR));
    let id = root.lease.task.execution;
    let child = kit.child(root.lease, "c");
    let view = kit.execution(id);
    assert_eq!(view.deadline, Some(view.created_at + HOUR));
    assert_eq!(kit.ok(Command::Expire), Done::Swept { count: 0, more: false });
    kit.advance(HOUR);
    let wakes = kit.wakes(Command::Expire);
    assert_eq!((wakes.stopped.len(), wakes.ended), (2, vec![id]));
    assert_eq!(kit.execution(id).state, ExecutionState::TimedOut);
    assert_eq!(kit.state(child.lease.task), TaskState::TimedOut);
    assert_eq!(kit.refused(complete(root.lease)), Refusal::Terminal(TaskState::TimedOut));
}

pub fn a_start_that_comes_too_late_is_cancelled_and_one_in_time_is_not(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let within = |start: &mut Start| start.deadline.start_within = Some(HOUR);
    let late = kit.start_with(within);
    let in_time = kit.running_with(kit.worker(), within);
    assert_eq!(kit.execution(in_time.lease.task.execution).deadline, None);
    kit.advance(HOUR);
    expired(&kit, late, ExecutionState::Cancelled);
    kit.ok(complete(in_time.lease));
}

pub fn a_run_that_takes_too_long_counts_from_the_first_claim(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let id = kit.start_with(|start| start.deadline.run_within = Some(HOUR * 2));
    assert_eq!(kit.execution(id).deadline, None);
    kit.advance(HOUR * 5);
    let task = kit.claim_one(worker);
    let view = kit.execution(id);
    assert_eq!(view.deadline, view.started_at.map(|at| at + HOUR * 2));
    kit.advance(HOUR);
    // A second claim does not begin it anew.
    kit.ok(retry(task.lease, Duration::ZERO));
    kit.claim_one(worker);
    assert_eq!(kit.execution(id).deadline, view.deadline);
    kit.advance(HOUR);
    expired(&kit, id, ExecutionState::Cancelled);
}

pub fn the_earlier_of_two_deadlines_decides_and_a_tie_times_out(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let limits = |expire, start, run| {
        move |new: &mut Start| {
            new.deadline.expire_after = Some(HOUR * expire);
            new.deadline.start_within = Some(HOUR * start);
            new.deadline.run_within = Some(HOUR * run);
        }
    };
    let tie = kit.start_with(limits(1, 1, 9));
    kit.advance(HOUR);
    expired(&kit, tie, ExecutionState::TimedOut);
    let run = kit.running_with(worker, limits(5, 1, 2)).lease.task.execution;
    kit.advance(HOUR * 2);
    expired(&kit, run, ExecutionState::Cancelled);
    let expiry = kit.running_with(worker, limits(2, 1, 5)).lease.task.execution;
    kit.advance(HOUR * 2);
    expired(&kit, expiry, ExecutionState::TimedOut);
}

/// Scenario 22: deadline against result. Nobody has swept yet.
pub fn a_result_after_the_deadline_is_refused_and_ends_the_execution(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let ends: [fn(stent_core::Lease) -> Command; 2] = [complete, fail];
    for end in ends {
        let root = kit.running_with(worker, |start| start.deadline.expire_after = Some(HOUR));
        let child = kit.child(root.lease, "c");
        kit.advance(HOUR);
        assert_eq!(kit.refused(end(root.lease)), Refusal::Terminal(TaskState::TimedOut));
        let view = kit.execution(root.lease.task.execution);
        assert_eq!((view.state, view.result), (ExecutionState::TimedOut, None));
        assert_eq!(kit.state(child.lease.task), TaskState::TimedOut);
        assert_eq!(block_on(kit.store.letters(9)).unwrap(), []);
    }
}

pub fn the_overdue_are_swept_oldest_deadline_first(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let ids: Vec<_> =
        [3, 1, 2].map(|hours| kit.start_with(|start| start.deadline.expire_after = Some(HOUR * hours))).into();
    kit.advance(HOUR * 3);
    assert_eq!(kit.wakes(Command::Expire).ended, [ids[1], ids[2], ids[0]]);
}

pub fn a_delayed_start_can_expire_before_it_is_due(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let id = kit.start_with(|start| {
        start.due = Some(Due::At(Timestamp::MAX));
        start.deadline.start_within = Some(HOUR);
    });
    kit.advance(HOUR);
    expired(&kit, id, ExecutionState::Cancelled);
    assert_eq!(kit.view(TaskRef::root(id)).due, None);
}

//! Who may write: leases, epochs, sessions that are open, closed or taken over.

use std::time::{Duration, Instant};

use stent_core::command::Ending;
use stent_core::{CallKey, Command, Done, Lease, Refusal, SessionId, TaskId, TaskRef, TaskState};

use super::Fixture;
use super::kit::{Kit, append, call, claim, complete, fail, finish, start_child, suspend, take_over};
use crate::drive::block_on;

/// Every command that carries a lease.
fn all_with(lease: Lease) -> Vec<Command> {
    vec![
        append(lease, 9, "late"),
        call(start_child(lease, "late", false)),
        super::kit::await_signal(lease, 9, "late", "go"),
        Command::Abandon(lease, CallKey::new("", "late", 1)),
        Command::Heed(lease),
        suspend(lease),
        Command::Release(Box::new(stent_core::command::Release { lease, delay: Duration::ZERO, reason: None })),
        finish(lease, Ending::Retry(super::kit::failure("late"), Duration::ZERO)),
        fail(lease),
        complete(lease),
    ]
}

fn all_refused(kit: &Kit<'_>, lease: Lease) {
    let before = (kit.view(lease.task), kit.history(lease.task));
    for command in all_with(lease) {
        assert_eq!(kit.refused(command.clone()), Refusal::LeaseLost, "{command:?}");
    }
    assert_eq!((kit.view(lease.task), kit.history(lease.task)), before);
}

pub fn a_late_write_after_a_take_over_is_refused_and_changes_nothing(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (old, new) = (kit.worker(), kit.worker());
    let task = kit.running(old);
    kit.lose(old);
    let taken = kit.claim_one(new);
    assert_eq!((taken.lease.task, taken.lease.epoch), (task.lease.task, 2));
    all_refused(&kit, task.lease);
    kit.ok(append(taken.lease, 1, "mine"));
    all_refused(&kit, task.lease);
}

pub fn an_earlier_or_later_epoch_is_refused(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let first = kit.running(worker);
    kit.release(first.lease, Duration::ZERO);
    all_refused(&kit, first.lease);
    let second = kit.claim_one(worker);
    all_refused(&kit, first.lease);
    all_refused(&kit, Lease { epoch: 3, ..second.lease });
    all_refused(&kit, Lease { session: kit.worker(), ..second.lease });
}

pub fn a_task_that_is_not_there_has_no_lease(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = TaskRef { task: TaskId::v7(1, [1; 10]), ..kit.running(worker).lease.task };
    for command in all_with(Lease { task, session: worker, epoch: 1 }) {
        assert_eq!(kit.refused(command), Refusal::LeaseLost);
    }
}

pub fn a_closed_session_is_refused_everything(f: &dyn Fixture) {
    let kit = Kit::new(f);
    for end in [Command::CloseSession, take_over] {
        let worker = kit.worker();
        let task = kit.running(worker);
        kit.ok(end(worker));
        for command in all_with(task.lease) {
            assert_eq!(kit.refused(command), Refusal::LeaseLost);
        }
        for command in [Command::Beat(worker), Command::NameSuspect(worker, None), Command::Publish(worker, Vec::new())]
        {
            assert_eq!(kit.refused(command), Refusal::SessionGone);
        }
        assert_eq!(kit.refused(claim(worker, 1)), Refusal::SessionGone);
        let start = kit.start_with(|start| start.claim_for = Some(worker));
        assert_eq!(kit.state(TaskRef::root(start)), TaskState::Pending);
        assert_eq!(kit.ok(Command::CloseSession(worker)), Done::Nothing);
        kit.claim(kit.worker(), 10);
    }
}

pub fn a_session_id_is_taken_once_even_after_it_closed(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (session, open) = kit.open_session();
    assert_eq!(kit.ok(open.clone()), Done::Nothing);
    assert_eq!(kit.refused(open.clone()), Refusal::Exists);
    kit.ok(Command::CloseSession(session));
    assert_eq!(kit.refused(open), Refusal::Exists);
}

pub fn what_never_was_a_session_is_gone(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let nobody = SessionId::v7(1, [1; 10]);
    assert_eq!(kit.refused(Command::Beat(nobody)), Refusal::SessionGone);
    assert_eq!(kit.refused(claim(nobody, 1)), Refusal::SessionGone);
    assert_eq!(kit.ok(Command::CloseSession(nobody)), Done::Nothing);
    assert_eq!(kit.ok(take_over(nobody)), Done::Swept { count: 0, more: false });
}

pub fn an_ended_task_tells_its_last_owner_how_it_ended(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let (done, cancelled) = (kit.running(worker), kit.running(worker));
    kit.ok(complete(done.lease));
    kit.ok(Command::Cancel(cancelled.lease.task));
    assert_eq!(kit.refused(complete(done.lease)), Refusal::Terminal(TaskState::Completed));
    assert_eq!(kit.refused(append(cancelled.lease, 1, "late")), Refusal::Terminal(TaskState::Cancelled));
    assert_eq!(kit.refused(append(Lease { epoch: 7, ..done.lease }, 1, "late")), Refusal::LeaseLost);
}

pub fn an_orderly_close_gives_tasks_back_without_a_loss(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    kit.start();
    assert!(kit.wakes(Command::CloseSession(worker)).ready);
    let again = kit.claim(kit.worker(), 1).remove(0);
    assert_eq!((again.lease.task, again.lease.epoch, again.losses, again.attempt), (task.lease.task, 2, 0, 1));
}

pub fn a_dead_session_is_seen_by_others_and_a_living_one_is_not(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (dead, alive) = (kit.worker(), kit.worker());
    assert_eq!(block_on(kit.store.gone_sessions(super::kit::HOUR)).unwrap(), []);
    kit.store.leave(dead);
    let until = Instant::now() + Duration::from_secs(10);
    let seen = loop {
        let gone = block_on(f.second().gone_sessions(super::kit::HOUR)).unwrap();
        if !gone.is_empty() || Instant::now() > until {
            break gone;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(seen, [dead]);
    kit.ok(take_over(dead));
    assert_eq!(block_on(f.second().gone_sessions(super::kit::HOUR)).unwrap(), []);
    kit.ok(Command::Beat(alive));
}

pub fn a_silent_session_is_gone_whatever_the_wall_clock_says(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (silent, beating) = (kit.worker(), kit.worker());
    kit.fixture.set_clock(kit.now() + super::kit::HOUR);
    assert_eq!(block_on(kit.store.gone_sessions(super::kit::HOUR)).unwrap(), []);
    // Long enough for a slow machine to beat in time.
    let timeout = Duration::from_secs(1);
    let until = Instant::now() + Duration::from_secs(10);
    let gone = loop {
        kit.ok(Command::Beat(beating));
        std::thread::sleep(Duration::from_millis(20));
        kit.advance(Duration::from_millis(20));
        let gone = block_on(f.second().gone_sessions(timeout)).unwrap();
        if !gone.is_empty() || Instant::now() > until {
            break gone;
        }
    };
    assert_eq!(gone, [silent]);
}

pub fn a_stopped_task_nudges_its_owner_until_it_heeds(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    let nudges = || block_on(f.second().nudges(worker)).unwrap();
    assert_eq!(nudges(), []);
    let wakes = kit.wakes(Command::Cancel(task.lease.task));
    assert_eq!(wakes.stopped, [(worker, task.lease.task, TaskState::Cancelled)]);
    assert_eq!(wakes.ended, [task.lease.task.execution]);
    assert_eq!(
        nudges().iter().map(|n| (n.task, n.epoch, n.state)).collect::<Vec<_>>(),
        [(task.lease.task, 1, TaskState::Cancelled)]
    );
    assert_eq!(kit.view(task.lease.task).session, Some(worker));
    assert_eq!(kit.ok(Command::Heed(task.lease)), Done::Nothing);
    assert_eq!(nudges(), []);
    assert_eq!(kit.view(task.lease.task).session, None);
    assert_eq!(kit.ok(Command::Heed(task.lease)), Done::Nothing);
    assert_eq!(kit.state(task.lease.task), TaskState::Cancelled);
}

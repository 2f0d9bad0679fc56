//! Limits of functions: slots are taken by claims, kept while a task waits, and let go with every end of an attempt.

use std::sync::Arc;
use std::time::Duration;

use stent_core::command::{Claim, Deadline, Ending, Finish, Operation, PutAway, ReplayLetter, Wait};
use stent_core::history::Due;
use stent_core::view::{FunctionView, LimitView};
use stent_core::{ClaimedTask, Command, Done, ExecutionId, Lease, MaxConcurrent, SessionId, TaskRef, TaskState};

use super::Fixture;
use super::kit::{
    HOUR, Kit, await_signal, await_with, call, claim, complete, deliver, fail, failure, finish, name, replay, serve,
    start_child, suspend, take_over, tasks,
};
use crate::drive::block_on;

fn publish(session: SessionId, functions: &[(&str, u32)]) -> Command {
    let view = |(text, limit): &(&str, u32)| FunctionView {
        max_concurrent: MaxConcurrent::new(*limit).ok(),
        ..FunctionView::new(name(text))
    };
    Command::Publish(session, functions.iter().map(view).collect())
}

/// A worker that publishes a limit for `f`.
fn limited(kit: &Kit<'_>, limit: u32) -> SessionId {
    let session = kit.worker();
    kit.ok(publish(session, &[("f", limit)]));
    session
}

fn view(kit: &Kit<'_>) -> LimitView {
    block_on(kit.store.limit(&name("f"))).unwrap()
}

fn holders(kit: &Kit<'_>) -> Vec<TaskRef> {
    view(kit).holders
}

fn ids(claimed: &[ClaimedTask]) -> Vec<ExecutionId> {
    claimed.iter().map(|task| task.lease.task.execution).collect()
}

/// A task put aside to wait for a signal.
fn asleep(kit: &Kit<'_>, lease: Lease) {
    kit.ok(await_signal(lease, 1, "s", "go"));
    assert_eq!(kit.ok(suspend(lease)), Done::Suspended);
}

pub fn a_function_runs_no_more_tasks_than_its_limit(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (one, two) = (limited(&kit, 2), kit.worker());
    let started: Vec<_> = (0..4).map(|_| kit.start()).collect();
    let first = kit.claim(one, 100);
    assert_eq!(ids(&first), started[..2]);
    kit.claim_nothing(one);
    kit.claim_nothing(two);
    assert_eq!(holders(&kit), started[..2].iter().map(|id| TaskRef::root(*id)).collect::<Vec<_>>());
    assert_eq!(kit.state(TaskRef::root(started[2])), TaskState::Pending);
    assert!(kit.view(first[0].lease.task).holds_slot && !kit.view(TaskRef::root(started[2])).holds_slot);
    kit.ok(complete(first[1].lease));
    assert_eq!(ids(&kit.claim(two, 100)), [started[2]]);
    kit.claim_nothing(one);
    kit.ok(complete(first[0].lease));
    assert_eq!(ids(&kit.claim(one, 100)), [started[3]]);
}

pub fn a_claim_tells_which_of_its_functions_are_limited(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (one, other) = (kit.worker(), kit.worker());
    kit.ok(publish(one, &[("f", 2), ("g", 0), ("h", 1)]));
    let told = |functions: &[&str]| {
        let serve = Arc::new(serve(functions));
        match kit.ok(Command::Claim(Claim { session: other, serve, max: 1 })) {
            Done::Claimed { limited, .. } => limited,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(&["g", "h", "f"]), [name("f"), name("h")]);
    assert_eq!(told(&["g"]), []);
    kit.ok(publish(one, &[("f", 0)]));
    assert_eq!(told(&["f", "g", "h"]), []);
}

pub fn a_start_of_a_limited_function_is_never_claimed_at_once(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = limited(&kit, 2);
    let id = kit.start_with(|start| start.claim_for = Some(worker));
    assert_eq!(kit.state(TaskRef::root(id)), TaskState::Pending);
    assert_eq!(ids(&kit.claim(worker, 9)), [id]);
    assert_eq!(holders(&kit), [TaskRef::root(id)]);
}

pub fn a_task_keeps_its_slot_while_it_waits_and_resumes_though_its_function_is_full(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = limited(&kit, 1);
    let (first, second) = (kit.start(), kit.start());
    let lease = kit.claim_one(worker).lease;
    asleep(&kit, lease);
    kit.claim_nothing(worker);
    assert_eq!(holders(&kit), [lease.task]);
    kit.signal(first, "go", 1);
    assert_eq!(kit.state(lease.task), TaskState::Pending);
    assert_eq!(holders(&kit), [lease.task]);
    let again = kit.claim_one(worker);
    assert_eq!((again.lease.task, again.lease.epoch), (lease.task, 2));
    kit.claim_nothing(worker);
    // By a due time as well.
    kit.ok(await_with(again.lease, 1, "t", Wait::Timer, Some(Due::In(HOUR))));
    kit.ok(suspend(again.lease));
    kit.advance(HOUR);
    let again = kit.claim_one(worker);
    assert_eq!(again.lease.task, lease.task);
    kit.ok(complete(again.lease));
    assert_eq!(ids(&kit.claim(worker, 9)), [second]);
}

/// How an attempt can end, and what its owner has to heed afterwards.
type End = fn(&Kit<'_>, SessionId, &ClaimedTask);

pub fn every_end_of_an_attempt_lets_its_slot_go(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let ends: [(&str, End); 16] = [
        ("a result", |kit, _, task| drop(kit.ok(complete(task.lease)))),
        ("a failure", |kit, _, task| drop(kit.ok(fail(task.lease)))),
        ("a retry", |kit, _, task| drop(kit.ok(finish(task.lease, Ending::Retry(failure("no"), HOUR))))),
        ("a retry at once", |kit, _, task| {
            kit.ok(finish(task.lease, Ending::Retry(failure("no"), Duration::ZERO)));
        }),
        ("a release", |kit, _, task| kit.release(task.lease, HOUR)),
        ("a release for now", |kit, _, task| kit.release(task.lease, Duration::ZERO)),
        ("a take-over", |kit, worker, _| kit.lose(worker)),
        ("a close", |kit, worker, _| drop(kit.ok(Command::CloseSession(worker)))),
        ("a cancel that is heeded", |kit, _, task| {
            kit.ok(Command::Cancel(task.lease.task));
            kit.ok(Command::Heed(task.lease));
        }),
        ("a cancel whose owner dies", |kit, worker, task| {
            kit.ok(Command::Cancel(task.lease.task));
            kit.lose(worker);
        }),
        ("a cancel whose owner ends", |kit, worker, task| {
            kit.ok(Command::Cancel(task.lease.task));
            kit.ok(Command::CloseSession(worker));
        }),
        ("a cancel while it is suspended", |kit, _, task| {
            asleep(kit, task.lease);
            kit.ok(Command::Cancel(task.lease.task));
        }),
        ("a cancel while it is ready to resume", |kit, _, task| {
            asleep(kit, task.lease);
            kit.signal(task.lease.task.execution, "go", 1);
            kit.ok(Command::Cancel(task.lease.task));
        }),
        ("a deadline", |kit, _, task| {
            kit.advance(HOUR);
            kit.ok(Command::Expire);
            kit.ok(Command::Heed(task.lease));
        }),
        ("a deadline while it is suspended", |kit, _, task| {
            asleep(kit, task.lease);
            kit.advance(HOUR);
            kit.ok(Command::Expire);
        }),
        ("a result after the deadline", |kit, _, task| {
            kit.advance(HOUR);
            kit.refused(complete(task.lease));
            kit.ok(Command::Heed(task.lease));
        }),
    ];
    for (words, end) in ends {
        let worker = limited(&kit, 1);
        let id = kit.start_with(|start| start.deadline = Deadline { expire_after: Some(HOUR), ..Deadline::default() });
        let task = kit.claim_one(worker);
        assert_eq!(holders(&kit), [TaskRef::root(id)], "before {words}");
        end(&kit, worker, &task);
        assert_eq!(holders(&kit), [], "after {words}");
        assert!(!kit.view(task.lease.task).holds_slot, "after {words}");
        // Nothing is left over for the next.
        drop(kit.run(Command::Cancel(task.lease.task)));
        kit.ok(Command::CloseSession(worker));
        assert_eq!(view(&kit), LimitView::default(), "after {words}");
    }
}

pub fn the_end_of_an_ancestor_lets_slots_go(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = limited(&kit, 3);
    let parent = kit.running_with(worker, |start| start.spec.function = name("parent"));
    for text in ["one", "two", "three"] {
        kit.ok(call(start_child(parent.lease, text, false)));
    }
    let children = kit.claim(worker, 2);
    assert_eq!(holders(&kit).len(), 2);
    let sleeps = children[0].lease;
    asleep(&kit, sleeps);
    kit.ok(complete(parent.lease));
    let runs = children[1].lease;
    assert_eq!(holders(&kit), [runs.task], "its code may still run");
    kit.ok(Command::Heed(runs));
    assert_eq!(holders(&kit), []);
}

pub fn the_last_loss_lets_the_slot_go(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let lasting = limited(&kit, 1);
    let id = kit.start();
    for _ in 0..stent_core::limits::LOSSES {
        let worker = kit.worker();
        assert_eq!(ids(&kit.claim(worker, 1)), [id]);
        assert_eq!(holders(&kit), [TaskRef::root(id)]);
        kit.lose(worker);
        assert_eq!(holders(&kit), []);
    }
    assert_eq!(kit.state(TaskRef::root(id)), TaskState::Failed);
    let next = kit.start();
    assert_eq!(ids(&kit.claim(lasting, 9)), [next]);
}

pub fn a_task_that_others_ended_holds_its_slot_until_its_owner_heeds(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = limited(&kit, 1);
    let (first, second) = (kit.start(), kit.start());
    let lease = kit.claim_one(worker).lease;
    kit.ok(Command::Cancel(TaskRef::root(first)));
    assert_eq!(kit.state(lease.task), TaskState::Cancelled);
    assert_eq!(holders(&kit), [lease.task]);
    kit.claim_nothing(worker);
    let wakes = kit.wakes(Command::Heed(lease));
    assert!(wakes.ready, "a slot is free that a task waits for");
    assert_eq!(ids(&kit.claim(worker, 9)), [second]);
    kit.ok(Command::Heed(lease));
    assert_eq!(holders(&kit), [TaskRef::root(second)]);
}

pub fn a_replay_takes_the_slot_of_what_was_cancelled_and_not_heeded(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = limited(&kit, 1);
    let parent = kit.running_with(worker, |start| start.spec.function = name("parent"));
    kit.ok(call(start_child(parent.lease, "c", false)));
    let child = kit.claim_one(worker).lease;
    kit.ok(fail(parent.lease));
    assert_eq!(holders(&kit), [child.task]);
    kit.ok(replay(parent.lease.task));
    assert_eq!(kit.state(child.task), TaskState::Pending);
    assert_eq!(holders(&kit), []);
    let again = kit.claim_one(worker).lease;
    assert_eq!((again.task, holders(&kit)), (child.task, vec![child.task]));
    // A late word of the old claim takes nothing away.
    drop(kit.run(Command::Heed(child)));
    assert_eq!(holders(&kit), [child.task]);
}

pub fn a_replay_takes_the_slot_of_what_was_put_away_and_not_heeded(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = limited(&kit, 1);
    kit.start();
    let held = kit.claim_one(worker).lease;
    let put = PutAway { task: held.task, failure: failure("by hand") };
    kit.ok(Command::Operate(Operation::PutAway(Box::new(put))));
    assert_eq!(holders(&kit), [held.task]);
    kit.ok(replay(held.task));
    assert_eq!(holders(&kit), []);
    let again = kit.claim_one(worker).lease;
    assert_eq!((again.task, holders(&kit)), (held.task, vec![held.task]));
    kit.ok(complete(again));
    assert_eq!(holders(&kit), []);
}

pub fn a_replayed_letter_needs_a_slot_like_any_other(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = limited(&kit, 1);
    let first = kit.start();
    kit.ok(fail(kit.claim_one(worker).lease));
    let second = kit.start();
    let lease = kit.claim_one(worker).lease;
    assert_eq!(lease.task.execution, second);
    let task = TaskRef::root(first);
    kit.ok(Command::ReplayLetter(ReplayLetter { task, reset_attempts: true, queue: Some(name("other")) }));
    kit.claim_nothing(worker);
    kit.ok(complete(lease));
    assert_eq!(kit.claim_one(worker).lease.task, task);
}

pub fn the_smallest_limit_counts_and_a_lowered_one_lets_nothing_new_begin_above_it(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let five = limited(&kit, 5);
    let started: Vec<_> = (0..12).map(|_| kit.start()).collect();
    let running = kit.claim(five, 100);
    assert_eq!(ids(&running), started[..5]);
    let three = limited(&kit, 3);
    assert_eq!(view(&kit).limit, MaxConcurrent::new(3).ok());
    for (task, left) in running[..3].iter().zip([4, 3, 2]) {
        kit.claim_nothing(three);
        kit.claim_nothing(five);
        kit.ok(complete(task.lease));
        assert_eq!(holders(&kit).len(), left);
    }
    // Two run on above the new limit: one more may begin, whoever asks.
    assert_eq!(ids(&kit.claim(five, 100)), [started[5]]);
    kit.claim_nothing(three);
    kit.ok(complete(running[4].lease));
    assert_eq!(ids(&kit.claim(three, 100)), [started[6]]);
    kit.claim_nothing(five);
    // With the smaller limit goes what it forbade.
    let wakes = kit.wakes(Command::CloseSession(three));
    assert!(wakes.ready);
    assert_eq!(view(&kit).limit, MaxConcurrent::new(5).ok());
    // What the closed session ran is ready again and comes first.
    assert_eq!(ids(&kit.claim(five, 100)), [started[6], started[7], started[8]]);
    kit.claim_nothing(five);
    assert_eq!(holders(&kit).len(), 5);
}

pub fn what_is_claimed_under_no_limit_holds_no_slot(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    assert!(!kit.view(task.lease.task).holds_slot);
    kit.ok(publish(worker, &[("f", 1)]));
    let id = kit.start();
    assert_eq!(ids(&kit.claim(worker, 9)), [id]);
    assert_eq!(holders(&kit), [TaskRef::root(id)]);
    kit.ok(complete(task.lease));
    assert_eq!(holders(&kit), [TaskRef::root(id)]);
    // It is limited no more, and what holds a slot still lets it go.
    kit.ok(publish(worker, &[("f", 0)]));
    let (one, two) = (kit.start(), kit.start());
    assert_eq!(ids(&kit.claim(worker, 9)), [one, two]);
    assert_eq!(holders(&kit), [TaskRef::root(id)]);
}

pub fn slots_go_by_rank_and_age_whatever_the_route_and_nobody_else_waits(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = limited(&kit, 3);
    let start = |function: &str, queue: &str, priority: i32| {
        kit.start_with(|start| {
            (start.spec.function, start.spec.queue, start.spec.priority) = (name(function), name(queue), priority);
        })
    };
    let low = start("f", "a", -1);
    let old = start("f", "b", 0);
    let free = start("g", "a", 0);
    let young = start("f", "a", 0);
    let youngest = start("f", "c", 0);
    let high = start("f", "c", 9);
    let last = start("g", "b", -9);
    let claim_all = |max| {
        let serve = Arc::new(serve(&["f", "g"]));
        tasks(kit.ok(Command::Claim(Claim { session: worker, serve, max })))
    };
    let first = claim_all(2);
    assert_eq!(ids(&first), [high, old]);
    assert_eq!(ids(&claim_all(100)), [free, young, last]);
    assert_eq!(ids(&claim_all(100)), []);
    kit.ok(complete(first[0].lease));
    assert_eq!(ids(&claim_all(100)), [youngest]);
    kit.ok(complete(first[1].lease));
    assert_eq!(ids(&claim_all(100)), [low]);
}

pub fn those_that_hold_slots_are_claimed_among_those_that_get_one(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = limited(&kit, 3);
    let sleepers = [kit.start(), kit.start()];
    let leases: Vec<_> = kit.claim(worker, 9).iter().map(|task| task.lease).collect();
    leases.iter().for_each(|lease| asleep(&kit, *lease));
    let (given_back, new) = (kit.start(), [kit.start(), kit.start()]);
    kit.release(kit.claim_one(worker).lease, Duration::ZERO);
    for id in &sleepers {
        kit.signal(*id, "go", 1);
    }
    // All resuming, so by age; then what is new, of which one gets the last slot.
    let resumed = kit.claim(worker, 2);
    assert_eq!(ids(&resumed), sleepers);
    assert_eq!(ids(&kit.claim(worker, 9)), [given_back]);
    kit.claim_nothing(worker);
    kit.ok(complete(resumed[1].lease));
    assert_eq!(ids(&kit.claim(worker, 9)), [new[0]]);
    kit.claim_nothing(worker);
}

pub fn a_slot_changes_hands_within_one_batch(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = limited(&kit, 2);
    let started: Vec<_> = (0..5).map(|_| kit.start()).collect();
    let batch = kit.batch(vec![claim(worker, 1), claim(worker, 9), claim(worker, 9)]);
    let claimed: Vec<_> = batch.outcomes.into_iter().map(|outcome| tasks(outcome.unwrap())).collect();
    assert_eq!(
        claimed.iter().map(|tasks| ids(tasks)).collect::<Vec<_>>(),
        [vec![started[0]], vec![started[1]], vec![]]
    );
    let ends = vec![complete(claimed[0][0].lease), claim(worker, 9), complete(claimed[1][0].lease), claim(worker, 9)];
    let batch = kit.batch(ends);
    assert_eq!(ids(&tasks(batch.outcomes[1].clone().unwrap())), [started[2]]);
    assert_eq!(ids(&tasks(batch.outcomes[3].clone().unwrap())), [started[3]]);
    assert!(!batch.wakes.ready, "nobody has to look: both slots are taken again");
    let wakes = kit.wakes(complete(tasks(batch.outcomes[1].clone().unwrap())[0].lease));
    assert!(wakes.ready, "a slot is left that a task waits for");
    kit.claim_one(worker);
    let wakes = kit.wakes(complete(tasks(batch.outcomes[3].clone().unwrap())[0].lease));
    assert!(!wakes.ready, "a slot is left that nobody waits for");
}

pub fn a_child_that_is_in_its_parents_hands_at_once_takes_no_slot(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = limited(&kit, 1);
    let id = kit.start();
    let parent = kit.claim_one(worker);
    let child = kit.child(parent.lease, "c");
    assert_eq!(holders(&kit), [TaskRef::root(id)]);
    let end = Finish {
        lease: child.lease,
        ending: Ending::Completed(super::kit::json(1)),
        deliver: deliver(parent.lease, 1),
        start: None,
        returned: Vec::new(),
    };
    kit.ok(Command::Finish(Box::new(end)));
    assert_eq!(holders(&kit), [TaskRef::root(id)]);
    // One that is queued needs one, and its own ancestor has it.
    kit.ok(call(start_child(parent.lease, "d", false)));
    kit.claim_nothing(worker);
}

pub fn limits_outlive_no_session_that_published_them(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (one, two) = (limited(&kit, 1), kit.worker());
    let started = [kit.start(), kit.start()];
    kit.claim_one(two);
    kit.claim_nothing(two);
    assert!(kit.wakes(take_over(one)).ready);
    assert_eq!(ids(&kit.claim(two, 9)), started[1..]);
    assert!(kit.wakes(publish(two, &[("f", 1)])).ready);
    assert_eq!(view(&kit).limit, MaxConcurrent::new(1).ok());
}

pub fn the_replay_of_what_was_put_away_lets_go_of_the_slot_that_its_owner_has_not_heeded(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (first, other) = (limited(&kit, 1), kit.worker());
    kit.start();
    let lease = kit.claim_one(first).lease;
    let put = PutAway { task: lease.task, failure: failure("by hand") };
    kit.ok(Command::Operate(Operation::PutAway(Box::new(put))));
    assert_eq!(holders(&kit), [lease.task], "its code may still run");
    kit.ok(Command::ReplayLetter(ReplayLetter { task: lease.task, reset_attempts: true, queue: Some(name("other")) }));
    assert_eq!(holders(&kit), []);
    let again = kit.claim_one(other).lease;
    assert_eq!((again.task, holders(&kit)), (lease.task, vec![lease.task]));
    kit.ok(complete(again));
    assert_eq!(holders(&kit), []);
}

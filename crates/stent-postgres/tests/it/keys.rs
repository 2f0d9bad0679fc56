//! Races for a key of idempotent calls between two processes, each driven by hand; and that who changes several keys
//! meets nobody in a circle.

use std::thread;
use std::time::Instant;

use stent_core::command::{Ending, Finish, ReplayLetter, Reservation, Reserve, Start};
use stent_core::view::MemoView;
use stent_core::{
    Command, Done, Failure, FailureKind, Lease, Memo, MemoKey, Outcome, SessionId, Store, TaskRef, TaskState,
};
use stent_postgres::PostgresStore;

use crate::hands::{
    PATIENCE, World, ask, claim, claim_one, execution_in, joined, lock_task, new_start, send, start_child, view,
};
use crate::stores::{block, complete, step, worker};

fn memo(key: &str) -> Memo {
    Memo::idempotent(MemoKey::new(key).unwrap())
}

fn start(memo: &Memo, lane: usize) -> Start {
    let mut start = new_start(execution_in(lane));
    start.spec.options.memo = Some(Box::new(memo.clone()));
    start
}

/// A task with this memo in the session's hands, whose commands come through the committer `lane`.
fn claimed(store: &PostgresStore, session: SessionId, memo: &Memo, lane: usize) -> Lease {
    let start = start(memo, lane);
    ask(store, start.id, Command::Start(Box::new(start))).unwrap();
    claim_one(store, session)
}

fn reserve(lease: Lease) -> Command {
    Command::Reserve(Reserve { lease })
}

fn reserves(store: &PostgresStore, lease: Lease) -> Reservation {
    reservation(ask(store, lease.task.execution, reserve(lease)))
}

fn reservation(outcome: Outcome) -> Reservation {
    match outcome {
        Ok(Done::Reserved(reservation)) => reservation,
        other => panic!("{other:?}"),
    }
}

fn no() -> Failure {
    Failure::new(FailureKind::Error, "no")
}

fn ending(lease: Lease, ending: Ending) -> Command {
    Command::Finish(Box::new(Finish { lease, ending, deliver: None, start: None, returned: Vec::new() }))
}

fn fail(lease: Lease) -> Command {
    ending(lease, Ending::Failed(no()))
}

fn kept(world: &World, key: &str) -> Option<MemoView> {
    block(world.a.memo(MemoKey::new(key).unwrap())).unwrap()
}

/// SQL that keeps others from changing a key that is there.
fn lock_key(key: &str) -> String {
    format!("SELECT 1 FROM idempotency WHERE key = '{key}' FOR UPDATE")
}

/// SQL that keeps others from reserving a key that is free.
fn hold_free(key: &str) -> String {
    let nobody = "00000000-0000-7000-8000-000000000000";
    format!("INSERT INTO idempotency VALUES ('{key}', '{nobody}', '{nobody}', NULL, 0)")
}

#[test]
fn two_reservations_of_one_key_leave_one_holder_and_one_who_waits() {
    let world = World::new();
    let (ours, theirs) = (worker(&world.a), worker(&world.b));
    for (key, a_comes_first) in [("one", true), ("two", false)] {
        let memo = memo(key);
        let (one, two) = (claimed(&world.a, ours, &memo, 0), claimed(&world.b, theirs, &memo, 1));
        let (asks_a, asks_b) = (|| reserves(&world.a, one), || reserves(&world.b, two));
        let (first, second, holder, waiter) = if a_comes_first {
            let (first, second) = world.meet(&hold_free(key), asks_a, asks_b);
            (first, second, one, two)
        } else {
            let (first, second) = world.meet(&hold_free(key), asks_b, asks_a);
            (first, second, two, one)
        };
        assert_eq!((first, second), (Reservation::Held, Reservation::Busy));
        let view = kept(&world, key).unwrap();
        assert_eq!((view.holder, view.waiting), (Some(holder.task), vec![waiter.task]));
        let store = if a_comes_first { &world.a } else { &world.b };
        ask(store, holder.task.execution, complete(holder)).unwrap();
        let waiter = claim_one(&world.a, ours);
        assert_eq!(reserves(&world.a, waiter), Reservation::Hit);
    }
}

#[test]
fn an_end_meets_a_new_waiter_who_gets_its_result_in_both_orders() {
    let world = World::new();
    let (ours, theirs) = (worker(&world.a), worker(&world.b));
    for (key, end_comes_first) in [("one", true), ("two", false)] {
        let memo = memo(key);
        let (holder, late) = (claimed(&world.a, ours, &memo, 0), claimed(&world.b, theirs, &memo, 1));
        assert_eq!(reserves(&world.a, holder), Reservation::Held);
        let ends = || ask(&world.a, holder.task.execution, complete(holder));
        let asks = || reserves(&world.b, late);
        if end_comes_first {
            let (ended, asked) = world.meet(&lock_key(key), ends, asks);
            assert!(ended.is_ok() && asked == Reservation::Hit, "{ended:?} {asked:?}");
        } else {
            let (asked, ended) = world.meet(&lock_key(key), asks, ends);
            assert!(ended.is_ok() && asked == Reservation::Busy, "{ended:?} {asked:?}");
            let woken = claim_one(&world.b, theirs);
            assert_eq!((woken.task, reserves(&world.b, woken)), (late.task, Reservation::Hit));
        }
        assert!(view(&world.b, late.task).is_cache_hit());
        assert_eq!(kept(&world, key).unwrap().waiting, []);
    }
}

#[test]
fn a_cancel_of_the_holder_meets_a_new_waiter_who_gets_the_key_in_both_orders() {
    let world = World::new();
    let (ours, theirs) = (worker(&world.a), worker(&world.b));
    for (key, cancel_comes_first) in [("one", true), ("two", false)] {
        let memo = memo(key);
        let (holder, late) = (claimed(&world.a, ours, &memo, 0), claimed(&world.b, theirs, &memo, 1));
        assert_eq!(reserves(&world.a, holder), Reservation::Held);
        let cancels = || ask(&world.a, holder.task.execution, Command::Cancel(holder.task));
        let asks = || reserves(&world.b, late);
        if cancel_comes_first {
            let (cancelled, asked) = world.meet(&lock_key(key), cancels, asks);
            assert_eq!((cancelled, asked), (Ok(Done::Nothing), Reservation::Held));
        } else {
            let (asked, cancelled) = world.meet(&lock_key(key), asks, cancels);
            assert_eq!((asked, cancelled), (Reservation::Busy, Ok(Done::Nothing)));
            let heir = claim_one(&world.b, theirs);
            assert_eq!((heir.task, reserves(&world.b, heir)), (late.task, Reservation::Held));
        }
        let view = kept(&world, key).unwrap();
        assert_eq!((view.holder, view.waiting), (Some(late.task), vec![]));
    }
}

#[test]
fn a_holders_failure_meets_a_cancel_of_who_waits_and_the_key_is_free_in_both_orders() {
    let world = World::new();
    let (ours, theirs) = (worker(&world.a), worker(&world.b));
    for (key, cancel_comes_first) in [("one", true), ("two", false)] {
        let memo = memo(key);
        let (holder, waiter) = (claimed(&world.a, ours, &memo, 0), claimed(&world.b, theirs, &memo, 1));
        assert_eq!(reserves(&world.a, holder), Reservation::Held);
        assert_eq!(reserves(&world.b, waiter), Reservation::Busy);
        let fails = || ask(&world.a, holder.task.execution, fail(holder));
        let cancels = || ask(&world.b, waiter.task.execution, Command::Cancel(waiter.task));
        let lock = lock_task(waiter.task);
        let (failed, cancelled) = if cancel_comes_first {
            let (cancelled, failed) = world.meet(&lock, cancels, fails);
            (failed, cancelled)
        } else {
            world.meet(&lock, fails, cancels)
        };
        assert!(failed.is_ok() && cancelled.is_ok(), "{failed:?} {cancelled:?}");
        assert_eq!(view(&world.b, waiter.task).state, TaskState::Cancelled);
        assert_eq!((kept(&world, key), world.count("idempotency_line")), (None, 0));
    }
}

/// Rounds in which two processes bring the same keys in opposite orders.
const ROUNDS: usize = 40;

#[test]
fn batches_that_reserve_and_settle_the_same_keys_in_opposite_orders_meet_in_no_circle() {
    let world = World::without_circles();
    let stores = [&world.a, &world.b];
    let (sessions, began) = (stores.map(worker), Instant::now());
    for round in 0..ROUNDS {
        let keys: Vec<String> = (0..6).map(|key| format!("{round} {key}")).collect();
        let leases: Vec<Vec<Lease>> = (0..2)
            .map(|at| {
                let starts = keys.iter().map(|key| Command::Start(Box::new(start(&memo(key), at))));
                send(stores[at], at, starts.collect());
                let mut tasks = claim(stores[at], sessions[at], 100);
                tasks.sort_by_key(|task| task.lease.task);
                tasks.iter().map(|task| task.lease).collect()
            })
            .collect();
        let results = thread::scope(|scope| {
            let both: Vec<_> = (0..2)
                .map(|at| {
                    let mut mine = leases[at].clone();
                    scope.spawn(move || {
                        if at == 1 {
                            mine.reverse();
                        }
                        settle_all(stores[at], at, &mine)
                    })
                })
                .collect();
            both.into_iter().map(joined).collect::<Vec<_>>()
        });
        // Whoever waited is claimed by somebody now, and gets what the other has.
        for task in claim(&world.a, sessions[0], 100) {
            assert_eq!(reserves(&world.a, task.lease), Reservation::Hit);
        }
        assert_eq!(results.iter().sum::<usize>(), keys.len(), "one holder for each key");
        for key in &keys {
            assert!(kept(&world, key).unwrap().result.is_some());
        }
        let all: Vec<TaskRef> = leases.concat().iter().map(|lease| lease.task).collect();
        assert!(all.iter().all(|task| view(&world.a, *task).state == TaskState::Completed));
    }
    assert!(began.elapsed() < PATIENCE, "somebody waited in a circle");
}

/// Reserves all in one batch and ends those it got in another; how many it got.
fn settle_all(store: &PostgresStore, lane: usize, leases: &[Lease]) -> usize {
    let outcomes = send(store, lane, leases.iter().map(|lease| reserve(*lease)).collect());
    let held: Vec<Lease> = leases
        .iter()
        .zip(outcomes)
        .filter_map(|(lease, outcome)| (reservation(outcome) == Reservation::Held).then_some(*lease))
        .collect();
    let ended = send(store, lane, held.iter().map(|lease| complete(*lease)).collect());
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    held.len()
}

#[test]
fn tasks_without_a_memo_live_and_end_in_every_way_without_a_statement_about_keys() {
    let world = World::new();
    let session = worker(&world.a);
    world.hand.say("DROP TABLE cache; DROP TABLE idempotency; DROP TABLE idempotency_line");
    let all_right = |outcomes: Vec<Outcome>| assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    for lane in 0..2 {
        let parent = world.running(&world.a, session, lane);
        all_right(send(&world.a, lane, vec![step(parent, 1), start_child(parent, "c")]));
        let lease = claim_one(&world.a, session);
        let again = Ending::Retry(no(), std::time::Duration::ZERO);
        all_right(send(&world.a, lane, vec![ending(lease, again)]));
        let lease = claim_one(&world.a, session);
        all_right(send(&world.a, lane, vec![complete(lease), complete(parent)]));
        let failed = world.running(&world.a, session, lane);
        all_right(send(&world.a, lane, vec![start_child(failed, "c"), fail(failed)]));
        let replay = ReplayLetter { task: failed.task, reset_attempts: true, queue: None };
        all_right(send(&world.a, lane, vec![Command::ReplayLetter(replay), Command::Cancel(failed.task)]));
    }
    all_right(send(&world.a, 0, vec![Command::Expire, Command::CloseSession(session)]));
}

#[test]
fn the_sql_of_seed_001_reads_and_clears_the_cache() {
    let world = World::new();
    let session = worker(&world.a);
    let memo = Memo::cached(MemoKey::new("m:f|v1|[1]").unwrap(), None);
    let lease = claimed(&world.a, session, &memo, 0);
    ask(&world.a, lease.task.execution, complete(lease)).unwrap();
    assert_eq!(world.eye.ask("SELECT key, created_at FROM cache"), memo.key.as_str());
    world.eye.say("DELETE FROM cache");
    assert_eq!(kept(&world, memo.key.as_str()), None);
}

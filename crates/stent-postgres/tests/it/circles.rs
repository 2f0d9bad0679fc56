//! Batches of two processes that lock the same in opposite orders: one waits for the other, and never in a circle. The
//! server would end a circle only after longer than any test takes.

use std::time::Instant;

use stent_core::command::Start;
use stent_core::{Command, Done, Name, Outcome, Refusal, Store, TaskState};

use crate::hands::{
    PATIENCE, World, ask, child_of, claim_one, execution_in, lock_execution, new_start, places, send, signal,
    start_child, take_over, tell,
};
use crate::stores::{block, complete, execution, start_one, step, worker};

#[test]
fn batches_that_start_with_the_same_keys_in_opposite_orders_meet_in_no_circle() {
    let world = World::without_circles();
    let since = Instant::now();
    for round in 0..20 {
        let keys: Vec<_> = ["first", "middle", "last"].map(|key| format!("{key} {round}")).to_vec();
        let starts = |lane: usize, keys: Vec<&String>| -> Vec<Command> {
            let start = |key: &String| Start { key: Some(Name::stored(key)), ..new_start(execution_in(lane)) };
            keys.into_iter().map(|key| Command::Start(Box::new(start(key)))).collect()
        };
        // Both have taken what they take first when the one in the middle is let go.
        let hold = format!("INSERT INTO start_keys VALUES ('middle {round}', '{}')", execution().uuid());
        let (one, two) = world.meet(
            &hold,
            || send(&world.a, 0, starts(0, keys.iter().collect())),
            || send(&world.b, 1, starts(1, keys.iter().rev().collect())),
        );
        let created = |outcomes: &[Outcome]| {
            outcomes.iter().filter(|outcome| matches!(outcome, Ok(Done::Started { created: true, .. }))).count()
        };
        assert_eq!(created(&one) + created(&two), 3, "{one:?} {two:?}");
    }
    assert_eq!(block(world.a.count_executions(None)).unwrap(), 60);
    assert!(since.elapsed() < PATIENCE, "somebody waited in a circle");
}

#[test]
fn a_keyed_start_that_is_refused_leaves_its_key_to_the_next_in_its_batch() {
    let world = World::new();
    let (taken, next) = (execution_in(0), execution_in(0));
    assert!(ask(&world.a, taken, start_one(taken)).is_ok());
    let start = |id| Command::Start(Box::new(Start { key: Some(Name::stored("k")), ..new_start(id) }));
    let outcomes = send(&world.a, 0, vec![start(taken), start(next), start(next)]);
    let started = |created| Ok(Done::Started { execution: next, created, claimed: None });
    assert_eq!(outcomes, [Err(Refusal::Exists), started(true), started(false)]);
    assert_eq!(world.eye.ask("SELECT execution_id FROM start_keys"), next.uuid().to_string());
}

#[test]
fn two_processes_that_cancel_each_others_tasks_meet_in_no_circle() {
    let world = World::without_circles();
    let (ours, theirs) = (worker(&world.a), worker(&world.b));
    for lane in [0, 1] {
        let aside = execution_in(0);
        let (mine, yours) = (world.running(&world.a, ours, lane), world.running(&world.b, theirs, lane));
        assert!(ask(&world.a, aside, start_one(aside)).is_ok());
        let before = world.count("signals");
        let (one, two) = world.meet(
            &lock_execution(aside),
            || send(&world.a, 0, vec![signal(aside), Command::Cancel(yours.task)]),
            || send(&world.b, 0, vec![signal(aside), Command::Cancel(mine.task)]),
        );
        assert_eq!(world.count("signals"), before + 2);
        assert_eq!((&one[1], &two[1]), (&Ok(Done::Nothing), &Ok(Done::Nothing)));
        for (store, lease) in [(&world.a, mine), (&world.b, yours)] {
            assert_eq!(tell(store, lease, |lease| step(lease, 1)), Err(Refusal::Terminal(TaskState::Cancelled)));
            assert_eq!(places(store, lease.task), [0; 0]);
        }
    }
}

#[test]
fn two_processes_that_end_parents_of_each_others_children_meet_in_no_circle() {
    let world = World::without_circles();
    let (ours, theirs) = (worker(&world.a), worker(&world.b));
    let [mine, yours] = [(&world.a, ours), (&world.b, theirs)].map(|(store, session)| {
        let parent = world.running(store, session, 0);
        assert!(tell(store, parent, |lease| start_child(lease, "c")).is_ok());
        let (other, its) = if session == ours { (&world.b, theirs) } else { (&world.a, ours) };
        assert_eq!(claim_one(other, its).task, child_of(parent, "c"));
        parent
    });
    // Not before: the claims would take it.
    let aside = execution_in(0);
    assert!(ask(&world.a, aside, start_one(aside)).is_ok());
    let (one, two) = world.meet(
        &lock_execution(aside),
        || send(&world.a, 0, vec![signal(aside), complete(mine)]),
        || send(&world.b, 0, vec![signal(aside), complete(yours)]),
    );
    assert!(one[1].is_ok() && two[1].is_ok(), "{one:?} {two:?}");
    for parent in [mine, yours] {
        let tasks = block(world.a.tasks(parent.task.execution)).unwrap();
        assert_eq!(tasks.iter().filter(|task| task.state == TaskState::Cancelled).count(), 1, "{tasks:?}");
    }
}

#[test]
fn two_processes_that_take_each_other_over_meet_in_no_circle() {
    let world = World::without_circles();
    let (ours, theirs, aside) = (worker(&world.a), worker(&world.b), execution_in(0));
    assert!(ask(&world.a, aside, start_one(aside)).is_ok());
    let (one, two) = world.meet(
        &lock_execution(aside),
        || send(&world.a, 0, vec![signal(aside), take_over(theirs)]),
        || send(&world.b, 0, vec![signal(aside), take_over(ours)]),
    );
    assert!(one[1].is_ok() && two[1].is_ok(), "{one:?} {two:?}");
}

//! Races between two processes, each driven by hand: both meet at a lock that the test holds, in the order that the test
//! wants. What the order must not decide is held for both.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use stent_core::command::{Claim, Deadline, Start};
use stent_core::{Command, Done, ExecutionState, Name, Refusal, Store, TaskRef, TaskSpec, TaskState};
use stent_postgres::PostgresStore;
use stent_servers::Server;

use crate::hands::{
    PATIENCE, World, ask, await_child, await_event, await_signal, child_of, claim, claim_one, emit, execution_in,
    joined, key, lock_execution, lock_task, new_start, places, send, signal, start_child, suspend, take_over, tell,
    try_send, view,
};
use crate::stores::{block, complete, execution, open, spec, start_one, step, worker};

const LANES: [usize; 2] = [0, 1];

fn delivered(outcome: &Result<Done, Refusal>) -> bool {
    matches!(outcome, Ok(Done::Delivered(_)))
}

#[test]
fn a_late_step_of_a_task_that_another_process_runs_by_now_is_refused_and_changes_nothing() {
    let world = World::new();
    for lane in LANES {
        let (old, new) = (worker(&world.a), worker(&world.b));
        let late = world.running(&world.a, old, lane);
        assert!(tell(&world.a, late, |lease| step(lease, 1)).is_ok(), "it is in the memory of its committer");
        send(&world.b, 0, vec![take_over(old)]);
        let taken = claim_one(&world.b, new);
        assert_eq!((taken.task, taken.epoch), (late.task, 2));
        let before = (view(&world.b, late.task), places(&world.b, late.task));
        let all: [fn(stent_core::Lease) -> Command; 5] = [
            |lease| step(lease, 2),
            complete,
            suspend,
            |lease| start_child(lease, "late"),
            |lease| await_signal(lease, 2),
        ];
        for command in all {
            assert_eq!(tell(&world.a, late, command), Err(Refusal::LeaseLost), "{:?}", command(late));
        }
        let together = all.iter().map(|command| command(late)).collect();
        assert_eq!(send(&world.a, lane, together), [const { Err(Refusal::LeaseLost) }; 5]);
        assert_eq!((view(&world.b, late.task), places(&world.b, late.task)), before);
        assert!(tell(&world.b, taken, |lease| step(lease, 2)).is_ok());
        assert!(tell(&world.b, taken, complete).is_ok());
    }
}

#[test]
fn a_childs_end_elsewhere_and_its_parents_suspension_wake_the_parent_in_both_orders() {
    let world = World::new();
    let (ours, theirs) = (worker(&world.a), worker(&world.b));
    for end_comes_first in [true, false] {
        let parent = world.running(&world.a, ours, 0);
        assert!(tell(&world.a, parent, |lease| start_child(lease, "c")).is_ok());
        let child = claim_one(&world.b, theirs);
        assert_eq!(child.task, child_of(parent, "c"));
        assert_eq!(tell(&world.a, parent, |lease| await_child(lease, 1, "c")), Ok(Done::Waiting(None)));
        let end = || try_send(&world.b, 0, vec![complete(child)]).unwrap();
        let aside = || tell(&world.a, parent, suspend);
        let lock = lock_task(parent.task);
        let lease = if end_comes_first {
            let (ended, suspended) = world.meet(&lock, end, aside);
            assert_eq!(suspended, Ok(Done::Woken));
            assert_eq!(ended.wakes.woken, [(ours, parent.task)]);
            parent
        } else {
            let (suspended, ended) = world.meet(&lock, aside, end);
            assert_eq!(suspended, Ok(Done::Suspended));
            assert!(ended.wakes.ready, "{:?}", ended.wakes);
            claim_one(&world.a, ours)
        };
        assert_eq!(block(world.a.arrivals(lease.task)).unwrap(), [key("c")]);
        assert!(delivered(&tell(&world.a, lease, |lease| await_child(lease, 1, "c"))));
        assert!(tell(&world.a, lease, complete).is_ok());
    }
}

#[test]
fn a_childs_end_elsewhere_meets_the_wait_for_it_in_both_orders() {
    let world = World::new();
    let (ours, theirs) = (worker(&world.a), worker(&world.b));
    for end_comes_first in [true, false] {
        let parent = world.running(&world.a, ours, 0);
        assert!(tell(&world.a, parent, |lease| start_child(lease, "c")).is_ok());
        let child = claim_one(&world.b, theirs);
        let end = || tell(&world.b, child, complete);
        let asks = || tell(&world.a, parent, |lease| await_child(lease, 1, "c"));
        let lock = lock_task(child.task);
        if end_comes_first {
            let (ended, asked) = world.meet(&lock, end, asks);
            assert!(ended.is_ok() && delivered(&asked), "{ended:?} {asked:?}");
        } else {
            let (asked, ended) = world.meet(&lock, asks, end);
            assert!(ended.is_ok() && asked == Ok(Done::Waiting(None)), "{ended:?} {asked:?}");
            assert_eq!(tell(&world.a, parent, suspend), Ok(Done::Woken));
            assert!(delivered(&asks()));
        }
        assert!(tell(&world.a, parent, complete).is_ok());
    }
}

#[test]
fn a_signal_from_elsewhere_and_a_suspension_wake_the_task_in_both_orders() {
    let world = World::new();
    let ours = worker(&world.a);
    for signal_comes_first in [true, false] {
        let task = world.running(&world.a, ours, 0);
        assert_eq!(tell(&world.a, task, |lease| await_signal(lease, 1)), Ok(Done::Waiting(None)));
        let signals = || try_send(&world.b, 0, vec![signal(task.task.execution)]).unwrap();
        let aside = || tell(&world.a, task, suspend);
        let lock = lock_task(task.task);
        let lease = if signal_comes_first {
            let (signalled, suspended) = world.meet(&lock, signals, aside);
            assert_eq!((suspended, signalled.wakes.woken), (Ok(Done::Woken), vec![(ours, task.task)]));
            task
        } else {
            let (suspended, signalled) = world.meet(&lock, aside, signals);
            assert!(suspended == Ok(Done::Suspended) && signalled.wakes.ready, "{suspended:?} {signalled:?}");
            claim_one(&world.a, ours)
        };
        assert!(delivered(&tell(&world.a, lease, |lease| await_signal(lease, 1))));
        assert!(tell(&world.a, lease, complete).is_ok());
    }
}

#[test]
fn a_signal_from_elsewhere_meets_the_wait_that_is_registered_in_both_orders() {
    let world = World::new();
    let ours = worker(&world.a);
    for signal_comes_first in [true, false] {
        let task = world.running(&world.a, ours, 0);
        let signals = || ask(&world.b, task.task.execution, signal(task.task.execution));
        let asks = || tell(&world.a, task, |lease| await_signal(lease, 1));
        let lock = lock_execution(task.task.execution);
        if signal_comes_first {
            let (signalled, asked) = world.meet(&lock, signals, asks);
            assert!(signalled.is_ok() && delivered(&asked), "{signalled:?} {asked:?}");
        } else {
            let (asked, signalled) = world.meet(&lock, asks, signals);
            assert!(signalled.is_ok() && asked == Ok(Done::Waiting(None)), "{signalled:?} {asked:?}");
            assert_eq!(tell(&world.a, task, suspend), Ok(Done::Woken));
            assert!(delivered(&asks()));
        }
    }
}

#[test]
fn an_emit_from_elsewhere_meets_the_wait_that_is_registered_in_both_orders_on_a_stream_old_or_new() {
    let world = World::new();
    let ours = worker(&world.a);
    for (stream, is_new, emit_comes_first) in
        [("one", true, true), ("two", true, false), ("three", false, true), ("four", false, false)]
    {
        let task = world.running(&world.a, ours, 0);
        let lock = if is_new {
            format!("INSERT INTO event_streams VALUES ('default', '{stream}', 0)")
        } else {
            world.hand.say(&format!("INSERT INTO event_streams VALUES ('default', '{stream}', 0)"));
            format!("SELECT 1 FROM event_streams WHERE name = '{stream}' FOR NO KEY UPDATE")
        };
        let emits = || send(&world.b, 0, vec![emit(stream)]).remove(0);
        let asks = || ask(&world.a, task.task.execution, await_event(task, 1, stream));
        let (emitted, asked) = if emit_comes_first {
            world.meet(&lock, emits, asks)
        } else {
            let (asked, emitted) = world.meet(&lock, asks, emits);
            (emitted, asked)
        };
        assert!(emitted.is_ok(), "{emitted:?}");
        // Whoever waits for a row that is not there yet is let go with all the others.
        let there_already = if is_new { delivered(&asked) } else { emit_comes_first };
        if there_already {
            assert!(delivered(&asked), "{asked:?}");
        } else {
            assert_eq!(asked, Ok(Done::Waiting(None)));
            assert_eq!(tell(&world.a, task, suspend), Ok(Done::Woken));
            assert!(delivered(&asks()));
        }
    }
}

/// SQL that keeps anybody from numbering a route.
const HOLD_ROUTES: &str = "INSERT INTO routes SELECT coalesce(max(route_id), 0) + 1, 'held', 'held', '[]' FROM routes";

#[test]
fn a_cancel_and_a_new_child_leave_no_child_alive_in_both_orders() {
    let world = World::new();
    let ours = worker(&world.a);
    let nobody_lives = |task: TaskRef, all: usize| {
        let tasks = block(world.b.tasks(task.execution)).unwrap();
        assert!(tasks.iter().all(|task| task.state == TaskState::Cancelled), "{tasks:?}");
        assert_eq!(tasks.len(), all);
        let execution = block(world.b.execution(task.execution)).unwrap().unwrap();
        assert_eq!(execution.state, ExecutionState::Cancelled);
    };
    for (lane, function) in [(0, "one"), (1, "two")] {
        let parent = world.running(&world.a, ours, lane);
        let calls = || {
            let Command::StartChild(mut start) = start_child(parent, "c") else { panic!() };
            start.spec = spec("default", function);
            ask(&world.a, parent.task.execution, Command::StartChild(start))
        };
        let cancels = || ask(&world.b, parent.task.execution, Command::Cancel(parent.task));
        // The child is on its way: the cancel waits for the committer that brings it.
        let (called, cancelled) = world.meet(HOLD_ROUTES, calls, cancels);
        assert!(called.is_ok() && cancelled == Ok(Done::Nothing), "{called:?} {cancelled:?}");
        nobody_lives(parent.task, 2);
        assert_eq!(
            tell(&world.a, parent, |lease| start_child(lease, "later")),
            Err(Refusal::Terminal(TaskState::Cancelled))
        );
        // The cancel is on its way: the child waits behind the fence, and is refused.
        let parent = world.running(&world.a, ours, lane);
        let calls = || tell(&world.a, parent, |lease| start_child(lease, "c"));
        let cancels = || ask(&world.b, parent.task.execution, Command::Cancel(parent.task));
        let (cancelled, called) = world.meet(&lock_task(parent.task), cancels, calls);
        assert_eq!(cancelled, Ok(Done::Nothing));
        assert_eq!(called, Err(Refusal::Terminal(TaskState::Cancelled)));
        nobody_lives(parent.task, 1);
    }
}

#[test]
fn a_child_that_others_claim_while_its_root_is_cancelled_is_cancelled_with_all_it_called() {
    let world = World::new();
    let (ours, theirs) = (worker(&world.a), worker(&world.b));
    let root = world.running(&world.a, ours, 0);
    assert!(tell(&world.a, root, |lease| start_child(lease, "c")).is_ok());
    let child = claim_one(&world.b, theirs);
    let cancels = || ask(&world.a, root.task.execution, Command::Cancel(root.task));
    let calls = || tell(&world.b, child, |lease| start_child(lease, "g"));
    // The cancel has its own tasks and waits for the other process's committer or its row; the call is under way.
    let (called, cancelled) = world.meet(&lock_task(child.task), cancels, calls);
    assert_eq!(called, Ok(Done::Nothing));
    assert_eq!(cancelled, Err(Refusal::Terminal(TaskState::Cancelled)));
    let tasks = block(world.a.tasks(root.task.execution)).unwrap();
    assert!(tasks.len() == 2 && tasks.iter().all(|task| task.state == TaskState::Cancelled), "{tasks:?}");
}

#[test]
fn a_steal_waits_for_the_batch_in_flight_and_everything_later_is_refused() {
    let world = World::new();
    for lane in LANES {
        let (old, new) = (worker(&world.a), worker(&world.b));
        let task = world.running(&world.a, old, lane);
        let aside = execution_in(lane);
        assert!(ask(&world.a, aside, start_one(aside)).is_ok());
        let in_flight = || send(&world.a, lane, vec![step(task, 1), signal(aside)]);
        let steals = || send(&world.b, 1 - lane, vec![take_over(old)]);
        let (written, stolen) = world.meet(&lock_execution(aside), in_flight, steals);
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        assert_eq!(stolen, [Ok(Done::Swept { count: 1, more: false })]);
        assert_eq!(places(&world.b, task.task), [1]);
        for command in [step(task, 2), complete(task), suspend(task)] {
            assert_eq!(ask(&world.a, task.task.execution, command), Err(Refusal::LeaseLost));
        }
        assert_eq!(send(&world.a, 0, vec![Command::Beat(old)]), [Err(Refusal::SessionGone)]);
        let claimed = claim(&world.b, new, 10);
        let again = claimed.iter().find(|again| again.lease.task == task.task).unwrap();
        assert_eq!((again.lease.epoch, again.losses), (2, 1), "it wrote a record, so its losses begin anew");
        claimed.iter().for_each(|task| drop(tell(&world.b, task.lease, complete)));
    }
}

#[test]
fn two_who_take_over_one_session_charge_its_tasks_once() {
    let world = World::new();
    let (c, old) = (open(&world.database.url()), worker(&world.a));
    let tasks: Vec<_> = (0..3).map(|_| world.running(&world.a, old, 0)).collect();
    let lock = format!("SELECT 1 FROM sessions WHERE session_id = '{}' FOR NO KEY UPDATE", old.uuid());
    let (one, two) =
        world.meet(&lock, || send(&world.b, 0, vec![take_over(old)]), || send(&c, 0, vec![take_over(old)]));
    assert_eq!(one, [Ok(Done::Swept { count: 3, more: false })]);
    assert_eq!(two, [Ok(Done::Swept { count: 0, more: false })]);
    for task in tasks {
        let view = view(&world.b, task.task);
        assert_eq!((view.losses, view.state), (1, TaskState::Pending));
    }
}

#[test]
fn a_batch_of_one_that_waited_for_a_steal_is_refused_by_the_fence() {
    let world = World::new();
    for (lane, what) in [(0, "step"), (1, "step"), (0, "end"), (1, "end"), (0, "start"), (1, "start")] {
        let old = worker(&world.a);
        let task = world.running(&world.a, old, lane);
        let id = execution_in(lane);
        let command = match what {
            "step" => step(task, 1),
            "end" => complete(task),
            _ => start_one(id),
        };
        // The steal has bumped the committer and waits for the task; the batch of one waits for the committer's row.
        let steals = || send(&world.b, 0, vec![take_over(old)]);
        let writes = || ask(&world.a, task.task.execution, command);
        let (stolen, written) = world.meet(&lock_task(task.task), steals, writes);
        assert_eq!(stolen, [Ok(Done::Swept { count: 1, more: false })]);
        if what == "start" {
            assert_eq!(written, Ok(Done::Started { execution: id, created: true, claimed: None }));
            assert_eq!(block(world.b.tasks(id)).unwrap().len(), 1);
        } else {
            assert_eq!(written, Err(Refusal::LeaseLost), "{what}");
        }
        let view = view(&world.b, task.task);
        assert_eq!((view.state, view.losses, view.result), (TaskState::Pending, 1, None));
        assert_eq!(places(&world.b, task.task), [0; 0]);
        let execution = block(world.b.execution(task.task.execution)).unwrap().unwrap();
        assert!(!execution.state.is_terminal(), "{:?}", execution.state);
    }
}

#[test]
fn who_takes_tasks_away_and_their_owner_never_wait_for_each_other_in_a_circle() {
    let world = World::without_circles();
    let ours = worker(&world.a);
    let overdue = |task: TaskRef| {
        let id = task.execution.uuid();
        world
            .hand
            .say(&format!("UPDATE executions SET overdue_at = 1, deadline_state = 4 WHERE execution_id = '{id}'"));
        Command::Expire
    };
    for takes in ["cancel", "expire", "take over"] {
        let (task, aside) = (world.running(&world.a, ours, 0), execution_in(0));
        assert!(ask(&world.a, aside, start_one(aside)).is_ok());
        let take = match takes {
            "cancel" => Command::Cancel(task.task),
            "expire" => overdue(task.task),
            _ => take_over(ours),
        };
        // The owner's batch holds its committer's row; what it wants next is what the other one wants too.
        let batch = vec![step(task, 1), signal(aside), Command::Beat(ours), complete(task)];
        let since = Instant::now();
        let (written, taken) =
            world.meet(&lock_execution(aside), || send(&world.a, 0, batch), || send(&world.b, 0, vec![take]).remove(0));
        assert!(since.elapsed() < PATIENCE, "{takes}: {:?}", since.elapsed());
        let refused: Vec<_> = written.iter().map(|outcome| outcome.as_ref().err().copied()).collect();
        let over = Some(Refusal::Terminal(TaskState::TimedOut));
        let swept = |count| Ok(Done::Swept { count, more: false });
        let expected = match takes {
            "cancel" => vec![(vec![None; 4], Err(Refusal::Terminal(TaskState::Completed)))],
            // The owner's end is refused, since the time is over, and the batch begins anew: mostly behind the one who ends
            // the execution so, but nothing keeps it from being first again; then it ends the execution by itself.
            "expire" => {
                vec![(vec![over, None, None, over], swept(1)), (vec![None, None, None, over], swept(0))]
            }
            _ => vec![(vec![None; 4], swept(0))],
        };
        assert!(expected.contains(&(refused.clone(), taken.clone())), "{takes}: {refused:?}, {taken:?}");
        if takes == "expire" {
            assert_eq!(view(&world.b, task.task).state, TaskState::TimedOut);
        }
    }
}

#[test]
fn what_a_claim_passes_by_since_another_locks_more_than_it_takes_is_looked_at_again_soon() {
    let world = World::new();
    let (ours, theirs) = (worker(&world.a), worker(&world.b));
    let claims = |store: &PostgresStore, session| {
        let serve = crate::stores::serve(&["f", "g"]);
        let outcome = send(store, 0, vec![Command::Claim(Claim { session, serve, max: 1 })]).remove(0);
        let Ok(Done::Claimed { tasks, next_due, .. }) = outcome else { panic!("{outcome:?}") };
        (tasks.iter().map(|task| task.lease.task.execution).collect::<Vec<_>>(), next_due)
    };
    let [first, second] = [execution_in(0), execution_in(0)];
    // The limit counts from the claim, which has to write it to the execution's row for that.
    let deadline = Deadline { run_within: Some(Duration::from_secs(3_600)), ..Deadline::default() };
    let start = Start { deadline, ..new_start(first) };
    assert!(ask(&world.a, first, Command::Start(Box::new(start))).is_ok());
    let start = Start { spec: spec("default", "g"), ..new_start(second) };
    assert!(ask(&world.a, second, Command::Start(Box::new(start))).is_ok());
    world.hand.say("BEGIN");
    world.hand.say(&lock_execution(first));
    let (taken, passed_by) = thread::scope(|scope| {
        let takes = scope.spawn(|| claims(&world.a, ours));
        world.await_waiting(1);
        let passed_by = claims(&world.b, theirs);
        world.hand.say("ROLLBACK");
        (joined(takes), passed_by)
    });
    assert_eq!(taken, (vec![first], None));
    // It cannot know whether the other one takes it; but it knows that there is something.
    let (tasks, look_again) = passed_by;
    assert_eq!(tasks, []);
    assert!(look_again.is_some_and(|at| at.since(world.b.now()) < Duration::from_millis(100)), "{look_again:?}");
    assert_eq!(claims(&world.b, theirs), (vec![second], None));
}

/// Runs the same on several stores of a database at once, each on a thread of its own.
fn at_once<T: Send>(stores: &[PostgresStore], work: impl Fn(usize, &PostgresStore) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            stores.iter().enumerate().map(|(number, store)| scope.spawn(move || work(number, store))).collect();
        threads.into_iter().map(joined).collect()
    })
}

#[test]
fn four_processes_claim_each_task_once_and_the_highest_first() {
    let database = Server::shared().database().unwrap();
    let stores: Vec<_> = (0..4).map(|_| open(&database.url())).collect();
    let start = |number: usize| {
        let id = execution_in(number % 2);
        let spec = TaskSpec { priority: i32::try_from(number % 5).unwrap(), ..spec("default", "f") };
        Command::Start(Box::new(Start { spec, ..new_start(id) }))
    };
    for lane in LANES {
        send(&stores[0], lane, (0..1_000).map(|number| start(number * 2 + lane)).collect());
    }
    let claimed = at_once(&stores, |_, store| {
        let session = worker(store);
        let mut all = Vec::new();
        loop {
            let tasks = claim(store, session, 7);
            if tasks.is_empty() {
                return all;
            }
            all.extend(tasks);
        }
    });
    for tasks in &claimed {
        let ranks: Vec<_> = tasks.iter().map(|task| -task.spec.priority).collect();
        assert!(ranks.is_sorted(), "one that comes later was there before: {ranks:?}");
    }
    let total: usize = claimed.iter().map(Vec::len).sum();
    let all: BTreeSet<_> = claimed.iter().flatten().map(|task| task.lease.task).collect();
    assert_eq!((total, all.len()), (2_000, 2_000));
    assert!(claimed.iter().flatten().all(|task| task.lease.epoch == 1));
}

#[test]
fn a_claim_passes_by_what_another_is_claiming_and_finds_it_again_if_that_one_fails() {
    let world = World::new();
    let theirs = worker(&world.b);
    let ids: Vec<_> = (0..4).map(|_| execution()).collect();
    send(&world.a, 0, ids.iter().map(|id| start_one(*id)).collect());
    world.hand.say("BEGIN");
    world.hand.say("SELECT 1 FROM tasks WHERE ready ORDER BY rank, execution_id LIMIT 2 FOR NO KEY UPDATE");
    let executions = |tasks: Vec<stent_core::ClaimedTask>| -> Vec<_> {
        tasks.iter().map(|task| task.lease.task.execution).collect()
    };
    assert_eq!(executions(claim(&world.b, theirs, 10)), ids[2..]);
    world.hand.say("ROLLBACK");
    assert_eq!(executions(claim(&world.b, theirs, 10)), ids[..2]);
}

#[test]
fn start_keys_that_eight_processes_race_for_start_one_execution_each() {
    let database = Server::shared().database().unwrap();
    let stores: Vec<_> = (0..8).map(|_| open(&format!("{}?max_size=2", database.url()))).collect();
    let answers = at_once(&stores, |number, store| {
        let mut answers = BTreeMap::new();
        for round in 0..12 {
            // Some alone, some together, in either order.
            let mut keys: Vec<_> = (0..3).map(|key| format!("{round}-{key}")).collect();
            if number % 2 == 1 {
                keys.reverse();
            }
            let batches = if number % 3 == 0 { vec![keys] } else { keys.into_iter().map(|key| vec![key]).collect() };
            for keys in batches {
                let start = |key: &String| {
                    let key = Some(Name::stored(key));
                    Command::Start(Box::new(Start { key, ..new_start(execution_in(number % 2)) }))
                };
                let outcomes = send(store, number % 2, keys.iter().map(start).collect());
                for (key, outcome) in keys.into_iter().zip(outcomes) {
                    let Ok(Done::Started { execution, created, .. }) = outcome else { panic!("{outcome:?}") };
                    answers.insert(key, (execution, created));
                }
            }
        }
        answers
    });
    for (key, (execution, _)) in &answers[0] {
        assert!(answers.iter().all(|of_one| of_one[key].0 == *execution), "{key}");
        assert_eq!(answers.iter().filter(|of_one| of_one[key].1).count(), 1, "{key}");
    }
    assert_eq!(block(stores[0].count_executions(None)).unwrap(), 36);
}

#[test]
fn routes_that_processes_and_their_committers_number_at_once_get_one_number_each() {
    let database = Server::shared().database().unwrap();
    let stores: Vec<_> = (0..4).map(|_| open(&format!("{}?max_size=2", database.url()))).collect();
    // Each twice: the two committers of one process are in the race as well.
    let hands: Vec<_> = stores.iter().flat_map(|store| [store.clone(), store.clone()]).collect();
    at_once(&hands, |number, store| {
        for round in 0..15 {
            let functions = [format!("shared {round}"), format!("own {number} {round}")];
            let start = |function: &String| {
                Command::Start(Box::new(Start {
                    spec: spec("default", function),
                    ..new_start(execution_in(number % 2))
                }))
            };
            let outcomes = send(store, number % 2, functions.iter().map(start).collect());
            for (function, outcome) in functions.iter().zip(outcomes) {
                let Ok(Done::Started { execution, .. }) = outcome else { panic!("{outcome:?}") };
                assert_eq!(block(store.execution(execution)).unwrap().unwrap().function.as_str(), function);
            }
        }
    });
    let counted = database.psql("SELECT count(*), max(route_id), count(DISTINCT function) FROM routes").unwrap();
    assert_eq!(counted, "135|135|135");
    // Everybody knows all of them.
    for store in &stores {
        let session = worker(store);
        let serve = crate::stores::serve(&["shared 7", "own 3 7"]);
        let claimed = crate::stores::claim(store, session, &serve, 100);
        claimed.iter().for_each(|task| assert!(tell(store, task.lease, complete).is_ok()));
    }
    let left =
        "SELECT count(*) FROM tasks JOIN routes USING (route_id) WHERE ready AND function IN ('shared 7', 'own 3 7')";
    assert_eq!(database.psql(left).unwrap(), "0");
}

#[test]
fn an_expiry_and_the_end_it_meets_come_out_as_one_of_them() {
    let world = World::new();
    let ours = worker(&world.a);
    for end_comes_first in [true, false] {
        let task = world.running(&world.a, ours, 0);
        let id = task.task.execution.uuid();
        let overdue = format!(
            "UPDATE executions SET deadline = 1, overdue_at = 1, deadline_state = 4 WHERE execution_id = '{id}'"
        );
        world.hand.say(&overdue);
        let ends = || tell(&world.a, task, complete);
        let expires = || send(&world.b, 0, vec![Command::Expire]);
        let timed_out = Err(Refusal::Terminal(TaskState::TimedOut));
        let lock = lock_execution(task.task.execution);
        let (ended, swept) = if end_comes_first {
            world.meet(&lock, ends, expires)
        } else {
            let (swept, ended) = world.meet(&lock, expires, ends);
            (ended, swept)
        };
        assert_eq!(ended, timed_out);
        assert!(matches!(swept[..], [Ok(Done::Swept { count: 0 | 1, more: false })]), "{swept:?}");
        let execution = block(world.b.execution(task.task.execution)).unwrap().unwrap();
        assert_eq!(execution.state, ExecutionState::TimedOut);
        assert_eq!(view(&world.b, task.task).state, TaskState::TimedOut);
    }
}

//! Slots of limited functions between processes: claims that meet at the last one, a slot that is let go while others
//! claim, an end that meets a take-over, and many of all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use stent_core::command::{Deadline, Start};
use stent_core::store::Watcher;
use stent_core::view::FunctionView;
use stent_core::{
    ClaimedTask, Command, ExecutionId, MaxConcurrent, Name, Refusal, SessionId, Store, TaskRef, TaskState,
};
use stent_postgres::PostgresStore;
use stent_servers::Server;

use crate::hands::{
    PATIENCE, World, ask, claim, claim_one, execution_in, joined, lock_execution, lock_task, new_start, send,
    take_over, tell, try_send, view,
};
use crate::stores::{block, complete, open, start_one, worker};

/// A worker that publishes a limit for `f`.
fn limited(store: &PostgresStore, limit: u32) -> SessionId {
    let session = worker(store);
    let f = FunctionView { max_concurrent: MaxConcurrent::new(limit).ok(), ..FunctionView::new(Name::stored("f")) };
    assert!(send(store, 0, vec![Command::Publish(session, vec![f])])[0].is_ok());
    session
}

fn holders(store: &PostgresStore) -> Vec<TaskRef> {
    block(store.limit(&Name::stored("f"))).unwrap().holders
}

fn executions(tasks: &[ClaimedTask]) -> Vec<ExecutionId> {
    tasks.iter().map(|task| task.lease.task.execution).collect()
}

/// Starts a task whose claim has to write to the row of its execution as well, where a test can hold it.
fn start_held(store: &PostgresStore) -> ExecutionId {
    let deadline = Deadline { run_within: Some(Duration::from_secs(3_600)), ..Deadline::default() };
    let id = execution_in(0);
    assert!(ask(store, id, Command::Start(Box::new(Start { deadline, ..new_start(id) }))).is_ok());
    id
}

#[test]
fn of_two_claims_that_meet_at_the_last_slot_one_gets_it_and_neither_waits() {
    let world = World::new();
    let (ours, theirs) = (limited(&world.a, 1), worker(&world.b));
    let first = start_held(&world.a);
    let second = execution_in(0);
    assert!(ask(&world.a, second, start_one(second)).is_ok());
    world.hand.say("BEGIN");
    world.hand.say(&lock_execution(first));
    let (taken, late) = thread::scope(|scope| {
        let takes = scope.spawn(|| claim(&world.a, ours, 1));
        world.await_waiting(1);
        let late = claim(&world.b, theirs, 10);
        world.hand.say("ROLLBACK");
        (joined(takes), late)
    });
    assert_eq!((executions(&taken), executions(&late)), (vec![first], vec![]));
    assert_eq!(claim(&world.b, theirs, 10), []);
    assert_eq!(holders(&world.b), [TaskRef::root(first)]);
    assert!(tell(&world.a, taken[0].lease, complete).is_ok());
    assert_eq!(claim_one(&world.b, theirs).task, TaskRef::root(second));
}

#[test]
fn of_a_lowered_limit_two_claims_that_meet_take_no_more_than_is_left() {
    let world = World::new();
    let five = limited(&world.a, 5);
    let ids: Vec<_> = (0..5).map(|_| execution_in(0)).collect();
    send(&world.a, 0, ids.iter().map(|id| start_one(*id)).collect());
    let running = claim(&world.a, five, 10);
    // Three at once: two run on above the limit, and three slots below it are free, of which one may be taken.
    let three = limited(&world.b, 3);
    for task in &running[..3] {
        assert!(tell(&world.a, task.lease, complete).is_ok());
    }
    let first = start_held(&world.a);
    send(&world.a, 0, (0..3).map(|_| start_one(execution_in(0))).collect());
    world.hand.say("BEGIN");
    world.hand.say(&lock_execution(first));
    let (taken, late) = thread::scope(|scope| {
        let takes = scope.spawn(|| claim(&world.a, five, 10));
        world.await_waiting(1);
        let late = claim(&world.b, three, 10);
        world.hand.say("ROLLBACK");
        (joined(takes), late)
    });
    assert_eq!((executions(&taken), executions(&late)), (vec![first], vec![]));
    assert_eq!((claim(&world.b, three, 10), holders(&world.a).len()), (vec![], 3));
}

#[test]
fn a_slot_that_is_let_go_while_another_claims_goes_to_that_one_afterwards() {
    let world = World::new();
    let (ours, theirs) = (limited(&world.a, 1), worker(&world.b));
    for lane in [0, 1] {
        let first = execution_in(lane);
        assert!(ask(&world.a, first, start_one(first)).is_ok());
        let running = claim_one(&world.a, ours);
        let second = execution_in(lane);
        assert!(ask(&world.a, second, start_one(second)).is_ok());
        world.hand.say("BEGIN");
        world.hand.say("SELECT 1 FROM limit_slots WHERE function = 'f' FOR NO KEY UPDATE");
        let (ended, early) = thread::scope(|scope| {
            let ends = scope.spawn(|| try_send(&world.a, lane, vec![complete(running)]).unwrap());
            world.await_waiting(1);
            let early = claim(&world.b, theirs, 10);
            world.hand.say("ROLLBACK");
            (joined(ends), early)
        });
        assert_eq!(early, []);
        assert!(ended.outcomes[0].is_ok() && ended.wakes.ready, "whoever came too early is told");
        let next = claim_one(&world.b, theirs);
        assert_eq!((next.task, holders(&world.a)), (TaskRef::root(second), vec![next.task]));
        assert!(tell(&world.b, next, complete).is_ok());
        assert_eq!(holders(&world.a), []);
    }
}

#[test]
fn an_end_and_a_take_over_let_the_slot_go_once_in_both_orders() {
    let world = World::new();
    let lasting = limited(&world.b, 1);
    for end_comes_first in [true, false] {
        let old = worker(&world.a);
        let id = execution_in(0);
        assert!(ask(&world.a, id, start_one(id)).is_ok());
        let lease = claim_one(&world.a, old);
        let ends = || tell(&world.a, lease, complete);
        let takes = || send(&world.b, 0, vec![take_over(old)]);
        let ended = match end_comes_first {
            true => world.meet(&lock_task(lease.task), ends, takes).0,
            false => world.meet(&lock_task(lease.task), takes, ends).1,
        };
        assert_eq!(holders(&world.b), []);
        if end_comes_first {
            assert!(ended.is_ok());
            assert_eq!(view(&world.b, lease.task).state, TaskState::Completed);
        } else {
            assert_eq!(ended, Err(Refusal::LeaseLost));
            let again = claim_one(&world.b, lasting);
            assert_eq!((again.task, holders(&world.b)), (lease.task, vec![lease.task]));
            // The late word of the old owner takes nothing from the new one.
            assert_eq!(tell(&world.a, lease, complete), Err(Refusal::LeaseLost));
            assert_eq!(holders(&world.b), [lease.task]);
            assert!(tell(&world.b, again, complete).is_ok());
        }
    }
}

#[test]
fn a_slot_that_an_end_lets_go_is_taken_by_a_claim_of_the_same_batch() {
    let world = World::new();
    let ours = limited(&world.a, 1);
    for lane in [0, 1] {
        let ids = [execution_in(lane), execution_in(1 - lane)];
        ids.iter().for_each(|id| assert!(ask(&world.a, *id, start_one(*id)).is_ok()));
        let first = claim_one(&world.a, ours);
        let lane = crate::hands::lane_of(first.task.execution);
        let claim =
            Command::Claim(stent_core::command::Claim { session: ours, serve: crate::stores::serve(&["f"]), max: 9 });
        let committed = try_send(&world.a, lane, vec![complete(first), claim]).unwrap();
        let Ok(stent_core::Done::Claimed { tasks, .. }) = &committed.outcomes[1] else { panic!("{committed:?}") };
        assert_eq!((tasks.len(), committed.wakes.ready), (1, false));
        // What was claimed through one committer and goes on through the other is known there.
        assert!(tell(&world.a, tasks[0].lease, complete).is_ok());
        assert_eq!(holders(&world.a), []);
    }
}

#[test]
fn four_processes_never_have_more_in_hand_than_the_limit_and_none_is_left_over() {
    let database = Server::shared().database().unwrap();
    let stores: Vec<_> = (0..4).map(|_| open(&database.url())).collect();
    let sessions: Vec<_> = stores.iter().map(|store| limited(store, 3)).collect();
    let starts = |lane| (0..100).map(|_| start_one(execution_in(lane))).collect();
    for lane in [0, 1] {
        send(&stores[0], lane, starts(lane));
    }
    let (inside, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for (store, session) in stores.iter().zip(&sessions) {
            let (inside, most, done) = (&inside, &most, &done);
            scope.spawn(move || {
                while done.load(Ordering::SeqCst) < 200 {
                    for task in claim(store, *session, 2) {
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        // Out before the end is written: from then on another may come in.
                        inside.fetch_sub(1, Ordering::SeqCst);
                        assert!(tell(store, task.lease, complete).is_ok());
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= 3, "{most:?}");
    assert_eq!(holders(&stores[0]), []);
}

/// Somebody who tells one sort of news from the other.
struct Listener(Mutex<mpsc::Sender<&'static str>>);

impl Watcher for Listener {
    fn changed(&self) {
        self.0.lock().unwrap().send("changed").unwrap_or_default();
    }

    fn ended(&self) {
        self.0.lock().unwrap().send("ended").unwrap_or_default();
    }
}

#[test]
fn an_end_alone_is_told_to_whoever_waits_for_one_and_asks_no_worker_to_look() {
    let world = World::new();
    let ours = worker(&world.a);
    let lease = world.running(&world.a, ours, 0);
    let (sender, told) = mpsc::channel();
    let listener: Arc<dyn Watcher> = Arc::new(Listener(Mutex::new(sender)));
    world.b.watch(Arc::downgrade(&listener));
    let hears = |wanted: &str| while told.recv_timeout(PATIENCE).unwrap() != wanted {};
    // Whatever is told at the beginning: work is told as such.
    let id = execution_in(0);
    assert!(ask(&world.a, id, start_one(id)).is_ok());
    hears("changed");
    assert!(tell(&world.a, lease, complete).is_ok());
    hears("ended");
}

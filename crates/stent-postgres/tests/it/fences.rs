//! What a committer knows without asking, and the fence that lets it: others take a task away only behind its row, and
//! what is still its own goes on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;

use stent_core::command::Start;
use stent_core::{Command, Done, Refusal, Store, TaskState};
use stent_servers::{Database, Message, Proxy, Server};

use crate::hands::{
    World, ask, claim, claim_one, execution_in, joined, lane_of, lock_execution, new_start, open_session, places,
    running, send, session, signal, suspend, take_over, tell, until, view,
};
use crate::stores::{block, complete, open, start_one, step, worker};

/// Everything that the stores behind a proxy send, as the names of the files their statements are in would be: the
/// first words of each statement that was carried out, and of each simple query.
#[derive(Clone, Default)]
pub(crate) struct Wiretap {
    statements: Arc<Mutex<HashMap<Vec<u8>, String>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

/// A message's parts up to the next NUL.
fn text(body: &[u8]) -> (&[u8], &[u8]) {
    let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    (&body[..end], body.get(end + 1..).unwrap_or_default())
}

impl Wiretap {
    /// Notes a message; what was carried out with it, if it is one that carries out anything.
    pub(crate) fn note(&self, message: &Message<'_>) -> Option<String> {
        let heard = match message.tag() {
            Some(b'P') => {
                let (name, rest) = text(message.body());
                let words = String::from_utf8_lossy(text(rest).0).into_owned();
                self.statements.lock().unwrap().insert(name.to_owned(), words);
                return None;
            }
            Some(b'B') => {
                let (_portal, rest) = text(message.body());
                self.statements.lock().unwrap().get(text(rest).0)?.clone()
            }
            Some(b'Q') => String::from_utf8_lossy(text(message.body()).0).into_owned(),
            _ => return None,
        };
        self.heard.lock().unwrap().push(heard.clone());
        Some(heard)
    }

    /// Listens at a proxy from now on.
    pub(crate) fn listen(&self, proxy: &Proxy) {
        let tap = self.clone();
        drop(proxy.lose_reply_when(move |message| {
            tap.note(message);
            false
        }));
    }

    /// What was heard since the last time, but for notifications: those go out in their own time.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut heard = std::mem::take(&mut *self.heard.lock().unwrap());
        heard.retain(|words| !words.contains("SELECT pg_notify("));
        heard
    }

    /// How often a statement that has these words was carried out since the last time.
    fn count(heard: &[String], words: &str) -> usize {
        heard.iter().filter(|heard| heard.contains(words)).count()
    }
}

/// The address of a database through a proxy, which hides that the server itself is at the other end.
pub(crate) fn direct(proxy: &Proxy, database: &Database) -> String {
    format!("{}?pooler=false", proxy.url(database))
}

const READS_ONE: &str = "-- Where a task stands:";
const READS_MANY: &str = "-- Where many tasks stand";
const BATCH_OF_ONE_RECORD: &str = "-- A batch of one record";

#[test]
fn whoever_lost_one_task_goes_on_with_the_others_after_one_look_at_all_of_them() {
    let database = Server::shared().database().unwrap();
    let (proxy, tap) = (Proxy::start(Server::shared().address()).unwrap(), Wiretap::default());
    tap.listen(&proxy);
    let (ours, others) = (open(&direct(&proxy, &database)), open(&database.url()));
    let session = worker(&ours);
    for lane in [0, 1] {
        let tasks: Vec<_> = (0..20).map(|_| running(&ours, session, lane)).collect();
        let lost = tasks[7];
        assert_eq!(ask(&others, lost.task.execution, Command::Cancel(lost.task)), Ok(Done::Nothing));
        tap.take();
        let outcomes = send(&ours, lane, tasks.iter().map(|task| step(*task, 1)).collect());
        for (task, outcome) in tasks.iter().zip(outcomes) {
            match *task == lost {
                true => assert_eq!(outcome, Err(Refusal::Terminal(TaskState::Cancelled))),
                false => assert!(outcome.is_ok(), "{outcome:?}"),
            }
        }
        let heard = tap.take();
        assert_eq!((Wiretap::count(&heard, READS_MANY), Wiretap::count(&heard, READS_ONE)), (1, 0), "{heard:#?}");
        // What is its own is known again.
        assert!(tell(&ours, tasks[3], |lease| step(lease, 2)).is_ok());
        let heard = tap.take();
        assert_eq!((Wiretap::count(&heard, BATCH_OF_ONE_RECORD), heard.len()), (1, 1), "{heard:#?}");
        assert_eq!(places(&others, lost.task), [0; 0]);
        assert_eq!(places(&others, tasks[3].task), [1, 2]);
    }
}

#[test]
fn what_one_committer_claims_the_other_knows_without_a_look() {
    let database = Server::shared().database().unwrap();
    let (proxy, tap) = (Proxy::start(Server::shared().address()).unwrap(), Wiretap::default());
    tap.listen(&proxy);
    let store = open(&direct(&proxy, &database));
    let session = worker(&store);
    // Both committers have been at work, and have heard of the session.
    for lane in [0, 1] {
        let task = running(&store, session, lane);
        assert!(tell(&store, task, complete).is_ok());
    }
    let id = execution_in(1);
    assert!(ask(&store, id, start_one(id)).is_ok());
    let task = claim_one(&store, session);
    assert_eq!(task.task.execution, id);
    // The statement is prepared by another one's step.
    let other = running(&store, session, 1);
    assert!(tell(&store, other, |lease| step(lease, 1)).is_ok());
    tap.take();
    assert!(tell(&store, task, |lease| step(lease, 1)).is_ok());
    let heard = tap.take();
    assert_eq!((Wiretap::count(&heard, BATCH_OF_ONE_RECORD), heard.len()), (1, 1), "{heard:#?}");
}

#[test]
fn a_task_that_is_cancelled_on_its_way_from_one_committer_to_the_other_is_not_taken_for_running() {
    let world = World::new();
    let ours = worker(&world.a);
    for knows_the_session in [false, true] {
        let (id, aside) = (execution_in(1), execution_in(1));
        for id in [id, aside] {
            assert!(ask(&world.a, id, start_one(id)).is_ok());
        }
        if knows_the_session {
            assert!(tell(&world.a, running(&world.a, ours, 1), complete).is_ok());
        }
        world.hand.say("BEGIN");
        world.hand.say(&lock_execution(aside));
        let root = stent_core::TaskRef::root(id);
        // The second committer's batch began before the claim and cancels what the first one claims meanwhile.
        let (task, outcomes) = thread::scope(|scope| {
            let cancels = scope.spawn(|| send(&world.a, 1, vec![signal(aside), Command::Cancel(root)]));
            world.await_waiting(1);
            let claimed = claim(&world.a, ours, 10);
            world.hand.say("ROLLBACK");
            let task = claimed.iter().find(|task| task.lease.task == root).unwrap().lease;
            (task, joined(cancels))
        });
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        let cancelled = Err(Refusal::Terminal(TaskState::Cancelled));
        assert_eq!(tell(&world.a, task, |lease| step(lease, 1)), cancelled);
        assert_eq!(tell(&world.a, task, complete), cancelled);
        assert_eq!(view(&world.b, root).state, TaskState::Cancelled);
        assert_eq!(places(&world.b, root), [0; 0]);
    }
}

#[test]
fn a_task_that_others_cancel_on_its_way_from_one_committer_to_the_other_is_not_taken_for_running() {
    let world = World::new();
    let ours = worker(&world.a);
    let id = execution_in(1);
    assert!(ask(&world.a, id, start_one(id)).is_ok());
    let task = claim_one(&world.a, ours);
    // It lies in the second committer's inbox, which has not looked yet.
    assert_eq!(ask(&world.b, id, Command::Cancel(task.task)), Ok(Done::Nothing));
    assert_eq!(tell(&world.a, task, |lease| step(lease, 1)), Err(Refusal::Terminal(TaskState::Cancelled)));
    assert_eq!(places(&world.b, task.task), [0; 0]);
}

#[test]
fn a_committer_that_enters_while_others_take_a_task_away_is_fenced_off_like_any_other() {
    let world = World::new();
    let ours = session();
    world.a.enter(ours).unwrap();
    // The first committer alone has been at work.
    assert!(send(&world.a, 0, vec![open_session(ours)])[0].is_ok());
    let (id, aside) = (execution_in(1), execution_in(0));
    assert!(ask(&world.b, id, start_one(id)).is_ok());
    let task = claim_one(&world.a, ours);
    assert!(ask(&world.b, aside, start_one(aside)).is_ok());
    world.hand.say("BEGIN");
    world.hand.say(&lock_execution(aside));
    let (in_flight, cancelled) = thread::scope(|scope| {
        let in_flight = scope.spawn(|| send(&world.a, 0, vec![signal(aside)]));
        world.await_waiting(1);
        let cancels = scope.spawn(|| ask(&world.b, id, Command::Cancel(task.task)));
        world.await_waiting(2);
        // The first batches of the second committer: they get in before the cancel, or wait for it.
        let enters = scope.spawn(|| [1, 2].map(|seq| ask(&world.a, id, step(task, seq))));
        until("they are in, or wait", || enters.is_finished() || world.waiting() == 3);
        world.hand.say("ROLLBACK");
        for entered in joined(enters) {
            let before_or_after = [Ok(()), Err(Refusal::Terminal(TaskState::Cancelled))];
            assert!(before_or_after.contains(&entered.map(drop)));
        }
        (joined(in_flight), joined(cancels))
    });
    assert_eq!((in_flight, cancelled), (vec![Ok(Done::Nothing)], Ok(Done::Nothing)));
    let before = places(&world.b, task.task);
    assert_eq!(tell(&world.a, task, |lease| step(lease, 3)), Err(Refusal::Terminal(TaskState::Cancelled)));
    assert_eq!(places(&world.b, task.task), before);
}

#[test]
fn a_store_that_rests_with_an_open_session_is_fenced_off_when_it_comes_back() {
    let world = World::new();
    let ours = worker(&world.a);
    let task = world.running(&world.a, ours, 1);
    block(world.a.close()).unwrap();
    assert_eq!(ask(&world.b, task.task.execution, Command::Cancel(task.task)), Ok(Done::Nothing));
    assert_eq!(tell(&world.a, task, |lease| step(lease, 1)), Err(Refusal::Terminal(TaskState::Cancelled)));
    assert_eq!(places(&world.b, task.task), [0; 0]);
}

#[test]
fn a_store_that_was_closed_in_order_leaves_no_committer_behind() {
    let world = World::new();
    let ours = worker(&world.a);
    let task = world.running(&world.a, ours, 1);
    assert!(tell(&world.a, task, complete).is_ok());
    assert_eq!(world.count("committers"), 2);
    assert!(send(&world.a, 0, vec![Command::CloseSession(ours)])[0].is_ok());
    block(world.a.close()).unwrap();
    assert_eq!(world.count("committers"), 0);
}

#[test]
fn a_live_session_that_is_taken_over_learns_it_by_every_way() {
    let world = World::new();
    let ours = worker(&world.a);
    let tasks = [world.running(&world.a, ours, 0), world.running(&world.a, ours, 1)];
    send(&world.b, 0, vec![take_over(ours)]);
    let gone = Err(Refusal::SessionGone);
    let asked = vec![Command::Beat(ours), Command::NameSuspect(ours, None), Command::Publish(ours, Vec::new())];
    assert_eq!(send(&world.a, 0, asked), [gone.clone(), gone.clone(), gone]);
    for task in tasks {
        assert_eq!(tell(&world.a, task, |lease| step(lease, 1)), Err(Refusal::LeaseLost));
        let start = Start { claim_for: Some(ours), ..new_start(execution_in(lane_of(task.task.execution))) };
        let started = ask(&world.a, start.id, Command::Start(Box::new(start.clone())));
        assert_eq!(started, Ok(Done::Started { execution: start.id, created: true, claimed: None }));
    }
    // Another session of the same process is not concerned.
    let next = worker(&world.a);
    assert_eq!(claim(&world.a, next, 10).len(), 4);
}

#[test]
fn a_task_that_others_woke_and_claimed_is_seen_as_theirs() {
    let world = World::new();
    let (ours, theirs) = (worker(&world.a), worker(&world.b));
    for lane in [0, 1] {
        let task = world.running(&world.a, ours, lane);
        assert!(tell(&world.a, task, |lease| crate::hands::await_signal(lease, 1)).is_ok());
        assert_eq!(tell(&world.a, task, suspend), Ok(Done::Suspended));
        assert!(ask(&world.b, task.task.execution, signal(task.task.execution)).is_ok());
        let taken = claim_one(&world.b, theirs);
        assert!(tell(&world.b, taken, |lease| crate::hands::await_signal(lease, 1)).is_ok());
        assert!(
            tell(&world.b, taken, |lease| crate::hands::wait_for(
                lease,
                2,
                "again",
                stent_core::command::Wait::Signal(stent_core::Name::stored("go"))
            ))
            .is_ok()
        );
        assert_eq!(tell(&world.b, taken, suspend), Ok(Done::Suspended));
        // Our process had it once; it must not take it for running now.
        assert!(ask(&world.a, task.task.execution, signal(task.task.execution)).is_ok());
        assert_eq!(view(&world.b, task.task).state, TaskState::Pending, "the signal has woken it");
        let again = claim_one(&world.a, ours);
        assert_eq!(again.epoch, 3);
        assert!(tell(&world.a, again, complete).is_ok());
    }
}

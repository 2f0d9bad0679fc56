//! Commits whose answer is lost: what is answered in the end is what happened, and it happened once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use stent_core::command::{Append, Effect, Number};
use stent_core::{
    Command, Done, ExecutionState, Lease, Name, Outcome, Payload, Refusal, SessionId, Store, StoreErrorKind, TaskState,
};
use stent_postgres::PostgresStore;
use stent_servers::{Database, LostReply, Proxy, Server};

use crate::fences::{Wiretap, direct};
use crate::hands::{
    PATIENCE, ask, claim, execution_in, joined, lane_of, places, running, send, signal, tell, try_send, view,
};
use crate::stores::{block, complete, open, start_one, step, worker};

/// A store behind a proxy, and another process that looks on.
struct Line {
    store: PostgresStore,
    other: PostgresStore,
    session: SessionId,
    proxy: Proxy,
    tap: Wiretap,
    database: Database,
}

/// Which answer gets lost: that to a statement with these words, or to the commit that follows on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    Statement(&'static str),
    CommitAfter(&'static str),
}

const RECORD_ALONE: Lost = Lost::Statement("-- A batch of one record");
const RECORDS_ALONE: Lost = Lost::Statement("-- A batch of nothing but records");
const STARTS_ALONE: Lost = Lost::Statement("-- A batch of nothing but starts");
const START_ALONE: Lost = Lost::Statement("-- A batch of one start");
const FINISH_ALONE: Lost = Lost::Statement("-- One root's end behind the fence");
const COMMIT_OF_RECORDS: Lost = Lost::CommitAfter("-- Appends records");
const COMMIT_OF_A_CLAIM: Lost = Lost::CommitAfter("-- The heads of these routes");

impl Line {
    fn new() -> Self {
        let database = Server::shared().database().unwrap();
        let (proxy, tap) = (Proxy::start(Server::shared().address()).unwrap(), Wiretap::default());
        tap.listen(&proxy);
        let (store, other) = (open(&direct(&proxy, &database)), open(&database.url()));
        let session = worker(&store);
        Self { store, other, session, proxy, tap, database }
    }

    fn lose(&self, lost: Lost) -> LostReply {
        let (tap, comes_next) = (self.tap.clone(), AtomicBool::new(false));
        self.proxy.lose_reply_when(move |message| {
            let Some(heard) = tap.note(message) else { return false };
            match lost {
                Lost::Statement(words) => heard.contains(words),
                Lost::CommitAfter(words) => {
                    comes_next.fetch_or(heard.contains(words), Ordering::Relaxed);
                    comes_next.load(Ordering::Relaxed) && message.is_commit()
                }
            }
        })
    }

    /// A batch whose answer gets lost.
    fn send(&self, lost: Lost, lane: usize, batch: Vec<Command>) -> Vec<Outcome> {
        let lost = self.lose(lost);
        let outcomes = send(&self.store, lane, batch);
        assert!(lost.wait(PATIENCE), "no answer was lost");
        self.tap.listen(&self.proxy);
        outcomes
    }

    fn running(&self, lane: usize) -> Lease {
        running(&self.store, self.session, lane)
    }

    fn count(&self, table: &str) -> String {
        self.database.psql(&format!("SELECT count(*) FROM {table}")).unwrap()
    }
}

fn add_one(lease: Lease, seq: u32) -> Command {
    let Command::Append(append) = step(lease, seq) else { panic!() };
    let effect = Some(Effect::AddCounter(Name::stored("n"), Number::Whole(1)));
    Command::Append(Box::new(Append { effect, ..*append }))
}

#[test]
fn a_batch_of_one_whose_answer_is_lost_is_answered_as_it_was_and_is_there_once() {
    let line = Line::new();
    for lane in [0, 1] {
        let task = line.running(lane);
        let outcomes = line.send(RECORD_ALONE, lane, vec![step(task, 1)]);
        assert!(matches!(&outcomes[..], [Ok(Done::Recorded(record))] if record.seq == 1), "{outcomes:?}");
        assert_eq!(places(&line.other, task.task), [1]);
        // One after another, since what is known is forgotten with the connection: the route is looked up by this one.
        let another = line.running(lane);
        assert!(tell(&line.store, another, |lease| step(lease, 1)).is_ok());
        let id = execution_in(lane);
        let outcomes = line.send(START_ALONE, lane, vec![start_one(id)]);
        assert_eq!(outcomes, [Ok(Done::Started { execution: id, created: true, claimed: None })]);
        assert_eq!(block(line.other.tasks(id)).unwrap().len(), 1);
        let task = line.running(lane);
        let outcomes = line.send(FINISH_ALONE, lane, vec![complete(task)]);
        assert_eq!(outcomes, [Ok(Done::Finished { delivered: None })]);
        let execution = block(line.other.execution(task.task.execution)).unwrap().unwrap();
        assert_eq!(execution.state, ExecutionState::Completed);
        // The store goes on with what it has.
        assert_eq!(tell(&line.store, task, complete), Err(Refusal::Terminal(TaskState::Completed)));
    }
}

#[test]
fn a_batch_of_one_kind_whose_answer_is_lost_is_answered_as_it_was_and_is_there_once() {
    let line = Line::new();
    for lane in [0, 1] {
        let (task, other) = (line.running(lane), line.running(lane));
        let outcomes = line.send(RECORDS_ALONE, lane, vec![step(task, 1), step(other, 1)]);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Done::Recorded(_)))), "{outcomes:?}");
        assert_eq!((places(&line.other, task.task), places(&line.other, other.task)), (vec![1], vec![1]));
        let ids = [execution_in(lane), execution_in(lane)];
        // What is known is forgotten with the connection: the route is looked up by this one.
        assert!(tell(&line.store, line.running(lane), |lease| step(lease, 1)).is_ok());
        let outcomes = line.send(STARTS_ALONE, lane, ids.map(start_one).to_vec());
        assert_eq!(outcomes, ids.map(|id| Ok(Done::Started { execution: id, created: true, claimed: None })));
        assert!(ids.iter().all(|id| block(line.other.tasks(*id)).unwrap().len() == 1));
    }
}

#[test]
fn a_start_whose_answer_is_lost_is_in_its_owners_hands_all_the_same() {
    let line = Line::new();
    line.running(1);
    let start = crate::hands::new_start(execution_in(1));
    let start = stent_core::command::Start { claim_for: Some(line.session), ..start };
    let outcomes = line.send(START_ALONE, 1, vec![Command::Start(Box::new(start))]);
    let [Ok(Done::Started { claimed: Some(task), .. })] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert!(tell(&line.store, task.lease, |lease| step(lease, 1)).is_ok());
    assert!(tell(&line.store, task.lease, complete).is_ok());
}

#[test]
fn a_batch_whose_answer_is_lost_is_answered_as_it_was_and_nothing_of_it_is_doubled() {
    let line = Line::new();
    for lane in [0, 1] {
        let (task, other) = (line.running(lane), line.running(lane));
        let batch = vec![
            add_one(task, 1),
            signal(other.task.execution),
            crate::hands::emit("news"),
            step(task, 1),
            crate::hands::start_child(task, "c"),
            step(other, 1),
        ];
        let outcomes = line.send(COMMIT_OF_RECORDS, lane, batch);
        let refused: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().copied()).collect();
        assert_eq!(refused, [None, None, None, Some(Refusal::Exists), None, None]);
        let Ok(Done::Recorded(counted)) = &outcomes[0] else { panic!("{outcomes:?}") };
        assert_eq!(counted.payload, Payload::json(&1).unwrap());
        let again = send(&line.store, lane, vec![add_one(task, 2), step(other, 2)]);
        let Ok(Done::Recorded(counted)) = &again[0] else { panic!("{again:?}") };
        assert_eq!(counted.payload, Payload::json(&2).unwrap());
        assert_eq!((places(&line.other, task.task), places(&line.other, other.task)), (vec![1, 2], vec![1, 2]));
        assert_eq!(block(line.other.tasks(task.task.execution)).unwrap().len(), 2);
    }
    assert_eq!((line.count("signals"), line.count("events")), ("2".to_owned(), "2".to_owned()));
}

#[test]
fn a_claim_whose_answer_is_lost_hands_out_what_it_took() {
    let line = Line::new();
    let ids: Vec<_> = [0, 1, 0, 1].map(execution_in).into();
    for id in &ids {
        assert!(ask(&line.other, *id, start_one(*id)).is_ok());
    }
    let lost = line.lose(COMMIT_OF_A_CLAIM);
    let claimed = claim(&line.store, line.session, 10);
    assert!(lost.wait(PATIENCE));
    line.tap.listen(&line.proxy);
    assert_eq!(
        claimed.iter().map(|task| task.lease.task.execution).collect::<BTreeSet<_>>(),
        ids.into_iter().collect()
    );
    let theirs = worker(&line.other);
    assert_eq!(claim(&line.other, theirs, 10), [], "nobody else gets them");
    for task in claimed {
        assert_eq!(task.lease.epoch, 1);
        assert!(tell(&line.store, task.lease, |lease| step(lease, 1)).is_ok());
        assert!(tell(&line.store, task.lease, complete).is_ok());
    }
}

#[test]
fn a_batch_that_never_reached_the_server_is_carried_out_once() {
    let line = Line::new();
    for (lane, many) in [(0, false), (1, false), (0, true), (1, true)] {
        let (task, other) = (line.running(lane), line.running(lane));
        // Its statements are prepared.
        send(&line.store, lane, vec![step(task, 1), step(other, 1)]);
        assert!(tell(&line.store, task, |lease| step(lease, 2)).is_ok());
        line.proxy.black_hole();
        let outcomes = thread::scope(|scope| {
            let batch = if many { vec![add_one(task, 3), step(other, 2)] } else { vec![step(task, 3)] };
            let sent = scope.spawn(|| send(&line.store, lane, batch));
            // Long enough for it to be on its way; what is not by then ends in the same.
            thread::sleep(Duration::from_millis(100));
            assert!(!sent.is_finished());
            line.proxy.cut();
            line.proxy.heal();
            line.tap.listen(&line.proxy);
            joined(sent)
        });
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(places(&line.other, task.task), [1, 2, 3]);
        assert_eq!(places(&line.other, other.task).len(), 1 + usize::from(many));
    }
}

#[test]
fn nothing_is_answered_before_it_is_known_however_long_that_takes() {
    let line = Line::new();
    for lost in [RECORD_ALONE, RECORDS_ALONE, COMMIT_OF_RECORDS] {
        let (task, other) = (line.running(0), line.running(0));
        let batch = match lost {
            RECORDS_ALONE => vec![step(task, 1), step(other, 1)],
            COMMIT_OF_RECORDS => vec![step(task, 1), complete(other)],
            _ => vec![step(task, 1)],
        };
        let lost = line.lose(lost);
        let outcomes = thread::scope(|scope| {
            let sent = scope.spawn(|| send(&line.store, 0, batch));
            assert!(lost.wait(PATIENCE));
            line.proxy.refuse();
            thread::sleep(Duration::from_millis(700));
            assert!(!sent.is_finished(), "it cannot know");
            line.proxy.heal();
            line.tap.listen(&line.proxy);
            joined(sent)
        });
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(places(&line.other, task.task), [1]);
    }
}

#[test]
fn a_batch_that_finds_no_server_fails_and_nothing_of_it_is_ever_there() {
    let line = Line::new();
    let id = execution_in(1);
    // The second committer has no connection yet.
    line.proxy.refuse();
    let error = try_send(&line.store, 1, vec![start_one(id)]).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    line.proxy.heal();
    let task = line.running(1);
    assert!(tell(&line.store, task, complete).is_ok());
    assert_eq!(block(line.other.execution(id)).unwrap(), None);
}

#[test]
fn whatever_is_answered_while_a_server_is_killed_and_restarted_is_so_afterwards() {
    let server = Server::start().unwrap();
    let database = server.database().unwrap();
    let store = open(&database.url());
    let session = worker(&store);
    let is_over = AtomicBool::new(false);
    let tasks = [running(&store, session, 0), running(&store, session, 1)];
    let written = thread::scope(|scope| {
        let writers: Vec<_> = tasks
            .iter()
            .map(|task| {
                let (store, is_over) = (&store, &is_over);
                scope.spawn(move || {
                    let (mut there, mut absent) = (BTreeSet::new(), BTreeSet::new());
                    for turn in 0.. {
                        let places: Vec<u32> =
                            if turn % 2 == 0 { vec![turn * 2 + 1] } else { vec![turn * 2 + 1, turn * 2 + 2] };
                        let batch = places.iter().map(|seq| step(*task, *seq)).collect();
                        match try_send(store, lane_of(task.task.execution), batch) {
                            Ok(committed) => {
                                assert!(committed.outcomes.iter().all(Result::is_ok), "{:?}", committed.outcomes);
                                there.extend(places);
                            }
                            Err(error) => {
                                assert!(error.is_transient(), "{error}");
                                absent.extend(places);
                                thread::sleep(Duration::from_millis(5));
                            }
                        }
                        if is_over.load(Ordering::Relaxed) {
                            return (there, absent);
                        }
                    }
                    unreachable!()
                })
            })
            .collect();
        for _ in 0..4 {
            thread::sleep(Duration::from_millis(300));
            server.kill().unwrap();
            server.restart().unwrap();
        }
        thread::sleep(Duration::from_millis(300));
        is_over.store(true, Ordering::Relaxed);
        writers.into_iter().map(joined).collect::<Vec<_>>()
    });
    for (task, (there, absent)) in tasks.iter().zip(written) {
        let found: BTreeSet<_> = places(&store, task.task).into_iter().collect();
        assert_eq!(found, there, "what was acknowledged is there, and nothing else");
        assert!(found.is_disjoint(&absent));
        assert_eq!(view(&store, task.task).state, TaskState::Running);
    }
}

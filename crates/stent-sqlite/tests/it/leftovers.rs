//! What nobody needs any more is deleted, and what may still be needed is not.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use stent_core::command::{Await, Emit, Ending, Finish, Operation, ReplayLetter, Wait};
use stent_core::view::FunctionView;
use stent_core::{CallKey, Command, Done, EventId, Failure, FailureKind, Lease, Name, Payload, Store, TaskRef};

use crate::stores::{block, claim, commit, complete, execution, open, place, start_one, worker};

fn count(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_closed_session_leaves_no_functions_and_is_forgotten_after_a_day() {
    let (_directory, path) = place();
    let store = open(&path);
    let (closed, lately, alive) = (worker(&store), worker(&store), worker(&store));
    let functions = vec![FunctionView::new(Name::stored("f"))];
    for session in [closed, lately, alive] {
        commit(&store, vec![Command::Publish(session, functions.clone())]);
    }
    commit(&store, vec![Command::CloseSession(closed), Command::CloseSession(lately)]);
    assert_eq!(count(&path, "SELECT count(*) FROM functions"), 1);

    // Beats of two days ago, and one of another boot; the living is spared whatever its beat says.
    let theirs = Connection::open(&path).unwrap();
    let forget = || commit(&store, vec![Command::Operate(Operation::ForgetProcesses)]).remove(0).unwrap();
    let day = "UPDATE sessions SET beat_ms = beat_ms - 2 * 86400000 WHERE session_id IN (?1, ?2)";
    theirs.execute(day, [closed.as_bytes(), alive.as_bytes()]).unwrap();
    assert_eq!(forget(), Done::Swept { count: 1, more: false });
    assert_eq!(count(&path, "SELECT count(*) FROM sessions"), 2);
    theirs.execute("UPDATE sessions SET boot_id = 'another'", []).unwrap();
    assert_eq!(forget(), Done::Swept { count: 1, more: false });
    assert_eq!(count(&path, "SELECT count(*) FROM sessions"), 1);
    assert_eq!(block(store.sessions()).unwrap()[0].session, alive);
    block(store.close()).unwrap();
}

fn next_event(lease: Lease, seq: u32) -> Command {
    let wait = Wait::Event(Name::stored("q"), Name::stored("news"));
    let key = CallKey::new("", "event:news", seq);
    Command::Await(Box::new(Await { lease, seq, run: lease.epoch as u32, key, seen: seq - 1, wait, due: None }))
}

#[test]
fn a_completed_task_leaves_no_cursors_and_a_replayed_one_has_no_event_twice() {
    let (_directory, path) = place();
    let store = open(&path);
    let me = worker(&store);
    for number in 1..=2u8 {
        let (queue, name) = (Name::stored("q"), Name::stored("news"));
        let payload = Payload::json(&number).unwrap();
        commit(&store, vec![Command::Emit(Emit { id: EventId::v7(1, [number; 10]), queue, name, payload })]);
    }
    let had = |lease, seq| match commit(&store, vec![next_event(lease, seq)]).remove(0) {
        Ok(Done::Delivered(record)) => record.payload.read::<u8>().unwrap(),
        other => panic!("{other:?}"),
    };
    let cursors = || count(&path, "SELECT count(*) FROM event_cursors");

    commit(&store, vec![start_one(execution()), start_one(execution())]);
    let tasks = claim(&store, me, 2);
    let (done, failed) = (tasks[0].lease, tasks[1].lease);
    assert_eq!((had(done, 1), had(failed, 1)), (1, 1));
    assert_eq!(cursors(), 2);
    commit(&store, vec![complete(done)]);
    assert_eq!(cursors(), 1);

    let ending = Ending::Failed(Failure::new(FailureKind::Error, "no more"));
    let fail = |lease| Finish { lease, ending: ending.clone(), deliver: None, start: None, returned: Vec::new() };
    commit(&store, vec![Command::Finish(Box::new(fail(failed)))]);
    let task: TaskRef = failed.task;
    let replay = ReplayLetter { task, reset_attempts: true, queue: None };
    assert!(commit(&store, vec![Command::ReplayLetter(replay)])[0].is_ok());
    let again = claim(&store, me, 1)[0].lease;
    assert_eq!(had(again, 2), 2, "it had the first");

    commit(&store, vec![Command::Finish(Box::new(fail(again)))]);
    assert_eq!(cursors(), 1);
    commit(&store, vec![Command::DiscardLetter(task)]);
    assert_eq!(cursors(), 0);
    assert_eq!(block(store.gone_sessions(Duration::from_secs(10))).unwrap(), []);
    block(store.close()).unwrap();
}

//! Keys on a file: the SQL that seed 001 shows reads and clears the cache, and tasks without a memo touch no table of
//! keys.

use std::path::Path;

use rusqlite::Connection;
use stent_core::command::{Ending, Finish, ReplayLetter, StartChild};
use stent_core::{CallKey, Command, Failure, FailureKind, Lease, Memo, MemoKey, Outcome, Store, TaskId, TaskRef};

use crate::stores::{block, claim, commit, complete, execution, open, place, spec, start, start_one, step, worker};

/// What a user reads the cache with, as the seed prints it.
const SEED: &str = include_str!("../../../../testing/seeds/001_7e9cfb460b914b69.txt");
const READ: &str = "SELECT key, created_at FROM cache";
const CLEAR: &str = "DELETE FROM cache";

fn ending(lease: Lease, ending: Ending) -> Command {
    Command::Finish(Box::new(Finish { lease, ending, deliver: None, start: None, returned: Vec::new() }))
}

fn no() -> Failure {
    Failure::new(FailureKind::Error, "no")
}

fn child(parent: Lease) -> Command {
    let key = CallKey::new("", "c", 1);
    Command::StartChild(Box::new(StartChild {
        parent,
        child: TaskId::derive(parent.task.task, &key, 0),
        key,
        seen: 0,
        digest: [7; 16],
        spec: spec("default", "f"),
        due: None,
        in_place: false,
    }))
}

fn drop_tables_of_keys(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("DROP TABLE cache; DROP TABLE idempotency; DROP TABLE idempotency_line").unwrap();
}

#[test]
fn tasks_without_a_memo_live_and_end_in_every_way_without_a_statement_about_keys() {
    let (_directory, path) = place();
    let store = open(&path);
    let session = worker(&store);
    drop_tables_of_keys(&path);
    let all_right = |outcomes: Vec<Outcome>| assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let one = || {
        all_right(commit(&store, vec![start_one(execution())]));
        claim(&store, session, 1)[0].lease
    };
    let parent = one();
    all_right(commit(&store, vec![step(parent, 1), child(parent)]));
    let lease = claim(&store, session, 1)[0].lease;
    all_right(commit(&store, vec![ending(lease, Ending::Retry(no(), std::time::Duration::ZERO))]));
    let lease = claim(&store, session, 1)[0].lease;
    all_right(commit(&store, vec![complete(lease), complete(parent)]));
    let failed = one();
    all_right(commit(&store, vec![child(failed), ending(failed, Ending::Failed(no()))]));
    let replay = ReplayLetter { task: failed.task, reset_attempts: true, queue: None };
    all_right(commit(
        &store,
        vec![Command::ReplayLetter(replay), Command::Cancel(TaskRef::root(failed.task.execution))],
    ));
    all_right(commit(&store, vec![Command::Expire, Command::CloseSession(session)]));
}

#[test]
fn the_sql_of_seed_001_reads_and_clears_the_cache() {
    assert!(SEED.contains(READ) && SEED.contains(CLEAR), "the seed shows other SQL");
    let (_directory, path) = place();
    let store = open(&path);
    let session = worker(&store);
    let memo = Memo::cached(MemoKey::new("m:f|v1|[1]").unwrap(), None);
    let mut start = start(execution());
    start.spec.options.memo = Some(Box::new(memo.clone()));
    commit(&store, vec![Command::Start(Box::new(start))]);
    let lease = claim(&store, session, 1)[0].lease;
    commit(&store, vec![complete(lease)]);
    let users = Connection::open(&path).unwrap();
    let row = users.query_row(READ, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).unwrap();
    let cached = block(store.memo(memo.key.clone())).unwrap().unwrap().cached.unwrap();
    assert_eq!(row, (memo.key.as_str().to_owned(), cached.created_at.as_micros()));
    assert_eq!(users.execute(CLEAR, []).unwrap(), 1);
    assert_eq!(block(store.memo(memo.key)).unwrap(), None);
}

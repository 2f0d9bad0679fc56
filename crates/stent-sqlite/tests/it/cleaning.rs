//! Cleaning up never holds up those who work: each command deletes a bounded number of rows, and whoever commits beside
//! it gets its turn.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use stent_core::command::{CleanExecutions, Operation};
use stent_core::limits::{CLEAN_EXECUTIONS, CLEAN_ROWS};
use stent_core::{Command, Done, ExecutionId, Store, Timestamp};
use stent_sqlite::SqliteStore;

use crate::stores::{block, claim, commit, complete, execution, open, place, start_one, step, worker};

/// Executions that have ended, with so many steps each.
fn fill(store: &SqliteStore, executions: usize, steps: u32) {
    let session = worker(store);
    for _ in 0..executions.div_ceil(500) {
        commit(store, (0..500).map(|_| start_one(execution())).collect());
        let leases: Vec<_> = claim(store, session, 500).into_iter().map(|task| task.lease).collect();
        for seq in 1..=steps {
            commit(store, leases.iter().map(|lease| step(*lease, seq)).collect());
        }
        commit(store, leases.into_iter().map(complete).collect());
    }
}

fn rows(path: &PathBuf) -> u64 {
    let count = "SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM tasks)";
    let rows: i64 = Connection::open(path).unwrap().query_row(count, [], |row| row.get(0)).unwrap();
    rows.unsigned_abs()
}

fn clean(store: &SqliteStore, from: Option<ExecutionId>) -> (u32, Option<ExecutionId>) {
    let before = Timestamp::from_micros(4_000_000_000_000_000);
    let operation = Operation::CleanExecutions(CleanExecutions { before, from });
    match commit(store, vec![Command::Operate(operation)]).remove(0) {
        Ok(Done::Cleaned { count, next }) => (count, next),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cleaning_command_deletes_a_bounded_number_of_rows() {
    let (_directory, path) = place();
    let store = open(&path);
    fill(&store, 1_000, 20);
    let (mut left, mut gone, mut from) = (rows(&path), 0, None);
    loop {
        let (count, next) = clean(&store, from);
        let now = rows(&path);
        assert!(left - now <= u64::from(CLEAN_ROWS + CLEAN_EXECUTIONS), "{} rows at once", left - now);
        (left, gone, from) = (now, gone + count, next);
        if from.is_none() {
            break;
        }
    }
    assert_eq!((gone, left), (1_000, 0));
    block(store.close()).unwrap();
}

/// The longest that one of many commits takes beside a cleaning.
fn longest_commit_beside_a_cleaning() -> Duration {
    let (_directory, path) = place();
    let store = open(&path);
    fill(&store, 3_000, 20);
    let is_done = AtomicBool::new(false);
    let longest = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut from = None;
            loop {
                let began = Instant::now();
                let (_, next) = clean(&store, from);
                from = next;
                if from.is_none() {
                    break;
                }
                // As the engine does: it rests as long as it worked.
                std::thread::park_timeout(began.elapsed());
            }
            is_done.store(true, Ordering::Release);
        });
        let (mut longest, mut commits) = (Duration::ZERO, 0);
        while !is_done.load(Ordering::Acquire) {
            let began = Instant::now();
            commit(&store, vec![start_one(execution())]);
            (longest, commits) = (longest.max(began.elapsed()), commits + 1);
        }
        assert!(commits > 20, "{commits} commits beside the cleaning");
        longest
    });
    block(store.close()).unwrap();
    longest
}

#[test]
fn cleaning_many_rows_does_not_hold_up_a_workers_commits() {
    let mut rounds = Vec::new();
    // A machine that is busy with other tests may hold one commit up: what cleaning holds up it does in each round.
    while rounds.len() < 3 && rounds.iter().all(|longest| *longest >= Duration::from_millis(500)) {
        rounds.push(longest_commit_beside_a_cleaning());
    }
    assert!(rounds.last() < Some(&Duration::from_millis(500)), "a commit took so long: {rounds:?}");
}

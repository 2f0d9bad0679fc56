//! Cleaning up never holds up those who work: each command deletes a bounded number of rows and passes over what is
//! locked. And processes that are gone leave nothing behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stent_core::command::{CleanExecutions, Operation};
use stent_core::limits::{CLEAN_EXECUTIONS, CLEAN_ROWS};
use stent_core::view::FunctionView;
use stent_core::{Command, Done, ExecutionId, Name, Store, Timestamp};
use stent_postgres::PostgresStore;
use stent_servers::{Database, Server};

use crate::stores::{block, claim, commit, complete, execution, open, serve, start_one, step, worker};

/// Executions that have ended, with so many steps each.
fn fill(store: &PostgresStore, executions: usize, steps: u32) {
    let (session, serve) = (worker(store), serve(&["f"]));
    for _ in 0..executions.div_ceil(500) {
        commit(store, (0..500).map(|_| start_one(execution())).collect());
        let leases: Vec<_> = claim(store, session, &serve, 500).into_iter().map(|task| task.lease).collect();
        for seq in 1..=steps {
            commit(store, leases.iter().map(|lease| step(*lease, seq)).collect());
        }
        commit(store, leases.into_iter().map(complete).collect());
    }
}

fn number(database: &Database, sql: &str) -> u64 {
    database.psql(sql).unwrap().trim().parse().unwrap()
}

fn rows(database: &Database) -> u64 {
    number(database, "SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM tasks)")
}

fn clean(store: &PostgresStore, from: Option<ExecutionId>) -> (u32, Option<ExecutionId>) {
    let before = Timestamp::from_micros(4_000_000_000_000_000);
    let operation = Operation::CleanExecutions(CleanExecutions { before, from });
    match commit(store, vec![Command::Operate(operation)]).remove(0) {
        Ok(Done::Cleaned { count, next }) => (count, next),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cleaning_command_deletes_a_bounded_number_of_rows() {
    let database = Server::shared().database().unwrap();
    let store = open(&database.url());
    fill(&store, 1_000, 20);
    let (mut left, mut gone, mut from) = (rows(&database), 0, None);
    loop {
        let (count, next) = clean(&store, from);
        let now = rows(&database);
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
    let database = Server::shared().database().unwrap();
    let (store, other) = (open(&database.url()), open(&database.url()));
    fill(&store, 2_000, 20);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut from = None;
            loop {
                let began = Instant::now();
                let (_, next) = clean(&other, from);
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
    })
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

#[test]
fn an_execution_that_somebody_is_about_is_passed_over() {
    let database = Server::shared().database().unwrap();
    let store = open(&database.url());
    fill(&store, 500, 1);
    let held = "SELECT execution_id FROM executions ORDER BY execution_id LIMIT 1";
    let id = database.psql(held).unwrap().trim().to_owned();
    // A transaction of somebody's that holds the execution's row for a while, in another process.
    let mut holder = database.command("psql");
    let script =
        format!("BEGIN; SELECT 1 FROM executions WHERE execution_id = '{id}' FOR NO KEY UPDATE; SELECT pg_sleep(600);");
    let mut holder = holder.args(["-q", "-c", &script]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let is_held = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND wait_event = 'PgSleep'";
    while number(&database, is_held) == 0 {
        std::thread::yield_now();
    }
    let (mut gone, mut from) = (0, None);
    loop {
        let (count, next) = clean(&store, from);
        (gone, from) = (gone + count, next);
        if from.is_none() {
            break;
        }
    }
    assert_eq!(gone, 499);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    database.psql(end).unwrap();
    holder.wait().unwrap();
    while number(&database, is_held) > 0 {
        std::thread::yield_now();
    }
    assert_eq!(clean(&store, None), (1, None));
    block(store.close()).unwrap();
}

fn forget(store: &PostgresStore) -> Done {
    commit(store, vec![Command::Operate(Operation::ForgetProcesses)]).remove(0).unwrap()
}

const A_DAY_AGO: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::int8 - 90000000000";

#[test]
fn closed_sessions_leave_no_functions_and_are_forgotten_after_a_day() {
    let database = Server::shared().database().unwrap();
    let store = open(&database.url());
    let (closed, lately, alive) = (worker(&store), worker(&store), worker(&store));
    let functions = vec![FunctionView::new(Name::stored("f"))];
    for session in [closed, lately, alive] {
        commit(&store, vec![Command::Publish(session, functions.clone())]);
    }
    commit(&store, vec![Command::CloseSession(closed), Command::CloseSession(lately)]);
    assert_eq!(number(&database, "SELECT count(*) FROM functions"), 1);
    // The living is spared whatever its beat says.
    let old = format!("UPDATE sessions SET beat_at = {A_DAY_AGO} WHERE session_id IN ('{closed}', '{alive}')");
    database.psql(&old).unwrap();
    assert_eq!(forget(&store), Done::Swept { count: 1, more: false });
    assert_eq!(forget(&store), Done::Swept { count: 0, more: false });
    assert_eq!(number(&database, "SELECT count(*) FROM sessions"), 2);
    assert_eq!(block(store.sessions()).unwrap()[0].session, alive);
    block(store.close()).unwrap();
}

#[test]
fn committers_of_processes_that_are_gone_are_forgotten_and_one_that_was_idle_enters_anew() {
    let database = Server::shared().database().unwrap();
    let (here, idle, working) = (open(&database.url()), open(&database.url()), open(&database.url()));
    commit(&here, vec![start_one(execution())]);
    commit(&idle, vec![start_one(execution())]);
    let session = worker(&working);
    let committers = || number(&database, "SELECT count(*) FROM committers");
    // Two of the process with a session, which are there from its opening on.
    assert_eq!(committers(), 4);
    assert_eq!(forget(&here), Done::Swept { count: 0, more: false });
    assert_eq!(committers(), 4);
    database.psql(&format!("UPDATE committers SET seen_at = {A_DAY_AGO}")).unwrap();
    forget(&here);
    assert_eq!(committers(), 3);
    let id = execution();
    assert!(commit(&idle, vec![start_one(id)])[0].is_ok());
    assert!(block(here.execution(id)).unwrap().is_some());
    assert_eq!(committers(), 4);
    // One whose session others empty still is bumped before anything is taken from it.
    assert!(commit(&working, vec![Command::Beat(session)])[0].is_ok());
    for store in [here, idle, working] {
        block(store.close()).unwrap();
    }
}

#[test]
fn a_store_that_closes_leaves_no_committer_behind_not_even_one_that_was_never_at_work() {
    let database = Server::shared().database().unwrap();
    let store = open(&database.url());
    let session = worker(&store);
    let committers = || number(&database, "SELECT count(*) FROM committers");
    // The opening of the session made two rows, and one committer carried it out.
    assert_eq!(committers(), 2);
    commit(&store, vec![Command::CloseSession(session)]);
    block(store.close()).unwrap();
    assert_eq!(committers(), 0);
}

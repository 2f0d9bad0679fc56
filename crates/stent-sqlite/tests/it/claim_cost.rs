//! A claim must not cost what it skips: a million delayed, foreign, wrong-tag, paused or saturated tasks before one that
//! is ready.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use stent_core::command::Start;
use stent_core::view::FunctionView;
use stent_core::{Command, MaxConcurrent, Name, Serve, SessionId};
use stent_sqlite::SqliteStore;

use crate::stores::{claim, claim_serving, commit, complete, execution, open, place, spec, start, start_one, worker};

const ROWS: i64 = 250_000;

/// One measures while the other fills no tables.
static TURN: Mutex<()> = Mutex::new(());

/// Rows that a claim must pass by, put before all others in age and rank, straight into the file.
fn bulk(path: &std::path::Path, queue: &str, function: &str, tags: &str, ready: bool) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute("INSERT OR IGNORE INTO routes (queue, function, tags) VALUES (?1, ?2, ?3)", [queue, function, tags])
        .unwrap();
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        INSERT INTO tasks (execution_id, task_id, route_id, state, ready, rank, priority, epoch, due, created_at, args)
        SELECT unhex(printf('%04x%028x', r.route_id * 2 + ?5, i)), unhex(printf('%04x%028x', r.route_id * 2 + ?5, i)),
               r.route_id, 0, ?5, -9, 9, 0, iif(?5, NULL, 4000000000000000 + i), 0, x'00'
        FROM n, routes r WHERE r.queue = ?2 AND r.function = ?3 AND r.tags = ?4";
    connection.execute(sql, rusqlite::params![ROWS, queue, function, tags, ready]).unwrap();
}

/// The middle of many claims of one fresh task each.
fn cost(store: &SqliteStore, session: SessionId) -> Duration {
    let mut spans: Vec<_> = (0..151)
        .map(|_| {
            let id = execution();
            commit(store, vec![start_one(id)]);
            let began = Instant::now();
            let tasks = claim(store, session, 1);
            let span = began.elapsed();
            assert_eq!(tasks.iter().map(|task| task.lease.task.execution).collect::<Vec<_>>(), [id]);
            commit(store, vec![complete(tasks[0].lease)]);
            span
        })
        .collect();
    spans.sort_unstable();
    spans[75]
}

#[test]
fn a_million_tasks_that_are_not_for_the_worker_change_nothing() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (_directory, path) = place();
    let store = open(&path);
    let session = worker(&store);
    let empty = cost(&store, session);
    commit(&store, vec![Command::SetQueue(Name::stored("paused"), Some(true))]);
    bulk(&path, "default", "f", "[]", false);
    bulk(&path, "default", "foreign", "[]", true);
    bulk(&path, "paused", "f", "[]", true);
    bulk(&path, "default", "f", "[\"gpu\"]", true);
    let serve =
        stent_core::Serve { queues: None, functions: vec![Name::stored("f")], tags: Some(vec![Name::stored("cpu")]) };
    let full = {
        let serve = std::sync::Arc::new(serve);
        let mut spans: Vec<_> = (0..151)
            .map(|_| {
                let id = execution();
                commit(&store, vec![start_one(id)]);
                let began = Instant::now();
                let tasks = crate::stores::claim_serving(&store, session, &serve, 1);
                let span = began.elapsed();
                assert_eq!(tasks.len(), 1);
                assert_eq!(tasks[0].lease.task.execution, id);
                commit(&store, vec![complete(tasks[0].lease)]);
                span
            })
            .collect();
        spans.sort_unstable();
        spans[75]
    };
    assert!(full <= empty * 2, "{full:?} among a million others, {empty:?} among none");
}

#[test]
fn many_tasks_of_a_function_that_is_at_its_limit_change_nothing() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let serve = Arc::new(Serve { queues: None, functions: vec![Name::stored("f"), Name::stored("full")], tags: None });
    let [full, empty] = [(); 2].map(|()| {
        let (directory, path) = place();
        let store = open(&path);
        let session = worker(&store);
        let limit =
            FunctionView { max_concurrent: MaxConcurrent::new(5).ok(), ..FunctionView::new(Name::stored("full")) };
        commit(&store, vec![Command::Publish(session, vec![limit])]);
        for _ in 0..5 {
            let start = Start { spec: spec("default", "full"), ..start(execution()) };
            commit(&store, vec![Command::Start(Box::new(start))]);
        }
        assert_eq!(claim_serving(&store, session, &serve, 9).len(), 5);
        (store, session, path, directory)
    });
    bulk(&full.2, "default", "full", "[]", true);
    let claim_one = |(store, session, ..): &(SqliteStore, SessionId, _, _)| {
        let id = execution();
        commit(store, vec![start_one(id)]);
        let began = Instant::now();
        let tasks = claim_serving(store, *session, &serve, 1);
        let span = began.elapsed();
        assert_eq!(tasks.iter().map(|task| task.lease.task.execution).collect::<Vec<_>>(), [id]);
        commit(store, vec![complete(tasks[0].lease)]);
        span
    };
    let mut spans: Vec<_> = (0..151).map(|_| (claim_one(&full), claim_one(&empty))).collect();
    let mut middle = |of: fn(&(Duration, Duration)) -> Duration| {
        spans.sort_unstable_by_key(of);
        of(&spans[75])
    };
    let (with, without) = (middle(|span| span.0), middle(|span| span.1));
    assert!(with <= without * 2, "{with:?} behind many that are saturated, {without:?} behind none");
}

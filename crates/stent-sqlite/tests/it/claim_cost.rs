//! A claim must not cost what it skips: a million delayed, foreign, wrong-tag, paused or saturated tasks before one that
//! is ready.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use stent_core::command::Start;
use stent_core::view::FunctionView;
use stent_core::{Command, MaxConcurrent, Name, Serve, SessionId};
use stent_sqlite::SqliteStore;

use crate::stores::{claim_serving, commit, complete, execution, open, place, spec, start, start_one, worker};

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

/// A round in which the machine was busy with something else says nothing; what is slow is so in each.
const ROUNDS: usize = 3;

/// A worker and its file.
struct Place {
    store: SqliteStore,
    session: SessionId,
    serve: Arc<Serve>,
    path: std::path::PathBuf,
    _directory: tempfile::TempDir,
}

impl Place {
    fn new(serve: &Arc<Serve>) -> Self {
        let (directory, path) = place();
        let store = open(&path);
        let session = worker(&store);
        Self { store, session, serve: Arc::clone(serve), path, _directory: directory }
    }

    /// Starts a task, claims it, and nothing else, and ends it; how long the claim took.
    fn claim_one(&self) -> Duration {
        let id = execution();
        commit(&self.store, vec![start_one(id)]);
        let began = Instant::now();
        let tasks = claim_serving(&self.store, self.session, &self.serve, 1);
        let span = began.elapsed();
        assert_eq!(tasks.iter().map(|task| task.lease.task.execution).collect::<Vec<_>>(), [id]);
        commit(&self.store, vec![complete(tasks[0].lease)]);
        span
    }
}

/// Holds a claim in one place to twice that in another, taken in turns.
fn costs_no_more(full: &Place, empty: &Place) {
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let mut spans: Vec<_> = (0..151).map(|_| (full.claim_one(), empty.claim_one())).collect();
        let mut middle = |of: fn(&(Duration, Duration)) -> Duration| {
            spans.sort_unstable_by_key(of);
            of(&spans[75])
        };
        let (with, without) = (middle(|span| span.0), middle(|span| span.1));
        if with <= without * 2 {
            return;
        }
        seen.push((with, without));
    }
    panic!("more than twice as much as in an empty file, in each round: {seen:?}");
}

#[test]
fn a_million_tasks_that_are_not_for_the_worker_change_nothing() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let tags = Some(vec![Name::stored("cpu")]);
    let serve = Arc::new(Serve { queues: None, functions: vec![Name::stored("f")], tags });
    let (full, empty) = (Place::new(&serve), Place::new(&serve));
    commit(&full.store, vec![Command::SetQueue(Name::stored("paused"), Some(true))]);
    bulk(&full.path, "default", "f", "[]", false);
    bulk(&full.path, "default", "foreign", "[]", true);
    bulk(&full.path, "paused", "f", "[]", true);
    bulk(&full.path, "default", "f", "[\"gpu\"]", true);
    costs_no_more(&full, &empty);
}

#[test]
fn many_tasks_of_a_function_that_is_at_its_limit_change_nothing() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let serve = Arc::new(Serve { queues: None, functions: vec![Name::stored("f"), Name::stored("full")], tags: None });
    let [full, empty] = [(); 2].map(|()| {
        let place = Place::new(&serve);
        let limit =
            FunctionView { max_concurrent: MaxConcurrent::new(5).ok(), ..FunctionView::new(Name::stored("full")) };
        commit(&place.store, vec![Command::Publish(place.session, vec![limit])]);
        for _ in 0..5 {
            let start = Start { spec: spec("default", "full"), ..start(execution()) };
            commit(&place.store, vec![Command::Start(Box::new(start))]);
        }
        assert_eq!(claim_serving(&place.store, place.session, &serve, 9).len(), 5);
        place
    });
    bulk(&full.path, "default", "full", "[]", true);
    costs_no_more(&full, &empty);
}

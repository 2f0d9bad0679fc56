//! A claim must not cost what it skips, nor what is long done: delayed, foreign, wrong-tag, paused and saturated tasks
//! before one that is ready, a long queue, a long past. Measured beside an empty database on the same server, claim by claim in
//! turn, so that whatever else the machine does meets both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stent_core::command::Start;
use stent_core::view::FunctionView;
use stent_core::{Command, MaxConcurrent, Name, Serve, SessionId};
use stent_postgres::PostgresStore;
use stent_servers::{Database, Server};

use crate::bulk::{When, finished, pending, rows};
use crate::hands::new_start;
use crate::stores::{claim, commit, complete, execution, open, spec, start_one, worker};

/// Claims of each kind in a round: the fourth longest is the 99th percentile.
const CLAIMS: usize = 400;

/// A round in which the machine was busy with something else says nothing; what is slow is so in each.
const ROUNDS: usize = 3;

/// A worker and its database.
struct Place {
    store: PostgresStore,
    session: SessionId,
    serve: Arc<Serve>,
    database: Database,
}

impl Place {
    fn new() -> Self {
        let database = Server::shared().database().unwrap();
        let store = open(&database.url());
        let session = worker(&store);
        let (functions, tags) = (vec![Name::stored("f")], Some(vec![Name::stored("cpu")]));
        let serve = Arc::new(Serve { queues: None, functions, tags });
        let place = Self { store, session, serve, database };
        // Statements are planned at their first use, which is before there is anything.
        place.claim_one();
        place
    }

    /// Starts a task, claims one and ends it; how long the claim took.
    fn claim_one(&self) -> Duration {
        commit(&self.store, vec![start_one(execution())]);
        let began = Instant::now();
        let tasks = claim(&self.store, self.session, &self.serve, 1);
        let span = began.elapsed();
        assert_eq!(tasks.len(), 1);
        commit(&self.store, vec![complete(tasks[0].lease)]);
        span
    }
}

#[test]
fn tasks_of_a_function_that_is_at_its_limit_make_no_claim_dearer() {
    let serve = Arc::new(Serve { queues: None, functions: vec![Name::stored("f"), Name::stored("full")], tags: None });
    let places = [(); 2].map(|()| Place { serve: Arc::clone(&serve), ..Place::new() });
    for place in &places {
        let limit =
            FunctionView { max_concurrent: MaxConcurrent::new(5).ok(), ..FunctionView::new(Name::stored("full")) };
        commit(&place.store, vec![Command::Publish(place.session, vec![limit])]);
        let starts = (0..5).map(|_| {
            let start = Start { spec: spec("default", "full"), ..new_start(execution()) };
            Command::Start(Box::new(start))
        });
        commit(&place.store, starts.collect());
        assert_eq!(claim(&place.store, place.session, &serve, 9).len(), 5);
    }
    let [full, empty] = &places;
    pending(&full.database, rows(), "default", "full", "[]", When::Ready);
    costs_no_more(full, empty);
}

/// The middle and the 99th percentile.
fn summary(mut spans: Vec<Duration>) -> (Duration, Duration) {
    spans.sort_unstable();
    (spans[spans.len() / 2], spans[spans.len() * 99 / 100])
}

/// Holds a claim in one place to twice that in another.
fn costs_no_more(full: &Place, empty: &Place) {
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..CLAIMS {
            with.push(full.claim_one());
            without.push(empty.claim_one());
        }
        let (with, without) = (summary(with), summary(without));
        println!("p50 and p99 of a claim: {with:?} in large tables, {without:?} in empty ones");
        if with.0 <= without.0 * 2 && with.1 <= without.1 * 2 {
            return;
        }
        seen.push((with, without));
    }
    panic!("more than twice as much as in an empty database, in each round: {seen:?}");
}

#[test]
fn tasks_that_are_not_for_the_worker_make_no_claim_dearer() {
    let (full, empty) = (Place::new(), Place::new());
    commit(&full.store, vec![Command::SetQueue(Name::stored("paused"), Some(true))]);
    let each = rows() / 4;
    pending(&full.database, each, "default", "f", "[]", When::Later);
    pending(&full.database, each, "default", "foreign", "[]", When::Ready);
    pending(&full.database, each, "paused", "f", "[]", When::Ready);
    pending(&full.database, each, "default", "f", "[\"gpu\"]", When::Ready);
    costs_no_more(&full, &empty);
}

#[test]
fn a_long_queue_and_a_long_past_make_no_claim_dearer() {
    let (full, empty) = (Place::new(), Place::new());
    pending(&full.database, rows(), "default", "f", "[]", When::Ready);
    finished(&full.database, rows() * 5);
    costs_no_more(&full, &empty);
}

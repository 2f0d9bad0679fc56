//! Waits over real databases: they end sooner with the bus than by polling, as the store says without it, and those
//! that expire say so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stent_core::command::Deadline;
use stent_core::{ExecutionState, Store, TaskRef};
use stent_engine::{Engine, EngineError, StartRequest, TokioRuntime};
use stent_postgres::PostgresStore;
use stent_servers::{PgBouncer, PoolMode, Redis, Server};
use stent_sqlite::SqliteStore;

use crate::{PATIENCE, spec};

/// Waits that are measured together.
const WAITS: usize = 15;

/// A machine that is busy with other tests may be late in all of one round: what is late by itself is so in each.
const ROUNDS: usize = 3;

fn sqlite(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(folder.path().join("stent.db"), stent_sqlite::Options::default()).unwrap())
}

async fn postgres(url: String) -> Arc<dyn Store> {
    let opening = move || PostgresStore::from_url(&url, stent_postgres::Options::default()).unwrap();
    Arc::new(tokio::task::spawn_blocking(opening).await.unwrap())
}

/// An engine over the store, with a bus beside it if there is an address.
fn engine(store: Arc<dyn Store>, redis: Option<&str>) -> Engine {
    let store = match redis {
        Some(address) => stent_redis::accompany(store, address).unwrap(),
        None => store,
    };
    Engine::new(store, Arc::new(TokioRuntime::current().unwrap()))
}

fn request() -> StartRequest {
    StartRequest { id: None, spec: spec(), key: None, due: None, deadline: Deadline::default() }
}

/// The median time from an end that one process has committed to the return of another's wait for it.
async fn median(one: &Engine, other: &Engine) -> Duration {
    let mut times = Vec::new();
    for round in 0..=WAITS {
        let id = one.start(request()).await.unwrap().execution;
        let waiting = {
            let other = other.clone();
            tokio::spawn(async move { other.wait(id, Some(PATIENCE)).await.map(|view| (view.state, Instant::now())) })
        };
        // The wait stands, at changing distances to the polls.
        tokio::time::sleep(Duration::from_millis(300 + 37 * round as u64)).await;
        one.cancel(TaskRef::root(id).task).await.unwrap();
        let committed = Instant::now();
        let (state, told) = waiting.await.unwrap().unwrap();
        assert_eq!(state, ExecutionState::Cancelled);
        // The first one makes connections.
        if round > 0 {
            times.push(told.saturating_duration_since(committed));
        }
    }
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_a_wait_is_told_sooner_than_by_polling() {
    let server = Server::shared();
    let (database, pool) = (server.database().unwrap(), PgBouncer::start(server, PoolMode::Transaction).unwrap());
    let redis = Redis::start().unwrap();
    let url = pool.url(&database);
    let bus = Some(redis.url());
    let mut rounds = Vec::new();
    while rounds.len() < ROUNDS {
        let (one, other) = (postgres(url.clone()).await, postgres(url.clone()).await);
        let polled = median(&engine(one, None), &engine(other, None)).await;
        let (one, other) = (postgres(url.clone()).await, postgres(url.clone()).await);
        let told = median(&engine(one, bus.as_deref()), &engine(other, bus.as_deref())).await;
        println!("PostgreSQL behind PgBouncer: {told:?} with Redis, {polled:?} by polling (medians of {WAITS})");
        if told * 2 < polled {
            return;
        }
        rounds.push((told, polled));
    }
    panic!("with Redis, and by polling: {rounds:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_a_wait_is_told_before_the_next_look_at_the_file() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Redis::start().unwrap());
    let bell = median(&engine(sqlite(&folder), None), &engine(sqlite(&folder), None)).await;
    let bus = Some(redis.url());
    let mut rounds = Vec::new();
    while rounds.len() < ROUNDS {
        let told = median(&engine(sqlite(&folder), bus.as_deref()), &engine(sqlite(&folder), bus.as_deref())).await;
        println!("SQLite: {told:?} with Redis, {bell:?} by its own bell (medians of {WAITS})");
        // The file is looked at every 20 ms.
        if told < Duration::from_millis(20) {
            return;
        }
        rounds.push(told);
    }
    panic!("{rounds:?} with Redis, {bell:?} without");
}

/// A wait that expires, and one that ends although nobody is told by Redis.
async fn waits_are_honest(one: Engine, other: Engine) {
    let id = one.start(request()).await.unwrap().execution;
    let expired = other.wait(id, Some(Duration::from_millis(300))).await;
    assert!(matches!(expired, Err(EngineError::TimedOut)), "{expired:?}");
    let expired = other.wait_for_result(id, Some(Duration::from_millis(300))).await;
    assert!(matches!(expired, Err(EngineError::TimedOut)), "{expired:?}");
    one.cancel(TaskRef::root(id).task).await.unwrap();
    let seen = other.wait(id, Some(PATIENCE)).await.unwrap();
    assert_eq!(seen.state, ExecutionState::Cancelled);
    one.close().await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_wait_is_a_timeout_and_never_a_stale_state_whatever_redis_does() {
    let database = Server::shared().database().unwrap();
    let mut redis = Redis::start().unwrap();
    let address = redis.url();
    for state in ["well", "silent", "gone"] {
        match state {
            "silent" => redis.pause().unwrap(),
            "gone" => redis.stop(),
            _ => {}
        }
        let folder = tempfile::tempdir().unwrap();
        waits_are_honest(engine(sqlite(&folder), Some(&address)), engine(sqlite(&folder), Some(&address))).await;
        let (one, other) = (postgres(database.url()).await, postgres(database.url()).await);
        waits_are_honest(engine(one, Some(&address)), engine(other, Some(&address))).await;
    }
}

//! Functions on the stores that people run: results, errors and races through crashes of the worker, deep recursion, a
//! wide fan-out, on SQLite and on PostgreSQL.

use std::time::Duration;

use durable::{CallError, Durable, Worker, WorkerOptions};
use serde::{Deserialize, Serialize};
use stent_servers::{Database, Server};

use super::write;
use crate::ledger::Ledger;

/// Where a test's records are.
enum Place {
    File(tempfile::TempDir),
    Server(Database),
}

impl Place {
    fn all() -> [Self; 2] {
        [Self::File(tempfile::tempdir().unwrap()), Self::Server(Server::shared().database().unwrap())]
    }

    /// Another process, as far as the store can tell.
    async fn process(&self, ledger: &Ledger) -> (Durable, Worker) {
        let address = match self {
            Self::File(folder) => format!("sqlite:{}", folder.path().join("stent.db").display()),
            Self::Server(database) => database.url(),
        };
        let client = Durable::builder().database_url(address).state(ledger.clone()).build().await.unwrap();
        let worker = client.try_start_worker(WorkerOptions::default()).await.unwrap();
        (client, worker)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("no {0} left")]
struct SoldOut(String);

#[durable::function(retry(max_attempts = 1))]
async fn book(what: String) -> Result<String, SoldOut> {
    durable::step("book", || async {
        write(format!("book {what}"));
        Ok(())
    })
    .await
    .unwrap();
    if what == "car" { Err(SoldOut(what)) } else { Ok(format!("{what}-1")) }
}

#[durable::function]
async fn trip() -> Result<String, CallError> {
    let flight = book("flight".into()).await.map_err(|_| ()).unwrap_or_default();
    let hotel: String = durable::wait_for_signal("hotel", None).await?;
    match book("car".into()).await {
        Ok(car) => Ok(format!("{flight} {hotel} {car}")),
        Err(sold_out) => Ok(format!("{sold_out}: taken back {flight} {hotel}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_goes_on_in_another_process_with_the_same_results_and_errors() {
    for place in Place::all() {
        let ledger = Ledger::default();
        let (first, worker) = place.process(&ledger).await;
        let execution = first.dispatch(trip, ()).await.unwrap();
        crate::eventually("the flight is booked", async || ledger.count("book flight") > 0).await;
        // Dropped, it ends as in a crash.
        drop(worker);
        let (second, worker) = place.process(&ledger).await;
        second.signal(execution.id(), "hotel", "hotel-7").await.unwrap();
        let said = second.execution_of(trip, execution.id()).wait("60s").await.unwrap();
        assert_eq!(said.unwrap(), "no car left: taken back flight-1 hotel-7");
        assert_eq!(ledger.count("book car"), 1);
        worker.shutdown().await;
    }
}

#[durable::function]
async fn down(depth: u64) -> u64 {
    if depth == 0 { 0 } else { 1 + down(depth - 1).await }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_calls_itself_a_thousand_deep_exhausts_nothing() {
    for place in Place::all() {
        let (client, worker) = place.process(&Ledger::default()).await;
        assert_eq!(client.dispatch(down, 1_000).await.unwrap().wait("240s").await.unwrap(), 1_000);
        worker.shutdown().await;
    }
}

#[durable::function]
async fn double(n: u64) -> u64 {
    2 * n
}

#[durable::function]
async fn double_all(many: u64) -> u64 {
    double.map(0..many).await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_map_of_thousands_comes_back_in_full() {
    for place in Place::all() {
        let (client, worker) = place.process(&Ledger::default()).await;
        let sum = client.dispatch(double_all, 2_000).await.unwrap().wait("120s").await.unwrap();
        assert_eq!(sum, 1_999 * 2_000);
        worker.shutdown().await;
    }
}

#[durable::function]
async fn naps(ms: u64) -> u64 {
    durable::sleep(Duration::from_millis(ms)).await;
    ms
}

#[durable::function]
async fn race() -> (u64, u64) {
    let won = tokio::select! {
        slow = naps(60_000) => slow,
        fast = naps(20) => fast,
    };
    durable::wait_for_signal::<()>("go", None).await.unwrap();
    (won, double(won).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_stays_won_in_another_process() {
    for place in Place::all() {
        let (first, worker) = place.process(&Ledger::default()).await;
        let execution = first.dispatch(race, ()).await.unwrap();
        let attempts = async || first.state_of(execution.id()).await.unwrap().report.attempts;
        crate::eventually("it has begun", async || attempts().await > 0).await;
        drop(worker);
        let (second, worker) = place.process(&Ledger::default()).await;
        second.signal(execution.id(), "go", &()).await.unwrap();
        assert_eq!(second.execution_of(race, execution.id()).wait("60s").await.unwrap(), (20, 40));
        worker.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_from_outside_are_dispatched_on_both_stores() {
    for place in Place::all() {
        let (client, worker) = place.process(&Ledger::default()).await;
        assert_eq!(client.scope(async { double(21).await }).await, 42);
        assert_eq!(client.scope(async { book("car".into()).await }).await, Err(SoldOut("car".into())));
        worker.shutdown().await;
    }
}

//! Functions on SQLite and PostgreSQL whose worker dies before and after each of its writes: a compensation that began
//! goes on, a race that was won stays won. The same on the model, with every record compared, is in `replaying`.

use std::sync::Arc;
use std::time::Duration;

use durable::{Durable, Function, WorkerOptions};
use serde::{Deserialize, Serialize};
use stent_core::Store;
use stent_postgres::PostgresStore;
use stent_servers::{Database, Server};
use stent_sqlite::SqliteStore;
use stent_testing::gate::{Gate, Moment};
use stent_testing::trial::Kill;

use super::write;
use crate::ledger::Ledger;

/// More writes than any function here makes.
const WRITES: usize = 100;

/// For an execution to end although its worker died.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the records of one run are.
enum Place {
    File(tempfile::TempDir),
    Server(Database),
}

impl Place {
    fn on_a_file() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    fn on_a_server() -> Self {
        Self::Server(Server::shared().database().unwrap())
    }

    /// Opened anew, as by another process.
    async fn store(&self) -> Arc<dyn Store> {
        let (is_file, address) = match self {
            Self::File(folder) => (true, format!("sqlite:{}", folder.path().join("stent.db").display())),
            Self::Server(database) => (false, database.url()),
        };
        let open = move || -> Arc<dyn Store> {
            if is_file {
                Arc::new(SqliteStore::from_url(&address, Default::default()).unwrap())
            } else {
                Arc::new(PostgresStore::from_url(&address, Default::default()).unwrap())
            }
        };
        tokio::task::spawn_blocking(open).await.unwrap()
    }
}

async fn client(store: Arc<dyn Store>, ledger: &Ledger) -> Durable {
    Durable::builder().store(store).state(ledger.clone()).build().await.unwrap()
}

/// What a function came to, and what it did outside.
struct Ended<T> {
    at: String,
    output: T,
    ledger: Ledger,
}

/// One execution whose first worker dies at its n-th write; `None` if it made fewer.
async fn killed<F: Function<Args = ()> + Copy>(
    place: Place,
    function: F,
    number: usize,
    moment: Moment,
) -> Option<Ended<F::Output>> {
    let ledger = Ledger::default();
    let caller = client(place.store().await, &ledger).await;
    let gate = Arc::new(Gate::at(place.store().await, Some(Kill { write: number, moment })));
    let doomed = client(Arc::<Gate>::clone(&gate), &ledger).await;
    let worker = doomed.try_start_worker(WorkerOptions::default()).await.unwrap();
    let execution = caller.dispatch(function, ()).await.unwrap();
    let ending = execution.wait(PATIENCE);
    tokio::pin!(ending);
    let early = tokio::select! {
        biased;
        () = gate.shuts() => None,
        output = &mut ending => Some(output.unwrap()),
    };
    // Dropped, it ends as in a crash.
    drop(worker);
    drop(doomed);
    if !gate.is_shut() {
        caller.close().await.unwrap();
        return None;
    }
    let second = client(place.store().await, &ledger).await;
    let worker = second.try_start_worker(WorkerOptions::default()).await.unwrap();
    let output = match early {
        Some(output) => output,
        None => ending.await.unwrap(),
    };
    worker.shutdown().await;
    second.close().await.unwrap();
    caller.close().await.unwrap();
    let at = format!("{moment:?} write {number} ({})", gate.about());
    Some(Ended { at, output, ledger })
}

/// All crash points, one after the other.
async fn at_every_point<F: Function<Args = ()> + Copy>(place: fn() -> Place, function: F) -> Vec<Ended<F::Output>> {
    let mut ends = Vec::new();
    for number in 1..=WRITES {
        let before = killed(place(), function, number, Moment::Before).await;
        let after = killed(place(), function, number, Moment::After).await;
        if before.is_none() && after.is_none() {
            return ends;
        }
        ends.extend(before.into_iter().chain(after));
    }
    panic!("more than {WRITES} writes");
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("no {0} left")]
struct SoldOut(String);

#[durable::function(retry(max_attempts = 1))]
async fn reserve(what: String) -> Result<String, SoldOut> {
    write(format!("reserve {what}"));
    if what == "car" { Err(SoldOut(what)) } else { Ok(format!("{what}-1")) }
}

#[durable::function]
async fn take_back(booking: String) {
    write(format!("take back {booking}"));
}

#[durable::function]
async fn journey() -> String {
    let mut booked = Vec::new();
    for what in ["flight", "hotel", "car"] {
        match reserve(what.to_owned()).await {
            Ok(booking) => booked.push(booking),
            Err(sold_out) => {
                for booking in booked.into_iter().rev() {
                    take_back(booking).await;
                }
                return sold_out.to_string();
            }
        }
    }
    "booked".to_owned()
}

async fn compensations_go_on(place: fn() -> Place) {
    let ends = at_every_point(place, journey).await;
    assert!(ends.len() >= 10, "{} crash points", ends.len());
    for Ended { at, output, ledger } in ends {
        let lines = ledger.lines();
        assert_eq!(output, "no car left", "{at}: {lines:?}");
        let first_back = lines.iter().position(|line| line.starts_with("take back")).unwrap();
        assert!(lines[first_back..].iter().all(|line| line.starts_with("take back")), "{at}: {lines:?}");
        for booking in ["flight-1", "hotel-1"] {
            let times = ledger.count(&format!("take back {booking}"));
            assert!((1..=2).contains(&times), "{at}: {lines:?}");
        }
        // One death repeats at most the one body whose outcome it kept from being recorded.
        assert!((5..=6).contains(&lines.len()), "{at}: {lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_that_began_to_compensate_goes_on_at_every_crash_point_on_sqlite() {
    compensations_go_on(Place::on_a_file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_that_began_to_compensate_goes_on_at_every_crash_point_on_postgresql() {
    compensations_go_on(Place::on_a_server).await;
}

/// Both times are over when another worker takes the task, so that a race that is run anew has no reason to end alike.
async fn naps(ms: u64) -> u64 {
    durable::sleep(Duration::from_millis(ms)).await;
    ms
}

#[durable::function]
async fn raced() -> u64 {
    // In this order, since a sleep has its place from when it is first polled.
    let won = tokio::select! {
        biased;
        slow = naps(60) => slow,
        fast = naps(20) => fast,
    };
    write(format!("{won}"));
    take_back(won.to_string()).await;
    won
}

async fn races_stay_won(place: fn() -> Place) {
    let ends = at_every_point(place, raced).await;
    assert!(ends.len() >= 4, "{} crash points", ends.len());
    for Ended { at, output, ledger } in ends {
        let lines = ledger.lines();
        let winners: Vec<_> = lines.iter().filter(|line| !line.starts_with("take back")).collect();
        assert!(winners.iter().all(|won| **won == output.to_string()), "{at}: {lines:?}");
        assert!((1..=2).contains(&ledger.count(&format!("take back {output}"))), "{at}: {lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_that_was_won_stays_won_at_every_crash_point_on_sqlite() {
    races_stay_won(Place::on_a_file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_that_was_won_stays_won_at_every_crash_point_on_postgresql() {
    races_stay_won(Place::on_a_server).await;
}

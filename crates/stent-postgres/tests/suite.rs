//! What every store must do, held against the model: the suite of `stent-storetest`, on a real server, a fresh database
//! for each case.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use stent_core::{Store, Timestamp};
use stent_postgres::{Clock, Options, PostgresStore};
use stent_servers::{Database, Server};
use stent_storetest::sequences;
use stent_storetest::suite::Fixture;

/// A database of its own.
struct Postgres {
    store: PostgresStore,
    second: OnceLock<PostgresStore>,
    clock: Clock,
    // Dropped last: a database goes when nobody is in it any more.
    database: Database,
}

fn open(database: &Database, clock: &Clock) -> PostgresStore {
    PostgresStore::from_url(&database.url(), Options { clock: Some(clock.clone()) }).unwrap()
}

impl Postgres {
    fn new() -> Self {
        let (clock, database) = (Clock::new(), Server::shared().database().unwrap());
        Self { store: open(&database, &clock), second: OnceLock::new(), clock, database }
    }
}

impl Fixture for Postgres {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn second(&self) -> Arc<dyn Store> {
        Arc::new(self.second.get_or_init(|| open(&self.database, &self.clock)).clone())
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn set_clock(&self, now: Timestamp) {
        self.clock.freeze(now);
    }
}

stent_storetest::store_suite!(Postgres::new);

#[test]
fn random_sequences_come_out_as_in_the_model() {
    sequences::agree(Postgres::new, 100, 13);
}

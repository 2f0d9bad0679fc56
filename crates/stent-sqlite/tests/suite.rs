//! What every store must do, held against the model: the suite of `stent-storetest`, in memory and on files.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use stent_core::{Store, Timestamp};
use stent_sqlite::{Clock, Options, SqliteStore};
use stent_storetest::sequences;
use stent_storetest::suite::Fixture;
use tempfile::TempDir;

/// A database of its own, in memory (where the second is another handle on the same store) or in a file.
struct Sqlite {
    store: SqliteStore,
    second: OnceLock<SqliteStore>,
    clock: Clock,
    file: Option<(TempDir, PathBuf)>,
}

fn open(path: &PathBuf, clock: &Clock) -> SqliteStore {
    SqliteStore::open(path, Options { clock: Some(clock.clone()), ..Options::default() }).unwrap()
}

impl Sqlite {
    fn in_memory() -> Self {
        let clock = Clock::new();
        Self { store: open(&":memory:".into(), &clock), second: OnceLock::new(), clock, file: None }
    }

    fn on_a_file() -> Self {
        let (clock, directory) = (Clock::new(), tempfile::tempdir().unwrap());
        let path = directory.path().join("suite.db");
        Self { store: open(&path, &clock), second: OnceLock::new(), clock, file: Some((directory, path)) }
    }
}

impl Fixture for Sqlite {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn second(&self) -> Arc<dyn Store> {
        let second = self.second.get_or_init(|| match &self.file {
            Some((_, path)) => open(path, &self.clock),
            None => self.store.another_handle(),
        });
        Arc::new(second.clone())
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn set_clock(&self, now: Timestamp) {
        self.clock.freeze(now);
    }
}

mod in_memory {
    stent_storetest::store_suite!(super::Sqlite::in_memory);
}

mod on_a_file {
    stent_storetest::store_suite!(super::Sqlite::on_a_file);
}

#[test]
fn random_sequences_in_memory_come_out_as_in_the_model() {
    sequences::agree(Sqlite::in_memory, 400, 11);
}

#[test]
fn random_sequences_on_a_file_come_out_as_in_the_model() {
    sequences::agree(Sqlite::on_a_file, 100, 12);
}

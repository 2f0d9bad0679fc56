//! The figures of the store on a fresh file: `cargo bench -p stent-sqlite`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may fail loudly and prints its figures")]

use stent_sqlite::{Options, SqliteStore};

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("bench.db"), Options::default()).unwrap();
    stent_storetest::figures::measure(&store).iter().for_each(|figure| println!("{figure}"));
}

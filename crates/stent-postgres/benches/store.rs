//! The figures of the store on a private server: `cargo bench -p stent-postgres`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may fail loudly and prints its figures")]

use stent_postgres::{Options, PostgresStore};

fn main() {
    let server = stent_servers::Server::start().unwrap();
    let database = server.database().unwrap();
    let store = PostgresStore::from_url(&database.url(), Options::default()).unwrap();
    stent_storetest::figures::measure(&store).iter().for_each(|figure| println!("{figure}"));
}

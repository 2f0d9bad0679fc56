//! The figures of the store on a private server: `cargo bench -p stent-postgres`.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail loudly")]

use stent_postgres::{Options, PostgresStore};

fn main() {
    let server = stent_servers::Server::start().unwrap();
    let database = server.database().unwrap();
    let store = PostgresStore::from_url(&database.url(), Options::default()).unwrap();
    stent_storetest::figures::print(&store);
}

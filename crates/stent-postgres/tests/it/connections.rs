//! The ways to one database: TCP, a unix socket, PgBouncer in either mode. Which of them are direct is in the unit tests.

use stent_core::Store;
use stent_postgres::{Options, PostgresStore};
use stent_servers::{PgBouncer, PoolMode, Server};

#[test]
fn every_way_to_a_database_leads_to_the_same_tables() {
    let database = Server::shared().database().unwrap();
    let poolers =
        [PoolMode::Transaction, PoolMode::Session].map(|mode| PgBouncer::start(Server::shared(), mode).unwrap());
    let ways = [database.url(), database.socket_url()].into_iter().chain(poolers.iter().map(|p| p.url(&database)));
    for url in ways {
        let store = PostgresStore::from_url(&url, Options::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let counted = runtime.block_on(store.count_executions(None));
        assert_eq!(counted.unwrap_or_else(|error| panic!("{url}: {error}")), 0);
    }
    let query = "SELECT count(*) FROM pg_class WHERE relname = 'stent_schema'";
    assert_eq!(database.psql(query).unwrap(), "1");
}

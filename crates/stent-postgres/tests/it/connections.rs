//! The ways to one database: TCP, a unix socket, PgBouncer in either mode; and the pool of those that read, which is what
//! the address asked for. Which ways are direct is in the unit tests.

use std::collections::BTreeSet;
use std::thread;

use stent_core::Store;
use stent_core::select::{Cell, Table};
use stent_postgres::{Options, PostgresStore};
use stent_servers::{PgBouncer, PoolMode, Server};

use crate::hands::{Hand, joined, until};
use crate::stores::{block, open};

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

/// The process of the server that answered with its number first.
fn process(table: &Table) -> i64 {
    match table.rows[0][0] {
        Cell::Whole(process) => process,
        _ => panic!("{table:?}"),
    }
}

fn reader(store: &PostgresStore) -> i64 {
    process(&block(store.select("SELECT pg_backend_pid()".to_owned(), vec![])).unwrap())
}

#[test]
fn as_many_connections_are_kept_open_as_the_address_says() {
    let database = Server::shared().database().unwrap();
    let [one, four] =
        [1, 4].map(|min| open(&format!("{}?application_name=keeps_{min}&min_size={min}", database.url())));
    let eye = Hand::at(&database.url());
    let open = |program: &str| -> usize {
        eye.ask(&format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{program}'")).parse().unwrap()
    };
    until("three more are open", || open("keeps_4") == open("keeps_1") + 3);
    block(one.close()).unwrap();
    block(four.close()).unwrap();
}

#[test]
fn as_many_reads_are_carried_out_at_once_as_the_pool_may_have_connections() {
    let database = Server::shared().database().unwrap();
    let (hand, eye) = (Hand::at(&database.url()), Hand::at(&database.url()));
    for max in [2, 4] {
        let store = open(&format!("{}?application_name=reads_{max}&max_size={max}", database.url()));
        hand.say("BEGIN; LOCK TABLE executions IN ACCESS EXCLUSIVE MODE");
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reads_{max}' AND wait_event_type = 'Lock'"
        );
        let processes: BTreeSet<_> = thread::scope(|scope| {
            let read = || block(store.select("SELECT pg_backend_pid(), count(*) FROM executions".to_owned(), vec![]));
            let reads: Vec<_> = (0..8).map(|_| scope.spawn(read)).collect();
            until("all connections wait for the lock", || eye.ask(&waiting) == max.to_string());
            hand.say("COMMIT");
            reads.into_iter().map(|read| process(&joined(read).unwrap())).collect()
        });
        assert_eq!(processes.len(), max, "{processes:?}");
        block(store.close()).unwrap();
    }
}

#[test]
fn a_connection_is_renewed_after_as_many_reads_as_the_address_says() {
    let database = Server::shared().database().unwrap();
    let store = open(&format!("{}?max_size=1&max_queries=3", database.url()));
    let readers: Vec<_> = (0..13).map(|_| reader(&store)).collect();
    let runs: Vec<_> = readers.chunk_by(|one, next| one == next).map(<[i64]>::len).collect();
    // Opening the store may have used the first one, and the last one is cut off.
    assert!(runs[0] <= 3 && runs[1..4] == [3, 3, 3], "{readers:?}");
    block(store.close()).unwrap();
}

#[test]
fn a_connection_that_nobody_uses_is_closed_after_the_time_that_the_address_says() {
    let database = Server::shared().database().unwrap();
    let store = open(&format!("{}?min_size=0&max_inactive_connection_lifetime=0.2", database.url()));
    let eye = Hand::at(&database.url());
    let first = reader(&store);
    let is_open = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {first}");
    until("it is closed", || eye.ask(&is_open) == "0");
    assert_ne!(reader(&store), first);
    block(store.close()).unwrap();
}

//! PgBouncer before a server: both modes do what their names say, and a pool survives its server.

use stent_servers::{PgBouncer, PoolMode, Server};

use crate::psql_at;

#[test]
fn a_pool_leads_to_the_database_that_its_url_names() {
    for mode in [PoolMode::Transaction, PoolMode::Session] {
        let (server, database) = (Server::shared(), Server::shared().database().unwrap());
        let pool = PgBouncer::start(server, mode).unwrap();
        assert_eq!(psql_at(&pool.url(&database), "select current_database()").unwrap(), database.name());
    }
}

#[test]
fn a_session_is_handed_on_as_it_is_by_transaction_pooling_and_clean_by_session_pooling() {
    let (server, database) = (Server::shared(), Server::shared().database().unwrap());
    for (mode, seen) in [(PoolMode::Transaction, "12345ms"), (PoolMode::Session, "0")] {
        let pool = PgBouncer::start(server, mode).unwrap();
        let url = pool.url(&database);
        psql_at(&url, "set statement_timeout = '12345ms'").unwrap();
        assert_eq!(psql_at(&url, "show statement_timeout").unwrap(), seen, "{mode:?}");
    }
}

#[test]
fn a_pool_serves_again_after_its_server_was_killed_and_after_it_was_killed_itself() {
    let server = Server::start().unwrap();
    let database = server.database().unwrap();
    let mut pool = PgBouncer::start(&server, PoolMode::Transaction).unwrap();
    let url = pool.url(&database);
    psql_at(&url, "select 1").unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    // The pool may hand out one connection to the dead server before it sees that.
    assert!(psql_at(&url, "select 1").is_ok() || psql_at(&url, "select 1").is_ok());
    pool.restart().unwrap();
    assert_eq!(psql_at(&url, "select 2").unwrap(), "2");
}

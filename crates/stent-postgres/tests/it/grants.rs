//! A role that may change no tables does all the work: what the page on operations grants is enough, and no more.

use stent_core::command::{Emit, Signal, TakeOver};
use stent_core::view::FunctionView;
use stent_core::{Command, Done, EventId, Name, Payload, SignalId, Store};
use stent_postgres::{Options, PostgresStore};
use stent_servers::Server;

use crate::operations::with_a_role_for_workers;
use crate::stores::{block, claim, commit, complete, execution, open, serve, start_one, step, worker};

fn carried_out(store: &PostgresStore, batch: Vec<Command>) {
    let outcomes = commit(store, batch);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[test]
fn a_role_with_the_grants_of_the_page_works_and_may_change_no_table() {
    let server = Server::start().unwrap();
    with_a_role_for_workers(&server);
    let url =
        format!("postgresql://stent_worker:another-secure-password@localhost:{}/stent?schema=stent", server.port());
    let store = open(&url);
    let (session, dead) = (worker(&store), worker(&store));
    let function = FunctionView::new(Name::stored("f"));
    carried_out(&store, vec![Command::Beat(session), Command::Publish(session, vec![function])]);
    let id = execution();
    let (queue, name, payload) = (Name::stored("default"), Name::stored("n"), Payload::null());
    let set = Command::SetQueue(queue.clone(), Some(false));
    carried_out(&store, vec![start_one(id), start_one(execution()), set, Command::Expire]);
    let signal = Signal { id: SignalId::v7(1, [1; 10]), execution: id, name: name.clone(), payload: payload.clone() };
    let emit = Emit { id: EventId::v7(1, [1; 10]), queue, name, payload };
    carried_out(&store, vec![Command::Signal(signal), Command::Emit(emit)]);
    // One task is lost with its session, and everything is done by the other.
    assert_eq!(claim(&store, dead, &serve(&["f"]), 1).len(), 1);
    let taken = commit(&store, vec![Command::TakeOver(TakeOver { session: dead })]);
    assert!(matches!(taken[0], Ok(Done::Swept { count: 1, .. })), "{taken:?}");
    for task in claim(&store, session, &serve(&["f"]), 2) {
        carried_out(&store, vec![step(task.lease, 1), complete(task.lease)]);
    }
    assert!(block(store.execution(id)).unwrap().is_some_and(|view| view.result.is_some()));
    assert_eq!(block(store.gone_sessions(std::time::Duration::from_secs(10))).unwrap(), []);

    for forbidden in [
        "CREATE TABLE stent.more (x int4)",
        "ALTER TABLE tasks ADD COLUMN more int4",
        "DROP TABLE cache",
        "TRUNCATE tasks",
        "UPDATE stent_schema SET version = 9",
        "CREATE SCHEMA more",
    ] {
        let refused = server.psql_as("stent_worker", "stent", forbidden).unwrap_err().to_string();
        assert!(refused.contains("permission denied") || refused.contains("must be owner"), "{forbidden}: {refused}");
    }
}

#[test]
fn a_role_of_whose_grants_one_is_missing_is_told_which() {
    let server = Server::start().unwrap();
    with_a_role_for_workers(&server);
    let url =
        format!("postgresql://stent_worker:another-secure-password@localhost:{}/stent?schema=stent", server.port());
    for (revoked, named) in [
        ("REVOKE DELETE ON waits FROM stent_worker", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA"),
        ("REVOKE USAGE ON SCHEMA stent FROM stent_worker", "GRANT USAGE ON SCHEMA"),
    ] {
        server.psql_as("stent", "stent", revoked).unwrap();
        let error = PostgresStore::from_url(&url, Options::default()).unwrap_err();
        assert!(error.hint().contains(named), "{revoked}: {error}");
    }
}

//! The outbox: commands on the user's own transaction.

use rusqlite::Connection;
use stent_core::command::Emit;
use stent_core::{Command, Done, EventId, Name, Payload, Refusal, Store, StoreErrorKind};
use stent_sqlite::outbox;

use crate::stores::{block, execution, open, place, start_one, try_commit};

#[test]
fn a_start_commits_with_the_users_rows_or_not_at_all() {
    let (_directory, path) = place();
    let store = open(&path);
    let mut theirs = Connection::open(&path).unwrap();
    theirs.execute_batch("CREATE TABLE orders (id INTEGER)").unwrap();
    let id = execution();

    let transaction = theirs.transaction().unwrap();
    transaction.execute("INSERT INTO orders VALUES (1)", []).unwrap();
    outbox::apply(&transaction, vec![start_one(id)]).unwrap();
    transaction.rollback().unwrap();
    assert_eq!(block(store.execution(id)).unwrap(), None);

    let transaction = theirs.transaction().unwrap();
    transaction.execute("INSERT INTO orders VALUES (1)", []).unwrap();
    let emit = Emit {
        id: EventId::v7(1, [1; 10]),
        queue: Name::stored("default"),
        name: Name::stored("ordered"),
        payload: Payload::null(),
    };
    let outcomes = outbox::apply(&transaction, vec![start_one(id), start_one(id), Command::Emit(emit)]).unwrap();
    let started = Done::Started { execution: id, created: true, claimed: None };
    assert_eq!(outcomes, [Ok(started), Err(Refusal::Exists), Ok(Done::Nothing)]);
    assert_eq!(block(store.execution(id)).unwrap(), None, "not before the user commits");
    transaction.commit().unwrap();
    assert!(block(store.execution(id)).unwrap().is_some());
}

#[test]
fn an_ordinary_commit_inside_a_users_transaction_is_refused_at_once() {
    let (_directory, path) = place();
    let store = open(&path);
    let mark = outbox::enter();
    let error = try_commit(&store, vec![start_one(execution())]).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misuse);
    assert!(error.hint().contains("outbox"), "{error}");
    drop(mark);
    assert!(try_commit(&store, vec![start_one(execution())]).is_ok());
}

#[test]
fn a_connection_to_something_else_is_refused() {
    let other = Connection::open_in_memory().unwrap();
    let error = outbox::apply(&other, vec![start_one(execution())]).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misuse);
    assert!(error.hint().contains("same file"), "{error}");
}

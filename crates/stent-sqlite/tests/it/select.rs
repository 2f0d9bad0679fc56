//! A look at the tables by statements of the user's own.

use stent_core::select::Cell;
use stent_core::{Store, StoreErrorKind};
use stent_sqlite::{Options, SqliteStore};

use crate::stores::{block, commit, execution, open, place, start_one};

fn looks_and_never_writes(store: &SqliteStore) {
    let id = execution();
    commit(store, vec![start_one(id)]);
    let select = |sql: &str, parameters| block(store.select(sql.to_owned(), parameters));
    let by_id = "SELECT execution_id, state + ?2 AS n, ?3 AS x, NULL FROM executions WHERE execution_id = ?1";
    let blob = Cell::Blob(id.as_bytes().to_vec());
    let table = select(by_id, vec![blob.clone(), Cell::Whole(7), Cell::Text("ü".into())]).unwrap();
    assert_eq!(table.columns[..3], ["execution_id", "n", "x"]);
    assert_eq!(table.rows, [vec![blob, Cell::Whole(7), Cell::Text("ü".into()), Cell::Null]]);
    for (sql, words) in [
        ("DELETE FROM executions", "it would write"),
        ("PRAGMA user_version = 9", "it would write"),
        ("SELECT * FROM no_such_table", "no such table"),
        ("SELECT ?1", "parameter"),
        ("SELECT 1; DELETE FROM executions", "ultiple statements"),
    ] {
        let error = select(sql, vec![]).unwrap_err();
        assert!(error.kind() == StoreErrorKind::Misuse && error.to_string().contains(words), "{sql}: {error}");
    }
    assert_eq!(select("SELECT count(*) FROM executions", vec![]).unwrap().rows, [vec![Cell::Whole(1)]]);
}

#[test]
fn a_look_on_a_file_sees_what_was_committed_and_never_writes() {
    let (_directory, path) = place();
    let store = open(&path);
    looks_and_never_writes(&store);
    block(store.close()).unwrap();
}

#[test]
fn a_look_in_memory_sees_what_was_committed_and_never_writes() {
    looks_and_never_writes(&SqliteStore::from_url("sqlite::memory:", Options::default()).unwrap());
}

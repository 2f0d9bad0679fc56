//! A look at the tables by statements of the user's own.

use stent_core::select::Cell;
use stent_core::{Store, StoreErrorKind};
use stent_servers::Server;

use crate::stores::{block, commit, execution, open, start_one};

#[test]
fn a_look_sees_what_was_committed_and_never_writes() {
    let database = Server::shared().database().unwrap();
    let store = open(&database.url());
    let id = execution();
    commit(&store, vec![start_one(id)]);
    let select = |sql: &str, parameters| block(store.select(sql.to_owned(), parameters));
    let by_id = "SELECT execution_id, state + $2 AS n, $3::text AS x, $4::bytea AS b, NULL::int4 AS y, 1.5::float8 AS r
                 FROM executions WHERE execution_id = $1";
    let uuid = Cell::Text(id.to_string());
    let (text, blob) = (Cell::Text("ü".into()), Cell::Blob(vec![0, 255]));
    let table = select(by_id, vec![uuid.clone(), Cell::Whole(7), text.clone(), blob.clone()]).unwrap();
    assert_eq!(table.columns, ["execution_id", "n", "x", "b", "y", "r"]);
    assert_eq!(table.rows, [vec![uuid, Cell::Whole(7), text, blob, Cell::Null, Cell::Real(1.5)]]);
    for (sql, words) in [
        ("DELETE FROM executions", "read-only transaction"),
        ("SELECT * FROM no_such_table", "does not exist"),
        ("SELECT $1::int4", "1 parameters, and 0 are given"),
        ("SELECT 1; DELETE FROM executions", "multiple commands"),
        ("SELECT now()", "add ::text"),
    ] {
        let error = select(sql, vec![]).unwrap_err();
        assert!(error.kind() == StoreErrorKind::Misuse && error.to_string().contains(words), "{sql}: {error}");
    }
    assert_eq!(select("SELECT count(*) FROM executions", vec![]).unwrap().rows, [vec![Cell::Whole(1)]]);
    block(store.close()).unwrap();
}

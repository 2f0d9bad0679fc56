//! A statement of the user's own that only reads, on the connections that cannot write.

use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};
use stent_core::StoreError;
use stent_core::select::{Cell, Table, not_taken};

/// Carries the statement out; one that would write is refused before it runs.
pub(crate) fn select(connection: &Connection, statement: &str, parameters: Vec<Cell>) -> Result<Table, StoreError> {
    let mut prepared = connection.prepare(statement).map_err(not_taken)?;
    if !prepared.readonly() {
        return Err(not_taken("it would write, and only reads are taken here"));
    }
    let columns: Vec<_> = prepared.column_names().map(str::to_owned).collect();
    let parameters = rusqlite::params_from_iter(parameters.into_iter().map(value));
    let mut found = prepared.query(parameters).map_err(not_taken)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(not_taken)? {
        let cells = (0..columns.len()).map(|at| row.get_ref(at).map(cell));
        rows.push(cells.collect::<rusqlite::Result<_>>().map_err(not_taken)?);
    }
    Ok(Table { columns, rows })
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(truth) => Value::Integer(i64::from(truth)),
        Cell::Whole(number) => Value::Integer(number),
        Cell::Real(number) => Value::Real(number),
        Cell::Text(text) => Value::Text(text),
        Cell::Blob(bytes) => Value::Blob(bytes),
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Whole(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

//! A statement of the user's own that only reads, in a transaction that is READ ONLY: the server refuses what would write.

use stent_core::StoreError;
use stent_core::select::{Cell, Table, not_taken};
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

/// A parameter, sent as text, which the server reads as whatever type the statement has there.
#[derive(Debug)]
struct Sent(Cell);

impl ToSql for Sent {
    fn to_sql(&self, _: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            Cell::Null => return Ok(IsNull::Yes),
            Cell::Bool(truth) => out.extend_from_slice(truth.to_string().as_bytes()),
            Cell::Whole(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Cell::Real(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Cell::Text(text) => out.extend_from_slice(text.as_bytes()),
            Cell::Blob(bytes) => {
                out.extend_from_slice(b"\\x");
                bytes.iter().for_each(|byte| out.extend_from_slice(format!("{byte:02x}").as_bytes()));
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

/// Carries the statement out within the transaction that has begun.
pub(crate) async fn select(client: &Client, statement: &str, parameters: &[Cell]) -> Result<Table, StoreError> {
    let prepared = client.prepare(statement).await.map_err(|error| words(&error))?;
    let wanted = prepared.params().len();
    if wanted != parameters.len() {
        return Err(not_taken(format!("it has {wanted} parameters, and {} are given", parameters.len())));
    }
    let sent: Vec<_> = parameters.iter().cloned().map(Sent).collect();
    let sent: Vec<&(dyn ToSql + Sync)> = sent.iter().map(|one| one as &(dyn ToSql + Sync)).collect();
    let found = client.query(&prepared, &sent).await.map_err(|error| words(&error))?;
    let columns = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
    let rows = found.iter().map(cells).collect::<Result<_, _>>()?;
    Ok(Table { columns, rows })
}

/// The server's own words where it has some.
fn words(error: &Error) -> StoreError {
    error.as_db_error().map_or_else(|| not_taken(error), |said| not_taken(said.message()))
}

fn cells(row: &Row) -> Result<Vec<Cell>, StoreError> {
    row.columns().iter().enumerate().map(|(at, column)| cell(row, at, column.type_(), column.name())).collect()
}

fn cell(row: &Row, at: usize, kind: &Type, name: &str) -> Result<Cell, StoreError> {
    fn of<'r, T: tokio_postgres::types::FromSql<'r>>(
        row: &'r Row,
        at: usize,
        cell: impl Fn(T) -> Cell,
    ) -> Result<Cell, StoreError> {
        let value: Option<T> = row.try_get(at).map_err(not_taken)?;
        Ok(value.map_or(Cell::Null, cell))
    }
    match *kind {
        Type::BOOL => of(row, at, Cell::Bool),
        Type::INT2 => of(row, at, |n: i16| Cell::Whole(n.into())),
        Type::INT4 => of(row, at, |n: i32| Cell::Whole(n.into())),
        Type::INT8 => of(row, at, Cell::Whole),
        Type::FLOAT4 => of(row, at, |x: f32| Cell::Real(x.into())),
        Type::FLOAT8 => of(row, at, Cell::Real),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => of(row, at, Cell::Text),
        Type::BYTEA => of(row, at, Cell::Blob),
        Type::UUID => of(row, at, |id: Uuid| Cell::Text(id.to_string())),
        _ => Err(not_taken(format!("the column \"{name}\" is of the type {kind}: add ::text to it"))),
    }
}

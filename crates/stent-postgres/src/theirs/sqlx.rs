//! A connection of sqlx's. Values go and come in the server's binary form, written and read by the same code as on
//! connections of our own, so that both say the same.

use std::error::Error as StdError;

use bytes::BytesMut;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgConnection, PgRow, PgTypeInfo, Postgres};
use sqlx::{Arguments, Error, Row as _};
use stent_core::{StoreError, StoreErrorKind};
use tokio::sync::Mutex;
use tokio_postgres::types::{self, FromSql, ToSql, Type};

use super::{Answer, DOING, Theirs};
use crate::error::{Step, broken, of_code};
use crate::query::{Param, Params};
use crate::rows::Row;

/// The user's connection; each statement has it for itself.
pub(crate) struct Connection<'c>(pub(crate) Mutex<&'c mut PgConnection>);

impl Theirs for Connection<'_> {
    fn query<'a>(&'a self, text: &'static str, params: Params<'a>) -> Answer<'a, Vec<Row>> {
        Box::pin(async move {
            let statement = sqlx::query_with(text, arguments(params)?).persistent(false);
            let rows = statement.fetch_all(&mut **self.0.lock().await).await.map_err(failed)?;
            Ok(rows.into_iter().map(Row::Sqlx).collect())
        })
    }

    fn execute<'a>(&'a self, text: &'static str, params: Params<'a>) -> Answer<'a, u64> {
        Box::pin(async move {
            let statement = sqlx::query_with(text, arguments(params)?).persistent(false);
            let done = statement.execute(&mut **self.0.lock().await).await.map_err(failed)?;
            Ok(done.rows_affected())
        })
    }

    fn say(&self, text: &'static str) -> Answer<'_, ()> {
        Box::pin(async move { sqlx::raw_sql(text).execute(&mut **self.0.lock().await).await.map(drop).map_err(failed) })
    }
}

/// A column's value.
pub(crate) fn value<'r, T: FromSql<'r>>(row: &'r PgRow, column: usize) -> Step<T> {
    let found = row.try_get_raw(column).map_err(failed)?;
    let oid = sqlx::ValueRef::type_info(&found).oid().map_or(0, |oid| oid.0);
    let kind = Type::from_oid(oid).filter(T::accepts).ok_or_else(|| broken("a column has another type"))?;
    let bytes = if sqlx::ValueRef::is_null(&found) { None } else { found.as_bytes().ok() };
    T::from_sql_nullable(&kind, bytes).map_err(|_| broken("a column cannot be read"))
}

/// A value in the server's own form.
struct Written {
    kind: Type,
    /// None is NULL.
    bytes: Option<BytesMut>,
}

impl Written {
    fn of(param: &dyn Param) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        let (kind, mut bytes) = (param.kind(), BytesMut::new());
        let is_null = matches!(ToSql::to_sql_checked(param, &kind, &mut bytes)?, types::IsNull::Yes);
        Ok(Self { kind, bytes: (!is_null).then_some(bytes) })
    }
}

impl sqlx::Type<Postgres> for Written {
    /// Never asked for: each value says its own.
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(Type::UNKNOWN.oid()))
    }
}

impl Encode<'_, Postgres> for Written {
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.kind.oid())))
    }
}

fn arguments(params: Params<'_>) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
    for param in params {
        Written::of(*param).and_then(|written| arguments.add(written)).map_err(|error| {
            StoreError::new(StoreErrorKind::Misuse, format!("could not {DOING}: {error}"))
                .with_hint("a value does not fit the database")
        })?;
    }
    Ok(arguments)
}

/// The store's error for one of sqlx's.
fn failed(error: Error) -> StoreError {
    let (kind, hint, words) = match error.as_database_error().map(|told| (told.code(), told.message())) {
        Some((code, message)) => {
            let code = code.unwrap_or_default();
            let (kind, hint) = of_code(&code);
            (kind, hint, format!("{message} (SQLSTATE {code})"))
        }
        None => (StoreErrorKind::Unavailable, "the connection to the server is gone", error.to_string()),
    };
    StoreError::new(kind, format!("could not {DOING}: {words}")).with_hint(hint).with_source(error)
}

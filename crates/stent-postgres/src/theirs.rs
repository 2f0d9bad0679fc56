//! The connections of users, inside transactions of their own: what the outbox asks of them, whichever library they
//! are of. No statement stays prepared on them, for a pooler may stand between.

use std::pin::Pin;

use stent_core::StoreError;
use tokio_postgres::Transaction;

use crate::error::store_error;
use crate::query::{Params, typed};
use crate::rows::Row;

#[cfg(feature = "sqlx")]
mod sqlx;

#[cfg(feature = "sqlx")]
pub(crate) use self::sqlx::{Connection, value};

/// What failed, in the store's words.
pub(crate) const DOING: &str = "write through your transaction";

/// What a statement comes to.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A connection on which a transaction of the user's is open.
pub(crate) trait Theirs: Send + Sync {
    /// The rows that a statement answers.
    fn query<'a>(&'a self, text: &'static str, params: Params<'a>) -> Answer<'a, Vec<Row>>;

    /// How many rows a statement changed.
    fn execute<'a>(&'a self, text: &'static str, params: Params<'a>) -> Answer<'a, u64>;

    /// Statements without values or answers.
    fn say(&self, text: &'static str) -> Answer<'_, ()>;
}

impl Theirs for Transaction<'_> {
    fn query<'a>(&'a self, text: &'static str, params: Params<'a>) -> Answer<'a, Vec<Row>> {
        Box::pin(async move {
            let rows = self.query_typed(text, &typed(params)).await.map_err(|error| store_error(DOING, error))?;
            Ok(rows.into_iter().map(Row::Ours).collect())
        })
    }

    fn execute<'a>(&'a self, text: &'static str, params: Params<'a>) -> Answer<'a, u64> {
        Box::pin(
            async move { self.execute_typed(text, &typed(params)).await.map_err(|error| store_error(DOING, error)) },
        )
    }

    fn say(&self, text: &'static str) -> Answer<'_, ()> {
        Box::pin(async move { self.batch_execute(text).await.map_err(|error| store_error(DOING, error)) })
    }
}

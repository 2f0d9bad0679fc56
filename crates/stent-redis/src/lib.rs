//! A bus of wake-ups over Redis beside any store: whoever commits something that wakes others says so on a channel, and
//! whoever hears it looks at once instead of at its next poll. It is worth having where a store's own notifications do
//! not arrive (PostgreSQL behind a pooler in transaction mode, a store of your own that has none).
//!
//! Nothing is kept in Redis and nothing depends on it. A message says only "something changed"; what changed is read
//! from the store. With Redis gone, silent or slow, the store's own way of finding changes goes on as if there were no
//! bus: waits take longer and still end as the store says.
//!
//! ```no_run
//! # fn open(store: std::sync::Arc<dyn stent_core::Store>) -> Result<(), stent_core::StoreError> {
//! let store = stent_redis::accompany(store, "redis://localhost:6379")?;
//! # drop(store);
//! # Ok(())
//! # }
//! ```

mod address;
mod bus;
mod line;
mod store;

use std::sync::Arc;

use stent_core::{Store, StoreError, StoreErrorKind};
use tokio::runtime::Handle;

use crate::address::Address;
use crate::bus::Bus;
use crate::store::Accompanied;

/// `store`, with a bus over the Redis at `address` that tells other processes of its commits and its watchers of
/// theirs. Nothing is connected before it is needed, so that an absent Redis holds nobody up: what cannot be reached is
/// tried again in the background, with growing pauses of at most ten seconds, and one warning is logged.
///
/// An address is `redis://USER:PASSWORD@HOST:PORT/DB`, or `redis+unix:///PATH` for a socket. After a `?`, `channel` names
/// the channel, `stent` unless told otherwise; all who share a database must name the same.
///
/// # Errors
/// An address that breaks these rules; a caller outside of a Tokio runtime.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stent_core::StoreError> {
/// use std::sync::Arc;
/// use stent_sqlite::{Options, SqliteStore};
///
/// let store = Arc::new(SqliteStore::from_url("sqlite::memory:", Options::default())?);
/// let store = stent_redis::accompany(store, "redis://localhost:6379?channel=orders")?;
/// assert_eq!(store.count_executions(None).await?, 0); // whether or not there is a Redis
/// # Ok(())
/// # }
/// ```
pub fn accompany(store: Arc<dyn Store>, address: &str) -> Result<Arc<dyn Store>, StoreError> {
    let (store, line) = accompany_later(store);
    line.connect(address)?;
    Ok(store)
}

/// `store`, with room for a bus that [`Line::connect`] attaches. Until then it is as it was.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stent_core::StoreError> {
/// use std::sync::Arc;
/// use stent_sqlite::{Options, SqliteStore};
///
/// let store = Arc::new(SqliteStore::from_url("sqlite::memory:", Options::default())?);
/// let (store, line) = stent_redis::accompany_later(store);
/// line.connect("redis://localhost:6379?channel=orders")?;
/// assert_eq!(store.count_executions(None).await?, 0);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn accompany_later(store: Arc<dyn Store>) -> (Arc<dyn Store>, Line) {
    let accompanied = Arc::new(Accompanied::new(store));
    (Arc::<Accompanied>::clone(&accompanied), Line(accompanied))
}

/// Where a bus is attached to a store.
pub struct Line(Arc<Accompanied>);

impl Line {
    /// Attaches a bus over the Redis at `address`. A second one at the same address changes nothing.
    ///
    /// # Errors
    /// As [`accompany`]; an address other than the one before.
    pub fn connect(&self, address: &str) -> Result<(), StoreError> {
        let parsed = Address::parse(address)?;
        let runtime = Handle::try_current().map_err(|error| {
            StoreError::new(StoreErrorKind::Unusable, "the bus over Redis needs a Tokio runtime to live in")
                .with_hint("open it inside of one, as `#[tokio::main]` makes it")
                .with_source(error)
        })?;
        if self.0.attach(Bus::new(parsed, runtime)) == address {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Misuse, "the database has a bus at another address already")
            .with_hint("all executors of one backend share one bus: give them the same address"))
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

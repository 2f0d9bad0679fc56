//! From a database's address to its store. An address is never repeated in an error: it may hold a password.

use std::env;
use std::sync::Arc;

use stent_core::Store;

use crate::error::DurableError;

/// Where the address is looked for when the builder has none.
const ADDRESS_VARIABLE: &str = "DURABLE_DATABASE_URL";

/// The address when there is none anywhere: a file beside the program, the same in every face and the CLI.
const DEFAULT_ADDRESS: &str = "sqlite://stent.db";

/// The databases that there are stores for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

pub(crate) async fn open(address: Option<String>) -> Result<Arc<dyn Store>, DurableError> {
    let address = address.or_else(|| env::var(ADDRESS_VARIABLE).ok().filter(|address| !address.is_empty()));
    let address = address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    match kind(&address)? {
        Kind::Sqlite => open_sqlite(address).await,
        Kind::Postgres => open_postgres(address).await,
    }
}

/// Which store such an address is for.
fn kind(address: &str) -> Result<Kind, DurableError> {
    let (problem, hint) = match address.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => return Ok(Kind::Sqlite),
        Some("postgres" | "postgresql") => return Ok(Kind::Postgres),
        Some(other) => {
            let shown: String = other.chars().take(20).flat_map(char::escape_debug).collect();
            let problem = format!("there is no store for addresses that begin with \"{shown}:\"");
            (problem, "use `postgres://HOST/DATABASE` or `sqlite://FILE`")
        }
        None => (
            "the database's address names no kind of database".to_owned(),
            "write `postgres://HOST/DATABASE`, `sqlite://FILE`, say `sqlite://stent.db`, or `sqlite::memory:`",
        ),
    };
    Err(DurableError::Address { problem, hint })
}

/// Opens a store on a thread that may block: a file may be another process's for a while, a server may be slow.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn open_with<S: Store>(
    open: impl FnOnce() -> Result<S, stent_core::StoreError> + Send + 'static,
) -> Result<Arc<dyn Store>, DurableError> {
    // The runtime that would open it is going away.
    let store = tokio::task::spawn_blocking(open).await.map_err(|_| DurableError::NoRuntime)??;
    Ok(Arc::new(store))
}

#[cfg(feature = "sqlite")]
async fn open_sqlite(address: String) -> Result<Arc<dyn Store>, DurableError> {
    use stent_sqlite::{Options, SqliteStore};

    open_with(move || SqliteStore::from_url(&address, Options::default())).await
}

#[cfg(not(feature = "sqlite"))]
async fn open_sqlite(_: String) -> Result<Arc<dyn Store>, DurableError> {
    let problem = "this build has no SQLite store".to_owned();
    Err(DurableError::Address { problem, hint: "build with the feature `sqlite`, or give the builder a store" })
}

#[cfg(feature = "postgres")]
async fn open_postgres(address: String) -> Result<Arc<dyn Store>, DurableError> {
    use stent_postgres::{Options, PostgresStore};

    open_with(move || PostgresStore::from_url(&address, Options::default())).await
}

/// Opens the store that a configuration of tokio-postgres's names.
#[cfg(feature = "postgres")]
pub(crate) async fn open_postgres_by(config: tokio_postgres::Config) -> Result<Arc<dyn Store>, DurableError> {
    use stent_postgres::{Options, PostgresStore};

    open_with(move || PostgresStore::from_config(&config, Options::default())).await
}

#[cfg(not(feature = "postgres"))]
async fn open_postgres(_: String) -> Result<Arc<dyn Store>, DurableError> {
    let problem = "this build has no PostgreSQL store".to_owned();
    Err(DurableError::Address { problem, hint: "build with the feature `postgres`, or give the builder a store" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_by_its_beginning_which_store_it_is_for() {
        for address in ["sqlite://stent.db", "sqlite::memory:"] {
            assert_eq!(kind(address).unwrap(), Kind::Sqlite);
        }
        for address in ["postgres://localhost/myapp", "postgresql://ann:s3cret@db:5433/app?sslmode=require"] {
            assert_eq!(kind(address).unwrap(), Kind::Postgres);
        }
    }

    #[test]
    fn a_refused_address_is_not_repeated_and_its_error_says_what_to_do() {
        for (address, words) in [
            ("mysql://ann:s3cret@db/app", "no store for addresses that begin with \"mysql:\""),
            ("mysql://ann:s3cret@db/app", "postgres://HOST/DATABASE"),
            ("s3cret", "names no kind of database"),
        ] {
            let error = kind(address).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("s3cret"), "{error}");
        }
    }

    #[cfg(not(feature = "postgres"))]
    #[tokio::test]
    async fn a_build_without_the_postgresql_store_says_which_feature_brings_it() {
        let refused = open(Some("postgres://ann:s3cret@db/app".into())).await.map(drop).unwrap_err().to_string();
        assert!(refused.contains("feature `postgres`") && !refused.contains("s3cret"), "{refused}");
    }
}

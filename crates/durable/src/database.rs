//! From a database's address to its store. An address is never repeated in an error: it may hold a password.

use std::env;
use std::sync::Arc;

use stent_core::Store;

use crate::error::DurableError;

/// Where the address is looked for when the builder has none.
const ADDRESS_VARIABLE: &str = "DURABLE_DATABASE_URL";

/// The address when there is none anywhere: a file beside the program, the same in every face and the CLI.
const DEFAULT_ADDRESS: &str = "sqlite://stent.db";

pub(crate) async fn open(address: Option<String>) -> Result<Arc<dyn Store>, DurableError> {
    let address = address.or_else(|| env::var(ADDRESS_VARIABLE).ok().filter(|address| !address.is_empty()));
    let address = address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    check_scheme(&address)?;
    open_sqlite(address).await
}

/// Whether this build has a store for such an address.
fn check_scheme(address: &str) -> Result<(), DurableError> {
    let (problem, hint) = match address.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => return Ok(()),
        Some("postgres" | "postgresql") => (
            "this build has no PostgreSQL store".to_owned(),
            "it comes with the feature `postgres`; until then use `sqlite://FILE`",
        ),
        Some(other) => {
            let shown: String = other.chars().take(20).flat_map(char::escape_debug).collect();
            (format!("there is no store for addresses that begin with \"{shown}:\""), "use `sqlite://FILE`")
        }
        None => (
            "the database's address names no kind of database".to_owned(),
            "write `sqlite://FILE`, say `sqlite://stent.db`, or `sqlite::memory:`",
        ),
    };
    Err(DurableError::Address { problem, hint })
}

/// Opening may wait for another process that holds the file, so it does not hold up this thread.
#[cfg(feature = "sqlite")]
async fn open_sqlite(address: String) -> Result<Arc<dyn Store>, DurableError> {
    use stent_sqlite::{Options, SqliteStore};

    let opened = tokio::task::spawn_blocking(move || SqliteStore::from_url(&address, Options::default())).await;
    // The runtime that would open it is going away.
    let store = opened.map_err(|_| DurableError::NoRuntime)??;
    Ok(Arc::new(store))
}

#[cfg(not(feature = "sqlite"))]
async fn open_sqlite(_: String) -> Result<Arc<dyn Store>, DurableError> {
    let problem = "this build has no SQLite store".to_owned();
    Err(DurableError::Address { problem, hint: "build with the feature `sqlite`, or give the builder a store" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_address_is_not_repeated_and_its_error_says_what_to_do() {
        for (address, words) in [
            ("postgres://ann:s3cret@db/app", "feature `postgres`"),
            ("postgresql://ann:s3cret@db/app", "no PostgreSQL store"),
            ("mysql://ann:s3cret@db/app", "no store for addresses that begin with \"mysql:\""),
            ("s3cret", "names no kind of database"),
        ] {
            let error = check_scheme(address).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("s3cret"), "{error}");
        }
    }
}

//! The database that a command works on: found, opened without ever being created, and closed in order whatever the
//! command came to.

use std::env;
use std::sync::Arc;

use stent_core::{Store, StoreError, StoreErrorKind};
use stent_engine::{Engine, TokioRuntime};
use stent_postgres::PostgresStore;
use stent_sqlite::SqliteStore;

use crate::exit::{Code, Failed};

/// Where the address is looked for when the command names none.
const ADDRESS_VARIABLE: &str = "DURABLE_DATABASE_URL";

/// The address when there is none anywhere.
const DEFAULT_ADDRESS: &str = "sqlite://stent.db";

/// Carries `work` out over the database at `address`. The store is closed before this returns: when the work is done,
/// when it failed, and when somebody interrupted it.
pub(crate) fn within<T>(
    address: Option<&str>,
    work: impl AsyncFnOnce(&Engine) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let failed = |error: std::io::Error| Failed::new(Code::Failed, format!("cannot start the async runtime: {error}"));
    let runtime = tokio::runtime::Runtime::new().map_err(failed)?;
    let address = address.map_or_else(from_environment, str::to_owned);
    runtime.block_on(async {
        let store = open(address).await?;
        over(store, work).await
    })
}

/// Carries `work` out over a store and closes that.
async fn over<T>(store: Arc<dyn Store>, work: impl AsyncFnOnce(&Engine) -> Result<T, Failed>) -> Result<T, Failed> {
    let no_runtime = |_| Failed::new(Code::Failed, "there is no async runtime");
    let engine = Engine::new(store, Arc::new(TokioRuntime::current().map_err(no_runtime)?));
    let worked = tokio::select! {
        worked = work(&engine) => worked,
        _ = tokio::signal::ctrl_c() => Err(Failed::new(Code::Failed, "interrupted")),
    };
    let closed = engine.close().await;
    let worked = worked?;
    closed?;
    Ok(worked)
}

fn from_environment() -> String {
    let address = env::var(ADDRESS_VARIABLE).ok().filter(|address| !address.is_empty());
    address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned())
}

async fn open(address: String) -> Result<Arc<dyn Store>, Failed> {
    // On a thread that may block: a file may be another process's for a while, a server may be slow.
    let opened = tokio::task::spawn_blocking(move || open_here(&address)).await;
    opened.map_err(|_| Failed::new(Code::Failed, "the database was not opened"))?
}

fn open_here(address: &str) -> Result<Arc<dyn Store>, Failed> {
    let refused = |error: StoreError| {
        let code = if error.kind() == StoreErrorKind::Unusable { Code::NoDatabase } else { Code::Failed };
        Failed::new(code, error.to_string())
    };
    // The address is not repeated: it may hold a password.
    match address.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") if address.ends_with(":memory:") => {
            let words = "a database in memory is another process's own: name a file or a server with --db";
            Err(Failed::new(Code::NoDatabase, words))
        }
        Some("sqlite") => {
            let options = stent_sqlite::Options { must_exist: true, ..Default::default() };
            Ok(Arc::new(SqliteStore::from_url(address, options).map_err(refused)?))
        }
        Some("postgres" | "postgresql") => {
            let options = stent_postgres::Options { must_exist: true, ..Default::default() };
            Ok(Arc::new(PostgresStore::from_url(address, options).map_err(refused)?))
        }
        scheme => {
            let rule = "--db and DURABLE_DATABASE_URL take postgres://HOST/DATABASE or sqlite://FILE";
            let words = match scheme {
                Some(scheme) => {
                    let shown: String = scheme.chars().take(20).flat_map(char::escape_debug).collect();
                    format!("there is no store for addresses that begin with \"{shown}:\": {rule}")
                }
                None => format!("the address names no kind of database: {rule}"),
            };
            Err(Failed::new(Code::Usage, words))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A store that stays open as long as the test holds it: what is tidy then was tidied by `close`.
    fn store(folder: &Path) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(folder.join("stent.db"), stent_sqlite::Options::default()).unwrap())
    }

    /// How much lies in the log that is not in the file yet.
    fn log_bytes(folder: &Path) -> u64 {
        std::fs::metadata(folder.join("stent.db-wal")).map_or(0, |log| log.len())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_store_is_closed_when_the_work_is_done_and_when_it_failed() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let name = stent_core::Name::stored("imports");
        let worked = over(Arc::clone(&store), async |engine| {
            engine.set_queue(name.clone(), Some(true)).await?;
            assert!(log_bytes(folder.path()) > 0);
            Ok(7)
        });
        assert_eq!((worked.await.unwrap(), log_bytes(folder.path())), (7, 0));
        let failed = over::<()>(Arc::clone(&store), async |engine| {
            engine.set_queue(name.clone(), Some(false)).await?;
            assert!(log_bytes(folder.path()) > 0);
            Err(Failed::new(Code::Unknown, "none"))
        });
        assert_eq!((failed.await.unwrap_err().code, log_bytes(folder.path())), (Code::Unknown, 0));
    }
}

//! Opening: addresses, options, connections with their pragmas, and what can be wrong with a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use stent_core::{StoreError, StoreErrorKind};

use crate::clock::Clock;
use crate::error::store_error;
use crate::schema;

/// How long a writer waits for the file's lock before it gives up: within the engine's patience, beyond any commit of
/// ours.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Pages in the log before a commit moves them into the file. Larger than SQLite's 1,000: hot pages are written to the
/// log many times, to the file once.
const CHECKPOINT_PAGES: u32 = 4_000;

/// The log file's size after it was moved: it does not stay as large as one burst made it.
const LOG_BYTES: u32 = 64 * 1024 * 1024;

/// Page cache of the writer, in KiB: the hot ends of tables and indexes.
const WRITER_CACHE_KIB: i32 = 64 * 1024;

/// Page cache of each reader, in KiB. They share the mapped file.
const READER_CACHE_KIB: i32 = 8 * 1024;

/// How much of the file is mapped instead of read.
const MAPPED_BYTES: u64 = 256 * 1024 * 1024;

/// Statements kept prepared on a connection: more than there are.
const STATEMENTS: usize = 256;

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The clock that timers go by. `None`: the wall clock, moved by `STENT_CLOCK_OFFSET_MS` where that is set.
    pub clock: Option<Clock>,
    /// The file does not grow past this many bytes: a commit that would is refused as when the disk is full.
    pub max_bytes: Option<u64>,
    /// Only a database that is there and has Stent's tables is opened: none is created, nothing of another touched.
    pub must_exist: bool,
}

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    File(PathBuf),
}

impl Place {
    /// A path, or `:memory:`.
    pub(crate) fn of_path(path: &Path) -> Self {
        if path.as_os_str() == ":memory:" { Self::Memory } else { Self::File(path.to_owned()) }
    }

    /// `sqlite://file`, `sqlite:file`, `sqlite::memory:`.
    pub(crate) fn of_url(url: &str) -> Result<Self, StoreError> {
        let hint = "write sqlite://stent.db for a file beside you, sqlite:///var/lib/stent.db for one by its full path, \
             sqlite::memory: for none";
        let unusable = |message: String| StoreError::new(StoreErrorKind::Unusable, message).with_hint(hint);
        let Some(rest) = url.strip_prefix("sqlite:") else {
            let scheme = url.split(':').next().unwrap_or_default();
            return Err(unusable(format!("\"{scheme}:\" is not an address of the SQLite store")));
        };
        let path = rest.strip_prefix("//").unwrap_or(rest);
        match path {
            "" => Err(unusable("the address names no file".to_owned())),
            ":memory:" => Ok(Self::Memory),
            path if path.contains(['?', '#']) => {
                Err(unusable(format!("the address has options (\"{path}\"); there are none")))
            }
            path => Ok(Self::File(PathBuf::from(path))),
        }
    }
}

/// Opens the connection that writes, creates the file where absent and brings it to this client's schema.
pub(crate) fn writer(place: &Place, options: &Options) -> Result<Connection, StoreError> {
    schema::check_sqlite(rusqlite::version_number())?;
    let failed = |error| store_error(&format!("open the database {}", shown(place)), error);
    let mut connection = match place {
        Place::Memory => Connection::open_in_memory().map_err(failed)?,
        Place::File(path) => {
            if path.is_dir() {
                let message = format!("{} is a directory", path.display());
                return Err(StoreError::new(StoreErrorKind::Unusable, message).with_hint("name a file in it"));
            }
            if options.must_exist && !path.exists() {
                let message = format!("there is no database {}", path.display());
                return Err(StoreError::new(StoreErrorKind::Unusable, message)
                    .with_hint("name the file of the program that uses it; its first start creates it"));
            }
            let create = if options.must_exist { OpenFlags::empty() } else { OpenFlags::SQLITE_OPEN_CREATE };
            Connection::open_with_flags(path, flags() | create).map_err(failed)?
        }
    };
    if options.must_exist {
        schema::must_be_ours(&connection, &shown(place))?;
    }
    connection.busy_timeout(LOCK_WAIT).map_err(failed)?;
    if matches!(place, Place::File(_)) {
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
        if !mode.eq_ignore_ascii_case("wal") {
            let message = format!("{} cannot be put into WAL mode (it is in \"{mode}\")", shown(place));
            return Err(StoreError::new(StoreErrorKind::Unusable, message)
                .with_hint("put it on a local disk: WAL needs shared memory between processes"));
        }
    }
    let pragmas = format!(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -{WRITER_CACHE_KIB};
         PRAGMA mmap_size = {MAPPED_BYTES}; PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}; PRAGMA journal_size_limit = {LOG_BYTES};"
    );
    connection.execute_batch(&pragmas).map_err(failed)?;
    schema::migrate(&mut connection)?;
    if is_read_only(&connection) {
        return Err(StoreError::new(StoreErrorKind::ReadOnly, format!("{} is read-only", shown(place)))
            .with_hint("the file and its directory must be writable by this user"));
    }
    if let Some(bytes) = options.max_bytes {
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(failed)?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).map_err(failed)?;
    }
    settle_statements(&connection).map_err(failed)?;
    Ok(connection)
}

/// Statements are kept, and their plans do not hang on the values that are bound: each use with another value would
/// parse and plan them anew. The plans are the indexes that their heads name, whatever the values.
fn settle_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn is_read_only(connection: &Connection) -> bool {
    connection.is_readonly(rusqlite::MAIN_DB).unwrap_or(false)
}

/// Opens a connection that only reads.
pub(crate) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let failed = |error| store_error(&format!("open the database {} for reading", path.display()), error);
    let connection = Connection::open_with_flags(path, flags()).map_err(failed)?;
    connection.busy_timeout(LOCK_WAIT).map_err(failed)?;
    let pragmas = format!(
        "PRAGMA query_only = ON; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -{READER_CACHE_KIB};
         PRAGMA mmap_size = {MAPPED_BYTES}; PRAGMA temp_store = MEMORY;"
    );
    connection.execute_batch(&pragmas).map_err(failed)?;
    settle_statements(&connection).map_err(failed)?;
    Ok(connection)
}

/// No URI filenames (a file may be called anything); our own mutex around each connection instead of SQLite's.
fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn shown(place: &Place) -> String {
    match place {
        Place::Memory => "in memory".to_owned(),
        Place::File(path) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_file_or_memory_or_refused_with_a_hint() {
        assert_eq!(Place::of_url("sqlite::memory:").unwrap(), Place::Memory);
        assert_eq!(Place::of_url("sqlite://stent.db").unwrap(), Place::File("stent.db".into()));
        assert_eq!(Place::of_url("sqlite:stent.db").unwrap(), Place::File("stent.db".into()));
        assert_eq!(Place::of_url("sqlite:///var/lib/a b.db").unwrap(), Place::File("/var/lib/a b.db".into()));
        for bad in ["", "sqlite:", "sqlite://", "postgres://u:secret@host/db", "stent.db", "sqlite://a.db?mode=ro"] {
            let error = Place::of_url(bad).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unusable, "{bad}");
            assert!(error.hint().contains("sqlite://stent.db") && !error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_statement_is_planned_once_whatever_is_bound_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::File(folder.path().join("stent.db"));
        let writer = writer(&place, &Options::default()).unwrap();
        let Place::File(path) = &place else { unreachable!() };
        let reader = reader(path).unwrap();
        for connection in [&writer, &reader] {
            for (name, text) in crate::query::TEXTS {
                let mut statement = connection.prepare(text).unwrap();
                if !statement.readonly() {
                    continue;
                }
                for value in [1, 2, 3] {
                    (1..=statement.parameter_count()).for_each(|at| statement.raw_bind_parameter(at, value).unwrap());
                    let mut rows = statement.raw_query();
                    while rows.next().unwrap().is_some() {}
                }
                assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0, "{name}");
            }
        }
    }

    #[test]
    fn the_writer_syncs_every_commit() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&Place::File(folder.path().join("stent.db")), &Options::default()).unwrap();
        let synchronous: i64 = writer.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        let mode: String = writer.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        // 2 is FULL: in WAL mode the log is synced before a COMMIT returns.
        assert_eq!((synchronous, mode.as_str()), (2, "wal"));
    }
}

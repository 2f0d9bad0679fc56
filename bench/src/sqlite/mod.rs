//! The yardsticks on SQLite: what its file and its b-trees can do at all, and how much of that a fenced group commit
//! keeps. Speaks to SQLite itself, so that nothing of ours is in the figures.

pub mod probe;
pub mod raw;

use std::path::Path;

use anyhow::ensure;
use rusqlite::Connection;

/// The bytes of a payload or record.
const PAYLOAD_BYTES: usize = 100;

/// As wide as a UUID.
type TaskId = [u8; 16];

/// A fresh database, as durable as the design asks: a write-ahead log, synced by each commit. All else is as SQLite
/// comes.
fn create(file: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(file)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    ensure!(mode == "wal", "{} cannot have a write-ahead log: SQLite says `{mode}`", file.display());
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

//! The schema: numbered migrations, forward only, and the meta table that says which schema a file has and the oldest
//! client it serves. Only older clients are refused; a table of a name of ours that is not ours is never touched.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use stent_core::{StoreError, StoreErrorKind};

use crate::error::store_error;
use crate::query::Query;

/// The migrations, in order; the n-th leads to version n.
const MIGRATIONS: &[&str] = &[
    include_str!("../sql/migrations/0001_tables.sql"),
    include_str!("../sql/migrations/0002_schedules.sql"),
    include_str!("../sql/migrations/0003_schedule_deadlines.sql"),
    include_str!("../sql/migrations/0004_waits_for_children.sql"),
    include_str!("../sql/migrations/0005_waits_seen.sql"),
];

/// The oldest client that the newest schema serves. Grows only with a migration that older clients cannot live with.
const OLDEST_CLIENT: i64 = 1;

/// What this client counts as.
pub(crate) const CLIENT: i64 = 1;

/// The smallest SQLite that is safe: older ones can corrupt a WAL file that two connections share.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Refuses an SQLite library (as `sqlite3_libversion_number` puts it) that can corrupt the file.
pub(crate) fn check_sqlite(version: i32) -> Result<(), StoreError> {
    if version >= OLDEST_SQLITE {
        return Ok(());
    }
    let shown = format!("{}.{}.{}", version / 1_000_000, version / 1_000 % 1_000, version % 1_000);
    Err(StoreError::new(
        StoreErrorKind::Unusable,
        format!("the SQLite library is {shown}, and 3.51.3 is the oldest that is safe"),
    )
    .with_hint("older ones can corrupt the file when two connections share it: link the bundled or a newer one"))
}

/// What a file says of itself.
struct Stated {
    version: i64,
    oldest_client: i64,
}

/// Reads the meta table; `None` where there is none.
fn stated(connection: &Connection) -> Result<Option<Stated>, StoreError> {
    let failed = |error| store_error("read the schema", error);
    let exists = connection
        .prepare("SELECT 1 FROM main.sqlite_master WHERE name = 'stent_schema'")
        .and_then(|mut s| s.exists([]))
        .map_err(failed)?;
    if !exists {
        return Ok(None);
    }
    let row = connection
        .query_row(Query::SchemaRead.text(), [], |row| {
            Ok((row.get::<_, String>(0)?, Stated { version: row.get(1)?, oldest_client: row.get(2)? }))
        })
        .optional();
    match row {
        Ok(Some((product, stated))) if product == "stent" => Ok(Some(stated)),
        Err(error)
            if !crate::error::is_of_the_data(&error)
                && error.sqlite_error_code() != Some(rusqlite::ErrorCode::Unknown) =>
        {
            Err(failed(error))
        }
        _ => Err(not_ours("stent_schema")),
    }
}

/// Refuses a database that has no tables of ours, before anything of it is touched.
pub(crate) fn must_be_ours(connection: &Connection, shown: &str) -> Result<(), StoreError> {
    match stated(connection)? {
        Some(_) => Ok(()),
        None => Err(StoreError::new(StoreErrorKind::Unusable, format!("{shown} has no tables of Stent's"))
            .with_hint("name the database of the program that uses it; its first start makes them")),
    }
}

fn not_ours(table: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unusable, format!("the database has a table \"{table}\" that is not Stent's"))
        .with_hint("nothing was touched: name another file, or rename the table")
}

/// Refuses a schema that does not serve this client.
fn check_client(stated: &Stated) -> Result<(), StoreError> {
    if stated.oldest_client <= CLIENT {
        return Ok(());
    }
    let message = format!(
        "the database has schema {}, which serves clients from {} on; this is client {CLIENT}",
        stated.version, stated.oldest_client
    );
    Err(StoreError::new(StoreErrorKind::Unusable, message)
        .with_hint("a newer Stent has migrated the file: upgrade this program"))
}

/// Checks that a connection of the user's own has our schema, in a version this client can use.
pub(crate) fn check(connection: &Connection) -> Result<(), StoreError> {
    match stated(connection)? {
        Some(stated) => check_client(&stated),
        None => Err(StoreError::new(StoreErrorKind::Misuse, "the connection's main database has no Stent schema")
            .with_hint("open it on the same file as the store")),
    }
}

/// Brings a database to this client's schema, or finds that it is there or beyond.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    if let Some(stated) = stated(connection)? {
        check_client(&stated)?;
        if usize::try_from(stated.version).is_ok_and(|v| v >= MIGRATIONS.len()) {
            return Ok(());
        }
    }
    let failed = |error| store_error("migrate the database", error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Looked at again under the write lock: another process may have migrated meanwhile.
    let version = match stated(&transaction)? {
        Some(stated) => stated.version,
        None => {
            refuse_foreign_tables(&transaction)?;
            0
        }
    };
    for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(usize::MAX)) {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version < newest {
        transaction.execute("DELETE FROM stent_schema", []).map_err(failed)?;
        transaction
            .execute(
                "INSERT INTO stent_schema (product, version, oldest_client) VALUES ('stent', ?1, ?2)",
                [newest, OLDEST_CLIENT],
            )
            .map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// A new database may be one that the user has tables in; those of our names are never touched.
fn refuse_foreign_tables(connection: &Connection) -> Result<(), StoreError> {
    let failed = |error| store_error("read the schema", error);
    let mut statement = connection
        .prepare("SELECT name FROM main.sqlite_master WHERE type IN ('table', 'view', 'index')")
        .map_err(failed)?;
    let names = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
    let ours = MIGRATIONS.iter().flat_map(|text| created_names(text)).collect::<Vec<_>>();
    for name in names {
        let name = name.map_err(failed)?;
        if ours.iter().any(|o| o.eq_ignore_ascii_case(&name)) {
            return Err(not_ours(&name));
        }
    }
    Ok(())
}

/// The names that a migration creates.
fn created_names(migration: &str) -> impl Iterator<Item = &str> {
    migration.lines().filter_map(|line| {
        let rest = line.strip_prefix("CREATE ")?;
        let rest = rest.strip_prefix("UNIQUE ").unwrap_or(rest);
        let rest = ["TABLE ", "INDEX ", "VIEW "].iter().find_map(|kind| rest.strip_prefix(kind))?;
        rest.split([' ', '(']).next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_before_3_51_3_is_refused_by_name() {
        assert!(check_sqlite(3_051_003).is_ok());
        assert!(check_sqlite(3_054_001).is_ok());
        let error = check_sqlite(3_051_002).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unusable);
        assert!(error.to_string().contains("3.51.2"), "{error}");
    }

    #[test]
    fn every_table_index_and_view_of_the_migrations_is_known_by_name() {
        let names: Vec<_> = created_names(MIGRATIONS[0]).collect();
        for name in ["tasks", "tasks_ready", "routes_key", "cache", "stent_overview", "sessions"] {
            assert!(names.contains(&name), "{name} is missing in {names:?}");
        }
    }
}

//! The schema: where the tables go, numbered migrations, forward only, and the meta table that says which schema it is
//! and the oldest client it serves. Only older clients are refused; a table of a name of ours that is not ours is never
//! touched. Everything happens within transactions, so it works through a pooler too.

use std::future::Future;

use stent_core::{StoreError, StoreErrorKind};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use crate::address::{Address, quoted};
use crate::error::{store_error, words};

/// The migrations, in order; the n-th leads to version n.
const MIGRATIONS: &[&str] = &[
    include_str!("../sql/migrations/0001_tables.sql"),
    include_str!("../sql/migrations/0002_schedules.sql"),
    include_str!("../sql/migrations/0003_schedule_deadlines.sql"),
    include_str!("../sql/migrations/0004_waits_for_children.sql"),
    include_str!("../sql/migrations/0005_waits_seen.sql"),
];

/// The oldest client that the newest schema serves. Grows only with a migration that older clients cannot live with.
const OLDEST_CLIENT: i32 = 1;

/// What this client counts as.
pub(crate) const CLIENT: i32 = 1;

/// The oldest server whose manners are known: tests run on it, and those before it get no fixes any more.
const OLDEST_SERVER: i32 = 150_000;

/// Fresh snapshots after waiting for the lock are what the second look counts on, whatever the role's default is.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

const LOOK: &str = include_str!("../sql/schema_look.sql");
const STATE: &str = include_str!("../sql/schema_state.sql");
const READ: &str = include_str!("../sql/schema_read.sql");
const WRITE: &str = include_str!("../sql/schema_write.sql");
const LOCK: &str = include_str!("../sql/schema_lock.sql");

/// What a database says of itself.
struct Stated {
    version: i32,
    oldest_client: i32,
}

/// The server, the role, and where it would put a table.
struct Surroundings {
    user: String,
    database: String,
    may_create_schemas: bool,
    /// The first schema of the search path that is there.
    first: Option<String>,
}

/// A schema, as the role sees it.
struct Schema {
    name: String,
    exists: bool,
    is_usable: bool,
    is_writable: bool,
    /// Names of ours that are taken in it.
    taken: Vec<String>,
    /// Tables of ours that the role may not read or write.
    closed: Vec<String>,
}

impl Schema {
    fn has_ours(&self) -> bool {
        self.taken.iter().any(|name| name == "stent_schema")
    }

    /// Whether tables may be made in it, itself being made where it is not there.
    fn takes_tables(&self, surroundings: &Surroundings) -> bool {
        if self.exists { self.is_usable && self.is_writable } else { surroundings.may_create_schemas }
    }
}

/// Finds the schema of the tables or makes it, brings it to this client's version or finds that it is there or beyond,
/// and notes its name in the address, so that later connections go there. A call that is dropped midway leaves the
/// connection within a transaction: it must be closed then.
pub(crate) async fn open(client: &Client, is_direct: bool, address: &mut Address) -> Result<(), StoreError> {
    let surroundings = look(client).await?;
    let schema = choose(client, address, &surroundings).await?;
    if !is_current(client, &surroundings, &schema).await? {
        migrate(client, &surroundings, &schema.name).await?;
    }
    address.schema = Some(schema.name);
    if is_direct {
        let failed = |error| store_error("set the schema", error);
        client.batch_execute(&address.session()).await.map_err(failed)?;
    }
    Ok(())
}

/// Refuses a database that has no tables of ours where this address would look for them.
pub(crate) async fn must_be_ours(client: &Client, address: &Address) -> Result<(), StoreError> {
    let surroundings = look(client).await?;
    let schema = choose(client, address, &surroundings).await?;
    if schema.has_ours() {
        return Ok(());
    }
    let (database, name) = (quoted(&surroundings.database), quoted(&schema.name));
    let message = format!("the database {database} has no tables of Stent's in the schema {name}");
    Err(StoreError::new(StoreErrorKind::Unusable, message)
        .with_hint("name the database of the program that uses it (and ?schema=NAME); its first start makes them"))
}

/// Looks at the server and the role; refuses what cannot hold a store, warns of what holds it badly.
async fn look(client: &Client) -> Result<Surroundings, StoreError> {
    let failed = |error| store_error("look at the server", error);
    let row = client.query_typed_one(LOOK, &[]).await.map_err(failed)?;
    let version: i32 = row.try_get(0).map_err(failed)?;
    check_server(version, row.try_get(1).map_err(failed)?)?;
    let encoding: &str = row.try_get(2).map_err(failed)?;
    let surroundings = Surroundings {
        user: row.try_get(7).map_err(failed)?,
        database: row.try_get(8).map_err(failed)?,
        may_create_schemas: row.try_get(9).map_err(failed)?,
        first: row.try_get(10).map_err(failed)?,
    };
    let database = &surroundings.database;
    // SQL_ASCII takes any bytes as they are.
    if !["UTF8", "SQL_ASCII"].contains(&encoding) {
        let message = format!("the database {database} keeps text as {encoding}, which has no place for every name");
        return Err(StoreError::new(StoreErrorKind::Unusable, message)
            .with_hint("use a database made by CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"));
    }
    if row.try_get(3).map_err(failed)? {
        let message = format!("the database {database} is read-only here: a standby, or set so");
        return Err(StoreError::new(StoreErrorKind::ReadOnly, message)
            .with_hint("name the primary in the address; of several hosts the one that writes is found"));
    }
    for (at, setting) in [(4, "synchronous_commit"), (5, "fsync"), (6, "full_page_writes")] {
        if row.try_get::<_, &str>(at).map_err(failed)? == "off" {
            tracing::warn!(
                setting,
                database,
                "the server has {setting}=off: what was acknowledged may be lost when it or its machine crashes"
            );
        }
    }
    Ok(surroundings)
}

fn check_server(version: i32, shown: &str) -> Result<(), StoreError> {
    if version >= OLDEST_SERVER {
        return Ok(());
    }
    let oldest = OLDEST_SERVER / 10_000;
    Err(StoreError::new(
        StoreErrorKind::Unusable,
        format!("the server is PostgreSQL {shown}, and {oldest} is the oldest that Stent works with"),
    )
    .with_hint(format!("use a server of version {oldest} or newer")))
}

/// The schema to use: the one that was asked for; else the one of the two usual ones that has our tables; else the first
/// of the two that can take them: the search path's first, and one named like the user.
async fn choose(client: &Client, address: &Address, surroundings: &Surroundings) -> Result<Schema, StoreError> {
    if let Some(name) = &address.schema {
        let asked = state(client, name).await?;
        return if asked.has_ours() || asked.takes_tables(surroundings) {
            Ok(asked)
        } else {
            Err(missing_grant(surroundings, &asked))
        };
    }
    let own = state(client, &surroundings.user).await?;
    let first = match &surroundings.first {
        Some(name) if *name != surroundings.user => Some(state(client, name).await?),
        _ => None,
    };
    let mut usual: Vec<_> = first.into_iter().chain([own]).collect();
    let with_ours = usual.iter().position(Schema::has_ours);
    // A schema named after the server's own, as the superuser of some services has it, cannot be made.
    let can = |s: &Schema| s.takes_tables(surroundings) && (s.exists || crate::address::check_schema(&s.name).is_ok());
    match with_ours.or_else(|| usual.iter().position(can)) {
        Some(chosen) => Ok(usual.swap_remove(chosen)),
        None => Err(missing_grant(surroundings, &usual.swap_remove(0))),
    }
}

async fn state(client: &Client, name: &str) -> Result<Schema, StoreError> {
    let ours: Vec<_> = MIGRATIONS.iter().flat_map(|text| created_names(text)).collect();
    let read = async {
        let row = client.query_typed_one(STATE, &[(&name, Type::TEXT), (&ours, Type::TEXT_ARRAY)]).await?;
        Ok(Schema {
            name: name.to_owned(),
            exists: row.try_get(0)?,
            is_usable: row.try_get(1)?,
            is_writable: row.try_get(2)?,
            taken: row.try_get(3)?,
            closed: row.try_get(4)?,
        })
    };
    read.await.map_err(|error| store_error("read the schema", error))
}

/// Whether the schema has our tables in a version that needs no migration; refuses one that does not serve this client or
/// this role, and one where other tables have our names.
async fn is_current(client: &Client, surroundings: &Surroundings, schema: &Schema) -> Result<bool, StoreError> {
    if !schema.has_ours() {
        return match schema.taken.first() {
            Some(name) => Err(not_ours(&schema.name, name)),
            None => Ok(false),
        };
    }
    check_rights(surroundings, schema)?;
    let stated = within_transaction(client, async {
        go_to(client, &schema.name).await?;
        read(client, &schema.name).await
    });
    Ok(is_newest(stated.await?.version))
}

/// Brings the schema to this client's version; processes that come at once take turns.
async fn migrate(client: &Client, surroundings: &Surroundings, name: &str) -> Result<(), StoreError> {
    let failed = |error: Error| match error.code().map(|code| code.code()) {
        // A type or the like has a name of ours: what the look at tables and views cannot see.
        Some("42P07" | "42710") => {
            StoreError::new(StoreErrorKind::Unusable, format!("the schema \"{name}\": {}", words(&error)))
                .with_hint(NOTHING_TOUCHED)
                .with_source(error)
        }
        Some("42501") => store_error("migrate the database", error)
            .with_hint("the tables belong to another role: open the store once with that one, which migrates them"),
        _ => store_error("migrate the database", error),
    };
    within_transaction(client, async {
        client.batch_execute(LOCK).await.map_err(failed)?;
        // Looked at again under the lock: another process may have migrated meanwhile.
        let schema = state(client, name).await?;
        if !schema.exists {
            client.batch_execute(&format!("CREATE SCHEMA {}", quoted(name))).await.map_err(failed)?;
        }
        go_to(client, name).await?;
        let version = if schema.has_ours() {
            check_rights(surroundings, &schema)?;
            read(client, name).await?.version
        } else if let Some(taken) = schema.taken.first() {
            return Err(not_ours(name, taken));
        } else {
            0
        };
        if is_newest(version) {
            return Ok(());
        }
        for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(usize::MAX)) {
            client.batch_execute(migration).await.map_err(failed)?;
        }
        let now: [(&(dyn ToSql + Sync), Type); 2] = [(&newest(), Type::INT4), (&OLDEST_CLIENT, Type::INT4)];
        client.execute_typed(WRITE, &now).await.map_err(failed)?;
        Ok(())
    })
    .await
}

/// Runs `work` in one transaction and ends it either way.
async fn within_transaction<T>(
    client: &Client,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let failed = |error| store_error("read or migrate the schema", error);
    client.batch_execute(BEGIN).await.map_err(failed)?;
    match work.await {
        Ok(outcome) => {
            client.batch_execute("COMMIT").await.map_err(failed)?;
            Ok(outcome)
        }
        Err(error) => {
            // If even this fails the connection is gone, and its transaction with it.
            let _ = client.batch_execute("ROLLBACK").await;
            Err(error)
        }
    }
}

/// Names without a schema mean this one, to the end of the transaction.
async fn go_to(client: &Client, schema: &str) -> Result<(), StoreError> {
    let set = format!("SET LOCAL search_path TO {}", quoted(schema));
    client.batch_execute(&set).await.map_err(|error| store_error("read the schema", error))
}

/// Reads the meta table, of the schema that names mean, and refuses one that does not serve this client.
async fn read(client: &Client, schema: &str) -> Result<Stated, StoreError> {
    let rows = match client.query_typed(READ, &[]).await {
        Ok(rows) => rows,
        // It has other columns, or is no table.
        Err(error) if error.code().is_some_and(|code| matches!(code.code(), "42703" | "42P01" | "42809")) => {
            return Err(not_ours(schema, "stent_schema"));
        }
        Err(error) => return Err(store_error("read the schema", error)),
    };
    let stated = rows.first().and_then(|row| {
        let product: String = row.try_get(0).ok()?;
        Some(Stated { version: row.try_get(1).ok()?, oldest_client: row.try_get(2).ok()? })
            .filter(|_| product == "stent")
    });
    let stated = stated.ok_or_else(|| not_ours(schema, "stent_schema"))?;
    check_client(&stated)?;
    Ok(stated)
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
        .with_hint("a newer Stent has migrated it: upgrade this program"))
}

fn newest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

fn is_newest(version: i32) -> bool {
    version >= newest()
}

const NOTHING_TOUCHED: &str = "nothing was touched: add ?schema=NAME to the address, or rename it";

fn not_ours(schema: &str, table: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unusable,
        format!("the schema \"{schema}\" has a table \"{table}\" that is not Stent's"),
    )
    .with_hint(NOTHING_TOUCHED)
}

/// What a role lacks that may make no tables where they would go.
fn missing_grant(surroundings: &Surroundings, schema: &Schema) -> StoreError {
    let user = quoted(&surroundings.user);
    let grant = if schema.exists {
        format!("GRANT USAGE, CREATE ON SCHEMA {} TO {user}", quoted(&schema.name))
    } else {
        format!("GRANT CREATE ON DATABASE {} TO {user}", quoted(&surroundings.database))
    };
    let place = if schema.exists { "in the schema" } else { "as the schema is not there:" };
    let message = format!(
        "Stent's tables are not there yet, and the role {user} may not make them {place} {}",
        quoted(&schema.name)
    );
    StoreError::new(StoreErrorKind::Unusable, message)
        .with_hint(format!("run this as an administrator: {grant}; or open the store once with a role that may"))
}

/// Refuses a role that may not read and write the tables that are there.
fn check_rights(surroundings: &Surroundings, schema: &Schema) -> Result<(), StoreError> {
    let (user, name) = (quoted(&surroundings.user), quoted(&schema.name));
    let mut grants = Vec::new();
    if !schema.is_usable {
        grants.push(format!("GRANT USAGE ON SCHEMA {name} TO {user};"));
    }
    if !schema.closed.is_empty() {
        grants.push(format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {user};"));
    }
    if grants.is_empty() {
        return Ok(());
    }
    let message = format!("the role {user} may not read and write Stent's tables in the schema {name}");
    Err(StoreError::new(StoreErrorKind::Unusable, message)
        .with_hint(format!("run this as their owner: {}", grants.join(" "))))
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
mod tests;

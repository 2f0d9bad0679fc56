//! Opening real databases: where the tables go, who may make and who may use them, and what is left alone.

use std::sync::{Arc, Mutex};

use stent_servers::{Database, PgBouncer, PoolMode, Role, Server};

use super::*;
use crate::connect::{Connected, connect};

#[test]
fn a_server_before_15_is_refused_by_name() {
    assert!(check_server(150_018, "15.18").is_ok());
    assert!(check_server(180_000, "18.0").is_ok());
    let error = check_server(140_022, "14.22 (Debian 14.22-1)").unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unusable);
    assert!(error.to_string().contains("14.22"), "{error}");
}

#[test]
fn every_table_index_and_view_of_the_migrations_is_known_by_name() {
    let names: Vec<_> = created_names(MIGRATIONS[0]).collect();
    for name in ["stent_schema", "tasks", "tasks_ready", "routes", "cache", "stent_overview", "sessions"] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
}

fn opened(url: &str) -> Result<String, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut address = Address::parse(url, &|_| None).unwrap();
        let Connected { client, mut driver, is_direct } = connect(&address).await?;
        driver.during(open(&client, is_direct, &mut address)).await?;
        // Where this session looks for names that have no schema.
        let query = "SELECT to_regclass('stent_schema') IS NOT NULL";
        if is_direct {
            let found = driver.during(client.query_typed_one(query, &[])).await.unwrap();
            assert!(found.get::<_, bool>(0), "a direct connection that opened the schema goes on in it");
        }
        Ok(address.schema.unwrap())
    })
}

fn refused(url: &str) -> StoreError {
    match opened(url) {
        Err(error) => error,
        Ok(schema) => panic!("{url} was opened in {schema}"),
    }
}

/// Names of tables outside the server's own schemas, with their schemas.
fn tables(database: &Database) -> Vec<String> {
    let query = "SELECT table_schema || '.' || table_name FROM information_schema.tables
                 WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1";
    database.psql(query).unwrap().lines().map(str::to_owned).collect()
}

/// The statements that an error tells to run, from the first GRANT to the last one's end.
fn grants(error: &StoreError) -> String {
    let from = error.hint().find("GRANT").unwrap_or_else(|| panic!("no GRANT in {error}"));
    let until = error.hint().rfind(';').map_or(error.hint().len(), |at| at + 1);
    error.hint()[from..until].to_owned()
}

fn let_in(database: &Database, role: &Role) {
    database.psql(&format!("GRANT CREATE ON SCHEMA public TO {}", role.name())).unwrap();
}

#[test]
fn an_empty_database_gets_the_tables_once_and_where_seed_003_looks_for_them() {
    let database = Server::shared().database().unwrap();
    assert_eq!(opened(&database.url()).unwrap(), "public");
    let first = tables(&database);
    let counters = ["execution_counters", "execution_state"];
    for table in ["executions", "tasks", "signals", "dead_letters", "cache", "idempotency"].into_iter().chain(counters)
    {
        assert!(first.contains(&format!("public.{table}")), "{table} is missing in {first:?}");
    }
    database.psql("VACUUM ANALYZE executions; VACUUM ANALYZE tasks").unwrap();
    assert_eq!(opened(&database.url()).unwrap(), "public");
    assert_eq!(tables(&database), first);
    assert_eq!(
        database.psql("SELECT product, version, oldest_client FROM stent_schema").unwrap(),
        format!("stent|{}|1", MIGRATIONS.len())
    );
}

#[test]
fn eight_that_come_at_once_make_the_tables_once() {
    let database = Server::shared().database().unwrap();
    let pooler = PgBouncer::start(Server::shared(), PoolMode::Transaction).unwrap();
    let own = format!("{}?schema=mine", database.url());
    let pooled = format!("{}?schema=pooled", pooler.url(&database));
    for url in [&database.url(), &own, &pooled] {
        let schemas: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| opened(url).unwrap())).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(schemas.iter().all(|schema| *schema == schemas[0]), "{schemas:?}");
        assert_eq!(database.psql(&format!("SELECT count(*) FROM {}.stent_schema", schemas[0])).unwrap(), "1");
    }
}

#[test]
fn through_a_pooler_nothing_outlives_the_opening() {
    let database = Server::shared().database().unwrap();
    let pooler = PgBouncer::start(Server::shared(), PoolMode::Transaction).unwrap();
    assert_eq!(opened(&format!("{}?schema=mine", pooler.url(&database))).unwrap(), "mine");
    // One connection of the pool's served everything so far, and serves the next client as it came.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let address = Address::parse(&pooler.url(&database), &|_| None).unwrap();
        let Connected { client, mut driver, .. } = connect(&address).await.unwrap();
        for (setting, default) in [("search_path", "\"$user\", public"), ("jit", "on")] {
            let asked: [(&(dyn ToSql + Sync), Type); 1] = [(&setting, Type::TEXT)];
            let row = driver.during(client.query_typed_one("SELECT current_setting($1)", &asked)).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), default);
        }
    });
}

#[test]
fn a_table_of_our_name_that_is_not_ours_is_refused_and_nothing_is_touched() {
    for (made, named) in [
        ("CREATE TABLE tasks (mine text); INSERT INTO tasks VALUES ('kept')", "\"tasks\""),
        ("CREATE VIEW sessions AS SELECT 'kept' AS mine", "\"sessions\""),
        ("CREATE TABLE other (mine text); CREATE INDEX tasks_ready ON other (mine)", "\"tasks_ready\""),
        ("CREATE TYPE executions AS ENUM ('mine')", "\"executions\""),
        ("CREATE TABLE stent_schema (mine text)", "\"stent_schema\""),
        (
            "CREATE TABLE stent_schema (product text, version int4, oldest_client int4);
             INSERT INTO stent_schema VALUES ('other', 1, 1)",
            "\"stent_schema\"",
        ),
        ("CREATE TABLE stent_schema (product text, version text, oldest_client text)", "\"stent_schema\""),
    ] {
        let database = Server::shared().database().unwrap();
        database.psql(made).unwrap();
        let before = database.dump(&[]).unwrap();
        let error = refused(&database.url());
        assert_eq!(error.kind(), StoreErrorKind::Unusable, "{made}: {error}");
        assert!(error.to_string().contains(named) && error.hint().contains("?schema="), "{made}: {error}");
        assert_eq!(without_keys(&database.dump(&[]).unwrap()), without_keys(&before));
        assert_eq!(opened(&format!("{}?schema=beside", database.url())).unwrap(), "beside");
    }
}

/// A dump without the lines that hold a new random key each time.
fn without_keys(dump: &str) -> Vec<&str> {
    dump.lines().filter(|line| !line.starts_with(r"\restrict") && !line.starts_with(r"\unrestrict")).collect()
}

#[test]
fn a_role_that_may_make_nothing_is_told_the_one_grant_that_it_lacks() {
    let database = Server::shared().database().unwrap();
    let role = Server::shared().role().unwrap();
    let error = refused(&database.url_as(&role));
    assert_eq!(error.kind(), StoreErrorKind::Unusable);
    assert!(tables(&database).is_empty());
    database.psql(&grants(&error)).unwrap();
    assert_eq!(opened(&database.url_as(&role)).unwrap(), "public");

    let database = Server::shared().database().unwrap();
    let url = format!("{}?schema=mine", database.url_as(&role));
    let error = refused(&url);
    database.psql(&grants(&error)).unwrap();
    assert_eq!(opened(&url).unwrap(), "mine");
}

#[test]
fn a_role_without_any_right_to_make_tables_works_with_those_that_are_there() {
    for schema in ["", "?schema=mine"] {
        let database = Server::shared().database().unwrap();
        let name = opened(&format!("{}{schema}", database.url())).unwrap();
        let role = Server::shared().role().unwrap();
        let url = format!("{}{schema}", database.url_as(&role));
        let error = refused(&url);
        assert_eq!(error.kind(), StoreErrorKind::Unusable);
        database.psql(&grants(&error)).unwrap();
        assert_eq!(opened(&url).unwrap(), name);
        assert!(database.psql_as(&role, &format!("CREATE TABLE {name}.more (x int)")).is_err());
    }
}

#[test]
fn the_setup_of_seed_003_works_as_it_is_written() {
    let server = Server::start().unwrap();
    for statement in [
        "CREATE DATABASE stent",
        "CREATE USER stent WITH PASSWORD 'your-secure-password'",
        "GRANT ALL PRIVILEGES ON DATABASE stent TO stent",
    ] {
        server.psql(statement).unwrap();
    }
    let url = format!("postgresql://stent:your-secure-password@localhost:{}/stent", server.port());
    // Its own schema, since nobody but the owner of the database may make tables in public since version 15.
    assert_eq!(opened(&url).unwrap(), "stent");
    assert_eq!(opened(&url).unwrap(), "stent");
    server.psql_as("stent", "stent", "VACUUM ANALYZE executions; VACUUM ANALYZE tasks").unwrap();
    // A grant that comes later does not lead away from the tables.
    server.psql_as("postgres", "stent", "GRANT CREATE ON SCHEMA public TO stent").unwrap();
    assert_eq!(opened(&url).unwrap(), "stent");
}

#[test]
fn the_tables_go_to_the_first_schema_of_the_roles_own_search_path() {
    let database = Server::shared().database().unwrap();
    let role = Server::shared().role().unwrap();
    let name = role.name();
    database
        .psql(&format!(
            "CREATE SCHEMA \"the App\" AUTHORIZATION {name};
             ALTER ROLE {name} IN DATABASE {} SET search_path = missing, \"the App\", public",
            database.name()
        ))
        .unwrap();
    let_in(&database, &role);
    assert_eq!(opened(&database.url_as(&role)).unwrap(), "the App");
    database.psql(&format!("DROP OWNED BY {name} CASCADE")).unwrap();
}

#[test]
fn tables_of_another_role_that_are_first_in_the_search_path_are_not_left_for_new_ones() {
    let database = Server::shared().database().unwrap();
    let role = Server::shared().role().unwrap();
    database.psql(&format!("GRANT CREATE ON DATABASE {} TO {}", database.name(), role.name())).unwrap();
    assert_eq!(opened(&database.url()).unwrap(), "public");
    let error = refused(&database.url_as(&role));
    assert!(grants(&error).contains("ON ALL TABLES IN SCHEMA \"public\""), "{error}");
    assert!(tables(&database).iter().all(|table| table.starts_with("public.")));
}

#[test]
fn a_schema_that_no_longer_serves_this_client_is_refused() {
    let database = Server::shared().database().unwrap();
    opened(&database.url()).unwrap();
    database.psql("UPDATE stent_schema SET version = 9, oldest_client = 1").unwrap();
    assert!(opened(&database.url()).is_ok(), "a newer schema that still serves this client is used as it is");
    assert_eq!(database.psql("SELECT version FROM stent_schema").unwrap(), "9");
    database.psql("UPDATE stent_schema SET oldest_client = 7").unwrap();
    let error = refused(&database.url());
    assert_eq!(error.kind(), StoreErrorKind::Unusable);
    assert!(error.to_string().contains("schema 9, which serves clients from 7 on"), "{error}");
    assert!(error.hint().contains("upgrade"), "{error}");
}

#[test]
fn a_database_that_cannot_be_written_is_refused_as_such() {
    let database = Server::shared().database().unwrap();
    database.psql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name())).unwrap();
    let error = refused(&database.url());
    assert!(error.kind() == StoreErrorKind::ReadOnly && error.hint().contains("primary"), "{error}");
}

#[test]
fn a_database_that_has_no_place_for_every_name_is_refused() {
    let database = Server::shared().database_with("ENCODING 'LATIN1' LOCALE 'C'").unwrap();
    let error = refused(&database.url());
    assert!(error.kind() == StoreErrorKind::Unusable && error.to_string().contains("LATIN1"), "{error}");
    assert!(opened(&Server::shared().database_with("ENCODING 'SQL_ASCII' LOCALE 'C'").unwrap().url()).is_ok());
}

/// Keeps what is said at level WARN.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Ear {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Words(String);
        impl tracing::field::Visit for Words {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!("{field}={value:?} "));
            }
        }
        let mut words = Words(String::new());
        event.record(&mut words);
        self.0.lock().unwrap().push(words.0);
    }
}

#[test]
fn a_role_whose_commits_are_not_synced_is_warned_of_once() {
    let database = Server::shared().database().unwrap();
    let warned = || {
        let ear = Ear::default();
        tracing::subscriber::with_default(ear.clone(), || opened(&database.url()).unwrap());
        let said = ear.0.lock().unwrap().clone();
        said.into_iter().filter(|words| words.contains("synchronous_commit=off")).count()
    };
    assert_eq!(warned(), 0);
    database.psql(&format!("ALTER DATABASE {} SET synchronous_commit = off", database.name())).unwrap();
    assert_eq!(warned(), 1);
}

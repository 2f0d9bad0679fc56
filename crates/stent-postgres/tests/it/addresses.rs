//! Addresses as a process of its own has them: with its environment. What each part means is in the unit tests.

use std::process::{Command, Output};

use stent_postgres::{Options, PostgresStore};
use stent_servers::Server;

/// This program, told to open the store at `url`; it has no variable of libpq's yet.
pub(crate) fn opener(url: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "addresses::a_child_process_opens_the_store", "--nocapture"]).env("STENT_IT_URL", url);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        child.env_remove(name);
    }
    child
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_child_process_opens_the_store() {
    let Ok(url) = std::env::var("STENT_IT_URL") else { return };
    match PostgresStore::from_url(&url, Options::default()) {
        Ok(store) => println!("opened {store:?}"),
        Err(error) => println!("refused {:?}: {error} ({error:?})", error.kind()),
    }
}

#[test]
fn an_address_without_any_part_is_the_one_in_libpqs_variables() {
    let server = Server::shared();
    let (database, role) = (server.database().unwrap(), server.role_with_password("secret").unwrap());
    database.psql(&format!("GRANT CREATE ON SCHEMA public TO {}", role.name())).unwrap();
    let with = |password: &str| {
        let mut child = opener("postgresql://");
        child.env("PGHOST", "127.0.0.1").env("PGPORT", server.port().to_string()).env("PGUSER", role.name());
        let output = child.env("PGDATABASE", database.name()).env("PGPASSWORD", password).output().unwrap();
        said(&output)
    };
    let refused = with("not the secret");
    assert!(refused.contains("refused Unusable") && !refused.contains("not the secret"), "{refused}");
    let opened = with("secret");
    assert!(opened.contains("opened ") && opened.contains(role.name()) && !opened.contains("secret"), "{opened}");
    assert_eq!(database.psql("SELECT product FROM stent_schema").unwrap(), "stent");
}

#[test]
fn an_address_of_another_store_is_refused_with_one_that_would_do() {
    let error = PostgresStore::from_url("sqlite://stent.db", Options::default()).unwrap_err();
    assert!(error.to_string().contains("postgres://user:password@host:5432/database"), "{error}");
}

//! Databases and roles of one test. Both are dropped when the test lets go of them; their names are new in every test
//! of every process, so tests on one server do not meet.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::endpoint::{Endpoint, SUPERUSER, run};
use crate::ports::random;
use crate::server::WITH_PASSWORD;

/// How long a dump or a script may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);

/// An empty database; dropped, with whatever is connected to it, when this is.
#[derive(Debug)]
pub struct Database {
    endpoint: Arc<Endpoint>,
    name: String,
}

/// A login role without any privilege; dropped when this is, unless it still owns something.
#[derive(Debug)]
pub struct Role {
    endpoint: Arc<Endpoint>,
    name: String,
    password: Option<String>,
}

impl Database {
    /// `options` are clauses of `CREATE DATABASE`.
    pub(crate) fn create(endpoint: &Arc<Endpoint>, options: &str) -> anyhow::Result<Self> {
        let database = Self { endpoint: Arc::clone(endpoint), name: fresh_name("db") };
        let name = &database.name;
        endpoint.psql(SUPERUSER, "postgres", &format!("CREATE DATABASE {name} TEMPLATE template0 {options}"))?;
        Ok(database)
    }

    /// Its name; needs no quotes in SQL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address over TCP, as the superuser: `postgres://postgres@127.0.0.1:20001/name`.
    pub fn url(&self) -> String {
        self.url_at(self.endpoint.port)
    }

    /// The same through another port of this machine: a proxy's or a pool's.
    pub fn url_at(&self, port: u16) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{port}/{}", self.name)
    }

    /// Its address over TCP as another role, with that role's password if it has one.
    pub fn url_as(&self, role: &Role) -> String {
        let password = role.password.as_ref().map(|password| format!(":{}", in_url(password))).unwrap_or_default();
        format!("postgres://{}{password}@127.0.0.1:{}/{}", role.name, self.endpoint.port, self.name)
    }

    /// Its address over the unix socket: `postgres://postgres@/name?host=/folder&port=20001`.
    pub fn socket_url(&self) -> String {
        let Endpoint { sockets, port, .. } = &*self.endpoint;
        format!("postgres://{SUPERUSER}@/{}?host={}&port={port}", self.name, sockets.display())
    }

    /// Runs SQL as the superuser, each statement by itself: the text of all rows, `|` between columns.
    ///
    /// # Errors
    ///
    /// At the first statement that fails, with what the server says of it.
    pub fn psql(&self, sql: &str) -> anyhow::Result<String> {
        self.endpoint.psql(SUPERUSER, &self.name, sql)
    }

    /// Runs SQL as another role.
    ///
    /// # Errors
    ///
    /// As [`Database::psql`].
    pub fn psql_as(&self, role: &Role, sql: &str) -> anyhow::Result<String> {
        let mut command = self.endpoint.psql_command(&role.name, &self.name);
        if let Some(password) = &role.password {
            command.env("PGPASSWORD", password);
        }
        run(&mut command, sql, PATIENCE)
    }

    /// Runs a file of SQL as the superuser, in one transaction.
    ///
    /// # Errors
    ///
    /// As [`Database::psql`]; the file's changes are gone then.
    pub fn psql_file(&self, file: &Path) -> anyhow::Result<String> {
        let mut command = self.endpoint.psql_command(SUPERUSER, &self.name);
        run(command.arg("--single-transaction").arg("-f").arg(file), "", PATIENCE)
    }

    /// What `pg_dump` writes of it with these options, such as `--schema-only`.
    ///
    /// # Errors
    ///
    /// If `pg_dump` fails.
    pub fn dump(&self, options: &[&str]) -> anyhow::Result<String> {
        run(self.command("pg_dump").args(options), "", PATIENCE)
    }

    /// One of PostgreSQL's own programs (`pg_dump`, `pgbench`, `psql`) that finds this database by its environment.
    pub fn command(&self, program: &str) -> Command {
        self.endpoint.client(program, SUPERUSER, &self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.endpoint.tidy_up(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

impl Role {
    pub(crate) fn create(endpoint: &Arc<Endpoint>, password: Option<&str>) -> anyhow::Result<Self> {
        let name = fresh_name(if password.is_some() { "pw" } else { "role" });
        let role = Self { endpoint: Arc::clone(endpoint), name, password: password.map(str::to_owned) };
        let name = &role.name;
        let clauses = password
            .map(|password| format!("PASSWORD '{}' IN ROLE {WITH_PASSWORD}", password.replace('\'', "''")))
            .unwrap_or_default();
        endpoint.psql(SUPERUSER, "postgres", &format!("CREATE ROLE {name} LOGIN {clauses}"))?;
        Ok(role)
    }

    /// Its name; needs no quotes in SQL.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.endpoint.tidy_up(&format!("DROP ROLE IF EXISTS {}", self.name));
    }
}

/// A text as a part of a URL.
fn in_url(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A name that no test of any process has.
fn fresh_name(kind: &str) -> String {
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let process = PROCESS.get_or_init(random) & 0xffff_ffff;
    format!("{kind}_{process:08x}_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

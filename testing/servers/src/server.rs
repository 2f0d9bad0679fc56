//! The server that tests see: one of their own, or one that all share. Hurting it needs one's own.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::Context;

use crate::cluster::{Cluster, Stop};
use crate::database::{Database, Role};
use crate::endpoint::{Endpoint, MAINTENANCE, SUPERUSER};
use crate::ports::local;

/// Names a running server that all tests may use: `host=/folder/of/its/socket port=20001`.
const SHARED: &str = "STENT_TEST_POSTGRES";

/// The role whose members need their passwords; everybody else is trusted. PostgreSQL 15 knows no patterns for names.
pub(crate) const WITH_PASSWORD: &str = "with_password";

/// A running PostgreSQL. Ended, and its folder removed, when dropped.
#[derive(Debug)]
pub struct Server {
    endpoint: Arc<Endpoint>,
    /// Nothing if somebody else looks after the server.
    cluster: Option<Mutex<Cluster>>,
}

/// Where a server lies and what it is set to.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    folder: Option<PathBuf>,
    settings: Vec<(String, String)>,
}

impl ServerOptions {
    /// In a new folder inside this one, which must be reachable by other users; else on the system's disk for
    /// temporary files.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// With a line of `postgresql.conf`, which wins over ours.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Makes the server and starts it.
    ///
    /// # Errors
    ///
    /// If this machine has no PostgreSQL that is new enough, or it does not start; its log is part of the error.
    pub fn start(&self) -> anyhow::Result<Server> {
        let cluster = Cluster::start_new(self.folder.as_deref(), &self.settings)?;
        let endpoint = Endpoint::new(cluster.installation.clone(), cluster.sockets.clone(), cluster.port);
        let server = Server { endpoint: Arc::new(endpoint), cluster: Some(Mutex::new(cluster)) };
        server.psql(&format!("CREATE ROLE {WITH_PASSWORD} NOLOGIN"))?;
        Ok(server)
    }
}

impl Server {
    /// A server of one's own on the disk for temporary files.
    ///
    /// # Errors
    ///
    /// As [`ServerOptions::start`].
    pub fn start() -> anyhow::Result<Self> {
        ServerOptions::default().start()
    }

    /// A server for many tests, none of which takes its machine's power away: it does not wait for the disk, which would
    /// take most of the time of making and dropping their databases. What it has committed outlives its processes, as
    /// ever.
    ///
    /// # Errors
    ///
    /// As [`ServerOptions::start`].
    pub fn start_for_many() -> anyhow::Result<Self> {
        ServerOptions::default().set("fsync", "off").start()
    }

    /// A server of one's own in a new folder inside this one: for measurements, on the disk that is to be measured.
    ///
    /// # Errors
    ///
    /// As [`ServerOptions::start`].
    pub fn start_in(folder: impl Into<PathBuf>) -> anyhow::Result<Self> {
        ServerOptions::default().folder(folder).start()
    }

    /// The server of all tests in this process: the one that the variable `STENT_TEST_POSTGRES` names, as `cargo xtask
    /// test` sets it, else one that is started now and ends with the process.
    ///
    /// # Panics
    ///
    /// If there is none and none can be started: every test that asks would fail alike.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
        let server = SERVER.get_or_init(|| {
            let named = env::var(SHARED).ok();
            let found = named.map_or_else(Self::start_for_many, |words| Self::of_somebody(&words));
            found.map_err(|error| format!("{error:#}"))
        });
        match server {
            Ok(server) => server,
            #[expect(clippy::panic, reason = "called by tests alone, which end this way")]
            Err(error) => panic!("no PostgreSQL for the tests: {error}"),
        }
    }

    fn of_somebody(words: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::parse(words).with_context(|| format!("the variable {SHARED}"))?;
        let server = Self { endpoint: Arc::new(endpoint), cluster: None };
        server.psql("SELECT 1").with_context(|| format!("the server that {SHARED} names does not answer: unset it"))?;
        Ok(server)
    }

    /// The variable, and the value, by which [`Server::shared`] of a child process finds this server.
    pub fn shared_variable(&self) -> (&'static str, String) {
        (SHARED, self.endpoint.words())
    }

    /// Its address over TCP.
    pub fn address(&self) -> SocketAddr {
        local(self.endpoint.port)
    }

    /// Its TCP port on this machine.
    pub fn port(&self) -> u16 {
        self.endpoint.port
    }

    /// The folder of its unix socket.
    pub fn sockets(&self) -> &Path {
        &self.endpoint.sockets
    }

    /// Its major version, such as 15.
    pub fn major(&self) -> u32 {
        self.endpoint.installation.major()
    }

    /// The file it logs to.
    ///
    /// # Errors
    ///
    /// If the server is somebody else's.
    pub fn log(&self) -> anyhow::Result<PathBuf> {
        Ok(self.cluster()?.log().to_owned())
    }

    /// A new, empty database. Text is sorted by its bytes.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub fn database(&self) -> anyhow::Result<Database> {
        Database::create(&self.endpoint, "")
    }

    /// A new, empty database with clauses of `CREATE DATABASE`, such as `LOCALE_PROVIDER icu ICU_LOCALE 'en-US'`.
    ///
    /// # Errors
    ///
    /// If the server does not answer or refuses them.
    pub fn database_with(&self, options: &str) -> anyhow::Result<Database> {
        Database::create(&self.endpoint, options)
    }

    /// A new role that may log in, without a password, and has no other privilege.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub fn role(&self) -> anyhow::Result<Role> {
        Role::create(&self.endpoint, None)
    }

    /// A new role that needs this password (SCRAM-SHA-256) to log in. Its name begins with `pw_`.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub fn role_with_password(&self, password: &str) -> anyhow::Result<Role> {
        Role::create(&self.endpoint, Some(password))
    }

    /// Runs SQL as the superuser in the database that is always there.
    ///
    /// # Errors
    ///
    /// At the first statement that fails, with what the server says of it.
    pub fn psql(&self, sql: &str) -> anyhow::Result<String> {
        self.endpoint.psql(SUPERUSER, MAINTENANCE, sql)
    }

    /// Runs SQL as a role in a database, by their names.
    ///
    /// # Errors
    ///
    /// As [`Server::psql`].
    pub fn psql_as(&self, user: &str, database: &str, sql: &str) -> anyhow::Result<String> {
        self.endpoint.psql(user, database, sql)
    }

    /// A crash: every process of the server is killed, and none is left when this returns.
    ///
    /// # Errors
    ///
    /// If the server is somebody else's.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.hurt(|cluster| {
            cluster.kill();
            Ok(())
        })
    }

    /// Ends every session, writes everything down and ends.
    ///
    /// # Errors
    ///
    /// If the server is somebody else's.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.hurt(|cluster| cluster.stop(Stop::Fast))
    }

    /// Ends without writing anything down; the sessions are told. The next start recovers.
    ///
    /// # Errors
    ///
    /// If the server is somebody else's.
    pub fn stop_at_once(&self) -> anyhow::Result<()> {
        self.hurt(|cluster| cluster.stop(Stop::AtOnce))
    }

    /// Starts the server again where it was, and returns when it serves. One that runs is stopped first.
    ///
    /// # Errors
    ///
    /// If the server is somebody else's, or does not start; its log is part of the error.
    pub fn restart(&self) -> anyhow::Result<()> {
        self.hurt(|cluster| {
            cluster.stop(Stop::Fast)?;
            cluster.start()
        })
    }

    /// Stops all its processes where they are, as a machine that hangs: connections stay, nothing is answered.
    ///
    /// # Errors
    ///
    /// If the server is somebody else's.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.hurt(|cluster| {
            cluster.pause();
            Ok(())
        })
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    ///
    /// If the server is somebody else's.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.hurt(|cluster| {
            cluster.resume();
            Ok(())
        })
    }

    fn hurt(&self, how: impl FnOnce(&mut Cluster) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut cluster = self.cluster()?;
        let outcome = how(&mut cluster);
        self.endpoint.is_silent.store(!cluster.is_serving(), Ordering::Release);
        outcome
    }

    fn cluster(&self) -> anyhow::Result<MutexGuard<'_, Cluster>> {
        let cluster = self.cluster.as_ref().context("this server is shared with other processes: use Server::start")?;
        Ok(cluster.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Who may come, and how: `pg_hba.conf`.
pub(crate) fn host_rules() -> String {
    ["local all", "host all"]
        .iter()
        .map(|kind| {
            let address = if kind.starts_with("host") { " 127.0.0.1/32" } else { "" };
            format!("{kind} +{WITH_PASSWORD}{address} scram-sha-256\n{kind} all{address} trust\n")
        })
        .chain(["local replication all trust\nhost replication all 127.0.0.1/32 trust\n".to_owned()])
        .collect()
}

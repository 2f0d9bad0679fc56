//! A real PgBouncer between a test and its server: Debian's, with its own defaults but for the pool mode. It trusts
//! everybody and is the superuser towards the server.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::account::Account;
use crate::database::Database;
use crate::endpoint::{SUPERUSER, await_until};
use crate::home::{Home, scratch};
use crate::installation::program;
use crate::ports::{free_port, local};
use crate::server::Server;

/// How long it may take to listen.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How long a connection to the server belongs to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// As long as a transaction: two statements of one client may meet two servers' sessions.
    Transaction,
    /// As long as the client stays.
    Session,
}

/// A running PgBouncer. Ended, and its folder removed, when dropped.
#[derive(Debug)]
pub struct PgBouncer {
    account: Account,
    program: PathBuf,
    child: Option<Child>,
    port: u16,
    home: Home,
}

impl PgBouncer {
    /// Whether this machine has it.
    pub fn is_installed() -> bool {
        program("pgbouncer").is_some()
    }

    /// Starts one before a server, and returns when it listens.
    ///
    /// # Errors
    ///
    /// If this machine has none, or it does not start; what it says is part of the error.
    pub fn start(server: &Server, mode: PoolMode) -> anyhow::Result<Self> {
        let program = program("pgbouncer").context("there is no pgbouncer: apt-get install pgbouncer")?;
        let account = Account::of_servers()?;
        let home = Home::make_in(&scratch()?, &account)?;
        let mut bouncer = Self { account, program, child: None, port: free_port()?, home };
        bouncer.write_settings(server, mode)?;
        bouncer.launch()?;
        Ok(bouncer)
    }

    /// The address of a database of the server's through the pool.
    pub fn url(&self, database: &Database) -> String {
        database.url_at(self.port)
    }

    /// Its address over TCP.
    pub fn address(&self) -> SocketAddr {
        local(self.port)
    }

    /// Its TCP port on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, all of its connections with it, and starts it again at the same address.
    ///
    /// # Errors
    ///
    /// As [`PgBouncer::start`].
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.end();
        self.launch()
    }

    fn write_settings(&self, server: &Server, mode: PoolMode) -> anyhow::Result<()> {
        let mode = match mode {
            PoolMode::Transaction => "transaction",
            PoolMode::Session => "session",
        };
        let settings = format!(
            "[databases]\n* = host={} port={} user={SUPERUSER}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n",
            server.sockets().display(),
            server.port(),
            self.port,
        );
        fs::write(self.settings(), settings).context("cannot write the settings of PgBouncer")
    }

    fn settings(&self) -> PathBuf {
        self.home.folder().join("pgbouncer.ini")
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        let log_path = self.home.folder().join("log");
        let log = File::create(&log_path).context("cannot make the log of PgBouncer")?;
        let mut command = self.account.server_command(&self.program, "KILL");
        command.arg(self.settings()).current_dir(self.home.folder()).stdin(Stdio::null());
        command.stderr(log.try_clone().context("cannot share the log of PgBouncer")?).stdout(log);
        let mut child = crate::keeper::spawn(command).context("cannot start PgBouncer")?;
        let said = || fs::read_to_string(&log_path).unwrap_or_default();
        let listens = await_until(START_LIMIT, || {
            if let Some(end) = child.try_wait().context("cannot look after PgBouncer")? {
                bail!("PgBouncer ended at its start: {end}\n{}", said());
            }
            Ok(TcpStream::connect(local(self.port)).is_ok())
        });
        self.child = Some(child);
        match listens {
            Ok(true) => Ok(()),
            Ok(false) => bail!("PgBouncer does not listen after {START_LIMIT:?}\n{}", said()),
            Err(error) => Err(error),
        }
    }

    fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // It keeps nothing on the disk, so the hard way is as good as any, and takes a paused one too.
        drop(child.kill());
        drop(child.wait());
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.end();
    }
}

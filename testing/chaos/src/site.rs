//! The store of a run, from outside: a file, or a database on a server of the run's own that can be killed. Knows where
//! it is and what the database says of itself; knows no task.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use stent_servers::{Database, PgBouncer, PoolMode, Server};

use crate::place::Place;

/// How long a server that was started again may take until it answers the workers' way. A pool waits for 15 s before it
/// tries a server again that was away.
const RETURN_LIMIT: Duration = Duration::from_secs(90);

/// How often it is asked meanwhile.
const GLANCE: Duration = Duration::from_millis(50);

/// How workers reach a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Through {
    /// By its own port.
    Direct,
    /// By a PgBouncer in transaction mode.
    Pgbouncer,
}

pub enum Site {
    Sqlite(PathBuf),
    Postgres(Box<Hosted>),
}

/// A database on a server. What stands on something else goes before it.
pub struct Hosted {
    database: Database,
    pool: Option<PgBouncer>,
    server: Server,
}

impl Site {
    pub fn file(place: &Place) -> Self {
        Self::Sqlite(place.store())
    }

    pub fn server(through: Through) -> anyhow::Result<Self> {
        let server = Server::start()?;
        let pool = match through {
            Through::Direct => None,
            Through::Pgbouncer => Some(PgBouncer::start(&server, PoolMode::Transaction)?),
        };
        Ok(Self::Postgres(Box::new(Hosted { database: server.database()?, pool, server })))
    }

    /// Its address, as workers take it.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(file) => format!("sqlite://{}", file.display()),
            Self::Postgres(hosted) => hosted.database.url_at(hosted.port()),
        }
    }

    /// Kills the server, leaves it dead for a while, starts it again, and returns when workers could reach it. Blocks.
    pub fn suffer(&self, downtime: Duration) -> anyhow::Result<()> {
        let Self::Postgres(hosted) = self else { anyhow::bail!("a file has no server to kill") };
        hosted.server.kill().context("cannot kill the server")?;
        std::thread::sleep(downtime);
        hosted.server.restart().context("the server does not start again")?;
        hosted.answers()
    }

    /// What the database says of itself: `ok`, or what is wrong.
    pub fn integrity(&self) -> anyhow::Result<String> {
        match self {
            Self::Sqlite(file) => integrity_of_file(file),
            Self::Postgres(hosted) => hosted.integrity(),
        }
    }

    /// Leaves in the run's folder what will be gone with the server. A file lies there already.
    pub fn keep(&self, place: &Place) -> anyhow::Result<()> {
        if let Self::Postgres(hosted) = self {
            std::fs::write(place.dump(), hosted.database.dump(&[])?).context("cannot keep the store")?;
            std::fs::copy(hosted.server.log()?, place.server_log()).context("cannot keep the server's log")?;
        }
        Ok(())
    }
}

impl Hosted {
    fn port(&self) -> u16 {
        self.pool.as_ref().map_or_else(|| self.server.port(), PgBouncer::port)
    }

    /// Returns when a statement comes through.
    fn answers(&self) -> anyhow::Result<()> {
        let since = Instant::now();
        loop {
            let mut psql = self.database.command("psql");
            psql.env("PGHOST", "127.0.0.1").env("PGPORT", self.port().to_string());
            psql.args(["-X", "-q", "-c", "SELECT 1"]);
            psql.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if psql.status().context("cannot start psql")?.success() {
                return Ok(());
            }
            ensure!(since.elapsed() < RETURN_LIMIT, "the server that was started again does not answer");
            std::thread::sleep(GLANCE);
        }
    }

    fn integrity(&self) -> anyhow::Result<String> {
        if let Err(error) = self.database.psql(include_str!("../sql/postgres/indexes.sql")) {
            return Ok(format!("{error:#}"));
        }
        let late = self.database.psql(include_str!("../sql/postgres/fences.sql"))?;
        Ok(if late == "0" { "ok".to_owned() } else { format!("{late} records were written past a fence") })
    }
}

fn integrity_of_file(store: &Path) -> anyhow::Result<String> {
    let connection = rusqlite::Connection::open(store).context("cannot open the store")?;
    let said = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0));
    said.context("the store cannot be checked")
}

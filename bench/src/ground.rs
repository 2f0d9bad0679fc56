//! Where the measurements of a run get their databases: files in its folder, or databases on its server. Each
//! measurement has a fresh one, gone when it ends, so that none pays for what another left behind.

use crate::place::Place;
use crate::postgres::host::Host;

/// One store's ground.
pub enum Ground {
    /// Files.
    Sqlite(Place),
    /// A server's databases.
    Postgres(Box<Host>),
}

/// A database that nobody has used.
pub struct Database {
    /// Its address, as `durable` takes it.
    pub url: String,
    /// On a server: dropped there with this. A file goes with the folder.
    _on_server: Option<stent_servers::Database>,
}

impl Ground {
    /// A database that nobody has used.
    pub fn fresh_database(&self) -> anyhow::Result<Database> {
        Ok(match self {
            Self::Sqlite(place) => {
                Database { url: format!("sqlite://{}", place.fresh_file().display()), _on_server: None }
            }
            Self::Postgres(host) => {
                let database = host.fresh_database()?;
                Database { url: database.url(), _on_server: Some(database) }
            }
        })
    }

    /// The folder below all of it.
    pub const fn place(&self) -> &Place {
        match self {
            Self::Sqlite(place) => place,
            Self::Postgres(host) => host.place(),
        }
    }

    /// What the store stands on.
    pub fn version(&self) -> anyhow::Result<String> {
        match self {
            Self::Sqlite(_) => Ok(format!("SQLite {}", rusqlite::version())),
            Self::Postgres(host) => host.version(),
        }
    }

    /// How it is set up, where that can differ.
    pub fn settings(&self) -> anyhow::Result<Vec<(String, String)>> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Postgres(host) => host.settings(),
        }
    }
}

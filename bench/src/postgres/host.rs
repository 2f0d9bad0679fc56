//! The server of a run: a private one on the disk that is to be measured, as durable as the design asks, and as Debian
//! ships it in all that is not named here. Every measurement gets a database of its own.

use anyhow::Context;
use stent_servers::{Database, Server, ServerOptions};

use crate::place::Place;

/// What the server is told. The harness's own settings beside these touch no measurement (sockets, the log's lines).
const SETTINGS: [(&str, &str); 5] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("shared_buffers", "256MB"),
    ("max_wal_size", "4GB"),
    // The harness has more; this is what Debian ships.
    ("max_connections", "100"),
];

/// What the report says of the server, as the server says it.
const TOLD: [&str; 6] =
    ["synchronous_commit", "fsync", "full_page_writes", "wal_sync_method", "shared_buffers", "max_wal_size"];

/// A running server with its folder.
pub struct Host {
    server: Server,
    // Removed last, when the server has ended.
    place: Place,
}

impl Host {
    /// Starts a server in the folder of the run.
    pub fn start(place: Place) -> anyhow::Result<Self> {
        let options = ServerOptions::default().folder(place.folder());
        let options = SETTINGS.iter().fold(options, |options, (name, value)| options.set(*name, *value));
        Ok(Self { server: options.start().context("no PostgreSQL to measure")?, place })
    }

    /// A database that nobody has used; dropped with the answer.
    pub fn fresh_database(&self) -> anyhow::Result<Database> {
        self.server.database()
    }

    /// Where its files lie.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// What the server calls itself.
    pub fn version(&self) -> anyhow::Result<String> {
        Ok(format!("PostgreSQL {}", self.server.psql("SELECT split_part(current_setting('server_version'), ' ', 1)")?))
    }

    /// The settings that a reader of the figures asks for, as they are.
    pub fn settings(&self) -> anyhow::Result<Vec<(String, String)>> {
        TOLD.iter().map(|name| Ok(((*name).to_owned(), self.server.psql(&format!("SHOW {name}"))?))).collect()
    }
}

//! Where a run keeps its files: the ledger, and beside it a store that is a file, or what is left of one that is not.

use std::path::{Path, PathBuf};

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct Place(PathBuf);

impl Place {
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// A store that is a file.
    pub fn store(&self) -> PathBuf {
        self.0.join("chaos.db")
    }

    /// What a server's database held at the end, and what the server said meanwhile.
    pub fn dump(&self) -> PathBuf {
        self.0.join("store.sql")
    }

    pub fn server_log(&self) -> PathBuf {
        self.0.join("server.log")
    }

    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger")
    }
}

//! Where a run keeps its files: the store and, beside it, the ledger.

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

    pub fn store(&self) -> PathBuf {
        self.0.join("chaos.db")
    }

    pub fn store_url(&self) -> String {
        format!("sqlite://{}", self.store().display())
    }

    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger")
    }
}

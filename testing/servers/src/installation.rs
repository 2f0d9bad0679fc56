//! Where this machine keeps PostgreSQL's programs. Finds, installs nothing: `cargo xtask test --only setup` does.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// The oldest major version that Stent serves.
pub(crate) const OLDEST: u32 = 15;

/// Where Debian puts each version's programs.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Where servers lie that an ordinary user's PATH does not name.
const SYSTEM_PROGRAMS: &[&str] = &["/usr/sbin", "/sbin"];

/// The programs of one PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    folder: PathBuf,
    /// As the server says it, such as `15.14`.
    version: String,
    major: u32,
}

impl Installation {
    /// The newest one that is new enough.
    ///
    /// # Errors
    ///
    /// If there is none: the error names what would bring it.
    pub fn find() -> anyhow::Result<Self> {
        let on_path = program("postgres").into_iter().chain(pg_config_folder());
        let folders = debian_folders().into_iter().chain(on_path.filter_map(|found| folder_of(&found)));
        folders
            .filter_map(|folder| Self::at(&folder))
            .max_by_key(|found| found.major)
            .with_context(|| format!("no PostgreSQL server from version {OLDEST} on: apt-get install postgresql"))
    }

    fn at(folder: &Path) -> Option<Self> {
        let is_whole = ["postgres", "initdb", "psql"].iter().all(|name| folder.join(name).is_file());
        let told = is_whole.then(|| Command::new(folder.join("postgres")).arg("--version").output())?.ok()?;
        let version = version_of(&String::from_utf8_lossy(&told.stdout))?;
        let major = major_of(&version)?;
        (major >= OLDEST).then(|| Self { folder: folder.to_owned(), version, major })
    }

    /// Its major version, such as 15.
    pub fn major(&self) -> u32 {
        self.major
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// One of its programs, such as `pg_dump`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// A program on the PATH, or where systems keep theirs.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_PROGRAMS.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|found| found.is_file())
}

fn debian_folders() -> Vec<PathBuf> {
    let Ok(versions) = fs::read_dir(VERSIONS) else { return Vec::new() };
    versions.flatten().map(|version| version.path().join("bin")).collect()
}

fn pg_config_folder() -> Option<PathBuf> {
    let told = Command::new(program("pg_config")?).arg("--bindir").output().ok()?;
    Some(Path::new(String::from_utf8_lossy(&told.stdout).trim()).join("postgres"))
}

/// The folder of a program, with links followed: the others lie beside the program itself.
fn folder_of(found: &Path) -> Option<PathBuf> {
    fs::canonicalize(found).ok()?.parent().map(Path::to_owned)
}

/// `15.14` of `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn version_of(told: &str) -> Option<String> {
    told.strip_prefix("postgres (PostgreSQL) ")?.split_whitespace().next().map(str::to_owned)
}

fn major_of(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_the_server_says_of_itself() {
        let told = "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n";
        assert_eq!(version_of(told).as_deref(), Some("15.14"));
        assert_eq!(version_of("no server"), None);
        assert_eq!(["15.14", "18beta1", "devel"].map(major_of), [Some(15), Some(18), None]);
    }

    #[test]
    fn this_machine_has_one_that_is_new_enough() {
        let found = Installation::find().unwrap();
        assert!(found.major() >= OLDEST);
        assert!(found.program("pg_dump").is_file());
    }
}

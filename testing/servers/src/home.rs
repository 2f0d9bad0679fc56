//! Folders of servers: each is one process's, which holds a lock on a file beside it. The kernel lets go of the lock
//! when the process ends, however it ends, so the next one to come here knows which folders may go.

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::account::Account;
use crate::processes;

const PREFIX: &str = "stent-server-";
const LOCK: &str = "lock";

/// Others may pass through to what they are given, and list nothing.
const PASSAGE: u32 = 0o711;

/// A folder that is removed when dropped, or by the next process if this one ends before.
#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Home {
    /// A new folder inside another, owned by the account; those of dead processes beside it are removed.
    pub(crate) fn make_in(parent: &Path, account: &Account) -> anyhow::Result<Self> {
        let parent = fs::canonicalize(parent).with_context(|| format!("no folder {}", parent.display()))?;
        sweep(&parent);
        let (lock, lock_path) = lock_new(&parent).with_context(|| format!("cannot write to {}", parent.display()))?;
        let home = Self { folder: lock_path.with_extension(""), lock_path, _lock: lock };
        let made = fs::DirBuilder::new().mode(PASSAGE).create(&home.folder);
        made.with_context(|| format!("cannot make the folder {}", home.folder.display()))?;
        account.own(&home.folder)?;
        Ok(home)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What cannot be removed now is tried again by the next sweep, which needs the lock file for that.
        if fs::remove_dir_all(&self.folder).is_ok() {
            drop(fs::remove_file(&self.lock_path));
        }
    }
}

/// Where folders go that nobody chose a place for: on a disk, not in memory as `/tmp` may be, and with a short path,
/// because that of a socket is limited to 107 bytes.
pub(crate) fn scratch() -> anyhow::Result<PathBuf> {
    let chosen = env::var_os("TMPDIR").map(PathBuf::from);
    let disk = Path::new("/var/tmp");
    let parent = chosen.unwrap_or_else(|| if disk.is_dir() { disk.to_owned() } else { env::temp_dir() });
    let uid = rustix::process::geteuid().as_raw();
    let scratch = parent.join(format!("stent-servers-{uid}"));
    match fs::DirBuilder::new().mode(PASSAGE).create(&scratch) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make the folder {}", scratch.display()));
        }
        _ => {}
    }
    // Anybody may write to the parent: a folder or a link that somebody else put there is not ours.
    let found = fs::symlink_metadata(&scratch).with_context(|| format!("cannot see {}", scratch.display()))?;
    ensure!(found.is_dir() && found.uid() == uid, "{} is not ours: set TMPDIR", scratch.display());
    // A strict umask may have narrowed it.
    fs::set_permissions(&scratch, fs::Permissions::from_mode(PASSAGE)).context("cannot open our own folder")?;
    Ok(scratch)
}

/// A new lock file with the lock held.
fn lock_new(parent: &Path) -> io::Result<(File, PathBuf)> {
    loop {
        let suffix = format!(".{LOCK}");
        let made = tempfile::Builder::new().prefix(PREFIX).suffix(&suffix).tempfile_in(parent)?;
        let (file, path) = made.keep().map_err(|error| error.error)?;
        file.lock()?;
        // A sweep may have taken the file between its making and its locking.
        let ours = file.metadata()?.ino();
        if fs::metadata(&path).is_ok_and(|found| found.ino() == ours) {
            return Ok((file, path));
        }
    }
}

/// Removes what dead processes left. What resists (somebody else's) stays.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_lock = path.extension().is_some_and(|extension| extension == LOCK);
        if !is_lock || !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let Ok(lock) = File::open(&path) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        let folder = path.with_extension("");
        // A server that was paused when its owner died has not heard of it yet.
        processes::kill_all_in(&folder);
        let is_gone = fs::remove_dir_all(&folder).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        });
        if is_gone.is_ok() {
            drop(fs::remove_file(&path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account::of_servers().unwrap()
    }

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_home_leaves_nothing_behind() {
        let parent = tempfile::tempdir().unwrap();
        let home = Home::make_in(parent.path(), &account()).unwrap();
        fs::write(home.folder().join("file"), "x").unwrap();
        assert_eq!(count(parent.path()), 2);
        drop(home);
        assert_eq!(count(parent.path()), 0);
    }

    #[test]
    fn homes_of_the_dead_are_removed_and_those_of_the_living_stay() {
        let parent = tempfile::tempdir().unwrap();
        let living = Home::make_in(parent.path(), &account()).unwrap();
        let dead = parent.path().join(format!("{PREFIX}dead"));
        fs::create_dir(&dead).unwrap();
        fs::write(dead.with_extension(LOCK), "").unwrap();
        let foreign = parent.path().join("notes.lock");
        fs::write(&foreign, "").unwrap();
        let next = Home::make_in(parent.path(), &account()).unwrap();
        assert!(!dead.exists() && !dead.with_extension(LOCK).exists());
        assert!(living.folder().exists() && next.folder().exists() && foreign.exists());
    }
}

//! Turns between processes. SQLite's own wait polls and is unfair: a neighbour that commits back to back can starve a
//! single commit for seconds. Two lock files make a queue: who wants to write takes the gate, then the turn, then
//! leaves the gate; so while one writes the next already stands in the gate, and whoever just wrote is behind it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

use stent_core::{StoreError, StoreErrorKind};

use crate::open::LOCK_WAIT;

/// One of the two files.
struct Door {
    path: PathBuf,
    file: File,
}

/// The way into the one turn of a database file.
pub(crate) struct Turnstile {
    gate: Door,
    turn: Door,
}

/// A lock that is held until it is dropped.
enum Held<'a> {
    /// On the file that stays open.
    Kept(&'a File),
    /// On one that was opened to wait; closing it lets go.
    Waited(#[expect(dead_code, reason = "held for its lock")] File),
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Self::Kept(file) = self
            && let Err(error) = file.unlock()
        {
            tracing::error!(%error, "a turn could not be given back");
        }
    }
}

/// The turn, until it is dropped.
pub(crate) struct Turn<'a>(#[expect(dead_code, reason = "held for its lock")] Held<'a>);

/// `path` with `suffix` behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    name.into()
}

fn failed(path: &Path, error: std::io::Error) -> StoreError {
    let (kind, hint) = match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            (StoreErrorKind::ReadOnly, "the database's directory must be writable by this user")
        }
        std::io::ErrorKind::StorageFull => (StoreErrorKind::Full, "free some space"),
        _ => (StoreErrorKind::Unusable, "the database must lie on a local disk that knows file locks"),
    };
    StoreError::new(kind, format!("could not use the lock file {}: {error}", path.display()))
        .with_hint(hint)
        .with_source(error)
}

pub(crate) fn open_lock_file(path: &Path) -> Result<File, StoreError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    opened.map_err(|error| failed(path, error))
}

impl Door {
    fn new(path: PathBuf) -> Result<Self, StoreError> {
        let file = open_lock_file(&path)?;
        Ok(Self { path, file })
    }

    /// Takes the lock, waiting until `deadline`.
    fn pass(&self, deadline: Instant) -> Result<Held<'_>, StoreError> {
        match self.file.try_lock() {
            Ok(()) => Ok(Held::Kept(&self.file)),
            Err(TryLockError::WouldBlock) => self.wait(deadline),
            Err(TryLockError::Error(error)) => Err(failed(&self.path, error)),
        }
    }

    /// Waits in the kernel's own line, on a thread, since a wait for a lock knows no time limit. The thread has a file
    /// of its own: should it be given up, closing that lets go of a lock that comes late, and of no other.
    fn wait(&self, deadline: Instant) -> Result<Held<'static>, StoreError> {
        let file = open_lock_file(&self.path)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let waiter = std::thread::Builder::new().name("stent-turn".to_owned()).spawn(move || {
            let locked = file.lock().map(|()| file);
            drop(sender.send(locked));
        });
        waiter.map_err(|error| failed(&self.path, error))?;
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Ok(file)) => Ok(Held::Waited(file)),
            Ok(Err(error)) => Err(failed(&self.path, error)),
            Err(_) => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "another process has held the turn to write for 5 s")
                    .with_hint("it may be stopped, or hang in a transaction of its own around an engine call"))
            }
        }
    }
}

impl Turnstile {
    /// The turnstile of the database at `path`.
    pub(crate) fn new(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { gate: Door::new(beside(path, "-gate"))?, turn: Door::new(beside(path, "-turn"))? })
    }

    /// Waits for this process's turn to write.
    pub(crate) fn take(&self) -> Result<Turn<'_>, StoreError> {
        let deadline = Instant::now() + LOCK_WAIT;
        let gate = self.gate.pass(deadline)?;
        let turn = self.turn.pass(deadline)?;
        drop(gate);
        Ok(Turn(turn))
    }
}

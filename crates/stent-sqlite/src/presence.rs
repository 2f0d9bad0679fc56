//! Presence: one lock file for each session, held by its process. When the process dies the kernel lets go, and others
//! see it at once. What is silent for too long counts as gone too: by time since boot, never by the wall clock.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stent_core::{SessionId, StoreError, StoreErrorKind};

use crate::clock::BootMoment;
use crate::turns::open_lock_file;

/// The sessions this store shows as present.
pub(crate) struct Presence {
    /// Where the lock files lie; none for a database in memory, which no other process sees.
    directory: Option<PathBuf>,
    held: Mutex<HashMap<SessionId, Option<File>>>,
}

/// An open session's last beat.
pub(crate) struct Beat {
    pub(crate) session: SessionId,
    pub(crate) ms: i64,
    pub(crate) boot: String,
}

impl Presence {
    pub(crate) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory, held: Mutex::default() }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Option<File>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, session: SessionId) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(format!("{session}.lock")))
    }

    /// Shows a session as present until it leaves or this process dies.
    pub(crate) fn enter(&self, session: SessionId) -> Result<(), StoreError> {
        let mut held = self.held();
        if held.contains_key(&session) {
            return Ok(());
        }
        let file = match (&self.directory, self.path(session)) {
            (Some(directory), Some(path)) => {
                std::fs::create_dir_all(directory).map_err(|error| {
                    let message = format!("could not create the directory {}: {error}", directory.display());
                    StoreError::new(StoreErrorKind::ReadOnly, message)
                        .with_hint("the database's directory must be writable by this user")
                        .with_source(error)
                })?;
                let file = open_lock_file(&path)?;
                file.try_lock().map_err(|error| {
                    let message = format!("could not lock {}: {error}", path.display());
                    StoreError::new(StoreErrorKind::Unusable, message).with_hint("the session is present already")
                })?;
                Some(file)
            }
            _ => None,
        };
        held.insert(session, file);
        Ok(())
    }

    /// Ends a session's presence.
    pub(crate) fn leave(&self, session: SessionId) {
        // Removed before it is let go, so that nobody finds a file that is held by no one.
        let left = self.held().remove(&session);
        if left.is_some() {
            self.remove_file(session);
        }
    }

    fn remove_file(&self, session: SessionId) {
        if let Some(path) = self.path(session)
            && let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "a lock file could not be removed");
        }
    }

    /// Of these open sessions, those that are not present any more or silent for `timeout`.
    pub(crate) fn gone(&self, beats: Vec<Beat>, now: &BootMoment, timeout: Duration) -> Vec<SessionId> {
        let timeout = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        let silent = |beat: &Beat| *beat.boot != *now.boot || now.ms.saturating_sub(beat.ms) >= timeout;
        beats.into_iter().filter(|beat| silent(beat) || self.is_absent(beat.session)).map(|beat| beat.session).collect()
    }

    /// Whether nobody holds the session's lock. Looking opens the file anew and lets go at once, so it never takes a
    /// presence away: a session enters before it is opened, and nobody asks about one that is not open.
    fn is_absent(&self, session: SessionId) -> bool {
        if self.held().contains_key(&session) {
            return false;
        }
        let Some(path) = self.path(session) else { return true };
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => match file.try_lock() {
                Ok(()) => true,
                // What cannot be told is not gone: its silence will tell.
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
            },
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// A session was closed for good: its file is of no more use, whoever it belonged to.
    pub(crate) fn forget(&self, session: SessionId) {
        if !self.held().contains_key(&session) {
            self.remove_file(session);
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let sessions: Vec<_> = self.held().keys().copied().collect();
        for session in sessions {
            self.leave(session);
        }
    }
}

//! Turns between processes. SQLite's own wait polls and is unfair: a neighbour that commits back to back can starve a
//! single commit for seconds. Two lock files make a queue: who wants to write takes the gate, then the turn, then
//! leaves the gate; so while one writes the next already stands in the gate, and whoever just wrote is behind it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use stent_core::{StoreError, StoreErrorKind};

use crate::open::LOCK_WAIT;

/// One of the two files.
struct Door {
    path: PathBuf,
    file: File,
    waiter: Arc<Waiter>,
}

/// The thread that stands in the kernel's line for a door: at most one, however often the wait for it is given up.
#[derive(Default)]
struct Waiter {
    place: Mutex<Place>,
    came: Condvar,
}

#[derive(Default)]
struct Place {
    /// The thread is there.
    stands: bool,
    /// Somebody waits for what it gets; else a lock that comes late is let go.
    wanted: bool,
    got: Option<std::io::Result<File>>,
}

impl Waiter {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// On the thread: takes the lock on a file of its own, since closing that lets go of this lock and of no other.
    fn stand(&self, file: File) {
        let locked = file.lock().map(|()| file);
        let mut place = self.place();
        place.stands = false;
        if place.wanted {
            place.got = Some(locked);
        }
        drop(place);
        self.came.notify_all();
    }
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
        Ok(Self { path, file, waiter: Arc::default() })
    }

    /// Takes the lock if it is free.
    fn try_pass(&self) -> Result<Option<Held<'_>>, StoreError> {
        match self.file.try_lock() {
            Ok(()) => Ok(Some(Held::Kept(&self.file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(&self.path, error)),
        }
    }

    /// Takes the lock, waiting until `deadline`.
    fn pass(&self, deadline: Instant) -> Result<Held<'_>, StoreError> {
        match self.try_pass()? {
            Some(held) => Ok(held),
            None => self.wait(deadline),
        }
    }

    /// Waits in the kernel's own line, on a thread, since a wait for a lock knows no time limit. A wait that is given up
    /// leaves the thread where it stands, and the next one finds it there.
    fn wait(&self, deadline: Instant) -> Result<Held<'static>, StoreError> {
        let mut place = self.waiter.place();
        if !place.stands {
            let file = open_lock_file(&self.path)?;
            let waiter = Arc::clone(&self.waiter);
            let thread = std::thread::Builder::new().name("stent-turn".to_owned()).spawn(move || waiter.stand(file));
            thread.map_err(|error| failed(&self.path, error))?;
            place.stands = true;
        }
        place.wanted = true;
        let left = deadline.saturating_duration_since(Instant::now());
        let waits = |place: &mut Place| place.got.is_none();
        let waited = self.waiter.came.wait_timeout_while(place, left, waits).unwrap_or_else(PoisonError::into_inner);
        let mut place = waited.0;
        place.wanted = false;
        match place.got.take() {
            Some(Ok(file)) => Ok(Held::Waited(file)),
            Some(Err(error)) => Err(failed(&self.path, error)),
            None => {
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

    /// The turn, if it is free and nobody waits for it.
    pub(crate) fn try_take(&self) -> Result<Option<Turn<'_>>, StoreError> {
        let Some(_gate) = self.gate.try_pass()? else { return Ok(None) };
        Ok(self.turn.try_pass()?.map(Turn))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    /// How many descriptors of this process are open on a file.
    fn open_on(path: &Path) -> usize {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        all.filter(|fd| std::fs::read_link(fd.as_ref().unwrap().path()).is_ok_and(|target| target == path)).count()
    }

    #[test]
    fn a_neighbour_that_keeps_the_turn_costs_one_thread_and_one_file_however_often_it_is_tried() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("stent.db-turn");
        let neighbour = open_lock_file(&path).unwrap();
        neighbour.lock().unwrap();
        let door = Door::new(path.clone()).unwrap();
        let is_refused = || assert_eq!(door.pass(soon()).err().unwrap().kind(), StoreErrorKind::Unavailable);
        is_refused();
        let since = Instant::now();
        while open_on(&path) < 3 {
            assert!(since.elapsed() < Duration::from_secs(30), "nobody waits for the turn");
            std::thread::yield_now();
        }
        (0..4).for_each(|_| is_refused());
        assert_eq!(open_on(&path), 3, "the neighbour's, the door's and one that waits");
        neighbour.unlock().unwrap();
        // What came late was let go: nobody had asked any more.
        neighbour.lock().unwrap();
        neighbour.unlock().unwrap();
        let held = door.pass(Instant::now() + LOCK_WAIT).unwrap();
        assert!(neighbour.try_lock().is_err(), "the door is passed by one at a time");
        drop(held);
        neighbour.lock().unwrap();
    }

    #[test]
    fn a_wait_takes_the_place_in_line_that_one_before_it_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stent.db-turn");
        let neighbour = open_lock_file(&path).unwrap();
        neighbour.lock().unwrap();
        let door = Door::new(path).unwrap();
        assert!(door.pass(soon()).is_err());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| door.pass(Instant::now() + LOCK_WAIT).map(drop));
            while !door.waiter.place().wanted {
                std::thread::yield_now();
            }
            neighbour.unlock().unwrap();
            assert!(waits.join().unwrap().is_ok());
        });
    }
}

//! Reads: a few threads with a connection each, so that a read blocks neither the writer nor its caller's runtime. Each
//! read is one transaction, so it sees one moment, and every batch that was acknowledged before it began. A glance (a
//! row or two by key, some microseconds) is shorter than the way to a thread and back, so its caller takes it itself.

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rusqlite::Connection;
use stent_core::{StoreError, StoreErrorKind};

use crate::error::store_error;
use crate::open;
use crate::query::Statements;

/// How many reads run at once. Reads are short; more would only take cores from the writer.
const THREADS: usize = 2;

type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) + Send>;

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// The store is gone, or this many want the threads to rest: whoever comes has to wait.
    closed: bool,
    resting: usize,
}

impl Line {
    const fn takes_none(&self) -> bool {
        self.closed || self.resting > 0
    }
}

struct Shared {
    path: PathBuf,
    line: Mutex<Line>,
    came: Condvar,
    /// The connection of those who only glance; none while the store rests.
    near: Mutex<Option<Connection>>,
}

/// The reading threads of one store; they start at the first reads and end with it.
pub(crate) struct Readers(Arc<Shared>);

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        let (line, came, near) = (Mutex::default(), Condvar::new(), Mutex::new(None));
        Self(Arc::new(Shared { path, line, came, near }))
    }

    /// Runs `read` on one of the threads.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Statements<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let (teller, answer) = answer();
        self.submit(Box::new(move |connection| teller.tell(connection.and_then(|c| within_transaction(c, read)))));
        answer
    }

    /// Runs a read of a few rows on the caller's thread, or on one of the threads if another glances right now.
    pub(crate) async fn glance<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Statements<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let here = match self.0.near.try_lock() {
            Ok(mut near) => {
                if near.is_none() {
                    *near = Some(open::reader(&self.0.path)?);
                }
                match near.as_ref() {
                    Some(connection) => Ok(within_transaction(connection, read)),
                    None => Err(read),
                }
            }
            Err(_) => Err(read),
        };
        match here {
            Ok(answer) => answer,
            Err(read) => self.read(read).await,
        }
    }

    fn submit(&self, job: Job) {
        let mut line = self.0.line();
        line.jobs.push_back(job);
        self.hire(&mut line);
        drop(line);
        self.0.came.notify_one();
    }

    /// Starts a thread for what waits, if none is idle and there may be another.
    fn hire(&self, line: &mut Line) {
        if line.idle == 0 && line.threads < THREADS && !line.takes_none() {
            let shared = Arc::clone(&self.0);
            let spawned = std::thread::Builder::new().name("stent-read".to_owned()).spawn(move || work(&shared));
            match spawned {
                Ok(_) => line.threads += 1,
                // With no thread at all the jobs are dropped, which answers them.
                Err(error) if line.threads == 0 => {
                    tracing::error!(%error, "no thread could be started for reads");
                    line.jobs.clear();
                }
                Err(_) => {}
            }
        }
    }

    /// Ends the threads once they have read what was asked; asked again, they start again.
    pub(crate) fn rest(&self) {
        *self.0.near.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.begin_rest();
        let mut line = self.0.line();
        while line.threads > 0 {
            line = self.0.came.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        drop(line);
        self.end_rest();
    }

    fn begin_rest(&self) {
        self.0.line().resting += 1;
        self.0.came.notify_all();
    }

    /// Reads that were asked for meanwhile are carried out now.
    fn end_rest(&self) {
        let mut line = self.0.line();
        line.resting -= 1;
        if !line.jobs.is_empty() {
            self.hire(&mut line);
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.0.line().closed = true;
        self.0.came.notify_all();
    }
}

fn work(shared: &Shared) {
    let connection = open::reader(&shared.path);
    loop {
        let mut line = shared.line();
        let job = loop {
            if let Some(job) = line.jobs.pop_front() {
                break job;
            }
            // A failed open is tried anew by the next thread; a closed store needs none.
            if line.takes_none() || connection.is_err() {
                drop(connection);
                line.threads -= 1;
                shared.came.notify_all();
                return;
            }
            line.idle += 1;
            line = shared.came.wait(line).unwrap_or_else(PoisonError::into_inner);
            line.idle -= 1;
        };
        drop(line);
        job(connection.as_ref().map_err(Clone::clone));
    }
}

/// One read at one moment.
pub(crate) fn within_transaction<T>(
    connection: &Connection,
    read: impl FnOnce(&mut Statements<'_>) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let failed = |error| store_error("read the database", error);
    connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(failed)?;
    let answer = read(&mut Statements::new(connection));
    let ended = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
    if ended.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(failed)?;
    }
    answer.map_err(failed)
}

struct Slot<T> {
    told: Option<Result<T, StoreError>>,
    waker: Option<Waker>,
}

/// The asker's end.
pub(crate) struct Answer<T>(Arc<Mutex<Slot<T>>>);

/// The thread's end. Dropped untold it answers that there is nobody to ask.
struct Teller<T>(Option<Arc<Mutex<Slot<T>>>>);

fn answer<T>() -> (Teller<T>, Answer<T>) {
    let slot = Arc::new(Mutex::new(Slot { told: None, waker: None }));
    (Teller(Some(Arc::clone(&slot))), Answer(slot))
}

impl<T> Teller<T> {
    fn tell(mut self, answer: Result<T, StoreError>) {
        self.put(answer);
    }

    fn put(&mut self, answer: Result<T, StoreError>) {
        let Some(slot) = self.0.take() else { return };
        let waker = {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.told = Some(answer);
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Teller<T> {
    fn drop(&mut self) {
        self.put(Err(StoreError::new(StoreErrorKind::Unavailable, "the read was not carried out")));
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.told.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::open::{Options, Place, writer};

    #[test]
    fn a_read_that_comes_while_the_threads_go_to_rest_is_carried_out_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stent.db");
        let _writer = writer(&Place::File(path.clone()), &Options::default()).unwrap();
        let readers = Readers::new(path);
        let (tell, told) = mpsc::channel();
        readers.begin_rest();
        let _answer = readers.read(move |_| {
            tell.send(()).unwrap();
            Ok(())
        });
        assert!(told.recv_timeout(Duration::from_millis(20)).is_err(), "nothing is read while the store rests");
        readers.end_rest();
        told.recv_timeout(Duration::from_secs(10)).unwrap();
        readers.rest();
        assert_eq!(readers.0.line().threads, 0);
    }
}

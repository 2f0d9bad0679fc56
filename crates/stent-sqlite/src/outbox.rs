//! The outbox: commands on a transaction of the user's own, so that a start, a signal or an emit commits with the
//! user's rows or not at all. Nothing here goes through the store's writer, which would wait for the very lock that
//! the user's transaction holds.

use std::cell::Cell;
use std::marker::PhantomData;

use rusqlite::Connection;
use stent_core::command::{Command, Outcome};
use stent_core::{StoreError, StoreErrorKind};

use crate::clock::{BootClock, Clock};
use crate::commit::{Clocks, attempt};
use crate::error::store_error;
use crate::routes::Routes;
use crate::schema;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Marks its thread as inside a transaction of the user's own until it is dropped: an ordinary commit from this
/// thread is refused at once, since it would wait for a lock that this thread holds.
#[derive(Debug)]
pub struct Inside(PhantomData<*const ()>);

/// Enters a transaction of the user's own on this thread.
///
/// ```
/// let mark = stent_sqlite::outbox::enter();
/// assert!(stent_sqlite::outbox::inside());
/// drop(mark);
/// assert!(!stent_sqlite::outbox::inside());
/// ```
#[must_use]
pub fn enter() -> Inside {
    DEPTH.set(DEPTH.get() + 1);
    Inside(PhantomData)
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
    }
}

/// Whether this thread is inside a transaction of the user's own.
#[must_use]
pub fn inside() -> bool {
    DEPTH.get() > 0
}

/// What an ordinary engine call inside a user's transaction is answered.
pub(crate) fn refused() -> StoreError {
    StoreError::new(StoreErrorKind::Misuse, "an engine call inside a transaction of your own would wait for itself")
        .with_hint("give the call your connection (the outbox), or end the transaction first")
}

/// Carries the commands out on the user's connection, within the transaction that is open on it; they are there when
/// it commits. Its main database must be a Stent store. Other processes, and this one's workers, see them through
/// [`Store::watch`](stent_core::Store::watch).
///
/// # Errors
/// [`StoreErrorKind::Misuse`] when the connection's database has no Stent schema, [`StoreErrorKind::Unusable`] when
/// its schema does not serve this client, and what SQLite fails with. Nothing of the commands is there then; the
/// user's transaction stays open.
#[expect(clippy::needless_pass_by_value, reason = "the commands are the call's, as in `Store::commit`")]
pub fn apply(connection: &Connection, commands: Vec<Command>) -> Result<Vec<Outcome>, StoreError> {
    let failed = |error| store_error("write through your connection", error);
    schema::check(connection)?;
    let clocks = Clocks { wall: Clock::from_env(), boot: BootClock::new() };
    connection.execute_batch("SAVEPOINT stent_outbox").map_err(failed)?;
    let done = attempt(connection, &mut Routes::default(), &clocks, &commands);
    let ending = if done.is_ok() { "RELEASE stent_outbox" } else { "ROLLBACK TO stent_outbox; RELEASE stent_outbox" };
    // An error of the file may have ended the transaction itself, and the savepoint with it.
    let ended = if done.is_err() && connection.is_autocommit() { Ok(()) } else { connection.execute_batch(ending) };
    let committed = done.map_err(failed)?;
    ended.map_err(failed)?;
    Ok(committed.outcomes)
}

//! The outbox: commands on a transaction of the user's own, so that a start, a signal or an emit commits with the
//! user's rows or not at all. Nothing here goes through the store's committers, which would wait for the very locks
//! that the user's transaction holds.

use std::cell::Cell;
use std::marker::PhantomData;

use stent_core::{StoreError, StoreErrorKind};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Marks its thread as inside a transaction of the user's own until it is dropped: an ordinary commit from this
/// thread is refused at once, since it would wait for locks that this thread holds.
#[derive(Debug)]
pub struct Inside(PhantomData<*const ()>);

/// Enters a transaction of the user's own on this thread.
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
        .with_hint("give the call your transaction (the outbox), or end the transaction first")
}

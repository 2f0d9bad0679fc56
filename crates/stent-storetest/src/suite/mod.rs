//! The suite.

use std::sync::Arc;
use std::time::Duration;

use stent_core::{Store, Timestamp};

/// A fresh, empty store under test, and what a test moves around it. Dropping it cleans up.
pub trait Fixture {
    /// The store, as the process under test has it. The same handle each time.
    fn store(&self) -> Arc<dyn Store>;

    /// Another handle on the same database, as another process has it. The same handle each time.
    fn second(&self) -> Arc<dyn Store>;

    /// Moves the store's wall clock on, for all handles. Real time may pass as well, unless the clock is frozen.
    fn advance(&self, by: Duration);

    /// Freezes the store's wall clock at this time, for all handles: it moves by [`advance`](Self::advance) and by this
    /// alone from here on.
    fn set_clock(&self, now: Timestamp);
}

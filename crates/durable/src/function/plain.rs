//! A durable function that runs as written, without an engine: what its code carries along (counters, state) is kept
//! for as long as the outermost call runs, so that a unit test needs nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::Value;
use stent_core::{Timestamp, command};
use uuid::Uuid;

/// One outermost call that runs as written.
#[derive(Debug)]
pub(crate) struct PlainRun {
    pub(super) id: Uuid,
    carried: Mutex<Carried>,
}

#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) counters: BTreeMap<String, command::Number>,
    pub(super) state: BTreeMap<String, Value>,
}

impl Default for PlainRun {
    fn default() -> Self {
        Self { id: random_uuid(), carried: Mutex::default() }
    }
}

impl PlainRun {
    pub(super) fn carried(&self) -> MutexGuard<'_, Carried> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Chance that nobody needs to repeat.
pub(super) fn random_bits() -> u64 {
    fastrand::u64(..)
}

/// The machine's time: there is no store whose clock could be asked.
pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// An id that nobody needs to repeat.
pub(super) fn random_uuid() -> Uuid {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&random_bits().to_le_bytes());
    random[8..].copy_from_slice(&random_bits().to_le_bytes()[..2]);
    uuid::Builder::from_unix_timestamp_millis(now().unix_ms(), &random).into_uuid()
}

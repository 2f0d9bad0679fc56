//! Identifiers. Executions, sessions, signals and events get UUIDv7s, so that they sort by age; a child's id is
//! derived from its parent and key, so that it is the same after a crash. This module never reads a clock: who makes
//! an id brings the time and the randomness.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::key::CallKey;

/// Lays 48 bits of milliseconds and 74 random bits out as a UUIDv7.
fn v7(unix_ms: u64, random: [u8; 10]) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid()
}

/// How many calls of one name in a row have ids that sort together: about a page of their rows.
const SORTED_TOGETHER: u32 = 8;

/// The largest number that fits between an id's time and its digest.
const MOST_BETWEEN: u32 = 0x0fff;

/// Keeps the parent's time prefix and fills the rest from `digest`; version and variant bits stay those of a UUIDv7,
/// so that derived ids sort beside their parent.
fn with_time_of(parent: Uuid, digest: &blake3::Hash) -> Uuid {
    let mut bytes = *digest.as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]);
    bytes[..6].copy_from_slice(&parent.as_bytes()[..6]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new UUIDv7 from the caller's clock (milliseconds since 1970) and the caller's randomness.
            #[must_use]
            pub fn v7(unix_ms: u64, random: [u8; 10]) -> Self {
                Self(v7(unix_ms, random))
            }

            /// The id with exactly these bytes, as a store gives them back.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The sixteen bytes a store keeps.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The same id as a plain UUID.
            #[must_use]
            pub const fn uuid(&self) -> Uuid {
                self.0
            }

            /// A plain UUID taken as this kind of id.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// One dispatched run of a root function.
    ExecutionId
);
id!(
    /// One durable function call: the root's id equals its execution's, a child's is derived. It never changes.
    TaskId
);
id!(
    /// One attempt at a task: derived from the task and its run number.
    RunId
);
id!(
    /// A worker process's presence. A fresh one at each start.
    SessionId
);
id!(
    /// One signal given to an execution.
    SignalId
);
id!(
    /// One event published under a name.
    EventId
);

impl ExecutionId {
    /// The task that the root function runs as: the same id under its other name.
    #[must_use]
    pub const fn root(self) -> TaskId {
        TaskId(self.0)
    }

    /// The largest id there is of a millisecond or before.
    #[must_use]
    pub fn latest(unix_ms: u64) -> Self {
        let mut bytes = [0xff; 16];
        bytes[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
        Self::from_bytes(bytes)
    }

    /// The smallest and largest id that share this id's millisecond. Derived children share it with their
    /// execution, so a lookup by task id alone is a narrow range over executions.
    #[must_use]
    pub fn neighbours(id: TaskId) -> (Self, Self) {
        let (mut low, mut high) = ([0; 16], [0xff; 16]);
        low[..6].copy_from_slice(&id.0.as_bytes()[..6]);
        high[..6].copy_from_slice(&id.0.as_bytes()[..6]);
        (Self::from_bytes(low), Self::from_bytes(high))
    }
}

impl TaskId {
    /// The id of the child that `parent` calls under `key`. `instance` counts the failed children that an earlier
    /// attempt left under the same key: a retry that calls again gets a new task.
    ///
    /// The children of one name sort in the order of their calls, eight by eight: so a store writes those of a wide
    /// fan-out side by side, and not one to each page of its tables, and they are claimed in that order. 62 bits stay
    /// the digest's.
    #[must_use]
    pub fn derive(parent: Self, key: &CallKey, instance: u32) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("stent 2026 child task id");
        hasher.update(parent.as_bytes());
        hasher.update(&instance.to_le_bytes());
        hasher.update(key.as_str().as_bytes());
        let mut bytes = *with_time_of(parent.0, &hasher.finalize()).as_bytes();
        let place = (key.occurrence() / SORTED_TOGETHER).min(MOST_BETWEEN);
        [bytes[6], bytes[7]] = [0x70 | (place >> 8) as u8, (place & 0xff) as u8];
        Self::from_bytes(bytes)
    }

    /// Sixteen bytes that depend on nothing but this task and `key`: what `uuid` and `random` are made of, so that
    /// they need no record.
    #[must_use]
    pub fn derived_bytes(self, key: &CallKey) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("stent 2026 derived randomness");
        hasher.update(self.as_bytes());
        hasher.update(key.as_str().as_bytes());
        *hasher.finalize().as_bytes().first_chunk::<16>().unwrap_or(&[0; 16])
    }
}

impl RunId {
    /// The id of run number `run` of `task`; runs count from 1 and grow with each retry and replay.
    #[must_use]
    pub fn derive(task: TaskId, run: u32) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("stent 2026 run id");
        hasher.update(task.as_bytes());
        hasher.update(&run.to_le_bytes());
        Self(with_time_of(task.0, &hasher.finalize()))
    }
}

/// A task within its execution. Hot tables are keyed by the execution first, so both travel together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TaskRef {
    /// The execution the task belongs to.
    pub execution: ExecutionId,
    /// The task itself.
    pub task: TaskId,
}

impl TaskRef {
    /// The root task of `execution`.
    #[must_use]
    pub const fn root(execution: ExecutionId) -> Self {
        Self { execution, task: execution.root() }
    }

    /// Whether this task is its execution's root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.execution.0 == self.task.0
    }
}

impl fmt::Display for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { self.task.fmt(f) } else { write!(f, "{} of {}", self.task, self.execution) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_id_is_the_same_each_time_and_shares_its_parents_millisecond() {
        let parent = TaskId::v7(1_700_000_000_123, [7; 10]);
        let key = CallKey::new("", "charge", 1);
        let child = TaskId::derive(parent, &key, 0);
        assert_eq!(child, TaskId::derive(parent, &key, 0));
        assert_ne!(child, TaskId::derive(parent, &key, 1));
        assert_eq!(child.as_bytes()[..6], parent.as_bytes()[..6]);
        assert_eq!(child.uuid().get_version_num(), 7);
        let (low, high) = ExecutionId::neighbours(child);
        let execution = ExecutionId::from_bytes(*parent.as_bytes());
        assert!(low <= execution && execution <= high);
    }

    #[test]
    fn the_children_of_one_name_sort_in_the_order_of_their_calls_eight_by_eight() {
        let parent = TaskId::v7(1_700_000_000_123, [7; 10]);
        let child = |n| TaskId::derive(parent, &CallKey::new("", "row", n), 0);
        let ids: Vec<_> = (1..=40_000).map(child).collect();
        assert!((0..30_000).all(|at| ids[at] < ids[at + 16]));
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
        let of_a_branch = TaskId::derive(parent, &CallKey::new("b#2", "row", 800), 0);
        assert_eq!(of_a_branch.as_bytes()[..8], child(800).as_bytes()[..8]);
        assert!(ids.iter().all(|id| id.uuid().get_version_num() == 7));
    }

    #[test]
    fn ids_made_later_sort_later() {
        assert!(ExecutionId::v7(1, [255; 10]) < ExecutionId::v7(2, [0; 10]));
    }
}

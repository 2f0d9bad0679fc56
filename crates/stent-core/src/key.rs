//! The key of a call inside a task: (scope, name, occurrence), in the order of calls. The key identifies a record on
//! replay; argument digests only verify it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// `name` for the first call of a name, `name#2` for the second; a branch's calls carry its scope in front:
/// `branch/name#2`. Names may contain anything the name rules allow, so the parts are joined, never split again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallKey(Arc<str>);

impl CallKey {
    /// The key of the `occurrence`-th call (from 1) of `name` in `scope` (`""` is the task's own future).
    #[must_use]
    pub fn new(scope: &str, name: &str, occurrence: u32) -> Self {
        let text = match (scope, occurrence) {
            ("", 0 | 1) => name.into(),
            ("", n) => format!("{name}#{n}").into(),
            (scope, 0 | 1) => format!("{scope}/{name}").into(),
            (scope, n) => format!("{scope}/{name}#{n}").into(),
        };
        Self(text)
    }

    /// A key as a store gives it back.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The text a store keeps.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

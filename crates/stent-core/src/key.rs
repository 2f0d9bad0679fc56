//! The key of a call inside a task: (scope, name, occurrence), in the order of calls. The key identifies a record on
//! replay; argument digests only verify it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// `name` for the first call of a name, `name#2` for the second; a branch's calls carry its scope in front:
/// `branch/name#2`. A name's own `#`, `/` and `%` are written as `%23`, `%2F` and `%25`, so that no two calls share a
/// key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallKey(Arc<str>);

impl CallKey {
    /// The key of the `occurrence`-th call (from 1) of `name` in `scope` (`""` is the task's own future).
    #[must_use]
    pub fn new(scope: &str, name: &str, occurrence: u32) -> Self {
        let name = &*plain(name);
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

/// The name without the characters that join the parts of a key.
fn plain(name: &str) -> Cow<'_, str> {
    if name.contains(['#', '/', '%']) {
        name.replace('%', "%25").replace('#', "%23").replace('/', "%2F").into()
    } else {
        name.into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_makes_the_key_of_another_call() {
        assert_ne!(CallKey::new("", "row", 2), CallKey::new("", "row#2", 1));
        assert_ne!(CallKey::new("x", "1", 1), CallKey::new("", "x/1", 1));
        assert_ne!(CallKey::new("", "a#", 1), CallKey::new("", "a%23", 1));
        assert_eq!(CallKey::new("", "row", 2).as_str(), "row#2");
    }
}

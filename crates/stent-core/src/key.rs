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
        if scope.is_empty() && occurrence < 2 {
            return Self(name.into());
        }
        // Made for every call, replayed ones included: written piece by piece, which costs a third of `format!`.
        let mut text = String::with_capacity(scope.len() + name.len() + 12);
        if !scope.is_empty() {
            text.push_str(scope);
            text.push('/');
        }
        text.push_str(name);
        if occurrence > 1 {
            text.push('#');
            push_number(&mut text, occurrence);
        }
        Self(text.into())
    }

    /// Which call of its name it is, from 1. A name's own `#` is written otherwise, so what follows one is the number.
    #[must_use]
    pub fn occurrence(&self) -> u32 {
        let (_, call) = self.0.rsplit_once('/').unwrap_or(("", &self.0));
        call.rsplit_once('#').and_then(|(_, number)| number.parse().ok()).unwrap_or(1)
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

fn push_number(text: &mut String, number: u32) {
    if number > 9 {
        push_number(text, number / 10);
    }
    text.push(char::from_digit(number % 10, 10).unwrap_or('0'));
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
        assert_eq!(CallKey::new("a", "row", 1).as_str(), "a/row");
        assert_eq!(CallKey::new("a#2", "b/c", 7).occurrence(), 7);
        assert_eq!([CallKey::new("a#2", "#9", 1).occurrence(), CallKey::new("", "", 1).occurrence()], [1, 1]);
        assert_eq!(CallKey::new("a#2", "b/c", u32::MAX).as_str(), "a#2/b%2Fc#4294967295");
    }
}

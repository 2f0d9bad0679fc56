//! The one validator of names: functions, queues, steps, signals, events, tags, keys. Everything that becomes part
//! of a key or an index passes here, in every face and every store.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::NAME_BYTES;

/// A checked name: 1 to 255 bytes, no control characters, no blanks at either end. Any other Unicode is fine and
/// round-trips exactly; names are compared byte by byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// Checks `text`. `what` names the thing in the error: "queue", "step", "function" and so on.
    ///
    /// # Errors
    /// [`NameError`], naming the value and the rule it breaks.
    pub fn new(what: &'static str, text: &str) -> Result<Self, NameError> {
        let rule = if text.is_empty() {
            "must not be empty"
        } else if text.len() > NAME_BYTES {
            "must have at most 255 bytes"
        } else if text.chars().any(char::is_control) {
            "must not contain control characters"
        } else if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
            "must not begin or end with a blank"
        } else {
            return Ok(Self(text.into()));
        };
        Err(NameError { what, shown: shown(text), rule })
    }

    /// A name as a store gives it back: it was checked when it was written.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// At most the first 40 characters, with control characters escaped, so that an error never garbles a terminal.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        out.push('…');
    }
    out
}

/// A name that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.of(self.what))]
pub struct NameError {
    what: &'static str,
    shown: String,
    rule: &'static str,
}

impl NameError {
    /// The words of it for a thing that is known only now.
    #[must_use]
    pub fn of(&self, what: &str) -> String {
        format!("the {what} name \"{}\" {}", self.shown, self.rule)
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new("stored", &text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused_or_round_trip_exactly() {
        for bad in ["", " a", "a ", "a\0b", "\u{1b}[31m", "a\nb", &"x".repeat(256)] {
            assert!(Name::new("queue", bad).is_err(), "{bad:?}");
        }
        for good in ["a", "it's", "\"; DROP TABLE tasks; --", "\u{202e}rtl", "<script>", "名前", &"x".repeat(255)] {
            assert_eq!(Name::new("queue", good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn the_error_names_the_thing_the_value_and_the_rule() {
        let error = Name::new("queue", "a\u{7}").unwrap_err().to_string();
        assert_eq!(error, "the queue name \"a\\u{7}\" must not contain control characters");
    }
}

//! What user code says when something goes wrong: the error of a step's body, and how any Rust error becomes a
//! recorded failure. A failure is data: it is stored, replayed and shown, so it keeps words and JSON, not types.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use stent_core::{Failure, FailureKind};

/// Why a step's body failed. Any `std::error::Error`, `anyhow::Error`, `String` or `&str` turns into it by `?`; the
/// rest of what there is to say is added with [`permanent`](Self::permanent), [`retry_after`](Self::retry_after) and
/// [`details`](Self::details).
///
/// It is recorded as the step's outcome, so a replay hands the same failure to the code again. It implements no
/// `Error` itself: that is what lets every error turn into it.
///
/// ```
/// use std::time::Duration;
/// use durable::StepError;
///
/// fn charge(cents: i64) -> Result<String, StepError> {
///     if cents == 0 {
///         // Nothing will make this right: do not try again.
///         return Err(StepError::new("nothing to charge").permanent());
///     }
///     if cents < 0 {
///         let declined = StepError::new("declined").details(serde_json::json!({ "code": 51 }));
///         return Err(declined.retry_after(Duration::from_secs(30)));
///     }
///     let parsed: u64 = "12".parse()?; // any error turns into a `StepError`
///     Ok(format!("receipt-{parsed}"))
/// }
/// assert!(charge(0).unwrap_err().failure().permanent);
/// assert_eq!(charge(-1).unwrap_err().failure().retry_after_ms, Some(30_000));
/// assert_eq!(charge(1).unwrap(), "receipt-12");
/// ```
#[derive(Clone, PartialEq)]
pub struct StepError(Box<Failure>);

impl StepError {
    /// A failure with these words.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        Self(Box::new(Failure::new(FailureKind::Error, message.to_string())))
    }

    /// Never to be tried again, whatever the task's retry strategy allows, should it end the task.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.0.permanent = true;
        self
    }

    /// How long to wait before the task's next attempt, should it end this one, instead of what the retry strategy
    /// says.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after_ms = Some(millis(delay));
        self
    }

    /// Data of the error's own, kept as JSON. What serde cannot write is kept as its error's words.
    #[must_use]
    pub fn details(mut self, details: impl Serialize) -> Self {
        self.0.details = as_json(details);
        self
    }

    /// The failure as it is recorded.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.0
    }

    pub(crate) fn into_failure(self) -> Failure {
        *self.0
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for StepError {
    fn from(error: E) -> Self {
        Self(Box::new(failure_of(&*error.into())))
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An error's words followed by those of its sources, each once: many errors repeat their source's words.
pub(crate) fn failure_of(error: &(dyn Error + 'static)) -> Failure {
    let mut words = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        let more = source.to_string();
        if !words.contains(&more) {
            words.push_str(": ");
            words.push_str(&more);
        }
        below = source.source();
    }
    Failure::new(FailureKind::Error, words)
}

pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn as_json(details: impl Serialize) -> serde_json::Value {
    serde_json::to_value(details).unwrap_or_else(|error| serde_json::Value::String(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anyhows_context_and_its_sources_are_told_once_each() {
        let below = std::io::Error::other("disk on fire");
        let error = anyhow::Error::new(below).context("cannot save");
        assert_eq!(StepError::from(error).to_string(), "cannot save: disk on fire");
        assert_eq!(StepError::from("plain words").to_string(), "plain words");
    }
}

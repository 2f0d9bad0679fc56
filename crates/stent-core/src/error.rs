//! What a store can fail with. A refusal of one command is not an error (it is an [`Outcome`](crate::Outcome)); an
//! error means that nothing of the batch, or no answer to the query, is there.

use std::error::Error;

/// A store's failure, with a hint for the person who has to act on it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}{}{hint}", if .hint.is_empty() { "" } else { ": " })]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    hint: String,
    #[source]
    source: Option<std::sync::Arc<dyn Error + Send + Sync>>,
}

/// What sort of failure: what a caller may decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// It may go away by itself: busy, locked, connection lost. Try again later.
    Unavailable,
    /// No space is left; goes away when there is some.
    Full,
    /// The database cannot be written.
    ReadOnly,
    /// The address, file or schema is not one this client can use.
    Unusable,
    /// The database is damaged or answers what it should not.
    Corrupt,
    /// A call of the user's own that cannot be carried out as given.
    Misuse,
}

impl StoreError {
    /// A failure with these words.
    #[must_use]
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: String::new(), source: None }
    }

    /// Adds what the person should do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Adds the error below.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(std::sync::Arc::new(source));
        self
    }

    /// What sort of failure.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// What to do about it; empty when there is nothing to say.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Whether the same call may succeed later without anybody changing it.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Unavailable | StoreErrorKind::Full)
    }
}

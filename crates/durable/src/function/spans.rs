//! Spans of time as arguments: a `Duration`, or text like `"1h30m"`.

use std::time::Duration;

use stent_core::duration::{DurationError, parse_duration};

/// What can stand for a span of time: a `Duration`, or text such as `"90s"`, `"1h30m"` or `"1.5d"` (units `s`, `m`,
/// `h`, `d`, `w`).
///
/// ```
/// use std::time::Duration;
/// use durable::IntoSpan;
///
/// assert_eq!("1h30m".into_span().unwrap(), Duration::from_secs(5_400));
/// assert_eq!(Duration::from_secs(3).into_span().unwrap(), Duration::from_secs(3));
/// assert!("soon".into_span().is_err());
/// ```
pub trait IntoSpan {
    /// The span.
    ///
    /// # Errors
    /// [`DurationError`], which shows where the text stops being a duration.
    fn into_span(self) -> Result<Duration, DurationError>;
}

impl IntoSpan for Duration {
    fn into_span(self) -> Result<Duration, DurationError> {
        Ok(self)
    }
}

impl IntoSpan for &str {
    fn into_span(self) -> Result<Duration, DurationError> {
        parse_duration(self)
    }
}

impl IntoSpan for String {
    fn into_span(self) -> Result<Duration, DurationError> {
        parse_duration(&self)
    }
}

/// What can stand for how long a wait may take: a span of time, or `None` for as long as it takes.
///
/// ```
/// use durable::IntoTimeout;
///
/// assert_eq!(None.into_timeout().unwrap(), None);
/// assert_eq!("2m".into_timeout().unwrap().map(|span| span.as_secs()), Some(120));
/// ```
pub trait IntoTimeout {
    /// The span, if there is one.
    ///
    /// # Errors
    /// As [`IntoSpan::into_span`].
    fn into_timeout(self) -> Result<Option<Duration>, DurationError>;
}

impl IntoTimeout for Option<Duration> {
    fn into_timeout(self) -> Result<Option<Duration>, DurationError> {
        Ok(self)
    }
}

impl IntoTimeout for Duration {
    fn into_timeout(self) -> Result<Option<Duration>, DurationError> {
        Ok(Some(self))
    }
}

impl IntoTimeout for &str {
    fn into_timeout(self) -> Result<Option<Duration>, DurationError> {
        self.into_span().map(Some)
    }
}

//! A cron line in a time zone, and when it comes next. The line is croner's, the zone jiff's: the line is followed on the
//! zone's clock as if that were a clock without changes, and each time it shows is then looked up in the zone. So what
//! happens around a change of the clock is decided here, and in one place.
//!
//! - A line for every hour (its hour field is `*`) follows the clock as it runs: while the clock is set forward nothing is
//!   left out but what it does not show, and an hour that comes twice has its ticks twice.
//! - Any other line names hours, and each time it names comes once: a time that is skipped comes at the first moment after
//!   the gap (several of one gap together), one that the clock shows twice comes the first time.

use std::fmt;

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use stent_core::Timestamp;
use stent_core::limits::CRON_BYTES;

/// The fields of a line with five, and what each may hold.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of month", "1-31, L for the last, 15W for the weekday nearest to the 15th"),
    ("month", "1-12 or JAN-DEC"),
    ("day of week", "0-7 or SUN-SAT, FRI#2 for the second, FRIL for the last"),
];

/// The short words for whole lines.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// How many changes of a zone's clock are looked through for the next tick, two a year: a line that names the 29th of
/// February has its next tick within eight years.
const CHANGES: usize = 64;

/// A cron line in a time zone, both checked.
///
/// ```
/// use stent_engine::Calendar;
/// let berlin = Calendar::new("30 2 * * *", "Europe/Berlin")?;
/// assert_eq!(berlin.zone(), "Europe/Berlin");
/// let error = Calendar::new("61 * * * *", "UTC").unwrap_err().to_string();
/// assert!(error.starts_with("cron line \"61 * * * *\": field 1 (minute) is \"61\", and may hold 0-59"), "{error}");
/// # Ok::<(), stent_engine::ScheduleError>(())
/// ```
#[derive(Clone)]
pub struct Calendar {
    line: String,
    cron: Cron,
    zone: TimeZone,
    zone_name: String,
    follows_the_clock: bool,
}

/// A schedule that cannot be.
///
/// ```
/// use stent_engine::{Calendar, ScheduleError};
/// let error = Calendar::new("0 0 30 2 *", "UTC").unwrap_err();
/// assert!(matches!(error, ScheduleError::Never { .. }));
/// let error = Calendar::new("@daily", "Mars/Olympus").unwrap_err();
/// assert!(error.to_string().starts_with("time zone \"Mars/Olympus\" is not known"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The line as a whole is none.
    #[error("cron line {line:?}: {rule}")]
    Line {
        /// The line.
        line: String,
        /// What it breaks.
        rule: String,
    },
    /// A field of the line.
    #[error("cron line {line:?}: field {place} ({field}) is {value:?}, and may hold {rule}, with , - / and *")]
    Field {
        /// The line.
        line: String,
        /// The field's place, from 1.
        place: usize,
        /// What the field is.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        rule: &'static str,
    },
    /// The line never comes.
    #[error("cron line {line:?} names no time that ever comes")]
    Never {
        /// The line.
        line: String,
    },
    /// The time zone.
    #[error("time zone {zone:?} is not known: an IANA name is wanted, such as Europe/Berlin or UTC")]
    Zone {
        /// The name.
        zone: String,
    },
}

impl Calendar {
    /// Checks a line of five fields, or six with seconds before them, or one of the words `@hourly`, `@daily`, `@weekly`,
    /// `@monthly`, `@yearly`; and the IANA name of a time zone.
    ///
    /// # Errors
    /// [`ScheduleError`], naming the value, the place and the rule.
    pub fn new(line: &str, zone: &str) -> Result<Self, ScheduleError> {
        let wrong = |rule: String| ScheduleError::Line { line: shortened(line), rule };
        if line.len() > CRON_BYTES {
            return Err(wrong(format!("it has {} bytes, and at most {CRON_BYTES} are allowed", line.len())));
        }
        let known = NICKNAMES.iter().find(|(word, _)| word.eq_ignore_ascii_case(line.trim()));
        let meant = known.map_or(line, |(_, meant)| meant);
        let fields: Vec<_> = meant.split_whitespace().collect();
        if !matches!(fields.len(), 5 | 6) {
            let found = if meant.contains('@') { "none".to_owned() } else { fields.len().to_string() };
            return Err(wrong(format!(
                "five fields are wanted (minute, hour, day of month, month, day of week), or six with seconds before \
                 them, and there are {found}"
            )));
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let skipped = 6 - fields.len();
        for (at, value) in fields.iter().enumerate() {
            if !is_field(&parser, at + skipped, value) {
                let (field, rule) = FIELDS[at + skipped];
                let (line, value) = (line.to_owned(), (*value).to_owned());
                return Err(ScheduleError::Field { line, place: at + 1, field, value, rule });
            }
        }
        let cron = parser.parse(&fields.join(" ")).map_err(|error| wrong(error.to_string()))?;
        let unknown = || ScheduleError::Zone { zone: shortened(zone) };
        let found = TimeZone::get(zone).map_err(|_| unknown())?;
        let zone_name = found.iana_name().ok_or_else(unknown)?.to_owned();
        let follows_the_clock = fields[2 - skipped] == "*";
        let calendar = Self { line: line.trim().to_owned(), cron, zone: found, zone_name, follows_the_clock };
        match calendar.next(Timestamp::from_micros(0)) {
            Some(_) => Ok(calendar),
            None => Err(ScheduleError::Never { line: line.to_owned() }),
        }
    }

    /// The line as it was given, without spaces around it.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The zone's name, as the zone data writes it.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone_name
    }

    /// The first tick after a moment; always a whole second. `None` when there is none that a calendar has.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let seconds = after.as_micros().div_euclid(1_000_000);
        let after = jiff::Timestamp::from_second(seconds).ok()?;
        let next = if self.follows_the_clock { self.next_shown(after) } else { self.next_named(after) }?;
        Some(Timestamp::from_micros(next.as_microsecond()))
    }

    /// The next moment at which the zone's clock shows a time of the line.
    fn next_shown(&self, after: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let (mut from, mut inclusive) = (after, false);
        for _ in 0..CHANGES {
            let offset = self.zone.to_offset(from);
            let shown = self.next_on_clock(offset.to_datetime(from), inclusive)?;
            let at = offset.to_timestamp(shown).ok()?;
            match self.zone.following(from).next() {
                // The clock is set before that: it goes on from there.
                Some(change) if change.timestamp() <= at => (from, inclusive) = (change.timestamp(), true),
                _ => return Some(at),
            }
        }
        None
    }

    /// The next of the times that the line names, each at its one moment.
    fn next_named(&self, after: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let mut clock = self.zone.to_datetime(after);
        loop {
            clock = self.next_on_clock(clock, false)?;
            let at = self.moment_of(clock)?;
            // In an hour that comes again, the line's times had their moment the first time.
            if at > after {
                return Some(at);
            }
        }
    }

    /// The one moment that a time on the zone's clock stands for.
    fn moment_of(&self, clock: civil::DateTime) -> Option<jiff::Timestamp> {
        let at = |offset: Offset| offset.to_timestamp(clock).ok();
        match self.zone.to_ambiguous_timestamp(clock).offset() {
            AmbiguousOffset::Unambiguous { offset } => at(offset),
            AmbiguousOffset::Fold { before, .. } => at(before),
            // With the later offset it would be before the gap: the change that follows is the gap's end.
            AmbiguousOffset::Gap { after, .. } => Some(self.zone.following(at(after)?).next()?.timestamp()),
        }
    }

    /// The next time of the line on a clock that is never changed.
    fn next_on_clock(&self, clock: civil::DateTime, inclusive: bool) -> Option<civil::DateTime> {
        let seconds = Offset::UTC.to_timestamp(clock).ok()?.as_second();
        let next = self.cron.find_next_occurrence(&DateTime::<Utc>::from_timestamp(seconds, 0)?, inclusive).ok()?;
        Some(Offset::UTC.to_datetime(jiff::Timestamp::from_second(next.timestamp()).ok()?))
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calendar").field("line", &self.line).field("zone", &self.zone_name).finish_non_exhaustive()
    }
}

/// Whether a field by itself is one: tried in a line where all others say nothing. Names stand only where they mean
/// something.
fn is_field(parser: &CronParser, at: usize, value: &str) -> bool {
    let is_plain = |c: char| !c.is_alphabetic() || (at == 3 && matches!(c, 'L' | 'W' | 'l' | 'w'));
    let mut fields = ["*"; 6];
    fields[at] = value;
    // The parser is lenient about names in other fields, and about lists with nothing in them.
    (at >= 4 || value.chars().all(is_plain))
        && value.split(',').all(|item| !item.is_empty())
        && parser.parse(&fields.join(" ")).is_ok()
}

/// As much of a value as an error should repeat.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(80) {
        Some((end, _)) => format!("{}..", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests;

//! Durations as people write them: `10s`, `1h30m`, `1.5d`. One parser for the Rust attribute (which runs it while the
//! user's code compiles), the clients, the Python package and the command line. The whole text counts, or nothing.

use std::fmt;
use std::time::Duration;

use crate::limits::DURATION_MS;

/// The most nanoseconds a duration may have.
const MOST_NS: u128 = DURATION_MS as u128 * 1_000_000;

/// How many digits after the point count: a nanosecond is a second's ninth.
const FRACTION_DIGITS: u32 = 9;

/// Why a text is no duration, and where it stops being one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError {
    text: String,
    flaw: DurationFlaw,
}

/// What is wrong with a text, without the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationFlaw {
    /// The byte at which it stops being a duration.
    pub at: usize,
    /// What is expected there.
    pub rule: &'static str,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.text.split_at_checked(self.flaw.at).unwrap_or((&self.text, ""));
        let at = before.chars().count() + 1;
        let shown: String = self.text.chars().take(40).flat_map(char::escape_debug).collect();
        write!(f, "\"{shown}\" is no duration: at character {at} ")?;
        match after.chars().next() {
            Some(found) => write!(f, "('{}') ", found.escape_debug())?,
            None => write!(f, "(its end) ")?,
        }
        write!(f, "{}", self.flaw.rule)
    }
}

impl std::error::Error for DurationError {}

/// Reads a duration: one or more numbers, each with its unit (`s`, `m`, `h`, `d`, `w`), without blanks. A number may
/// have a fraction after a point; the parts are added up.
///
/// ```
/// use std::time::Duration;
/// use stent_core::duration::parse_duration;
///
/// assert_eq!(parse_duration("1h30m").unwrap(), Duration::from_secs(5_400));
/// assert_eq!(parse_duration("0.5s").unwrap(), Duration::from_millis(500));
/// let error = parse_duration("10x").unwrap_err();
/// assert_eq!(error.to_string(), "\"10x\" is no duration: at character 3 ('x') a unit is expected: s, m, h, d or w");
/// ```
///
/// # Errors
/// [`DurationError`], which shows where the text stops being a duration, or that it is over 100 years.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    read_duration(text).map_err(|flaw| DurationError { text: text.to_owned(), flaw })
}

/// [`parse_duration`] for code that runs while it is compiled.
///
/// # Errors
/// [`DurationFlaw`].
pub const fn read_duration(text: &str) -> Result<Duration, DurationFlaw> {
    let bytes = text.as_bytes();
    let mut total_ns: u128 = 0;
    let mut at = 0;
    loop {
        let begin = at;
        let (whole, after_whole) = digits(bytes, at, u32::MAX);
        if after_whole == at {
            return Err(DurationFlaw { at, rule: "a number is expected" });
        }
        at = after_whole;
        let (mut fraction, mut scale) = (0, 1);
        if at < bytes.len() && bytes[at] == b'.' {
            let (digits_after, end) = digits(bytes, at + 1, FRACTION_DIGITS);
            if end == at + 1 {
                return Err(DurationFlaw { at: end, rule: "a digit must follow the point" });
            }
            let mut counted = 0;
            while counted < end - at - 1 && counted < FRACTION_DIGITS as usize {
                scale *= 10;
                counted += 1;
            }
            (fraction, at) = (digits_after, end);
        }
        let Some(unit_ns) = unit_ns(bytes, at) else {
            return Err(DurationFlaw { at, rule: "a unit is expected: s, m, h, d or w" });
        };
        at += 1;
        let part = whole.saturating_mul(unit_ns).saturating_add(fraction * unit_ns / scale);
        total_ns = total_ns.saturating_add(part);
        if total_ns > MOST_NS {
            return Err(DurationFlaw { at: begin, rule: "it passes the limit of about 100 years" });
        }
        if at == bytes.len() {
            // Within the limit, so both fit.
            let seconds = (total_ns / 1_000_000_000) as u64;
            return Ok(Duration::new(seconds, (total_ns % 1_000_000_000) as u32));
        }
    }
}

/// The number that begins at `at`, of at most `most` digits (the rest is passed over), and where it ends.
const fn digits(bytes: &[u8], mut at: usize, most: u32) -> (u128, usize) {
    let mut number: u128 = 0;
    let mut counted = 0;
    while at < bytes.len() && bytes[at].is_ascii_digit() {
        if counted < most {
            number = number.saturating_mul(10).saturating_add((bytes[at] - b'0') as u128);
            counted += 1;
        }
        at += 1;
    }
    (number, at)
}

const fn unit_ns(bytes: &[u8], at: usize) -> Option<u128> {
    if at >= bytes.len() {
        return None;
    }
    let seconds = match bytes[at] {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        b'w' => 604_800,
        _ => return None,
    };
    Some(seconds * 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(text: &str) -> u128 {
        parse_duration(text).unwrap().as_millis()
    }

    #[test]
    fn every_unit_alone_combined_and_with_decimals_is_read() {
        assert_eq!([ms("10s"), ms("2m"), ms("3h"), ms("1d")], [10_000, 120_000, 10_800_000, 86_400_000]);
        assert_eq!([ms("1w"), ms("1h30m"), ms("2d8h")], [604_800_000, 5_400_000, 201_600_000]);
        assert_eq!([ms("0.5s"), ms("1.5h"), ms("0.25d30s"), ms("0s")], [500, 5_400_000, 21_630_000, 0]);
        assert_eq!(parse_duration("0.0000000019s").unwrap(), Duration::from_nanos(1));
    }

    #[test]
    fn what_is_no_duration_is_refused_where_it_stops_being_one() {
        for (text, words) in [
            ("", "\"\" is no duration: at character 1 (its end) a number is expected"),
            ("10", "\"10\" is no duration: at character 3 (its end) a unit is expected: s, m, h, d or w"),
            ("10s!", "\"10s!\" is no duration: at character 4 ('!') a number is expected"),
            ("1h 30m", "\"1h 30m\" is no duration: at character 3 (' ') a number is expected"),
            ("5y", "\"5y\" is no duration: at character 2 ('y') a unit is expected: s, m, h, d or w"),
            ("10ms", "\"10ms\" is no duration: at character 4 ('s') a number is expected"),
            ("-1s", "\"-1s\" is no duration: at character 1 ('-') a number is expected"),
            (".5s", "\".5s\" is no duration: at character 1 ('.') a number is expected"),
            ("1.s", "\"1.s\" is no duration: at character 3 ('s') a digit must follow the point"),
            ("1µs", "\"1µs\" is no duration: at character 2 ('µ') a unit is expected: s, m, h, d or w"),
            (
                "1h101w999999999d",
                "\"1h101w999999999d\" is no duration: at character 7 ('9') it passes the limit of about 100 years",
            ),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().to_string(), words);
        }
    }

    /// The rule in other words: nothing but numbers, each with its unit behind it.
    fn is_written_by_the_rule(text: &str) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let is_part = |part: &str| {
            let number = part.strip_suffix(['s', 'm', 'h', 'd', 'w']);
            number.is_some_and(|number| match number.split_once('.') {
                Some((whole, decimals)) => is_number(whole) && is_number(decimals),
                None => is_number(number),
            })
        };
        !text.is_empty() && text.split_inclusive(['s', 'm', 'h', 'd', 'w']).all(is_part)
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_nothing_breaks(
            text in "\\PC*",
            plain in "[0-9.smhdw]{0,60}",
            nearly in "([0-9]{1,3}(\\.[0-9])?[smhdw]){1,4}[0-9. smhdwx]?",
        ) {
            for text in [text, plain, nearly] {
                match parse_duration(&text) {
                    Ok(_) => prop_assert!(is_written_by_the_rule(&text), "{text:?} was read"),
                    Err(error) => {
                        let words = error.to_string();
                        prop_assert!(words.contains("is no duration"));
                        prop_assert!(words.contains("passes the limit") || !is_written_by_the_rule(&text), "{words}");
                    }
                }
            }
        }

        #[test]
        fn whole_seconds_come_back_as_they_were_written(weeks in 0u64..5_000, hours in 0u64..9_999, seconds in 0u64..9_999_999) {
            let read = parse_duration(&format!("{weeks}w{hours}h{seconds}s")).unwrap();
            prop_assert_eq!(read, Duration::from_secs(weeks * 604_800 + hours * 3_600 + seconds));
        }
    }
}

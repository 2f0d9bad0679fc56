//! Points in time of the crates `jiff` and `chrono`, each by a feature of its name, turned into ours and back. Time
//! zones are left behind on the way in: the store knows instants only.

use crate::time::Timestamp;

#[cfg(feature = "jiff")]
impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        Self::from_micros(time.as_microsecond())
    }
}

#[cfg(feature = "jiff")]
impl From<&jiff::Zoned> for Timestamp {
    fn from(time: &jiff::Zoned) -> Self {
        time.timestamp().into()
    }
}

#[cfg(feature = "jiff")]
impl From<jiff::Zoned> for Timestamp {
    fn from(time: jiff::Zoned) -> Self {
        time.timestamp().into()
    }
}

/// Past the ends of the calendar, which is shorter than ours, the nearest point there is.
#[cfg(feature = "jiff")]
impl From<Timestamp> for jiff::Timestamp {
    fn from(time: Timestamp) -> Self {
        let end = if time.as_micros() < 0 { Self::MIN } else { Self::MAX };
        Self::from_microsecond(time.as_micros()).unwrap_or(end)
    }
}

#[cfg(feature = "chrono")]
impl<Tz: chrono::TimeZone> From<chrono::DateTime<Tz>> for Timestamp {
    fn from(time: chrono::DateTime<Tz>) -> Self {
        Self::from_micros(time.timestamp_micros())
    }
}

/// Past the ends of the calendar, which is shorter than ours, the nearest point there is.
#[cfg(feature = "chrono")]
impl From<Timestamp> for chrono::DateTime<chrono::Utc> {
    fn from(time: Timestamp) -> Self {
        let end = if time.as_micros() < 0 { Self::MIN_UTC } else { Self::MAX_UTC };
        Self::from_timestamp_micros(time.as_micros()).unwrap_or(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROS: [i64; 4] = [i64::MIN, -1, 1_700_000_000_123_456, i64::MAX];

    #[cfg(feature = "jiff")]
    #[test]
    fn a_time_of_jiff_comes_back_as_it_went_or_at_the_calendars_end() {
        let back = MICROS.map(|micros| Timestamp::from(jiff::Timestamp::from(Timestamp::from_micros(micros))));
        assert_eq!(back[1..3], [MICROS[1], MICROS[2]].map(Timestamp::from_micros));
        assert_eq!((back[0], back[3]), (jiff::Timestamp::MIN.into(), jiff::Timestamp::MAX.into()));
    }

    #[cfg(feature = "chrono")]
    #[test]
    fn a_time_of_chrono_comes_back_as_it_went_or_at_the_calendars_end() {
        use chrono::{DateTime, Utc};
        let back = MICROS.map(|micros| Timestamp::from(DateTime::<Utc>::from(Timestamp::from_micros(micros))));
        assert_eq!(back[1..3], [MICROS[1], MICROS[2]].map(Timestamp::from_micros));
        assert_eq!((back[0], back[3]), (DateTime::<Utc>::MIN_UTC.into(), DateTime::<Utc>::MAX_UTC.into()));
    }
}

//! Fixed days: the changes of the clock in Berlin and New York, and lines that cannot be.

use super::*;

/// The ticks after a moment, in UTC.
fn ticks(line: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let calendar = Calendar::new(line, zone).unwrap();
    let mut at = Timestamp::from_micros(after.parse::<jiff::Timestamp>().unwrap().as_microsecond());
    let next = || {
        at = calendar.next(at)?;
        Some(jiff::Timestamp::from_microsecond(at.as_micros()).unwrap().to_string())
    };
    std::iter::from_fn(next).take(count).collect()
}

#[test]
fn a_time_that_is_skipped_comes_at_the_first_moment_after_the_gap() {
    // Berlin, 29 March 2026: 02:00 is followed by 03:00, which is 01:00 UTC.
    let berlin = |line| ticks(line, "Europe/Berlin", "2026-03-28T12:00:00Z", 3);
    assert_eq!(berlin("30 2 * * *"), ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]);
    assert_eq!(berlin("0 2 * * *"), ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-31T00:00:00Z"]);
    assert_eq!(berlin("0 3 * * *"), ["2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z", "2026-03-31T01:00:00Z"]);
    // All times of one gap are one tick, and one with a time at its end.
    assert_eq!(berlin("*/20 2,3 * * *"), ["2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z", "2026-03-29T01:40:00Z"]);
    // New York, 8 March 2026: 02:00 is followed by 03:00, which is 07:00 UTC.
    let new_york = |line| ticks(line, "America/New_York", "2026-03-07T12:00:00Z", 3);
    assert_eq!(new_york("30 2 * * *"), ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z", "2026-03-10T06:30:00Z"]);
    assert_eq!(new_york("59 1 * * *"), ["2026-03-08T06:59:00Z", "2026-03-09T05:59:00Z", "2026-03-10T05:59:00Z"]);
}

#[test]
fn a_time_that_the_clock_shows_twice_comes_once_the_first_time() {
    // Berlin, 25 October 2026: 03:00 is followed by 02:00; 02:30 is 00:30 UTC and 01:30 UTC.
    let berlin = |line, after| ticks(line, "Europe/Berlin", after, 2);
    assert_eq!(berlin("30 2 * * *", "2026-10-24T12:00:00Z"), ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    assert_eq!(berlin("0 3 * * *", "2026-10-24T12:00:00Z"), ["2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z"]);
    // Asked between the two, and within the second hour.
    for after in ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:29:59Z", "2026-10-25T01:30:00Z"] {
        assert_eq!(berlin("30 2 * * *", after), ["2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"], "{after}");
    }
    // New York, 1 November 2026: 02:00 is followed by 01:00; 01:30 is 05:30 UTC and 06:30 UTC.
    let new_york = ticks("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2);
    assert_eq!(new_york, ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]);
}

#[test]
fn a_line_for_every_hour_follows_the_clock_as_it_runs() {
    let spring = ticks("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
    assert_eq!(spring, ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"]);
    let autumn = ticks("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 3);
    assert_eq!(autumn, ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]);
    // A zone whose clock is changed by half an hour: Lord Howe, 5 April 2026, 15:00 UTC, from +11:00 to +10:30.
    let half = ticks("0 * * * *", "Australia/Lord_Howe", "2026-04-04T13:30:00Z", 3);
    assert_eq!(half, ["2026-04-04T14:00:00Z", "2026-04-04T15:30:00Z", "2026-04-04T16:30:00Z"]);
    let every_second = ticks("* * * * * *", "America/New_York", "2026-11-01T05:59:58Z", 3);
    assert_eq!(every_second, ["2026-11-01T05:59:59Z", "2026-11-01T06:00:00Z", "2026-11-01T06:00:01Z"]);
}

#[test]
fn lines_mean_what_cron_lines_mean() {
    let utc = |line| ticks(line, "UTC", "2026-01-01T00:00:00Z", 2);
    assert_eq!(utc("*/15 9-17 * * MON-FRI"), ["2026-01-01T09:00:00Z", "2026-01-01T09:15:00Z"]);
    assert_eq!(utc("0 0 13 * FRI"), ["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z"], "either day");
    assert_eq!(utc("0 0 L * *"), ["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"]);
    assert_eq!(utc("0 0 29 2 *"), ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]);
    assert_eq!(utc("0 8 * * MON#1"), ["2026-01-05T08:00:00Z", "2026-02-02T08:00:00Z"]);
    assert_eq!(utc("0 0 * * 7"), utc("0 0 * * sun"));
    assert_eq!(utc("@daily"), ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]);
    assert_eq!(utc(" @Hourly "), ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]);
    assert_eq!(utc("30 0 0 * * *"), ["2026-01-01T00:00:30Z", "2026-01-02T00:00:30Z"]);
}

#[test]
fn what_cannot_be_is_told_with_its_value_its_place_and_the_rule() {
    let told = |line: &str, zone: &str| Calendar::new(line, zone).unwrap_err().to_string();
    let cases = [
        ("60 * * * *", "field 1 (minute) is \"60\", and may hold 0-59"),
        ("* 24 * * *", "field 2 (hour) is \"24\", and may hold 0-23"),
        ("* * 0 * *", "field 3 (day of month) is \"0\", and may hold 1-31"),
        ("* * * 13 *", "field 4 (month) is \"13\", and may hold 1-12 or JAN-DEC"),
        ("* * * * FRO", "field 5 (day of week) is \"FRO\", and may hold 0-7 or SUN-SAT"),
        ("* * * * * 8", "field 6 (day of week) is \"8\", and may hold 0-7 or SUN-SAT"),
        ("61 * * * * *", "field 1 (second) is \"61\", and may hold 0-59"),
        ("MON * * * *", "field 1 (minute) is \"MON\""),
        ("*/0 * * * *", "field 1 (minute) is \"*/0\""),
        ("5-1 * * * *", "field 1 (minute) is \"5-1\""),
        ("1, * * * *", "field 1 (minute) is \"1,\""),
        ("* * * *", "five fields are wanted (minute, hour, day of month, month, day of week)"),
        ("", "and there are 0"),
        ("@nightly", "and there are none"),
        ("0 0 30 2 *", "names no time that ever comes"),
    ];
    for (line, words) in cases {
        let told = told(line, "UTC");
        assert!(told.starts_with(&format!("cron line {line:?}")) && told.contains(words), "{line}: {told}");
    }
    let long = "1,".repeat(200);
    assert!(told(&format!("{long}2 * * * *"), "UTC").contains("at most 255"));
    for zone in ["Europe/Berlim", "", "+02:00", "../etc/passwd"] {
        assert!(told("* * * * *", zone).starts_with(&format!("time zone {zone:?} is not known")), "{zone}");
    }
}

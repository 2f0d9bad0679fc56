//! What a command shows: calm tables for people, JSON for programs. Nothing from the database reaches a terminal with
//! its control characters.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp as Moment;
use serde_json::{Value, json};
use stent_core::{Failure, Payload, Timestamp};

/// The widest a message is in a table.
const CELL_CHARS: usize = 60;

/// What a command came to, in both forms.
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Shown {
    pub(crate) fn new(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json }
    }

    /// Writes it out. If nobody reads it any more, nobody misses it.
    pub(crate) fn print(&self, as_json: bool) {
        let text = if as_json { format!("{:#}", self.json) } else { self.text.trim_end().to_owned() };
        let mut out = io::stdout().lock();
        drop(writeln!(out, "{text}").and_then(|()| out.flush()));
    }
}

/// A table without lines; `none` is said in its place when it has no rows.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>, none: &str) -> String {
    if rows.is_empty() {
        return none.to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    // Flush with the left margin, and no blanks at the ends of lines.
    table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned() + "\n").collect()
}

/// Text on one line, without what would steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// The same, cut to what a cell shows.
pub(crate) fn short(text: &str) -> String {
    let text = plain(text);
    if text.chars().count() <= CELL_CHARS {
        return text;
    }
    text.chars().take(CELL_CHARS - 1).chain(['…']).collect()
}

/// A time to the second, in UTC.
pub(crate) fn time(at: Timestamp) -> String {
    moment(at).map_or_else(|| format!("{at:?}"), |moment| moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

pub(crate) fn maybe_time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), time)
}

/// A time as RFC 3339 has it, in UTC, to the microsecond.
pub(crate) fn json_time(at: Timestamp) -> Value {
    moment(at).map_or(Value::Null, |moment| Value::from(moment.to_string()))
}

pub(crate) fn maybe_json_time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, json_time)
}

fn moment(at: Timestamp) -> Option<Moment> {
    Moment::from_microsecond(at.as_micros()).ok()
}

/// A failure for programs.
pub(crate) fn json_failure(failure: &Failure) -> Value {
    json!({ "kind": failure.kind, "message": failure.message, "details": failure.details })
}

/// A stored value for programs: JSON as it is; of anything else how much of it there is.
pub(crate) fn json_payload(payload: &Payload) -> Value {
    payload.read().unwrap_or_else(|_| json!({ "unreadable_bytes": payload.as_stored().len() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_has_no_blanks_at_its_edges() {
        let rows = vec![["a".to_owned(), "longer".to_owned()], ["bbb".to_owned(), String::new()]];
        assert_eq!(table(["ID", "NAME"], rows, "none"), "ID   NAME\na    longer\nbbb\n");
        assert_eq!(table(["ID"], Vec::new(), "no executions"), "no executions");
    }

    #[test]
    fn what_would_steer_a_terminal_is_written_out() {
        assert_eq!(plain("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(short(&"x".repeat(70)).chars().count(), 60);
    }

    #[test]
    fn times_are_utc() {
        let at = Timestamp::from_micros(1_700_000_000_123_456);
        assert_eq!(time(at), "2023-11-14 22:13:20Z");
        assert_eq!(json_time(at), "2023-11-14T22:13:20.123456Z");
    }
}

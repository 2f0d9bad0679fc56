//! The ledger outside the store: what the world saw of the demo, one line of JSON for each run of a step's body. It
//! stands for the books of a payment provider, a carrier, a mail server; Stent neither reads nor writes it.
//!
//! A line is one `write` to a file opened with `O_APPEND`, so lines of several processes never mix. What a kill tore
//! is no JSON; [`Ledger::open`] begins a fresh line after it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What is done for an order, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Step {
    Reserve,
    Charge,
    Ship,
    Mail,
}

impl Step {
    pub(super) const ALL: [Self; 4] = [Self::Reserve, Self::Charge, Self::Ship, Self::Mail];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Charge => "charge",
            Self::Ship => "ship",
            Self::Mail => "mail",
        }
    }
}

/// One run of a step's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) order: String,
    pub(super) step: Step,
    /// The idempotency key that the step gave to the world: its task's id and its name.
    pub(super) key: String,
    /// The process that ran it.
    pub(super) pid: u32,
}

/// The end of the ledger, for adding to it.
pub(super) struct Ledger(File);

impl Ledger {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if file.metadata()?.len() > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(Self(file))
    }

    pub(super) fn add(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        (&self.0).write_all(&line)
    }
}

/// Reads the ledger as it grows.
pub(super) struct Reading {
    file: File,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
}

impl Reading {
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, rest: Vec::new() })
    }

    /// What was added since the last call.
    pub(super) fn next(&mut self) -> io::Result<Vec<Entry>> {
        self.file.read_to_end(&mut self.rest)?;
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let entries = entries(&self.rest[..end]);
        self.rest.drain(..end);
        Ok(entries)
    }
}

/// The whole ledger.
pub(super) fn read(path: &Path) -> io::Result<Vec<Entry>> {
    Ok(entries(&std::fs::read(path)?))
}

fn entries(bytes: &[u8]) -> Vec<Entry> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(order: &str) -> Entry {
        Entry { order: order.to_owned(), step: Step::Charge, key: "k:charge".to_owned(), pid: 7 }
    }

    #[test]
    fn entries_come_back_as_they_were_added_whatever_their_order_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        let orders = ["A1", "say \"hi\", Zoë", "\u{2028}"].map(entry);
        let ledger = Ledger::open(&path).unwrap();
        orders.iter().for_each(|order| ledger.add(order).unwrap());
        assert_eq!(read(&path).unwrap(), orders);
    }

    #[test]
    fn a_torn_line_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        Ledger::open(&path).unwrap().add(&entry("A1")).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], &whole[..9]].concat()).unwrap();
        Ledger::open(&path).unwrap().add(&entry("B2")).unwrap();
        assert_eq!(read(&path).unwrap(), [entry("A1"), entry("B2")]);
    }

    #[test]
    fn reading_along_gives_each_entry_once_and_only_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        let ledger = Ledger::open(&path).unwrap();
        let mut reading = Reading::start(&path).unwrap();
        ledger.add(&entry("A1")).unwrap();
        (&ledger.0).write_all(b"{\"order\":\"B2\",\"step\"").unwrap();
        assert_eq!(reading.next().unwrap(), [entry("A1")]);
        (&ledger.0).write_all(b":\"charge\",\"key\":\"k:charge\",\"pid\":7}\n").unwrap();
        assert_eq!(reading.next().unwrap(), [entry("B2")]);
        assert_eq!(reading.next().unwrap(), []);
    }
}

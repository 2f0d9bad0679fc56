//! The ledger: a file outside the store that every process adds to, one `write` a line, never buffered, never locked.
//! What a process wrote before it was killed is in the file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::time::{ClockId, clock_gettime};

use crate::line::{Life, Line, Subject, Verb};

/// One process's way into the ledger.
pub struct Ledger {
    file: File,
    life: Life,
    last_token: AtomicU32,
}

impl Ledger {
    /// Opens it, and makes it if it is not there. `life` tells this process from all others of the run.
    pub fn open(path: &Path, life: u32) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self { file, life: Life { number: life, pid: std::process::id() }, last_token: AtomicU32::new(0) })
    }

    /// A number that no other run of a step's body has, in any process of the run.
    pub fn token(&self) -> u64 {
        u64::from(self.life.number) << 32 | u64::from(self.last_token.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Adds a line about something this process did.
    pub fn add(&self, verb: Verb, subject: Subject, number: u64) -> io::Result<()> {
        self.add_of(self.life, verb, subject, number)
    }

    /// Adds a line about what is done to another process.
    pub fn add_of(&self, life: Life, verb: Verb, subject: Subject, number: u64) -> io::Result<()> {
        let line = Line { verb, subject, number, life, at_ns: now_ns() };
        (&self.file).write_all(format!("\n{line}").as_bytes())
    }
}

/// All whole lines, in order.
pub fn read(path: &Path) -> io::Result<Vec<Line>> {
    let bytes = std::fs::read(path)?;
    Ok(String::from_utf8_lossy(&bytes).split('\n').filter_map(|line| line.parse().ok()).collect())
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Role;

    #[test]
    fn lines_of_several_processes_come_back_in_order_whatever_one_of_them_tore() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let (one, two) = (Ledger::open(&path, 1).unwrap(), Ledger::open(&path, 2).unwrap());
        let subject = Subject { execution: 5, role: Role::Left, step: "a1".to_owned() };
        one.add(Verb::Run, subject.clone(), 8).unwrap();
        (&one.file).write_all(b"\nack 5 left a1 8 1 47").unwrap();
        two.add(Verb::Ack, subject.clone(), 8).unwrap();
        let lines = read(&path).unwrap();
        let told: Vec<_> = lines.iter().map(|line| (line.verb, line.life.number)).collect();
        assert_eq!(told, [(Verb::Run, 1), (Verb::Ack, 2)]);
        assert!(lines[0].subject == subject && lines[0].at_ns <= lines[1].at_ns);
    }

    #[test]
    fn tokens_of_all_processes_are_distinct() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let tokens =
            [1, 2].map(|life| Ledger::open(&path, life).unwrap()).map(|ledger| [ledger.token(), ledger.token()]);
        let distinct: std::collections::HashSet<u64> = tokens.into_iter().flatten().collect();
        assert_eq!(distinct.len(), 4);
    }
}

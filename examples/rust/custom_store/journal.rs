//! The journal: a file of JSON lines that says which interventions were asked for and what came of them. Knows no
//! store. Each process writes a file of its own.
//!
//! Invariant: a line that [`Journal::ask`] wrote is on the disk when it returns.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use stent_core::command::Command;
use stent_core::schedule::ScheduleChange;
use stent_core::{Committed, Done, StoreError, Timestamp};

/// What one line says. `entry` joins an answer to what was asked.
#[derive(Serialize)]
struct Line<'a> {
    entry: u64,
    at: i64,
    #[serde(flatten)]
    says: Says<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Says<'a> {
    Asked(Vec<&'a str>),
    Answered(Vec<String>),
    Failed(String),
}

/// Where an answer belongs: what `ask` gave for a batch that intervenes.
pub struct Asked {
    entry: u64,
    /// One for each command of the batch, nothing for those that are no interventions.
    words: Vec<Option<String>>,
}

/// An open journal.
pub struct Journal {
    file: Mutex<(File, u64)>,
}

impl Journal {
    /// Opens the file, or creates it, and goes on behind what is there.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        // As many lines as bytes at most: a number from the length is larger than any that was given before.
        let entry = file.metadata()?.len();
        Ok(Self { file: Mutex::new((file, entry)) })
    }

    /// Whether there is anything in a batch to write down.
    pub fn concerns(batch: &[Command]) -> bool {
        batch.iter().any(|command| intervention(command).is_some())
    }

    /// Writes down what a batch asks for and syncs it, or gives `None` when there is nothing in it to write down.
    pub fn ask(&self, at: Timestamp, batch: &[Command]) -> io::Result<Option<Asked>> {
        let words: Vec<_> = batch.iter().map(intervention).collect();
        if words.iter().all(Option::is_none) {
            return Ok(None);
        }
        let asked = words.iter().flatten().map(String::as_str).collect();
        let mut open = self.lock();
        open.1 += 1;
        let entry = open.1;
        write(&mut open.0, &Line { entry, at: at.as_micros(), says: Says::Asked(asked) })?;
        open.0.sync_data()?;
        Ok(Some(Asked { entry, words }))
    }

    /// Writes down what came of it. Not synced: where the answer is missing after a crash, the store knows it.
    pub fn answer(&self, at: Timestamp, asked: &Asked, result: &Result<Committed, StoreError>) -> io::Result<()> {
        let says = match result {
            Ok(committed) => {
                let answers = asked.words.iter().zip(&committed.outcomes).filter(|(words, _)| words.is_some());
                let told = |outcome: &Result<Done, _>| match outcome {
                    Ok(_) => "done".to_owned(),
                    Err(refusal) => format!("refused: {refusal}"),
                };
                Says::Answered(answers.map(|(_, outcome)| told(outcome)).collect())
            }
            Err(error) => Says::Failed(error.to_string()),
        };
        write(&mut self.lock().0, &Line { entry: asked.entry, at: at.as_micros(), says })
    }

    fn lock(&self) -> MutexGuard<'_, (File, u64)> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One `write` for a whole line, so that a line stands in one piece.
fn write(file: &mut File, line: &Line<'_>) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    file.write_all(&text)
}

/// What a command asks for in words, if it is one that intervenes from outside. Payloads are left out: a journal
/// that many may read is no place for them.
fn intervention(command: &Command) -> Option<String> {
    Some(match command {
        Command::Signal(signal) => format!("signal {} to {}", signal.name, signal.execution),
        Command::Cancel(task) => format!("cancel {task}"),
        Command::ReplayLetter(replay) => format!("replay {}", replay.task),
        Command::DiscardLetter(task) => format!("discard {task}"),
        Command::SetQueue(name, Some(true)) => format!("pause queue {name}"),
        Command::SetQueue(name, Some(false)) => format!("resume queue {name}"),
        Command::DropQueue(name) => format!("drop queue {name}"),
        Command::Schedule(ScheduleChange::Delete(name)) => format!("delete schedule {name}"),
        Command::Schedule(ScheduleChange::Pause(name)) => format!("pause schedule {name}"),
        _ => return None,
    })
}

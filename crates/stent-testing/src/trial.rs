//! The check of replays: run something once undisturbed, then again and again with its process killed before or after
//! each thing it writes, and compare what came of it. This file says what is run next and what differs; it runs nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use stent_core::{Codec, ExecutionId, Payload, Record, RecordKind, Store, StoreError, TaskId, Verdict};

use crate::gate::{Gate, Moment};

/// How many writes may be checked: each costs two runs.
pub const WRITES: usize = 10_000;

/// Where a process was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillPoint(String);

impl KillPoint {
    /// Nowhere: the undisturbed run.
    #[must_use]
    pub fn never() -> Self {
        Self("never".to_owned())
    }
}

impl fmt::Display for KillPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that a task has recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedCall {
    /// The call's name, with `#2` and so on for further calls of it.
    pub key: String,
    /// `step`, `child`, `signal`, `event`, `value` or `effect`; timers are not compared.
    pub kind: &'static str,
    /// Whether its outcome was a failure or a timeout.
    pub failed: bool,
    /// The result, or the failure, as JSON; null for what is none. What another serializer wrote is shown as text.
    pub output: Value,
}

impl RecordedCall {
    /// As a record has it.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        Self {
            key: record.key.to_string(),
            kind: record.kind.as_str(),
            failed: record.verdict != Verdict::Ok,
            output: output(&record.payload),
        }
    }
}

/// A payload as a comparison sees it.
#[must_use]
pub fn output(payload: &Payload) -> Value {
    match payload.open() {
        Ok((Codec::Json, bytes)) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Ok((codec, bytes)) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Value::String(format!("{codec}:{hex}"))
        }
        Err(_) => Value::Null,
    }
}

/// What a run left behind.
#[derive(Debug)]
pub struct Trace {
    /// What it came to.
    pub outcome: Value,
    /// What its tasks recorded.
    pub records: BTreeMap<(TaskId, String), RecordedCall>,
    /// Where its process was killed.
    pub killed: Option<KillPoint>,
}

impl Trace {
    /// What the tasks of some executions recorded, evened out by `alike`; with the outcome still to be set.
    ///
    /// # Errors
    /// The store's.
    pub async fn of(
        store: &dyn Store,
        executions: impl IntoIterator<Item = ExecutionId>,
        alike: impl Fn(&mut Value),
    ) -> Result<Self, StoreError> {
        let mut records = BTreeMap::new();
        for execution in executions {
            for task in store.tasks(execution).await? {
                for record in store.history(task.task, 0).await?.records {
                    // Whether a timer that the code gave up was over by then is chance, and it carries nothing.
                    if record.kind == RecordKind::Timer {
                        continue;
                    }
                    let mut call = RecordedCall::of(&record);
                    // A value is read off the world, a dispatch makes a fresh id: only that they are there must be
                    // the same.
                    if matches!(record.kind, RecordKind::Value | RecordKind::Effect) {
                        call.output = Value::Null;
                    }
                    alike(&mut call.output);
                    records.insert((task.task.task, call.key.clone()), call);
                }
            }
        }
        Ok(Self { outcome: Value::Null, records, killed: None })
    }
}

/// What differs between a disturbed run and the undisturbed one.
#[derive(Debug, thiserror::Error)]
pub enum Divergence {
    /// It came to something else.
    #[error("killed {at}, it came to {found} instead of {expected}")]
    Outcome {
        /// Where the process was killed.
        at: KillPoint,
        /// What the undisturbed run came to.
        expected: Value,
        /// What this one came to.
        found: Value,
    },
    /// A call was recorded with another outcome, or not at all, or beside those of the undisturbed run.
    #[error("killed {at}, the task {task} recorded {} for \"{key}\" instead of {}", shown(.found), shown(.expected))]
    Record {
        /// Where the process was killed.
        at: KillPoint,
        /// Whose record.
        task: TaskId,
        /// The call's name.
        key: String,
        /// What the undisturbed run recorded.
        expected: Option<Box<RecordedCall>>,
        /// What this one recorded.
        found: Option<Box<RecordedCall>>,
    },
    /// It writes more than can be checked.
    #[error("it writes more than {WRITES} times: check a smaller one")]
    TooLong,
}

/// A recorded call in words, or that there is none.
#[must_use]
pub fn shown(call: &Option<Box<RecordedCall>>) -> String {
    call.as_ref().map_or_else(|| "nothing".to_owned(), |call| format!("{} {}", call.kind, call.output))
}

/// Which write of a run its process dies at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// From 1.
    pub write: usize,
    /// Before or after it.
    pub moment: Moment,
}

impl Kill {
    /// Where that was, once the gate is shut.
    #[must_use]
    pub fn point(self, gate: &Gate) -> KillPoint {
        let when = if self.moment == Moment::Before { "before" } else { "after" };
        KillPoint(format!("{when} write {} ({})", self.write, gate.about()))
    }
}

/// A check in progress: one undisturbed run, then one for each kill, until a kill comes too late.
#[derive(Debug, Default)]
pub struct Trial {
    expected: Option<Trace>,
    kills: usize,
    over: bool,
}

impl Trial {
    /// The run to be made now: the undisturbed one, or one with a kill.
    #[must_use]
    pub fn kill(&self) -> Option<Kill> {
        self.expected.as_ref()?;
        let moment = if self.kills.is_multiple_of(2) { Moment::Before } else { Moment::After };
        Some(Kill { write: self.kills / 2 + 1, moment })
    }

    /// What came of that run. An error ends the trial.
    ///
    /// # Errors
    /// What differs from the undisturbed run.
    pub fn judge(&mut self, found: Trace) -> Result<(), Divergence> {
        let Some(expected) = &self.expected else {
            self.expected = Some(found);
            return Ok(());
        };
        let Some(at) = &found.killed else {
            self.over = true;
            return Ok(());
        };
        self.kills += 1;
        compare(at, expected, &found)?;
        if self.kills == WRITES * 2 { Err(Divergence::TooLong) } else { Ok(()) }
    }

    /// Whether every write has been tried.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// How many times a process was killed.
    #[must_use]
    pub const fn kills(&self) -> usize {
        self.kills
    }

    /// What every run came to, once there was one.
    #[must_use]
    pub fn into_outcome(self) -> Value {
        self.expected.map(|trace| trace.outcome).unwrap_or_default()
    }
}

fn compare(at: &KillPoint, expected: &Trace, found: &Trace) -> Result<(), Divergence> {
    if expected.outcome != found.outcome {
        let (expected, found) = (expected.outcome.clone(), found.outcome.clone());
        return Err(Divergence::Outcome { at: at.clone(), expected, found });
    }
    for at_key in expected.records.keys().chain(found.records.keys()) {
        let (expected, found) = (expected.records.get(at_key), found.records.get(at_key));
        if expected != found {
            let (task, key) = at_key.clone();
            let (expected, found) = (expected.cloned().map(Box::new), found.cloned().map(Box::new));
            return Err(Divergence::Record { at: at.clone(), task, key, expected, found });
        }
    }
    Ok(())
}

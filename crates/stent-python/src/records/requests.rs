//! What requests consist of, and what of it is checked here: that ids are such as the engine makes, and that bytes which
//! are said to be JSON are.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use stent_core::command::Number;
use stent_core::select::Cell;
use stent_core::{
    Codec, ExecutionId, ExecutionState, Failure, FailureKind, Name, Payload, RetryPolicy, TaskId, TaskState,
};

use super::{Answer, Trouble};

/// Bytes of the user's, in hexadecimal, and who wrote them.
#[derive(Debug, Deserialize)]
pub(super) struct Bytes {
    pub(super) codec: String,
    pub(super) hex: String,
}

impl Bytes {
    pub(super) fn payload(&self, what: &str) -> Answer<Payload> {
        let bytes = from_hex(&self.hex)?;
        let codec = match self.codec.as_str() {
            "json" => {
                let checked = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes);
                checked.map_err(|error| Trouble::value(format!("{what} is said to be JSON and is not: {error}")))?;
                Codec::Json
            }
            "pickle" => Codec::Pickle,
            other => Codec::Custom(other.into()),
        };
        Ok(Payload::new(&codec, &bytes)?)
    }
}

/// A failure as Python tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Failed {
    message: String,
    #[serde(default)]
    details: serde_json::Value,
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        Self { details: failed.details, ..Self::new(FailureKind::Error, failed.message) }
    }
}

/// What is to run.
#[derive(Debug, Deserialize)]
pub(super) struct Create {
    pub(super) id: String,
    pub(super) function: String,
    pub(super) args: Bytes,
    pub(super) queue: Option<String>,
    pub(super) priority: i32,
    pub(super) tags: Vec<String>,
    pub(super) retry: Option<RetryPolicy>,
    pub(super) memo_key: Option<String>,
    pub(super) due_us: Option<i64>,
    pub(super) expires_us: Option<i64>,
    /// How it ended already, for an execution that is written down after the fact.
    pub(super) ended: Option<How>,
}

/// What a task is to run that another called.
#[derive(Debug, Deserialize)]
pub(super) struct CreateChild {
    pub(super) parent: String,
    pub(super) create: Create,
}

/// How an attempt ended.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    Completed(Bytes),
    Failed(Failed),
    Cancelled,
    /// To be tried again, not before this time of the store's clock if there is one.
    Retry(Failed, Option<i64>),
    /// Given back unfinished, likewise.
    Release(Option<i64>),
}

/// The end of an attempt.
#[derive(Debug, Deserialize)]
pub(super) struct End {
    pub(super) task: String,
    /// Which claim; `None`: the one that the worker of this name has.
    pub(super) epoch: Option<u64>,
    pub(super) worker: Option<String>,
    pub(super) how: How,
}

/// Putting a task away.
#[derive(Debug, Deserialize)]
pub(super) struct PutAway {
    pub(super) task: String,
    pub(super) failure: Failed,
}

/// Claiming the next task.
#[derive(Debug, Deserialize)]
pub(super) struct Claim {
    pub(super) worker: String,
    pub(super) queues: Option<Vec<String>>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) lease_ms: u64,
    #[serde(default)]
    pub(super) limits: BTreeMap<String, u32>,
    /// Only what was due by then; `None`: by the store's clock.
    pub(super) as_of_us: Option<i64>,
}

/// Renewing a lease.
#[derive(Debug, Deserialize)]
pub(super) struct Renew {
    pub(super) task: String,
    pub(super) worker: String,
    pub(super) lease_ms: u64,
}

/// Keeping a result for equal calls.
#[derive(Debug, Deserialize)]
pub(super) struct Keep {
    pub(super) key: String,
    pub(super) value: Bytes,
    pub(super) idempotent: bool,
    pub(super) ttl_ms: Option<u64>,
}

/// A signal.
#[derive(Debug, Deserialize)]
pub(super) struct Signal {
    pub(super) execution: String,
    pub(super) name: String,
    pub(super) payload: Bytes,
}

/// A change of what an execution carries along.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    pub(super) execution: String,
    #[serde(default)]
    pub(super) ensure_counters: BTreeMap<String, Number>,
    pub(super) add: Option<(String, Number)>,
    #[serde(default)]
    pub(super) ensure_state: BTreeMap<String, Bytes>,
    pub(super) set: Option<(String, Bytes)>,
}

/// Which part of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) limit: u32,
    #[serde(default)]
    pub(super) offset: u32,
    state: Option<String>,
    queue: Option<String>,
}

impl Page {
    pub(super) fn queue(&self) -> Answer<Option<Name>> {
        Ok(self.queue.as_deref().map(|queue| Name::new("queue", queue)).transpose()?)
    }

    pub(super) fn execution_state(&self) -> Answer<Option<ExecutionState>> {
        self.state.as_deref().map(|word| word_of("state of an execution", word)).transpose()
    }

    /// The store's states that are meant: `None` stands for all.
    pub(super) fn task_states(&self) -> Answer<Vec<Option<TaskState>>> {
        Ok(match self.state.as_deref() {
            None => vec![None],
            Some("running") => vec![Some(TaskState::Running), Some(TaskState::Suspended)],
            Some(word) => vec![Some(word_of("state of a task", word)?)],
        })
    }
}

fn word_of<T: serde::de::DeserializeOwned>(what: &str, word: &str) -> Answer<T> {
    serde_json::from_value(word.into()).map_err(|_| Trouble::value(format!("\"{word}\" is no {what}")))
}

/// A statement that only reads.
#[derive(Debug, Deserialize)]
pub(super) struct Select {
    pub(super) statement: String,
    pub(super) parameters: Vec<Given>,
}

/// A parameter of a statement.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Given {
    Bool(bool),
    Whole(i64),
    Real(f64),
    Text(String),
    Blob { hex: String },
    Null,
}

impl From<Given> for Cell {
    fn from(given: Given) -> Self {
        match given {
            Given::Null => Self::Null,
            Given::Bool(truth) => Self::Bool(truth),
            Given::Whole(number) => Self::Whole(number),
            Given::Real(number) => Self::Real(number),
            Given::Text(text) => Self::Text(text),
            Given::Blob { hex } => from_hex(&hex).map_or(Self::Null, Self::Blob),
        }
    }
}

/// An id of the sort that the engine makes: others would stand in the wrong place of every list, and never be cleaned up.
pub(super) fn new_id(text: &str) -> Answer<ExecutionId> {
    let id: ExecutionId = text.parse().map_err(|_| not_an_id(text))?;
    if id.uuid().get_version_num() == 7 { Ok(id) } else { Err(not_an_id(text)) }
}

fn not_an_id(text: &str) -> Trouble {
    Trouble::value(format!("\"{text}\" cannot be an id: ids are UUIDs of version 7, as stent.core.new_id() makes them"))
}

pub(super) fn task_id(text: &str) -> Answer<TaskId> {
    text.parse().map_err(|_| Trouble { kind: "unknown", words: format!("\"{text}\" is no id: ids are UUIDs") })
}

pub(super) fn names(what: &'static str, texts: &[String]) -> Answer<Vec<Name>> {
    let mut names = texts.iter().map(|text| Name::new(what, text)).collect::<Result<Vec<_>, _>>()?;
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

pub(super) fn span(ms: u64) -> Duration {
    Duration::from_millis(ms.min(stent_core::limits::DURATION_MS))
}

fn from_hex(text: &str) -> Answer<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let digits = std::str::from_utf8(pair).ok().filter(|digits| digits.len() == 2);
        digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())
    });
    pairs.collect::<Option<_>>().ok_or_else(|| Trouble::value("bytes must come in hexadecimal"))
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

//! What an execution leaves behind, without ids and times: each task with how it ended, and its records in order.

use std::fmt;

use serde_json::Value;
use stent_core::history::{Record, RecordKind, Verdict};
use stent_core::store::Store;
use stent_core::{ExecutionId, Failure, Payload};

/// The tasks of one execution, the root first, then by the keys they were called under.
#[derive(PartialEq)]
pub struct Story(Vec<TaskStory>);

#[derive(PartialEq)]
struct TaskStory {
    key: Option<String>,
    function: String,
    state: String,
    attempt: u32,
    args: Value,
    result: Option<Value>,
    failure: Option<String>,
    records: Vec<RecordStory>,
}

#[derive(PartialEq)]
struct RecordStory {
    /// In the order of delivery, from 1: `seq` has gaps.
    place: u32,
    seen: u32,
    run: u32,
    key: String,
    kind: RecordKind,
    verdict: Verdict,
    digest: Option<[u8; 16]>,
    said: String,
}

pub async fn read(store: &dyn Store, execution: ExecutionId) -> anyhow::Result<Story> {
    let mut tasks = Vec::new();
    for task in store.tasks(execution).await? {
        let records = in_order(store.history(task.task, 0).await?.records);
        tasks.push(TaskStory {
            key: task.key,
            function: task.function.to_string(),
            state: format!("{:?}", task.state),
            attempt: task.attempt,
            args: json(&task.args)?,
            result: task.result.as_ref().map(json).transpose()?,
            failure: task.failure.as_ref().map(words),
            records: (1..).zip(&records).map(RecordStory::of).collect::<anyhow::Result<_>>()?,
        });
    }
    tasks.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(Story(tasks))
}

/// Which of several children that were called together ends first is chance: their records stand by their calls.
fn in_order(mut records: Vec<Record>) -> Vec<Record> {
    let is_together = |one: &Record, other: &Record| {
        one.kind == RecordKind::Child && other.kind == one.kind && one.seen == other.seen
    };
    for together in records.chunk_by_mut(is_together) {
        together.sort_by_key(|record| record.key.to_string());
    }
    records
}

impl RecordStory {
    fn of((place, record): (u32, &Record)) -> anyhow::Result<Self> {
        let said = match (record.verdict, record.kind) {
            (Verdict::Failed, _) => words(&Failure::from_payload(&record.payload)),
            // A time, and the id of what was started.
            (_, RecordKind::Value) => String::new(),
            (_, RecordKind::Effect) if record.key.to_string().starts_with("dispatch:") => String::new(),
            _ => json(&record.payload)?.to_string(),
        };
        Ok(Self {
            place,
            seen: record.seen,
            run: record.run,
            key: record.key.to_string(),
            kind: record.kind,
            verdict: record.verdict,
            digest: record.digest,
            said,
        })
    }
}

fn json(payload: &Payload) -> anyhow::Result<Value> {
    let (_, bytes) = payload.open()?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// What a failure says in every language: a traceback is one's own.
fn words(failure: &Failure) -> String {
    format!("{:?}: {}", failure.kind, failure.message)
}

impl fmt::Display for Story {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for task in &self.0 {
            let TaskStory { key, function, state, attempt, args, result, failure, records } = task;
            let key = key.as_deref().unwrap_or("the root");
            let result = result.as_ref().map_or_else(String::new, |result| format!(", gave {result}"));
            let failure = failure.as_ref().map_or_else(String::new, |failure| format!(", failed with {failure}"));
            writeln!(out, "  {key}: {function}{args}, {state}, attempt {attempt}{result}{failure}")?;
            for record in records {
                let RecordStory { place, seen, run, key, kind, verdict, digest, said } = record;
                let digest =
                    digest.map_or_else(String::new, |digest| format!(", digest {:02x}{:02x}", digest[0], digest[1]));
                let kind = kind.as_str();
                writeln!(out, "    {place} (seen {seen}, run {run}) {kind} {key}: {verdict:?} {said}{digest}")?;
            }
        }
        Ok(())
    }
}

//! What is remembered of a task: its records and open calls in one read, and which of the calls have an answer now.

use std::collections::BTreeMap;

use stent_core::{CallKey, History, OpenCall, Record, RecordKind, TaskId, TaskRef, Timestamp, Verdict};

use crate::error::{Step, Stop};
use crate::query::{Params, Query};
use crate::readers::Reader;
use crate::rows::{self, Row, get};

/// A registered wait as it is listed.
struct Wait {
    key: CallKey,
    kind: RecordKind,
    seen: u32,
    due: Option<Timestamp>,
    child: Option<TaskId>,
}

/// A child that its parent has not had the end of.
struct Child {
    key: CallKey,
    task: TaskId,
    digest: Option<[u8; 16]>,
    seen: u32,
}

/// A task's records behind `after`, and its open calls. One way to the server and back, whatever there is.
pub(crate) async fn history(reader: Reader<'_>, task: TaskRef, after: u32) -> Step<History> {
    let (execution, id) = (rows::uuid(task.execution.as_bytes()), rows::uuid(task.task.as_bytes()));
    let after = i64::from(after);
    let (place, behind): (Params<'_>, Params<'_>) = (&[&execution, &id], &[&execution, &id, &after]);
    let queries = [
        (Query::HistoryRecords, behind),
        (Query::HistoryChildrenOpen, place),
        (Query::HistoryChildrenEnded, place),
        (Query::WaitList, place),
    ];
    reader.prepare(&queries).await?;
    let (records, open, ended, waits) = tokio::join!(
        biased;
        // Read while the server still sends them: there may be very many.
        reader.collect(Query::HistoryRecords, behind, record),
        reader.query(Query::HistoryChildrenOpen, place),
        reader.query(Query::HistoryChildrenEnded, place),
        reader.query(Query::WaitList, place),
    );
    let mut children = children(&open?)?;
    children.extend(self::children(&ended?)?);
    Ok(History { records: records?, open: open_calls(children, self::waits(&waits?)?) })
}

fn record(row: &Row) -> Step<Record> {
    let seq = u32::try_from(get::<i64>(row, 0)?).map_err(|_| Stop::Broken("a record's place is out of range"))?;
    let kind = RecordKind::stored(i64::from(get::<i16>(row, 2)?));
    let verdict = Verdict::stored(i64::from(get::<i16>(row, 6)?));
    Ok(Record {
        seq,
        key: CallKey::stored(get(row, 1)?),
        kind: kind.ok_or(Stop::Broken("a record's kind is out of range"))?,
        run: rows::count(row, 3)?,
        seen: rows::count(row, 4)?,
        digest: rows::maybe_digest(row, 5)?,
        verdict: verdict.ok_or(Stop::Broken("a record's verdict is out of range"))?,
        payload: rows::payload(row, 7)?,
        source: rows::maybe_uuid(row, 8)?.map(|source| *source.as_bytes()),
        at: rows::time(row, 9)?,
    })
}

/// Children that run or ended undelivered, and registered waits; a wait for a child is the child's call with a time.
fn open_calls(mut called: Vec<Child>, waits: Vec<Wait>) -> Vec<OpenCall> {
    let mut calls: BTreeMap<CallKey, Vec<OpenCall>> = BTreeMap::new();
    // A retry may have called another child under the same key.
    called.sort_unstable_by_key(|child| child.task);
    for Child { key, task, digest, seen } in called {
        let call = OpenCall { key: key.clone(), kind: RecordKind::Child, seen, child: Some(task), digest, due: None };
        calls.entry(key).or_default().push(call);
    }
    for Wait { key, kind, seen, due, child } in waits {
        match calls.get_mut(&key) {
            Some(children) => children.iter_mut().for_each(|call| call.due = due),
            None => {
                let call = OpenCall { key: key.clone(), kind, seen, child, digest: None, due };
                calls.insert(key, vec![call]);
            }
        }
    }
    calls.into_values().flatten().collect()
}

fn key(row: &Row, column: usize) -> Step<CallKey> {
    Ok(rows::key(row, column)?.unwrap_or_else(|| CallKey::stored("")))
}

fn task_id(bytes: [u8; 16]) -> TaskId {
    TaskId::from_bytes(bytes)
}

fn children(found: &[Row]) -> Step<Vec<Child>> {
    let child = |row: &Row| {
        let seen = get::<Option<i32>>(row, 3)?.map_or(0, |seen| u32::try_from(seen).unwrap_or(0));
        let (task, digest) = (task_id(rows::bytes16(row, 1)?), rows::maybe_digest(row, 2)?);
        Ok(Child { key: key(row, 0)?, task, digest, seen })
    };
    found.iter().map(child).collect()
}

fn waits(found: &[Row]) -> Step<Vec<Wait>> {
    let wait = |row: &Row| {
        Ok(Wait {
            key: key(row, 0)?,
            kind: RecordKind::stored(i64::from(get::<i16>(row, 1)?)).unwrap_or(RecordKind::Timer),
            seen: rows::count(row, 7)?,
            due: rows::maybe_time(row, 2)?,
            child: rows::maybe_uuid(row, 5)?.map(|id| task_id(*id.as_bytes())),
        })
    };
    found.iter().map(wait).collect()
}

/// The open calls that have an answer now, in order of key.
pub(crate) async fn arrivals(reader: Reader<'_>, task: TaskRef, now: Timestamp) -> Step<Vec<CallKey>> {
    let (execution, id) = (rows::uuid(task.execution.as_bytes()), rows::uuid(task.task.as_bytes()));
    let found = reader.query(Query::HistoryArrivals, &[&execution, &id, &now.as_micros()]).await?;
    found.iter().map(|row| key(row, 0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(key: &str, id: u8) -> Child {
        Child { key: CallKey::stored(key), task: TaskId::from_bytes([id; 16]), digest: None, seen: 0 }
    }

    fn wait(key: &str, kind: RecordKind, child: Option<u8>) -> Wait {
        let due = Some(Timestamp::from_micros(7));
        Wait { key: CallKey::stored(key), kind, seen: 0, due, child: child.map(|id| TaskId::from_bytes([id; 16])) }
    }

    #[test]
    fn a_wait_for_a_child_gives_every_call_under_its_key_its_time() {
        let open = open_calls(vec![child("b", 2), child("b", 1)], vec![wait("b", RecordKind::Child, Some(2))]);
        let seen: Vec<_> = open.iter().map(|call| (call.child.map(|id| id.as_bytes()[0]), call.due)).collect();
        assert_eq!(seen, [(Some(1), Some(Timestamp::from_micros(7))), (Some(2), Some(Timestamp::from_micros(7)))]);
    }

    #[test]
    fn open_calls_are_in_order_of_key_whatever_they_are() {
        let open = open_calls(
            vec![child("b", 1)],
            vec![wait("a", RecordKind::Timer, None), wait("c", RecordKind::Event, None)],
        );
        let seen: Vec<_> = open.iter().map(|call| (call.key.as_str(), call.kind)).collect();
        assert_eq!(seen, [("a", RecordKind::Timer), ("b", RecordKind::Child), ("c", RecordKind::Event)]);
    }
}

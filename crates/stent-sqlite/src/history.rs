//! What is remembered of a task: its records and open calls in one read, and which of the calls have an answer now.

use std::collections::BTreeMap;

use rusqlite::params;
use stent_core::{CallKey, History, OpenCall, Record, RecordKind, TaskId, TaskRef, Timestamp, Verdict};

use crate::query::{Query, Statements};
use crate::rows;

/// A registered wait as it is listed.
struct Wait {
    key: CallKey,
    kind: RecordKind,
    seen: u32,
    due: Option<Timestamp>,
    queue: String,
    name: String,
    child: Option<TaskId>,
    number: i64,
}

/// A child that its parent has not had the end of.
struct Child {
    key: CallKey,
    task: TaskId,
    digest: Option<[u8; 16]>,
    seen: u32,
}

/// A task's records behind `after`, and its open calls.
pub(crate) fn history(sql: &mut Statements<'_>, task: TaskRef, after: u32) -> rusqlite::Result<History> {
    let mut records = Vec::new();
    let statement = sql.get(Query::HistoryRecords)?;
    let mut rows = statement.query(params![task.execution.as_bytes(), task.task.as_bytes(), after])?;
    while let Some(row) = rows.next()? {
        records.push(record(row)?);
    }
    drop(rows);
    Ok(History { records, open: open_calls(sql, task)? })
}

fn record(row: &rusqlite::Row<'_>) -> rusqlite::Result<Record> {
    let broken = |column| rusqlite::Error::IntegralValueOutOfRange(column, -1);
    Ok(Record {
        seq: row.get(0)?,
        key: CallKey::stored(row.get_ref(1)?.as_str()?),
        kind: RecordKind::stored(row.get(2)?).ok_or_else(|| broken(2))?,
        run: row.get(3)?,
        seen: row.get(4)?,
        digest: row.get(5)?,
        verdict: Verdict::stored(row.get(6)?).ok_or_else(|| broken(6))?,
        payload: rows::payload(row, 7)?,
        source: row.get(8)?,
        at: rows::time(row, 9)?,
    })
}

/// Children that run or ended undelivered, and registered waits; a wait for a child is the child's call with a time.
fn open_calls(sql: &mut Statements<'_>, task: TaskRef) -> rusqlite::Result<Vec<OpenCall>> {
    let mut calls: BTreeMap<CallKey, Vec<OpenCall>> = BTreeMap::new();
    let mut called = children(sql, Query::HistoryChildrenOpen, task)?;
    called.extend(children(sql, Query::HistoryChildrenEnded, task)?);
    // A retry may have called another child under the same key.
    called.sort_unstable_by_key(|child| child.task);
    for Child { key, task, digest, seen } in called {
        let call = OpenCall { key: key.clone(), kind: RecordKind::Child, seen, child: Some(task), digest, due: None };
        calls.entry(key).or_default().push(call);
    }
    for Wait { key, kind, seen, due, child, .. } in waits(sql, task)? {
        match calls.get_mut(&key) {
            Some(children) => children.iter_mut().for_each(|call| call.due = due),
            None => {
                let call = OpenCall { key: key.clone(), kind, seen, child, digest: None, due };
                calls.insert(key, vec![call]);
            }
        }
    }
    Ok(calls.into_values().flatten().collect())
}

fn children(sql: &mut Statements<'_>, query: Query, task: TaskRef) -> rusqlite::Result<Vec<Child>> {
    let rows = sql.get(query)?.query_map([task.execution.as_bytes(), task.task.as_bytes()], |row| {
        Ok(Child {
            key: rows::key(row, 0)?.unwrap_or_else(|| CallKey::stored("")),
            task: TaskId::from_bytes(row.get(1)?),
            digest: row.get(2)?,
            seen: row.get::<_, Option<u32>>(3)?.unwrap_or(0),
        })
    })?;
    rows.collect()
}

fn waits(sql: &mut Statements<'_>, task: TaskRef) -> rusqlite::Result<Vec<Wait>> {
    let rows = sql.get(Query::WaitList)?.query_map([task.execution.as_bytes(), task.task.as_bytes()], |row| {
        Ok(Wait {
            key: rows::key(row, 0)?.unwrap_or_else(|| CallKey::stored("")),
            kind: RecordKind::stored(row.get(1)?).unwrap_or(RecordKind::Timer),
            due: rows::maybe_time(row, 2)?,
            queue: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
            name: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
            child: row.get::<_, Option<[u8; 16]>>(5)?.map(TaskId::from_bytes),
            number: row.get::<_, Option<i64>>(6)?.unwrap_or(0),
            seen: row.get(7)?,
        })
    })?;
    rows.collect()
}

/// The open calls that have an answer now, in order of key.
pub(crate) fn arrivals(sql: &mut Statements<'_>, task: TaskRef, now: Timestamp) -> rusqlite::Result<Vec<CallKey>> {
    let ended = children(sql, Query::HistoryChildrenEnded, task)?;
    let mut keys: Vec<CallKey> = ended.iter().map(|child| child.key.clone()).collect();
    for wait in waits(sql, task)? {
        let came = wait.due.is_some_and(|due| due <= now)
            || match wait.kind {
                RecordKind::Signal => signal_came(sql, task, &wait)?,
                RecordKind::Event => sql.get(Query::EventNext)?.exists(params![
                    task.execution.as_bytes(),
                    task.task.as_bytes(),
                    wait.queue,
                    wait.name
                ])?,
                RecordKind::Child => ended.iter().any(|child| Some(child.task) == wait.child),
                _ => false,
            };
        if came {
            keys.push(wait.key);
        }
    }
    keys.sort();
    keys.dedup();
    Ok(keys)
}

fn signal_came(sql: &mut Statements<'_>, task: TaskRef, wait: &Wait) -> rusqlite::Result<bool> {
    let execution = task.execution.as_bytes();
    let before: i64 =
        sql.get(Query::WaitLineBefore)?.query_row(params![execution, wait.name, wait.number], |row| row.get(0))?;
    sql.get(Query::SignalNth)?.exists(params![execution, wait.name, before])
}

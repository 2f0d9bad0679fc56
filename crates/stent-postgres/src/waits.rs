//! Await, Abandon, Heed and Suspend: what a task waits for, whether it is there, and putting the task aside meanwhile.
//! What came is looked at before the due time, so a signal that is there beats a timeout that has passed.
//!
//! A wait and what it waits for lock one row, so neither misses the other: the execution for signals, the stream for
//! events, the child for its end.

use stent_core::command::{Await, Done, Refusal, Wait};
use stent_core::{
    CallKey, ExecutionId, Failure, FailureKind, Lease, Name, Payload, Record, RecordKind, TaskId, TaskRef, TaskState,
    Timestamp, Verdict,
};

use crate::batch::Batch;
use crate::error::{Step, broken};
use crate::query::{Params, Query};
use crate::rows::{self, Row, Standing, lost, uuid};
use crate::{records, sessions, tree};

/// What came for a wait, and what taking it changes.
struct Arrival {
    key: CallKey,
    seen: u32,
    digest: Option<[u8; 16]>,
    verdict: Verdict,
    payload: Payload,
    source: Option<[u8; 16]>,
    take: Take,
}

/// What is taken with an arrival.
enum Take {
    /// Nothing: a time that has come.
    Time,
    /// The signal at this place of its line.
    Signal(Name, i64),
    /// The event at this place of its stream.
    Event(Name, Name, i64),
    /// The end of this child.
    Child(TaskId),
}

/// A wait as it is registered.
struct Registered {
    due: Option<Timestamp>,
    number: Option<i64>,
}

/// Carries out [`Await`].
pub(crate) async fn ask(batch: &mut Batch<'_>, ask: &Await) -> Step<Done> {
    if matches!(ask.wait, Wait::Signal(_)) {
        batch.lock(ask.lease.task.execution).await?;
    }
    let waitless = batch.leased(&ask.lease).await?.waitless;
    let registered = if waitless { None } else { registered(batch, ask).await? };
    let due = match &registered {
        Some(wait) => wait.due,
        None => ask.due.map(|due| due.at(batch.now)),
    };
    if let Some(arrival) = arrived(batch, ask, registered.as_ref()).await? {
        return deliver(batch, ask, arrival).await;
    }
    if due.is_some_and(|due| due <= batch.now) {
        let verdict = if ask.wait == Wait::Timer { Verdict::Ok } else { Verdict::TimedOut };
        let (key, seen, payload) = (ask.key.clone(), ask.seen, Payload::null());
        let arrival = Arrival { key, seen, digest: None, verdict, payload, source: None, take: Take::Time };
        return deliver(batch, ask, arrival).await;
    }
    let needs_no_row = matches!(ask.wait, Wait::Child(_)) && due.is_none();
    if registered.is_none() && !needs_no_row {
        register(batch, ask, due).await?;
    }
    Ok(Done::Waiting(due))
}

const fn kind(wait: &Wait) -> RecordKind {
    match wait {
        Wait::Timer => RecordKind::Timer,
        Wait::Signal(_) => RecordKind::Signal,
        Wait::Event(..) => RecordKind::Event,
        Wait::Child(_) => RecordKind::Child,
    }
}

async fn registered(batch: &mut Batch<'_>, ask: &Await) -> Step<Option<Registered>> {
    let (execution, task) = (uuid(ask.lease.task.execution.as_bytes()), uuid(ask.lease.task.task.as_bytes()));
    let row = batch.row(Query::WaitRead, &[&execution, &task, &ask.key.as_str()]).await?;
    row.map(|row| Ok(Registered { due: rows::maybe_time(&row, 0)?, number: rows::get(&row, 1)? })).transpose()
}

async fn register(batch: &mut Batch<'_>, ask: &Await, due: Option<Timestamp>) -> Step<()> {
    let task = ask.lease.task;
    let (mut queue, mut name, mut child, mut number) = (None, None, None, None);
    match &ask.wait {
        Wait::Timer => {}
        Wait::Signal(signal) => {
            name = Some(signal.as_str());
            number = Some(line_end(batch, task.execution, signal).await?);
        }
        Wait::Event(of, event) => (queue, name) = (Some(of.as_str()), Some(event.as_str())),
        Wait::Child(id) => child = Some(uuid(id.as_bytes())),
    }
    if let Some(held) = batch.memory.held_mut(task) {
        held.waitless = false;
    }
    let (execution, id, due) =
        (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()), due.map(|d| d.as_micros()));
    let (kind, seen) = (kind(&ask.wait) as i16, i32::try_from(ask.seen).unwrap_or(i32::MAX));
    let params: Params<'_> = &[&execution, &id, &ask.key.as_str(), &kind, &due, &queue, &name, &child, &number, &seen];
    batch.execute(Query::WaitInsert, params).await?;
    Ok(())
}

async fn line_end(batch: &mut Batch<'_>, execution: ExecutionId, name: &Name) -> Step<i64> {
    let row = batch.row(Query::WaitLineEnd, &[&uuid(execution.as_bytes()), &name.as_str()]).await?;
    rows::get(&row.ok_or(broken("a line has an end"))?, 0)
}

/// What is there for the wait now, other than its time.
async fn arrived(batch: &mut Batch<'_>, ask: &Await, registered: Option<&Registered>) -> Step<Option<Arrival>> {
    let task = ask.lease.task;
    let (verdict, key, seen) = (Verdict::Ok, ask.key.clone(), ask.seen);
    match &ask.wait {
        Wait::Timer => Ok(None),
        Wait::Signal(name) => {
            let number = match registered.and_then(|wait| wait.number) {
                Some(number) => number,
                None => line_end(batch, task.execution, name).await?,
            };
            let Some(row) = signal_for(batch, task.execution, name, number).await? else { return Ok(None) };
            let take = Take::Signal(name.clone(), rows::get(&row, 0)?);
            let (source, payload) = (Some(rows::bytes16(&row, 1)?), rows::payload(&row, 2)?);
            Ok(Some(Arrival { key, seen, digest: None, verdict, payload, source, take }))
        }
        Wait::Event(queue, name) => {
            let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
            let mut found = batch.row(Query::EventNext, &[&ids.0, &ids.1, &queue.as_str(), &name.as_str()]).await?;
            if found.is_none() {
                // Looked for again behind the stream's lock: what was being published before is there now.
                batch.execute(Query::EventStreamLock, &[&queue.as_str(), &name.as_str()]).await?;
                found = batch.row(Query::EventNext, &[&ids.0, &ids.1, &queue.as_str(), &name.as_str()]).await?;
            }
            let Some(row) = found else { return Ok(None) };
            let take = Take::Event(queue.clone(), name.clone(), rows::get(&row, 0)?);
            let (source, payload) = (Some(rows::bytes16(&row, 1)?), rows::payload(&row, 2)?);
            Ok(Some(Arrival { key, seen, digest: None, verdict, payload, source, take }))
        }
        Wait::Child(child) => {
            let of = TaskRef { execution: task.execution, task: *child };
            match batch.standing(of).await? {
                Some(row) if row.parent == Some(task.task) => ended_child(batch, of, &row).await,
                _ => Err(Refusal::Unknown.into()),
            }
        }
    }
}

/// The signal for the wait with this number in the line: the n-th wait may take the n-th signal.
async fn signal_for(batch: &mut Batch<'_>, execution: ExecutionId, name: &Name, number: i64) -> Step<Option<Row>> {
    let execution = uuid(execution.as_bytes());
    let before = batch.row(Query::WaitLineBefore, &[&execution, &name.as_str(), &number]).await?;
    let before: i64 = rows::get(&before.ok_or(broken("a count answers one row"))?, 0)?;
    batch.row(Query::SignalNth, &[&execution, &name.as_str(), &before]).await
}

/// The end of a child as an arrival, if it has ended.
async fn ended_child(batch: &mut Batch<'_>, child: TaskRef, row: &Standing) -> Step<Option<Arrival>> {
    if !row.state.is_terminal() {
        return Ok(None);
    }
    let (verdict, payload) = outcome(batch, child).await?;
    Ok(Some(Arrival {
        key: row.key.clone().unwrap_or_else(|| CallKey::stored("")),
        seen: row.seen,
        digest: Some(row.digest),
        verdict,
        payload,
        source: Some(*child.task.as_bytes()),
        take: Take::Child(child.task),
    }))
}

/// How an ended task came out, as its caller's record says it.
async fn outcome(batch: &mut Batch<'_>, task: TaskRef) -> Step<(Verdict, Payload)> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    let row = batch.row(Query::TaskOutcome, &[&ids.0, &ids.1]).await?.ok_or(broken("an ended task has a row"))?;
    let (result, failure) = (rows::maybe_payload(&row, 1)?, rows::maybe_payload(&row, 2)?);
    let failed = |kind, words: &str| (Verdict::Failed, Failure::new(kind, words).to_payload());
    Ok(match rows::task_state(&row, 0)? {
        TaskState::Completed => (Verdict::Ok, result.unwrap_or_else(Payload::null)),
        TaskState::Cancelled => failed(FailureKind::Cancelled, "the child was cancelled"),
        TaskState::TimedOut => failed(FailureKind::Timeout, "the child timed out"),
        _ => (Verdict::Failed, failure.unwrap_or_else(Payload::null)),
    })
}

/// Takes what came, records it and drops the registration.
async fn deliver(batch: &mut Batch<'_>, ask: &Await, arrival: Arrival) -> Step<Done> {
    let (lease, task) = (&ask.lease, ask.lease.task);
    let record = Record {
        seq: ask.seq,
        key: arrival.key,
        kind: kind(&ask.wait),
        run: ask.run,
        seen: arrival.seen,
        digest: arrival.digest,
        verdict: arrival.verdict,
        payload: arrival.payload,
        source: arrival.source,
        at: batch.now,
    };
    // First, since it is what can be refused.
    records::insert(batch, lease, &record).await?;
    let (execution, id) = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    match arrival.take {
        // A time that is over leaves its line without a signal; whatever came was for this very place in it.
        Take::Time => return tree::drop_wait(batch, task, &ask.key).await.map(|()| Done::Delivered(Box::new(record))),
        Take::Signal(name, place) => {
            batch.execute(Query::SignalConsume, &[&execution, &name.as_str(), &place]).await?;
        }
        Take::Event(queue, name, place) => {
            let params: [&dyn crate::query::Param; 5] = [&execution, &id, &queue.as_str(), &name.as_str(), &place];
            batch.execute(Query::EventCursorSet, &params).await?;
        }
        Take::Child(child) => delivered(batch, task, child).await?,
    }
    let waitless = batch.memory.held(task).is_some_and(|held| held.waitless);
    if !waitless {
        batch.execute(Query::WaitDelete, &[&execution, &id, &ask.key.as_str()]).await?;
    }
    Ok(Done::Delivered(Box::new(record)))
}

/// A child's end has reached its parent, which waits for it no more.
pub(crate) async fn delivered(batch: &mut Batch<'_>, parent: TaskRef, child: TaskId) -> Step<()> {
    let (execution, child_id) = (uuid(parent.execution.as_bytes()), uuid(child.as_bytes()));
    batch.execute(Query::TaskDelivered, &[&execution, &child_id]).await?;
    batch.forget_row(TaskRef { execution: parent.execution, task: child });
    forget_child_wait(batch, parent, child).await
}

/// A parent waits no more for a child. One that has registered no waits has none to forget.
pub(crate) async fn forget_child_wait(batch: &mut Batch<'_>, parent: TaskRef, child: TaskId) -> Step<()> {
    if !batch.memory.held(parent).is_some_and(|held| held.waitless) {
        let (execution, id) = (uuid(parent.execution.as_bytes()), uuid(parent.task.as_bytes()));
        batch.execute(Query::WaitDeleteChild, &[&execution, &id, &uuid(child.as_bytes())]).await?;
    }
    Ok(())
}

/// Carries out `Abandon`.
pub(crate) async fn abandon(batch: &mut Batch<'_>, lease: &Lease, key: &CallKey) -> Step<Done> {
    // The wait may have stood in a line of signals, in which others move up.
    batch.lock(lease.task.execution).await?;
    batch.leased(lease).await?;
    tree::drop_wait(batch, lease.task, key).await?;
    Ok(Done::Nothing)
}

/// Carries out `Heed`.
pub(crate) async fn heed(batch: &mut Batch<'_>, lease: &Lease) -> Step<Done> {
    let row = batch.standing(lease.task).await?;
    let open = batch.is_open(lease.session).await?;
    match row {
        Some(row) if open && row.is_held_by(lease) => {
            tree::mark_woken(batch, lease.task, false).await?;
            Ok(Done::Nothing)
        }
        Some(row)
            if row.state.is_terminal()
                && row.epoch == lease.epoch
                && row.session.is_none_or(|s| s == lease.session) =>
        {
            if row.session.is_some() {
                sessions::disown(batch, lease.task, &row).await?;
            }
            Ok(Done::Nothing)
        }
        other => Err(lost(other.as_ref(), lease).into()),
    }
}

/// Carries out `Suspend`. Whether something came is read with the row's lock, not remembered: others set the mark.
pub(crate) async fn suspend(batch: &mut Batch<'_>, lease: &Lease) -> Step<Done> {
    let task = lease.task;
    batch.leased(lease).await?;
    if put_aside(batch, task).await? {
        return Ok(Done::Suspended);
    }
    tree::mark_woken(batch, task, false).await?;
    Ok(Done::Woken)
}

/// A running task is put aside until something wakes it or its first wait is due; false if it has its mark.
pub(crate) async fn put_aside(batch: &mut Batch<'_>, task: TaskRef) -> Step<bool> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    let Some(row) = batch.row(Query::TaskSuspend, &[&ids.0, &ids.1]).await? else { return Ok(false) };
    batch.changed(task);
    batch.wakes.ready |= rows::maybe_time(&row, 0)?.is_some();
    Ok(true)
}

//! Await, Abandon, Heed and Suspend: what a task waits for, whether it is there, and putting the task aside meanwhile.
//! What came is looked at before the due time, so a signal that is there beats a timeout that has passed.

use rusqlite::params;
use stent_core::command::{Await, Done, Refusal, Wait};
use stent_core::{
    CallKey, ExecutionId, Failure, FailureKind, Lease, Name, Payload, Record, RecordKind, TaskId, TaskRef, TaskState,
    Timestamp, Verdict,
};

use crate::batch::{Batch, lost};
use crate::error::Step;
use crate::query::Query;
use crate::rows::{self, Standing};
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
pub(crate) fn ask(batch: &mut Batch<'_>, ask: &Await) -> Step<Done> {
    batch.leased(&ask.lease)?;
    let registered = registered(batch, ask)?;
    let due = match &registered {
        Some(wait) => wait.due,
        None => ask.due.map(|due| due.at(batch.now)),
    };
    if let Some(arrival) = arrived(batch, ask, registered.as_ref())? {
        return deliver(batch, ask, arrival);
    }
    if due.is_some_and(|due| due <= batch.now) {
        let verdict = if ask.wait == Wait::Timer { Verdict::Ok } else { Verdict::TimedOut };
        let (key, seen, payload) = (ask.key.clone(), ask.seen, Payload::null());
        let arrival = Arrival { key, seen, digest: None, verdict, payload, source: None, take: Take::Time };
        return deliver(batch, ask, arrival);
    }
    let needs_no_row = matches!(ask.wait, Wait::Child(_)) && due.is_none();
    if registered.is_none() && !needs_no_row {
        register(batch, ask, due)?;
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

fn registered(batch: &mut Batch<'_>, ask: &Await) -> Step<Option<Registered>> {
    let task = ask.lease.task;
    let statement = batch.sql.get(Query::WaitRead)?;
    let mut rows = statement.query(params![task.execution.as_bytes(), task.task.as_bytes(), ask.key.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Registered { due: rows::maybe_time(row, 0)?, number: row.get(1)? }))
}

fn register(batch: &mut Batch<'_>, ask: &Await, due: Option<Timestamp>) -> Step<()> {
    let task = ask.lease.task;
    let (mut queue, mut name, mut child, mut number) = (None, None, None, None);
    match &ask.wait {
        Wait::Timer => {}
        Wait::Signal(signal) => {
            name = Some(signal.as_str());
            number = Some(line_end(batch, task.execution, signal)?);
        }
        Wait::Event(of, event) => (queue, name) = (Some(of.as_str()), Some(event.as_str())),
        Wait::Child(id) => child = Some(*id.as_bytes()),
    }
    batch.sql.get(Query::WaitInsert)?.execute(params![
        task.execution.as_bytes(),
        task.task.as_bytes(),
        ask.key.as_str(),
        kind(&ask.wait) as u8,
        due.map(Timestamp::as_micros),
        queue,
        name,
        child,
        number,
        ask.seen
    ])?;
    Ok(())
}

fn line_end(batch: &mut Batch<'_>, execution: ExecutionId, name: &Name) -> Step<i64> {
    let statement = batch.sql.get(Query::WaitLineEnd)?;
    Ok(statement.query_row(params![execution.as_bytes(), name.as_str()], |row| row.get(0))?)
}

/// What is there for the wait now, other than its time.
fn arrived(batch: &mut Batch<'_>, ask: &Await, registered: Option<&Registered>) -> Step<Option<Arrival>> {
    let task = ask.lease.task;
    let (verdict, key, seen) = (Verdict::Ok, ask.key.clone(), ask.seen);
    match &ask.wait {
        Wait::Timer => Ok(None),
        Wait::Signal(name) => {
            let number = match registered.and_then(|wait| wait.number) {
                Some(number) => number,
                None => line_end(batch, task.execution, name)?,
            };
            let Some((place, id, payload)) = signal_for(batch, task.execution, name, number)? else { return Ok(None) };
            let take = Take::Signal(name.clone(), place);
            Ok(Some(Arrival { key, seen, digest: None, verdict, payload, source: Some(id), take }))
        }
        Wait::Event(queue, name) => {
            let found = {
                let mut rows = batch.sql.get(Query::EventNext)?.query(params![
                    task.execution.as_bytes(),
                    task.task.as_bytes(),
                    queue.as_str(),
                    name.as_str()
                ])?;
                match rows.next()? {
                    Some(row) => (row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?, rows::payload(row, 2)?),
                    None => return Ok(None),
                }
            };
            let take = Take::Event(queue.clone(), name.clone(), found.0);
            Ok(Some(Arrival { key, seen, digest: None, verdict, payload: found.2, source: Some(found.1), take }))
        }
        Wait::Child(child) => {
            let of = TaskRef { execution: task.execution, task: *child };
            match batch.standing(of)? {
                Some(row) if row.parent == Some(task.task) => ended_child(batch, of, &row),
                _ => Err(Refusal::Unknown.into()),
            }
        }
    }
}

/// The signal for the wait with this number in the line: the n-th wait may take the n-th signal.
fn signal_for(
    batch: &mut Batch<'_>,
    execution: ExecutionId,
    name: &Name,
    number: i64,
) -> Step<Option<(i64, [u8; 16], Payload)>> {
    let before: i64 = batch
        .sql
        .get(Query::WaitLineBefore)?
        .query_row(params![execution.as_bytes(), name.as_str(), number], |row| row.get(0))?;
    let mut rows = batch.sql.get(Query::SignalNth)?.query(params![execution.as_bytes(), name.as_str(), before])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((row.get(0)?, row.get(1)?, rows::payload(row, 2)?)))
}

/// The end of a child as an arrival, if it has ended.
fn ended_child(batch: &mut Batch<'_>, child: TaskRef, row: &Standing) -> Step<Option<Arrival>> {
    if !row.state.is_terminal() {
        return Ok(None);
    }
    let (verdict, payload) = outcome(batch, child)?;
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
fn outcome(batch: &mut Batch<'_>, task: TaskRef) -> Step<(Verdict, Payload)> {
    let statement = batch.sql.get(Query::TaskOutcome)?;
    let (state, result, failure) = statement.query_row([task.execution.as_bytes(), task.task.as_bytes()], |row| {
        Ok((rows::task_state(row, 0)?, rows::maybe_payload(row, 1)?, rows::maybe_payload(row, 2)?))
    })?;
    let failed = |kind, words: &str| (Verdict::Failed, Failure::new(kind, words).to_payload());
    Ok(match state {
        TaskState::Completed => (Verdict::Ok, result.unwrap_or_else(Payload::null)),
        TaskState::Cancelled => failed(FailureKind::Cancelled, "the child was cancelled"),
        TaskState::TimedOut => failed(FailureKind::Timeout, "the child timed out"),
        _ => (Verdict::Failed, failure.unwrap_or_else(Payload::null)),
    })
}

/// Takes what came, records it and drops the registration.
fn deliver(batch: &mut Batch<'_>, ask: &Await, arrival: Arrival) -> Step<Done> {
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
    records::insert(batch, lease, &record)?;
    match arrival.take {
        // A time that is over leaves its line without a signal; whatever came was for this very place in it.
        Take::Time => return tree::drop_wait(batch, task, &ask.key).map(|()| Done::Delivered(Box::new(record))),
        Take::Signal(name, place) => {
            let statement = batch.sql.get(Query::SignalConsume)?;
            statement.execute(params![task.execution.as_bytes(), name.as_str(), place])?;
        }
        Take::Event(queue, name, place) => {
            batch.set_cursor(task, &queue, &name, place)?;
        }
        Take::Child(child) => delivered(batch, task, child)?,
    }
    // The one step of a DELETE with RETURNING makes the whole change.
    let statement = batch.sql.get(Query::WaitDelete)?;
    statement.exists(params![task.execution.as_bytes(), task.task.as_bytes(), ask.key.as_str()])?;
    Ok(Done::Delivered(Box::new(record)))
}

/// A child's end has reached its parent, which waits for it no more.
pub(crate) fn delivered(batch: &mut Batch<'_>, parent: TaskRef, child: TaskId) -> Step<()> {
    batch.sql.get(Query::TaskDelivered)?.execute([parent.execution.as_bytes(), child.as_bytes()])?;
    drop_wait_for(batch, parent, child)
}

/// Forgets the wait for a child.
pub(crate) fn drop_wait_for(batch: &mut Batch<'_>, parent: TaskRef, child: TaskId) -> Step<()> {
    let statement = batch.sql.get(Query::WaitDeleteChild)?;
    statement.execute([parent.execution.as_bytes(), parent.task.as_bytes(), child.as_bytes()])?;
    Ok(())
}

/// Carries out `Abandon`.
pub(crate) fn abandon(batch: &mut Batch<'_>, lease: &Lease, key: &CallKey) -> Step<Done> {
    batch.leased(lease)?;
    tree::drop_wait(batch, lease.task, key)?;
    Ok(Done::Nothing)
}

/// Carries out `Heed`.
pub(crate) fn heed(batch: &mut Batch<'_>, lease: &Lease) -> Step<Done> {
    let row = batch.standing(lease.task)?;
    let open = batch.is_open(lease.session)?;
    match row {
        Some(row) if open && row.is_held_by(lease) => {
            if row.woken {
                tree::mark_woken(batch, lease.task, false)?;
            }
            Ok(Done::Nothing)
        }
        Some(row)
            if row.state.is_terminal()
                && row.epoch == lease.epoch
                && row.session.is_none_or(|s| s == lease.session) =>
        {
            if row.session.is_some() {
                sessions::disown(batch, lease.task, &row)?;
            }
            Ok(Done::Nothing)
        }
        other => Err(lost(other.as_ref(), lease).into()),
    }
}

/// Carries out `Suspend`.
pub(crate) fn suspend(batch: &mut Batch<'_>, lease: &Lease) -> Step<Done> {
    let task = lease.task;
    if batch.leased(lease)?.woken {
        tree::mark_woken(batch, task, false)?;
        return Ok(Done::Woken);
    }
    put_aside(batch, task)?;
    Ok(Done::Suspended)
}

/// A running task is put aside until something wakes it or its first wait is due.
pub(crate) fn put_aside(batch: &mut Batch<'_>, task: TaskRef) -> Step<()> {
    let due: Option<i64> = batch
        .sql
        .get(Query::WaitNextDue)?
        .query_row([task.execution.as_bytes(), task.task.as_bytes()], |row| row.get(0))?;
    let statement = batch.sql.get(Query::TaskSuspend)?;
    statement.execute(params![task.execution.as_bytes(), task.task.as_bytes(), due])?;
    batch.wakes.ready |= due.is_some();
    Ok(())
}

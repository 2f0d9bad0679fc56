//! Claim. What is due is promoted first; then the heads of the routes that the worker serves are merged. Routes with
//! nothing ready, and ready routes of others, are leapt over in the index, so a claim costs what it takes, not what
//! lies before it. Of a limited function that is full only those are looked at that hold a slot.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use rusqlite::{Row, params};
use stent_core::command::{Claim, Done, Refusal};
use stent_core::limits::{CLAIM_TASKS, PROMOTE_TASKS};
use stent_core::routing::rank;
use stent_core::{ClaimedTask, ExecutionId, Lease, Name, SessionId, TaskId, TaskRef, TaskSpec, TaskState, Timestamp};

use crate::batch::Batch;
use crate::error::Step;
use crate::gates::Gates;
use crate::query::Query;
use crate::rows;
use crate::slots::Free;

/// The order of a claim: rank, then age.
type Place = (i64, TaskRef);

/// A ready task as `claim_route.sql` gives it.
struct Ready {
    place: Place,
    first: bool,
    on_start: bool,
    holds_slot: bool,
    task: ClaimedTask,
}

/// A route that has ready tasks, and those of its head that were read already.
struct Line {
    route: i64,
    /// What reads it: all of it, or only what holds a slot.
    reads: Query,
    read: VecDeque<Ready>,
}

impl Line {
    const fn new(route: i64) -> Self {
        Self { route, reads: Query::ClaimRoute, read: VecDeque::new() }
    }
}

/// Carries out [`Claim`].
pub(crate) fn claim(batch: &mut Batch<'_>, claim: &Claim) -> Step<Done> {
    if !batch.is_open(claim.session)? {
        return Err(Refusal::SessionGone.into());
    }
    promote(batch, batch.now)?;
    let gates = batch.gates()?;
    let accepted = batch.routes.accepted(&mut batch.sql, &claim.serve, &gates.paused)?;
    let max = claim.max.min(CLAIM_TASKS) as usize;
    let tasks = if max == 0 { Vec::new() } else { take(batch, claim.session, &accepted, &gates, max)? };
    Ok(Done::Claimed { tasks, next_due: next_due(batch)?, limited: limited(claim, &gates) })
}

/// What a claim answers that finds nothing to take and nothing that is due; `None` where there is something, or the
/// session is gone. Only reads: an idle worker needs no turn to write.
pub(crate) fn look(batch: &mut Batch<'_>, claim: &Claim) -> Step<Option<Done>> {
    let next_due = next_due(batch)?;
    if next_due.is_some_and(|due| due <= batch.now) || !batch.is_open(claim.session)? {
        return Ok(None);
    }
    let gates = batch.gates()?;
    let accepted = batch.routes.accepted(&mut batch.sql, &claim.serve, &gates.paused)?;
    let (plain, full) = split(batch, &accepted, &gates)?;
    if !heads(batch, plain.as_deref().unwrap_or(&accepted))?.is_empty() {
        return Ok(None);
    }
    let free = Free::of(batch, &gates, full.iter().map(|(_, function)| function), 1)?;
    for (route, function) in full {
        if limited_head(batch, claim.session, route, free.has(&function))?.is_some() {
            return Ok(None);
        }
    }
    Ok(Some(Done::Claimed { tasks: Vec::new(), next_due, limited: limited(claim, &gates) }))
}

/// When the next delayed or suspended task is due.
fn next_due(batch: &mut Batch<'_>) -> Step<Option<Timestamp>> {
    let mut rows = batch.sql.get(Query::TaskNextDue)?.query([])?;
    Ok(rows.next()?.map(|row| rows::time(row, 0)).transpose()?)
}

/// The functions among those that a claim asks for of which a task needs a slot, in order of name.
fn limited(claim: &Claim, gates: &Gates) -> Vec<Name> {
    let mut limited = Vec::new();
    if !gates.limits.is_empty() {
        limited.extend(claim.serve.functions.iter().filter(|function| gates.limits.contains_key(*function)).cloned());
        limited.sort_unstable();
        limited.dedup();
    }
    limited
}

/// Makes ready what is due by a moment.
pub(crate) fn promote(batch: &mut Batch<'_>, until: Timestamp) -> Step<()> {
    let until = until.as_micros();
    let due = {
        let rows = batch.sql.get(Query::TaskPromoteDue)?.query_map([until, i64::from(PROMOTE_TASKS)], |row| {
            Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, [u8; 16]>(1)?, rows::task_state(row, 2)?))
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()?
    };
    for (execution, task, state) in due {
        // A delayed task keeps the rank it was put aside with; a suspended one resumes.
        let resumes = (state == TaskState::Suspended).then_some(rank(true, 0));
        batch.sql.get(Query::TaskPromote)?.execute(params![execution, task, resumes])?;
        batch.wakes.ready = true;
    }
    Ok(())
}

/// Takes the first `max` of all that is ready in the accepted routes.
fn take(
    batch: &mut Batch<'_>,
    session: SessionId,
    accepted: &[i64],
    gates: &Gates,
    max: usize,
) -> Step<Vec<ClaimedTask>> {
    let (plain, limited) = split(batch, accepted, gates)?;
    let mut free = Free::of(batch, gates, limited.iter().map(|(_, function)| function), max)?;
    let mut lines = Vec::new();
    let mut heap = BinaryHeap::new();
    let mut heads = heads(batch, plain.as_deref().unwrap_or(accepted))?;
    for (route, function) in limited {
        heads.extend(limited_head(batch, session, route, free.has(&function))?);
    }
    for (at, (place, line)) in heads.into_iter().enumerate() {
        heap.push(Reverse((place, at)));
        lines.push(line);
    }
    let mut tasks = Vec::with_capacity(max.min(64));
    while let Some(Reverse((_, at))) = heap.pop() {
        let line = &mut lines[at];
        fill(batch, session, line, max - tasks.len(), heap.len())?;
        let Some(ready) = line.read.pop_front() else { continue };
        let slot = match &ready.task.spec.function {
            _ if ready.holds_slot => None,
            function if free.has(function) => free.take(batch, function, ready.place.1)?,
            // Full by now: what is left of the line is only what holds a slot.
            _ => {
                (line.reads, line.read) = (Query::ClaimHeld, VecDeque::new());
                fill(batch, session, line, max - tasks.len(), heap.len())?;
                heap.extend(line.read.front().map(|next| Reverse((next.place, at))));
                continue;
            }
        };
        tasks.push(own(batch, session, ready, slot)?);
        if tasks.len() == max {
            break;
        }
        fill(batch, session, line, max - tasks.len(), heap.len())?;
        if let Some(next) = line.read.front() {
            heap.push(Reverse((next.place, at)));
        }
    }
    Ok(tasks)
}

/// Routes of limited functions, with these.
type Limited = Vec<(i64, Name)>;

/// The routes without limits, `None` where none is limited, as mostly; and those of limited functions.
fn split(batch: &mut Batch<'_>, accepted: &[i64], gates: &Gates) -> Step<(Option<Vec<i64>>, Limited)> {
    if gates.limits.is_empty() {
        return Ok((None, Vec::new()));
    }
    let (mut plain, mut limited) = (Vec::new(), Vec::new());
    for route in accepted {
        let function = batch.routes.route(&mut batch.sql, *route)?.function;
        if gates.limits.contains_key(&function) {
            limited.push((*route, function));
        } else {
            plain.push(*route);
        }
    }
    Ok((Some(plain), limited))
}

/// The line of a limited function's route with its head, if anything of it can be claimed.
fn limited_head(batch: &mut Batch<'_>, session: SessionId, route: i64, is_free: bool) -> Step<Option<(Place, Line)>> {
    let mut line = Line::new(route);
    if !is_free {
        line.reads = Query::ClaimHeld;
    }
    read_line(batch, session, &mut line, 1)?;
    Ok(line.read.front().map(|head| head.place).map(|place| (place, line)))
}

/// Reads on in a line of which everything read was taken; what was taken is not ready any more, so its head follows.
fn fill(batch: &mut Batch<'_>, session: SessionId, line: &mut Line, wanted: usize, others: usize) -> Step<()> {
    if line.read.is_empty() { read_line(batch, session, line, wanted.div_ceil(others + 1)) } else { Ok(()) }
}

/// The routes among the accepted ones that have ready tasks, with their heads.
fn heads(batch: &mut Batch<'_>, accepted: &[i64]) -> Step<Vec<(Place, Line)>> {
    let mut lines = Vec::new();
    let mut rest = accepted;
    while let Some(&from) = rest.first() {
        let found = {
            let mut rows = batch.sql.get(Query::ClaimSeek)?.query([from])?;
            match rows.next()? {
                Some(row) => (row.get::<_, i64>(0)?, (row.get::<_, i64>(1)?, place(row, 2)?)),
                None => break,
            }
        };
        rest = &rest[rest.partition_point(|id| *id < found.0)..];
        if rest.first() == Some(&found.0) {
            lines.push((found.1, Line::new(found.0)));
            rest = &rest[1..];
        }
    }
    Ok(lines)
}

fn place(row: &Row<'_>, column: usize) -> rusqlite::Result<TaskRef> {
    Ok(TaskRef { execution: ExecutionId::from_bytes(row.get(column)?), task: TaskId::from_bytes(row.get(column + 1)?) })
}

fn read_line(batch: &mut Batch<'_>, session: SessionId, line: &mut Line, limit: usize) -> Step<()> {
    let route = batch.routes.route(&mut batch.sql, line.route)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = batch.sql.get(line.reads)?.query([line.route, limit])?;
    while let Some(row) = rows.next()? {
        let task = place(row, 0)?;
        let spec = TaskSpec {
            function: route.function.clone(),
            args: rows::payload(row, 14)?,
            queue: route.queue.clone(),
            priority: row.get(3)?,
            tags: route.tags.clone(),
            headers: rows::maybe_bytes(row, 13)?,
            options: rows::options(row, 12)?,
        };
        let claimed = ClaimedTask {
            lease: Lease { task, session, epoch: rows::number(row, 4)? + 1 },
            spec,
            parent: row.get::<_, Option<[u8; 16]>>(8)?.map(TaskId::from_bytes),
            attempt: row.get(5)?,
            run: row.get(6)?,
            losses: row.get(7)?,
            created_at: Timestamp::from_micros(row.get(9)?),
        };
        let first = row.get::<_, Option<i64>>(11)?.is_none();
        let (on_start, holds_slot) = (row.get(10)?, row.get::<_, Option<i64>>(15)?.is_some());
        line.read.push_back(Ready { place: (row.get(2)?, task), first, on_start, holds_slot, task: claimed });
    }
    Ok(())
}

/// Puts a ready task into the session's hands, with the slot that was taken for it.
fn own(batch: &mut Batch<'_>, session: SessionId, ready: Ready, slot: Option<i64>) -> Step<ClaimedTask> {
    let task = ready.place.1;
    let now = batch.now.as_micros();
    let statement = batch.sql.get(Query::ClaimTask)?;
    statement.raw_bind_parameter(1, task.execution.as_bytes())?;
    statement.raw_bind_parameter(2, task.task.as_bytes())?;
    statement.raw_bind_parameter(3, session.as_bytes())?;
    statement.raw_bind_parameter(4, now)?;
    statement.raw_bind_parameter(5, slot)?;
    statement.raw_execute()?;
    if ready.first && ready.on_start {
        crate::starts::restart_deadline(batch, task.execution)?;
    }
    Ok(ready.task)
}

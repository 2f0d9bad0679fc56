//! Start and StartChild. A start is one execution row and one task row with one index entry; a child is one task row.

use rusqlite::params;
use stent_core::command::{Deadline, Done, Refusal, Start, StartChild};
use stent_core::routing::rank;
use stent_core::{
    ClaimedTask, ExecutionId, ExecutionState, Lease, Payload, SessionId, TaskRef, TaskSpec, TaskState, Timestamp,
};

use crate::batch::Batch;
use crate::error::Step;
use crate::memos;
use crate::query::Query;
use crate::rows;

/// Carries out [`Start`].
pub(crate) fn start(batch: &mut Batch<'_>, start: &Start) -> Step<Done> {
    if let Some(key) = &start.key {
        let mut rows = batch.sql.get(Query::StartKeyFind)?.query([key.as_str()])?;
        if let Some(row) = rows.next()? {
            let execution = ExecutionId::from_bytes(row.get(0)?);
            return Ok(Done::Started { execution, created: false, claimed: None });
        }
    }
    let owner = owner(batch, start)?;
    let (now, spec) = (batch.now, &start.spec);
    let route = batch.routes.number(&mut batch.sql, &spec.queue, &spec.function, &spec.tags)?;
    if !insert_execution(batch, start, route, owner.is_some())? {
        return Err(Refusal::Exists.into());
    }
    if let Some(key) = &start.key {
        batch.sql.get(Query::StartKeyInsert)?.execute(params![key.as_str(), start.id.as_bytes()])?;
    }
    let task = TaskRef::root(start.id);
    let on_start = start.deadline.start_within.is_some() || start.deadline.run_within.is_some();
    let hit = memos::look_up(batch, spec.options.memo.as_deref(), task)?;
    let due = start.due.map(|due| due.at(now));
    let new = NewTask { task, route, spec, owner, due, on_start, call: None };
    insert_task(batch, &new)?;
    if let Some(result) = hit {
        end_at_once(batch, &new, &result)?;
        let completed = ExecutionState::Completed as u8;
        batch.sql.get(Query::ExecutionEnd)?.execute(params![start.id.as_bytes(), completed, now.as_micros()])?;
        batch.wakes.ended.push(start.id);
    }
    let claimed = new.claimed(now).map(Box::new);
    Ok(Done::Started { execution: start.id, created: true, claimed })
}

/// The session that the start is claimed for, if it may be.
fn owner(batch: &mut Batch<'_>, start: &Start) -> Step<Option<SessionId>> {
    let may_be = start.due.is_none() && start.spec.options.memo.is_none();
    let Some(session) = start.claim_for.filter(|_| may_be) else { return Ok(None) };
    let (open, gates) = (batch.is_open(session)?, batch.gates()?);
    let claimable =
        open && !gates.paused.contains(&start.spec.queue) && !gates.limits.contains_key(&start.spec.function);
    Ok(claimable.then_some(session))
}

/// Whether the execution's id was free.
fn insert_execution(batch: &mut Batch<'_>, start: &Start, route: i64, claimed: bool) -> Step<bool> {
    let (now, limits) = (batch.now, &start.deadline);
    let deadline = if limits.is_none() {
        None
    } else if claimed {
        limits.once_started(now, now)
    } else {
        limits.before_start(now)
    };
    let changed = batch.sql.get(Query::ExecutionInsert)?.execute(params![
        start.id.as_bytes(),
        route,
        now.as_micros(),
        deadline.map(|(at, _)| at.as_micros()),
        deadline.map(|(_, state)| state as u8),
        limits.expire_after.map(|span| (now + span).as_micros()),
        limits.run_within.map(rows::micros),
    ])?;
    Ok(changed > 0)
}

/// A task that is about to be there.
pub(crate) struct NewTask<'a> {
    task: TaskRef,
    route: i64,
    spec: &'a TaskSpec,
    owner: Option<SessionId>,
    due: Option<Timestamp>,
    on_start: bool,
    call: Option<&'a StartChild>,
}

impl NewTask<'_> {
    /// The task in its owner's hands, if it is created in any.
    fn claimed(&self, now: Timestamp) -> Option<ClaimedTask> {
        Some(ClaimedTask {
            lease: Lease { task: self.task, session: self.owner?, epoch: 1 },
            spec: self.spec.clone(),
            parent: self.call.map(|call| call.parent.task.task),
            attempt: 1,
            run: 1,
            losses: 0,
            created_at: now,
        })
    }
}

fn insert_task(batch: &mut Batch<'_>, new: &NewTask<'_>) -> Step<()> {
    let (now, spec) = (batch.now.as_micros(), new.spec);
    let running = new.owner.is_some();
    let state = if running { TaskState::Running } else { TaskState::Pending };
    let due = new.due.filter(|_| !running).map(Timestamp::as_micros);
    let options = spec.options.to_stored();
    let statement = batch.sql.get(Query::TaskInsert)?;
    statement.raw_bind_parameter(1, new.task.execution.as_bytes())?;
    statement.raw_bind_parameter(2, new.task.task.as_bytes())?;
    statement.raw_bind_parameter(3, new.route)?;
    statement.raw_bind_parameter(4, state as u8)?;
    statement.raw_bind_parameter(5, !running && due.is_none())?;
    statement.raw_bind_parameter(6, rank(false, spec.priority))?;
    statement.raw_bind_parameter(7, spec.priority)?;
    statement.raw_bind_parameter(8, i64::from(running))?;
    statement.raw_bind_parameter(9, new.owner.as_ref().map(SessionId::as_bytes))?;
    statement.raw_bind_parameter(10, due)?;
    statement.raw_bind_parameter(11, new.on_start)?;
    statement.raw_bind_parameter(12, now)?;
    statement.raw_bind_parameter(13, running.then_some(now))?;
    statement.raw_bind_parameter(14, new.call.map(|call| call.parent.task.task.as_bytes()))?;
    statement.raw_bind_parameter(15, new.call.map(|call| call.key.as_str()))?;
    statement.raw_bind_parameter(16, new.call.map(|call| call.seen))?;
    statement.raw_bind_parameter(17, new.call.map(|call| &call.digest))?;
    statement.raw_bind_parameter(18, options)?;
    statement.raw_bind_parameter(19, spec.headers.as_deref())?;
    statement.raw_bind_parameter(20, &spec.args.as_stored()[..])?;
    statement.raw_execute()?;
    if !running {
        batch.wakes.ready = true;
    }
    Ok(())
}

/// Carries out [`StartChild`].
pub(crate) fn start_child(batch: &mut Batch<'_>, start: &StartChild) -> Step<Done> {
    batch.leased(&start.parent)?;
    let task = child(start);
    if let Some(row) = batch.standing(task)? {
        return Ok(Done::ChildStarted { created: false, state: row.state, digest: row.digest, claimed: None });
    }
    let (state, claimed) = insert_child(batch, start)?;
    Ok(Done::ChildStarted { created: true, state, digest: start.digest, claimed: claimed.map(Box::new) })
}

/// The child that a start is about.
pub(crate) const fn child(start: &StartChild) -> TaskRef {
    TaskRef { execution: start.parent.task.execution, task: start.child }
}

/// Whether a child is created in its parent's session's hands.
pub(crate) const fn is_in_place(start: &StartChild) -> bool {
    start.in_place && start.spec.options.memo.is_none()
}

/// Creates the row of a child whose parent's lease was checked and which is not there.
pub(crate) fn insert_child(batch: &mut Batch<'_>, start: &StartChild) -> Step<(TaskState, Option<ClaimedTask>)> {
    let (now, spec) = (batch.now, &start.spec);
    let route = batch.routes.number(&mut batch.sql, &spec.queue, &spec.function, &spec.tags)?;
    let owner = is_in_place(start).then_some(start.parent.session);
    let due = start.due.map(|due| due.at(now));
    let new = NewTask { task: child(start), route, spec, owner, due, on_start: false, call: Some(start) };
    let hit = memos::look_up(batch, spec.options.memo.as_deref(), new.task)?;
    insert_task(batch, &new)?;
    if let Some(result) = hit {
        end_at_once(batch, &new, &result)?;
        return Ok((TaskState::Completed, None));
    }
    Ok((if owner.is_some() { TaskState::Running } else { TaskState::Pending }, new.claimed(now)))
}

/// A task that was just created ends with the result of an equal call. Its parent, which asks for it, is told its state.
fn end_at_once(batch: &mut Batch<'_>, new: &NewTask<'_>, result: &Payload) -> Step<()> {
    batch.sql.get(Query::TaskHit)?.execute(params![
        new.task.execution.as_bytes(),
        new.task.task.as_bytes(),
        batch.now.as_micros(),
        &result.as_stored()[..],
        new.call.is_some(),
    ])?;
    Ok(())
}

/// The deadline of an execution whose root is claimed for the first time, where its limits count from there.
pub(crate) fn restart_deadline(batch: &mut Batch<'_>, execution: ExecutionId) -> Step<()> {
    let limits = {
        let mut rows = batch.sql.get(Query::ExecutionLimits)?.query([execution.as_bytes()])?;
        let Some(row) = rows.next()? else { return Ok(()) };
        (row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)
    };
    // What was "after creation" is kept as a point in time, so both spans are counted from now.
    let now = batch.now;
    let span = |micros: i64| std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let epoch = Timestamp::from_micros(0);
    let deadline = Deadline { expire_after: limits.0.map(span), start_within: None, run_within: limits.1.map(span) };
    let next = deadline.once_started(epoch, now);
    batch.sql.get(Query::ExecutionSetDeadline)?.execute(params![
        execution.as_bytes(),
        next.map(|(at, _)| at.as_micros()),
        next.map(|(_, state)| state as u8),
    ])?;
    Ok(())
}

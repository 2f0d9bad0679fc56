//! Start and StartChild. A start is one execution row and one task row with one index entry; a child is one task row.

use std::collections::HashMap;

use stent_core::command::{Command, Deadline, Done, Refusal, Start, StartChild};
use stent_core::{
    ClaimedTask, ExecutionId, ExecutionState, Lease, Name, SessionId, TaskId, TaskRef, TaskSpec, TaskState, Timestamp,
};

use crate::batch::Batch;
use crate::error::Step;
use crate::memos;
use crate::query::{Column, Query};
use crate::rows::{self, Standing, uuid};
use crate::slots;

/// An execution that is about to be there, with its root.
pub(crate) struct NewRoot<'a> {
    pub(crate) execution: ExecutionId,
    pub(crate) route: i64,
    pub(crate) spec: &'a TaskSpec,
    pub(crate) owner: Option<SessionId>,
    pub(crate) due: Option<Timestamp>,
    pub(crate) deadline: Option<(Timestamp, ExecutionState)>,
    pub(crate) expire_at: Option<Timestamp>,
    pub(crate) run_within: Option<i64>,
    pub(crate) on_start: bool,
}

/// A child that is about to be there.
pub(crate) struct NewChild<'a> {
    pub(crate) task: TaskRef,
    pub(crate) route: i64,
    pub(crate) start: &'a StartChild,
    pub(crate) owner: Option<SessionId>,
    pub(crate) due: Option<Timestamp>,
}

/// A task that is there now.
struct NewTask<'a> {
    task: TaskRef,
    route: i64,
    function: &'a Name,
    is_delayed: bool,
}

/// Carries out [`Start`].
pub(crate) async fn start(batch: &mut Batch<'_>, start: &Start) -> Step<Done> {
    let is_tied = start.key.as_ref().is_some_and(|key| batch.tied.get(key) == Some(&start.id));
    // Another start with this key in the same batch finds it like anybody's.
    if is_tied && let Some(key) = &start.key {
        batch.tied.remove(key);
    }
    let key = start.key.as_ref().filter(|_| !is_tied);
    // A trusting batch ties the key first, and looks whose it is when that cannot be.
    if let Some(key) = key
        && batch.is_careful()
        && let Some(row) = batch.row(Query::StartKeyFind, &[&key.as_str()]).await?
    {
        return known(ExecutionId::from_bytes(rows::bytes16(&row, 0)?));
    }
    let owner = owner(batch, start).await?;
    let (now, spec) = (batch.now, &start.spec);
    let id = uuid(start.id.as_bytes());
    if batch.is_careful() && batch.exists(Query::ExecutionExists, &[&id]).await? {
        if is_tied && let Some(key) = &start.key {
            free(batch, key, start.id).await?;
        }
        return Err(Refusal::Exists.into());
    }
    if let Some(key) = key
        // Waits for whoever starts with the same key at this moment; no row is there if that one was first.
        && batch.execute(Query::StartKeyInsert, &[&key.as_str(), &id]).await? == 0
    {
        let row = batch.row(Query::StartKeyFind, &[&key.as_str()]).await?;
        return row.map_or(Err(Refusal::Exists.into()), |row| known(ExecutionId::from_bytes(rows::bytes16(&row, 0)?)));
    }
    let route = batch.route_number(&spec.queue, &spec.function, &spec.tags).await?;
    let limits = &start.deadline;
    let deadline = match owner {
        _ if limits.is_none() => None,
        Some(_) => limits.once_started(now, now),
        None => limits.before_start(now),
    };
    let root = NewRoot {
        execution: start.id,
        route,
        spec,
        owner,
        due: start.due.map(|due| due.at(now)),
        deadline,
        expire_at: limits.expire_after.map(|span| now + span),
        run_within: limits.run_within.map(rows::micros),
        on_start: limits.start_within.is_some() || limits.run_within.is_some(),
    };
    batch.writes.start(&root);
    let task = TaskRef::root(start.id);
    if let Some(result) = memos::look_up(batch, spec.options.memo.as_deref(), task).await? {
        let (completed, now) = (ExecutionState::Completed as i16, now.as_micros());
        batch.execute(Query::ExecutionEnd, &[&id, &completed, &now]).await?;
        batch.wakes.ended.push(start.id);
        batch.writes.hit(task, &result, false);
    }
    let claimed = owner.map(|session| claimed(task, session, spec, None, now));
    let new = NewTask { task, route, function: &spec.function, is_delayed: start.due.is_some() };
    settle(batch, &new, claimed.as_ref());
    Ok(Done::Started { execution: start.id, created: true, claimed: claimed.map(Box::new) })
}

/// Ties the start keys of a batch before anything else in it is locked, in order of key: batches that share several meet
/// in no circle. One by itself is tied by its start.
pub(crate) async fn order(batch: &mut Batch<'_>, commands: &[Command]) -> Step<()> {
    let mut wanted: HashMap<&Name, ExecutionId> = HashMap::new();
    for command in commands {
        if let Command::Start(start) = command
            && let Some(key) = &start.key
        {
            // The first of a batch has the key.
            wanted.entry(key).or_insert(start.id);
        }
    }
    if wanted.is_empty() || commands.len() < 2 {
        return Ok(());
    }
    let keys = Column(wanted.keys().map(|key| key.as_str().to_owned()).collect::<Vec<_>>());
    let ids = Column(wanted.values().map(|id| uuid(id.as_bytes())).collect::<Vec<_>>());
    for row in batch.query(Query::StartKeysOrder, &[&keys, &ids]).await? {
        let key = rows::name(&row, 0)?;
        if let Some(id) = wanted.get(&key) {
            batch.tied.insert(key, *id);
        }
    }
    Ok(())
}

/// The key that was tied for a command's start, which has not run yet.
pub(crate) fn tied(batch: &Batch<'_>, command: &Command) -> Option<(Name, ExecutionId)> {
    let Command::Start(start) = command else { return None };
    let key = start.key.as_ref().filter(|key| batch.tied.get(*key) == Some(&start.id))?;
    Some((key.clone(), start.id))
}

/// A start that was refused leaves its key to others.
pub(crate) async fn free(batch: &mut Batch<'_>, key: &Name, execution: ExecutionId) -> Step<()> {
    batch.execute(Query::StartKeyFree, &[&key.as_str(), &uuid(execution.as_bytes())]).await.map(drop)
}

fn known(execution: ExecutionId) -> Step<Done> {
    Ok(Done::Started { execution, created: false, claimed: None })
}

/// The session that the start is claimed for, if it may be.
async fn owner(batch: &mut Batch<'_>, start: &Start) -> Step<Option<SessionId>> {
    let may_be = start.due.is_none() && start.spec.options.memo.is_none();
    let Some(session) = start.claim_for.filter(|_| may_be) else { return Ok(None) };
    let claimable = batch.is_open(session).await? && batch.may_begin(&start.spec.queue, &start.spec.function).await?;
    Ok(claimable.then_some(session))
}

/// The task in its first owner's hands.
fn claimed(task: TaskRef, session: SessionId, spec: &TaskSpec, parent: Option<TaskId>, now: Timestamp) -> ClaimedTask {
    ClaimedTask {
        lease: Lease { task, session, epoch: 1 },
        spec: spec.clone(),
        parent,
        attempt: 1,
        run: 1,
        losses: 0,
        created_at: now,
    }
}

/// What follows from a task that is there now: its owner holds it, or whoever serves it may come for it.
fn settle(batch: &mut Batch<'_>, new: &NewTask<'_>, claimed: Option<&ClaimedTask>) {
    match claimed {
        Some(claimed) => batch.hold(new.task, Standing::claimed(claimed, new.route)),
        None => {
            // That it was not there was true a moment ago.
            batch.forget_row(new.task);
            match new.is_delayed {
                // Somebody has to know when it is due.
                true => batch.wakes.ready = true,
                false => slots::wanted(batch, new.function),
            }
        }
    }
}

/// Carries out [`StartChild`].
pub(crate) async fn start_child(batch: &mut Batch<'_>, start: &StartChild) -> Step<Done> {
    batch.leased(&start.parent).await?;
    let task = child(start);
    if let Some(row) = there_already(batch, task).await? {
        return Ok(Done::ChildStarted { created: false, state: row.state, digest: row.digest, claimed: None });
    }
    let (state, claimed) = insert_child(batch, start).await?;
    Ok(Done::ChildStarted { created: true, state, digest: start.digest, claimed: claimed.map(Box::new) })
}

/// A child's row from before. A trusting batch asks its memory alone: an id that is taken fails its statement.
pub(crate) async fn there_already(batch: &mut Batch<'_>, child: TaskRef) -> Step<Option<Standing>> {
    match batch.memory.held(child) {
        Some(held) => Ok(Some(held.clone())),
        None if batch.is_careful() => batch.standing(child).await,
        None => Ok(None),
    }
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
pub(crate) async fn insert_child(batch: &mut Batch<'_>, start: &StartChild) -> Step<(TaskState, Option<ClaimedTask>)> {
    let (now, spec, task) = (batch.now, &start.spec, child(start));
    let route = batch.route_number(&spec.queue, &spec.function, &spec.tags).await?;
    let owner = is_in_place(start).then_some(start.parent.session);
    let due = start.due.filter(|_| owner.is_none()).map(|due| due.at(now));
    let hit = memos::look_up(batch, spec.options.memo.as_deref(), task).await?;
    batch.writes.child(&NewChild { task, route, start, owner, due });
    if let Some(parent) = batch.memory.held_mut(start.parent.task) {
        parent.childless = false;
    }
    if let Some(result) = hit {
        // Its parent, which asks for it, is told its state.
        batch.writes.hit(task, &result, true);
        batch.forget_row(task);
        return Ok((TaskState::Completed, None));
    }
    let claimed = owner.map(|session| claimed(task, session, spec, Some(start.parent.task.task), now));
    settle(batch, &NewTask { task, route, function: &spec.function, is_delayed: due.is_some() }, claimed.as_ref());
    // The child's own row says how it was called, which its end has to tell.
    if let Some(held) = batch.memory.held_mut(task) {
        held.key = Some(start.key.clone());
        held.seen = start.seen;
        held.digest = start.digest;
    }
    Ok((if owner.is_some() { TaskState::Running } else { TaskState::Pending }, claimed))
}

/// The deadline of an execution whose root is claimed for the first time, where its limits count from there.
pub(crate) async fn restart_deadline(batch: &mut Batch<'_>, execution: ExecutionId) -> Step<()> {
    let id = uuid(execution.as_bytes());
    let Some(row) = batch.row(Query::ExecutionLimits, &[&id]).await? else { return Ok(()) };
    // What was "after creation" is kept as a point in time, so both spans are counted from now.
    let now = batch.now;
    let span = |micros: i64| std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let epoch = Timestamp::from_micros(0);
    let deadline = Deadline {
        expire_after: rows::get::<Option<i64>>(&row, 0)?.map(span),
        start_within: None,
        run_within: rows::get::<Option<i64>>(&row, 1)?.map(span),
    };
    let next = deadline.once_started(epoch, now);
    let (at, state) = (next.map(|(at, _)| at.as_micros()), next.map(|(_, state)| state as i16));
    batch.execute(Query::ExecutionSetDeadline, &[&id, &at, &state]).await?;
    Ok(())
}

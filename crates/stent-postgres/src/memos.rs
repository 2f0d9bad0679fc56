//! Memos: looking one up at a start, Reserve, what the end of a task means for its key and for the cache, and the sweeps
//! of the cache. Tasks without a memo come here never.
//!
//! Locks. Batches that change the same keys in their own way (reserve, complete) take turns by [`order`], before they
//! lock any row, so that they meet in no circle however many keys they have. An end by others takes the task first, then
//! its key, then the task that inherits it. Who waits for a key is taken from its line only by whoever has that task's
//! row: nobody is handed a key while others end him.

use std::sync::Arc;

use stent_core::command::{Command, Done, KeepResult, Operation, Refusal, Reservation, Reserve};
use stent_core::limits::SWEEP_TASKS;
use stent_core::routing::rank;
use stent_core::view::{CachedView, MemoView};
use stent_core::{Memo, MemoKey, Payload, TaskRef, TaskState};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::{Blob, Column, Query};
use crate::readers::Reader;
use crate::rows::{self, Held, Row, uuid};
use crate::{endings, slots, tree, waits};

/// A task with a memo that has ended, and its own result.
pub(crate) struct Ended {
    pub(crate) task: TaskRef,
    pub(crate) memo: Arc<Memo>,
    pub(crate) result: Option<Payload>,
}

/// A key's row: who has reserved it, or whose result it has.
struct Reserved {
    holder: TaskRef,
    result: Option<Payload>,
}

impl Reserved {
    fn read(row: &Row) -> Step<Self> {
        Ok(Self { holder: rows::task_ref(row, 0)?, result: rows::maybe_payload(row, 2)? })
    }
}

fn cached(row: &Row) -> Step<CachedView> {
    Ok(CachedView {
        value: rows::payload(row, 0)?,
        created_at: rows::time(row, 1)?,
        expires_at: rows::maybe_time(row, 2)?,
    })
}

async fn reserved(batch: &mut Batch<'_>, query: Query, key: &MemoKey) -> Step<Option<Reserved>> {
    batch.row(query, &[&key.as_str()]).await?.map(|row| Reserved::read(&row)).transpose()
}

/// Takes turns with other batches that change the same keys.
pub(crate) async fn order(batch: &mut Batch<'_>, commands: &[Command]) -> Step<()> {
    let mut keys = Vec::new();
    for command in commands {
        let memo = match command {
            Command::Reserve(reserve) => batch.memory.held(reserve.lease.task).and_then(|row| row.memo.as_deref()),
            Command::Finish(finish) => batch.memory.held(finish.lease.task).and_then(|row| row.memo.as_deref()),
            // What it finds in the cache becomes its key's result.
            Command::Start(start) => start.spec.options.idempotent().filter(|memo| memo.cached),
            Command::StartChild(start) => start.spec.options.idempotent().filter(|memo| memo.cached),
            Command::Operate(Operation::KeepResult(keep)) => Some(&keep.memo).filter(|memo| memo.idempotent),
            _ => None,
        };
        keys.extend(memo.map(|memo| memo.key.as_str().to_owned()));
    }
    if keys.is_empty() {
        return Ok(());
    }
    batch.query(Query::ReservationOrder, &[&Column(keys)]).await.map(drop)
}

/// The result that a task with this memo starts with, if there is one.
pub(crate) async fn look_up(batch: &mut Batch<'_>, memo: Option<&Memo>, task: TaskRef) -> Step<Option<Payload>> {
    let Some(memo) = memo else { return Ok(None) };
    if memo.idempotent
        && let Some(row) = reserved(batch, Query::ReservationRead, &memo.key).await?
    {
        return Ok(row.result);
    }
    if !memo.cached {
        return Ok(None);
    }
    let found = batch.row(Query::CacheRead, &[&memo.key.as_str()]).await?;
    let Some(found) = found.as_ref().map(cached).transpose()? else { return Ok(None) };
    if found.expires_at.is_some_and(|over| over <= batch.now) {
        return Ok(None);
    }
    if memo.idempotent && !reserve_free(batch, &memo.key, task, Some(&found.value)).await? {
        // Somebody else was first: only what that one has is the key's.
        return Ok(reserved(batch, Query::ReservationRead, &memo.key).await?.and_then(|row| row.result));
    }
    Ok(Some(found.value))
}

/// Whether the key was free, and is the task's now.
async fn reserve_free(batch: &mut Batch<'_>, key: &MemoKey, task: TaskRef, result: Option<&Payload>) -> Step<bool> {
    let (ids, now) = ((uuid(task.execution.as_bytes()), uuid(task.task.as_bytes())), batch.now.as_micros());
    let value = result.map(|result| Blob(result.as_stored().clone()));
    Ok(batch.execute(Query::ReservationInsert, &[&key.as_str(), &ids.0, &ids.1, &value, &now]).await? > 0)
}

/// Carries out [`Reserve`].
pub(crate) async fn reserve(batch: &mut Batch<'_>, reserve: &Reserve) -> Step<Done> {
    let task = reserve.lease.task;
    let row = batch.leased(&reserve.lease).await?;
    let Some(memo) = row.memo.clone().filter(|memo| memo.idempotent) else {
        return Ok(Done::Reserved(Reservation::Held));
    };
    // Looked at without a lock first: a result stays, and nobody else takes away what is the task's own.
    let mut query = Query::ReservationRead;
    let reservation = loop {
        match reserved(batch, query, &memo.key).await? {
            None if reserve_free(batch, &memo.key, task, None).await? => break Reservation::Held,
            Some(Reserved { result: Some(result), .. }) => {
                endings::hit(batch, task, row, &result).await?;
                break Reservation::Hit;
            }
            Some(Reserved { holder, .. }) if holder == task => break Reservation::Held,
            Some(Reserved { holder, .. }) if query == Query::ReservationLock => {
                if is_above(batch, holder, task).await? {
                    break Reservation::Ancestor(holder.task);
                }
                stand_in_line(batch, &memo.key, task, row.held).await?;
                break Reservation::Busy;
            }
            // It is somebody else's, or was a moment ago: it has to stay so while this one joins the line.
            _ => query = Query::ReservationLock,
        }
    };
    Ok(Done::Reserved(reservation))
}

async fn is_above(batch: &mut Batch<'_>, above: TaskRef, task: TaskRef) -> Step<bool> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    let same = above.execution == task.execution;
    Ok(same && batch.exists(Query::TaskAbove, &[&ids.0, &ids.1, &uuid(above.task.as_bytes())]).await?)
}

/// The task waits for the key, which is locked. It holds nothing meanwhile, for who has the key may need a slot of the
/// same limit to go on.
async fn stand_in_line(batch: &mut Batch<'_>, key: &MemoKey, task: TaskRef, held: Held) -> Step<()> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    batch.execute(Query::ReservationLineJoin, &[&key.as_str(), &ids.0, &ids.1]).await?;
    if !waits::put_aside(batch, task).await? {
        // Its mark is cleared: what it was told of is in its history when it goes on.
        tree::mark_woken(batch, task, false).await?;
        waits::put_aside(batch, task).await?;
    }
    if held.slot.is_some() {
        slots::let_go(batch, task, held).await?;
        batch.execute(Query::TaskSlotLeave, &[&ids.0, &ids.1]).await?;
        batch.changed(task);
    }
    Ok(())
}

/// What the tasks that a command has ended leave to others. After all else, so that none of them inherits anything.
pub(crate) async fn settle(batch: &mut Batch<'_>) -> Step<()> {
    let mut ended = std::mem::take(&mut batch.ended);
    ended.sort_by(|one, other| one.memo.key.cmp(&other.memo.key));
    let mut left = Vec::new();
    for Ended { task, memo, result } in &ended {
        if let (true, Some(result)) = (memo.cached, result) {
            put(batch, memo, result).await?;
        }
        if !memo.idempotent {
            continue;
        }
        let is_settled = match result {
            Some(result) => settle_key(batch, &memo.key, *task, result).await?,
            None => false,
        };
        // Who waits for a key has not reserved it.
        if !is_settled && !leave_line(batch, &memo.key, *task).await? && result.is_none() {
            left.push((&memo.key, *task));
        }
    }
    for (key, task) in left {
        hand_on(batch, key, task).await?;
    }
    Ok(())
}

/// Whether the task stood in the line.
async fn leave_line(batch: &mut Batch<'_>, key: &MemoKey, task: TaskRef) -> Step<bool> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    Ok(batch.execute(Query::ReservationLineLeave, &[&key.as_str(), &ids.0, &ids.1]).await? > 0)
}

async fn put(batch: &mut Batch<'_>, memo: &Memo, result: &Payload) -> Step<()> {
    let (value, now) = (Blob(result.as_stored().clone()), batch.now);
    let over = memo.ttl().map(|ttl| (now + ttl).as_micros());
    batch.execute(Query::CachePut, &[&memo.key.as_str(), &value, &now.as_micros(), &over]).await?;
    Ok(())
}

/// Whether the task has reserved the key: its result is the key's then, and whoever waits gets it.
async fn settle_key(batch: &mut Batch<'_>, key: &MemoKey, task: TaskRef, result: &Payload) -> Step<bool> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    let value = Blob(result.as_stored().clone());
    if batch.execute(Query::ReservationSettle, &[&key.as_str(), &ids.0, &ids.1, &value]).await? == 0 {
        return Ok(false);
    }
    let rows = batch.query(Query::ReservationLineList, &[&key.as_str(), &i64::MAX]).await?;
    let waiting = rows.iter().map(|row| rows::task_ref(row, 0)).collect::<Step<Vec<_>>>()?;
    if !waiting.is_empty() {
        wake_all(batch, &waiting).await?;
        batch.execute(Query::ReservationLineClear, &[&key.as_str()]).await?;
    }
    Ok(true)
}

/// Wakes all who wait for a key, in the order of their ids: those that are suspended, as nearly all are, in one statement.
async fn wake_all(batch: &mut Batch<'_>, waiting: &[TaskRef]) -> Step<()> {
    batch.read_all(waiting).await?;
    let (mut executions, mut tasks) = (Vec::new(), Vec::new());
    for waiter in waiting {
        if batch.standing(*waiter).await?.is_some_and(|row| row.state == TaskState::Suspended) {
            executions.push(uuid(waiter.execution.as_bytes()));
            tasks.push(uuid(waiter.task.as_bytes()));
            batch.changed(*waiter);
            batch.wakes.ready = true;
        } else {
            tree::wake(batch, *waiter).await?;
        }
    }
    if !tasks.is_empty() {
        let resuming = rank(true, 0);
        batch.execute(Query::TasksResume, &[&Column(executions), &Column(tasks), &resuming]).await?;
    }
    Ok(())
}

/// The task that has reserved a key, if it has, has ended without a result: the oldest who waits is next.
async fn hand_on(batch: &mut Batch<'_>, key: &MemoKey, task: TaskRef) -> Step<()> {
    let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
    if !batch.exists(Query::ReservationLockOwn, &[&key.as_str(), &ids.0, &ids.1]).await? {
        return Ok(());
    }
    while let Some(row) = batch.row(Query::ReservationLineList, &[&key.as_str(), &1_i64]).await? {
        let heir = rows::task_ref(&row, 0)?;
        // Whoever ends it at this moment is waited for, and has taken it from the line.
        let lives = batch.read(heir).await?.is_some_and(|row| !row.state.is_terminal());
        if leave_line(batch, key, heir).await? && lives {
            let ids = (uuid(heir.execution.as_bytes()), uuid(heir.task.as_bytes()));
            batch.execute(Query::ReservationHandOn, &[&key.as_str(), &ids.0, &ids.1]).await?;
            return tree::wake(batch, heir).await;
        }
    }
    batch.execute(Query::ReservationFree, &[&key.as_str()]).await?;
    Ok(())
}

/// Carries out [`KeepResult`].
pub(crate) async fn keep_result(batch: &mut Batch<'_>, keep: &KeepResult) -> Step<Done> {
    let KeepResult { memo, holder, result } = keep;
    if memo.idempotent && !reserve_free(batch, &memo.key, *holder, Some(result)).await? {
        let row = reserved(batch, Query::ReservationRead, &memo.key).await?;
        return Err(if row.is_some_and(|row| row.result.is_some()) { Refusal::Exists } else { Refusal::Busy }.into());
    }
    if memo.cached {
        put(batch, memo, result).await?;
    }
    Ok(Done::Nothing)
}

/// Carries out `ClearCache`.
pub(crate) async fn clear_cache(batch: &mut Batch<'_>, key: Option<&MemoKey>) -> Step<Done> {
    match key {
        Some(key) => Ok(swept(batch.execute(Query::CacheDelete, &[&key.as_str()]).await?, false)),
        None => {
            let count = batch.execute(Query::CacheClear, &[&i64::from(SWEEP_TASKS)]).await?;
            Ok(swept(count, batch.exists(Query::CacheLeft, &[]).await?))
        }
    }
}

/// Carries out `PruneCache`. A look comes first: where nothing is over, nothing is written.
pub(crate) async fn prune_cache(batch: &mut Batch<'_>) -> Step<Done> {
    let now = batch.now.as_micros();
    if batch.peek(Query::CacheOver, &[&now]).await?.is_empty() {
        return Ok(swept(0, false));
    }
    let count = batch.execute(Query::CachePrune, &[&now, &i64::from(SWEEP_TASKS)]).await?;
    Ok(swept(count, batch.exists(Query::CacheOver, &[&now]).await?))
}

fn swept(count: u64, more: bool) -> Done {
    Done::Swept { count: u32::try_from(count).unwrap_or(u32::MAX), more }
}

/// What is kept under a key.
pub(crate) async fn view(reader: Reader<'_>, key: &MemoKey) -> Step<Option<MemoView>> {
    let reserved = reader.first(Query::ReservationRead, &[&key.as_str()]).await?;
    let reserved = reserved.as_ref().map(Reserved::read).transpose()?;
    let cached = reader.first(Query::CacheRead, &[&key.as_str()]).await?.as_ref().map(cached).transpose()?;
    if reserved.is_none() && cached.is_none() {
        return Ok(None);
    }
    let waiting = reader.query(Query::ReservationLineList, &[&key.as_str(), &i64::MAX]).await?;
    let waiting = waiting.iter().map(|row| rows::task_ref(row, 0)).collect::<Step<_>>()?;
    let (holder, result) = reserved.map_or((None, None), |row| (Some(row.holder), row.result));
    Ok(Some(MemoView { result, holder, waiting, cached }))
}

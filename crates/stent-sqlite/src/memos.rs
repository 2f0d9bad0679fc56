//! Memos: looking one up at a start, Reserve, what the end of a task means for its key and for the cache, and the sweeps
//! of the cache. Tasks without a memo come here never.

use rusqlite::params;
use stent_core::command::{Done, KeepResult, Refusal, Reservation, Reserve};
use stent_core::limits::SWEEP_TASKS;
use stent_core::view::{CachedView, MemoView};
use stent_core::{ExecutionId, Memo, MemoKey, Payload, TaskId, TaskRef};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::{Query, Statements};
use crate::rows::{self, Standing};
use crate::{endings, slots, tree};

/// A task with a memo that has ended, and its own result.
pub(crate) struct Ended {
    pub(crate) task: TaskRef,
    pub(crate) memo: Memo,
    pub(crate) result: Option<Payload>,
}

/// A key's row: who has reserved it, or whose result it has.
struct Reserved {
    holder: TaskRef,
    result: Option<Payload>,
}

fn reserved(sql: &mut Statements<'_>, key: &MemoKey) -> rusqlite::Result<Option<Reserved>> {
    let mut found = sql.get(Query::ReservationRead)?.query([key.as_str()])?;
    let Some(row) = found.next()? else { return Ok(None) };
    let (execution, task) = (ExecutionId::from_bytes(row.get(0)?), TaskId::from_bytes(row.get(1)?));
    Ok(Some(Reserved { holder: TaskRef { execution, task }, result: rows::maybe_payload(row, 2)? }))
}

fn cached(sql: &mut Statements<'_>, key: &MemoKey) -> rusqlite::Result<Option<CachedView>> {
    let mut found = sql.get(Query::CacheRead)?.query([key.as_str()])?;
    let Some(row) = found.next()? else { return Ok(None) };
    Ok(Some(CachedView {
        value: rows::payload(row, 0)?,
        created_at: rows::time(row, 1)?,
        expires_at: rows::maybe_time(row, 2)?,
    }))
}

fn line(sql: &mut Statements<'_>, key: &MemoKey, limit: i64) -> rusqlite::Result<Vec<TaskRef>> {
    let found = sql.get(Query::ReservationLineList)?.query_map(params![key.as_str(), limit], |row| {
        Ok(TaskRef { execution: ExecutionId::from_bytes(row.get(0)?), task: TaskId::from_bytes(row.get(1)?) })
    })?;
    found.collect()
}

/// The result that a task with this memo starts with, if there is one.
pub(crate) fn look_up(batch: &mut Batch<'_>, memo: Option<&Memo>, task: TaskRef) -> Step<Option<Payload>> {
    let Some(memo) = memo else { return Ok(None) };
    if memo.idempotent
        && let Some(row) = reserved(&mut batch.sql, &memo.key)?
    {
        return Ok(row.result);
    }
    let found = if memo.cached { cached(&mut batch.sql, &memo.key)? } else { None };
    let found = found.filter(|row| row.expires_at.is_none_or(|over| over > batch.now)).map(|row| row.value);
    if let (true, Some(result)) = (memo.idempotent, &found) {
        reserve_free(batch, &memo.key, task, Some(result))?;
    }
    Ok(found)
}

fn reserve_free(batch: &mut Batch<'_>, key: &MemoKey, task: TaskRef, result: Option<&Payload>) -> Step<()> {
    let value = result.map(|result| &result.as_stored()[..]);
    let ids = (task.execution.as_bytes(), task.task.as_bytes());
    let statement = batch.sql.get(Query::ReservationInsert)?;
    statement.execute(params![key.as_str(), ids.0, ids.1, value, batch.now.as_micros()])?;
    Ok(())
}

/// Carries out [`Reserve`].
pub(crate) fn reserve(batch: &mut Batch<'_>, reserve: &Reserve) -> Step<Done> {
    let task = reserve.lease.task;
    let row = batch.leased(&reserve.lease)?;
    let Some(key) = row.memo.as_ref().filter(|memo| memo.idempotent).map(|memo| memo.key.clone()) else {
        return Ok(Done::Reserved(Reservation::Held));
    };
    let reservation = match reserved(&mut batch.sql, &key)? {
        None => {
            reserve_free(batch, &key, task, None)?;
            Reservation::Held
        }
        Some(Reserved { result: Some(result), .. }) => {
            endings::hit(batch, task, row, &result)?;
            Reservation::Hit
        }
        Some(Reserved { holder, .. }) if holder == task => Reservation::Held,
        Some(Reserved { holder, .. }) if is_above(batch, holder, task)? => Reservation::Ancestor(holder.task),
        Some(_) => {
            stand_in_line(batch, &key, task, &row)?;
            Reservation::Busy
        }
    };
    Ok(Done::Reserved(reservation))
}

fn is_above(batch: &mut Batch<'_>, above: TaskRef, task: TaskRef) -> Step<bool> {
    let ids = (task.execution.as_bytes(), task.task.as_bytes());
    let same = above.execution == task.execution;
    Ok(same && batch.sql.get(Query::TaskAbove)?.exists(params![ids.0, ids.1, above.task.as_bytes()])?)
}

/// The task waits for the key. It holds nothing meanwhile, for who has the key may need a slot of the same limit to go on.
fn stand_in_line(batch: &mut Batch<'_>, key: &MemoKey, task: TaskRef, row: &Standing) -> Step<()> {
    let ids = (task.execution.as_bytes(), task.task.as_bytes());
    batch.sql.get(Query::ReservationLineJoin)?.execute(params![key.as_str(), ids.0, ids.1])?;
    if row.woken {
        tree::mark_woken(batch, task, false)?;
    }
    if row.held.slot.is_some() {
        slots::let_go(batch, task, row.held)?;
        batch.sql.get(Query::TaskSlotLeave)?.execute(params![ids.0, ids.1])?;
    }
    crate::waits::put_aside(batch, task)
}

/// What the tasks that a command has ended leave to others. After all else, so that none of them inherits anything.
pub(crate) fn settle(batch: &mut Batch<'_>) -> Step<()> {
    let mut ended = std::mem::take(&mut batch.ended);
    ended.sort_by(|one, other| one.memo.key.cmp(&other.memo.key));
    for Ended { task, memo, .. } in ended.iter().filter(|ended| ended.memo.idempotent) {
        leave_line(batch, &memo.key, *task)?;
    }
    for Ended { task, memo, result } in &ended {
        if let (true, Some(result)) = (memo.cached, result) {
            put(batch, memo, result)?;
        }
        match result {
            _ if !memo.idempotent => {}
            Some(result) => settle_key(batch, &memo.key, *task, result)?,
            None => hand_on(batch, &memo.key, *task)?,
        }
    }
    Ok(())
}

fn leave_line(batch: &mut Batch<'_>, key: &MemoKey, task: TaskRef) -> Step<()> {
    let ids = (task.execution.as_bytes(), task.task.as_bytes());
    batch.sql.get(Query::ReservationLineLeave)?.execute(params![key.as_str(), ids.0, ids.1])?;
    Ok(())
}

fn put(batch: &mut Batch<'_>, memo: &Memo, result: &Payload) -> Step<()> {
    let now = batch.now;
    let over = memo.ttl().map(|ttl| (now + ttl).as_micros());
    let statement = batch.sql.get(Query::CachePut)?;
    statement.execute(params![memo.key.as_str(), &result.as_stored()[..], now.as_micros(), over])?;
    Ok(())
}

/// The result of the task that has reserved a key becomes the key's, and whoever waits gets it.
fn settle_key(batch: &mut Batch<'_>, key: &MemoKey, task: TaskRef, result: &Payload) -> Step<()> {
    let ids = (task.execution.as_bytes(), task.task.as_bytes());
    let statement = batch.sql.get(Query::ReservationSettle)?;
    if statement.execute(params![key.as_str(), ids.0, ids.1, &result.as_stored()[..]])? > 0 {
        let waiting = line(&mut batch.sql, key, i64::MAX)?;
        batch.sql.get(Query::ReservationLineClear)?.execute([key.as_str()])?;
        waiting.into_iter().try_for_each(|waiter| tree::wake(batch, waiter))?;
    }
    Ok(())
}

/// The task that has reserved a key has ended without a result: the oldest who waits is next.
fn hand_on(batch: &mut Batch<'_>, key: &MemoKey, task: TaskRef) -> Step<()> {
    let row = reserved(&mut batch.sql, key)?;
    if row.is_none_or(|row| row.holder != task || row.result.is_some()) {
        return Ok(());
    }
    match line(&mut batch.sql, key, 1)?.first() {
        Some(heir) => {
            let ids = (heir.execution.as_bytes(), heir.task.as_bytes());
            batch.sql.get(Query::ReservationHandOn)?.execute(params![key.as_str(), ids.0, ids.1])?;
            leave_line(batch, key, *heir)?;
            tree::wake(batch, *heir)
        }
        None => {
            batch.sql.get(Query::ReservationFree)?.execute([key.as_str()])?;
            Ok(())
        }
    }
}

/// Carries out [`KeepResult`].
pub(crate) fn keep_result(batch: &mut Batch<'_>, keep: &KeepResult) -> Step<Done> {
    let KeepResult { memo, holder, result } = keep;
    if memo.idempotent {
        if let Some(row) = reserved(&mut batch.sql, &memo.key)? {
            return Err(if row.result.is_some() { Refusal::Exists } else { Refusal::Busy }.into());
        }
        reserve_free(batch, &memo.key, *holder, Some(result))?;
    }
    if memo.cached {
        put(batch, memo, result)?;
    }
    Ok(Done::Nothing)
}

/// Carries out `ClearCache`.
pub(crate) fn clear_cache(batch: &mut Batch<'_>, key: Option<&MemoKey>) -> Step<Done> {
    let (count, more) = match key {
        Some(key) => (batch.sql.get(Query::CacheDelete)?.execute([key.as_str()])?, false),
        None => {
            let count = batch.sql.get(Query::CacheClear)?.execute([SWEEP_TASKS])?;
            (count, batch.sql.get(Query::CacheLeft)?.exists([])?)
        }
    };
    Ok(swept(count, more))
}

/// Carries out `PruneCache`.
pub(crate) fn prune_cache(batch: &mut Batch<'_>) -> Step<Done> {
    let now = batch.now.as_micros();
    let count = batch.sql.get(Query::CachePrune)?.execute(params![now, SWEEP_TASKS])?;
    let more = batch.sql.get(Query::CacheOver)?.exists([now])?;
    Ok(swept(count, more))
}

fn swept(count: usize, more: bool) -> Done {
    Done::Swept { count: u32::try_from(count).unwrap_or(u32::MAX), more }
}

/// What is kept under a key.
pub(crate) fn view(sql: &mut Statements<'_>, key: &MemoKey) -> rusqlite::Result<Option<MemoView>> {
    let (reserved, cached) = (reserved(sql, key)?, cached(sql, key)?);
    if reserved.is_none() && cached.is_none() {
        return Ok(None);
    }
    let waiting = line(sql, key, i64::MAX)?;
    let (holder, result) = reserved.map_or((None, None), |row| (Some(row.holder), row.result));
    Ok(Some(MemoView { result, holder, waiting, cached }))
}

//! Schedules: set, pause, resume, delete, tick; and what is shown of them. A tick starts its executions in the
//! transaction that moves the schedule on.

use rusqlite::{Row, params};
use stent_core::command::{Deadline, Done, Refusal, ResumeSchedule, ScheduleChange, SetSchedule, Start, Tick};
use stent_core::{ExecutionId, MissedTicks, Name, Schedule, ScheduleView, TaskSpec, Timestamp};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::{Query, Statements};
use crate::rows;
use crate::starts;

/// Carries out a [`ScheduleChange`].
pub(crate) fn change(batch: &mut Batch<'_>, change: &ScheduleChange) -> Step<Done> {
    match change {
        ScheduleChange::Set(set) => set_schedule(batch, set),
        ScheduleChange::Delete(name) => {
            let deleted = batch.sql.get(Query::ScheduleDelete)?.execute([name.as_str()])?;
            Ok(Done::Changed(deleted > 0))
        }
        ScheduleChange::Pause(name) => pause(batch, name),
        ScheduleChange::Resume(again) => resume(batch, again),
        ScheduleChange::Tick(due) => tick(batch, due),
    }
}

/// The revision that follows.
fn revision_after(batch: &Batch<'_>, before: Option<u64>) -> i64 {
    let now = u64::try_from(batch.now.as_micros()).unwrap_or(0);
    rows::stored(before.map_or(now, |before| now.max(before + 1)))
}

/// Carries out [`SetSchedule`].
fn set_schedule(batch: &mut Batch<'_>, set: &SetSchedule) -> Step<Done> {
    let schedule = &set.schedule;
    let before = read(&mut batch.sql, &schedule.name)?;
    if before.as_ref().is_some_and(|row| row.schedule == *schedule) {
        return Ok(Done::Changed(false));
    }
    let keeps_due = before
        .as_ref()
        .filter(|row| row.paused || (&row.schedule.cron, &row.schedule.zone) == (&schedule.cron, &schedule.zone));
    let due = keeps_due.map_or(set.due, |row| row.due);
    let revision = revision_after(batch, before.as_ref().map(|row| row.revision));
    let spec = &schedule.spec;
    let tags = serde_json::to_string(&spec.tags).unwrap_or_else(|_| "[]".to_owned());
    batch.sql.get(Query::ScheduleSet)?.execute(params![
        schedule.name.as_str(),
        revision,
        schedule.cron,
        schedule.zone,
        schedule.missed as u8,
        due.map(Timestamp::as_micros),
        spec.function.as_str(),
        spec.queue.as_str(),
        tags,
        spec.priority,
        spec.options.to_stored(),
        spec.headers.as_deref(),
        &spec.args.as_stored()[..],
        schedule.deadline.expire_after.map(rows::micros),
        schedule.deadline.start_within.map(rows::micros),
        schedule.deadline.run_within.map(rows::micros),
    ])?;
    batch.wakes.ready = true;
    Ok(Done::Changed(true))
}

fn pause(batch: &mut Batch<'_>, name: &Name) -> Step<Done> {
    let Some(row) = read(&mut batch.sql, name)? else { return Err(Refusal::Unknown.into()) };
    if row.paused {
        return Ok(Done::Changed(false));
    }
    let revision = revision_after(batch, Some(row.revision));
    batch.sql.get(Query::ScheduleRest)?.execute(params![name.as_str(), revision, true, None::<i64>])?;
    Ok(Done::Changed(true))
}

/// Carries out [`ResumeSchedule`].
fn resume(batch: &mut Batch<'_>, again: &ResumeSchedule) -> Step<Done> {
    let Some(row) = read(&mut batch.sql, &again.name)? else { return Err(Refusal::Unknown.into()) };
    if !row.paused || row.revision != again.revision {
        return Ok(Done::Changed(false));
    }
    let (revision, due) = (revision_after(batch, Some(row.revision)), again.due.map(Timestamp::as_micros));
    batch.sql.get(Query::ScheduleRest)?.execute(params![again.name.as_str(), revision, false, due])?;
    batch.wakes.ready = true;
    Ok(Done::Changed(true))
}

/// Carries out a [`Tick`].
fn tick(batch: &mut Batch<'_>, tick: &Tick) -> Step<Done> {
    let row = read(&mut batch.sql, &tick.name)?;
    let stands = row.is_some_and(|row| row.revision == tick.revision && row.due == Some(tick.due));
    if !stands || tick.due > batch.now {
        return Ok(Done::Changed(false));
    }
    if tick.repeats_an_id() {
        return Err(Refusal::Exists.into());
    }
    for start in &tick.starts {
        if batch.sql.get(Query::ExecutionRead)?.exists([start.id.as_bytes()])? {
            return Err(Refusal::Exists.into());
        }
    }
    let last = tick.starts.last();
    batch.sql.get(Query::ScheduleTick)?.execute(params![
        tick.name.as_str(),
        tick.next.map(Timestamp::as_micros),
        last.map(|_| tick.last_tick.as_micros()),
        last.map(|start| start.id.as_bytes()),
    ])?;
    for start in &tick.starts {
        // In nobody's hands: a tick answers no claims.
        starts::start(batch, &Start { claim_for: None, key: None, ..start.clone() })?;
    }
    Ok(Done::Changed(true))
}

fn view(row: &Row<'_>) -> rusqlite::Result<ScheduleView> {
    let text = |column| Ok::<_, rusqlite::Error>(Name::stored(row.get_ref(column)?.as_str()?));
    let spec = TaskSpec {
        function: text(9)?,
        queue: text(10)?,
        tags: rows::tags(row, 11)?,
        priority: row.get(12)?,
        options: rows::options(row, 13)?,
        headers: rows::maybe_bytes(row, 14)?,
        args: rows::payload(row, 15)?,
    };
    let schedule = Schedule {
        name: text(0)?,
        cron: row.get(2)?,
        zone: row.get(3)?,
        missed: MissedTicks::stored(row.get(4)?).unwrap_or_default(),
        spec,
        deadline: Deadline {
            expire_after: rows::maybe_span(row, 16)?,
            start_within: rows::maybe_span(row, 17)?,
            run_within: rows::maybe_span(row, 18)?,
        },
    };
    Ok(ScheduleView {
        schedule,
        revision: rows::number(row, 1)?,
        paused: row.get(5)?,
        due: rows::maybe_time(row, 6)?,
        last_tick: rows::maybe_time(row, 7)?,
        last_execution: row.get::<_, Option<[u8; 16]>>(8)?.map(ExecutionId::from_bytes),
    })
}

/// One schedule.
pub(crate) fn read(sql: &mut Statements<'_>, name: &Name) -> rusqlite::Result<Option<ScheduleView>> {
    let mut rows = sql.get(Query::ScheduleRead)?.query([name.as_str()])?;
    rows.next()?.map(view).transpose()
}

/// All schedules, in order of name.
pub(crate) fn list(sql: &mut Statements<'_>) -> rusqlite::Result<Vec<ScheduleView>> {
    sql.get(Query::ScheduleList)?.query_map([], view)?.collect()
}

/// Those that have a due time, the earliest first.
pub(crate) fn next(sql: &mut Statements<'_>, limit: u32) -> rusqlite::Result<Vec<ScheduleView>> {
    sql.get(Query::ScheduleNext)?.query_map([limit], view)?.collect()
}

//! Schedules: set, pause, resume, delete, tick; and what is shown of them. Whatever changes a schedule locks its row first,
//! so of two workers that tick the same one, the second finds it moved on.

use stent_core::command::{Deadline, Done, Refusal, ResumeSchedule, ScheduleChange, SetSchedule, Start, Tick};
use stent_core::{ExecutionId, MissedTicks, Name, Schedule, ScheduleView, TaskSpec, Timestamp};

use crate::batch::Batch;
use crate::error::Step;
use crate::query::{Blob, Query};
use crate::readers::Reader;
use crate::rows::{self, Row, get, name, uuid};
use crate::starts;

/// Carries out a [`ScheduleChange`].
pub(crate) async fn change(batch: &mut Batch<'_>, change: &ScheduleChange) -> Step<Done> {
    match change {
        ScheduleChange::Set(set) => set_schedule(batch, set).await,
        ScheduleChange::Delete(name) => {
            let deleted = batch.execute(Query::ScheduleDelete, &[&name.as_str()]).await?;
            Ok(Done::Changed(deleted > 0))
        }
        ScheduleChange::Pause(name) => pause(batch, name).await,
        ScheduleChange::Resume(again) => resume(batch, again).await,
        ScheduleChange::Tick(due) => tick(batch, due).await,
    }
}

/// The schedule as it stands, and stays until the batch ends.
async fn locked(batch: &mut Batch<'_>, name: &Name) -> Step<Option<ScheduleView>> {
    let row = batch.row(Query::ScheduleLock, &[&name.as_str()]).await?;
    row.as_ref().map(view).transpose()
}

/// The revision that follows.
fn revision_after(batch: &Batch<'_>, before: Option<u64>) -> i64 {
    let now = u64::try_from(batch.now.as_micros()).unwrap_or(0);
    rows::stored(before.map_or(now, |before| now.max(before + 1)))
}

/// Carries out [`SetSchedule`].
async fn set_schedule(batch: &mut Batch<'_>, set: &SetSchedule) -> Step<Done> {
    let schedule = &set.schedule;
    let before = locked(batch, &schedule.name).await?;
    if before.as_ref().is_some_and(|row| row.schedule == *schedule) {
        return Ok(Done::Changed(false));
    }
    let keeps_due = before
        .as_ref()
        .filter(|row| row.paused || (&row.schedule.cron, &row.schedule.zone) == (&schedule.cron, &schedule.zone));
    let due = keeps_due.map_or(set.due, |row| row.due).map(Timestamp::as_micros);
    let revision = revision_after(batch, before.as_ref().map(|row| row.revision));
    let spec = &schedule.spec;
    let tags = serde_json::to_string(&spec.tags).unwrap_or_else(|_| "[]".to_owned());
    batch
        .execute(
            Query::ScheduleSet,
            &[
                &schedule.name.as_str(),
                &revision,
                &schedule.cron,
                &schedule.zone,
                &i16::from(schedule.missed as u8),
                &due,
                &spec.function.as_str(),
                &spec.queue.as_str(),
                &tags,
                &spec.priority,
                &spec.options.to_stored(),
                &spec.headers.clone().map(Blob),
                &Blob(spec.args.as_stored().clone()),
                &schedule.deadline.expire_after.map(rows::micros),
                &schedule.deadline.start_within.map(rows::micros),
                &schedule.deadline.run_within.map(rows::micros),
            ],
        )
        .await?;
    batch.wakes.ready = true;
    Ok(Done::Changed(true))
}

async fn pause(batch: &mut Batch<'_>, name: &Name) -> Step<Done> {
    let Some(row) = locked(batch, name).await? else { return Err(Refusal::Unknown.into()) };
    if row.paused {
        return Ok(Done::Changed(false));
    }
    let revision = revision_after(batch, Some(row.revision));
    batch.execute(Query::ScheduleRest, &[&name.as_str(), &revision, &true, &None::<i64>]).await?;
    Ok(Done::Changed(true))
}

/// Carries out [`ResumeSchedule`].
async fn resume(batch: &mut Batch<'_>, again: &ResumeSchedule) -> Step<Done> {
    let Some(row) = locked(batch, &again.name).await? else { return Err(Refusal::Unknown.into()) };
    if !row.paused || row.revision != again.revision {
        return Ok(Done::Changed(false));
    }
    let (revision, due) = (revision_after(batch, Some(row.revision)), again.due.map(Timestamp::as_micros));
    batch.execute(Query::ScheduleRest, &[&again.name.as_str(), &revision, &false, &due]).await?;
    batch.wakes.ready = true;
    Ok(Done::Changed(true))
}

/// Carries out a [`Tick`].
async fn tick(batch: &mut Batch<'_>, tick: &Tick) -> Step<Done> {
    let row = locked(batch, &tick.name).await?;
    let stands = row.is_some_and(|row| row.revision == tick.revision && row.due == Some(tick.due));
    if !stands || tick.due > batch.now {
        return Ok(Done::Changed(false));
    }
    if tick.repeats_an_id() {
        return Err(Refusal::Exists.into());
    }
    // Looked for before anything is written: a trusting batch leaves that to the statements, and begins anew with care.
    if batch.is_careful() {
        for start in &tick.starts {
            if batch.exists(Query::ExecutionExists, &[&uuid(start.id.as_bytes())]).await? {
                return Err(Refusal::Exists.into());
            }
        }
    }
    let (next, last) = (tick.next.map(Timestamp::as_micros), tick.starts.last());
    let last_tick = last.map(|_| tick.last_tick.as_micros());
    let last = last.map(|start| uuid(start.id.as_bytes()));
    batch.execute(Query::ScheduleTick, &[&tick.name.as_str(), &next, &last_tick, &last]).await?;
    for start in &tick.starts {
        // In nobody's hands: a tick answers no claims.
        starts::start(batch, &Start { claim_for: None, key: None, ..start.clone() }).await?;
    }
    Ok(Done::Changed(true))
}

fn view(row: &Row) -> Step<ScheduleView> {
    let spec = TaskSpec {
        function: name(row, 9)?,
        queue: name(row, 10)?,
        tags: rows::tags(row, 11)?,
        priority: get(row, 12)?,
        options: rows::options(row, 13)?,
        headers: rows::maybe_bytes(row, 14)?,
        args: rows::payload(row, 15)?,
    };
    let schedule = Schedule {
        name: name(row, 0)?,
        cron: get(row, 2)?,
        zone: get(row, 3)?,
        missed: MissedTicks::stored(i64::from(get::<i16>(row, 4)?)).unwrap_or_default(),
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
        paused: get(row, 5)?,
        due: rows::maybe_time(row, 6)?,
        last_tick: rows::maybe_time(row, 7)?,
        last_execution: rows::maybe_uuid(row, 8)?.map(|id| ExecutionId::from_bytes(*id.as_bytes())),
    })
}

/// One schedule.
pub(crate) async fn read(reader: Reader<'_>, name: &Name) -> Step<Option<ScheduleView>> {
    reader.first(Query::ScheduleRead, &[&name.as_str()]).await?.as_ref().map(view).transpose()
}

/// All schedules, in order of name.
pub(crate) async fn list(reader: Reader<'_>) -> Step<Vec<ScheduleView>> {
    reader.query(Query::ScheduleList, &[]).await?.iter().map(view).collect()
}

/// Those that have a due time, the earliest first.
pub(crate) async fn next(reader: Reader<'_>, limit: u32) -> Step<Vec<ScheduleView>> {
    reader.query(Query::ScheduleNext, &[&i64::from(limit)]).await?.iter().map(view).collect()
}

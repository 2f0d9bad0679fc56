//! Claim. What is due is promoted first; then the heads of the routes that the worker serves are taken in one statement.
//! A worker asks for its own routes by their numbers, so a claim costs what it takes, not what lies before it. A look
//! that begins no transaction comes first: an idle worker writes nothing.

use std::sync::Arc;

use stent_core::command::{Claim, Done, Refusal};
use stent_core::limits::{CLAIM_TASKS, PROMOTE_TASKS};
use stent_core::routing::rank;
use stent_core::{ClaimedTask, Lease, Name, SessionId, TaskId, TaskRef, TaskSpec, Timestamp};

use crate::batch::Batch;
use crate::error::{Step, Stop, broken};
use crate::gates::Gates;
use crate::query::{Column, Params, Query};
use crate::rows::{self, Held, Row, Standing, uuid};
use crate::slots;

/// How soon a claim looks again at what it passed by since others were claiming it: longer than a commit takes.
const PASSED_BY: std::time::Duration = std::time::Duration::from_millis(10);

/// What a look shows.
struct Look {
    /// Whether the session is open, for a look is not behind the fence.
    is_open: bool,
    /// Whether anything is ready or due.
    anything: bool,
    next_due: Option<Timestamp>,
    lines: Lines,
    gates: Arc<Gates>,
}

/// The routes that a claim asks.
struct Lines {
    /// Those of functions without a limit.
    plain: Column<i64>,
    /// Those of limited functions, each with its function.
    limited: Column<i64>,
    functions: Column<String>,
}

/// What a claim takes, and what it finds when it has.
struct Found {
    tasks: Vec<ClaimedTask>,
    /// When to look again.
    next_due: Option<Timestamp>,
    /// The last route that was numbered.
    routes: i64,
    gates: Gates,
    is_open: bool,
}

/// A task that was just claimed.
struct Taken {
    standing: Standing,
    first: bool,
    on_start: bool,
    new_slot: bool,
    task: ClaimedTask,
}

/// Carries out [`Claim`].
pub(crate) async fn claim(batch: &mut Batch<'_>, claim: &Claim) -> Step<Done> {
    if !batch.is_open(claim.session).await? {
        return Err(Refusal::SessionGone.into());
    }
    if let Some(done) = behind_an_end(batch, claim).await? {
        return Ok(done);
    }
    let seen = look(batch, claim).await?;
    if !seen.is_open {
        return Err(Refusal::SessionGone.into());
    }
    let limited = limited(claim, &seen.gates);
    if !seen.anything {
        return Ok(Done::Claimed { tasks: Vec::new(), next_due: seen.next_due, limited });
    }
    if seen.next_due.is_some_and(|due| due <= batch.now) {
        promote(batch, batch.now).await?;
    }
    let found = take(batch, claim.session, &seen.lines, claim.max.min(CLAIM_TASKS)).await?;
    Ok(Done::Claimed { tasks: found.tasks, next_due: found.next_due, limited })
}

/// The claim behind the end of a task of a limited function, in the batch that lets its slot go: there is a slot, most
/// likely a task for it, and a transaction anyway. So it takes at once, by the gates and routes that were seen last, and
/// looks along with it whether these are still so and nothing is due; if not, the batch is run with care. None for any
/// other claim.
async fn behind_an_end(batch: &mut Batch<'_>, claim: &Claim) -> Step<Option<Done>> {
    if batch.is_careful() || !slots::are_left(batch) {
        return Ok(None);
    }
    let Some(gates) = batch.memory.gates.clone() else { return Ok(None) };
    let lines = lines(batch, claim, &gates).await?;
    if lines.limited.0.is_empty() {
        return Ok(None);
    }
    let found = take(batch, claim.session, &lines, claim.max.min(CLAIM_TASKS)).await?;
    let is_stale = found.gates != *gates || found.routes > batch.memory.routes.known() || !found.is_open;
    if is_stale || found.next_due.is_some_and(|due| due <= batch.now) {
        return Err(Stop::Stale);
    }
    Ok(Some(Done::Claimed { tasks: found.tasks, next_due: found.next_due, limited: limited(claim, &gates) }))
}

/// The functions among those that a claim asks for of which a task needs a slot, in order of name.
fn limited(claim: &Claim, gates: &Gates) -> Vec<Name> {
    let mut limited = Vec::new();
    if !gates.limited.is_empty() {
        limited.extend(claim.serve.functions.iter().filter(|function| gates.is_limited(function)).cloned());
        limited.sort_unstable();
        limited.dedup();
    }
    limited
}

/// Looks whether there is anything for this claim, and learns of new routes, paused queues and limited functions on the way.
async fn look(batch: &mut Batch<'_>, claim: &Claim) -> Step<Look> {
    let (now, session) = (batch.now.as_micros(), uuid(claim.session.as_bytes()));
    loop {
        let gates = batch.memory.gates.clone().unwrap_or_default();
        let lines = lines(batch, claim, &gates).await?;
        let Lines { plain, limited, functions } = &lines;
        let rows = match limited.0.is_empty() {
            true => batch.peek(Query::ClaimLook, &[plain, &now, &session]).await?,
            false => batch.peek(Query::ClaimLookLimited, &[plain, &now, &session, limited, functions]).await?,
        };
        let row = rows.first().ok_or(broken("a look answers one row"))?;
        let now_gates = Arc::new(Gates::read(&rows::get::<Vec<&str>>(row, 3)?));
        let changed = now_gates != gates;
        batch.note_gates(now_gates);
        if rows::get::<i64>(row, 2)? > batch.memory.routes.known() {
            batch.refresh_routes().await?;
        } else if !changed {
            return Ok(Look {
                is_open: rows::get(row, 4)?,
                anything: rows::get(row, 0)?,
                next_due: rows::maybe_time(row, 1)?,
                lines,
                gates,
            });
        }
    }
}

/// The routes that a claim asks, as far as they are known.
async fn lines(batch: &mut Batch<'_>, claim: &Claim, gates: &Gates) -> Step<Lines> {
    let accepted = batch.memory.routes.accepted(&claim.serve, &gates.paused);
    let mut lines = Lines { plain: Column::default(), limited: Column::default(), functions: Column::default() };
    if gates.limited.is_empty() {
        lines.plain = Column(accepted);
        return Ok(lines);
    }
    for route in accepted {
        let function = batch.route(route).await?.function;
        if gates.is_limited(&function) {
            lines.limited.push(route);
            lines.functions.push(function.as_str().to_owned());
        } else {
            lines.plain.push(route);
        }
    }
    Ok(lines)
}

/// Makes ready what is due: a delayed task keeps the rank it was put aside with; a suspended one resumes.
pub(crate) async fn promote(batch: &mut Batch<'_>, until: Timestamp) -> Step<()> {
    let (until, limit, resuming) = (until.as_micros(), i64::from(PROMOTE_TASKS), rank(true, 0));
    let promoted = batch.execute(Query::TaskPromoteDue, &[&until, &limit, &resuming]).await?;
    batch.wakes.ready |= promoted > 0;
    Ok(())
}

/// Takes the first `max` of all that is ready in the accepted routes, and says when to look again. What is still there
/// after a claim that came short is in the hands of others who are claiming: they lock the heads of all their routes, and
/// slots, and take the first of these, and tell nobody of the rest.
async fn take(batch: &mut Batch<'_>, session: SessionId, lines: &Lines, max: u32) -> Step<Found> {
    let (now, most, id) = (batch.now.as_micros(), i64::from(max), uuid(session.as_bytes()));
    let Lines { plain, limited, functions } = lines;
    let (rows, left) = match limited.0.is_empty() {
        true => {
            let (claim, look): (Params<'_>, Params<'_>) = (&[plain, &most, &id, &now], &[plain, &now, &id]);
            batch.query_both((Query::ClaimTasks, claim), (Query::ClaimLook, look)).await?
        }
        false => {
            let claim: Params<'_> = &[plain, &most, &id, &now, limited, functions];
            let look: Params<'_> = &[plain, &now, &id, limited, functions];
            batch.query_both((Query::ClaimLimited, claim), (Query::ClaimLookLimited, look)).await?
        }
    };
    let left = left.first().ok_or(broken("a look answers one row"))?;
    let passed_by = rows::get(left, 0)? && rows.len() < max as usize;
    let soon = passed_by.then(|| batch.now + PASSED_BY);
    let next_due = [rows::maybe_time(left, 1)?, soon].into_iter().flatten().min();
    let (routes, gates, is_open) =
        (rows::get(left, 2)?, Gates::read(&rows::get::<Vec<&str>>(left, 3)?), rows::get(left, 4)?);
    Ok(Found { tasks: hand_out(batch, session, &rows).await?, next_due, routes, gates, is_open })
}

/// The claimed tasks, in order of rank.
async fn hand_out(batch: &mut Batch<'_>, session: SessionId, rows: &[Row]) -> Step<Vec<ClaimedTask>> {
    let mut taken = Vec::with_capacity(rows.len());
    for row in rows {
        taken.push((rows::get::<i64>(row, 2)?, read(batch, row, session).await?));
    }
    // An update answers in no order of its own.
    taken.sort_unstable_by_key(|(rank, taken)| (*rank, taken.task.lease.task));
    let mut tasks = Vec::with_capacity(taken.len());
    for (_, Taken { standing, first, on_start, new_slot, task }) in taken {
        if new_slot {
            slots::taken(batch, &task.spec.function);
        }
        batch.hold(task.lease.task, standing);
        if first && on_start {
            crate::starts::restart_deadline(batch, task.lease.task.execution).await?;
        }
        tasks.push(task);
    }
    Ok(tasks)
}

async fn read(batch: &mut Batch<'_>, row: &Row, session: SessionId) -> Step<Taken> {
    let task: TaskRef = rows::task_ref(row, 0)?;
    let number = rows::get(row, 15)?;
    let route = batch.route(number).await?;
    let spec = TaskSpec {
        function: route.function,
        args: rows::payload(row, 14)?,
        queue: route.queue,
        priority: rows::get(row, 3)?,
        tags: route.tags,
        headers: rows::maybe_bytes(row, 13)?,
        options: rows::options(row, 12)?,
    };
    let claimed = ClaimedTask {
        lease: Lease { task, session, epoch: rows::number(row, 4)? },
        spec,
        parent: rows::maybe_uuid(row, 8)?.map(|id| TaskId::from_bytes(*id.as_bytes())),
        attempt: rows::count(row, 5)?,
        run: rows::count(row, 6)?,
        losses: rows::count(row, 7)?,
        created_at: rows::time(row, 9)?,
    };
    let standing = Standing {
        key: rows::key(row, 16)?,
        seen: rows::get::<Option<i32>>(row, 17)?.map_or(0, |seen| u32::try_from(seen).unwrap_or(0)),
        digest: rows::maybe_digest(row, 18)?.unwrap_or_default(),
        detached: rows::get(row, 19)?,
        held: Held { slot: rows::get(row, 20)?, route: number },
        ..Standing::claimed(&claimed, number)
    };
    let (first, on_start, new_slot) = (rows::get(row, 11)?, rows::get(row, 10)?, rows::get(row, 21)?);
    Ok(Taken { standing, first, on_start, new_slot, task: claimed })
}

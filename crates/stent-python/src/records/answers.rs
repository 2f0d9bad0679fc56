//! What is shown of executions, tasks and what belongs to them, as JSON. A payload that is damaged or written by another
//! serializer is shown as the bytes it has; who reads it finds out.

use serde_json::{Value, json};
use stent_core::select::{Cell, Table};
use stent_core::view::{Baggage, ExecutionView, MemoView, TaskView};
use stent_core::{Failure, Payload, Progress, Timestamp};

use super::hands::Hands;
use super::requests::to_hex;
use super::{state_of, to_json};

fn payload(payload: &Payload) -> Value {
    match payload.open() {
        Ok((codec, bytes)) => json!({"codec": codec.to_string(), "hex": to_hex(&bytes)}),
        Err(error) => json!({"codec": "damaged", "hex": "", "error": error.to_string()}),
    }
}

fn maybe_payload(maybe: Option<&Payload>) -> Value {
    maybe.map_or(Value::Null, payload)
}

fn failure(failure: Option<&Failure>) -> Value {
    failure.map_or(Value::Null, to_json)
}

fn time(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_micros)
}

pub(super) fn execution(view: &ExecutionView, root: &TaskView, progress: &[Progress]) -> Value {
    let progress: Vec<_> = progress.iter().map(entry).collect();
    json!({
        "id": view.id.to_string(),
        "function": view.function.as_str(),
        "state": view.state,
        "args": payload(&root.args),
        "retries": view.attempts.saturating_sub(1),
        "created_at": view.created_at.as_micros(),
        "started_at": time(view.started_at),
        "completed_at": time(view.completed_at),
        "expires_at": time(view.deadline),
        "progress": progress,
        "tags": view.tags,
        "priority": view.priority,
        "queue": view.queue.as_str(),
        "result": maybe_payload(view.result.as_ref()),
        "failure": failure(view.failure.as_ref()),
    })
}

fn entry(entry: &Progress) -> Value {
    json!({
        "step": entry.step,
        "status": entry.status,
        "started_at": time(entry.started_at),
        "completed_at": time(entry.completed_at),
        "detail": entry.detail,
    })
}

pub(super) fn task(view: &TaskView, hands: &Hands) -> Value {
    let held = hands.held(view.task.task, view.epoch).filter(|held| Some(held.session) == view.session);
    let worker = held.as_ref().map(|held| held.worker.clone()).or(view.session.map(|session| session.to_string()));
    json!({
        "id": view.task.task.to_string(),
        "execution_id": view.task.execution.to_string(),
        "function": view.function.as_str(),
        "parent": view.parent.map(|parent| parent.to_string()),
        "state": state_of(view.state),
        "args": payload(&view.args),
        "retries": view.attempt.saturating_sub(1),
        "created_at": view.created_at.as_micros(),
        "tags": view.tags,
        "priority": view.priority,
        "queue": view.queue.as_str(),
        "result": maybe_payload(view.result.as_ref()),
        "failure": failure(view.failure.as_ref()),
        "started_at": time(view.started_at),
        "completed_at": time(view.completed_at),
        "worker": worker,
        "lease_ms_left": held.map(|held| held.ms_left),
        "scheduled_for": time(view.due.filter(|_| view.state == stent_core::TaskState::Pending)),
        "epoch": view.epoch,
    })
}

pub(super) fn memo(view: Option<MemoView>) -> Value {
    let Some(view) = view else { return json!({}) };
    let cached = view.cached.map(|cached| {
        json!({
            "value": payload(&cached.value),
            "created_at": cached.created_at.as_micros(),
            "expires_at": time(cached.expires_at),
        })
    });
    json!({"result": maybe_payload(view.result.as_ref()), "cached": cached})
}

pub(super) fn baggage(baggage: &Baggage) -> Value {
    let counters: serde_json::Map<_, _> =
        baggage.counters.iter().map(|(name, number)| (name.to_string(), to_json(number))).collect();
    let state: serde_json::Map<_, _> =
        baggage.state.iter().map(|(name, value)| (name.to_string(), payload(value))).collect();
    json!({"counters": counters, "state": state})
}

pub(super) fn table(table: Table) -> Value {
    let cell = |cell| match cell {
        Cell::Null => Value::Null,
        Cell::Bool(truth) => truth.into(),
        Cell::Whole(number) => number.into(),
        Cell::Real(number) => number.into(),
        Cell::Text(text) => text.into(),
        Cell::Blob(bytes) => json!({"hex": to_hex(&bytes)}),
    };
    let rows: Vec<Vec<_>> = table.rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
    json!({"columns": table.columns, "rows": rows})
}

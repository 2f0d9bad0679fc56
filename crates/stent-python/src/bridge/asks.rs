//! What Python hands over once its code rests: calls that were asked, steps that are done, ends. Read while the
//! interpreter's lock is held, carried out without it.
//!
//! Invariant: what one attempt asked is carried out in the order in which its code asked it.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use serde::Deserialize;
use stent_core::command::{Deadline, Effect, Emit, Number, Signal, Start};
use stent_core::history::Due;
use stent_core::{Codec, ExecutionId, Failure, Name, Payload, RetryPolicy, TaskSpec, Verdict};
use stent_engine::{AttemptError, Interrupt};

use super::Bridge;
use super::outbox::Message;
use super::run::Run;
use crate::records::Trouble;

/// One thing handed over.
pub(super) enum Ask {
    Rest(u64),
    Done(Payload),
    Failed(Box<Failure>),
    Child { call: u64, scope: u32, function: Name, args: Payload, answer: Option<String>, overrides: Option<Overrides> },
    Sleep { call: u64, scope: u32, name: Name, due: Due },
    Signal { call: u64, scope: u32, name: Name, timeout: Option<Due> },
    Event { call: u64, scope: u32, queue: Option<Name>, name: Name, timeout: Option<Due> },
    Change { call: u64, scope: u32, name: String, change: Change },
    Step { call: u64, verdict: Verdict, payload: Payload },
    GiveUp { call: u64 },
    Unwound,
}

/// A change through the engine that a replay does not make again.
pub(super) enum Change {
    EnsureCounters(Vec<(Name, Number)>),
    AddCounter(Name, Number),
    EnsureState(Vec<(Name, Payload)>),
    SetState(Name, Payload),
    Emit(Option<Name>, Name, Payload),
    Signal(ExecutionId, Name, Payload),
    Start { function: Name, args: Payload, answer: Option<String>, overrides: Box<Overrides> },
}

/// What a caller says of a task beside its function's own options.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Overrides {
    /// Of what is started; a fresh one unless given.
    pub(super) id: Option<ExecutionId>,
    pub(super) queue: Option<Name>,
    pub(super) priority: Option<i32>,
    pub(super) tags: Option<Vec<Name>>,
    pub(super) headers: Option<serde_json::Map<String, serde_json::Value>>,
    pub(super) retry: Option<RetryPolicy>,
    pub(super) delay_us: Option<u64>,
    pub(super) expiry_us: Option<u64>,
    pub(super) key: Option<Name>,
}

impl Overrides {
    pub(super) fn read(json: &[u8]) -> Result<Self, Trouble> {
        Ok(serde_json::from_slice(json)?)
    }

    pub(super) fn apply(&self, spec: &mut TaskSpec) {
        if let Some(queue) = &self.queue {
            spec.queue = queue.clone();
        }
        if let Some(priority) = self.priority {
            spec.priority = priority;
        }
        if let Some(tags) = &self.tags {
            spec.tags = tags.clone();
            spec.tags.sort();
            spec.tags.dedup();
        }
        if let Some(headers) = &self.headers {
            spec.headers = serde_json::to_vec(headers).ok().map(Into::into);
        }
        if let Some(retry) = &self.retry {
            spec.options.retry = retry.clone();
        }
    }

    pub(super) fn due(&self) -> Option<Due> {
        self.delay_us.filter(|delay| *delay > 0).map(|delay| Due::In(Duration::from_micros(delay)))
    }

    pub(super) fn deadline(&self) -> Deadline {
        Deadline { expire_after: self.expiry_us.map(Duration::from_micros), ..Deadline::default() }
    }
}

/// What Python calls the codec of a payload: nothing for JSON.
pub(super) fn codec(name: Option<&str>) -> Codec {
    match name {
        None => Codec::Json,
        Some("pickle") => Codec::Pickle,
        Some(other) => Codec::Custom(other.into()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` is given")]
pub(super) fn refused(error: impl ToString) -> PyErr {
    PyValueError::new_err(error.to_string())
}

pub(super) fn payload(bytes: &Bound<'_, PyAny>, name: &Bound<'_, PyAny>) -> PyResult<Payload> {
    let bytes = bytes.cast::<PyBytes>()?;
    let codec = if name.is_none() { Codec::Json } else { codec(Some(name.extract::<&str>()?)) };
    Payload::new(&codec, bytes.as_bytes()).map_err(refused)
}

fn name(what: &'static str, text: &Bound<'_, PyAny>) -> PyResult<Name> {
    Name::new(what, text.extract::<&str>()?).map_err(refused)
}

fn optional<'py, T>(
    given: &Bound<'py, PyAny>,
    read: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Option<T>> {
    if given.is_none() { Ok(None) } else { read(given).map(Some) }
}

fn due(microseconds: &Bound<'_, PyAny>) -> PyResult<Due> {
    Ok(Due::In(Duration::from_micros(microseconds.extract()?)))
}

fn number(value: &Bound<'_, PyAny>) -> PyResult<Number> {
    match value.extract::<i64>() {
        Ok(whole) => Ok(Number::Whole(whole)),
        Err(_) => Ok(Number::Real(value.extract::<f64>()?)),
    }
}

fn overrides(json: &Bound<'_, PyAny>) -> PyResult<Overrides> {
    Overrides::read(json.cast::<PyBytes>()?.as_bytes()).map_err(|trouble| refused(trouble.words))
}

fn pairs<'py, T>(
    given: &Bound<'py, PyAny>,
    what: &'static str,
    read: impl Fn(&Bound<'py, PyTuple>) -> PyResult<T>,
) -> PyResult<Vec<(Name, T)>> {
    let mut all = Vec::new();
    for pair in given.try_iter()? {
        let pair = pair?.cast_into::<PyTuple>()?;
        all.push((name(what, &pair.get_item(0)?)?, read(&pair)?));
    }
    Ok(all)
}

fn change(kind: &str, given: &Bound<'_, PyTuple>) -> PyResult<Change> {
    let at = |place: usize| given.get_item(place);
    Ok(match kind {
        "ensure counters" => Change::EnsureCounters(pairs(&at(6)?, "counter", |pair| number(&pair.get_item(1)?))?),
        "add" => Change::AddCounter(name("counter", &at(6)?)?, number(&at(7)?)?),
        "ensure state" => {
            Change::EnsureState(pairs(&at(6)?, "state", |pair| payload(&pair.get_item(1)?, &pair.get_item(2)?))?)
        }
        "set" => Change::SetState(name("state", &at(6)?)?, payload(&at(7)?, &at(8)?)?),
        "emit" => Change::Emit(
            optional(&at(6)?, |queue| name("queue", queue))?,
            name("event", &at(7)?)?,
            payload(&at(8)?, &at(9)?)?,
        ),
        "signal" => Change::Signal(
            at(6)?.extract::<&str>()?.parse().map_err(refused)?,
            name("signal", &at(7)?)?,
            payload(&at(8)?, &at(9)?)?,
        ),
        "start" => Change::Start {
            function: name("function", &at(6)?)?,
            args: payload(&at(7)?, &at(8)?)?,
            answer: at(9)?.extract()?,
            overrides: Box::new(overrides(&at(10)?)?),
        },
        other => return Err(refused(format!("there is no change \"{other}\""))),
    })
}

/// Reads one tuple: what it is, the run, then what belongs to it.
pub(super) fn read(given: &Bound<'_, PyTuple>) -> PyResult<(u64, Ask)> {
    let at = |place: usize| given.get_item(place);
    let kind = at(0)?.extract::<u8>()?;
    let run = at(1)?.extract::<u64>()?;
    let ask = match kind {
        0 => Ask::Rest(at(2)?.extract()?),
        1 => Ask::Done(payload(&at(2)?, &at(3)?)?),
        2 => {
            let json = at(2)?;
            let failure = serde_json::from_slice(json.cast::<PyBytes>()?.as_bytes()).map_err(refused)?;
            Ask::Failed(Box::new(failure))
        }
        3 => Ask::Child {
            call: at(2)?.extract()?,
            scope: at(3)?.extract()?,
            function: name("function", &at(4)?)?,
            args: payload(&at(5)?, &at(6)?)?,
            answer: at(7)?.extract()?,
            overrides: optional(&at(8)?, overrides)?,
        },
        4 => Ask::Sleep {
            call: at(2)?.extract()?,
            scope: at(3)?.extract()?,
            name: name("timer", &at(4)?)?,
            due: due(&at(5)?)?,
        },
        5 => Ask::Signal {
            call: at(2)?.extract()?,
            scope: at(3)?.extract()?,
            name: name("signal", &at(4)?)?,
            timeout: optional(&at(5)?, due)?,
        },
        6 => Ask::Event {
            call: at(2)?.extract()?,
            scope: at(3)?.extract()?,
            queue: optional(&at(4)?, |queue| name("queue", queue))?,
            name: name("event", &at(5)?)?,
            timeout: optional(&at(6)?, due)?,
        },
        7 => {
            let kind = at(5)?;
            let change = change(kind.extract()?, given)?;
            Ask::Change { call: at(2)?.extract()?, scope: at(3)?.extract()?, name: at(4)?.extract()?, change }
        }
        8 => {
            let call = at(2)?.extract()?;
            if at(3)?.extract()? {
                Ask::Step { call, verdict: Verdict::Ok, payload: payload(&at(4)?, &at(5)?)? }
            } else {
                let json = at(4)?;
                let failure: Failure = serde_json::from_slice(json.cast::<PyBytes>()?.as_bytes()).map_err(refused)?;
                Ask::Step { call, verdict: Verdict::Failed, payload: failure.to_payload() }
            }
        }
        9 => Ask::GiveUp { call: at(2)?.extract()? },
        10 => Ask::Unwound,
        other => return Err(refused(format!("there is no request {other}"))),
    };
    Ok((run, ask))
}

/// Carries one thing out.
pub(super) fn carry_out(bridge: &Arc<Bridge>, run: &Arc<Run>, ask: Ask) {
    match ask {
        Ask::Rest(turn) => run.end_turn(turn),
        Ask::Done(result) => run.end(Ok(result)),
        Ask::Failed(failure) => run.end(Err(AttemptError::Failed(*failure))),
        Ask::Child { call, scope, function, args, answer, overrides } => {
            let Some(context) = run.scope(scope) else { return };
            let options = bridge.options_now(&function);
            let memo = match options.memo(&function, &args, answer.as_deref()) {
                Ok(memo) => memo,
                Err(error) => return fail(bridge, run, error),
            };
            let mut spec = options.task(function, args, Some(&context.task().spec));
            spec.options.memo = memo.map(Box::new);
            let mut due = None;
            if let Some(overrides) = overrides {
                overrides.apply(&mut spec);
                due = overrides.due();
            }
            let name = spec.function.clone();
            run.asked(call, context.start_child(&name, spec, due).call);
        }
        Ask::Sleep { call, scope, name, due } => {
            if let Some(context) = run.scope(scope) {
                run.asked(call, context.sleep(&name, due));
            }
        }
        Ask::Signal { call, scope, name, timeout } => {
            if let Some(context) = run.scope(scope) {
                run.asked(call, context.wait_signal(&name, timeout));
            }
        }
        Ask::Event { call, scope, queue, name, timeout } => {
            if let Some(context) = run.scope(scope) {
                let queue = queue.unwrap_or_else(|| context.task().spec.queue.clone());
                run.asked(call, context.wait_event(&queue, &name, timeout));
            }
        }
        Ask::Change { call, scope, name, change } => {
            let Some(context) = run.scope(scope) else { return };
            match effect(bridge, run, change) {
                Ok(effect) => run.asked(call, context.effect(&name, effect)),
                Err(error) => fail(bridge, run, error),
            }
        }
        Ask::Step { call, verdict, payload } => run.finish_step(call, verdict, payload),
        Ask::GiveUp { call } => run.give_up(call),
        // Code that was stopped has ended.
        Ask::Unwound => run.end(Err(run.context.interrupt().unwrap_or(Interrupt::Closed).into())),
    }
}

/// Ends an attempt whose code asked for what cannot be, and has the code stopped.
#[expect(clippy::needless_pass_by_value, reason = "its callers have errors to give away")]
fn fail(bridge: &Bridge, run: &Run, error: impl ToString) {
    let failure = Failure::new(stent_core::FailureKind::Error, error.to_string());
    run.end(Err(AttemptError::Failed(Failure { permanent: true, ..failure })));
    bridge.outbox.push(Message::Stop(run.number, "failed"));
}

fn effect(bridge: &Bridge, run: &Run, change: Change) -> Result<Effect, String> {
    let context = &run.context;
    Ok(match change {
        Change::EnsureCounters(values) => Effect::EnsureCounters(values),
        Change::AddCounter(name, amount) => Effect::AddCounter(name, amount),
        Change::EnsureState(values) => Effect::EnsureState(values),
        Change::SetState(name, value) => Effect::SetState(name, value),
        Change::Emit(queue, name, payload) => {
            let queue = queue.unwrap_or_else(|| context.task().spec.queue.clone());
            Effect::Emit(Emit { id: bridge.engine.new_event_id(), queue, name, payload })
        }
        Change::Signal(execution, name, payload) => {
            Effect::Signal(Signal { id: bridge.engine.new_signal_id(), execution, name, payload })
        }
        Change::Start { function, args, answer, overrides } => {
            let options = bridge.options_now(&function);
            let memo = options.memo(&function, &args, answer.as_deref()).map_err(|error| error.to_string())?;
            let mut spec = options.task(function, args, Some(&context.task().spec));
            spec.options.memo = memo.map(Box::new);
            overrides.apply(&mut spec);
            Effect::Start(Box::new(Start {
                id: bridge.engine.new_execution_id(),
                spec,
                key: overrides.key.clone(),
                due: overrides.due(),
                deadline: overrides.deadline(),
                claim_for: None,
            }))
        }
    })
}

//! The class `stent._native.Bridge`.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use stent_core::limits::SUSPECT_LOSSES;
use stent_core::{Codec, Name, Payload, Verdict};
use stent_engine::{BegunValue, WaitPace};
use tokio::runtime::Handle;

use super::Bridge;
use super::asks::{self, Overrides, refused};
use super::client::WorkerOptions;
use super::host::{Functions, Published};
use super::outbox::{Answer, Message, Outbox};
use crate::records::class::PyRecords;
use crate::runtime::runtime;

/// What one event loop has to do with one database.
#[pyclass(frozen, name = "Bridge", module = "stent._native")]
pub struct PyBridge(Arc<Bridge>);

#[pymethods]
impl PyBridge {
    /// A bridge to a database. Its waits look by themselves after `poll_us.0` microseconds, then ever later by a factor,
    /// up to `poll_us.1`.
    #[new]
    #[pyo3(signature = (records, poll_us = None, poll_factor = 1.0))]
    fn new(records: &PyRecords, poll_us: Option<(u64, u64)>, poll_factor: f64) -> PyResult<Self> {
        let pace = poll_us.map_or_else(WaitPace::default, |(least, most)| WaitPace {
            least: Duration::from_micros(least),
            most: Duration::from_micros(most),
            factor: poll_factor,
        });
        let outbox = Outbox::new().map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(Self(Arc::new(Bridge {
            engine: records.engine().clone(),
            outbox,
            functions: Functions::default(),
            published: Published::default(),
            runs: Mutex::default(),
            last_run: AtomicU64::new(0),
            workers: Mutex::new(HashMap::new()),
            records: records.records().clone(),
            pace,
            simulated: records.simulated().cloned(),
        })))
    }

    /// What the event loop watches: readable when something lies in the outbox.
    fn fileno(&self) -> i32 {
        self.0.outbox.fileno()
    }

    /// All that became ready since the last time, in order.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let messages = py.detach(|| self.0.outbox.take());
        let all = PyList::empty(py);
        for message in messages {
            all.append(shown(py, message)?)?;
        }
        Ok(all)
    }

    /// Hands over what code asked for and came to, in order.
    fn hand_over(&self, py: Python<'_>, given: &Bound<'_, PyList>) -> PyResult<()> {
        let mut asked = Vec::with_capacity(given.len());
        for one in given.iter() {
            asked.push(asks::read(one.cast::<PyTuple>()?)?);
        }
        py.detach(|| {
            for (run, ask) in asked {
                if let Some(run) = self.0.run(run) {
                    // What asks is at work, whatever was said before: a thread, or code that something outside woke.
                    run.context.work();
                    asks::carry_out(&self.0, &run, ask);
                }
            }
        });
        Ok(())
    }

    /// Asks for a step; whether its body may run at once. Else it is told later, or its recorded outcome is.
    fn begin_step(&self, py: Python<'_>, run: u64, call: u64, scope: u32, name: &str) -> PyResult<bool> {
        let name = Name::new("step", name).map_err(refused)?;
        Ok(py.detach(|| {
            let Some(run) = self.0.run(run) else { return false };
            let Some(context) = run.scope(scope) else { return false };
            run.context.work();
            run.begin_step(call, context.begin_step(&name))
        }))
    }

    /// Opens a scope for code that runs beside the code's own; its number.
    fn branch(&self, py: Python<'_>, run: u64, scope: u32, name: &str) -> PyResult<Option<u32>> {
        let name = Name::new("branch", name).map_err(refused)?;
        Ok(py.detach(|| {
            let run = self.0.run(run)?;
            let context = run.scope(scope)?;
            Some(run.branch(context.branch(&name)))
        }))
    }

    /// The recorded value of this name, or None: then it is to be made, and handed to `finish_value`.
    fn begin_value<'py>(
        &self,
        py: Python<'py>,
        run: u64,
        scope: u32,
        name: &str,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, Option<String>)>> {
        let name = Name::new("value", name).map_err(refused)?;
        let recorded = py.detach(|| {
            let run = self.0.run(run)?;
            let context = run.scope(scope)?;
            match context.begin_value(&name) {
                Ok(BegunValue::Recorded(recorded)) => Some(recorded),
                Ok(BegunValue::New(ticket)) => {
                    run.keep_ticket(scope, context, ticket);
                    None
                }
                Err(_) => None,
            }
        });
        recorded.map(|recorded| opened(py, &recorded)).transpose()
    }

    /// Records the value that `begin_value` asked for.
    fn finish_value(
        &self,
        py: Python<'_>,
        run: u64,
        scope: u32,
        value: &Bound<'_, PyAny>,
        codec: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let payload = asks::payload(value, codec)?;
        py.detach(|| {
            if let Some(run) = self.0.run(run) {
                run.finish_value(scope, payload);
            }
        });
        Ok(())
    }

    /// Sixteen bytes that are the same on every replay.
    fn derived<'py>(&self, py: Python<'py>, run: u64, scope: u32, name: &str) -> Option<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| Some(self.0.run(run)?.scope(scope)?.derived(name)))?;
        Some(PyBytes::new(py, &bytes))
    }

    /// What an attempt is: JSON.
    fn about(&self, py: Python<'_>, run: u64) -> Option<String> {
        py.detach(|| {
            let run = self.0.run(run)?;
            let task = run.context.task();
            let headers = task.spec.headers.as_ref().and_then(|headers| serde_json::from_slice(headers).ok());
            let about = serde_json::json!({
                "execution_id": task.lease.task.execution.to_string(),
                "task_id": run.context.task_id().to_string(),
                "run_id": run.context.run_id().to_string(),
                "parent_id": task.parent.map(|parent| parent.to_string()),
                "attempt": task.attempt,
                "is_suspect": task.losses >= SUSPECT_LOSSES,
                "max_attempts": task.spec.options.retry.max_attempts,
                "queue": task.spec.queue.as_str(),
                "priority": task.spec.priority,
                "headers": headers.unwrap_or(serde_json::Value::Null),
                "key": task.spec.options.memo.as_ref().map(|memo| memo.key.as_str()),
            });
            Some(about.to_string())
        })
    }

    /// Whether recorded outcomes are still to be delivered to an attempt.
    fn is_replaying(&self, py: Python<'_>, run: u64) -> bool {
        py.detach(|| self.0.run(run).is_some_and(|run| run.context.is_replaying()))
    }

    /// A sign of life of attempts: their timeouts count anew.
    fn heartbeat(&self, py: Python<'_>, runs: Vec<u64>, extend_us: u64) {
        py.detach(|| {
            for run in runs.into_iter().filter_map(|run| self.0.run(run)) {
                // An interrupt is told by another way.
                let _told = run.context.heartbeat(Duration::from_micros(extend_us));
            }
        });
    }

    /// The time by the store's clock, in microseconds since 1970.
    fn now(&self) -> i64 {
        self.0.engine.store().now().as_micros()
    }

    /// Makes a function known, with its options as JSON. Workers that run look for its tasks at once.
    fn register(&self, name: &str, options: &[u8]) -> PyResult<()> {
        let name = Name::new("function", name).map_err(refused)?;
        self.0.learn(name, serde_json::from_slice(options).map_err(refused)?);
        Ok(())
    }

    /// Starts an execution; answered by its id and whether it was created now.
    #[pyo3(signature = (request, function, args, codec, key, overrides))]
    fn start(
        &self,
        request: u64,
        function: &str,
        args: &Bound<'_, PyAny>,
        codec: &Bound<'_, PyAny>,
        key: Option<String>,
        overrides: Option<&[u8]>,
    ) -> PyResult<()> {
        let function = Name::new("function", function).map_err(refused)?;
        let args = asks::payload(args, codec)?;
        let overrides = overrides.map_or_else(|| Ok(Overrides::default()), Overrides::read);
        let overrides = overrides.map_err(|trouble| refused(trouble.words))?;
        self.handle()?.spawn(Arc::clone(&self.0).start(request, function, args, key, overrides));
        Ok(())
    }

    /// Has an execution started again and again: `asked` is the schedule as JSON, the rest as for `start`; answered by
    /// whether anything is different now.
    #[pyo3(signature = (request, asked, function, args, codec, key, overrides))]
    #[expect(clippy::too_many_arguments, reason = "they are those of a start, and the schedule")]
    fn set_schedule(
        &self,
        request: u64,
        asked: &[u8],
        function: &str,
        args: &Bound<'_, PyAny>,
        codec: &Bound<'_, PyAny>,
        key: Option<String>,
        overrides: Option<&[u8]>,
    ) -> PyResult<()> {
        let asked = serde_json::from_slice(asked).map_err(refused)?;
        let function = Name::new("function", function).map_err(refused)?;
        let args = asks::payload(args, codec)?;
        let overrides = overrides.map_or_else(|| Ok(Overrides::default()), Overrides::read);
        let overrides = overrides.map_err(|trouble| refused(trouble.words))?;
        self.handle()?.spawn(Arc::clone(&self.0).schedule(request, asked, function, args, key, overrides));
        Ok(())
    }

    /// Waits for an execution's end.
    fn wait(&self, request: u64, id: String, timeout_us: Option<u64>) -> PyResult<()> {
        self.handle()?.spawn(Arc::clone(&self.0).wait(request, id, timeout_us.map(Duration::from_micros)));
        Ok(())
    }

    /// Gives a signal to an execution.
    fn signal(
        &self,
        request: u64,
        id: String,
        name: &str,
        value: &Bound<'_, PyAny>,
        codec: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let name = Name::new("signal", name).map_err(refused)?;
        let payload = asks::payload(value, codec)?;
        self.handle()?.spawn(Arc::clone(&self.0).signal(request, id, name, payload));
        Ok(())
    }

    /// Any other request, as JSON.
    fn ask(&self, request: u64, name: String, asked: Vec<u8>) -> PyResult<()> {
        self.handle()?.spawn(Arc::clone(&self.0).ask(request, name, asked));
        Ok(())
    }

    /// Starts a worker, which has the request's number.
    fn start_worker(&self, request: u64, options: &[u8]) -> PyResult<()> {
        let options: WorkerOptions = serde_json::from_slice(options).map_err(refused)?;
        self.handle()?.spawn(Arc::clone(&self.0).start_worker(request, options));
        Ok(())
    }

    /// Ends a worker in order.
    fn stop_worker(&self, request: u64, worker: u64) -> PyResult<()> {
        self.handle()?.spawn(Arc::clone(&self.0).stop_worker(request, worker));
        Ok(())
    }

    /// Ends a worker as a crash would.
    fn drop_worker(&self, py: Python<'_>, worker: u64) {
        py.detach(|| self.0.drop_worker(worker));
    }

    /// Nothing is told any more.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.outbox.close());
    }
}

impl PyBridge {
    /// Where requests are carried out.
    fn handle(&self) -> PyResult<Handle> {
        match &self.0.simulated {
            Some(simulated) => Ok(simulated.handle().clone()),
            None => Ok(runtime()?.handle().clone()),
        }
    }
}

/// The bytes of a payload and its codec: None for JSON.
fn opened<'py>(py: Python<'py>, payload: &Payload) -> PyResult<(Bound<'py, PyBytes>, Option<String>)> {
    let (codec, bytes) = payload.open().map_err(refused)?;
    let codec = match codec {
        Codec::Json => None,
        other => Some(other.to_string()),
    };
    Ok((PyBytes::new(py, &bytes), codec))
}

/// Bytes and codec; a damaged payload is told as bytes of the codec "damaged", which no serializer reads.
fn opened_or_damaged<'py>(py: Python<'py>, payload: &Payload) -> (Bound<'py, PyBytes>, Option<String>) {
    opened(py, payload).unwrap_or_else(|_| (PyBytes::new(py, b""), Some("damaged".to_owned())))
}

fn shown<'py>(py: Python<'py>, message: Message) -> PyResult<Bound<'py, PyTuple>> {
    match message {
        Message::Start(run, turn, function, args, replaying) => {
            let (bytes, codec) = opened_or_damaged(py, &args);
            (0u8, run, turn, PyString::new(py, &function), bytes, codec, replaying).into_pyobject(py)
        }
        Message::Outcome(run, turn, call, verdict, payload) => {
            let (bytes, codec) = opened_or_damaged(py, &payload);
            let verdict = match verdict {
                Verdict::Ok => 0u8,
                Verdict::Failed => 1,
                Verdict::TimedOut => 2,
            };
            (1u8, run, turn, call, verdict, bytes, codec).into_pyobject(py)
        }
        Message::Body(run, turn, call) => (2u8, run, turn, call).into_pyobject(py),
        Message::Stop(run, why) => (3u8, run, why).into_pyobject(py),
        Message::Answered(request, Ok(Answer::Json(json))) => {
            (4u8, request, 0u8, PyBytes::new(py, &json)).into_pyobject(py)
        }
        Message::Answered(request, Ok(Answer::Started(id, created))) => {
            (4u8, request, 1u8, id, created).into_pyobject(py)
        }
        Message::Answered(request, Ok(Answer::Completed(payload))) => {
            let (bytes, codec) = opened_or_damaged(py, &payload);
            (4u8, request, 2u8, bytes, codec).into_pyobject(py)
        }
        Message::Answered(request, Err(trouble)) => (4u8, request, 3u8, trouble.kind, trouble.words).into_pyobject(py),
    }
}

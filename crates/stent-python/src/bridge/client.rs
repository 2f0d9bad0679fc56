//! Starting, waiting, and a worker's life, on behalf of an event loop: each request has a number, under which its answer
//! lies in the outbox once it is there.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use stent_core::{ExecutionId, MemoKey, Name, Payload, TaskId, TaskSpec};
use stent_engine::{Ended, StartRequest, WorkerConfig};

use super::Bridge;
use super::asks::Overrides;
use super::host::BridgeHost;
use super::outbox::{Answer, Message};
use super::schedules;
use crate::records::Trouble;

/// A worker's options. What is left out has the engine's default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WorkerOptions {
    worker_id: Option<String>,
    concurrency: Option<usize>,
    queues: Option<Vec<Name>>,
    tags: Option<Vec<Name>>,
    poll_us: Option<u64>,
    poll_max_us: Option<u64>,
    poll_factor: Option<f64>,
    claim_timeout_us: Option<u64>,
    cleanup_us: Option<u64>,
    retention_us: Option<u64>,
    keep_forever: bool,
    grace_us: Option<u64>,
    park_us: Option<u64>,
    worker_timeout_us: Option<u64>,
    mismatch_us: Option<u64>,
}

impl WorkerOptions {
    fn config(self) -> WorkerConfig {
        let plain = WorkerConfig::default();
        let span = |given: Option<u64>, default| given.map_or(default, Duration::from_micros);
        WorkerConfig {
            worker_id: self.worker_id.unwrap_or_else(|| format!("pid {}", std::process::id())),
            concurrency: self.concurrency.unwrap_or(plain.concurrency),
            queues: self.queues,
            tags: self.tags,
            poll_interval: span(self.poll_us, plain.poll_interval),
            poll_interval_max: span(self.poll_max_us, plain.poll_interval_max),
            poll_backoff_factor: self.poll_factor.unwrap_or(plain.poll_backoff_factor),
            claim_timeout: self.claim_timeout_us.map(Duration::from_micros),
            cleanup_interval: span(self.cleanup_us, plain.cleanup_interval),
            retention_period: match self.keep_forever {
                true => None,
                false => self.retention_us.map(Duration::from_micros).or(plain.retention_period),
            },
            drain_grace: span(self.grace_us, plain.drain_grace),
            park_for: span(self.park_us, plain.park_for),
            worker_timeout: span(self.worker_timeout_us, plain.worker_timeout),
            mismatch_delay: span(self.mismatch_us, plain.mismatch_delay),
            ..plain
        }
    }
}

fn no_id(text: &str) -> Trouble {
    Trouble { kind: "unknown", words: format!("\"{text}\" is no id: ids are UUIDs") }
}

impl Bridge {
    fn answer(&self, request: u64, answer: Result<Answer, Trouble>) {
        self.outbox.push(Message::Answered(request, answer));
    }

    /// Starts an execution of a function.
    pub(super) async fn start(
        self: Arc<Self>,
        request: u64,
        function: Name,
        args: Payload,
        key_answer: Option<String>,
        overrides: Overrides,
    ) {
        let started = self.started(function, args, key_answer, &overrides).await;
        self.answer(request, started.map(|started| Answer::Started(started.execution.to_string(), started.created)));
    }

    async fn started(
        &self,
        function: Name,
        args: Payload,
        key_answer: Option<String>,
        overrides: &Overrides,
    ) -> Result<stent_engine::Started, Trouble> {
        let spec = self.root_spec(function, args, key_answer.as_deref(), overrides).await?;
        let (key, due, deadline) = (overrides.key.clone(), overrides.due(), overrides.deadline());
        let id = overrides.id.or_else(|| self.simulated.as_ref().map(|simulated| simulated.next_id()));
        let started = self.engine.start(StartRequest { id, spec, key, due, deadline }).await?;
        if let Some(simulated) = &self.simulated {
            simulated.has_started(started.execution);
        }
        Ok(started)
    }

    /// What is started when nothing calls it.
    pub(super) async fn root_spec(
        &self,
        function: Name,
        args: Payload,
        key_answer: Option<&str>,
        overrides: &Overrides,
    ) -> Result<TaskSpec, Trouble> {
        let options = self.options(&function).await;
        let memo = options.memo(&function, &args, key_answer);
        let memo = memo.map_err(|error| Trouble { kind: "value", words: error.to_string() })?;
        let mut spec = options.task(function, args, None);
        spec.options.memo = memo.map(Box::new);
        overrides.apply(&mut spec);
        Ok(spec)
    }

    /// Has an execution started again and again.
    pub(super) async fn schedule(
        self: Arc<Self>,
        request: u64,
        asked: schedules::Asked,
        function: Name,
        args: Payload,
        key_answer: Option<String>,
        overrides: Overrides,
    ) {
        let set = self.set_schedule(asked, function, args, key_answer, &overrides).await;
        self.answer(request, set);
    }

    /// Waits for the end of an execution. A result that is known here comes as it is; else the answer is JSON.
    pub(super) async fn wait(self: Arc<Self>, request: u64, id: String, timeout: Option<Duration>) {
        let answer = match id.parse() {
            Ok(id) => match self.ended(id, timeout).await {
                Ok(Ended::Completed(result)) => Ok(Answer::Completed(result)),
                Ok(Ended::Seen(view)) => match view.result {
                    Some(result) => Ok(Answer::Completed(result)),
                    None => serde_json::to_vec(&json!({"state": view.state.as_str(), "failure": view.failure}))
                        .map(Answer::Json)
                        .map_err(Into::into),
                },
                Err(trouble) => Err(trouble),
            },
            Err(_) => Err(no_id(&id)),
        };
        self.answer(request, answer);
    }

    async fn ended(&self, id: ExecutionId, timeout: Option<Duration>) -> Result<Ended, Trouble> {
        match &self.simulated {
            Some(simulated) => simulated.wait(id, timeout).await,
            None => Ok(self.engine.wait_for_result_at(self.pace, id, timeout).await?),
        }
    }

    pub(super) async fn signal(self: Arc<Self>, request: u64, id: String, name: Name, payload: Payload) {
        let answer = match id.parse() {
            Ok(id) => self.engine.signal(id, name, payload).await.map_err(Into::into),
            Err(_) => Err(no_id(&id)),
        };
        self.answer(request, answer.map(|()| Answer::Json(b"null".to_vec())));
    }

    /// A request of which both sides are JSON: what the records know, or one of the few beside them.
    pub(super) async fn ask(self: Arc<Self>, request: u64, name: String, asked: Vec<u8>) {
        let answer = match name.as_str() {
            "clear_cache" => self.clear_cache(&asked).await,
            "replay" => self.replay(&asked).await,
            "advance" | "settle" | "crash" | "clock" | "leave" => self.of_a_test(&name, &asked).await,
            "schedules" | "schedule" | "pause_schedule" | "resume_schedule" | "delete_schedule" | "run_schedule" => {
                self.of_schedules(&name, &asked).await
            }
            _ => self.records.carry_out(&name, &asked).await,
        };
        self.answer(request, answer.map(Answer::Json));
    }

    /// What only a test's world can do.
    async fn of_a_test(&self, name: &str, asked: &[u8]) -> Result<Vec<u8>, Trouble> {
        let Some(simulated) = &self.simulated else {
            return Err(Trouble { kind: "value", words: "the time of this database cannot be skipped".into() });
        };
        Ok(serde_json::to_vec(&simulated.carry_out(name, asked).await?)?)
    }

    async fn clear_cache(&self, asked: &[u8]) -> Result<Vec<u8>, Trouble> {
        let key: Option<MemoKey> = serde_json::from_slice(asked)?;
        Ok(serde_json::to_vec(&self.engine.clear_cache(key).await?)?)
    }

    /// Replays a dead letter; the id of the new run.
    async fn replay(&self, asked: &[u8]) -> Result<Vec<u8>, Trouble> {
        #[derive(Deserialize)]
        struct Replay {
            task: TaskId,
            queue: Option<Name>,
            reset: bool,
        }
        let Replay { task, queue, reset } = serde_json::from_slice(asked)?;
        let run = self.engine.replay_letter(task, reset, queue).await?;
        Ok(serde_json::to_vec(&run.to_string())?)
    }

    /// Starts a worker under the request's number.
    pub(super) async fn start_worker(self: Arc<Self>, request: u64, options: WorkerOptions) {
        let host = Arc::new(BridgeHost(Arc::clone(&self)));
        if let Some(simulated) = &self.simulated {
            let started = simulated.start_worker(request, options.config(), host).await;
            return self.answer(request, started.map(|session| Answer::Json(json!(session).to_string().into_bytes())));
        }
        let started = self.engine.start_worker(options.config(), host).await;
        let answer = started.map(|worker| {
            let session = worker.session().to_string();
            self.workers.lock().unwrap_or_else(PoisonError::into_inner).insert(request, worker);
            Answer::Json(json!(session).to_string().into_bytes())
        });
        self.answer(request, answer.map_err(Into::into));
    }

    /// Ends a worker in order.
    pub(super) async fn stop_worker(self: Arc<Self>, request: u64, worker: u64) {
        if let Some(simulated) = &self.simulated {
            // Its time stands still: there is no grace to be given.
            simulated.stop_worker(worker).await;
        }
        let running = self.workers.lock().unwrap_or_else(PoisonError::into_inner).remove(&worker);
        if let Some(running) = running {
            running.shutdown().await;
        }
        self.answer(request, Ok(Answer::Json(b"null".to_vec())));
    }

    /// Ends a worker abruptly, as a crash would.
    pub(super) fn drop_worker(&self, worker: u64) {
        let worker = self.workers.lock().unwrap_or_else(PoisonError::into_inner).remove(&worker);
        drop(worker);
    }
}

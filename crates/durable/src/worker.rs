//! A worker's options and its handle. Running tasks is the engine's business; a worker runs whatever its client has
//! registered.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stent_core::Name;
use stent_core::limits::CLAIM_TASKS;
use stent_engine::WorkerConfig;

use crate::client::Durable;
use crate::error::DurableError;
use crate::function::WorkersRuntime;
use crate::options::{span, tag_names};
use crate::registry::ClientHost;

/// How a worker works.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// # let client = durable::Durable::builder().database_url("sqlite::memory:").build().await?;
/// use std::time::Duration;
/// use durable::WorkerOptions;
///
/// let options = WorkerOptions {
///     concurrency: 20,
///     queues: Some(vec!["emails".into(), "reports".into()]),
///     drain_grace: Duration::from_secs(60),
///     ..WorkerOptions::default()
/// };
/// let worker = client.try_start_worker(options).await?;
/// worker.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerOptions {
    /// What people know it as: a label that identifies nothing. By default host name and process id.
    pub worker_id: Option<String>,
    /// How many tasks run code at the same time; waiting ones do not count. Default 100.
    pub concurrency: usize,
    /// How long an attempt may go without a sign of life (a call on its context) while it runs, for tasks without a
    /// timeout of their own. By default any time: a worker that lives keeps its tasks.
    pub claim_timeout: Option<Duration>,
    /// How many tasks it takes at once, from 1 to 1,000. Default 100.
    pub batch_size: u32,
    /// How often it looks for work by itself, should no notification come through. Default 1 s.
    pub poll_interval: Duration,
    /// Which queues it serves; by default the client's.
    pub queues: Option<Vec<String>>,
    /// It serves every queue, those that come into being later too, instead of `queues`. Default false.
    pub all_queues: bool,
    /// Only tasks that share one of these tags, and untagged ones; by default all.
    pub tags: Option<Vec<String>>,
    /// How long a shutdown lets running code go on. Default 30 s.
    pub drain_grace: Duration,
    /// How often it deletes what is past its retention, in small steps beside its work. Default 1 h.
    pub cleanup_interval: Duration,
    /// How long executions are kept after their end, and dead letters after they were put away. An execution stays as
    /// long as one of its dead letters does. `None`: for ever. Default 7 days.
    pub retention_period: Option<Duration>,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        let engine = WorkerConfig::default();
        Self {
            worker_id: None,
            concurrency: engine.concurrency,
            claim_timeout: engine.claim_timeout,
            batch_size: engine.batch,
            poll_interval: engine.poll_interval,
            queues: None,
            all_queues: false,
            tags: None,
            drain_grace: engine.drain_grace,
            cleanup_interval: engine.cleanup_interval,
            retention_period: engine.retention_period,
        }
    }
}

impl WorkerOptions {
    fn config(&self, client: &Durable) -> Result<WorkerConfig, DurableError> {
        if self.concurrency == 0 {
            return Err(DurableError::option(
                "concurrency",
                "is 0, and must be at least 1: a worker without slots runs nothing",
            ));
        }
        if !(1..=CLAIM_TASKS).contains(&self.batch_size) {
            return Err(DurableError::option(
                "batch_size",
                format!("is {}, and must be from 1 to {CLAIM_TASKS}", self.batch_size),
            ));
        }
        if self.poll_interval.is_zero() {
            return Err(DurableError::option("poll_interval", "is 0, and must be longer than nothing"));
        }
        if self.cleanup_interval.is_zero() {
            return Err(DurableError::option("cleanup_interval", "is 0, and must be longer than nothing"));
        }
        let config = WorkerConfig {
            worker_id: self.worker_id.clone().unwrap_or_else(|| format!("pid {}", std::process::id())),
            concurrency: self.concurrency,
            batch: self.batch_size,
            poll_interval: span("poll_interval", self.poll_interval)?,
            queues: self.queues_of(client)?,
            tags: self.tags.as_deref().map(tag_names).transpose()?,
            claim_timeout: self.claim_timeout.map(|timeout| span("claim_timeout", timeout)).transpose()?,
            drain_grace: span("drain_grace", self.drain_grace)?,
            cleanup_interval: span("cleanup_interval", self.cleanup_interval)?,
            retention_period: self.retention_period.map(|kept| span("retention_period", kept)).transpose()?,
            ..WorkerConfig::default()
        };
        Ok(client.time().map_or_else(|| config.clone(), |time| time.worker_config(config.clone())))
    }

    /// None: every queue.
    fn queues_of(&self, client: &Durable) -> Result<Option<Vec<Name>>, DurableError> {
        match &self.queues {
            Some(_) if self.all_queues => {
                Err(DurableError::option("all_queues", "is set beside `queues`: leave one of them out"))
            }
            Some(queues) if queues.is_empty() => {
                Err(DurableError::option("queues", "names none: a worker without queues runs nothing"))
            }
            Some(queues) => {
                let named: Result<_, _> = queues.iter().map(|queue| Name::new("queue", queue)).collect();
                Ok(Some(named?))
            }
            None if self.all_queues => Ok(None),
            None => Ok(Some(vec![client.defaults().queue.clone()])),
        }
    }
}

/// A running worker. Keep it for as long as it is to run, and end it with [`shutdown`](Self::shutdown); dropped, it
/// ends abruptly, as in a crash, and others take its tasks over.
///
/// ```no_run
/// # async fn until_told(client: durable::Durable) -> std::io::Result<()> {
/// use durable::WorkerOptions;
///
/// let worker = client.start_worker(WorkerOptions::default()).await;
/// tokio::signal::ctrl_c().await?;
/// worker.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropped, a worker ends as in a crash: keep it and shut it down"]
pub struct Worker {
    /// None when it could not start: the client's next call says why.
    running: Option<stent_engine::Worker>,
    client: Durable,
    _runtime: WorkersRuntime,
}

impl Worker {
    /// Ends in order: nothing new begins, waiting tasks are put aside, running code gets the grace to finish; what is
    /// left then is given back for others to go on with, with no attempt charged.
    pub async fn shutdown(mut self) {
        let Some(running) = self.running.take() else { return };
        match self.client.time() {
            // In a test time passes only while somebody waits for it.
            Some(time) => drop(time.wait(running.shutdown(), None).await),
            None => running.shutdown().await,
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.running.as_ref().map(stent_engine::Worker::session);
        f.debug_struct("Worker").field("session", &session).finish_non_exhaustive()
    }
}

impl Durable {
    /// Starts a worker that runs the tasks registered here, now or later. One that cannot start is logged and fails
    /// the client's next call that can fail; [`try_start_worker`](Self::try_start_worker) tells at once.
    pub async fn start_worker(&self, options: WorkerOptions) -> Worker {
        match self.try_start_worker(options).await {
            Ok(worker) => worker,
            Err(error) => {
                self.defer(error);
                Worker { running: None, client: self.clone(), _runtime: WorkersRuntime::none() }
            }
        }
    }

    /// A worker for every queue.
    pub(crate) async fn start_worker_of_test(&self) -> Worker {
        let started = async {
            let options = WorkerOptions { all_queues: true, ..WorkerOptions::default() };
            self.run_worker(options.config(self)?).await
        };
        match started.await {
            Ok(worker) => worker,
            Err(error) => {
                self.defer(error);
                Worker { running: None, client: self.clone(), _runtime: WorkersRuntime::none() }
            }
        }
    }

    /// Starts a worker that runs the tasks registered here, now or later.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, Worker, WorkerOptions};
    /// async fn small_worker(client: &Durable) -> Result<Worker, DurableError> {
    ///     client.try_start_worker(WorkerOptions { concurrency: 2, ..WorkerOptions::default() }).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::Option`] and [`DurableError::Name`] for options that break a rule; the store's failure.
    pub async fn try_start_worker(&self, options: WorkerOptions) -> Result<Worker, DurableError> {
        self.run_worker(options.config(self)?).await
    }

    async fn run_worker(&self, config: WorkerConfig) -> Result<Worker, DurableError> {
        let host = Arc::new(ClientHost(self.clone()));
        let running = self.engine()?.start_worker(config, host).await?;
        Ok(Worker { running: Some(running), client: self.clone(), _runtime: WorkersRuntime::enter() })
    }
}

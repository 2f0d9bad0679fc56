//! Starts each scenario by its name, gives it from outside what it waits for, awaits its end and reads its story. The
//! same for both faces: it does not know who runs the code.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use durable::{Durable, RetryStrategy, SpawnOptions, TaskId};
use serde_json::json;
use stent_core::store::Store;
use stent_core::{ExecutionId, TaskRef};
use stent_postgres::PostgresStore;
use stent_sqlite::SqliteStore;

use crate::scenarios::NAMES;
use crate::story::{Story, read};

/// How long one scenario may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How often a history is looked at in which something must come.
const GLANCE: Duration = Duration::from_millis(5);

pub struct Driver {
    client: Durable,
    store: Arc<dyn Store>,
}

impl Driver {
    pub fn new(client: Durable, url: &str) -> anyhow::Result<Self> {
        let store: Arc<dyn Store> = match url.strip_prefix("sqlite://") {
            Some(file) => Arc::new(SqliteStore::open(Path::new(file), stent_sqlite::Options::default())?),
            None => Arc::new(PostgresStore::from_url(url, stent_postgres::Options::default())?),
        };
        Ok(Self { client, store })
    }

    pub async fn run_all(&self) -> anyhow::Result<Vec<Story>> {
        let mut stories = Vec::new();
        for name in NAMES {
            stories.push(self.run(name).await.with_context(|| (*name).to_owned())?);
        }
        Ok(stories)
    }

    async fn run(&self, name: &str) -> anyhow::Result<Story> {
        let options = SpawnOptions {
            max_attempts: Some(2),
            retry_strategy: Some(RetryStrategy::Fixed { delay: Duration::from_millis(1) }),
            ..SpawnOptions::default()
        };
        let started = self.client.spawn_by_name("scenario", json!([name]), options).await?;
        self.steer(name, started.task_id).await?;
        self.client.wait_for(started.task_id, Some(LIMIT)).await?;
        read(&*self.store, ExecutionId::from_uuid(started.task_id.uuid())).await
    }

    /// What comes from outside.
    async fn steer(&self, name: &str, task: TaskId) -> anyhow::Result<()> {
        match name {
            "signal" => self.client.signal(task, "go", &1).await?,
            "two signals of one name" => {
                self.client.signal(task, "go", &1).await?;
                self.client.signal(task, "go", &2).await?;
            }
            "signal after a race it lost" => {
                self.has_recorded(task, 1).await?;
                self.client.signal(task, "go", &1).await?;
            }
            "event" => self.client.emit_event("news", &json!({"n": 1}), None).await?,
            "cancellation" => {
                self.has_recorded(task, 1).await?;
                self.client.cancel_task(task).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns once a root has so many records.
    async fn has_recorded(&self, task: TaskId, records: usize) -> anyhow::Result<()> {
        let since = Instant::now();
        let task = TaskRef { execution: ExecutionId::from_uuid(task.uuid()), task };
        while self.store.history(task, 0).await?.records.len() < records {
            ensure!(since.elapsed() < LIMIT, "its records do not come");
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }
}

/// A worker process in Python.
pub struct PythonWorker(Child);

impl PythonWorker {
    /// Starts it, and returns when it serves.
    pub fn start(interpreter: &Path, url: &str) -> anyhow::Result<Self> {
        let process = Command::new(interpreter)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/scenarios.py"))
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", interpreter.display()))?;
        let mut worker = Self(process);
        let mut line = String::new();
        if let Some(output) = worker.0.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        ensure!(line == "up\n", "the worker in Python does not serve");
        Ok(worker)
    }

    /// Has it end in good order.
    pub fn dismiss(mut self) -> anyhow::Result<()> {
        drop(self.0.stdin.take());
        let status = self.0.wait()?;
        ensure!(status.success(), "the worker in Python ended badly: {status}");
        Ok(())
    }
}

impl Drop for PythonWorker {
    fn drop(&mut self) {
        // A failure means that it has ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

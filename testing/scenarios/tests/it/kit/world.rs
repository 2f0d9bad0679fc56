//! One database, and processes that open it: each engine has a store handle of its own, so that nothing but the store
//! connects two of them. Dropping a worker is a crash: nothing of it is written any more, others take its tasks over.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stent_core::command::Deadline;
use stent_core::view::{ExecutionView, TaskView};
use stent_core::{
    ExecutionId, ExecutionState, History, Name, Payload, RetryPolicy, Store, TaskOptions, TaskRef, TaskSpec,
};
use stent_engine::{Engine, StartRequest, TokioRuntime, Worker, WorkerConfig};
use stent_sqlite::{Clock, Options, SqliteStore};
use stent_storetest::model::ModelStore;

use super::Functions;

enum Place {
    Model(ModelStore),
    Sqlite(PathBuf),
}

/// A database and its clock.
pub(crate) struct World {
    place: Place,
    pub(crate) clock: Clock,
    _directory: Option<tempfile::TempDir>,
}

impl World {
    pub(crate) fn model() -> Self {
        let clock = Clock::new();
        let shown = clock.clone();
        let boot = std::time::Instant::now();
        let model = ModelStore::with_uptime(Arc::new(move || shown.now()), Arc::new(move || boot.elapsed()));
        Self { place: Place::Model(model), clock, _directory: None }
    }

    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stent.db");
        Self { place: Place::Sqlite(path), clock: Clock::new(), _directory: Some(directory) }
    }

    /// A SQLite file that several real processes open. The model lives inside one, so it has no such scenarios.
    pub(crate) fn sqlite_processes() -> Self {
        let world = Self::sqlite();
        drop(world.store());
        world
    }

    /// The world of another process.
    pub(crate) fn at(file: &std::path::Path) -> Self {
        Self { place: Place::Sqlite(file.to_owned()), clock: Clock::new(), _directory: None }
    }

    /// The database's file.
    pub(crate) fn path(&self) -> &PathBuf {
        match &self.place {
            Place::Sqlite(path) => path,
            Place::Model(_) => panic!("the model has no file"),
        }
    }

    /// A handle of its own, as another process has one.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match &self.place {
            Place::Model(model) => Arc::new(model.handle()),
            Place::Sqlite(path) => {
                let options = Options { clock: Some(self.clock.clone()), ..Options::default() };
                Arc::new(SqliteStore::open(path, options).unwrap())
            }
        }
    }

    /// A process without a worker.
    pub(crate) fn engine(&self) -> Engine {
        Self::engine_over(self.store())
    }

    pub(crate) fn engine_over(store: Arc<dyn Store>) -> Engine {
        Engine::new(store, Arc::new(TokioRuntime::current().unwrap()))
    }

    /// A process with a worker.
    pub(crate) async fn worker(&self, functions: Functions) -> Worker {
        self.worker_with(functions, config()).await
    }

    pub(crate) async fn worker_with(&self, functions: Functions, config: WorkerConfig) -> Worker {
        self.engine().start_worker(config, Arc::new(functions)).await.unwrap()
    }
}

/// A worker that notices soon what goes on.
pub(crate) fn config() -> WorkerConfig {
    WorkerConfig {
        poll_interval: Duration::from_millis(100),
        mismatch_delay: Duration::from_millis(50),
        worker_timeout: Duration::from_secs(4),
        drain_grace: Duration::from_secs(5),
        ..WorkerConfig::default()
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new("test", text).unwrap()
}

pub(crate) fn payload(text: &str) -> Payload {
    Payload::json(text).unwrap()
}

pub(crate) fn text(payload: &Payload) -> String {
    payload.read().unwrap()
}

/// One attempt at a function.
pub(crate) fn spec(function: &str, args: &str) -> TaskSpec {
    TaskSpec {
        function: name(function),
        args: payload(args),
        queue: name("default"),
        priority: 0,
        tags: Vec::new(),
        headers: None,
        options: TaskOptions { retry: RetryPolicy::none(), timeout_ms: None },
    }
}

pub(crate) fn request(spec: TaskSpec) -> StartRequest {
    StartRequest { id: None, spec, key: None, due: None, deadline: Deadline::default() }
}

/// What a client asks of a scenario's executions.
pub(crate) trait Client {
    async fn begin(&self, function: &str, args: &str) -> ExecutionId;
    async fn ended(&self, id: ExecutionId) -> ExecutionView;
    /// The result of an execution that completes.
    async fn result(&self, id: ExecutionId) -> String;
    async fn root(&self, id: ExecutionId) -> TaskView;
    async fn tasks(&self, id: ExecutionId) -> Vec<TaskView>;
    async fn past(&self, task: TaskRef) -> History;
    async fn children_ended(&self, id: ExecutionId) -> bool;
}

impl Client for Engine {
    async fn begin(&self, function: &str, args: &str) -> ExecutionId {
        self.start(request(spec(function, args))).await.unwrap().execution
    }

    async fn ended(&self, id: ExecutionId) -> ExecutionView {
        match self.wait(id, Some(Duration::from_secs(40))).await {
            Ok(view) => view,
            Err(error) => panic!("{id}: {error}; its tasks: {:#?}", self.tasks(id).await),
        }
    }

    async fn result(&self, id: ExecutionId) -> String {
        let view = self.ended(id).await;
        assert_eq!(view.state, ExecutionState::Completed, "{:?}", view.failure);
        text(&view.result.unwrap())
    }

    async fn root(&self, id: ExecutionId) -> TaskView {
        self.store().task(TaskRef::root(id)).await.unwrap().unwrap()
    }

    async fn tasks(&self, id: ExecutionId) -> Vec<TaskView> {
        self.store().tasks(id).await.unwrap()
    }

    async fn past(&self, task: TaskRef) -> History {
        self.store().history(task, 0).await.unwrap()
    }

    async fn children_ended(&self, id: ExecutionId) -> bool {
        self.tasks(id).await.iter().all(|task| task.task.is_root() || task.state.is_terminal())
    }
}

/// Looks until it holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(40), looking).await.is_ok(), "it never came about: {what}");
}

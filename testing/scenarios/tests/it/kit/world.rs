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
use stent_postgres::PostgresStore;
use stent_servers::{Database, Server};
use stent_sqlite::SqliteStore;
use stent_storetest::model::ModelStore;

use super::Functions;
use super::process::Role;

enum Place {
    Model(ModelStore),
    Sqlite,
    /// Its address.
    Postgres(String),
}

/// The clocks of all kinds of stores, moved together.
#[derive(Clone, Default)]
pub(crate) struct Clock {
    sqlite: stent_sqlite::Clock,
    postgres: stent_postgres::Clock,
}

impl Clock {
    pub(crate) fn set_offset_ms(&self, ms: i64) {
        self.sqlite.set_offset_ms(ms);
        self.postgres.set_offset_ms(ms);
    }
}

/// A database and its clock.
pub(crate) struct World {
    place: Place,
    pub(crate) clock: Clock,
    /// SQLite's file; where it would be on a server, which has none.
    path: PathBuf,
    _directory: Option<tempfile::TempDir>,
    _database: Option<Database>,
    /// The server, where it is this world's own.
    server: Option<Server>,
}

impl World {
    fn new(place: Place, clock: Clock) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stent.db");
        Self { place, clock, path, _directory: Some(directory), _database: None, server: None }
    }

    pub(crate) fn model() -> Self {
        let clock = Clock::default();
        let shown = clock.sqlite.clone();
        let boot = std::time::Instant::now();
        let model = ModelStore::with_uptime(Arc::new(move || shown.now()), Arc::new(move || boot.elapsed()));
        Self::new(Place::Model(model), clock)
    }

    pub(crate) fn sqlite() -> Self {
        Self::new(Place::Sqlite, Clock::default())
    }

    /// A new database on the server of all tests.
    pub(crate) fn postgres() -> Self {
        Self::in_database(Server::shared().database().unwrap())
    }

    /// A new database on a server of its own, which may be hurt.
    pub(crate) fn postgres_server() -> Self {
        let server = Server::start().unwrap();
        let world = Self::in_database(server.database().unwrap());
        Self { server: Some(server), ..world }
    }

    fn in_database(database: Database) -> Self {
        let world = Self::new(Place::Postgres(database.url()), Clock::default());
        // Made before several open it at once: that they may is another test's matter.
        drop(world.store());
        Self { _database: Some(database), ..world }
    }

    /// A new, empty one of the same kind.
    pub(crate) fn another(&self) -> Self {
        match &self.place {
            Place::Model(_) => Self::model(),
            Place::Sqlite => Self::sqlite(),
            Place::Postgres(_) => Self::postgres(),
        }
    }

    /// A SQLite file that several real processes open.
    pub(crate) fn sqlite_processes() -> Self {
        let world = Self::sqlite();
        drop(world.store());
        world
    }

    /// The world of a process that plays a role in another's.
    pub(crate) fn of(role: &Role) -> Self {
        let place = role.url.clone().map_or(Place::Sqlite, Place::Postgres);
        Self {
            place,
            clock: Clock::default(),
            path: role.file.clone(),
            _directory: None,
            _database: None,
            server: None,
        }
    }

    /// The database's file, if it is one. Processes speak through files beside it.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The address of a database on a server.
    pub(crate) fn url(&self) -> Option<&str> {
        match &self.place {
            Place::Postgres(url) => Some(url),
            Place::Model(_) | Place::Sqlite => None,
        }
    }

    /// The server that is this world's own.
    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("a world with a server of its own")
    }

    /// A connection of a user's own to a database on a server.
    pub(crate) async fn users_connection(&self) -> tokio_postgres::Client {
        let url = self.url().expect("a database on a server");
        let (connection, driver) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(driver);
        connection
    }

    /// A handle of its own, as another process has one.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match &self.place {
            Place::Model(model) => Arc::new(model.handle()),
            Place::Sqlite => {
                let clock = Some(self.clock.sqlite.clone());
                Arc::new(SqliteStore::open(&self.path, stent_sqlite::Options { clock, ..Default::default() }).unwrap())
            }
            Place::Postgres(url) => {
                let options =
                    stent_postgres::Options { clock: Some(self.clock.postgres.clone()), ..Default::default() };
                Arc::new(PostgresStore::from_url(url, options).unwrap())
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
        options: TaskOptions { retry: RetryPolicy::none(), timeout_ms: None, memo: None },
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

/// How late this machine is by itself just now, in microseconds: the median time from when a sleep was to end to the
/// answer of a commit behind it. What is held to a time on an idle machine is held to that much more on this one.
pub(crate) async fn own_lateness_us(client: &Engine) -> i64 {
    let mut late = Vec::new();
    for _ in 0..15 {
        let due = tokio::time::Instant::now() + Duration::from_millis(30);
        tokio::time::sleep_until(due).await;
        client.emit(name("default"), name("own lateness"), payload("")).await.unwrap();
        late.push(due.elapsed().as_micros());
    }
    late.sort_unstable();
    i64::try_from(late[late.len() / 2]).unwrap()
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

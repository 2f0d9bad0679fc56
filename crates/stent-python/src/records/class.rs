//! The class `stent._native.Records`: opens a store and hands requests on. It calls back once for each request, from a
//! thread of the runtime, into the package's own code, which passes the answer on to the asker's event loop.

use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use stent_core::Store;
use stent_engine::{Engine, TokioRuntime};
use stent_postgres::PostgresStore;
use stent_redis::Line;
use stent_sqlite::SqliteStore;
use tokio::runtime::Handle;

use super::{Records, Trouble};
use crate::runtime::{runtime, within};
use crate::simulated::Simulated;

/// The records of one database.
#[pyclass(frozen, name = "Records", module = "stent._native")]
pub struct PyRecords {
    records: Records,
    engine: Engine,
    /// Where a bus may be attached; a test's database has no use for one.
    line: Option<Line>,
    simulated: Option<Arc<Simulated>>,
}

impl PyRecords {
    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) const fn records(&self) -> &Records {
        &self.records
    }

    /// The world behind the records, if they are a test's.
    pub(crate) const fn simulated(&self) -> Option<&Arc<Simulated>> {
        self.simulated.as_ref()
    }

    /// The records of a test's world.
    pub(crate) fn of(simulated: Arc<Simulated>) -> Self {
        let engine = simulated.engine().clone();
        let _inside = simulated.handle().enter();
        Self { records: Records::new(engine.clone()), engine, line: None, simulated: Some(simulated) }
    }

    fn handle(&self) -> PyResult<Handle> {
        match &self.simulated {
            Some(simulated) => Ok(simulated.handle().clone()),
            None => Ok(runtime()?.handle().clone()),
        }
    }
}

#[pymethods]
impl PyRecords {
    /// Opens the database at a URL and makes its tables where they are missing. Blocks, without the interpreter's lock.
    #[staticmethod]
    fn open(py: Python<'_>, url: &str) -> PyResult<Self> {
        let runtime = runtime()?;
        let store = py.detach(|| open(url)).map_err(|trouble| PyValueError::new_err((trouble.kind, trouble.words)))?;
        let _inside = runtime.enter();
        let pace = TokioRuntime::current().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        let (store, line) = stent_redis::accompany_later(store);
        let engine = Engine::new(store, Arc::new(pace));
        Ok(Self { records: Records::new(engine.clone()), engine, line: Some(line), simulated: None })
    }

    /// A database in memory whose time is skipped.
    #[staticmethod]
    fn simulated_time() -> PyResult<Self> {
        let simulated = Simulated::begin(None).map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(Self::of(simulated))
    }

    /// Tells other processes of commits over the Redis at an address, and hears of theirs. Raises `ValueError` for what
    /// is no address, and for another one than before.
    fn accompany(&self, address: &str) -> PyResult<()> {
        let Some(line) = &self.line else { return Ok(()) };
        let _inside = runtime()?.enter();
        line.connect(address).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Somebody has heard that something changed: whoever waits looks at once.
    fn look(&self) {
        self.engine.look();
    }

    /// Carries a request out and calls `done(kind, answer)` with it: `kind` is None and `answer` the JSON of the answer,
    /// or `kind` says what went wrong and `answer` why.
    fn call(&self, name: String, request: Vec<u8>, done: Py<PyAny>) -> PyResult<()> {
        let (records, engine) = (self.records.clone(), self.engine.clone());
        let simulated = self.simulated.clone();
        self.handle()?.spawn(async move {
            let mut answer = records.carry_out(&name, &request).await;
            if name == "close"
                && let Err(error) = engine.close().await
            {
                answer = Err(error.into());
            }
            tell(&done, answer);
            if name == "close"
                && let Some(simulated) = simulated
            {
                simulated.end().await;
            }
        });
        Ok(())
    }
}

fn tell(done: &Py<PyAny>, answer: Result<Vec<u8>, Trouble>) {
    let told = within(|py| {
        let told = match answer {
            Ok(answer) => done.call1(py, (py.None(), PyBytes::new(py, &answer))),
            Err(trouble) => done.call1(py, (trouble.kind, trouble.words)),
        };
        if let Err(error) = told {
            // Its event loop has ended, and nobody waits any more.
            tracing::debug!(%error, "an answer was not taken");
        }
    });
    if !told {
        tracing::debug!("an answer came when the interpreter had ended");
    }
}

fn open(url: &str) -> Result<Arc<dyn Store>, Trouble> {
    Ok(match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => Arc::new(SqliteStore::from_url(url, stent_sqlite::Options::default())?),
        Some("postgres" | "postgresql") => Arc::new(PostgresStore::from_url(url, stent_postgres::Options::default())?),
        _ => return Err(Trouble { kind: "value", words: "a database is sqlite:// or postgresql://".to_owned() }),
    })
}

//! The threads on which the engine lives, shared by all that this process opens. They never run the user's code and
//! hold the interpreter's lock only to hand an answer over.
//!
//! Invariant: a forked child has none of its parent's threads; it gets a runtime of its own, and the parent's is left
//! alone for ever.

use std::sync::{Mutex, PoisonError};

use pyo3::PyResult;
use pyo3::exceptions::PyRuntimeError;
use tokio::runtime::Runtime;

/// How many: they wait for the database most of the time, and commits have threads of their own.
const THREADS: usize = 2;

/// The runtime of this process, made when it is first asked for.
pub(crate) fn runtime() -> PyResult<&'static Runtime> {
    static RUNTIME: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);
    let mut made = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((process, runtime)) = *made
        && process == std::process::id()
    {
        return Ok(runtime);
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let built = builder.worker_threads(THREADS).thread_name("stent").enable_all().build();
    let runtime = built.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    let runtime: &'static Runtime = Box::leak(Box::new(runtime));
    *made = Some((std::process::id(), runtime));
    Ok(runtime)
}

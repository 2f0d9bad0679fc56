//! The threads on which the engine lives, shared by all that this process opens. They never run the user's code and
//! hold the interpreter's lock only to hand an answer over.
//!
//! Invariants: a forked child has none of its parent's threads; it gets a runtime of its own, and the parent's is left
//! alone for ever. Once the interpreter ends no thread of ours asks for its lock: that would end the process badly.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::Runtime;

/// How many: they wait for the database most of the time, and commits have threads of their own.
const THREADS: usize = 2;

/// How long the end of the interpreter waits for answers that are being handed over: they are short.
const END_LIMIT: Duration = Duration::from_secs(5);

/// How often it looks meanwhile.
const GLANCE: Duration = Duration::from_millis(1);

/// Which process the threads are of.
static OWNER: AtomicU32 = AtomicU32::new(0);
/// How many threads of the runtime are in the interpreter, or about to enter it.
static WITHIN: AtomicUsize = AtomicUsize::new(0);
static ENDED: AtomicBool = AtomicBool::new(false);

/// Does something with the interpreter's lock from a thread of the runtime; nothing if the interpreter ends.
pub(crate) fn within(work: impl FnOnce(Python<'_>)) -> bool {
    WITHIN.fetch_add(1, Ordering::SeqCst);
    let done = !ENDED.load(Ordering::SeqCst) && Python::try_attach(work).is_some();
    WITHIN.fetch_sub(1, Ordering::SeqCst);
    done
}

/// The interpreter is about to end: lets those out that are in, and nobody in again.
#[pyfunction]
pub(crate) fn end(py: Python<'_>) {
    py.detach(|| {
        ENDED.store(true, Ordering::SeqCst);
        let since = Instant::now();
        let is_ours = OWNER.load(Ordering::SeqCst) == std::process::id();
        while is_ours && WITHIN.load(Ordering::SeqCst) > 0 && since.elapsed() < END_LIMIT {
            std::thread::sleep(GLANCE);
        }
    });
}

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
    has_threads();
    Ok(runtime)
}

/// This process has threads from now on that may enter the interpreter.
pub(crate) fn has_threads() {
    // Of a parent's threads, one may have been in the interpreter when this process was forked.
    if OWNER.swap(std::process::id(), Ordering::SeqCst) != std::process::id() {
        WITHIN.store(0, Ordering::SeqCst);
    }
}

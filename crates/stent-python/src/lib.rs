//! The native module of the Python package `stent`.

pub mod bridge;
pub mod records;
mod runtime;
mod simulated;
pub mod trial;

use std::ffi::OsString;

use pyo3::prelude::*;

/// What the package calls.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let end = wrap_pyfunction!(runtime::end, module)?;
    module.py().import("atexit")?.call_method1("register", (end,))?;
    module.add_class::<bridge::class::PyBridge>()?;
    module.add_class::<records::class::PyRecords>()?;
    module.add_class::<trial::PyTrial>()?;
    module.add_function(wrap_pyfunction!(run_command, module)?)?;
    module.add_function(wrap_pyfunction!(parse_duration, module)?)?;
    module.add_function(wrap_pyfunction!(check_name, module)?)?;
    module.add("MAX_CONCURRENT", stent_core::limits::MAX_CONCURRENT)
}

/// Raises `ValueError` for a text that cannot be the name of such a thing.
#[pyfunction]
fn check_name(what: &str, text: &str) -> PyResult<()> {
    let name = stent_core::Name::new("", text);
    name.map(drop).map_err(|error| pyo3::exceptions::PyValueError::new_err(error.of(what)))
}

/// Runs a command of `stent` and returns its exit code. `host` holds the words that start the command line again.
#[pyfunction]
fn run_command(py: Python<'_>, host: Vec<OsString>, argv: Vec<OsString>) -> u8 {
    py.detach(|| stent_cli::run_hosted(host, argv))
}

/// The microseconds of a duration as people write it. Raises `ValueError`, which says where it stops being one.
#[pyfunction]
fn parse_duration(text: &str) -> PyResult<u64> {
    let read = stent_core::duration::parse_duration(text);
    let read = read.map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))?;
    Ok(u64::try_from(read.as_micros()).unwrap_or(u64::MAX))
}

//! The native module of the Python package `stent`.

pub mod records;

use pyo3::prelude::*;

/// What the package calls.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<records::class::PyRecords>()?;
    module.add_function(wrap_pyfunction!(parse_duration, module)?)
}

/// The microseconds of a duration as people write it. Raises `ValueError`, which says where it stops being one.
#[pyfunction]
fn parse_duration(text: &str) -> PyResult<u64> {
    let read = stent_core::duration::parse_duration(text);
    let read = read.map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))?;
    Ok(u64::try_from(read.as_micros()).unwrap_or(u64::MAX))
}

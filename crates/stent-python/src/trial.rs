//! The class `stent._native.Trial`: a check of replays in progress, for `stent.testing`. What is run next and what differs
//! is decided in `stent-testing`.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyAssertionError, PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use stent_testing::trial::{KillPoint, Trial};

use crate::records::class::PyRecords;
use crate::simulated::Simulated;

/// One undisturbed run, then one for each write and moment at which a worker's process is killed.
#[pyclass(frozen, name = "Trial", module = "stent._native")]
pub struct PyTrial(Mutex<Trial>);

#[pymethods]
impl PyTrial {
    #[new]
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// The database of the next run, or None when every write has been tried.
    fn next_run(&self) -> PyResult<Option<PyRecords>> {
        let trial = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if trial.is_over() {
            return Ok(None);
        }
        let begun = Simulated::begin(trial.kill()).map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(Some(PyRecords::of(begun)))
    }

    /// Judges what a run has left behind. Raises `AssertionError` with where it was killed and what differs.
    fn judge(&self, run: &PyRecords) -> PyResult<()> {
        let found = run.simulated().and_then(|simulated| simulated.take_left_behind());
        let found = found.ok_or_else(|| PyRuntimeError::new_err("the run has left nothing behind"))?;
        let mut trial = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trial.judge(found).map_err(|divergence| PyAssertionError::new_err(divergence.to_string()))
    }

    /// Where a run's process was killed, in words; None if it was not.
    #[staticmethod]
    fn killed(run: &PyRecords) -> Option<String> {
        run.simulated()?.killed().as_ref().map(KillPoint::to_string)
    }

    /// How many times a process was killed.
    #[getter]
    fn kills(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).kills()
    }
}

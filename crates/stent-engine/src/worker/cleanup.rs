//! A worker's clean-up: now and then, beside everything else, it deletes what its retention lets go, and forgets
//! processes that are gone. All workers of a store do it; one that finds nothing left to do is done at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stent_core::command::Operation;

use super::WorkerCore;
use crate::error::EngineError;
use crate::operations::Cleaned;

/// When the next clean-up begins.
#[derive(Default)]
pub(super) struct Turns {
    next: Duration,
    busy: Arc<AtomicBool>,
}

impl Turns {
    /// Begins a clean-up if it is time for one and none is under way. It runs beside the sweeps: one that deletes a
    /// million executions must not keep the dead from being noticed.
    pub(super) fn look(&mut self, worker: &Arc<WorkerCore>) {
        let now = worker.now();
        if now < self.next || self.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        self.next = now + worker.config.cleanup_interval;
        let (worker, busy) = (Arc::clone(worker), Arc::clone(&self.busy));
        let runtime = Arc::clone(&worker.engine.core().runtime);
        runtime.spawn(Box::pin(async move {
            match clean(&worker).await {
                Ok(cleaned) if cleaned != Cleaned::default() => {
                    let Cleaned { letters, executions } = cleaned;
                    tracing::info!(letters, executions, "what is past its retention is deleted");
                }
                Ok(_) => {}
                // It comes again.
                Err(error) => tracing::debug!(%error, "a clean-up was cut short"),
            }
            busy.store(false, Ordering::Release);
        }));
    }
}

async fn clean(worker: &WorkerCore) -> Result<Cleaned, EngineError> {
    let is_stopped = || worker.is_stopped();
    worker.engine.sweep_until(&Operation::ForgetProcesses, &is_stopped).await?;
    match worker.config.retention_period {
        Some(retention) => {
            let before = worker.engine.store().now() - retention;
            worker.engine.clean_up_until(before, is_stopped).await
        }
        None => Ok(Cleaned::default()),
    }
}

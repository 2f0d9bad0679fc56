//! An orderly end: no new claims; waiting tasks are put aside; running code gets the grace to finish; what is left is
//! given back, with no attempt and no loss charged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stent_core::Command;

use super::WorkerCore;
use crate::error::Interrupt;
use crate::runtime::within;

/// How long stopped code and queued ends may take beyond the grace.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub(super) async fn drain(worker: &Arc<WorkerCore>) {
    worker.draining.store(true, Ordering::Release);
    worker.all_claimed.store(false, Ordering::Release);
    worker.asked.notify_one();
    worker.schedules.come();
    // Every task looks at itself once more: those that wait are suspended now.
    for activation in all_of(worker) {
        activation.look_again();
    }
    let runtime = Arc::clone(&worker.engine.core().runtime);
    if within(&*runtime, worker.config.drain_grace, empty(worker)).await.is_none() {
        for activation in all_of(worker) {
            activation.interrupt(Interrupt::Closed);
        }
        within(&*runtime, LAST_WORDS, empty(worker)).await;
    }
    let close = Command::CloseSession(worker.session());
    drop(worker.engine.core().committer.ask(None, close).await);
    worker.stop();
}

fn all_of(worker: &WorkerCore) -> Vec<Arc<crate::activation::Activation>> {
    worker.running().values().cloned().collect()
}

/// Resolves when no task is held, no claim is on its way and every end is answered.
async fn empty(worker: &Arc<WorkerCore>) {
    loop {
        let left = worker.left.notified();
        let mut left = std::pin::pin!(left);
        left.as_mut().enable();
        let ends = worker.endings.load(Ordering::Acquire);
        if worker.running().is_empty()
            && ends == 0
            && !worker.claiming.load(Ordering::Acquire)
            && worker.slots.all_free()
        {
            return;
        }
        within(&*worker.engine.core().runtime, Duration::from_millis(20), left).await;
    }
}

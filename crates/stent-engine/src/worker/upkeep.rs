//! Beats and sweeps. A worker says that it lives, notices what others did to its tasks, takes the tasks of the dead,
//! and ends what is past its deadline. Every sweep is idempotent: all workers do all of it.

use std::sync::Arc;
use std::time::Duration;

use stent_core::command::TakeOver;
use stent_core::{Command, Done, Refusal, SessionId, TaskState, Timestamp};

use super::cleanup::Turns;
use super::ending::{self, End};
use super::{WorkerCore, open_session};
use crate::error::Interrupt;
use crate::runtime::within;

/// How often the dead are looked for: take-over within two seconds needs several looks.
const LOOK_FOR_DEAD: Duration = Duration::from_millis(500);

/// How often deadlines are looked at, in looks for the dead.
const LOOKS_PER_EXPIRE: u32 = 2;

/// How often old events and cached results are deleted, in rounds of which each may look for the dead: every ten minutes.
const ROUNDS_PER_PRUNE: u32 = 1_200;

/// How long an event is kept for those who come late.
const EVENT_RETENTION: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Says that the session lives, and looks for marks on its tasks.
pub(super) async fn beats(worker: Arc<WorkerCore>) {
    let interval = worker.config.worker_timeout / 4;
    let mut last = worker.now();
    while !worker.is_stopped() {
        let rest = (last + interval).saturating_sub(worker.now());
        within(&*worker.engine.core().runtime, rest, worker.nudged.notified()).await;
        if worker.is_stopped() {
            return;
        }
        if worker.now() >= last + interval {
            last = worker.now();
            let session = worker.session();
            match worker.engine.core().committer.insist(None, Command::Beat(session)).await {
                Ok(Err(Refusal::SessionGone)) => worker.session_is_gone(session).await,
                Ok(_) => worker.beat_was_answered(),
                Err(_) => {}
            }
        }
        look_at_nudges(&worker).await;
    }
}

async fn look_at_nudges(worker: &Arc<WorkerCore>) {
    if worker.running().is_empty() {
        return;
    }
    let session = worker.session();
    let nudges = match worker.engine.store().nudges(session).await {
        Ok(nudges) => nudges,
        Err(error) => return tracing::debug!(%error, "the marks could not be read"),
    };
    for nudge in nudges {
        let Some(activation) = worker.activation(nudge.task) else { continue };
        if activation.task.lease.epoch != nudge.epoch {
            continue;
        }
        if nudge.state == TaskState::Running {
            activation.woken();
        } else {
            activation.interrupt(Interrupt::Cancelled);
        }
    }
}

/// Takes over the dead, ends what is overdue, deletes what is too old.
pub(super) async fn sweeps(worker: Arc<WorkerCore>) {
    let (mut rounds, mut looks) = (0u32, 0u32);
    let mut cleanup = Turns::default();
    while !worker.is_stopped() {
        if !worker.engine.store().may_leave_it_to_others() {
            take_over_the_dead(&worker).await;
            if looks.is_multiple_of(LOOKS_PER_EXPIRE) {
                sweep(&worker, Command::Expire).await;
            }
            looks = looks.wrapping_add(1);
        }
        if rounds.is_multiple_of(ROUNDS_PER_PRUNE) {
            let now = worker.engine.store().now();
            sweep(&worker, Command::PruneEvents(Timestamp::from_micros(now.as_micros()) - EVENT_RETENTION)).await;
            sweep(&worker, Command::PruneCache).await;
        }
        cleanup.look(&worker);
        give_up_the_hung(&worker);
        rounds = rounds.wrapping_add(1);
        worker.engine.core().runtime.sleep(LOOK_FOR_DEAD.min(worker.config.worker_timeout / 4)).await;
    }
}

/// Code that blocks its thread inside a poll cannot be dropped, and its own drive cannot see its timeout: the attempt
/// is ended from here, so that the task goes on elsewhere. Whatever the code still does is refused.
fn give_up_the_hung(worker: &Arc<WorkerCore>) {
    let now = worker.now();
    let all: Vec<_> = worker.running().values().cloned().collect();
    for activation in all {
        if activation.alive_until().is_some_and(|until| until + LOOK_FOR_DEAD <= now) {
            activation.interrupt(Interrupt::TimedOut);
            ending::settle(worker, &activation, End::Interrupted(Interrupt::TimedOut));
        }
    }
}

async fn take_over_the_dead(worker: &Arc<WorkerCore>) {
    let silence = if worker.may_judge_silence() { worker.config.worker_timeout } else { Duration::MAX };
    let gone = match worker.engine.store().gone_sessions(silence).await {
        Ok(gone) => gone,
        Err(error) => return tracing::debug!(%error, "the sessions could not be read"),
    };
    for session in gone {
        if session != worker.session() {
            tracing::info!(%session, "a worker is gone: its tasks are taken over");
            sweep(worker, Command::TakeOver(TakeOver { session })).await;
        }
    }
}

/// Repeats a sweep until it finds nothing more.
async fn sweep(worker: &Arc<WorkerCore>, command: Command) {
    loop {
        match worker.engine.core().committer.insist(None, command.clone()).await {
            Ok(Ok(Done::Swept { more: true, .. })) if !worker.is_stopped() => {}
            _ => return,
        }
    }
}

impl WorkerCore {
    /// Others took this worker for dead: it stops what it runs and begins anew as another session.
    pub(crate) async fn session_is_gone(self: &Arc<Self>, old: SessionId) {
        // Another loop may have noticed before, and begun anew already.
        if self.is_stopped() || self.session() != old {
            return;
        }
        tracing::warn!(session = %old, "others took this worker for dead: it begins anew");
        self.interrupt_all(Interrupt::LeaseLost);
        let mut rest = Duration::from_millis(20);
        while !self.is_stopped() && self.session() == old {
            match open_session(&self.engine, &self.config).await {
                // Published before anything is claimed: its limits must be known by then.
                Ok(fresh) => {
                    let publish = Command::Publish(fresh, self.host.functions());
                    drop(self.engine.core().committer.insist(None, publish).await);
                    self.replace_session(old, fresh);
                }
                Err(error) => {
                    tracing::warn!(%error, "a new session could not be opened yet");
                    self.engine.core().runtime.sleep(rest).await;
                    rest = (rest * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    fn replace_session(&self, old: SessionId, fresh: SessionId) {
        let mut session = self.session.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let lost = if *session == old {
            *session = fresh;
            old
        } else {
            fresh
        };
        drop(session);
        self.engine.store().leave(lost);
        if self.is_stopped() {
            self.engine.store().leave(fresh);
        }
    }

    fn beat_was_answered(&self) {
        let (now, timeout) = (self.now(), self.config.worker_timeout);
        let mut pulse = self.pulse.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if now > pulse.answered + timeout / 2 {
            pulse.judges_from = now + timeout;
        }
        pulse.answered = now;
    }

    /// Whether the silence of others tells anything: only while this worker itself gets through, and has for as long as
    /// a silence takes.
    fn may_judge_silence(&self) -> bool {
        let now = self.now();
        let pulse = self.pulse.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        now >= pulse.judges_from && now <= pulse.answered + self.config.worker_timeout / 2
    }
}

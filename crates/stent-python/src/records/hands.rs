//! Who holds tasks by hand: a session for each worker name that claims, beaten for as long as it has leases, and the
//! leases themselves, given back when their time is over. It decides nothing about tasks; the store does.
//!
//! Invariant: a lease is used no longer than its caller asked for, unless that renews it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stent_core::command::{OpenSession, Release};
use stent_core::{Command, Lease, Refusal, SessionId, TaskId};
use stent_engine::Engine;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Answer, millis};

/// How often a session that has leases shows a sign of life: well below `worker_timeout`.
const BEAT: Duration = Duration::from_secs(2);

/// The hands of one set of records.
pub(super) struct Hands {
    engine: Engine,
    state: Mutex<HashMap<String, Hand>>,
    changed: Notify,
}

#[derive(Clone)]
struct Hand {
    session: SessionId,
    leases: HashMap<TaskId, (Lease, Instant)>,
}

/// A lease in somebody's hands here.
pub(super) struct Held {
    pub(super) worker: String,
    pub(super) session: SessionId,
    pub(super) lease: Lease,
    pub(super) ms_left: u64,
}

impl Hands {
    pub(super) fn begin(engine: Engine) -> Arc<Self> {
        let hands = Arc::new(Self { engine, state: Mutex::default(), changed: Notify::new() });
        tokio::spawn(keep(Arc::downgrade(&hands)));
        hands
    }

    fn state(&self) -> MutexGuard<'_, HashMap<String, Hand>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of a worker's name, opened at its first claim.
    pub(super) async fn session(&self, worker: &str) -> Answer<SessionId> {
        if let Some(hand) = self.state().get(worker) {
            return Ok(hand.session);
        }
        let session = self.engine.new_session_id();
        self.engine.store().enter(session)?;
        let (worker_id, pid) = (worker.to_owned(), std::process::id());
        let host = std::env::var("HOSTNAME").unwrap_or_default();
        let open = Command::OpenSession(OpenSession { session, worker_id, host, pid });
        self.engine.carry_out(None, open).await??;
        let hand = Hand { session, leases: HashMap::new() };
        let kept = self.state().entry(worker.to_owned()).or_insert(hand).session;
        if kept != session {
            // Two first claims at once: one session is enough.
            self.end(session).await;
        }
        Ok(kept)
    }

    /// Others took the session for dead: the next claim opens another.
    pub(super) fn forget(&self, worker: &str) {
        if let Some(hand) = self.state().remove(worker) {
            self.engine.store().leave(hand.session);
        }
    }

    pub(super) fn take(&self, worker: &str, lease: Lease, span: Duration) {
        if let Some(hand) = self.state().get_mut(worker) {
            hand.leases.insert(lease.task.task, (lease, Instant::now() + span));
        }
        self.changed.notify_one();
    }

    /// The lease that a worker's name has on a task.
    pub(super) fn lease(&self, worker: &str, task: TaskId) -> Option<Lease> {
        self.state().get(worker)?.leases.get(&task).map(|(lease, _)| *lease)
    }

    /// Who here holds a task, under a claim.
    pub(super) fn held(&self, task: TaskId, epoch: u64) -> Option<Held> {
        let state = self.state();
        state.iter().find_map(|(worker, hand)| {
            let (lease, over) = hand.leases.get(&task).filter(|(lease, _)| lease.epoch == epoch)?;
            let ms_left = millis(over.saturating_duration_since(Instant::now()));
            Some(Held { worker: worker.clone(), session: hand.session, lease: *lease, ms_left })
        })
    }

    /// The lease is used up.
    pub(super) fn drop_lease(&self, lease: Lease) {
        for hand in self.state().values_mut() {
            hand.leases.retain(|_, (held, _)| *held != lease);
        }
    }

    /// Ends all sessions: what they still hold is ready for others.
    pub(super) async fn close(&self) {
        let hands: Vec<_> = self.state().drain().map(|(_, hand)| hand.session).collect();
        for session in hands {
            self.end(session).await;
        }
    }

    async fn end(&self, session: SessionId) {
        if let Err(error) = self.engine.carry_out(None, Command::CloseSession(session)).await {
            tracing::debug!(%error, "a session by hand was not closed in order");
        }
        self.engine.store().leave(session);
    }

    /// When something has to be done next.
    fn next(&self) -> Option<Instant> {
        let state = self.state();
        let over = state.values().flat_map(|hand| hand.leases.values().map(|(_, over)| *over)).min()?;
        Some(over.min(Instant::now() + BEAT))
    }

    /// Beats for sessions with leases, and gives back what is over.
    async fn round(&self) {
        let hands: Vec<_> = self.state().iter().map(|(worker, hand)| (worker.clone(), hand.clone())).collect();
        for (worker, hand) in hands.into_iter().filter(|(_, hand)| !hand.leases.is_empty()) {
            match self.engine.carry_out(None, Command::Beat(hand.session)).await {
                Ok(Err(Refusal::SessionGone)) => {
                    self.forget(&worker);
                    continue;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a session by hand could not show that it lives"),
            }
            let now = Instant::now();
            for (lease, _) in hand.leases.values().filter(|(_, over)| *over <= now) {
                let release = Release { lease: *lease, delay: Duration::ZERO, reason: None };
                let execution = Some(lease.task.execution);
                let released = self.engine.carry_out(execution, Command::Release(Box::new(release))).await;
                // A store that is away is asked again with the next round.
                if released.is_ok() {
                    self.drop_lease(*lease);
                }
            }
        }
    }
}

async fn keep(hands: Weak<Hands>) {
    loop {
        let Some(here) = hands.upgrade() else { return };
        let next = here.next();
        let changed = async {
            match next {
                Some(next) => drop(tokio::time::timeout_at(next, here.changed.notified()).await),
                // Nobody holds anything: looked at again now and then, to end with the records.
                None => drop(tokio::time::timeout(BEAT, here.changed.notified()).await),
            }
        };
        changed.await;
        if next.is_some() {
            here.round().await;
        }
    }
}

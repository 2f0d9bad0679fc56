//! What a committer knows without asking: the tasks that sessions of this process hold, and which of those sessions are
//! open. It may be believed because of the fence: nobody takes a task or a session away without bumping the committer's
//! row first, and a batch that finds its row bumped is rolled back and this memory emptied.
//!
//! Invariant: what is remembered is what the database says, for as long as the generation stands.

use std::collections::HashMap;
use std::sync::Arc;

use stent_core::{ClaimedTask, SessionId, TaskRef, TaskState, Timestamp};

use crate::gates::Gates;
use crate::routes::Routes;
use crate::rows::{Held, Standing};

/// The memory of one committer.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    held: HashMap<TaskRef, Standing>,
    /// Open sessions of this process.
    sessions: HashMap<SessionId, bool>,
    /// What claims go by, as last seen. Not under the fence: what relies on it is checked as it is written.
    pub(crate) gates: Option<Arc<Gates>>,
    /// When that was.
    pub(crate) gates_seen: Timestamp,
    pub(crate) routes: Routes,
}

impl Memory {
    /// Forgets everything: a batch was rolled back, or the generation has passed.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
        self.sessions.clear();
        self.gates = None;
        self.routes.clear();
    }

    pub(crate) fn held(&self, task: TaskRef) -> Option<&Standing> {
        self.held.get(&task)
    }

    pub(crate) fn held_mut(&mut self, task: TaskRef) -> Option<&mut Standing> {
        self.held.get_mut(&task)
    }

    /// A session of this process holds the task.
    pub(crate) fn hold(&mut self, task: TaskRef, standing: Standing) {
        self.held.insert(task, standing);
    }

    /// The task is in nobody's hands any more, or in whose is to be asked.
    pub(crate) fn let_go(&mut self, task: TaskRef) {
        self.held.remove(&task);
    }

    /// Everything that a session held is to be asked for anew.
    pub(crate) fn let_go_all(&mut self, session: SessionId) {
        self.held.retain(|_, standing| standing.session != Some(session));
    }

    pub(crate) fn session(&self, session: SessionId) -> Option<bool> {
        self.sessions.get(&session).copied()
    }

    pub(crate) fn set_session(&mut self, session: SessionId, open: bool) {
        self.sessions.insert(session, open);
    }
}

impl Standing {
    /// A task as its claim leaves it.
    pub(crate) fn claimed(task: &ClaimedTask, route: i64) -> Self {
        let fresh = task.lease.epoch == 1;
        Self {
            state: TaskState::Running,
            session: Some(task.lease.session),
            epoch: task.lease.epoch,
            priority: task.spec.priority,
            attempt: task.attempt,
            run: task.run,
            losses: task.losses,
            parent: task.parent,
            key: None,
            seen: 0,
            digest: [0; 16],
            undelivered: false,
            detached: false,
            held: Held { slot: None, route },
            memo: task.spec.options.memo.clone().map(Arc::from),
            childless: fresh,
            waitless: fresh,
        }
    }
}

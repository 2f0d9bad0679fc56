//! Sessions: opening, beating, naming a suspect, publishing, closing, and taking over what a dead one owned.

use std::collections::BTreeMap;

use stent_core::command::{Done, OpenSession, Outcome, Refusal};
use stent_core::limits::{LOSSES, SWEEP_TASKS};
use stent_core::routing::rank;
use stent_core::state::TaskEvent;
use stent_core::view::FunctionView;
use stent_core::{Failure, FailureKind, SessionId, TaskRef, TaskState};

use super::Act;
use super::rows::Session;

impl Act<'_> {
    pub(super) fn open_session(&mut self, open: &OpenSession) -> Outcome {
        if self.model.sessions.contains_key(&open.session) {
            return Err(Refusal::Exists);
        }
        let row = Session {
            worker_id: open.worker_id.clone(),
            host: open.host.clone(),
            pid: open.pid,
            is_open: true,
            beat: self.model.uptime,
            suspect: None,
            functions: BTreeMap::new(),
        };
        self.model.sessions.insert(open.session, row);
        Ok(Done::Nothing)
    }

    fn open(&mut self, session: SessionId) -> Result<&mut Session, Refusal> {
        self.model.sessions.get_mut(&session).filter(|row| row.is_open).ok_or(Refusal::SessionGone)
    }

    pub(super) fn beat(&mut self, session: SessionId) -> Outcome {
        let uptime = self.model.uptime;
        self.open(session)?.beat = uptime;
        Ok(Done::Nothing)
    }

    pub(super) fn name_suspect(&mut self, session: SessionId, suspect: Option<TaskRef>) -> Outcome {
        self.open(session)?.suspect = suspect;
        Ok(Done::Nothing)
    }

    pub(super) fn publish(&mut self, session: SessionId, functions: &[FunctionView]) -> Outcome {
        let row = self.open(session)?;
        let had_limits = row.has_limits();
        row.functions = functions.iter().map(|function| (function.name.clone(), function.clone())).collect();
        let has_limits = row.has_limits();
        self.wakes.ready |= had_limits || has_limits;
        Ok(Done::Nothing)
    }

    /// What names the session as its owner, ended tasks included, in order of id.
    fn owned(&self, session: SessionId) -> Vec<TaskRef> {
        let owned = self.model.tasks.iter().filter(|(_, task)| task.session == Some(session));
        owned.map(|(at, _)| *at).collect()
    }

    pub(super) fn close_session(&mut self, session: SessionId) -> Outcome {
        if self.open(session).is_ok() {
            self.shut(session);
            for task in self.owned(session) {
                self.take_away(task);
            }
        }
        Ok(Done::Nothing)
    }

    /// Nothing that comes from the session is carried out any more, and nothing that it published stands.
    fn shut(&mut self, session: SessionId) {
        let Some(row) = self.model.sessions.get_mut(&session) else { return };
        row.is_open = false;
        self.wakes.ready |= row.has_limits();
        row.functions.clear();
    }

    pub(super) fn take_over(&mut self, session: SessionId) -> Outcome {
        let Some(row) = self.model.sessions.get(&session) else {
            return Ok(Done::Swept { count: 0, more: false });
        };
        let suspect = row.suspect;
        self.shut(session);
        let owned = self.owned(session);
        let limit = SWEEP_TASKS as usize;
        let mut count = 0;
        for task in owned.iter().take(limit) {
            // Looked up anew: the end of one lost task may have ended the next.
            let runs = self.model.tasks.get(task).is_some_and(|row| row.state == TaskState::Running);
            count += u32::from(runs);
            if runs && suspect.is_none_or(|suspect| suspect == *task) && self.charge(*task) {
                continue;
            }
            self.take_away(*task);
        }
        Ok(Done::Swept { count, more: owned.len() > limit })
    }

    /// Counts a loss; true when it was the last one and the task has failed for good.
    fn charge(&mut self, task: TaskRef) -> bool {
        let Some(row) = self.model.tasks.get_mut(&task) else { return false };
        let progressed = row.records.values().any(|written| written.epoch == row.epoch);
        row.losses = if progressed { 1 } else { row.losses + 1 };
        if row.losses < LOSSES {
            return false;
        }
        let words = format!("its workers died under it {} times in a row", row.losses);
        self.fail_lost(task, &Failure::new(FailureKind::Lost, words));
        true
    }

    /// A running task becomes ready with the rank of a resuming one; one that others have ended is owned no more.
    fn take_away(&mut self, task: TaskRef) {
        let Some(row) = self.model.tasks.get_mut(&task) else { return };
        row.leave_hands();
        if let Ok(state) = row.state.on(TaskEvent::Release) {
            row.state = state;
            row.rank = rank(true, row.spec.priority);
            row.due = None;
            self.wakes.ready = true;
        }
    }
}

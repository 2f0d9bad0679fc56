//! What the makers of random commands ask of the rows, so that most of what they make is right.

use stent_core::routing::rank;
use stent_core::{CallKey, Lease, RecordKind, SessionId, SignalId, TaskId, TaskRef, TaskState};

use super::Model;

/// A task as a maker of commands sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) task: TaskRef,
    pub(crate) state: TaskState,
    pub(crate) session: Option<SessionId>,
    pub(crate) epoch: u64,
    pub(crate) run: u32,
    pub(crate) last_seq: u32,
    pub(crate) parent: Option<TaskId>,
    pub(crate) is_idempotent: bool,
}

impl Seen {
    /// The lease that stands, or stood last; `session` where nobody is named.
    pub(crate) fn lease(&self, session: SessionId) -> Lease {
        Lease { task: self.task, session: self.session.unwrap_or(session), epoch: self.epoch }
    }
}

impl Model {
    /// All tasks, in order of id.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let seen = self.tasks.iter().map(|(at, task)| Seen {
            task: *at,
            state: task.state,
            session: task.session,
            epoch: task.epoch,
            run: task.run,
            last_seq: task.records.keys().next_back().copied().unwrap_or(0),
            parent: task.call.as_ref().map(|call| call.parent),
            is_idempotent: task.spec.options.idempotent().is_some(),
        });
        seen.collect()
    }

    /// The signals that a task has taken.
    pub(crate) fn signals_of(&self, at: TaskRef) -> Vec<SignalId> {
        let records = self.tasks.get(&at).into_iter().flat_map(|task| task.records.values());
        let signals = records.filter(|written| written.record.kind == RecordKind::Signal);
        signals.filter_map(|written| written.record.source.map(SignalId::from_bytes)).collect()
    }

    /// The keys a task has registered waits under.
    pub(crate) fn keys_of(&self, at: TaskRef) -> Vec<CallKey> {
        self.waits_of(at).map(|(key, _)| key.clone()).collect()
    }

    /// The sessions that are open.
    pub(crate) fn open_sessions(&self) -> Vec<SessionId> {
        self.sessions.iter().filter(|(_, row)| row.is_open).map(|(session, _)| *session).collect()
    }

    /// The tasks with dead letters.
    pub(crate) fn lettered(&self) -> Vec<TaskRef> {
        self.letters.keys().copied().collect()
    }

    /// How many tasks are cancelled.
    pub(crate) fn cancelled(&self) -> usize {
        self.tasks.values().filter(|task| task.state == TaskState::Cancelled).count()
    }

    /// What does not hold of the rows, if anything: what no sequence of commands may lead to.
    pub(crate) fn broken_rule(&self) -> Option<String> {
        for (at, task) in &self.tasks {
            let owned = task.session.is_some();
            let wrong = match task.state {
                TaskState::Running => !owned || task.due.is_some() || task.epoch == 0,
                TaskState::Pending | TaskState::Suspended => owned || task.woken || task.completed_at.is_some(),
                _ => task.due.is_some() || task.woken || task.completed_at.is_none(),
            };
            if wrong {
                return Some(format!("{at} contradicts itself: {task:?}"));
            }
            let execution = self.executions.get(&at.execution);
            if at.is_root() && execution.is_none_or(|row| row.state.is_terminal() != task.state.is_terminal()) {
                return Some(format!("{at} and its execution disagree: {execution:?} {task:?}"));
            }
            if task.state.is_terminal() && self.waits_of(*at).next().is_some() {
                return Some(format!("{at} has ended and waits"));
            }
            let may_hold_slot = match task.state {
                TaskState::Running | TaskState::Suspended => true,
                TaskState::Pending => task.due.is_none() && task.rank == rank(true, 0),
                _ => owned,
            };
            if task.holds_slot && !may_hold_slot {
                return Some(format!("{at} holds a slot for nothing: {task:?}"));
            }
            if task.session.is_some_and(|session| task.state == TaskState::Running && !self.is_open(session)) {
                // Only past the limit of one sweep, which no random sequence reaches.
                return Some(format!("{at} is owned by a closed session"));
            }
            if self.letters.contains_key(at) && task.state != TaskState::Failed {
                return Some(format!("{at} has a letter and did not fail"));
            }
        }
        let living = |at: &TaskRef| self.tasks.get(at).is_some_and(|task| !task.state.is_terminal());
        for (key, waiter) in &self.line {
            if !living(waiter) || self.reserved.get(key).is_none_or(|row| row.result.is_some()) {
                return Some(format!("{waiter} waits in vain for {key:?}"));
            }
        }
        let left = self.reserved.iter().find(|(_, row)| row.result.is_none() && !living(&row.holder));
        left.map(|(key, row)| format!("{key:?} is held by {}, which has ended", row.holder))
    }
}

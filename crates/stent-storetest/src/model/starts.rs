//! Start and StartChild: an execution with its root, a child of a task that the caller owns.

use stent_core::command::{Done, Outcome, Refusal, Start, StartChild};
use stent_core::state::{ExecutionEvent, ExecutionState, TaskEvent};
use stent_core::{ClaimedTask, SessionId, TaskRef, TaskState, Timestamp};

use super::Act;
use super::rows::{Call, Execution, Task};

impl Act<'_> {
    pub(super) fn start(&mut self, start: &Start) -> Outcome {
        if let Some(&execution) = start.key.as_ref().and_then(|key| self.model.start_keys.get(key)) {
            return Ok(Done::Started { execution, created: false, claimed: None });
        }
        if self.model.executions.contains_key(&start.id) {
            return Err(Refusal::Exists);
        }
        if let Some(key) = &start.key {
            self.model.start_keys.insert(key.clone(), start.id);
        }
        let row = Execution {
            state: ExecutionState::Pending,
            created_at: self.now,
            completed_at: None,
            limits: start.deadline,
            deadline: start.deadline.before_start(self.now),
        };
        self.model.executions.insert(start.id, row);
        let owner = start.claim_for.filter(|session| {
            let may_be_claimed = start.due.is_none() && start.spec.options.memo.is_none();
            may_be_claimed
                && self.model.is_open(*session)
                && !self.model.is_paused(&start.spec.queue)
                && self.model.limit_in_force(&start.spec.function).is_none()
        });
        let root = TaskRef::root(start.id);
        let task = Task::new(&start.spec, None, self.now, start.due.map(|due| due.at(self.now)));
        let claimed = self.insert(root, task, owner);
        if self.model.tasks.get(&root).is_some_and(|task| task.state.is_terminal()) {
            self.end_execution(start.id, ExecutionEvent::Complete);
        }
        Ok(Done::Started { execution: start.id, created: true, claimed: claimed.map(Box::new) })
    }

    pub(super) fn start_child(&mut self, start: &StartChild) -> Outcome {
        self.leased(&start.parent)?;
        if let Some(row) = self.model.tasks.get(&child_of(start)) {
            let digest = row.call.as_ref().map_or([0; 16], |call| call.digest);
            return Ok(Done::ChildStarted { created: false, state: row.state, digest, claimed: None });
        }
        let claimed = self.insert_child(start);
        let state = self.model.tasks.get(&child_of(start)).map_or(TaskState::Pending, |row| row.state);
        Ok(Done::ChildStarted { created: true, state, digest: start.digest, claimed: claimed.map(Box::new) })
    }

    /// Creates the row of a child that is not there; the parent's lease was checked.
    pub(super) fn insert_child(&mut self, start: &StartChild) -> Option<ClaimedTask> {
        let call =
            Call { parent: start.parent.task.task, key: start.key.clone(), seen: start.seen, digest: start.digest };
        let owner = is_in_place(start).then_some(start.parent.session);
        let due = start.due.filter(|_| owner.is_none()).map(|due| due.at(self.now));
        self.insert(child_of(start), Task::new(&start.spec, Some(call), self.now, due), owner)
    }

    fn insert(&mut self, at: TaskRef, mut task: Task, owner: Option<SessionId>) -> Option<ClaimedTask> {
        let memo = task.spec.options.memo.clone();
        let hit = memo.and_then(|memo| self.look_up(&memo, at));
        match &hit {
            Some(_) => {
                (task.state, task.due, task.completed_at) = (TaskState::Completed, None, Some(self.now));
                task.undelivered = task.call.is_some();
            }
            // One that needs a slot is told of with the batch, if there is one for it.
            None => {
                let has_to_wait = task.due.is_none() && self.model.limit_in_force(&task.spec.function).is_some();
                self.wakes.ready |= owner.is_none() && !has_to_wait;
            }
        }
        task.result = hit;
        self.model.tasks.insert(at, task);
        self.own(at, owner?)
    }

    /// Puts a ready task into a session's hands.
    pub(super) fn own(&mut self, at: TaskRef, session: SessionId) -> Option<ClaimedTask> {
        let now = self.now;
        let row = self.model.tasks.get_mut(&at)?;
        row.state = row.state.on(TaskEvent::Claim).ok()?;
        row.session = Some(session);
        row.epoch += 1;
        row.woken = false;
        row.started_at.get_or_insert(now);
        let first = row.first_started_at.is_none();
        row.first_started_at.get_or_insert(now);
        let claimed = row.in_hands_of(at, session);
        if first && at.is_root() {
            self.restart_deadline(at, now);
        }
        Some(claimed)
    }

    /// From the root's first claim on, other limits count.
    fn restart_deadline(&mut self, root: TaskRef, now: Timestamp) {
        if let Some(execution) = self.model.executions.get_mut(&root.execution) {
            execution.deadline = execution.limits.once_started(execution.created_at, now);
        }
    }
}

/// Whether a child is created in its parent's session's hands.
pub(super) const fn is_in_place(start: &StartChild) -> bool {
    start.in_place && start.spec.options.memo.is_none()
}

/// The child that a start is about.
pub(super) const fn child_of(start: &StartChild) -> TaskRef {
    TaskRef { execution: start.parent.task.execution, task: start.child }
}

//! What one task's change means for others: waking whoever waits, ending what lies below, ending whole executions.

use stent_core::command::Wait;
use stent_core::routing::rank;
use stent_core::state::{ExecutionEvent, TaskEvent};
use stent_core::{CallKey, ExecutionId, ExecutionState, Name, TaskRef, TaskState};

use super::Act;
use super::rows::Waiting;

impl Act<'_> {
    /// Wakes a task, as the head of `stent_core::command` says.
    pub(super) fn wake(&mut self, at: TaskRef) {
        let Some(task) = self.model.tasks.get_mut(&at) else { return };
        let Ok(state) = task.state.on(TaskEvent::Wake) else { return };
        match task.state {
            TaskState::Suspended => {
                task.rank = rank(true, task.spec.priority);
                (task.state, task.due) = (state, None);
                self.wakes.ready = true;
            }
            TaskState::Running => {
                task.woken = true;
                self.wakes.woken.extend(task.session.map(|session| (session, at)));
            }
            // Pending: ready already, or delayed by a wait of its own, which stands.
            _ => {}
        }
    }

    /// Wakes every task of an execution that waits for signals of a name.
    pub(super) fn wake_for_signal(&mut self, execution: ExecutionId, name: &Name) {
        let waits = self.model.waits.iter().filter(|((at, _), row)| {
            at.execution == execution && matches!(&row.wait, Wait::Signal(waited) if waited == name)
        });
        let mut tasks: Vec<_> = waits.map(|((at, _), _)| *at).collect();
        tasks.dedup();
        for task in tasks {
            self.wake(task);
        }
    }

    /// A wait left the line of a name with no signal: those behind it moved up, and one may be there for them.
    pub(super) fn line_moved(&mut self, execution: ExecutionId, name: &Name) {
        let line = self.model.signals.get(&(execution, name.clone()));
        if line.is_some_and(|line| line.iter().any(|signal| !signal.consumed)) {
            self.wake_for_signal(execution, name);
        }
    }

    /// Forgets all waits of tasks that ended or begin anew. After their states are settled, so that the lines they
    /// leave wake none of them.
    pub(super) fn drop_waits(&mut self, tasks: &[TaskRef]) {
        for task in tasks {
            let keys: Vec<_> = self.model.waits_of(*task).map(|(key, _)| key.clone()).collect();
            for key in keys {
                self.drop_wait(*task, key);
            }
        }
    }

    /// Forgets a wait that nothing came for.
    pub(super) fn drop_wait(&mut self, task: TaskRef, key: CallKey) {
        if let Some(Waiting { wait: Wait::Signal(name), .. }) = self.model.waits.remove(&(task, key)) {
            self.line_moved(task.execution, &name);
        }
    }

    /// Ends a task that has not ended, by somebody other than its owner; its waits are dropped by the caller.
    /// `told`: its parent is to find its end.
    pub(super) fn stop(&mut self, at: TaskRef, event: TaskEvent, told: bool) {
        let Some(task) = self.model.tasks.get_mut(&at) else { return };
        let Ok(state) = task.state.on(event) else { return };
        (task.state, task.due, task.woken) = (state, None, false);
        // Its owner, if it has one, lets go of its slot when it heeds: until then the code may still run.
        task.holds_slot &= task.session.is_some();
        task.completed_at = Some(self.now);
        task.undelivered = told;
        let memo = task.spec.options.memo.clone();
        self.ended.extend(memo.map(|memo| (at, *memo, None)));
        self.wakes.stopped.extend(task.session.map(|session| (session, at, state)));
    }

    /// Cancels every descendant of a task that has not ended. Their parents end with them, so none is told.
    pub(super) fn cancel_below(&mut self, at: TaskRef) -> Vec<TaskRef> {
        let mut stopped = vec![at];
        let mut next = 0;
        while let Some(parent) = stopped.get(next).copied() {
            let children = self.model.tasks_of(at.execution).filter(|(_, task)| {
                !task.state.is_terminal() && task.call.as_ref().is_some_and(|call| call.parent == parent.task)
            });
            let children: Vec<_> = children.map(|(child, _)| child).collect();
            for child in children {
                self.stop(child, TaskEvent::Cancel, false);
                stopped.push(child);
            }
            next += 1;
        }
        stopped
    }

    /// Ends every task of an execution that has not ended.
    pub(super) fn stop_all(&mut self, execution: ExecutionId, event: TaskEvent) {
        let tasks: Vec<_> = self.model.tasks_of(execution).map(|(at, _)| at).collect();
        for task in &tasks {
            self.stop(*task, event, false);
        }
        self.drop_waits(&tasks);
    }

    /// Ends an execution's row; the caller ends its tasks.
    pub(super) fn end_execution(&mut self, id: ExecutionId, event: ExecutionEvent) {
        let Some(execution) = self.model.executions.get_mut(&id) else { return };
        let Ok(state) = execution.state.on(event) else { return };
        execution.state = state;
        execution.completed_at = Some(self.now);
        self.wakes.ended.push(id);
    }

    /// Ends an execution with all its tasks, by its deadline or a cancel.
    pub(super) fn end_all(&mut self, id: ExecutionId, state: ExecutionState) {
        let (task, execution) = match state {
            ExecutionState::TimedOut => (TaskEvent::TimeOut, ExecutionEvent::TimeOut),
            _ => (TaskEvent::Cancel, ExecutionEvent::Cancel),
        };
        self.stop_all(id, task);
        self.end_execution(id, execution);
    }
}

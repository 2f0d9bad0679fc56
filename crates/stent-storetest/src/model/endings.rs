//! Release, Finish and Cancel: how an attempt or a task ends, and who else ends or learns of it.

use std::time::Duration;

use stent_core::command::{Deliver, Done, Ending, Finish, Outcome, Refusal, Release};
use stent_core::routing::rank;
use stent_core::state::{ExecutionEvent, TaskEvent};
use stent_core::{Failure, FailureKind, Payload, Record, RecordKind, TaskRef, TaskState, Timestamp, Verdict};

use super::Act;
use super::rows::Task;
use super::starts::{child_of, is_in_place};

impl Act<'_> {
    pub(super) fn release(&mut self, release: &Release) -> Outcome {
        let now = self.now;
        let task = self.leased(&release.lease)?;
        set_aside(task, TaskEvent::Release)?;
        task.rank = rank(true, task.spec.priority);
        task.due = (!release.delay.is_zero()).then(|| now + release.delay);
        if release.reason.is_some() {
            task.failure.clone_from(&release.reason);
        }
        self.wakes.ready = true;
        Ok(Done::Nothing)
    }

    pub(super) fn finish(&mut self, finish: &Finish) -> Outcome {
        let at = finish.lease.task;
        self.start_own(finish)?;
        self.leased(&finish.lease)?;
        let ending = match &finish.ending {
            Ending::Retry(failure, delay) => {
                self.retry(finish, failure, *delay)?;
                return Ok(Done::Finished { delivered: None });
            }
            Ending::Completed(result) => Ok(result),
            Ending::Failed(failure) => Err(failure),
        };
        if at.is_root() {
            self.refuse_overdue(at)?;
        }
        let delivered = self.end(at, ending, finish.deliver.as_ref())?;
        for signal in &finish.returned {
            self.return_signal(at.execution, *signal);
        }
        Ok(Done::Finished { delivered: delivered.map(Box::new) })
    }

    /// Writes the start of a task that ran in place and is not there yet, if the end will be allowed.
    fn start_own(&mut self, finish: &Finish) -> Result<(), Refusal> {
        let Some(start) = finish.start.as_deref() else { return Ok(()) };
        if self.model.tasks.contains_key(&child_of(start)) {
            return Ok(());
        }
        self.leased(&start.parent)?;
        let lease = &finish.lease;
        let own = child_of(start) == lease.task && is_in_place(start);
        if !own || lease.session != start.parent.session || lease.epoch != 1 {
            return Err(Refusal::LeaseLost);
        }
        self.insert_child(start);
        Ok(())
    }

    fn retry(&mut self, finish: &Finish, failure: &Failure, delay: Duration) -> Result<(), Refusal> {
        let now = self.now;
        let task = self.leased(&finish.lease)?;
        set_aside(task, TaskEvent::Retry)?;
        task.rank = rank(false, task.spec.priority);
        task.due = (!delay.is_zero()).then(|| now + delay);
        (task.attempt, task.run, task.losses) = (task.attempt + 1, task.run + 1, 0);
        task.started_at = None;
        task.failure = Some(failure.clone());
        self.wakes.ready = true;
        self.drop_waits(&[finish.lease.task]);
        Ok(())
    }

    /// A result that comes after the deadline is refused, and the execution ended as the deadline says.
    fn refuse_overdue(&mut self, root: TaskRef) -> Result<(), Refusal> {
        let deadline = self.model.executions.get(&root.execution).and_then(|execution| execution.deadline);
        match deadline {
            Some((at, state)) if at <= self.now => {
                self.end_all(root.execution, state);
                Err(Refusal::Terminal(state.as_task_state()))
            }
            _ => Ok(()),
        }
    }

    /// Ends a running task for good. Answers the parent's record, if it was delivered.
    fn end(
        &mut self,
        at: TaskRef,
        ending: Result<&Payload, &Failure>,
        deliver: Option<&Deliver>,
    ) -> Result<Option<Record>, Refusal> {
        let now = self.now;
        let Some(task) = self.model.tasks.get_mut(&at) else { return Err(Refusal::LeaseLost) };
        set_aside(task, if ending.is_ok() { TaskEvent::Complete } else { TaskEvent::Fail })?;
        task.completed_at = Some(now);
        task.result = ending.ok().cloned();
        task.failure = ending.err().cloned();
        let memo = task.spec.options.memo.clone();
        self.ended.extend(memo.map(|memo| (at, *memo, ending.ok().cloned())));
        if ending.is_err() {
            self.model.letters.insert(at, now);
        }
        if at.is_root() {
            let event = if ending.is_ok() { ExecutionEvent::Complete } else { ExecutionEvent::Fail };
            self.end_execution(at.execution, event);
            self.stop_all(at.execution, TaskEvent::Cancel);
        }
        let ended = self.cancel_below(at);
        self.drop_waits(&ended);
        Ok(self.tell_parent(at, deliver))
    }

    /// A running task ends with the result of an equal call: as one that was never started, whose result is not its own.
    pub(super) fn hit(&mut self, at: TaskRef, result: &Payload) -> Result<(), Refusal> {
        if at.is_root() {
            self.refuse_overdue(at)?;
        }
        self.end(at, Ok(result), None)?;
        self.ended.retain(|(ended, ..)| *ended != at);
        if let Some(task) = self.model.tasks.get_mut(&at) {
            task.started_at = None;
        }
        Ok(())
    }

    /// A task that was lost too often.
    pub(super) fn fail_lost(&mut self, at: TaskRef, failure: &Failure) {
        drop(self.end(at, Err(failure), None));
    }

    /// Hands a child's end to its parent: as a record, or as a mark to look for it.
    fn tell_parent(&mut self, at: TaskRef, deliver: Option<&Deliver>) -> Option<Record> {
        let child = self.model.tasks.get(&at)?;
        let parent = child.attached_parent(at)?;
        let deliver = deliver.filter(|deliver| {
            let held = deliver.parent.task == parent && self.model.is_open(deliver.parent.session);
            let row = self.model.tasks.get(&parent).filter(|row| held && row.is_held_by(&deliver.parent));
            row.is_some_and(|row| !row.records.contains_key(&deliver.seq))
        });
        let Some(deliver) = deliver else {
            if let Some(child) = self.model.tasks.get_mut(&at) {
                child.undelivered = true;
            }
            self.wake(parent);
            return None;
        };
        let record = end_record(at, child, deliver.run, deliver.seq, self.now)?;
        self.write(parent, record.clone());
        self.delivered(parent, at);
        Some(record)
    }

    pub(super) fn cancel(&mut self, at: TaskRef) -> Outcome {
        let task = self.model.tasks.get(&at).ok_or(Refusal::Unknown)?;
        if let Err(refused) = task.state.on(TaskEvent::Cancel) {
            return Err(Refusal::Terminal(refused.state));
        }
        if at.is_root() {
            self.end_all(at.execution, stent_core::ExecutionState::Cancelled);
            return Ok(Done::Nothing);
        }
        let parent = task.attached_parent(at);
        self.stop(at, TaskEvent::Cancel, parent.is_some());
        let ended = self.cancel_below(at);
        self.drop_waits(&ended);
        if let Some(parent) = parent {
            self.wake(parent);
        }
        Ok(Done::Nothing)
    }
}

/// What every end of an attempt leaves: a state and no owner.
fn set_aside(task: &mut Task, event: TaskEvent) -> Result<(), Refusal> {
    task.state = task.state.on(event).map_err(|_| Refusal::LeaseLost)?;
    task.leave_hands();
    task.due = None;
    Ok(())
}

/// The record of a child's end in its parent's history, once it has ended.
pub(super) fn end_record(at: TaskRef, child: &Task, run: u32, seq: u32, now: Timestamp) -> Option<Record> {
    let call = child.call.as_ref()?;
    let failed = |failure: Failure| (Verdict::Failed, failure.to_payload());
    let (verdict, payload) = match child.state {
        TaskState::Completed => (Verdict::Ok, child.result.clone().unwrap_or_else(Payload::null)),
        TaskState::Failed => failed(child.failure.clone()?),
        TaskState::Cancelled => failed(Failure::new(FailureKind::Cancelled, "the child was cancelled")),
        TaskState::TimedOut => failed(Failure::new(FailureKind::Timeout, "the child timed out")),
        TaskState::Pending | TaskState::Running | TaskState::Suspended => return None,
    };
    Some(Record {
        seq,
        key: call.key.clone(),
        kind: RecordKind::Child,
        run,
        seen: call.seen,
        digest: Some(call.digest),
        verdict,
        payload,
        source: Some(*at.task.as_bytes()),
        at: now,
    })
}

//! Await, Abandon, Heed and Suspend: what a task waits for, whether it is there, and putting the task aside meanwhile.
//! What came is looked at before the due time, so a signal that is there beats a timeout that has passed.

use stent_core::command::{Await, Done, Outcome, Refusal, Wait};
use stent_core::state::TaskEvent;
use stent_core::{CallKey, Lease, Payload, Record, RecordKind, TaskRef, Timestamp, Verdict};

use super::endings::end_record;
use super::rows::{Task, Waiting};
use super::{Act, Model};

/// What came for a wait: a signal or event at this place of its line or stream, a child's end.
#[derive(Clone, Copy)]
pub(super) enum Arrival {
    Signal(usize),
    Event(u64),
    Child,
}

impl Act<'_> {
    pub(super) fn await_arrival(&mut self, ask: &Await) -> Outcome {
        let at = ask.lease.task;
        self.leased(&ask.lease)?;
        if let Wait::Child(child) = ask.wait {
            let child = self.model.tasks.get(&TaskRef { execution: at.execution, task: child });
            if child.and_then(|child| child.call.as_ref()).is_none_or(|call| call.parent != at.task) {
                return Err(Refusal::Unknown);
            }
        }
        let registered = self.model.waits.get(&(at, ask.key.clone()));
        let due = match registered {
            Some(wait) => wait.due,
            None => ask.due.map(|due| due.at(self.now)),
        };
        let place = registered.map_or(u64::MAX, |wait| wait.place);
        let arrival = self.model.arrival(at, &ask.wait, place);
        if arrival.is_some() || due.is_some_and(|due| due <= self.now) {
            return self.deliver(ask, arrival);
        }
        if registered.is_none() && (due.is_some() || !matches!(ask.wait, Wait::Child(_))) {
            self.model.last_wait += 1;
            let wait = Waiting { wait: ask.wait.clone(), due, seen: ask.seen, place: self.model.last_wait };
            self.model.waits.insert((at, ask.key.clone()), wait);
        }
        Ok(Done::Waiting(due))
    }

    /// Records what came, or that the time is over, takes it and drops the registration.
    fn deliver(&mut self, ask: &Await, arrival: Option<Arrival>) -> Outcome {
        let at = ask.lease.task;
        if self.model.tasks.get(&at).is_some_and(|task| task.records.contains_key(&ask.seq)) {
            return Err(Refusal::Exists);
        }
        let mut record = Record {
            seq: ask.seq,
            key: ask.key.clone(),
            kind: kind(&ask.wait),
            run: ask.run,
            seen: ask.seen,
            digest: None,
            verdict: if ask.wait == Wait::Timer { Verdict::Ok } else { Verdict::TimedOut },
            payload: Payload::null(),
            source: None,
            at: self.now,
        };
        match (&ask.wait, arrival) {
            (Wait::Signal(name), Some(Arrival::Signal(index))) => {
                let line = self.model.signals.get_mut(&(at.execution, name.clone()));
                if let Some(signal) = line.and_then(|line| line.get_mut(index)) {
                    signal.consumed = true;
                    record.payload = signal.payload.clone();
                    record.source = Some(*signal.id.as_bytes());
                    record.verdict = Verdict::Ok;
                }
            }
            (Wait::Event(queue, name), Some(Arrival::Event(place))) => {
                let stream = self.model.streams.get(&(queue.clone(), name.clone()));
                if let Some(event) = stream.and_then(|stream| stream.events.get(&place)) {
                    record.payload = event.payload.clone();
                    record.source = Some(*event.id.as_bytes());
                    record.verdict = Verdict::Ok;
                }
                self.model.cursors.insert((at, queue.clone(), name.clone()), place);
            }
            (Wait::Child(child), Some(Arrival::Child)) => {
                let child = TaskRef { execution: at.execution, task: *child };
                let row = self.model.tasks.get(&child).ok_or(Refusal::Unknown)?;
                record = end_record(child, row, ask.run, ask.seq, self.now).ok_or(Refusal::Unknown)?;
                self.delivered(at, child);
            }
            _ => {}
        }
        self.write(at, record.clone());
        // A wait that takes its signal leaves the line as it was; one that is over moves it up.
        if arrival.is_some() {
            self.model.waits.remove(&(at, ask.key.clone()));
        } else {
            self.drop_wait(at, ask.key.clone());
        }
        Ok(Done::Delivered(Box::new(record)))
    }

    /// A child's end has reached its parent, which waits for it no more.
    pub(super) fn delivered(&mut self, parent: TaskRef, child: TaskRef) {
        if let Some(task) = self.model.tasks.get_mut(&child) {
            task.undelivered = false;
        }
        self.model.waits.retain(|(at, _), row| *at != parent || row.wait != Wait::Child(child.task));
    }

    pub(super) fn abandon(&mut self, lease: &Lease, key: &CallKey) -> Outcome {
        self.leased(lease)?;
        self.drop_wait(lease.task, key.clone());
        Ok(Done::Nothing)
    }

    pub(super) fn heed(&mut self, lease: &Lease) -> Outcome {
        match self.leased(lease) {
            Ok(task) => task.woken = false,
            Err(refusal @ Refusal::Terminal(_)) => {
                let task = self.model.tasks.get_mut(&lease.task).ok_or(refusal)?;
                if task.session.is_some_and(|owner| owner != lease.session) {
                    return Err(refusal);
                }
                task.leave_hands();
            }
            Err(refusal) => return Err(refusal),
        }
        Ok(Done::Nothing)
    }

    pub(super) fn suspend(&mut self, lease: &Lease) -> Outcome {
        let due = self.model.waits_of(lease.task).filter_map(|(_, wait)| wait.due).min();
        let task = self.leased(lease)?;
        if std::mem::take(&mut task.woken) {
            return Ok(Done::Woken);
        }
        task.state = task.state.on(TaskEvent::Suspend).map_err(|_| Refusal::LeaseLost)?;
        (task.session, task.due) = (None, due);
        // Somebody has to promote it in time.
        self.wakes.ready |= due.is_some();
        Ok(Done::Suspended)
    }
}

impl Model {
    /// What is there now, other than its time, for a wait of a task at this place of its line.
    pub(super) fn arrival(&self, at: TaskRef, wait: &Wait, place: u64) -> Option<Arrival> {
        match wait {
            Wait::Timer => None,
            Wait::Signal(name) => {
                let before = self.waits.iter().filter(|((other, _), row)| {
                    other.execution == at.execution && row.wait == *wait && row.place < place
                });
                let line = self.signals.get(&(at.execution, name.clone()))?;
                let mut free = line.iter().enumerate().filter(|(_, signal)| !signal.consumed);
                free.nth(before.count()).map(|(index, _)| Arrival::Signal(index))
            }
            Wait::Event(queue, name) => {
                let had = self.cursors.get(&(at, queue.clone(), name.clone())).copied().unwrap_or(0);
                let stream = self.streams.get(&(queue.clone(), name.clone()))?;
                stream.events.range(had + 1..).next().map(|(place, _)| Arrival::Event(*place))
            }
            Wait::Child(child) => {
                let child = self.tasks.get(&TaskRef { execution: at.execution, task: *child })?;
                child.state.is_terminal().then_some(Arrival::Child)
            }
        }
    }

    /// Whether a registered wait would be answered now.
    pub(super) fn is_there(&self, at: TaskRef, row: &Waiting, now: Timestamp) -> bool {
        row.due.is_some_and(|due| due <= now) || self.arrival(at, &row.wait, row.place).is_some()
    }
}

/// Whether a child's end waits for its parent.
pub(super) const fn is_undelivered(child: &Task) -> bool {
    child.state.is_terminal() && child.undelivered
}

/// The kind of record that answers a wait.
pub(super) const fn kind(wait: &Wait) -> RecordKind {
    match wait {
        Wait::Timer => RecordKind::Timer,
        Wait::Signal(_) => RecordKind::Signal,
        Wait::Event(..) => RecordKind::Event,
        Wait::Child(_) => RecordKind::Child,
    }
}

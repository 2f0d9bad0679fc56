//! What a batch is about to write: the rows of the frequent statements, gathered in columns, so that a thousand starts,
//! records or ends are one statement each. Nothing here decides anything; `batch.rs` says when it is sent.
//!
//! Invariant: the order of the statements is that of the locks (executions before tasks before slots), and no row is
//! written by two of them (but a task that starts as one that has ended: created, then ended, in this order), so that
//! sending them late is the same as having run the commands one by one.

use std::collections::HashMap;

use stent_core::{Name, Payload, Record, SessionId, TaskRef, TaskState, Timestamp};
use uuid::Uuid;

use crate::gates::Gates;
use crate::query::{Blob, Column, Key, Param, Query, Sparse};
use crate::rows::{stored, stored_small, uuid};
use crate::starts::{NewChild, NewRoot};

/// Executions that start, with their root tasks: `start_insert.sql`.
#[derive(Debug, Default)]
struct Starts {
    execution: Column<Uuid>,
    route: Column<i64>,
    priority: Column<i32>,
    args: Column<Blob>,
    session: Sparse<Uuid>,
    due: Sparse<i64>,
    deadline: Sparse<i64>,
    deadline_state: Sparse<i16>,
    expire_at: Sparse<i64>,
    run_within: Sparse<i64>,
    on_start: Sparse<bool>,
    options: Sparse<String>,
    headers: Sparse<Blob>,
}

/// Children that start, or start and end in one batch: `child_insert.sql`.
#[derive(Debug, Default)]
struct Children {
    execution: Column<Uuid>,
    task: Column<Uuid>,
    parent: Column<Uuid>,
    route: Column<i64>,
    priority: Column<i32>,
    state: Column<i16>,
    key: Column<Key>,
    seen: Column<i32>,
    digest: Column<Vec<u8>>,
    args: Column<Blob>,
    session: Sparse<Uuid>,
    due: Sparse<i64>,
    options: Sparse<String>,
    headers: Sparse<Blob>,
    result: Sparse<Blob>,
    undelivered: Sparse<bool>,
    /// Where a child stands in the columns.
    rows: HashMap<TaskRef, usize>,
}

/// Records: `record_insert.sql`.
#[derive(Debug, Default)]
struct Records {
    execution: Column<Uuid>,
    task: Column<Uuid>,
    epoch: Column<i64>,
    seq: Column<i64>,
    run: Column<i32>,
    seen: Column<i32>,
    kind: Column<i16>,
    verdict: Column<i16>,
    key: Column<Key>,
    payload: Column<Blob>,
    digest: Sparse<Vec<u8>>,
    source: Sparse<Uuid>,
}

/// Tasks that end by their owner's word: `task_finish.sql`.
#[derive(Debug, Default)]
struct Ends {
    execution: Column<Uuid>,
    task: Column<Uuid>,
    state: Column<i16>,
    losses: Column<i32>,
    result: Sparse<Blob>,
    failure: Sparse<Blob>,
    undelivered: Sparse<bool>,
}

/// Executions that end with their roots: `execution_finish.sql`.
#[derive(Debug, Default)]
struct Finishes {
    execution: Column<Uuid>,
    state: Column<i16>,
}

/// Slots that are let go: `slot_let_go.sql`.
#[derive(Debug, Default)]
struct Slots {
    function: Column<String>,
    number: Column<i32>,
    execution: Column<Uuid>,
    task: Column<Uuid>,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Writes {
    now: i64,
    finished: i64,
    /// What the starts in somebody's hands go by: paused queues and limited functions.
    gates: Option<Column<String>>,
    starts: Starts,
    finishes: Finishes,
    children: Children,
    ends: Ends,
    records: Records,
    slots: Slots,
}

/// The slot of a task that holds none.
static NO_FUNCTION: Option<String> = None;
static NO_NUMBER: Option<i32> = None;

/// What a batch writes, where a single statement of its own does: one command, or many of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alone {
    Record,
    Records,
    Start,
    Starts,
    Finish,
}

/// A task's end by its owner's word.
pub(crate) struct TaskEnd<'a> {
    pub(crate) task: TaskRef,
    pub(crate) state: TaskState,
    pub(crate) losses: u32,
    pub(crate) result: Option<&'a Payload>,
    pub(crate) failure: Option<&'a Payload>,
    pub(crate) undelivered: bool,
}

fn blob(payload: &Payload) -> Blob {
    Blob(payload.as_stored().clone())
}

impl Writes {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            now: now.as_micros(),
            finished: 0,
            gates: None,
            starts: Starts::default(),
            finishes: Finishes::default(),
            children: Children::default(),
            ends: Ends::default(),
            records: Records::default(),
            slots: Slots::default(),
        }
    }

    /// The same moment, nothing gathered.
    pub(crate) fn emptied(&self) -> Self {
        Self::new(Timestamp::from_micros(self.now))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.starts.execution.0.is_empty()
            && self.finishes.execution.0.is_empty()
            && self.children.execution.0.is_empty()
            && self.ends.execution.0.is_empty()
            && self.records.execution.0.is_empty()
            && self.slots.number.0.is_empty()
    }

    /// The statement that does all of it alone, if there is one.
    pub(crate) fn alone(&self) -> Option<Alone> {
        let counts = (
            self.starts.execution.0.len(),
            self.finishes.execution.0.len(),
            self.children.execution.0.len(),
            self.ends.execution.0.len(),
            self.records.execution.0.len(),
        );
        match counts {
            // The two rows are one task's: a root's end is what brings its execution's. So is the slot, if there is one.
            (0, 1, 0, 1, 0)
                if self.finishes.execution.0 == self.ends.task.0
                    && (self.slots.task.0.is_empty() || self.slots.task.0 == self.ends.task.0) =>
            {
                Some(Alone::Finish)
            }
            _ if !self.slots.number.0.is_empty() => None,
            (0, 0, 0, 0, 1) => Some(Alone::Record),
            (0, 0, 0, 0, _) => Some(Alone::Records),
            (1, 0, 0, 0, 0) => Some(Alone::Start),
            (_, 0, 0, 0, 0) => Some(Alone::Starts),
            _ => None,
        }
    }

    /// What is gathered holds only if these very queues are paused, and these very functions limited.
    pub(crate) fn rely_on(&mut self, gates: &Gates) {
        if self.gates.is_none() {
            self.gates = Some(Column(gates.words()));
        }
    }

    /// A task lets go of its slot.
    pub(crate) fn let_go(&mut self, function: &Name, number: i32, task: TaskRef) {
        let to = &mut self.slots;
        to.function.push(function.as_str().to_owned());
        to.number.push(number);
        to.execution.push(uuid(task.execution.as_bytes()));
        to.task.push(uuid(task.task.as_bytes()));
    }

    pub(crate) fn start(&mut self, root: &NewRoot<'_>) {
        let (to, spec) = (&mut self.starts, root.spec);
        to.execution.push(uuid(root.execution.as_bytes()));
        to.route.push(root.route);
        to.priority.push(spec.priority);
        to.args.push(blob(&spec.args));
        to.session.push(root.owner.map(|session| uuid(session.as_bytes())));
        to.due.push(root.due.map(Timestamp::as_micros));
        to.deadline.push(root.deadline.map(|(at, _)| at.as_micros()));
        to.deadline_state.push(root.deadline.map(|(_, state)| state as i16));
        to.expire_at.push(root.expire_at.map(Timestamp::as_micros));
        to.run_within.push(root.run_within);
        to.on_start.push(root.on_start.then_some(true));
        to.options.push(spec.options.to_stored());
        to.headers.push(spec.headers.clone().map(Blob));
    }

    pub(crate) fn child(&mut self, child: &NewChild<'_>) {
        let (to, spec, call) = (&mut self.children, &child.start.spec, child.start);
        to.rows.insert(child.task, to.execution.0.len());
        to.execution.push(uuid(child.task.execution.as_bytes()));
        to.task.push(uuid(child.task.task.as_bytes()));
        to.parent.push(uuid(call.parent.task.task.as_bytes()));
        to.route.push(child.route);
        to.priority.push(spec.priority);
        to.state.push(if child.owner.is_some() { TaskState::Running as i16 } else { TaskState::Pending as i16 });
        to.key.push(Key(call.key.clone()));
        to.seen.push(stored_small(call.seen));
        to.digest.push(call.digest.to_vec());
        to.args.push(blob(&spec.args));
        to.session.push(child.owner.map(|session: SessionId| uuid(session.as_bytes())));
        to.due.push(child.due.map(Timestamp::as_micros));
        to.options.push(spec.options.to_stored());
        to.headers.push(spec.headers.clone().map(Blob));
        to.result.push(None);
        to.undelivered.push(None);
    }

    pub(crate) fn record(&mut self, task: TaskRef, epoch: u64, record: &Record) {
        let to = &mut self.records;
        to.execution.push(uuid(task.execution.as_bytes()));
        to.task.push(uuid(task.task.as_bytes()));
        to.epoch.push(stored(epoch));
        to.seq.push(i64::from(record.seq));
        to.run.push(stored_small(record.run));
        to.seen.push(stored_small(record.seen));
        to.kind.push(record.kind as i16);
        to.verdict.push(record.verdict as i16);
        to.key.push(Key(record.key.clone()));
        to.payload.push(blob(&record.payload));
        to.digest.push(record.digest.map(|digest| digest.to_vec()));
        to.source.push(record.source.map(|source| uuid(&source)));
    }

    /// An execution that ends with its root.
    pub(crate) fn finish(&mut self, execution: &[u8; 16], state: i16) {
        self.finished += 1;
        self.finishes.execution.push(uuid(execution));
        self.finishes.state.push(state);
    }

    pub(crate) fn end(&mut self, end: &TaskEnd<'_>) {
        // A child that starts and ends in one batch is written once.
        if let (Some(row), Some(result)) = (self.children.rows.get(&end.task).copied(), end.result) {
            let to = &mut self.children;
            to.state.0[row] = end.state as i16;
            to.session.set(row, None);
            to.result.set(row, Some(blob(result)));
            to.undelivered.set(row, end.undelivered.then_some(true));
            return;
        }
        self.end_alone(end);
    }

    fn end_alone(&mut self, end: &TaskEnd<'_>) {
        let to = &mut self.ends;
        to.execution.push(uuid(end.task.execution.as_bytes()));
        to.task.push(uuid(end.task.task.as_bytes()));
        to.state.push(end.state as i16);
        to.losses.push(stored_small(end.losses));
        to.result.push(end.result.map(blob));
        to.failure.push(end.failure.map(blob));
        to.undelivered.push(end.undelivered.then_some(true));
    }

    /// A task that is gathered or there and has never started ends with the result of an equal call. Written by itself: the
    /// statement of those that start and end gives them a start.
    pub(crate) fn hit(&mut self, task: TaskRef, result: &Payload, undelivered: bool) {
        let end =
            TaskEnd { task, state: TaskState::Completed, losses: 0, result: Some(result), failure: None, undelivered };
        self.end_alone(&end);
    }

    /// The statements that have rows, in the order in which they must run.
    pub(crate) fn statements(&self) -> Vec<(Query, Vec<&dyn Param>)> {
        let now = &self.now;
        let mut all: Vec<(Query, Vec<&dyn Param>)> = Vec::new();
        if let Some(gates) = &self.gates {
            all.push((Query::GatesCheck, vec![gates]));
        }
        let Starts { execution, route, priority, args, session, due, deadline, .. } = &self.starts;
        if !execution.0.is_empty() {
            let Starts { deadline_state, expire_at, run_within, on_start, options, headers, .. } = &self.starts;
            all.push((
                Query::StartInsert,
                vec![
                    execution,
                    route,
                    priority,
                    args,
                    session,
                    due,
                    deadline,
                    deadline_state,
                    expire_at,
                    run_within,
                    on_start,
                    options,
                    headers,
                    now,
                ],
            ));
        }
        let Finishes { execution, state } = &self.finishes;
        if !execution.0.is_empty() {
            all.push((Query::ExecutionFinish, vec![execution, state, now, &self.finished]));
        }
        let Children { execution, task, parent, route, priority, state, key, seen, digest, .. } = &self.children;
        if !execution.0.is_empty() {
            let Children { args, session, due, options, headers, result, undelivered, .. } = &self.children;
            all.push((
                Query::ChildInsert,
                vec![
                    execution,
                    task,
                    parent,
                    route,
                    priority,
                    state,
                    key,
                    seen,
                    digest,
                    args,
                    session,
                    due,
                    options,
                    headers,
                    result,
                    undelivered,
                    now,
                ],
            ));
        }
        let Ends { execution, task, state, losses, result, failure, undelivered } = &self.ends;
        if !execution.0.is_empty() {
            all.push((Query::TaskFinish, vec![execution, task, state, losses, result, failure, undelivered, now]));
        }
        let Records { execution, task, epoch, seq, run, seen, kind, verdict, .. } = &self.records;
        if !execution.0.is_empty() {
            let Records { key, payload, digest, source, .. } = &self.records;
            all.push((
                Query::RecordInsert,
                vec![execution, task, epoch, seq, run, seen, kind, verdict, key, payload, digest, source, now],
            ));
        }
        let Slots { function, number, execution, task } = &self.slots;
        if !number.0.is_empty() {
            all.push((Query::SlotLetGo, vec![function, number, execution, task]));
        }
        all
    }

    /// What must be so for what is gathered to hold.
    pub(crate) fn gates(&self) -> Option<&dyn Param> {
        self.gates.as_ref().map(|gates| gates as &dyn Param)
    }

    /// The one statement that does all of it, behind the fence's four values.
    pub(crate) fn statement_alone<'w>(
        &'w self,
        alone: Alone,
        fence: [&'w dyn Param; 4],
    ) -> (Query, Vec<&'w dyn Param>) {
        let mut values = fence.to_vec();
        let query = match alone {
            Alone::Record => {
                let r = &self.records;
                values.extend::<[&dyn Param; 12]>([
                    &r.execution.0[0],
                    &r.task.0[0],
                    &r.epoch.0[0],
                    &r.seq.0[0],
                    &r.run.0[0],
                    &r.seen.0[0],
                    &r.kind.0[0],
                    &r.verdict.0[0],
                    &r.key.0[0],
                    &r.payload.0[0],
                    r.digest.first(),
                    r.source.first(),
                ]);
                Query::RecordAlone
            }
            Alone::Records => {
                let r = &self.records;
                values.extend::<[&dyn Param; 12]>([
                    &r.execution,
                    &r.task,
                    &r.epoch,
                    &r.seq,
                    &r.run,
                    &r.seen,
                    &r.kind,
                    &r.verdict,
                    &r.key,
                    &r.payload,
                    &r.digest,
                    &r.source,
                ]);
                Query::RecordsAlone
            }
            Alone::Start => {
                let s = &self.starts;
                values.extend::<[&dyn Param; 14]>([
                    &s.execution.0[0],
                    &s.route.0[0],
                    &s.priority.0[0],
                    &s.args.0[0],
                    s.session.first(),
                    s.due.first(),
                    s.deadline.first(),
                    s.deadline_state.first(),
                    s.expire_at.first(),
                    s.run_within.first(),
                    s.on_start.first(),
                    s.options.first(),
                    s.headers.first(),
                    &self.gates,
                ]);
                Query::StartAlone
            }
            Alone::Starts => {
                let s = &self.starts;
                values.extend::<[&dyn Param; 14]>([
                    &s.execution,
                    &s.route,
                    &s.priority,
                    &s.args,
                    &s.session,
                    &s.due,
                    &s.deadline,
                    &s.deadline_state,
                    &s.expire_at,
                    &s.run_within,
                    &s.on_start,
                    &s.options,
                    &s.headers,
                    &self.gates,
                ]);
                Query::StartsAlone
            }
            Alone::Finish => {
                let e = &self.ends;
                let slot: (&dyn Param, &dyn Param) = match (self.slots.function.0.first(), self.slots.number.0.first())
                {
                    (Some(function), Some(number)) => (function, number),
                    _ => (&NO_FUNCTION, &NO_NUMBER),
                };
                values.extend::<[&dyn Param; 8]>([
                    &self.finishes.execution.0[0],
                    &self.finishes.state.0[0],
                    &e.state.0[0],
                    &e.losses.0[0],
                    e.result.first(),
                    e.failure.first(),
                    slot.0,
                    slot.1,
                ]);
                Query::FinishAlone
            }
        };
        values.push(&self.now);
        (query, values)
    }
}

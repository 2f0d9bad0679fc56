//! What the model shows: every query of the `Store` trait, as a plain function of the rows.

use std::collections::{BTreeMap, BTreeSet};

use stent_core::command::Wait;
use stent_core::history::OpenCall;
use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, Nudge, QueueView, SessionView, Stats,
    StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, ExecutionId, ExecutionState, Failure, FailureKind, History, MaxConcurrent, Name, RecordKind, SessionId,
    TaskId, TaskRef, TaskState, Timestamp, Verdict,
};

use super::Model;
use super::rows::{Execution, Session, Task, Written};
use super::waits::{is_undelivered, kind};

/// How things stood before a batch, as far as what it leaves apart goes by that.
pub(crate) struct BeforeBatch {
    slots: BTreeMap<Name, usize>,
    tasks: BTreeSet<TaskRef>,
}

impl Model {
    /// See [`Store::history`](stent_core::Store::history).
    #[must_use]
    pub fn history(&self, at: TaskRef, after: u32) -> History {
        let Some(task) = self.tasks.get(&at) else { return History::default() };
        let later = task.records.values().filter(|written| written.record.seq > after);
        History { records: later.map(|written| written.record.clone()).collect(), open: self.open_calls(at) }
    }

    fn open_calls(&self, at: TaskRef) -> Vec<OpenCall> {
        // A retry may have called another child under the same key.
        let mut open: BTreeMap<&CallKey, Vec<OpenCall>> = BTreeMap::new();
        for (child, task) in self.tasks_of(at.execution) {
            let Some(call) = task.call.as_ref().filter(|call| call.parent == at.task) else { continue };
            if (task.state.is_terminal() || task.detached) && !is_undelivered(task) {
                continue;
            }
            let (key, seen, digest) = (call.key.clone(), call.seen, Some(call.digest));
            let child = OpenCall { key, kind: RecordKind::Child, seen, child: Some(child.task), digest, due: None };
            open.entry(&call.key).or_default().push(child);
        }
        for (key, row) in self.waits_of(at) {
            let child = if let Wait::Child(child) = row.wait { Some(child) } else { None };
            let (owned, kind) = (key.clone(), kind(&row.wait));
            let call = OpenCall { key: owned, kind, seen: row.seen, child, digest: None, due: row.due };
            match open.get_mut(key) {
                Some(children) => children.iter_mut().for_each(|call| call.due = row.due),
                None => drop(open.insert(key, vec![call])),
            }
        }
        open.into_values().flatten().collect()
    }

    /// See [`Store::arrivals`](stent_core::Store::arrivals).
    #[must_use]
    pub fn arrivals(&self, at: TaskRef, now: Timestamp) -> Vec<CallKey> {
        let waits = self.waits_of(at).filter(|(_, row)| self.is_there(at, row, now));
        let mut keys: Vec<_> = waits.map(|(key, _)| key.clone()).collect();
        for (_, task) in self.tasks_of(at.execution) {
            let call = task.call.as_ref().filter(|call| call.parent == at.task);
            keys.extend(call.filter(|_| is_undelivered(task)).map(|call| call.key.clone()));
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// See [`Store::nudges`](stent_core::Store::nudges).
    #[must_use]
    pub fn nudges(&self, session: SessionId) -> Vec<Nudge> {
        let owned = self.tasks.iter().filter(|(_, task)| task.session == Some(session));
        let nudged = owned.filter(|(_, task)| task.woken || task.state.is_terminal());
        nudged.map(|(at, task)| Nudge { task: *at, epoch: task.epoch, state: task.state }).collect()
    }

    /// See [`Store::execution`](stent_core::Store::execution).
    #[must_use]
    pub fn execution(&self, id: ExecutionId) -> Option<ExecutionView> {
        self.view(id, self.executions.get(&id)?)
    }

    fn view(&self, id: ExecutionId, row: &Execution) -> Option<ExecutionView> {
        let root = self.tasks.get(&TaskRef::root(id))?;
        Some(ExecutionView {
            id,
            function: root.spec.function.clone(),
            queue: root.spec.queue.clone(),
            state: row.state.shown(root.first_started_at.is_some()),
            created_at: row.created_at,
            started_at: root.first_started_at,
            completed_at: row.completed_at,
            deadline: row.deadline.map(|(at, _)| at),
            result: root.result.clone(),
            failure: root.failure.clone(),
            attempts: if root.started_at.is_some() { root.attempt } else { root.attempt - 1 },
            priority: root.spec.priority,
            tags: root.spec.tags.clone(),
        })
    }

    /// See [`Store::which_ended`](stent_core::Store::which_ended).
    #[must_use]
    pub fn which_ended(&self, ids: &[ExecutionId]) -> Vec<ExecutionId> {
        let over = |id: &ExecutionId| self.executions.get(id).is_none_or(|row| row.state.is_terminal());
        ids.iter().copied().filter(over).collect()
    }

    /// See [`Store::executions`](stent_core::Store::executions).
    #[must_use]
    pub fn executions(&self, filter: &ExecutionFilter) -> Vec<ExecutionView> {
        let all = self.executions.iter().rev().filter_map(|(id, row)| self.view(*id, row));
        all.filter(|view| filter.state.is_none_or(|state| state == view.state))
            .filter(|view| filter.queue.as_ref().is_none_or(|queue| *queue == view.queue))
            .skip(filter.offset as usize)
            .take(filter.limit as usize)
            .collect()
    }

    /// See [`Store::count_executions`](stent_core::Store::count_executions).
    #[must_use]
    pub fn count_executions(&self, state: Option<ExecutionState>) -> u64 {
        let all = self.executions.iter().filter_map(|(id, row)| self.view(*id, row));
        all.filter(|view| state.is_none_or(|state| state == view.state)).count() as u64
    }

    /// See [`Store::find_task`](stent_core::Store::find_task).
    #[must_use]
    pub fn find_task(&self, id: TaskId) -> Option<TaskRef> {
        self.tasks.keys().find(|at| at.task == id).copied()
    }

    /// See [`Store::task`](stent_core::Store::task).
    #[must_use]
    pub fn task(&self, at: TaskRef) -> Option<TaskView> {
        self.tasks.get(&at).map(|task| task_view(at, task))
    }

    /// See [`Store::tasks`](stent_core::Store::tasks).
    #[must_use]
    pub fn tasks(&self, execution: ExecutionId) -> Vec<TaskView> {
        self.tasks_of(execution).map(|(at, task)| task_view(at, task)).collect()
    }

    /// See [`Store::list_tasks`](stent_core::Store::list_tasks).
    #[must_use]
    pub fn list_tasks(&self, filter: &TaskFilter) -> Vec<TaskView> {
        let all = self.tasks.iter().rev().map(|(at, task)| task_view(*at, task));
        all.filter(|view| filter.state.is_none_or(|state| state == view.state))
            .filter(|view| filter.queue.as_ref().is_none_or(|queue| *queue == view.queue))
            .filter(|view| !filter.only_children || view.parent.is_some())
            .skip(filter.offset as usize)
            .take(filter.limit as usize)
            .collect()
    }

    /// See [`Store::count_tasks`](stent_core::Store::count_tasks).
    #[must_use]
    pub fn count_tasks(&self, queue: Option<&Name>, state: Option<TaskState>) -> u64 {
        let in_queue = self.tasks.values().filter(|task| queue.is_none_or(|queue| *queue == task.spec.queue));
        in_queue.filter(|task| state.is_none_or(|state| state == task.state)).count() as u64
    }

    /// See [`Store::steps`](stent_core::Store::steps).
    #[must_use]
    pub fn steps(&self, execution: ExecutionId, limit: u32) -> Vec<StepView> {
        let records = self.tasks_of(execution).flat_map(|(at, task)| task.records.values().map(move |row| (at, row)));
        let steps = records.filter(|(_, row)| row.record.kind == RecordKind::Step);
        let view = |(at, row): (TaskRef, &Written)| StepView {
            task: at.task,
            seq: row.record.seq,
            key: row.record.key.clone(),
            failure: (row.record.verdict == Verdict::Failed).then(|| Failure::from_payload(&row.record.payload)),
            at: row.record.at,
        };
        steps.map(view).take(limit as usize).collect()
    }

    /// See [`Store::stats`](stent_core::Store::stats).
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { letters: self.count_letters(), ..Stats::default() };
        for view in self.executions.iter().filter_map(|(id, row)| self.view(*id, row)) {
            *stats.executions.entry(view.state).or_default() += 1;
        }
        for task in self.tasks.values() {
            *stats.tasks.entry((task.spec.queue.clone(), task.state)).or_default() += 1;
        }
        stats.workers = self.sessions.values().filter(|row| row.is_open).count() as u64;
        stats
    }

    /// See [`Store::count_letters`](stent_core::Store::count_letters).
    #[must_use]
    pub fn count_letters(&self) -> u64 {
        self.letters.len() as u64
    }

    /// See [`Store::letters`](stent_core::Store::letters).
    #[must_use]
    pub fn letters(&self, limit: u32) -> Vec<LetterView> {
        let mut newest: Vec<_> = self.letters.iter().map(|(at, moved)| (*moved, *at)).collect();
        newest.sort_unstable_by(|one, other| other.cmp(one));
        newest.into_iter().take(limit as usize).filter_map(|(_, at)| self.letter(at)).collect()
    }

    /// See [`Store::letter`](stent_core::Store::letter).
    #[must_use]
    pub fn letter(&self, at: TaskRef) -> Option<LetterView> {
        let moved_at = *self.letters.get(&at)?;
        let task = self.tasks.get(&at)?;
        let root_failed = self.tasks.get(&TaskRef::root(at.execution)).is_some_and(|r| r.state == TaskState::Failed);
        let unknown = || Failure::new(FailureKind::Error, "");
        Some(LetterView {
            task: at,
            function: task.spec.function.clone(),
            queue: task.spec.queue.clone(),
            failure: task.failure.clone().unwrap_or_else(unknown),
            moved_at,
            through_root: !at.is_root() && root_failed,
        })
    }

    /// See [`Store::sessions`](stent_core::Store::sessions).
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionView> {
        let open = self.sessions.iter().filter(|(_, row)| row.is_open);
        open.map(|(session, row)| SessionView {
            session: *session,
            worker_id: row.worker_id.clone(),
            host: row.host.clone(),
            pid: row.pid,
            suspect: row.suspect,
        })
        .collect()
    }

    /// See [`Store::gone_sessions`](stent_core::Store::gone_sessions), given who is present.
    #[must_use]
    pub fn gone_sessions(
        &self,
        worker_timeout: std::time::Duration,
        is_present: impl Fn(SessionId) -> bool,
    ) -> Vec<SessionId> {
        let silent = |beat| self.uptime.saturating_sub(beat) >= worker_timeout;
        // One that was taken over in part is gone until nothing is left in its hands.
        let owns = |session| self.tasks.values().any(|task| task.session == Some(session));
        let gone = self.sessions.iter().filter(|(session, row)| {
            if row.is_open { silent(row.beat) || !is_present(**session) } else { owns(**session) }
        });
        gone.map(|(session, _)| *session).collect()
    }

    /// See [`Store::queues`](stent_core::Store::queues).
    #[must_use]
    pub fn queues(&self) -> Vec<QueueView> {
        self.queues.iter().map(|(name, paused)| QueueView { name: name.clone(), paused: *paused }).collect()
    }

    /// See [`Store::functions`](stent_core::Store::functions). One for each session that knows it, oldest first.
    #[must_use]
    pub fn functions(&self) -> Vec<FunctionView> {
        let open = self.sessions.values().filter(|row| row.is_open);
        let mut functions: Vec<_> = open.flat_map(|row| row.functions.values().cloned()).collect();
        functions.sort_by(|one, other| one.name.cmp(&other.name));
        functions
    }

    /// See [`Store::limit`](stent_core::Store::limit).
    #[must_use]
    pub fn limit(&self, function: &Name) -> LimitView {
        let holders = self.tasks.iter().filter(|(_, task)| task.holds_slot && task.spec.function == *function);
        LimitView { limit: self.limit_in_force(function), holders: holders.map(|(at, _)| *at).collect() }
    }

    /// The smallest limit that an open session has published for a function.
    pub(super) fn limit_in_force(&self, function: &Name) -> Option<MaxConcurrent> {
        let open = self.sessions.values().filter(|row| row.is_open);
        open.filter_map(|row| row.functions.get(function).and_then(|view| view.max_concurrent)).min()
    }

    /// The functions whose slots are in hand, each with how many; none where nothing has a limit.
    fn slots_in_hand(&self) -> BTreeMap<Name, usize> {
        let mut held = BTreeMap::new();
        if !self.sessions.values().any(Session::has_limits) {
            return held;
        }
        for task in self.tasks.values().filter(|task| task.holds_slot) {
            *held.entry(task.spec.function.clone()).or_default() += 1;
        }
        held
    }

    /// What a batch that begins now is measured by.
    pub(crate) fn before_batch(&self) -> BeforeBatch {
        BeforeBatch { slots: self.slots_in_hand(), tasks: self.tasks.keys().copied().collect() }
    }

    /// Whether a batch has let slots go that ready tasks wait for, or has started tasks that slots are free for.
    pub(crate) fn leaves_apart(&self, before: &BeforeBatch) -> bool {
        let after = self.slots_in_hand();
        let fewer = |function: &Name| after.get(function) < before.slots.get(function);
        let is_free = |function: &Name| {
            let held = after.get(function).copied().unwrap_or_default();
            self.limit_in_force(function).is_none_or(|limit| held < limit.get() as usize)
        };
        let meets = |(at, task): (&TaskRef, &Task)| {
            let function = &task.spec.function;
            task.is_ready() && (fewer(function) || !before.tasks.contains(at) && is_free(function))
        };
        self.tasks.iter().any(meets)
    }

    /// See [`Store::baggage`](stent_core::Store::baggage).
    #[must_use]
    pub fn baggage(&self, execution: ExecutionId) -> Baggage {
        let counters = self.counters.iter().filter(|((of, _), _)| *of == execution);
        let state = self.state.iter().filter(|((of, _), _)| *of == execution);
        Baggage {
            counters: counters.map(|((_, name), value)| (name.clone(), *value)).collect(),
            state: state.map(|((_, name), value)| (name.clone(), value.clone())).collect(),
        }
    }
}

fn task_view(at: TaskRef, task: &Task) -> TaskView {
    TaskView {
        task: at,
        parent: task.call.as_ref().map(|call| call.parent),
        key: task.call.as_ref().map(|call| call.key.as_str().to_owned()),
        function: task.spec.function.clone(),
        queue: task.spec.queue.clone(),
        state: task.state,
        priority: task.spec.priority,
        tags: task.spec.tags.clone(),
        attempt: task.attempt,
        run: task.run,
        losses: task.losses,
        epoch: task.epoch,
        session: task.session,
        holds_slot: task.holds_slot,
        woken: task.woken,
        due: task.due,
        created_at: task.created_at,
        started_at: task.started_at,
        completed_at: task.completed_at,
        args: task.spec.args.clone(),
        result: task.result.clone(),
        failure: task.failure.clone(),
    }
}

//! The store that others see: the one that the bus accompanies, with a ring behind each commit that matters elsewhere.
//! It changes nothing that is read or written.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use stent_core::select::{Cell, Table};
use stent_core::store::{Query, Wakes};
use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, MemoView, Nudge, QueueView,
    SessionView, Stats, StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, Command, Committed, ExecutionId, ExecutionState, History, MemoKey, Name, ScheduleView, SessionId, Store,
    StoreError, TaskId, TaskRef, TaskState, Timestamp, Watcher,
};

use crate::bus::Bus;

/// A store with a bus beside it.
pub(crate) struct Accompanied {
    inner: Arc<dyn Store>,
    /// None until one is attached.
    bus: OnceLock<Bus>,
    /// Who watches: a bus that comes later tells them too.
    watchers: Mutex<Vec<Weak<dyn Watcher>>>,
    /// The sessions of this process: what wakes them alone matters nowhere else.
    sessions: Mutex<HashSet<SessionId>>,
}

impl Accompanied {
    /// Without a bus until one is attached.
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, bus: OnceLock::new(), watchers: Mutex::default(), sessions: Mutex::default() }
    }

    /// Attaches a bus, unless there is one; the address of the one that is there.
    pub(crate) fn attach(&self, bus: Bus) -> &str {
        let mut is_new = false;
        // Under the lock, so that no watcher is missed by both the bus and its attachment.
        let watchers = self.watchers();
        let attached = self.bus.get_or_init(|| {
            is_new = true;
            bus
        });
        if is_new {
            watchers.iter().for_each(|watcher| attached.add(Weak::clone(watcher)));
        }
        attached.address()
    }

    fn watchers(&self) -> MutexGuard<'_, Vec<Weak<dyn Watcher>>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells others of a commit, if there is anything for them in it.
    fn ring_for(&self, wakes: &Wakes) {
        let Some(bus) = self.bus.get() else { return };
        let woken = wakes.woken.iter().map(|(session, _)| session);
        let mut concerned = woken.chain(wakes.stopped.iter().map(|(session, ..)| session)).peekable();
        let for_work = wakes.ready
            || concerned.peek().is_some() && {
                let ours = self.sessions();
                concerned.any(|session| !ours.contains(session))
            };
        if for_work || !wakes.ended.is_empty() {
            bus.ring(!for_work);
        }
    }
}

impl Store for Accompanied {
    fn commit(&self, lane: usize, batch: Vec<Command>) -> Query<'_, Committed> {
        Box::pin(async move {
            let committed = self.inner.commit(lane, batch).await?;
            self.ring_for(&committed.wakes);
            Ok(committed)
        })
    }

    fn commit_here(&self, lane: usize, batch: &[Command], may_wait: bool) -> Option<Result<Committed, StoreError>> {
        let committed = self.inner.commit_here(lane, batch, may_wait);
        if let Some(Ok(committed)) = &committed {
            self.ring_for(&committed.wakes);
        }
        committed
    }

    fn enter(&self, session: SessionId) -> Result<(), StoreError> {
        self.inner.enter(session)?;
        self.sessions().insert(session);
        Ok(())
    }

    fn leave(&self, session: SessionId) {
        self.sessions().remove(&session);
        self.inner.leave(session);
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) {
        self.inner.watch(Weak::clone(&watcher));
        let mut watchers = self.watchers();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Weak::clone(&watcher));
        if let Some(bus) = self.bus.get() {
            bus.add(watcher);
        }
    }

    fn close(&self) -> Query<'_, ()> {
        Box::pin(async move {
            let closed = self.inner.close().await;
            if let Some(bus) = self.bus.get() {
                bus.close().await;
            }
            closed
        })
    }

    fn lanes(&self) -> usize {
        self.inner.lanes()
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn may_leave_it_to_others(&self) -> bool {
        self.inner.may_leave_it_to_others()
    }

    fn gone_sessions(&self, worker_timeout: Duration) -> Query<'_, Vec<SessionId>> {
        self.inner.gone_sessions(worker_timeout)
    }

    fn history(&self, task: TaskRef, after: u32) -> Query<'_, History> {
        self.inner.history(task, after)
    }

    fn arrivals(&self, task: TaskRef) -> Query<'_, Vec<CallKey>> {
        self.inner.arrivals(task)
    }

    fn nudges(&self, session: SessionId) -> Query<'_, Vec<Nudge>> {
        self.inner.nudges(session)
    }

    fn execution(&self, id: ExecutionId) -> Query<'_, Option<ExecutionView>> {
        self.inner.execution(id)
    }

    fn which_ended(&self, ids: Vec<ExecutionId>) -> Query<'_, Vec<ExecutionId>> {
        self.inner.which_ended(ids)
    }

    fn executions(&self, filter: ExecutionFilter) -> Query<'_, Vec<ExecutionView>> {
        self.inner.executions(filter)
    }

    fn count_executions(&self, state: Option<ExecutionState>) -> Query<'_, u64> {
        self.inner.count_executions(state)
    }

    fn find_task(&self, id: TaskId) -> Query<'_, Option<TaskRef>> {
        self.inner.find_task(id)
    }

    fn task(&self, task: TaskRef) -> Query<'_, Option<TaskView>> {
        self.inner.task(task)
    }

    fn tasks(&self, execution: ExecutionId) -> Query<'_, Vec<TaskView>> {
        self.inner.tasks(execution)
    }

    fn list_tasks(&self, filter: TaskFilter) -> Query<'_, Vec<TaskView>> {
        self.inner.list_tasks(filter)
    }

    fn count_tasks(&self, queue: Option<Name>, state: Option<TaskState>) -> Query<'_, u64> {
        self.inner.count_tasks(queue, state)
    }

    fn steps(&self, execution: ExecutionId, limit: u32) -> Query<'_, Vec<StepView>> {
        self.inner.steps(execution, limit)
    }

    fn stats(&self) -> Query<'_, Stats> {
        self.inner.stats()
    }

    fn count_letters(&self) -> Query<'_, u64> {
        self.inner.count_letters()
    }

    fn letters(&self, limit: u32) -> Query<'_, Vec<LetterView>> {
        self.inner.letters(limit)
    }

    fn letter(&self, task: TaskRef) -> Query<'_, Option<LetterView>> {
        self.inner.letter(task)
    }

    fn sessions(&self) -> Query<'_, Vec<SessionView>> {
        self.inner.sessions()
    }

    fn queues(&self) -> Query<'_, Vec<QueueView>> {
        self.inner.queues()
    }

    fn functions(&self) -> Query<'_, Vec<FunctionView>> {
        self.inner.functions()
    }

    fn limit(&self, function: &Name) -> Query<'_, LimitView> {
        self.inner.limit(function)
    }

    fn baggage(&self, execution: ExecutionId) -> Query<'_, Baggage> {
        self.inner.baggage(execution)
    }

    fn schedules(&self) -> Query<'_, Vec<ScheduleView>> {
        self.inner.schedules()
    }

    fn schedule(&self, name: &Name) -> Query<'_, Option<ScheduleView>> {
        self.inner.schedule(name)
    }

    fn next_schedules(&self, limit: u32) -> Query<'_, Vec<ScheduleView>> {
        self.inner.next_schedules(limit)
    }

    fn memo(&self, key: MemoKey) -> Query<'_, Option<MemoView>> {
        self.inner.memo(key)
    }

    fn select(&self, statement: String, parameters: Vec<Cell>) -> Query<'_, Table> {
        self.inner.select(statement, parameters)
    }
}

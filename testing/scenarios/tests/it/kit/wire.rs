//! A wire between an engine and its store, on which notifications and replies can be lost and batches come late.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use stent_core::store::Query;
use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, Nudge, QueueView, SessionView, Stats,
    StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, Command, Committed, ExecutionId, ExecutionState, History, Name, SessionId, Store, StoreError, TaskId,
    TaskRef, TaskState, Timestamp, Wakes, Watcher,
};

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is carried out; the reply never comes.
    ReplyLost,
    /// It never arrives.
    Lost,
    /// It is kept back, to be carried out when the test says so; the reply never comes.
    Late,
}

type Picks = Box<dyn Fn(&[Command]) -> bool + Send + Sync>;

/// The wire. Without faults it hands everything on.
pub(crate) struct Wire {
    store: Arc<dyn Store>,
    deaf: Arc<AtomicBool>,
    fate: Mutex<Option<(Fate, Picks)>>,
    kept: Mutex<Vec<Command>>,
    /// A batch met its fate: nothing of this process comes through any more.
    pub(crate) cut: tokio::sync::Semaphore,
    is_cut: AtomicBool,
    reads: Mutex<HashMap<ExecutionId, usize>>,
    looks: AtomicUsize,
}

impl Wire {
    pub(crate) fn over(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            deaf: Arc::default(),
            fate: Mutex::default(),
            kept: Mutex::default(),
            cut: tokio::sync::Semaphore::new(0),
            is_cut: AtomicBool::new(false),
            reads: Mutex::default(),
            looks: AtomicUsize::new(0),
        }
    }

    /// While the flag is up no notification comes through, neither of this process nor of others.
    pub(crate) fn deaf(self, flag: &Arc<AtomicBool>) -> Self {
        Self { deaf: Arc::clone(flag), ..self }
    }

    /// The first batch that `picks` names meets this fate.
    pub(crate) fn doom(&self, fate: Fate, picks: impl Fn(&[Command]) -> bool + Send + Sync + 'static) {
        *self.fate.lock().unwrap_or_else(PoisonError::into_inner) = Some((fate, Box::new(picks)));
    }

    /// The batch that was kept back.
    pub(crate) fn kept(&self) -> Vec<Command> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many executions were read, and how often any was.
    pub(crate) fn reads(&self) -> (usize, usize) {
        let reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        (reads.len(), reads.values().sum())
    }

    /// How often it was asked of many executions whether they have ended.
    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Ordering::Acquire)
    }

    fn fate_of(&self, batch: &[Command]) -> Option<Fate> {
        let mut fate = self.fate.lock().unwrap_or_else(PoisonError::into_inner);
        if fate.as_ref().is_some_and(|(_, picks)| picks(batch)) { fate.take().map(|(fate, _)| fate) } else { None }
    }
}

impl Store for Wire {
    fn lanes(&self) -> usize {
        self.store.lanes()
    }

    fn commit(&self, lane: usize, batch: Vec<Command>) -> Query<'_, Committed> {
        Box::pin(async move {
            if self.is_cut.load(Ordering::Acquire) {
                return std::future::pending().await;
            }
            if let Some(fate) = self.fate_of(&batch) {
                self.is_cut.store(true, Ordering::Release);
                match fate {
                    Fate::ReplyLost => drop(self.store.commit(lane, batch).await?),
                    Fate::Lost => {}
                    Fate::Late => *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = batch,
                }
                self.cut.add_permits(1);
                return std::future::pending().await;
            }
            let mut committed = self.store.commit(lane, batch).await?;
            if self.deaf.load(Ordering::Acquire) {
                committed.wakes = Wakes::default();
            }
            Ok(committed)
        })
    }

    fn now(&self) -> Timestamp {
        self.store.now()
    }

    fn enter(&self, session: SessionId) -> Result<(), StoreError> {
        self.store.enter(session)
    }

    fn leave(&self, session: SessionId) {
        self.store.leave(session);
    }

    fn may_leave_it_to_others(&self) -> bool {
        self.store.may_leave_it_to_others()
    }

    fn gone_sessions(&self, worker_timeout: Duration) -> Query<'_, Vec<SessionId>> {
        self.store.gone_sessions(worker_timeout)
    }

    fn history(&self, task: TaskRef, after: u32) -> Query<'_, History> {
        self.store.history(task, after)
    }

    fn arrivals(&self, task: TaskRef) -> Query<'_, Vec<CallKey>> {
        self.store.arrivals(task)
    }

    fn nudges(&self, session: SessionId) -> Query<'_, Vec<Nudge>> {
        self.store.nudges(session)
    }

    fn execution(&self, id: ExecutionId) -> Query<'_, Option<ExecutionView>> {
        *self.reads.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default() += 1;
        self.store.execution(id)
    }

    fn which_ended(&self, ids: Vec<ExecutionId>) -> Query<'_, Vec<ExecutionId>> {
        self.looks.fetch_add(1, Ordering::AcqRel);
        self.store.which_ended(ids)
    }

    fn executions(&self, filter: ExecutionFilter) -> Query<'_, Vec<ExecutionView>> {
        self.store.executions(filter)
    }

    fn count_executions(&self, state: Option<ExecutionState>) -> Query<'_, u64> {
        self.store.count_executions(state)
    }

    fn find_task(&self, id: TaskId) -> Query<'_, Option<TaskRef>> {
        self.store.find_task(id)
    }

    fn task(&self, task: TaskRef) -> Query<'_, Option<TaskView>> {
        self.store.task(task)
    }

    fn tasks(&self, execution: ExecutionId) -> Query<'_, Vec<TaskView>> {
        self.store.tasks(execution)
    }

    fn list_tasks(&self, filter: TaskFilter) -> Query<'_, Vec<TaskView>> {
        self.store.list_tasks(filter)
    }

    fn count_tasks(&self, queue: Option<Name>, state: Option<TaskState>) -> Query<'_, u64> {
        self.store.count_tasks(queue, state)
    }

    fn steps(&self, execution: ExecutionId, limit: u32) -> Query<'_, Vec<StepView>> {
        self.store.steps(execution, limit)
    }

    fn stats(&self) -> Query<'_, Stats> {
        self.store.stats()
    }

    fn count_letters(&self) -> Query<'_, u64> {
        self.store.count_letters()
    }

    fn letters(&self, limit: u32) -> Query<'_, Vec<LetterView>> {
        self.store.letters(limit)
    }

    fn letter(&self, task: TaskRef) -> Query<'_, Option<LetterView>> {
        self.store.letter(task)
    }

    fn sessions(&self) -> Query<'_, Vec<SessionView>> {
        self.store.sessions()
    }

    fn queues(&self) -> Query<'_, Vec<QueueView>> {
        self.store.queues()
    }

    fn functions(&self) -> Query<'_, Vec<FunctionView>> {
        self.store.functions()
    }

    fn limit(&self, function: &Name) -> Query<'_, LimitView> {
        self.store.limit(function)
    }

    fn schedules(&self) -> Query<'_, Vec<stent_core::ScheduleView>> {
        self.store.schedules()
    }

    fn schedule(&self, name: &Name) -> Query<'_, Option<stent_core::ScheduleView>> {
        self.store.schedule(name)
    }

    fn next_schedules(&self, limit: u32) -> Query<'_, Vec<stent_core::ScheduleView>> {
        self.store.next_schedules(limit)
    }

    fn baggage(&self, execution: ExecutionId) -> Query<'_, Baggage> {
        self.store.baggage(execution)
    }

    fn memo(&self, key: stent_core::MemoKey) -> Query<'_, Option<stent_core::view::MemoView>> {
        self.store.memo(key)
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) {
        if !self.deaf.load(Ordering::Acquire) {
            self.store.watch(watcher);
        }
    }

    fn close(&self) -> Query<'_, ()> {
        self.store.close()
    }
}

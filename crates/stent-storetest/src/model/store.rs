//! The model as a `Store`: one mutex, commands one by one, futures that are ready at their first poll. Several handles
//! on one model stand for several processes on one database.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stent_core::command::Command;
use stent_core::store::Query;
use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, MemoView, Nudge, QueueView,
    SessionView, Stats, StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, Committed, ExecutionId, ExecutionState, History, MemoKey, Name, ScheduleView, SessionId, Store,
    StoreError, TaskId, TaskRef, TaskState, Timestamp, Wakes, Watcher,
};

use super::{ManualClock, Model, Uptime, WallClock};

/// Decides what becomes of notifications: it is given the watchers of all other handles after a commit that concerns
/// somebody, outside every lock, and calls, drops, keeps or doubles them.
pub type Notify = Arc<dyn Fn(Vec<Weak<dyn Watcher>>) + Send + Sync>;

/// A handle on a model: what one process has of the store. Cheap to make; see [`handle`](Self::handle).
///
/// ```
/// use stent_core::Store;
/// use stent_storetest::model::{ManualClock, ModelStore};
/// let clock = ManualClock::new();
/// let here = ModelStore::manual(&clock);
/// let elsewhere = here.handle();
/// assert_eq!(elsewhere.now(), clock.now());
/// ```
pub struct ModelStore {
    shared: Arc<Shared>,
    process: usize,
}

struct Shared {
    model: Mutex<Model>,
    clock: WallClock,
    uptime: Uptime,
    last_process: AtomicUsize,
    /// Which process each present session belongs to.
    present: Mutex<BTreeMap<SessionId, usize>>,
    watchers: Mutex<Vec<(usize, Weak<dyn Watcher>)>>,
    notify: Mutex<Notify>,
}

impl ModelStore {
    /// An empty store that goes by this clock; silence is counted by it too.
    #[must_use]
    pub fn new(clock: WallClock) -> Self {
        let wall = Arc::clone(&clock);
        Self::with_uptime(clock, Arc::new(move || wall().since(Timestamp::default())))
    }

    /// An empty store whose sessions' silence is counted by a clock of its own, so that jumps of the wall clock do not
    /// matter to it.
    #[must_use]
    pub fn with_uptime(clock: WallClock, uptime: Uptime) -> Self {
        let shared = Shared {
            model: Mutex::default(),
            clock,
            uptime,
            last_process: AtomicUsize::new(0),
            present: Mutex::default(),
            watchers: Mutex::default(),
            notify: Mutex::new(Arc::new(call_all)),
        };
        Self { shared: Arc::new(shared), process: 0 }
    }

    /// An empty store that goes by a manual clock.
    #[must_use]
    pub fn manual(clock: &ManualClock) -> Self {
        Self::with_uptime(clock.wall(), clock.boot())
    }

    /// Another process's handle on the same store.
    #[must_use]
    pub fn handle(&self) -> Self {
        let process = self.shared.last_process.fetch_add(1, Ordering::Relaxed) + 1;
        Self { shared: Arc::clone(&self.shared), process }
    }

    /// A copy of all rows.
    #[must_use]
    pub fn snapshot(&self) -> Model {
        self.model().clone()
    }

    /// Puts rows of a snapshot in place of all that is there. Nobody is notified.
    pub fn restore(&self, model: Model) {
        *self.model() = model;
    }

    /// What becomes of notifications from now on, for all handles. At first every watcher is called at once.
    pub fn set_notify(&self, notify: Notify) {
        *lock(&self.shared.notify) = notify;
    }

    /// Ends the presence of every session that this handle entered, as the death of its process does.
    pub fn crash(&self) {
        lock(&self.shared.present).retain(|_, process| *process != self.process);
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        lock(&self.shared.model)
    }

    fn carry_out(&self, batch: &[Command]) -> Committed {
        let mut committed = Committed { outcomes: Vec::with_capacity(batch.len()), wakes: Wakes::default() };
        let mut model = self.model();
        let now = (self.shared.clock)();
        model.set_uptime((self.shared.uptime)());
        let before = model.before_batch();
        for command in batch {
            committed.outcomes.push(model.apply(now, command, &mut committed.wakes));
        }
        committed.wakes.ready |= model.leaves_apart(&before);
        drop(model);
        if !committed.wakes.is_empty() {
            self.tell_others();
        }
        committed
    }

    fn tell_others(&self) {
        let mut watchers = lock(&self.shared.watchers);
        watchers.retain(|(_, watcher)| watcher.strong_count() > 0);
        let others = watchers.iter().filter(|(process, _)| *process != self.process);
        let others: Vec<_> = others.map(|(_, watcher)| Weak::clone(watcher)).collect();
        drop(watchers);
        let notify = Arc::clone(&lock(&self.shared.notify));
        if !others.is_empty() {
            notify(others);
        }
    }

    fn query<'a, T: Send + 'a>(&'a self, read: impl FnOnce(&Model, Timestamp) -> T + Send + 'a) -> Query<'a, T> {
        Box::pin(async move {
            let model = self.model();
            let now = (self.shared.clock)();
            Ok(read(&model, now))
        })
    }
}

/// Calls every watcher at once.
fn call_all(watchers: Vec<Weak<dyn Watcher>>) {
    for watcher in watchers {
        if let Some(watcher) = watcher.upgrade() {
            watcher.changed();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for ModelStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelStore").field("process", &self.process).finish_non_exhaustive()
    }
}

impl Store for ModelStore {
    fn commit(&self, _lane: usize, batch: Vec<Command>) -> Query<'_, Committed> {
        Box::pin(async move { Ok(self.carry_out(&batch)) })
    }

    fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    fn enter(&self, session: SessionId) -> Result<(), StoreError> {
        lock(&self.shared.present).insert(session, self.process);
        Ok(())
    }

    fn leave(&self, session: SessionId) {
        lock(&self.shared.present).remove(&session);
    }

    fn gone_sessions(&self, worker_timeout: Duration) -> Query<'_, Vec<SessionId>> {
        Box::pin(async move {
            let present = lock(&self.shared.present).clone();
            let mut model = self.model();
            model.set_uptime((self.shared.uptime)());
            Ok(model.gone_sessions(worker_timeout, |session| present.contains_key(&session)))
        })
    }

    fn history(&self, task: TaskRef, after: u32) -> Query<'_, History> {
        self.query(move |model, _| model.history(task, after))
    }

    fn arrivals(&self, task: TaskRef) -> Query<'_, Vec<CallKey>> {
        self.query(move |model, now| model.arrivals(task, now))
    }

    fn nudges(&self, session: SessionId) -> Query<'_, Vec<Nudge>> {
        self.query(move |model, _| model.nudges(session))
    }

    fn execution(&self, id: ExecutionId) -> Query<'_, Option<ExecutionView>> {
        self.query(move |model, _| model.execution(id))
    }

    fn which_ended(&self, ids: Vec<ExecutionId>) -> Query<'_, Vec<ExecutionId>> {
        self.query(move |model, _| model.which_ended(&ids))
    }

    fn executions(&self, filter: ExecutionFilter) -> Query<'_, Vec<ExecutionView>> {
        self.query(move |model, _| model.executions(&filter))
    }

    fn count_executions(&self, state: Option<ExecutionState>) -> Query<'_, u64> {
        self.query(move |model, _| model.count_executions(state))
    }

    fn find_task(&self, id: TaskId) -> Query<'_, Option<TaskRef>> {
        self.query(move |model, _| model.find_task(id))
    }

    fn task(&self, task: TaskRef) -> Query<'_, Option<TaskView>> {
        self.query(move |model, _| model.task(task))
    }

    fn tasks(&self, execution: ExecutionId) -> Query<'_, Vec<TaskView>> {
        self.query(move |model, _| model.tasks(execution))
    }

    fn list_tasks(&self, filter: TaskFilter) -> Query<'_, Vec<TaskView>> {
        self.query(move |model, _| model.list_tasks(&filter))
    }

    fn count_tasks(&self, queue: Option<Name>, state: Option<TaskState>) -> Query<'_, u64> {
        self.query(move |model, _| model.count_tasks(queue.as_ref(), state))
    }

    fn steps(&self, execution: ExecutionId, limit: u32) -> Query<'_, Vec<StepView>> {
        self.query(move |model, _| model.steps(execution, limit))
    }

    fn stats(&self) -> Query<'_, Stats> {
        self.query(|model, _| model.stats())
    }

    fn count_letters(&self) -> Query<'_, u64> {
        self.query(|model, _| model.count_letters())
    }

    fn letters(&self, limit: u32) -> Query<'_, Vec<LetterView>> {
        self.query(move |model, _| model.letters(limit))
    }

    fn letter(&self, task: TaskRef) -> Query<'_, Option<LetterView>> {
        self.query(move |model, _| model.letter(task))
    }

    fn sessions(&self) -> Query<'_, Vec<SessionView>> {
        self.query(|model, _| model.sessions())
    }

    fn queues(&self) -> Query<'_, Vec<QueueView>> {
        self.query(|model, _| model.queues())
    }

    fn functions(&self) -> Query<'_, Vec<FunctionView>> {
        self.query(|model, _| model.functions())
    }

    fn limit(&self, function: &Name) -> Query<'_, LimitView> {
        let function = function.clone();
        self.query(move |model, _| model.limit(&function))
    }

    fn schedules(&self) -> Query<'_, Vec<ScheduleView>> {
        self.query(|model, _| model.schedules())
    }

    fn schedule(&self, name: &Name) -> Query<'_, Option<ScheduleView>> {
        let name = name.clone();
        self.query(move |model, _| model.schedule(&name))
    }

    fn next_schedules(&self, limit: u32) -> Query<'_, Vec<ScheduleView>> {
        self.query(move |model, _| model.next_schedules(limit))
    }

    fn baggage(&self, execution: ExecutionId) -> Query<'_, Baggage> {
        self.query(move |model, _| model.baggage(execution))
    }

    fn memo(&self, key: MemoKey) -> Query<'_, Option<MemoView>> {
        self.query(move |model, _| model.memo(&key))
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) {
        lock(&self.shared.watchers).push((self.process, watcher));
    }

    fn close(&self) -> Query<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

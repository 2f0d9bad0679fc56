//! A store as a simulated process meets it: commits take a while before and after they happen, so that a crash can fall
//! between a commit and its answer; notifications of other processes come late, twice or never.

use std::sync::{Arc, Weak};
use std::time::Duration;

use stent_core::store::{BoxFuture, Query, Watcher};
use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, Nudge, QueueView, SessionView, Stats,
    StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, Command, Committed, ExecutionId, ExecutionState, History, Name, SessionId, Store, StoreError, TaskId,
    TaskRef, TaskState, Timestamp,
};
use stent_engine::Runtime;

use crate::runtime::SimRuntime;

/// One process's view of the shared store.
pub struct SimStore {
    inner: Arc<dyn Store>,
    runtime: SimRuntime,
}

impl SimStore {
    /// Wraps a handle of the process that `runtime` belongs to.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, runtime: SimRuntime) -> Self {
        Self { inner, runtime }
    }

    fn slowly<'a, T: Send + 'a>(&'a self, answer: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        Box::pin(async move {
            self.runtime.dawdle(2).await;
            let answer = answer.await;
            self.runtime.dawdle(2).await;
            answer
        })
    }
}

/// A watcher whose calls are dropped, doubled or delayed.
struct Unreliable {
    told: Weak<dyn Watcher>,
    runtime: SimRuntime,
}

impl Watcher for Unreliable {
    fn changed(&self) {
        let random = self.runtime.random();
        for _ in 0..random % 3 {
            let (told, runtime) = (self.told.clone(), self.runtime.clone());
            let delay = Duration::from_millis((random >> 8) % 40);
            self.runtime.spawn(Box::pin(async move {
                runtime.sleep(delay).await;
                if let Some(told) = told.upgrade() {
                    told.changed();
                }
            }));
        }
    }
}

impl Store for SimStore {
    fn commit(&self, lane: usize, batch: Vec<Command>) -> Query<'_, Committed> {
        self.slowly(self.inner.commit(lane, batch))
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn enter(&self, session: SessionId) -> Result<(), StoreError> {
        self.inner.enter(session)
    }

    fn leave(&self, session: SessionId) {
        self.inner.leave(session);
    }

    fn may_leave_it_to_others(&self) -> bool {
        self.inner.may_leave_it_to_others()
    }

    fn gone_sessions(&self, worker_timeout: Duration) -> Query<'_, Vec<SessionId>> {
        self.slowly(self.inner.gone_sessions(worker_timeout))
    }

    fn history(&self, task: TaskRef, after: u32) -> Query<'_, History> {
        self.slowly(self.inner.history(task, after))
    }

    fn arrivals(&self, task: TaskRef) -> Query<'_, Vec<CallKey>> {
        self.slowly(self.inner.arrivals(task))
    }

    fn nudges(&self, session: SessionId) -> Query<'_, Vec<Nudge>> {
        self.slowly(self.inner.nudges(session))
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

    fn schedules(&self) -> Query<'_, Vec<stent_core::ScheduleView>> {
        self.inner.schedules()
    }

    fn schedule(&self, name: &Name) -> Query<'_, Option<stent_core::ScheduleView>> {
        self.inner.schedule(name)
    }

    fn next_schedules(&self, limit: u32) -> Query<'_, Vec<stent_core::ScheduleView>> {
        self.inner.next_schedules(limit)
    }

    fn baggage(&self, execution: ExecutionId) -> Query<'_, Baggage> {
        self.inner.baggage(execution)
    }

    fn memo(&self, key: stent_core::MemoKey) -> Query<'_, Option<stent_core::view::MemoView>> {
        self.inner.memo(key)
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) {
        // The inner store holds it weakly as well, so it has to live somewhere: as long as this process's store.
        let unreliable: Arc<dyn Watcher> = Arc::new(Unreliable { told: watcher, runtime: self.runtime.clone() });
        self.inner.watch(Arc::downgrade(&unreliable));
        self.runtime.spawn(Box::pin(async move {
            let _kept = unreliable;
            std::future::pending::<()>().await;
        }));
    }

    fn close(&self) -> Query<'_, ()> {
        self.inner.close()
    }
}

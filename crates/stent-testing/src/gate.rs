//! The store as a process meets it that is about to die: at the n-th commit of a task's own writes, before or after
//! it, nothing comes back any more. Whoever holds the gate then kills the process.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use stent_core::command::Append;
use stent_core::store::{Query, Watcher};
use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, Nudge, QueueView, SessionView, Stats,
    StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, Command, Committed, ExecutionId, ExecutionState, History, Name, SessionId, Store, StoreError, TaskId,
    TaskRef, TaskState, Timestamp,
};
use tokio::sync::Notify;

use crate::trial::Kill;

/// When a process dies, seen from one of its commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of it is written.
    Before,
    /// It is written, and nobody was told.
    After,
}

/// A store that stops answering at a point.
pub struct Gate {
    inner: Arc<dyn Store>,
    kill: Option<Kill>,
    passed: AtomicUsize,
    is_shut: AtomicBool,
    /// Told when the gate shuts.
    shut: Notify,
    /// What the commit was about, once the gate is shut.
    about: Mutex<String>,
}

impl Gate {
    /// A gate that shuts at a kill, or never.
    #[must_use]
    pub fn at(inner: Arc<dyn Store>, kill: Option<Kill>) -> Self {
        let (passed, is_shut, shut, about) = Default::default();
        Self { inner, kill, passed, is_shut, shut, about }
    }

    /// Whether the process met its end.
    pub fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::Acquire)
    }

    /// Resolves when the gate shuts. Only one may wait.
    pub async fn shuts(&self) {
        self.shut.notified().await;
    }

    /// What the commit was about at which the gate shut.
    pub fn about(&self) -> String {
        self.about.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn pass(&self) {
        if self.is_shut() {
            pending::<()>().await;
        }
    }

    async fn close(&self, about: String) -> ! {
        *self.about.lock().unwrap_or_else(PoisonError::into_inner) = about;
        self.is_shut.store(true, Ordering::Release);
        self.shut.notify_one();
        pending().await
    }

    fn through<'a, T: Send + 'a>(&'a self, query: Query<'a, T>) -> Query<'a, T> {
        Box::pin(async move {
            self.pass().await;
            let answer = query.await;
            self.pass().await;
            answer
        })
    }
}

/// What a batch writes for tasks; empty if it writes for none.
fn writes(batch: &[Command]) -> String {
    let words = batch.iter().filter_map(|command| match command {
        Command::Append(append) => Some(format!("{} \"{}\"", append.record.kind.as_str(), key(append))),
        Command::Await(wait) => Some(format!("wait \"{}\"", wait.key)),
        Command::StartChild(child) => Some(format!("child \"{}\"", child.key)),
        Command::Suspend(_) => Some("suspension".to_owned()),
        Command::Finish(_) => Some("end".to_owned()),
        _ => None,
    });
    words.collect::<Vec<_>>().join(", ")
}

fn key(append: &Append) -> &CallKey {
    &append.record.key
}

impl Store for Gate {
    fn lanes(&self) -> usize {
        self.inner.lanes()
    }

    fn commit(&self, lane: usize, batch: Vec<Command>) -> Query<'_, Committed> {
        Box::pin(async move {
            self.pass().await;
            let about = writes(&batch);
            let kill = match self.kill {
                Some(kill) if !about.is_empty() => {
                    (self.passed.fetch_add(1, Ordering::AcqRel) + 1 == kill.write).then_some(kill.moment)
                }
                _ => None,
            };
            if kill == Some(Moment::Before) {
                self.close(about).await;
            }
            let committed = self.inner.commit(lane, batch).await;
            if kill.is_some() {
                self.close(about).await;
            }
            committed
        })
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
        self.through(self.inner.gone_sessions(worker_timeout))
    }

    fn history(&self, task: TaskRef, after: u32) -> Query<'_, History> {
        self.through(self.inner.history(task, after))
    }

    fn arrivals(&self, task: TaskRef) -> Query<'_, Vec<CallKey>> {
        self.through(self.inner.arrivals(task))
    }

    fn nudges(&self, session: SessionId) -> Query<'_, Vec<Nudge>> {
        self.through(self.inner.nudges(session))
    }

    fn execution(&self, id: ExecutionId) -> Query<'_, Option<ExecutionView>> {
        self.through(self.inner.execution(id))
    }

    fn which_ended(&self, ids: Vec<ExecutionId>) -> Query<'_, Vec<ExecutionId>> {
        self.through(self.inner.which_ended(ids))
    }

    fn executions(&self, filter: ExecutionFilter) -> Query<'_, Vec<ExecutionView>> {
        self.through(self.inner.executions(filter))
    }

    fn count_executions(&self, state: Option<ExecutionState>) -> Query<'_, u64> {
        self.through(self.inner.count_executions(state))
    }

    fn find_task(&self, id: TaskId) -> Query<'_, Option<TaskRef>> {
        self.through(self.inner.find_task(id))
    }

    fn task(&self, task: TaskRef) -> Query<'_, Option<TaskView>> {
        self.through(self.inner.task(task))
    }

    fn tasks(&self, execution: ExecutionId) -> Query<'_, Vec<TaskView>> {
        self.through(self.inner.tasks(execution))
    }

    fn list_tasks(&self, filter: TaskFilter) -> Query<'_, Vec<TaskView>> {
        self.through(self.inner.list_tasks(filter))
    }

    fn count_tasks(&self, queue: Option<Name>, state: Option<TaskState>) -> Query<'_, u64> {
        self.through(self.inner.count_tasks(queue, state))
    }

    fn steps(&self, execution: ExecutionId, limit: u32) -> Query<'_, Vec<StepView>> {
        self.through(self.inner.steps(execution, limit))
    }

    fn stats(&self) -> Query<'_, Stats> {
        self.through(self.inner.stats())
    }

    fn count_letters(&self) -> Query<'_, u64> {
        self.through(self.inner.count_letters())
    }

    fn letters(&self, limit: u32) -> Query<'_, Vec<LetterView>> {
        self.through(self.inner.letters(limit))
    }

    fn letter(&self, task: TaskRef) -> Query<'_, Option<LetterView>> {
        self.through(self.inner.letter(task))
    }

    fn sessions(&self) -> Query<'_, Vec<SessionView>> {
        self.through(self.inner.sessions())
    }

    fn queues(&self) -> Query<'_, Vec<QueueView>> {
        self.through(self.inner.queues())
    }

    fn functions(&self) -> Query<'_, Vec<FunctionView>> {
        self.through(self.inner.functions())
    }

    fn limit(&self, function: &Name) -> Query<'_, LimitView> {
        self.through(self.inner.limit(function))
    }

    fn schedules(&self) -> Query<'_, Vec<stent_core::ScheduleView>> {
        self.through(self.inner.schedules())
    }

    fn schedule(&self, name: &Name) -> Query<'_, Option<stent_core::ScheduleView>> {
        self.through(self.inner.schedule(name))
    }

    fn next_schedules(&self, limit: u32) -> Query<'_, Vec<stent_core::ScheduleView>> {
        self.through(self.inner.next_schedules(limit))
    }

    fn baggage(&self, execution: ExecutionId) -> Query<'_, Baggage> {
        self.through(self.inner.baggage(execution))
    }

    fn memo(&self, key: stent_core::MemoKey) -> Query<'_, Option<stent_core::view::MemoView>> {
        self.through(self.inner.memo(key))
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) {
        self.inner.watch(watcher);
    }

    fn close(&self) -> Query<'_, ()> {
        self.through(self.inner.close())
    }
}

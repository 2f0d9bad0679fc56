//! A store of one's own: any other store, with a journal of who intervened. Before a signal, a cancellation or another
//! intervention is committed, a line that names it is on the disk; afterwards a second one says what came of it.
//! What executions do by themselves is not written down and costs nothing.
//!
//! Invariant: no intervention is ever in the database without its line in the journal.

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use stent_core::select::{Cell, Table};
use stent_core::store::Query;
use stent_core::view::{
    Baggage, ExecutionFilter, ExecutionView, FunctionView, LetterView, LimitView, MemoView, Nudge, QueueView,
    SessionView, Stats, StepView, TaskFilter, TaskView,
};
use stent_core::{
    CallKey, Command, Committed, ExecutionId, ExecutionState, History, MemoKey, Name, ScheduleView, SessionId, Store,
    StoreError, StoreErrorKind, TaskId, TaskRef, TaskState, Timestamp, Watcher,
};

use super::journal::{Asked, Journal};

/// A store with a journal before it.
pub struct Audited {
    inner: Arc<dyn Store>,
    journal: Journal,
}

impl Audited {
    /// `inner`, with its journal in this file, which no other process writes.
    ///
    /// # Errors
    /// When the file cannot be opened for writing.
    pub fn open(inner: Arc<dyn Store>, path: &Path) -> io::Result<Self> {
        Ok(Self { inner, journal: Journal::open(path)? })
    }

    /// What cannot be written down is not done: the error says that nothing of the batch is there, which is true, for
    /// the inner store has not seen it.
    fn ask(&self, batch: &[Command]) -> Result<Option<Asked>, StoreError> {
        self.journal.ask(self.inner.now(), batch).map_err(|error| {
            StoreError::new(StoreErrorKind::Unavailable, "the journal cannot be written").with_source(error)
        })
    }

    /// Once the inner store has committed there is no way back: an error here would claim that nothing happened. A
    /// missing answer harms nobody, and a disk that is full refuses the next question.
    fn answer(&self, asked: Option<&Asked>, result: &Result<Committed, StoreError>) {
        if let Some(asked) = asked {
            let _written = self.journal.answer(self.inner.now(), asked, result);
        }
    }
}

impl Store for Audited {
    fn commit(&self, lane: usize, batch: Vec<Command>) -> Query<'_, Committed> {
        Box::pin(async move {
            let asked = self.ask(&batch)?;
            let result = self.inner.commit(lane, batch).await;
            self.answer(asked.as_ref(), &result);
            result
        })
    }

    /// An intervention goes by `commit`, which may block; all else takes the inner store's short way.
    fn commit_here(&self, lane: usize, batch: &[Command], may_wait: bool) -> Option<Result<Committed, StoreError>> {
        if Journal::concerns(batch) {
            return None;
        }
        self.inner.commit_here(lane, batch, may_wait)
    }

    fn enter(&self, session: SessionId) -> Result<(), StoreError> {
        self.inner.enter(session)
    }

    fn leave(&self, session: SessionId) {
        self.inner.leave(session);
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) {
        self.inner.watch(watcher);
    }

    fn close(&self) -> Query<'_, ()> {
        self.inner.close()
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

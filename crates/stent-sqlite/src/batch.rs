//! A batch under way: the statements, the time and the caches of one transaction, and the one place that knows which
//! module carries out which command. It begins and ends no transaction; `commit.rs` and the outbox do.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::params;
use stent_core::command::{Command, Done, Refusal};
use stent_core::{Lease, Name, SessionId, TaskRef, Timestamp, Wakes};

use crate::clock::BootMoment;
use crate::error::{Step, Stop};
use crate::gates::Gates;
use crate::memos::{self, Ended};
use crate::query::{Query, Statements};
use crate::routes::Routes;
use crate::rows::Standing;
use crate::{
    claims, endings, letters, messages, operations, queues, records, schedules, sessions, starts, sweeps, waits,
};

/// One batch, on one connection, inside one transaction.
pub(crate) struct Batch<'c> {
    pub(crate) sql: Statements<'c>,
    pub(crate) routes: &'c mut Routes,
    /// The store's clock, read once: a batch happens at one moment.
    pub(crate) now: Timestamp,
    pub(crate) boot: BootMoment,
    pub(crate) wakes: Wakes,
    /// What the command under way has ended of tasks with a memo.
    pub(crate) ended: Vec<Ended>,
    /// Which sessions are open, as far as this batch has asked.
    open: HashMap<SessionId, bool>,
    /// What claims go by, if this batch has asked.
    pub(crate) gates: Option<Arc<Gates>>,
    /// Slots that were let go and not taken again, by function; fewer than none where more were taken.
    pub(crate) slots_left: HashMap<Name, i64>,
    /// Whether any task has had an event, if this batch has asked.
    cursors: Option<bool>,
}

impl<'c> Batch<'c> {
    pub(crate) fn new(sql: Statements<'c>, routes: &'c mut Routes, now: Timestamp, boot: BootMoment) -> Self {
        Self {
            sql,
            routes,
            now,
            boot,
            wakes: Wakes::default(),
            ended: Vec::new(),
            open: HashMap::new(),
            gates: None,
            slots_left: HashMap::new(),
            cursors: None,
        }
    }

    /// What was learnt and is not true any more after a rollback.
    pub(crate) fn forget(&mut self) {
        self.routes.clear();
        self.open.clear();
        self.gates = None;
        self.cursors = None;
        self.ended.clear();
    }

    /// Carries out one command. A refusal has changed nothing.
    pub(crate) fn run(&mut self, command: &Command) -> Step<Done> {
        let done = self.carry_out(command);
        if !self.ended.is_empty() && !matches!(done, Err(Stop::Failed(_))) {
            memos::settle(self)?;
        }
        done
    }

    fn carry_out(&mut self, command: &Command) -> Step<Done> {
        match command {
            Command::OpenSession(open) => sessions::open(self, open),
            Command::Beat(session) => sessions::beat(self, *session),
            Command::NameSuspect(session, suspect) => sessions::name_suspect(self, *session, *suspect),
            Command::CloseSession(session) => sessions::close(self, *session),
            Command::TakeOver(take) => sessions::take_over(self, take.session),
            Command::Publish(session, functions) => sessions::publish(self, *session, functions),
            Command::Start(start) => starts::start(self, start),
            Command::Claim(claim) => claims::claim(self, claim),
            Command::StartChild(start) => starts::start_child(self, start),
            Command::Reserve(reserve) => memos::reserve(self, reserve),
            Command::Append(append) => records::append(self, append),
            Command::Await(wait) => waits::ask(self, wait),
            Command::Abandon(lease, key) => waits::abandon(self, lease, key),
            Command::Heed(lease) => waits::heed(self, lease),
            Command::Suspend(suspend) => waits::suspend(self, &suspend.lease),
            Command::Release(release) => endings::release(self, release),
            Command::Finish(finish) => endings::finish(self, finish),
            Command::Signal(signal) => messages::signal(self, signal),
            Command::Emit(emit) => messages::emit(self, emit),
            Command::Cancel(task) => endings::cancel(self, *task),
            Command::ReplayLetter(replay) => letters::replay(self, replay),
            Command::DiscardLetter(task) => letters::discard(self, *task),
            Command::SetQueue(name, paused) => queues::set(self, name, *paused),
            Command::DropQueue(name) => queues::drop_queue(self, name),
            Command::Expire => sweeps::expire(self),
            Command::PruneEvents(before) => sweeps::prune_events(self, *before),
            Command::ClearCache(key) => memos::clear_cache(self, key.as_ref()),
            Command::PruneCache => memos::prune_cache(self),
            Command::Operate(operation) => operations::operate(self, operation),
            Command::Schedule(change) => schedules::change(self, change),
        }
    }

    /// Whether a session is open; unknown ones are not.
    pub(crate) fn is_open(&mut self, session: SessionId) -> Step<bool> {
        if let Some(open) = self.open.get(&session) {
            return Ok(*open);
        }
        let open = sessions::read(self, session)?.is_some_and(|s| s.is_open);
        self.open.insert(session, open);
        Ok(open)
    }

    /// A session was opened or closed by this batch.
    pub(crate) fn set_open(&mut self, session: SessionId, open: bool) {
        self.open.insert(session, open);
    }

    /// A task has had an event of a stream up to this place.
    pub(crate) fn set_cursor(&mut self, task: TaskRef, queue: &Name, name: &Name, position: i64) -> Step<()> {
        self.cursors = Some(true);
        let ids = (task.execution.as_bytes(), task.task.as_bytes());
        let statement = self.sql.get(Query::EventCursorSet)?;
        statement.execute(params![ids.0, ids.1, queue.as_str(), name.as_str(), position])?;
        Ok(())
    }

    /// A task never runs again: which events it has had is of no more use. Where nobody uses events this costs nothing.
    pub(crate) fn drop_cursors(&mut self, task: TaskRef) -> Step<()> {
        let any = match self.cursors {
            Some(any) => any,
            None => self.sql.get(Query::EventCursorsAny)?.query_row([], |row| row.get(0))?,
        };
        self.cursors = Some(any);
        if any {
            let ids = [task.execution.as_bytes(), task.task.as_bytes()];
            self.sql.get(Query::EventCursorsDelete)?.execute(ids)?;
        }
        Ok(())
    }

    /// Where a task stands.
    pub(crate) fn standing(&mut self, task: TaskRef) -> Step<Option<Standing>> {
        let mut rows = self.sql.get(Query::TaskRead)?.query([task.execution.as_bytes(), task.task.as_bytes()])?;
        Ok(rows.next()?.map(Standing::read).transpose()?)
    }

    /// The task that a lease gives the right to write for, or why it does not.
    pub(crate) fn leased(&mut self, lease: &Lease) -> Step<Standing> {
        let standing = self.standing(lease.task)?;
        let open = self.is_open(lease.session)?;
        match standing {
            Some(task) if open && task.is_held_by(lease) => Ok(task),
            other => Err(lost(other.as_ref(), lease).into()),
        }
    }
}

/// Why a lease does not stand: its task has ended under it, or somebody else owns the task by now.
pub(crate) fn lost(task: Option<&Standing>, lease: &Lease) -> Refusal {
    match task {
        Some(task) if task.state.is_terminal() && task.epoch == lease.epoch => Refusal::Terminal(task.state),
        _ => Refusal::LeaseLost,
    }
}

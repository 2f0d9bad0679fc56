//! A batch under way: what was read, what is to be written, and the one place that knows which module carries out which
//! command. What a batch writes is gathered and sent in few statements, at the latest with its commit; whatever reads
//! the database sends first what was gathered, so the outcome is that of running the commands one by one.
//!
//! A batch is run trusting at first: ids and places are taken to be free, deadlines not to have passed, and the
//! statements fail if one is not so. It is then rolled back and run with care, which looks before it writes.

mod trip;

use std::collections::{BTreeSet, HashMap, HashSet};

use stent_core::command::{Command, Done};
use stent_core::{ExecutionId, Lease, Name, SessionId, TaskRef, TaskState, Timestamp, Wakes};
use uuid::Uuid;

use crate::error::{Step, Stop};
use crate::line::Line;
use crate::memory::Memory;
use crate::memos::{self, Ended};
use crate::query::{Column, Link, Query};
use crate::rows::{self, ExecutionStanding, Standing, lost, uuid};
use crate::theirs::Theirs;
use crate::writes::Writes;
use crate::{
    claims, endings, letters, messages, operations, queues, records, schedules, sessions, starts, sweeps, waits,
};

/// How a batch takes what it has not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// As it usually is; the statements fail if it is not.
    Trusting,
    /// It looks first.
    Careful,
}

/// Whose batch it is: the committer's row and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fence {
    pub(crate) instance: Uuid,
    pub(crate) lane: i16,
    pub(crate) generation: i64,
    pub(crate) batch: i64,
    /// How many committers the process has.
    pub(crate) lanes: usize,
}

/// What a batch is sent over.
#[derive(Clone, Copy)]
pub(crate) enum Wire<'l> {
    /// The committer's own connection, in a transaction of its own behind the fence. The text begins each transaction.
    Own(&'l Link, Fence, &'l str),
    /// A transaction of the user's.
    Users(&'l dyn Theirs),
}

/// One batch, on one connection, inside one transaction.
pub(crate) struct Batch<'l> {
    wire: Wire<'l>,
    care: Care,
    pub(crate) memory: &'l mut Memory,
    /// The store's clock, read once: a batch happens at one moment.
    pub(crate) now: Timestamp,
    pub(crate) wakes: Wakes,
    /// What the command under way has ended of tasks with a memo.
    pub(crate) ended: Vec<Ended>,
    pub(crate) writes: Writes,
    /// Whether the transaction has begun.
    begun: bool,
    /// Rows that this transaction has locked.
    seen: HashMap<TaskRef, Option<Standing>>,
    /// Sessions of other processes that it has asked for, and locked against being closed.
    others: HashMap<SessionId, bool>,
    /// Sessions whose committers were bumped.
    bumped: HashSet<SessionId>,
    /// Running tasks that were marked as woken.
    pub(crate) marked: HashSet<TaskRef>,
    /// Whether this batch has asked what claims go by.
    pub(crate) gates_are_fresh: bool,
    /// Slots that were let go and not taken again, by function; fewer than none where more were taken.
    pub(crate) slots_left: HashMap<Name, i64>,
    /// The limited functions of which this batch made tasks ready that have no slot.
    pub(crate) slots_wanted: BTreeSet<Name>,
    /// Claimed tasks whose later commands come through other committers.
    pub(crate) for_others: Vec<(TaskRef, Standing)>,
    /// Whether tasks of this committer's were taken from their owners: one may be on its way here from another that
    /// claimed it.
    pub(crate) overtakes: bool,
    /// The server's clock, if this batch has brought it.
    pub(crate) server_micros: Option<i64>,
    /// Start keys that this batch has tied before its commands ran.
    pub(crate) tied: HashMap<Name, ExecutionId>,
    /// Whose committers' rows are locked along with its own when it begins.
    pub(crate) line: Option<Line>,
    presence: &'l (dyn Fn(SessionId) -> Option<i64> + Send + Sync),
}

impl<'l> Batch<'l> {
    pub(crate) fn new(
        wire: Wire<'l>,
        care: Care,
        memory: &'l mut Memory,
        presence: &'l (dyn Fn(SessionId) -> Option<i64> + Send + Sync),
        now: Timestamp,
    ) -> Self {
        Self {
            wire,
            care,
            memory,
            now,
            wakes: Wakes::default(),
            ended: Vec::new(),
            writes: Writes::new(now),
            begun: false,
            seen: HashMap::new(),
            others: HashMap::new(),
            bumped: HashSet::new(),
            marked: HashSet::new(),
            gates_are_fresh: false,
            slots_left: HashMap::new(),
            slots_wanted: BTreeSet::new(),
            for_others: Vec::new(),
            overtakes: false,
            server_micros: None,
            tied: HashMap::new(),
            line: None,
            presence,
        }
    }

    /// Whether what is about to be written must be looked for first.
    pub(crate) fn is_careful(&self) -> bool {
        self.care == Care::Careful
    }

    /// What was learnt and is not true any more after a rollback.
    pub(crate) fn forget(&mut self) {
        self.memory.clear();
        self.seen.clear();
        self.bumped.clear();
        self.others.clear();
        self.marked.clear();
        self.ended.clear();
        self.for_others.clear();
        self.gates_are_fresh = false;
        self.writes = self.writes.emptied();
    }

    /// Carries out one command. A refusal has changed nothing.
    pub(crate) async fn run(&mut self, command: &Command) -> Step<Done> {
        let done = self.carry_out(command).await;
        if !self.ended.is_empty() && matches!(done, Ok(_) | Err(Stop::Refused(_))) {
            memos::settle(self).await?;
        }
        done
    }

    async fn carry_out(&mut self, command: &Command) -> Step<Done> {
        match command {
            Command::OpenSession(open) => sessions::open(self, open).await,
            Command::Beat(session) => sessions::beat(self, *session).await,
            Command::NameSuspect(session, suspect) => sessions::name_suspect(self, *session, *suspect).await,
            Command::CloseSession(session) => sessions::close(self, *session).await,
            Command::TakeOver(take) => sessions::take_over(self, take.session).await,
            Command::Publish(session, functions) => sessions::publish(self, *session, functions).await,
            Command::Start(start) => starts::start(self, start).await,
            Command::Claim(claim) => claims::claim(self, claim).await,
            Command::StartChild(start) => starts::start_child(self, start).await,
            Command::Reserve(reserve) => memos::reserve(self, reserve).await,
            Command::Append(append) => records::append(self, append).await,
            Command::Await(wait) => waits::ask(self, wait).await,
            Command::Abandon(lease, key) => waits::abandon(self, lease, key).await,
            Command::Heed(lease) => waits::heed(self, lease).await,
            Command::Suspend(suspend) => waits::suspend(self, &suspend.lease).await,
            Command::Release(release) => endings::release(self, release).await,
            Command::Finish(finish) => endings::finish(self, finish).await,
            Command::Signal(signal) => messages::signal(self, signal).await,
            Command::Emit(emit) => messages::emit(self, emit).await,
            Command::Cancel(task) => endings::cancel(self, *task).await,
            Command::ReplayLetter(replay) => letters::replay(self, replay).await,
            Command::DiscardLetter(task) => letters::discard(self, *task).await,
            Command::SetQueue(name, paused) => queues::set(self, name, *paused).await,
            Command::DropQueue(name) => queues::drop_queue(self, name).await,
            Command::Expire => sweeps::expire(self).await,
            Command::PruneEvents(before) => sweeps::prune_events(self, *before).await,
            Command::ClearCache(key) => memos::clear_cache(self, key.as_ref()).await,
            Command::PruneCache => memos::prune_cache(self).await,
            Command::Operate(operation) => operations::operate(self, operation).await,
            Command::Schedule(change) => schedules::change(self, change).await,
        }
    }

    /// Whether a session is open; unknown ones are not. One of this process is remembered, for the fence would tell if
    /// somebody closed it; any other is locked against that.
    pub(crate) async fn is_open(&mut self, session: SessionId) -> Step<bool> {
        if let Some(open) = self.memory.session(session).or_else(|| self.others.get(&session).copied()) {
            return Ok(open);
        }
        let row = self.row(Query::SessionLock, &[&uuid(session.as_bytes())]).await?;
        let Some(row) = row else {
            self.others.insert(session, false);
            return Ok(false);
        };
        let (open, instance) = (rows::get::<i16>(&row, 0)? == 1, rows::get::<Uuid>(&row, 1)?);
        if self.fence().is_some_and(|fence| fence.instance == instance) {
            self.memory.set_session(session, open);
        } else {
            self.others.insert(session, open);
        }
        Ok(open)
    }

    /// A session was opened or closed by this batch.
    pub(crate) fn set_open(&mut self, session: SessionId, open: bool, ours: bool) {
        if ours {
            self.memory.set_session(session, open);
        } else {
            self.others.insert(session, open);
        }
    }

    /// The lock that shows a session's presence, if it is shown.
    pub(crate) fn presence_key(&self, session: SessionId) -> Option<i64> {
        (self.presence)(session)
    }

    /// What it is sent over.
    pub(crate) const fn wire(&self) -> Wire<'l> {
        self.wire
    }

    /// Whose batch it is, unless it is a user's.
    pub(crate) const fn fence(&self) -> Option<Fence> {
        match self.wire {
            Wire::Own(_, fence, _) => Some(fence),
            Wire::Users(_) => None,
        }
    }

    /// Before a task is taken from a session: the committers of its process are bumped, which waits for their batches
    /// under way and refuses all later ones. The committer of this very batch stands by itself.
    pub(crate) async fn take_from(&mut self, session: SessionId, task: TaskRef) -> Step<()> {
        self.changed(task);
        self.overtakes |= self.is_of_this_lane(task);
        if self.memory.session(session).is_some() && self.is_of_this_lane(task) {
            return Ok(());
        }
        self.bump(session).await
    }

    /// Bumps the committers of a session's process, all but this batch's own.
    pub(crate) async fn bump(&mut self, session: SessionId) -> Step<()> {
        if self.bumped.insert(session) {
            let (own, lane) = self.fence().map_or((Uuid::nil(), -1), |fence| (fence.instance, fence.lane));
            self.execute(Query::FenceBump, &[&uuid(session.as_bytes()), &own, &lane]).await?;
        }
        Ok(())
    }

    /// Locks an execution: whatever concerns more than a lease's own task begins with it.
    pub(crate) async fn lock(&mut self, execution: ExecutionId) -> Step<Option<ExecutionStanding>> {
        let row = self.row(Query::ExecutionLock, &[&uuid(execution.as_bytes())]).await?;
        let Some(row) = row else { return Ok(None) };
        ExecutionStanding::read(&row).map(Some)
    }

    /// Where a task stands. One that this process holds is remembered; any other is read and locked.
    pub(crate) async fn standing(&mut self, task: TaskRef) -> Step<Option<Standing>> {
        if let Some(held) = self.memory.held(task) {
            return Ok(Some(held.clone()));
        }
        if let Some(seen) = self.seen.get(&task) {
            return Ok(seen.clone());
        }
        self.read(task).await
    }

    /// Where a task stands now, read and locked whatever is remembered.
    pub(crate) async fn read(&mut self, task: TaskRef) -> Step<Option<Standing>> {
        let ids = (uuid(task.execution.as_bytes()), uuid(task.task.as_bytes()));
        let row = self.row(Query::TaskRead, &[&ids.0, &ids.1]).await?;
        let standing = row.map(|row| Standing::read(&row, 0)).transpose()?;
        self.note(task, standing.clone());
        Ok(standing)
    }

    /// Remembers a row that was read and locked: for as long as it is this process's, or else to the batch's end.
    fn note(&mut self, task: TaskRef, standing: Option<Standing>) {
        let session = standing.as_ref().filter(|row| row.state == TaskState::Running).and_then(|row| row.session);
        let ours = session.is_some_and(|session| self.memory.session(session) == Some(true));
        match standing {
            Some(standing) if ours && self.is_of_this_lane(task) => self.memory.hold(task, standing),
            other => drop(self.seen.insert(task, other)),
        }
    }

    /// Reads and locks many tasks at once, in the order of their ids.
    pub(crate) async fn read_all(&mut self, tasks: &[TaskRef]) -> Step<()> {
        let executions = Column(tasks.iter().map(|task| uuid(task.execution.as_bytes())).collect());
        let ids = Column(tasks.iter().map(|task| uuid(task.task.as_bytes())).collect());
        for row in self.query(Query::TasksRead, &[&executions, &ids]).await? {
            self.note(rows::task_ref(&row, 0)?, Some(Standing::read(&row, 2)?));
        }
        Ok(())
    }

    /// Reads at once what these leases' commands will ask for one by one, as after a fence was lost.
    pub(crate) async fn expect(&mut self, leases: impl Iterator<Item = Lease>) -> Step<()> {
        let unknown = |lease: &Lease| self.memory.held(lease.task).is_none();
        let mut missing: Vec<Lease> = leases.filter(unknown).collect();
        if missing.len() < 2 {
            return Ok(());
        }
        missing.sort_unstable_by_key(|lease| lease.task);
        missing.dedup_by_key(|lease| lease.task);
        for lease in &missing {
            self.is_open(lease.session).await?;
        }
        let tasks: Vec<TaskRef> = missing.iter().map(|lease| lease.task).collect();
        self.read_all(&tasks).await
    }

    /// Whether the commands of a task come through this batch's committer.
    pub(crate) fn is_of_this_lane(&self, task: TaskRef) -> bool {
        self.fence().is_some_and(|fence| lane_of(task.execution, fence.lanes) == fence.lane)
    }

    /// A task was changed: what is known of it is not true any more.
    pub(crate) fn changed(&mut self, task: TaskRef) {
        self.memory.let_go(task);
        self.seen.remove(&task);
    }

    /// An execution is gone with all its tasks.
    pub(crate) fn forget_execution(&mut self, execution: ExecutionId) {
        self.seen.retain(|task, _| task.execution != execution);
    }

    /// A row that was read has changed in what is not remembered of a task in hand.
    pub(crate) fn forget_row(&mut self, task: TaskRef) {
        self.seen.remove(&task);
    }

    /// A task was put into the hands of a session of this process.
    pub(crate) fn hold(&mut self, task: TaskRef, standing: Standing) {
        self.seen.remove(&task);
        if self.is_of_this_lane(task) {
            self.memory.hold(task, standing);
        } else {
            self.for_others.push((task, standing));
        }
    }

    /// The task that a lease gives the right to write for, or why it does not.
    pub(crate) async fn leased(&mut self, lease: &Lease) -> Step<Standing> {
        let standing = self.standing(lease.task).await?;
        let open = self.is_open(lease.session).await?;
        match standing {
            Some(task) if open && task.is_held_by(lease) => Ok(task),
            other => Err(lost(other.as_ref(), lease).into()),
        }
    }
}

/// The committer that an execution's commands go through.
pub(crate) fn lane_of(execution: ExecutionId, lanes: usize) -> i16 {
    i16::try_from(usize::from(execution.as_bytes()[15]) % lanes.max(1)).unwrap_or(0)
}

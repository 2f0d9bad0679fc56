//! One batch, one transaction. Each committer has a connection of its own and drives it on the thread that commits, so
//! that nothing is handed from thread to thread. A refusal answers its own caller; an error of the data re-runs the
//! batch one by one so that only the culprit fails; an error below leaves nothing of the batch.
//!
//! Invariant: what is answered is known. A commit whose answer was lost is looked up: the committer's row is bumped, so
//! that it cannot be committed any more, and its last batch says whether it was.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stent_core::command::{Command, Outcome, Refusal};
use stent_core::{Committed, Lease, SessionId, StoreError, StoreErrorKind, TaskRef};
use tokio::runtime::Runtime;
use tokio_postgres::Error;
use uuid::Uuid;

use crate::address::Address;
use crate::batch::{Batch, Care, Fence, Wire, lane_of};
use crate::clock::Clock;
use crate::connect::connect;
use crate::error::{Step, Stop, is_lost, is_of_the_data, is_repeatable, store_error};
use crate::line::Line;
use crate::memory::Memory;
use crate::memos;
use crate::query::{Link, Param, Query};
use crate::rows::{self, Standing};
use crate::{slots, starts};

const DOING: &str = "commit to the database";

/// How often a batch is tried again after a deadlock, or after somebody else was first.
const TRIES: u32 = 20;

/// How long a committer rests before it tries again: at first and at most.
const REST: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(500));

/// How the statements of a committer are planned: by their indexes and in the order of these, whatever the tables held
/// when they were first used.
const PLANS: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; \
     SET enable_mergejoin = off; SET jit = off; SET plan_cache_mode = force_generic_plan";

/// The same behind a pooler, where each statement is planned anew.
const PLANS_HERE: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
     SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/// What the committers of a store share.
pub(crate) struct Shared {
    pub(crate) address: Arc<Address>,
    /// Which process this is, or which store of it.
    pub(crate) instance: Uuid,
    pub(crate) clock: Clock,
    /// Nobody waits for the server any more.
    pub(crate) closed: AtomicBool,
    /// The lock that shows a session's presence, if it is shown.
    pub(crate) presence: Box<dyn Fn(SessionId) -> Option<i64> + Send + Sync>,
    /// What was claimed through one committer and is written through another.
    inboxes: Vec<Inbox>,
}

/// Tasks on their way to the committer of their execution.
#[derive(Default)]
struct Inbox {
    tasks: Mutex<Vec<(TaskRef, Standing)>>,
    /// How often all that was on its way was turned away: what was claimed before that does not arrive after it.
    emptied: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        address: Arc<Address>,
        instance: Uuid,
        clock: Clock,
        presence: Box<dyn Fn(SessionId) -> Option<i64> + Send + Sync>,
        lanes: usize,
    ) -> Self {
        let inboxes = (0..lanes).map(|_| Inbox::default()).collect();
        Self { address, instance, clock, closed: AtomicBool::new(false), presence, inboxes }
    }

    fn emptied(&self) -> Vec<u64> {
        self.inboxes.iter().map(|inbox| inbox.emptied.load(Ordering::Acquire)).collect()
    }

    /// What was claimed until now and is on its way to a committer does not arrive there any more.
    fn turn_away(&self, lane: i16) {
        if let Some(inbox) = usize::try_from(lane).ok().and_then(|lane| self.inboxes.get(lane)) {
            let mut waiting = inbox.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            inbox.emptied.fetch_add(1, Ordering::AcqRel);
            waiting.clear();
        }
    }

    /// Hands claimed tasks to their committers, except to those that have turned away such tasks since `before`.
    fn hand_over(&self, tasks: Vec<(TaskRef, Standing)>, before: &[u64]) {
        for (task, standing) in tasks {
            let lane = usize::try_from(lane_of(task.execution, self.inboxes.len())).unwrap_or(0);
            let inbox = &self.inboxes[lane];
            let mut waiting = inbox.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            // Looked at under the lock that emptying takes too.
            if inbox.emptied.load(Ordering::Acquire) == before[lane] {
                waiting.push((task, standing));
            }
        }
    }
}

/// Where a committer's row stands.
#[derive(Clone, Copy, Debug)]
struct Position {
    generation: i64,
    last_batch: i64,
}

/// A committer: its connection, its row, its memory.
pub(crate) struct Committer {
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    state: State,
}

struct State {
    lane: i16,
    link: Option<Link>,
    position: Option<Position>,
    memory: Memory,
}

/// How one try at a batch ended.
enum Tried {
    Done(Committed),
    /// Nothing of it is there.
    Failed(Stop),
    /// The connection died around the commit.
    Unknown(Committed, Error),
}

impl Committer {
    pub(crate) fn new(lane: i16) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
            StoreError::new(StoreErrorKind::Unavailable, format!("a committer could not start: {error}"))
                .with_source(error)
        })?;
        let state = State { lane, link: None, position: None, memory: Memory::default() };
        Ok(Self { runtime: Some(runtime), state })
    }

    /// Carries out a batch in a transaction of its own, on this thread.
    pub(crate) fn commit(&mut self, shared: &Shared, commands: &[Command]) -> Result<Committed, StoreError> {
        let Some(runtime) = &self.runtime else {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the store is closed"));
        };
        // The thread may be one that a multi-threaded runtime needs: it is told.
        tokio::task::block_in_place(|| runtime.block_on(self.state.commit(shared, commands)))
    }

    /// Whether a batch needs nothing before it but its turn.
    pub(crate) fn is_ready(&self) -> bool {
        self.state.position.is_some() && self.state.link.as_ref().is_some_and(|link| !link.is_closed())
    }

    /// Ends the committer's connection, and takes the rows of its process away: a session's opening made one for each
    /// committer, those too that never had a connection to do it by. No other committer may be at work. Not to be
    /// called within a runtime.
    pub(crate) fn close(&mut self, shared: &Shared) {
        let Some(runtime) = &self.runtime else { return };
        let leave = async {
            if let Some(link) = self.state.link.take()
                && let Err(error) = fence_leave(&link, shared).await
            {
                tracing::debug!(%error, "the rows of a process's committers were left behind");
            }
            self.state.position = None;
            self.state.memory.clear();
        };
        runtime.block_on(leave);
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // A store may be dropped within a runtime of the user's, where waiting for one to end is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl State {
    async fn commit(&mut self, shared: &Shared, commands: &[Command]) -> Result<Committed, StoreError> {
        let (mut care, mut alone, mut rest) = (Care::Trusting, false, REST.0);
        for _ in 0..TRIES {
            self.enter(shared).await?;
            let stop = match self.attempt(shared, commands, care, alone).await {
                Tried::Done(committed) => return Ok(committed),
                Tried::Failed(stop) => stop,
                Tried::Unknown(committed, error) => {
                    tracing::debug!(%error, "the answer to a commit was lost");
                    if self.was_committed(shared).await? {
                        return Ok(committed);
                    }
                    Stop::Failed(error)
                }
            };
            self.roll_back(shared).await;
            match stop {
                Stop::Failed(error) if is_lost(&error) => {
                    self.leave(shared);
                    if shared.closed.load(Ordering::Acquire) {
                        return Err(store_error(DOING, error));
                    }
                }
                Stop::Failed(error) if is_repeatable(&error) => {
                    tracing::debug!(%error, "a batch is tried again");
                    tokio::time::sleep(rest.mul_f64(0.5 + jitter())).await;
                    rest = (rest * 2).min(REST.1);
                }
                // What a trusting batch took to be so is not: it looks now.
                Stop::Failed(error) if care == Care::Trusting && is_of_the_data(&error) => {
                    tracing::trace!(%error, "a batch is run with care");
                    self.position = None;
                    care = Care::Careful;
                }
                Stop::Stale if care == Care::Trusting => {
                    tracing::trace!("a batch is run with care: what it went by has changed");
                    care = Care::Careful;
                }
                Stop::Failed(error) if is_fenced_off(&error) => self.position = None,
                Stop::Failed(error) if is_of_the_data(&error) && !alone => {
                    tracing::warn!(%error, "a command cannot be carried out; the batch is run one by one");
                    alone = true;
                }
                Stop::Broken(what) if !alone => {
                    tracing::warn!(what, "a command cannot be carried out; the batch is run one by one");
                    (care, alone) = (Care::Careful, true);
                }
                Stop::Failed(error) => return Err(store_error(DOING, error)),
                Stop::Theirs(error) => return Err(error),
                Stop::Stale => return Err(StoreError::new(StoreErrorKind::Corrupt, "a batch that looks trusted")),
                Stop::Broken(what) => return Err(StoreError::new(StoreErrorKind::Corrupt, what)),
                Stop::Refused(refusal) => return Err(StoreError::new(StoreErrorKind::Corrupt, refusal.to_string())),
            }
        }
        let message = format!("could not {DOING}: others were first {TRIES} times in a row");
        Err(StoreError::new(StoreErrorKind::Unavailable, message).with_hint("it may go away by itself: try again"))
    }

    /// Makes sure that there is a connection, and that the committer's row is known.
    async fn enter(&mut self, shared: &Shared) -> Result<(), StoreError> {
        if self.link.as_ref().is_none_or(Link::is_closed) {
            self.leave(shared);
            let connected = connect(&shared.address).await?;
            let mut driver = connected.driver;
            tokio::spawn(async move {
                while let Some(Ok(_)) = std::future::poll_fn(|context| driver.poll_message(context)).await {}
            });
            if connected.is_direct {
                let plans = connected.client.batch_execute(PLANS).await;
                plans.map_err(|error| store_error("set up a connection", error))?;
            }
            self.link = Some(Link::new(connected.client, connected.is_direct));
        }
        if self.position.is_none() {
            self.adopt(shared).await?;
        }
        let inbox = usize::try_from(self.lane).ok().and_then(|lane| shared.inboxes.get(lane));
        if let Some(inbox) = inbox {
            for (task, standing) in inbox.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                self.memory.hold(task, standing);
            }
        }
        Ok(())
    }

    /// Begins a new generation and learns the last batch that was committed. What was remembered is not to be believed
    /// any more.
    async fn adopt(&mut self, shared: &Shared) -> Result<(), StoreError> {
        let Some(link) = &self.link else { return Ok(()) };
        let now = shared.clock.now().as_micros();
        let failed = |stop| match stop {
            Stop::Failed(error) => store_error("enter the database", error),
            _ => StoreError::new(StoreErrorKind::Corrupt, "a committer's row cannot be read"),
        };
        let adopted = async {
            let prelude = shared.address.prelude();
            if !link.is_direct() {
                link.client().batch_execute(&begin(&prelude)).await?;
            }
            let rows = link.query(Query::FenceAdopt, &[&shared.instance, &self.lane, &now]).await?;
            if !link.is_direct() {
                link.client().batch_execute("COMMIT").await?;
            }
            let row = rows.first().ok_or(Stop::Broken("a committer's row is not there"))?;
            shared.clock.note(rows::get(row, 2)?);
            Ok(Position { generation: rows::get(row, 0)?, last_batch: rows::get(row, 1)? })
        };
        let adopted: Step<Position> = adopted.await;
        // Not before: what another committer claimed while this one waited for its row may be somebody else's by now.
        self.forget(shared);
        if adopted.is_err() {
            self.link = None;
        }
        self.position = Some(adopted.map_err(failed)?);
        Ok(())
    }

    /// Empties the memory, and what is on its way there.
    fn forget(&mut self, shared: &Shared) {
        self.memory.clear();
        shared.turn_away(self.lane);
    }

    /// The connection is gone, and with it what it was known by.
    fn leave(&mut self, shared: &Shared) {
        self.link = None;
        self.position = None;
        self.forget(shared);
    }

    /// Ends what a failed try has left open. A pipeline that failed has ended its transaction itself.
    async fn roll_back(&mut self, shared: &Shared) {
        self.forget(shared);
        if let Some(link) = &self.link
            && let Err(error) = link.client().batch_execute("ROLLBACK").await
        {
            tracing::debug!(%error, "a transaction was left to the server to roll back");
            self.leave(shared);
        }
    }

    /// One try at a batch.
    async fn attempt(&mut self, shared: &Shared, commands: &[Command], care: Care, alone: bool) -> Tried {
        let (Some(link), Some(position)) = (&self.link, &mut self.position) else {
            return Tried::Failed(Stop::Broken("a committer has not entered"));
        };
        let lanes = shared.inboxes.len();
        let batch = position.last_batch + 1;
        let fence = Fence { instance: shared.instance, lane: self.lane, generation: position.generation, batch, lanes };
        let begin = if link.is_direct() { BEGIN.to_owned() } else { begin(&shared.address.prelude()) };
        let emptied = shared.emptied();
        let wire = Wire::Own(link, fence, &begin);
        let mut batch = Batch::new(wire, care, &mut self.memory, &*shared.presence, shared.clock.now());
        batch.line = Line::of(commands, batch.memory, batch.now.as_micros());
        let outcomes = match alone {
            false => together(&mut batch, commands).await,
            true => one_by_one(&mut batch, commands).await,
        };
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(stop) => return Tried::Failed(stop),
        };
        let mut committed = Committed { outcomes, wakes: std::mem::take(&mut batch.wakes) };
        let questions = if committed.wakes.ready { Vec::new() } else { slots::questions(&batch) };
        let first = questions.first().map(|(query, functions)| (*query, [functions as &dyn Param]));
        match batch.commit(first.as_ref().map(|(query, functions)| (*query, functions.as_slice()))).await {
            Ok(_) if committed.wakes.ready => slots::learn_limits(&mut batch).await,
            Ok(answer) => committed.wakes.ready = slots::do_meet(&batch, &questions, answer).await,
            Err(Stop::Failed(error)) if is_lost(&error) => {
                committed.wakes.ready |= slots::may_meet(&batch);
                return Tried::Unknown(committed, error);
            }
            Err(stop) => return Tried::Failed(stop),
        }
        if batch.has_begun() {
            position.last_batch = fence.batch;
        }
        if let Some(micros) = batch.server_micros {
            shared.clock.note(micros);
        }
        if batch.overtakes {
            shared.turn_away(self.lane);
        }
        shared.hand_over(std::mem::take(&mut batch.for_others), &emptied);
        Tried::Done(committed)
    }

    /// Whether the batch whose answer was lost is there. Asked until the server says so, for nothing else is certain.
    async fn was_committed(&mut self, shared: &Shared) -> Result<bool, StoreError> {
        let Some(Position { last_batch, .. }) = self.position else { return Ok(false) };
        let mut rest = REST.0;
        loop {
            self.leave(shared);
            match self.enter(shared).await {
                Ok(()) => break,
                Err(error) if shared.closed.load(Ordering::Acquire) => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "whether a batch was committed is not known yet");
                    tokio::time::sleep(rest).await;
                    rest = (rest * 2).min(REST.1);
                }
            }
        }
        Ok(self.position.is_some_and(|position| position.last_batch > last_batch))
    }
}

/// Takes the rows of a process's committers away.
async fn fence_leave(link: &Link, shared: &Shared) -> Result<(), Error> {
    if !link.is_direct() {
        link.client().batch_execute(&begin(&shared.address.prelude())).await?;
    }
    link.execute(Query::FenceLeave, &[&shared.instance]).await?;
    if link.is_direct() { Ok(()) } else { link.client().batch_execute("COMMIT").await }
}

/// How a transaction of a committer begins where its connection was set up once and for all.
const BEGIN: &str = "BEGIN";

/// How it begins where nothing outlives a transaction. Each statement sees what was committed before it, whatever the
/// role's default is: what waited for a lock goes by what it finds behind it.
fn begin(prelude: &str) -> String {
    format!("BEGIN ISOLATION LEVEL READ COMMITTED; {prelude}; {PLANS_HERE}")
}

/// A number from 0 to 1: two that were in each other's way should not be so again at the same moment.
fn jitter() -> f64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    f64::from(now.subsec_nanos() % 1_000) / 1_000.0
}

/// Whether a statement failed since the committer's row was bumped, or since something is not as it was taken to be.
fn is_fenced_off(error: &Error) -> bool {
    error.code().is_some_and(|code| matches!(code.code(), "22012" | "23505"))
}

/// All commands, up to the first error.
async fn together(batch: &mut Batch<'_>, commands: &[Command]) -> Step<Vec<Outcome>> {
    batch.expect(commands.iter().filter_map(lease)).await?;
    starts::order(batch, commands).await?;
    memos::order(batch, commands).await?;
    let mut outcomes = Vec::with_capacity(commands.len());
    for command in commands {
        outcomes.push(match batch.run(command).await {
            Ok(done) => Ok(done),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(stop) => return Err(stop),
        });
    }
    Ok(outcomes)
}

/// All commands, each behind a savepoint: what cannot be carried out is answered as unknown to its own caller.
async fn one_by_one(batch: &mut Batch<'_>, commands: &[Command]) -> Step<Vec<Outcome>> {
    starts::order(batch, commands).await?;
    memos::order(batch, commands).await?;
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(commands.len());
    for command in commands {
        batch.say("SAVEPOINT one").await?;
        let (wakes, slots_left) = (batch.wakes.clone(), batch.slots_left.clone());
        let tied = starts::tied(batch, command);
        let done = match batch.run(command).await {
            Ok(done) => batch.flush().await.map(|()| done),
            Err(stop) => Err(stop),
        };
        outcomes.push(match done {
            Ok(done) => Ok(done),
            Err(Stop::Refused(refusal)) => batch.flush().await.map(|()| Err(refusal))?,
            Err(stop) if is_the_commands_own(&stop) => {
                tracing::error!(?stop, "a command cannot be carried out");
                batch.say("ROLLBACK TO one").await?;
                batch.forget();
                (batch.wakes, batch.slots_left) = (wakes, slots_left);
                if let Some((key, execution)) = tied {
                    starts::free(batch, &key, execution).await?;
                }
                Err(Refusal::Unknown)
            }
            Err(stop) => return Err(stop),
        });
        batch.say("RELEASE one").await?;
    }
    Ok(outcomes)
}

fn is_the_commands_own(stop: &Stop) -> bool {
    match stop {
        Stop::Failed(error) => is_of_the_data(error),
        Stop::Broken(_) => true,
        Stop::Theirs(_) | Stop::Stale | Stop::Refused(_) => false,
    }
}

/// The lease whose task a command will ask for first.
fn lease(command: &Command) -> Option<Lease> {
    match command {
        Command::StartChild(start) => Some(start.parent),
        Command::Reserve(reserve) => Some(reserve.lease),
        Command::Append(append) => Some(append.lease),
        Command::Await(wait) => Some(wait.lease),
        Command::Abandon(lease, _) | Command::Heed(lease) => Some(*lease),
        Command::Suspend(suspend) => Some(suspend.lease),
        Command::Release(release) => Some(release.lease),
        Command::Finish(finish) => Some(finish.start.as_ref().map_or(finish.lease, |start| start.parent)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_committer_leaves_durability_to_the_server() {
        let database = stent_servers::Server::shared().database().unwrap();
        let address = Arc::new(Address::of_url(&database.url()).unwrap());
        let mut committer = Committer::new(0).unwrap();
        let runtime = committer.runtime.take().unwrap();
        let shown = runtime.block_on(async {
            let mut address = (*address).clone();
            let connected = connect(&address).await.unwrap();
            let mut driver = connected.driver;
            driver.during(crate::schema::open(&connected.client, connected.is_direct, &mut address)).await.unwrap();
            let shared = Shared::new(Arc::new(address), Uuid::new_v4(), Clock::new(), Box::new(|_| None), 1);
            committer.state.enter(&shared).await.unwrap();
            let client = committer.state.link.as_ref().unwrap().client();
            client.query_one("SHOW synchronous_commit", &[]).await.unwrap().get::<_, String>(0)
        });
        assert_eq!(shown, "on");
    }
}

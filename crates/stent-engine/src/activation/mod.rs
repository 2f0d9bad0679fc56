//! One claimed task in hand. Its code asks calls through a [`Context`]; replayed or live, their outcomes are
//! delivered one at a time, each only once the code has come to rest, so that every race takes the same way again.
//!
//! - [`context`]: what a face calls; - [`calls`]: the futures it gets; - [`replay`]: the recorded past;
//! - [`state`]: the calls in flight and what becomes of them; - [`waits`]: messages and timers;
//! - [`answers`]: what the store says.
//!
//! Invariant: once an interrupt is set, every call answers it and no command leaves any more.

mod answers;
mod ask;
mod calls;
mod context;
mod numbers;
mod own_start;
mod replay;
mod state;
mod waits;

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use stent_core::command::Deliver;
use stent_core::{CallKey, ClaimedTask, Command, History, Outcome, Record, TaskId, Timestamp};

pub use calls::{BeginStep, Begun, BegunValue, Call, ChildCall, StepTicket, ValueTicket};
pub use context::Context;
pub(crate) use own_start::{OwnStart, RowToCome};
pub use state::Delivery;
pub(crate) use state::{Rest, State};

use crate::client::Engine;
use crate::committer::Reply;
use crate::error::Interrupt;
use crate::worker::WorkerCore;

/// Call numbers that stand for no call of the code's.
const OWN_START: u64 = 0;
const VALUE: u64 = 1;
const HEED: u64 = 2;
const FIRST_CALL: u64 = 3;

/// A claimed task and everything its code has asked.
pub(crate) struct Activation {
    pub(crate) task: ClaimedTask,
    pub(crate) worker: Arc<WorkerCore>,
    /// The task that called this one, when this process owns it too.
    pub(crate) parent: Option<Weak<Activation>>,
    /// Children in place whose rows are not on their way: while there is one this task's lease must stand.
    rows_to_come: AtomicU32,
    state: Mutex<State>,
}

impl Activation {
    pub(crate) fn new(
        worker: Arc<WorkerCore>,
        task: ClaimedTask,
        history: History,
        parent: Option<Weak<Self>>,
        own_start: Option<OwnStart>,
    ) -> Arc<Self> {
        let state = State::new(&task, history, own_start);
        Arc::new(Self { task, worker, parent, rows_to_come: AtomicU32::new(0), state: Mutex::new(state) })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn engine(&self) -> Engine {
        self.worker.engine.clone()
    }

    /// Queues a command of this task, after its own start if that has not left yet.
    fn send(self: &Arc<Self>, state: &mut State, command: Command, call: u64) {
        self.send_start(state);
        state.in_flight += 1;
        state.sign_of_life(self.worker.now());
        let reply = Reply::Call(Arc::clone(self), call);
        self.worker.engine.core().committer.queue(Some(self.task.lease.task.execution), command, reply);
    }

    /// Queues a command whose answer nobody needs.
    fn send_quietly(&self, command: Command) {
        let execution = Some(self.task.lease.task.execution);
        self.worker.engine.core().committer.queue(execution, command, Reply::Nobody);
    }

    /// Queues the task's own start, if it runs in place and its row is not on its way yet.
    pub(crate) fn send_start(self: &Arc<Self>, state: &mut State) {
        if let Some(OwnStart { start, row: _row }) = state.own_start.take() {
            state.in_flight += 1;
            let reply = Reply::Call(Arc::clone(self), OWN_START);
            let command = Command::StartChild(start);
            self.worker.engine.core().committer.queue(Some(self.task.lease.task.execution), command, reply);
        }
    }

    /// What came of a command; called on the committer's thread.
    pub(crate) fn answered(self: &Arc<Self>, call: u64, outcome: Outcome) {
        let mut state = self.state();
        state.in_flight -= 1;
        self.settle(&mut state, call, outcome);
        state.wake_driver();
    }

    /// A child that ran in place has ended; called on the committer's thread.
    pub(crate) fn child_ended(&self, delivered: Option<Box<Record>>) {
        let mut state = self.state();
        state.in_flight -= 1;
        if let Some(record) = delivered {
            state.record_came(*record);
        }
        state.wake_driver();
    }

    /// Reserves the next place in this task's history for the end of a child in place, and queues that end, both
    /// under one lock: places are taken in the order in which commands are queued. Without `Some`, the store has
    /// to wake this task instead.
    pub(crate) fn with_delivery(&self, child: TaskId, queue: impl FnOnce(Option<Deliver>)) {
        let mut state = self.state();
        // Code that has not come to the child again will ask the store for it, and would have its end recorded twice.
        if state.interrupt.is_some() || state.replay.is_still_to_begin(child) {
            return queue(None);
        }
        state.in_flight += 1;
        let deliver = Deliver { parent: self.task.lease, run: self.task.run, seq: state.next_seq() };
        queue(Some(deliver));
    }

    /// Stops the code: the first interrupt stands.
    pub(crate) fn interrupt(&self, interrupt: Interrupt) {
        self.state().interrupt(interrupt);
    }

    /// Something came for the task.
    pub(crate) fn woken(&self) {
        let mut state = self.state();
        state.woken = true;
        state.wake_driver();
    }

    /// The drive looks at its state once more.
    pub(crate) fn look_again(&self) {
        self.state().wake_driver();
    }

    pub(crate) fn set_driver(&self, waker: &Waker) {
        let mut state = self.state();
        if !state.driver.as_ref().is_some_and(|driver| driver.will_wake(waker)) {
            state.driver = Some(waker.clone());
        }
    }

    /// Clears the mark and asks again for every wait of a signal or an event. A child's end is looked for once the
    /// mark is cleared.
    pub(crate) fn look(self: &Arc<Self>) {
        let mut state = self.state();
        state.woken = false;
        if state.interrupt.is_some() {
            return;
        }
        self.send(&mut state, Command::Heed(self.task.lease), HEED);
        for call in state.waits_for_messages() {
            state.ask_again(self, call);
        }
    }

    /// Asks again for the calls whose time has come.
    pub(crate) fn time_passed(self: &Arc<Self>, now: Timestamp) {
        let mut state = self.state();
        for call in state.take_due(now) {
            state.ask_again(self, call);
        }
    }

    /// Asks for the open calls that were found to have arrived.
    pub(crate) fn arrived(self: &Arc<Self>, keys: &[CallKey]) {
        let mut state = self.state();
        for key in keys {
            if let Some(call) = state.waiting_call(key) {
                state.ask_again(self, call);
            }
        }
    }

    /// When the earliest wait is over, if any has an end.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.state().next_due()
    }

    /// For how long the code may go on without a sign of life.
    pub(crate) fn alive_until(&self) -> Option<Duration> {
        self.state().alive_until
    }
}

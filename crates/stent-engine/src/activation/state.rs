//! The calls of one activation: asked, in flight, waiting, delivered. All of it lives under one lock, and commands are
//! queued under that lock, so that places in the history are taken in the order in which commands are committed.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use stent_core::command::{Append, Await, StartChild, Wait};
use stent_core::history::{NewRecord, Record};
use stent_core::limits::HISTORY_RECORDS;
use stent_core::{CallKey, ClaimedTask, Command, History, Payload, RecordKind, Timestamp, Verdict};

use super::ask::Ask;
use super::numbers::ByNumber;
use super::own_start::OwnStart;
use super::replay::{Past, Replay};
use super::waits::Returned;
use super::{Activation, FIRST_CALL, VALUE};
use crate::error::Interrupt;
use crate::worker::suspects::Turn;

/// How a call came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Whether the payload is a result, a failure, or nothing because the wait's time was over.
    pub verdict: Verdict,
    /// The result or the failure.
    pub payload: Payload,
    /// The child, signal or event it came from.
    pub source: Option<[u8; 16]>,
}

impl From<Record> for Delivery {
    fn from(record: Record) -> Self {
        Self { verdict: record.verdict, payload: record.payload, source: record.source }
    }
}

/// How far a call has come.
#[derive(Debug, PartialEq)]
pub(super) enum Phase {
    /// New, and the past is not used up yet: nothing new begins before.
    Held,
    /// Recorded: its delivery comes in its turn.
    Recorded,
    /// A step that may run its body.
    MayRun,
    /// A step whose body runs.
    Body,
    /// A command is on its way.
    InFlight,
    /// Registered in the store, or a child that runs.
    Waiting,
    /// Delivered, not yet picked up by the code.
    Ready(Delivery),
}

pub(super) struct CallState {
    pub(super) key: CallKey,
    pub(super) ask: Ask,
    pub(super) seen: u32,
    pub(super) phase: Phase,
    pub(super) waker: Option<Waker>,
    /// The code dropped the call: what still comes for it is passed on or kept, never lost.
    pub(super) abandoned: bool,
}

/// What the task does while its code rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// A body runs, or an answer is on its way: it keeps its slot.
    Busy,
    /// It only waits for what others do or for time to pass.
    Waits,
    /// It awaits something the engine knows nothing of.
    Elsewhere,
}

pub(crate) struct State {
    pub(super) calls: ByNumber<CallState>,
    last_call: u64,
    /// Which call stands for a key, until it is delivered or given up for good.
    pub(super) asked: HashMap<CallKey, u64>,
    /// By scope, then name.
    occurrences: HashMap<Arc<str>, HashMap<String, u32>>,
    pub(super) replay: Replay,
    held: Vec<u64>,
    /// Scopes opened beside the task's own.
    pub(super) branches: u32,
    /// Committed, not yet delivered; in order of place.
    pub(super) inbox: VecDeque<(u64, Delivery)>,
    pub(super) timers: BTreeSet<(Timestamp, u64)>,
    pub(super) returned: Vec<Returned>,
    delivered: u32,
    last_seq: u32,
    pub(super) in_flight: u32,
    /// Values whose records are on their way; no body starts before they are there.
    pub(super) unwritten_values: u32,
    bodies: u32,
    /// Calls in the phase `Waiting`.
    pub(super) waiting: u32,
    pub(super) own_start: Option<OwnStart>,
    pub(crate) interrupt: Option<Interrupt>,
    /// What does not fit, in words.
    pub(crate) mismatch: Option<String>,
    /// A suspect's: over with its first new record.
    pub(crate) turn: Option<Turn>,
    /// It may have no more records.
    pub(crate) full: bool,
    /// Its end is settled.
    pub(crate) settled: bool,
    pub(crate) woken: bool,
    /// The mark is cleared: now an end of a child that came before can be looked for.
    pub(crate) heeded: bool,
    pub(super) driver: Option<Waker>,
    /// The code runs on a thread that the driver does not hold: it has not come to rest.
    pub(crate) at_work: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) alive_until: Option<Duration>,
}

impl State {
    pub(super) fn new(task: &ClaimedTask, history: History, own_start: Option<OwnStart>) -> Self {
        let last_seq = history.records.last().map_or(0, |record| record.seq);
        Self {
            calls: ByNumber::default(),
            last_call: FIRST_CALL - 1,
            asked: HashMap::new(),
            occurrences: HashMap::new(),
            replay: Replay::new(task.run, history),
            held: Vec::new(),
            branches: 0,
            inbox: VecDeque::new(),
            timers: BTreeSet::new(),
            returned: Vec::new(),
            delivered: 0,
            last_seq,
            in_flight: 0,
            unwritten_values: 0,
            bodies: 0,
            waiting: 0,
            own_start,
            interrupt: None,
            mismatch: None,
            turn: None,
            full: false,
            settled: false,
            woken: false,
            heeded: false,
            driver: None,
            at_work: false,
            timeout: None,
            alive_until: None,
        }
    }

    pub(super) fn next_seq(&mut self) -> u32 {
        self.last_seq += 1;
        self.last_seq
    }

    /// The key of the next call of `name` in `scope`.
    pub(super) fn next_key(&mut self, scope: &Arc<str>, name: &str) -> CallKey {
        // A name that was seen before costs no copy of it.
        if let Some(count) = self.occurrences.get_mut(&**scope).and_then(|names| names.get_mut(name)) {
            *count += 1;
            return CallKey::new(scope, name, *count);
        }
        self.occurrences.entry(Arc::clone(scope)).or_default().insert(name.to_owned(), 1);
        CallKey::new(scope, name, 1)
    }

    pub(super) fn wake_driver(&self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }

    pub(super) fn interrupt(&mut self, interrupt: Interrupt) {
        if self.interrupt.is_none() {
            self.interrupt = Some(interrupt);
            for call in self.calls.values_mut() {
                if let Some(waker) = call.waker.take() {
                    waker.wake();
                }
            }
        }
        self.wake_driver();
    }

    pub(super) fn does_not_fit(&mut self, why: String) {
        self.mismatch.get_or_insert(why);
        self.interrupt(Interrupt::Mismatch);
    }

    /// Stops a task that asks for one record more than it may have.
    pub(super) fn refuse_if_full(&mut self) {
        if self.last_seq >= HISTORY_RECORDS {
            self.full = true;
            self.interrupt(Interrupt::Closed);
        }
    }

    /// The code asks a call. Recorded ones wait for their turn; new ones begin once the past is used up.
    pub(super) fn ask(&mut self, activation: &Arc<Activation>, key: CallKey, ask: Ask) -> u64 {
        if self.replay.is_over() {
            self.refuse_if_full();
        }
        self.last_call += 1;
        let number = self.last_call;
        let past = self.replay.asked(&key, ask.kind(), ask.digest(), number);
        let phase = match past {
            Past::Recorded | Past::Kept => Phase::Recorded,
            Past::New => Phase::Held,
            Past::DoesNotFit(why) => {
                self.does_not_fit(why);
                Phase::Held
            }
        };
        let held = phase == Phase::Held;
        self.asked.insert(key.clone(), number);
        let seen = self.delivered;
        self.calls.insert(number, CallState { key, ask, seen, phase, waker: None, abandoned: false });
        if held {
            self.held.push(number);
            if self.replay.is_over() {
                self.begin_held(activation);
            } else {
                // Its first delivery may have to be looked for again.
                self.wake_driver();
            }
        } else {
            self.wake_driver();
        }
        number
    }

    /// Begins what was held back, in the order it was asked. Whether a step may run now.
    pub(super) fn begin_held(&mut self, activation: &Arc<Activation>) -> bool {
        let mut runs = false;
        if self.interrupt.is_some() {
            return runs;
        }
        let held = std::mem::take(&mut self.held);
        for number in held {
            let Some(call) = self.calls.get_mut(&number) else { continue };
            if call.abandoned {
                // An earlier life may have registered it and died before it could take that back.
                if self.replay.is_open(&call.key) {
                    activation.send_quietly(Command::Abandon(activation.task.lease, call.key.clone()));
                }
                self.calls.remove(&number);
                continue;
            }
            if matches!(call.ask, Ask::Step) {
                if self.unwritten_values > 0 {
                    self.held.push(number);
                    continue;
                }
                call.phase = Phase::MayRun;
                runs = true;
                if let Some(waker) = call.waker.take() {
                    waker.wake();
                }
            } else {
                self.begin(activation, number);
            }
        }
        runs
    }

    /// Sends what a call needs to come true.
    fn begin(&mut self, activation: &Arc<Activation>, number: u64) {
        if self.take_returned(activation, number) {
            return;
        }
        let Some(call) = self.calls.get_mut(&number) else { return };
        call.phase = Phase::InFlight;
        let (key, seen) = (call.key.clone(), call.seen);
        let command = match &mut call.ask {
            Ask::Step => return,
            Ask::Effect(effect) => {
                let effect = effect.take().map(|effect| *effect);
                let record = self.record(key, RecordKind::Effect, seen, activation, Verdict::Ok, Payload::null());
                Command::Append(Box::new(Append { lease: activation.task.lease, record, effect }))
            }
            Ask::Child(child) => {
                let start = StartChild {
                    parent: activation.task.lease,
                    child: child.id,
                    key,
                    seen,
                    digest: child.digest,
                    spec: child.spec.clone(),
                    due: child.due,
                    in_place: false,
                };
                self.replay.begins(start.child);
                // The child's row names this task's lease: its own row has to be on its way first.
                activation.send_start(self);
                let fresh = !self.replay.is_open(&start.key);
                match activation.worker.start_in_place(activation, start, fresh) {
                    None => {
                        self.set_waiting(number, None);
                        return;
                    }
                    Some(start) => Command::StartChild(start),
                }
            }
            _ => match self.await_command(activation, number) {
                Some(command) => command,
                None => return,
            },
        };
        activation.send(self, command, number);
    }

    fn await_command(&mut self, activation: &Activation, number: u64) -> Option<Command> {
        let seq = self.next_seq();
        let call = self.calls.get(&number)?;
        let (wait, due) = match &call.ask {
            Ask::Timer(due) => (Wait::Timer, Some(*due)),
            Ask::Signal(name, due) => (Wait::Signal(name.clone()), *due),
            Ask::Event(queue, name, due) => (Wait::Event(queue.clone(), name.clone()), *due),
            Ask::Child(child) => (Wait::Child(child.id), None),
            Ask::Step | Ask::Effect(_) => return None,
        };
        let (lease, run) = (activation.task.lease, activation.task.run);
        Some(Command::Await(Box::new(Await { lease, seq, run, key: call.key.clone(), seen: call.seen, wait, due })))
    }

    /// A wait that the store has is asked for once more.
    pub(super) fn ask_again(&mut self, activation: &Arc<Activation>, number: u64) {
        if self.interrupt.is_some() || !self.leave_waiting(number) {
            return;
        }
        if let Some(command) = self.await_command(activation, number) {
            activation.send(self, command, number);
        }
    }

    pub(super) fn record(
        &mut self,
        key: CallKey,
        kind: RecordKind,
        seen: u32,
        activation: &Activation,
        verdict: Verdict,
        payload: Payload,
    ) -> NewRecord {
        let seq = self.next_seq();
        NewRecord { seq, key, kind, run: activation.task.run, seen, digest: None, verdict, payload, source: None }
    }

    pub(super) fn begin_body(&mut self, number: u64) -> bool {
        match self.calls.get_mut(&number) {
            Some(call) if call.phase == Phase::MayRun => {
                call.phase = Phase::Body;
                self.bodies += 1;
                true
            }
            _ => false,
        }
    }

    /// A body is over; false when it was given up by an interrupt or never ran.
    pub(super) fn end_body(&mut self, number: u64) -> bool {
        match self.calls.get_mut(&number) {
            Some(call) if call.phase == Phase::Body => {
                call.phase = Phase::InFlight;
                self.bodies -= 1;
                true
            }
            _ => false,
        }
    }

    pub(super) fn finish_step(
        &mut self,
        activation: &Arc<Activation>,
        number: u64,
        verdict: Verdict,
        payload: Payload,
    ) {
        if !self.end_body(number) || self.interrupt.is_some() {
            return;
        }
        let Some((key, seen)) = self.calls.get(&number).map(|call| (call.key.clone(), call.seen)) else { return };
        let record = self.record(key, RecordKind::Step, seen, activation, verdict, payload);
        let append = Append { lease: activation.task.lease, record, effect: None };
        activation.send(self, Command::Append(Box::new(append)), number);
    }

    /// A value is recorded without anybody waiting; bodies that start later wait for it.
    pub(super) fn append_value(&mut self, activation: &Arc<Activation>, key: CallKey, payload: Payload) {
        let seen = self.delivered;
        let record = self.record(key, RecordKind::Value, seen, activation, Verdict::Ok, payload);
        let append = Append { lease: activation.task.lease, record, effect: None };
        self.unwritten_values += 1;
        activation.send(self, Command::Append(Box::new(append)), VALUE);
    }

    pub(super) fn set_waiting(&mut self, number: u64, due: Option<Timestamp>) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.phase = Phase::Waiting;
            self.waiting += 1;
            if let Some(due) = due {
                self.timers.insert((due, number));
            }
        }
    }

    pub(super) fn leave_waiting(&mut self, number: u64) -> bool {
        match self.calls.get_mut(&number) {
            Some(call) if call.phase == Phase::Waiting => {
                call.phase = Phase::InFlight;
                self.waiting -= 1;
                true
            }
            _ => false,
        }
    }

    /// Picks up what came first: what an earlier attempt left, then the recorded past, then the present. Whether
    /// anything changed for the code.
    pub(crate) fn advance(&mut self, activation: &Arc<Activation>) -> bool {
        if self.interrupt.is_some() {
            return false;
        }
        if let Some((number, delivery)) = self.replay.next_delivery(self.delivered) {
            self.deliver(activation, number, delivery);
            return true;
        }
        if !self.replay.is_over() {
            return false;
        }
        if self.begin_held(activation) {
            return true;
        }
        match self.inbox.pop_front() {
            Some((number, delivery)) => {
                self.deliver(activation, number, delivery);
                true
            }
            None => false,
        }
    }

    fn deliver(&mut self, activation: &Arc<Activation>, number: u64, delivery: Delivery) {
        self.delivered += 1;
        // A message that comes to a second wait has left the first for good.
        self.returned.retain(|returned| returned.delivery.source != delivery.source || delivery.source.is_none());
        let Some(call) = self.calls.get_mut(&number) else { return };
        self.asked.remove(&call.key);
        if call.abandoned {
            if let Some(call) = self.calls.remove(&number) {
                self.give_back(activation, &call.ask, delivery);
            }
            return;
        }
        call.phase = Phase::Ready(delivery);
        if let Some(waker) = call.waker.take() {
            waker.wake();
        }
    }

    /// The code dropped a call.
    pub(super) fn dropped(&mut self, activation: &Arc<Activation>, number: u64) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        call.abandoned = true;
        match &call.phase {
            Phase::Ready(_) => {
                if let Some(CallState { ask, phase: Phase::Ready(delivery), .. }) = self.calls.remove(&number) {
                    self.give_back(activation, &ask, delivery);
                }
            }
            Phase::Waiting if !matches!(call.ask, Ask::Child(_)) => {
                self.leave_waiting(number);
                if let Some(call) = self.calls.remove(&number) {
                    self.asked.remove(&call.key);
                    if self.interrupt.is_none() {
                        activation.send_quietly(Command::Abandon(activation.task.lease, call.key));
                    }
                }
            }
            Phase::Body => {
                self.end_body(number);
                self.calls.remove(&number);
            }
            Phase::MayRun => drop(self.calls.remove(&number)),
            Phase::Held | Phase::Recorded | Phase::InFlight | Phase::Waiting => {}
        }
        self.wake_driver();
    }

    pub(super) fn call(&mut self, number: u64) -> Option<&mut CallState> {
        self.calls.get_mut(&number)
    }

    pub(super) fn take_ready(&mut self, number: u64) -> Option<Delivery> {
        if !matches!(self.calls.get(&number), Some(CallState { phase: Phase::Ready(_), .. })) {
            return None;
        }
        match self.calls.remove(&number) {
            Some(CallState { phase: Phase::Ready(delivery), .. }) => Some(delivery),
            _ => None,
        }
    }

    /// Whether [`advance`](Self::advance) could deliver something.
    pub(crate) fn has_news(&self) -> bool {
        !self.inbox.is_empty()
            || self.replay.has_next(self.delivered)
            || (!self.held.is_empty() && self.replay.is_over())
    }

    pub(crate) fn rest(&self) -> Rest {
        if self.bodies > 0 || self.in_flight > 0 || !self.inbox.is_empty() || !self.replay.is_over() {
            Rest::Busy
        } else if self.waiting > 0 {
            Rest::Waits
        } else {
            Rest::Elsewhere
        }
    }

    /// The code rests, records of the past are not asked for, and something else is: a new call, a later record, or a call
    /// that it had left open and asked only after them. It goes another way than it went, unless it still waits for something the engine knows nothing of.
    pub(crate) fn strayed(&self) -> Option<String> {
        if self.replay.is_over() || self.replay.has_next(self.delivered) {
            return None;
        }
        let mut asked = self.held.iter().filter_map(|number| self.calls.get(number));
        let strays = |key| !self.replay.is_open(key) || self.replay.was_asked_later(key, self.delivered);
        let call = match asked.find(|call| !call.abandoned && strays(&call.key)) {
            Some(call) => call,
            None => self.calls.get(&self.replay.asked_out_of_turn()?)?,
        };
        Some(self.replay.left_over(&format!("the code now asks for {} \"{}\"", call.ask.kind().as_str(), call.key)))
    }

    /// How long code that seems to stray may be waiting for something the engine knows nothing of: longer when parts of
    /// it run beside each other, where one may only be slow.
    pub(crate) const fn stray_grace(&self) -> Duration {
        if self.branches > 0 { Duration::from_secs(10) } else { Duration::from_secs(1) }
    }

    /// What is wrong when the code ends now. What it asked for it need not have got: it may end as soon as it likes.
    pub(crate) fn unfinished_past(&self) -> Option<String> {
        self.replay.has_unasked().then(|| self.replay.left_over("the code now ends"))
    }

    /// A parked task goes on: its timeout counts anew.
    pub(crate) fn set_timeout_again(&mut self, now: Duration) {
        self.sign_of_life(now);
    }

    /// While a task is parked its timeout stands still.
    pub(crate) fn parked(&mut self) {
        self.alive_until = None;
    }

    pub(super) fn extend_life(&mut self, until: Duration) {
        if self.timeout.is_some() {
            self.alive_until = self.alive_until.max(Some(until));
        }
    }
}

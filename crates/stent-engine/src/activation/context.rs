//! What a face calls on behalf of the user's code: every durable operation, in names and bytes. Clones share the
//! task; a branch has a scope of its own, so that calls from another thread do not disturb the count of these.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use stent_core::command::Effect;
use stent_core::history::Due;
use stent_core::{CallKey, ClaimedTask, Memo, Name, Payload, RecordKind, RunId, TaskId, TaskSpec, Timestamp, Verdict};

use super::ask::{Ask, ChildAsk};
use super::calls::{BeginStep, BegunValue, Call, ChildCall, StepTicket, ValueTicket};
use super::{Activation, State};

use crate::client::Engine;
use crate::error::Interrupt;

/// One claimed task, as its code sees it.
#[derive(Clone)]
pub struct Context {
    activation: Arc<Activation>,
    scope: Arc<str>,
}

impl Context {
    pub(crate) fn root(activation: Arc<Activation>) -> Self {
        Self { activation, scope: "".into() }
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> &ClaimedTask {
        &self.activation.task
    }

    /// The task's id. It never changes.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        self.task().lease.task.task
    }

    /// The id of this run: another one after a retry or a replay.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        RunId::derive(self.task_id(), self.task().run)
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.task().attempt
    }

    /// A client's handle, for what is not recorded.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.activation.engine()
    }

    /// The store's time, unrecorded.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.activation.worker.engine.store().now()
    }

    /// Whether recorded outcomes are still to be delivered again.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        !self.activation.state().replay.is_over()
    }

    /// A scope for code that runs beside this one (another thread, a spawned future).
    #[must_use]
    pub fn branch(&self, name: &Name) -> Self {
        let mut state = self.activation.state();
        state.branches += 1;
        let key = state.next_key(&self.scope, name);
        drop(state);
        Self { activation: Arc::clone(&self.activation), scope: key.as_str().into() }
    }

    fn ask(&self, name: &str, ask: Ask) -> Call {
        let mut state = self.activation.state();
        let key = state.next_key(&self.scope, name);
        let number = state.ask(&self.activation, key, ask);
        drop(state);
        Call::new(Arc::clone(&self.activation), number)
    }

    /// Asks to run a step: the first of its two phases.
    pub fn begin_step(&self, name: &Name) -> BeginStep {
        BeginStep(self.ask(name, Ask::Step))
    }

    /// Hands in what a step's body came to: the second phase. Resolves once it is recorded.
    pub fn finish_step(&self, ticket: StepTicket, verdict: Verdict, payload: Payload) -> Call {
        ticket.finish(&self.activation, verdict, payload)
    }

    /// Waits for a time. The due time stands from the first asking, through crashes.
    pub fn sleep(&self, name: &Name, due: Due) -> Call {
        self.ask(name, Ask::Timer(due))
    }

    /// Waits for a signal to the execution.
    pub fn wait_signal(&self, name: &Name, timeout: Option<Due>) -> Call {
        self.ask(&format!("signal:{name}"), Ask::Signal(name.clone(), timeout))
    }

    /// Waits for an event of a queue.
    pub fn wait_event(&self, queue: &Name, name: &Name, timeout: Option<Due>) -> Call {
        self.ask(&format!("event:{name}"), Ask::Event(queue.clone(), name.clone(), timeout))
    }

    /// Starts a child, at once. It is a task: seen, retried, cancelled with this one.
    #[must_use]
    pub fn start_child(&self, name: &Name, spec: TaskSpec, due: Option<Due>) -> ChildCall {
        let mut state = self.activation.state();
        let (key, id, digest) = self.child(&mut state, name, &spec);
        self.ask_child(state, key, ChildAsk { id, digest, spec, due })
    }

    /// The same, of a child whose memo `make` makes: once, when the call is new. A replay finds the child, and the memo
    /// with it, so a key may be made of the time or of chance.
    ///
    /// # Errors
    /// What `make` fails with; no child is started then.
    pub fn start_child_with<E>(
        &self,
        name: &Name,
        mut spec: TaskSpec,
        due: Option<Due>,
        make: impl FnOnce() -> Result<Option<Memo>, E>,
    ) -> Result<ChildCall, E> {
        let mut state = self.activation.state();
        let (key, id, digest) = self.child(&mut state, name, &spec);
        if state.replay.is_new(&key, RecordKind::Child, Some(digest), Some(id)) {
            // The user's code runs without the lock.
            drop(state);
            spec.options.memo = make()?.map(Box::new);
            state = self.activation.state();
        }
        Ok(self.ask_child(state, key, ChildAsk { id, digest, spec, due }))
    }

    /// Key, id and digest of the next child of this name.
    fn child(&self, state: &mut State, name: &Name, spec: &TaskSpec) -> (CallKey, TaskId, [u8; 16]) {
        let key = state.next_key(&self.scope, name);
        let digest = spec.args.digest();
        let instance = state.replay.instance(self.task_id(), &key, digest);
        let id = TaskId::derive(self.task_id(), &key, instance);
        (key, id, digest)
    }

    fn ask_child(&self, mut state: MutexGuard<'_, State>, key: CallKey, child: ChildAsk) -> ChildCall {
        let id = child.id;
        let number = state.ask(&self.activation, key, Ask::Child(Box::new(child)));
        drop(state);
        ChildCall { id, call: Call::new(Arc::clone(&self.activation), number) }
    }

    /// Makes a change through the engine, once: a replay finds its record.
    pub fn effect(&self, name: &str, effect: Effect) -> Call {
        self.ask(name, Ask::Effect(Some(Box::new(effect))))
    }

    /// The same, of a change that `make` makes up: once, when the call is new. The key of what is dispatched may be made of
    /// the time or of chance.
    ///
    /// # Errors
    /// What `make` fails with; nothing is changed then.
    pub fn effect_with<E>(&self, name: &str, make: impl FnOnce() -> Result<Effect, E>) -> Result<Call, E> {
        let mut state = self.activation.state();
        let key = state.next_key(&self.scope, name);
        let mut effect = None;
        if state.replay.is_new(&key, RecordKind::Effect, None, None) {
            // The user's code runs without the lock.
            drop(state);
            effect = Some(Box::new(make()?));
            state = self.activation.state();
        }
        let number = state.ask(&self.activation, key, Ask::Effect(effect));
        drop(state);
        Ok(Call::new(Arc::clone(&self.activation), number))
    }

    /// A value read off the world, at once: `make` runs the first time only. The record is on its way when this
    /// returns; no step's body starts before it is there.
    ///
    /// # Errors
    /// The interrupt that stops the task.
    pub fn value(&self, name: &Name, make: impl FnOnce() -> Payload) -> Result<Payload, Interrupt> {
        Ok(match self.begin_value(name)? {
            BegunValue::Recorded(recorded) => recorded,
            BegunValue::New(ticket) => {
                let payload = make();
                self.finish_value(ticket, payload.clone());
                payload
            }
        })
    }

    /// [`value`](Self::value) in two phases, for a face whose code cannot be called from here: what was recorded, or
    /// leave to make the value and hand it to [`finish_value`](Self::finish_value).
    ///
    /// # Errors
    /// The interrupt that stops the task.
    pub fn begin_value(&self, name: &Name) -> Result<BegunValue, Interrupt> {
        let mut state = self.activation.state();
        if let Some(interrupt) = state.interrupt {
            return Err(interrupt);
        }
        let key = state.next_key(&self.scope, name);
        if let Some(recorded) = state.replay.value(&key) {
            return Ok(BegunValue::Recorded(recorded));
        }
        state.refuse_if_full();
        state.interrupt.map_or(Ok(BegunValue::New(ValueTicket(key))), Err)
    }

    /// The second phase: the record of the value is on its way when this returns.
    pub fn finish_value(&self, ticket: ValueTicket, payload: Payload) {
        self.activation.state().append_value(&self.activation, ticket.0, payload);
    }

    /// Says that the code is about to run on a thread that its worker does not hold, so that nothing is delivered to it
    /// before [`rest`](Self::rest). For faces whose code is no future of Rust's.
    pub fn work(&self) {
        self.activation.state().at_work = true;
    }

    /// Says that the code has come to rest: it waits for its calls, or for something the engine knows nothing of.
    pub fn rest(&self) {
        let mut state = self.activation.state();
        state.at_work = false;
        state.wake_driver();
    }

    /// What stops the task, once something does.
    #[must_use]
    pub fn interrupt(&self) -> Option<Interrupt> {
        self.activation.state().interrupt
    }

    /// Sixteen bytes that are the same on every replay, without a record.
    #[must_use]
    pub fn derived(&self, name: &str) -> [u8; 16] {
        let key: CallKey = self.activation.state().next_key(&self.scope, name);
        self.task_id().derived_bytes(&key)
    }

    /// A sign of life: the attempt's timeout counts anew, from now plus `extend`.
    ///
    /// # Errors
    /// The interrupt that stops the task.
    pub fn heartbeat(&self, extend: Duration) -> Result<(), Interrupt> {
        let mut state = self.activation.state();
        if let Some(interrupt) = state.interrupt {
            return Err(interrupt);
        }
        state.extend_life(self.activation.worker.now() + extend);
        state.wake_driver();
        Ok(())
    }
}

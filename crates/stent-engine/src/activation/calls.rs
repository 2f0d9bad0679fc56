//! The futures that a task's code awaits. They hold a number and look their state up; dropping one gives the call up.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polled, Poll};

use stent_core::{CallKey, Payload, TaskId, Verdict};

use super::Activation;
use super::state::{Delivery, Phase};
use crate::error::Interrupt;

/// A call of the code's. Resolves when its outcome is delivered, or with the interrupt that stops the task.
#[must_use = "a call that is not awaited is given up"]
pub struct Call {
    activation: Arc<Activation>,
    /// Zero once the outcome was picked up.
    number: u64,
}

impl Call {
    pub(super) fn new(activation: Arc<Activation>, number: u64) -> Self {
        Self { activation, number }
    }
}

impl Future for Call {
    type Output = Result<Delivery, Interrupt>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Polled<'_>) -> Poll<Self::Output> {
        let number = self.number;
        let polled = {
            let mut state = self.activation.state();
            if let Some(interrupt) = state.interrupt {
                return Poll::Ready(Err(interrupt));
            }
            let ready = state.take_ready(number);
            if ready.is_none()
                && let Some(call) = state.call(number)
            {
                call.waker = Some(cx.waker().clone());
            }
            ready
        };
        match polled {
            Some(delivery) => {
                self.number = 0;
                Poll::Ready(Ok(delivery))
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.number != 0 {
            self.activation.state().dropped(&self.activation, self.number);
        }
    }
}

/// A child that was asked for: its id is known at once, its end is the call's outcome.
pub struct ChildCall {
    /// The child's id: the same after a crash, fit for a payment key.
    pub id: TaskId,
    /// Resolves with the child's end.
    pub call: Call,
}

/// The first half of a step: resolves with what was recorded, or with leave to run the body.
#[must_use = "a step that is not awaited is given up"]
pub struct BeginStep(pub(super) Call);

/// What became of the first half of a step.
pub enum Begun {
    /// It was run before; this is how it came out.
    Recorded(Delivery),
    /// Run the body, then hand the ticket to [`Context::finish_step`](super::Context::finish_step).
    Run(StepTicket),
}

/// Leave to run a step's body once. Dropped without being finished, the step is not recorded.
pub struct StepTicket(Option<Call>);

/// What became of the first half of a value.
pub enum BegunValue {
    /// It was made before.
    Recorded(Payload),
    /// Make it, then hand the ticket to [`Context::finish_value`](super::Context::finish_value).
    New(ValueTicket),
}

/// Leave to make a value once. Dropped without being finished, the value is not recorded.
pub struct ValueTicket(pub(super) CallKey);

impl Future for BeginStep {
    type Output = Result<Begun, Interrupt>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Polled<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(recorded) = Pin::new(&mut self.0).poll(cx) {
            return Poll::Ready(recorded.map(Begun::Recorded));
        }
        let number = self.0.number;
        if !self.0.activation.state().begin_body(number) {
            return Poll::Pending;
        }
        let call = Call::new(Arc::clone(&self.0.activation), number);
        self.0.number = 0;
        Poll::Ready(Ok(Begun::Run(StepTicket(Some(call)))))
    }
}

impl StepTicket {
    /// The second half: hands the outcome in and becomes the call that resolves once it is recorded.
    pub(super) fn finish(mut self, activation: &Arc<Activation>, verdict: Verdict, payload: Payload) -> Call {
        match self.0.take() {
            Some(call) => {
                activation.state().finish_step(activation, call.number, verdict, payload);
                call
            }
            None => Call::new(Arc::clone(activation), 0),
        }
    }

    /// Whether the step has left the phase in which its body may run: the task was interrupted meanwhile.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.0.as_ref().is_none_or(|call| {
            let mut state = call.activation.state();
            state.interrupt.is_some() || !state.call(call.number).is_some_and(|call| call.phase == Phase::Body)
        })
    }
}

//! One attempt as the engine's worker sees it: a future that is polled when something was delivered, tells Python, and
//! is resolved by what Python says its code came to.
//!
//! Invariant: before Python is told anything, the engine knows that the code is at work, so that it delivers nothing
//! else until Python says that the code rests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polled, Poll};

use stent_core::Payload;
use stent_engine::{AttemptError, Context, Interrupt};

use super::Bridge;
use super::outbox::Message;
use super::run::{Came, Run};

pub(super) struct Code {
    bridge: Arc<Bridge>,
    run: Arc<Run>,
    stopped: bool,
}

impl Code {
    /// Tells Python to begin.
    pub(super) fn begin(bridge: &Arc<Bridge>, context: Context) -> Self {
        let (function, args) = (context.task().spec.function.to_string(), context.task().spec.args.clone());
        let replaying = context.is_replaying();
        let run = Run::new(bridge.next_run(), context);
        bridge.insert(&run);
        let turn = run.begin_turn();
        bridge.outbox.push(Message::Start(run.number, turn, function, args, replaying));
        Self { bridge: Arc::clone(bridge), run, stopped: false }
    }

    fn stop(&mut self, interrupt: Interrupt) {
        if !std::mem::replace(&mut self.stopped, true) {
            self.bridge.outbox.push(Message::Stop(self.run.number, word(interrupt)));
        }
    }
}

/// An interrupt in a word for Python.
fn word(interrupt: Interrupt) -> &'static str {
    match interrupt {
        Interrupt::Suspended => "suspended",
        Interrupt::Cancelled => "cancelled",
        Interrupt::TimedOut => "timed out",
        Interrupt::LeaseLost => "lease lost",
        Interrupt::Mismatch => "mismatch",
        Interrupt::Closed => "closed",
    }
}

impl Future for Code {
    type Output = Result<Payload, AttemptError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Polled<'_>) -> Poll<Self::Output> {
        let run = Arc::clone(&self.run);
        run.set_waker(cx.waker());
        if let Some(ended) = run.take_end() {
            self.stopped = true;
            return Poll::Ready(ended);
        }
        if let Some(interrupt) = run.context.interrupt() {
            self.stop(interrupt);
        }
        run.poll_calls(|call, came| match came {
            Came::Outcome(delivery) => {
                let turn = run.begin_turn();
                let message = Message::Outcome(run.number, turn, call, delivery.verdict, delivery.payload);
                self.bridge.outbox.push(message);
            }
            Came::Body => {
                let turn = run.begin_turn();
                self.bridge.outbox.push(Message::Body(run.number, turn, call));
            }
            Came::Stopped(interrupt) => self.stop(interrupt),
        });
        Poll::Pending
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // Dropped before its end: it is not the worker's any more, whatever the code does.
        let interrupt = self.run.context.interrupt().unwrap_or(Interrupt::Closed);
        self.stop(interrupt);
        self.bridge.remove(self.run.number);
        self.run.clear();
    }
}

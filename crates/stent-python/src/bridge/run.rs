//! One attempt as Python sees it: its calls by number, its scopes, and the turns in which its code is at work.
//!
//! Invariant: locks are taken in the order calls, the engine's state, signs; a call's waker takes only the last.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context as Polled, Poll, Wake, Waker};

use stent_core::{Payload, Verdict};
use stent_engine::{AttemptError, BeginStep, Begun, Call, Context, Delivery, Interrupt, StepTicket, ValueTicket};

pub(crate) struct Run {
    pub(crate) number: u64,
    /// The code's own scope.
    pub(crate) context: Context,
    /// The scopes beside it, by number from 1.
    scopes: Mutex<Vec<Context>>,
    turn: AtomicU64,
    calls: Mutex<HashMap<u64, Asked>>,
    signs: Arc<Signs>,
    end: Mutex<Option<Result<Payload, AttemptError>>>,
    /// Leave to make values, by scope: code of several threads may make some at once.
    values: Mutex<HashMap<u32, (Context, ValueTicket)>>,
}

/// A call that was asked and has not come back.
enum Asked {
    Call(Call),
    Begin(BeginStep),
    /// A step whose body Python runs.
    Body(StepTicket),
    /// It came back while it was asked, and Python has not been told.
    Came(Came),
}

/// What came of a call.
pub(super) enum Came {
    Outcome(Delivery),
    Body,
    Stopped(Interrupt),
}

/// Which calls may have come back.
#[derive(Default)]
struct Signs {
    ready: Mutex<Vec<u64>>,
    code: Mutex<Option<Waker>>,
}

fn outcome(came: Result<Delivery, Interrupt>) -> Came {
    match came {
        Ok(delivery) => Came::Outcome(delivery),
        Err(interrupt) => Came::Stopped(interrupt),
    }
}

impl Signs {
    fn wake_code(&self) {
        let code = self.code.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(code) = code {
            code.wake();
        }
    }
}

struct CallWaker {
    call: u64,
    signs: Weak<Signs>,
}

impl Wake for CallWaker {
    fn wake(self: Arc<Self>) {
        if let Some(signs) = self.signs.upgrade() {
            signs.ready.lock().unwrap_or_else(PoisonError::into_inner).push(self.call);
            signs.wake_code();
        }
    }
}

impl Run {
    pub(super) fn new(number: u64, context: Context) -> Arc<Self> {
        Arc::new(Self {
            number,
            context,
            scopes: Mutex::default(),
            turn: AtomicU64::new(0),
            calls: Mutex::default(),
            signs: Arc::default(),
            end: Mutex::default(),
            values: Mutex::default(),
        })
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<u64, Asked>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A scope by its number.
    pub(super) fn scope(&self, scope: u32) -> Option<Context> {
        match scope {
            0 => Some(self.context.clone()),
            _ => self.scopes.lock().unwrap_or_else(PoisonError::into_inner).get(scope as usize - 1).cloned(),
        }
    }

    /// Opens a scope below another one; its number.
    pub(super) fn branch(&self, scope: Context) -> u32 {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        scopes.push(scope);
        u32::try_from(scopes.len()).unwrap_or(u32::MAX)
    }

    /// The code is at work from now on, until it says that this turn is over.
    pub(super) fn begin_turn(&self) -> u64 {
        self.context.work();
        self.turn.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The code has come to rest, as far as Python knew at `turn`.
    pub(super) fn end_turn(&self, turn: u64) {
        if self.turn.load(Ordering::Acquire) == turn {
            self.context.rest();
        }
    }

    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut code = self.signs.code.lock().unwrap_or_else(PoisonError::into_inner);
        if !code.as_ref().is_some_and(|code| code.will_wake(waker)) {
            *code = Some(waker.clone());
        }
    }

    fn waker(&self, call: u64) -> Waker {
        Waker::from(Arc::new(CallWaker { call, signs: Arc::downgrade(&self.signs) }))
    }

    /// The calls that came back since the last time.
    pub(super) fn poll_calls(&self, mut told: impl FnMut(u64, Came)) {
        loop {
            let ready = std::mem::take(&mut *self.signs.ready.lock().unwrap_or_else(PoisonError::into_inner));
            if ready.is_empty() {
                return;
            }
            for number in ready {
                let came = self.poll_one(number);
                if let Some(came) = came {
                    told(number, came);
                }
            }
        }
    }

    /// Polls a call; one that comes back leaves the table. The table stays locked, so that a call cannot be given up
    /// meanwhile and come back all the same.
    fn poll_one(&self, number: u64) -> Option<Came> {
        let mut calls = self.calls();
        let waker = self.waker(number);
        let mut cx = Polled::from_waker(&waker);
        let came = match calls.remove(&number)? {
            Asked::Call(mut call) => match Pin::new(&mut call).poll(&mut cx) {
                Poll::Pending => {
                    calls.insert(number, Asked::Call(call));
                    return None;
                }
                Poll::Ready(came) => outcome(came),
            },
            Asked::Begin(mut begin) => match Pin::new(&mut begin).poll(&mut cx) {
                Poll::Pending => {
                    calls.insert(number, Asked::Begin(begin));
                    return None;
                }
                Poll::Ready(Ok(Begun::Recorded(delivery))) => Came::Outcome(delivery),
                Poll::Ready(Ok(Begun::Run(ticket))) => {
                    calls.insert(number, Asked::Body(ticket));
                    Came::Body
                }
                Poll::Ready(Err(interrupt)) => Came::Stopped(interrupt),
            },
            Asked::Body(ticket) => {
                calls.insert(number, Asked::Body(ticket));
                return None;
            }
            Asked::Came(came) => came,
        };
        Some(came)
    }

    /// A call is asked. Its outcome comes by its waker as a rule. It may be there at once: code that was woken by
    /// something the engine knows nothing of, as a thread is, asks while the engine takes it to be at rest.
    pub(super) fn asked(&self, number: u64, mut call: Call) {
        let waker = self.waker(number);
        let mut calls = self.calls();
        match Pin::new(&mut call).poll(&mut Polled::from_waker(&waker)) {
            Poll::Pending => drop(calls.insert(number, Asked::Call(call))),
            Poll::Ready(came) => {
                calls.insert(number, Asked::Came(outcome(came)));
                drop(calls);
                self.look_at(number);
            }
        }
    }

    fn look_at(&self, number: u64) {
        self.signs.ready.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        self.signs.wake_code();
    }

    /// Asks for a step; whether its body may run at once.
    pub(super) fn begin_step(&self, number: u64, mut begin: BeginStep) -> bool {
        let waker = self.waker(number);
        match Pin::new(&mut begin).poll(&mut Polled::from_waker(&waker)) {
            Poll::Ready(Ok(Begun::Run(ticket))) => {
                self.calls().insert(number, Asked::Body(ticket));
                true
            }
            Poll::Ready(Ok(Begun::Recorded(delivery))) => self.told_later(number, Asked::Came(Came::Outcome(delivery))),
            Poll::Ready(Err(interrupt)) => self.told_later(number, Asked::Came(Came::Stopped(interrupt))),
            // It may have been woken before it lay in the table.
            Poll::Pending => self.told_later(number, Asked::Begin(begin)),
        }
    }

    fn told_later(&self, number: u64, asked: Asked) -> bool {
        self.calls().insert(number, asked);
        self.look_at(number);
        false
    }

    /// A step's body came to something.
    pub(super) fn finish_step(&self, number: u64, verdict: Verdict, payload: Payload) {
        let Some(Asked::Body(ticket)) = self.calls().remove(&number) else { return };
        let call = self.context.finish_step(ticket, verdict, payload);
        self.asked(number, call);
    }

    /// The code gives a call up.
    pub(super) fn give_up(&self, number: u64) {
        let asked = self.calls().remove(&number);
        drop(asked);
    }

    /// What the code came to.
    pub(super) fn end(&self, end: Result<Payload, AttemptError>) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end);
        // The code is polled first: at rest, a child that runs in place would send its start by itself.
        self.signs.wake_code();
        self.context.rest();
    }

    pub(super) fn take_end(&self) -> Option<Result<Payload, AttemptError>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the leave to make a value until [`finish_value`](Self::finish_value). The code of one scope makes one at a
    /// time.
    pub(super) fn keep_ticket(&self, scope: u32, context: Context, ticket: ValueTicket) {
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(scope, (context, ticket));
    }

    pub(super) fn finish_value(&self, scope: u32, payload: Payload) {
        let kept = self.values.lock().unwrap_or_else(PoisonError::into_inner).remove(&scope);
        if let Some((context, ticket)) = kept {
            context.finish_value(ticket, payload);
        }
    }

    /// Gives all calls up.
    pub(super) fn clear(&self) {
        let calls = std::mem::take(&mut *self.calls());
        drop(calls);
    }
}

#[cfg(test)]
mod tests;

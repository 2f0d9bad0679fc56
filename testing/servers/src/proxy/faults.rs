//! What is wrong with the network just now: switched by the test, asked by every connection before it passes
//! something on.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::messages::Message;

/// Decides whether a client's message is the one that is waited for.
type Sought = Box<dyn Fn(&Message<'_>) -> bool + Send>;

/// The faults of one proxy.
#[derive(Default)]
pub(super) struct Faults {
    state: Mutex<State>,
    changed: Condvar,
}

/// All that can be wrong.
#[derive(Default)]
pub(super) struct State {
    pub(super) is_black_hole: bool,
    pub(super) is_refusing: bool,
    pub(super) latency: Duration,
    pub(super) loss: Option<Loss>,
    /// How often losing was switched on.
    pub(super) losses: u64,
    pub(super) trap: Option<Trap>,
}

/// Replies get lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loss {
    /// Which switch this was: a connection begins to count anew at each.
    pub(super) number: u64,
    /// How much of each connection's replies still comes through.
    pub(super) after_bytes: usize,
}

/// Waits for one message; the reply to it gets lost.
pub(super) struct Trap {
    pub(super) is_sought: Sought,
    pub(super) tell: Sender<()>,
}

/// A reply that is to be lost: see [`Proxy::lose_reply_to_commit`](super::Proxy::lose_reply_to_commit).
#[derive(Debug)]
pub struct LostReply {
    happened: Receiver<()>,
}

impl LostReply {
    /// Waits until the server has answered, the answer is thrown away and the connection reset. False if that does not
    /// happen in time.
    pub fn wait(&self, limit: Duration) -> bool {
        self.happened.recv_timeout(limit).is_ok()
    }
}

impl Faults {
    pub(super) fn now(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is wrong, and wakes the connections that were held.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.now());
        self.changed.notify_all();
        changed
    }

    /// Sets a trap in the place of the last one.
    pub(super) fn set_trap(&self, is_sought: Sought) -> LostReply {
        let (tell, happened) = channel();
        self.change(|state| state.trap = Some(Trap { is_sought, tell }));
        LostReply { happened }
    }

    /// Takes the trap out if this is the message it waits for.
    pub(super) fn spring(&self, message: &Message<'_>) -> Option<Sender<()>> {
        let mut state = self.now();
        let springs = state.trap.as_ref().is_some_and(|trap| (trap.is_sought)(message));
        if springs { state.trap.take().map(|trap| trap.tell) } else { None }
    }

    /// Holds the caller for as long as nothing passes, and for the latency. Returns early once it is cut.
    pub(super) fn hold(&self, is_cut: impl Fn() -> bool) {
        let mut state = self.now();
        while state.is_black_hole && !is_cut() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let latency = state.latency;
        drop(state);
        if !latency.is_zero() {
            thread::sleep(latency);
        }
    }

    /// Wakes those that are held, so that they see whether they are cut.
    pub(super) fn wake(&self) {
        // Under the lock: whoever looked before and did not wait yet would miss it.
        drop(self.now());
        self.changed.notify_all();
    }
}

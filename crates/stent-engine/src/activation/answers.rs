//! What the store's answers mean for the calls of an activation. Runs on the committer's thread.

use std::sync::Arc;

use stent_core::{Done, Outcome, Record, Refusal, TaskState};

use super::state::{Delivery, State};
use super::{Activation, HEED, OWN_START, VALUE};
use crate::error::Interrupt;

impl State {
    /// A record for this task was written on its behalf (the end of a child in place).
    pub(super) fn record_came(&mut self, record: Record) {
        self.turn = None;
        if let Some(&number) = self.asked.get(&record.key) {
            self.leave_waiting(number);
            self.inbox.push_back((number, Delivery::from(record)));
        }
    }
}

impl Activation {
    /// What an answer means for its call.
    pub(super) fn settle(self: &Arc<Self>, state: &mut State, call: u64, outcome: Outcome) {
        let done = match outcome {
            Ok(done) => done,
            Err(Refusal::Terminal(_)) => return state.interrupt(Interrupt::Cancelled),
            Err(Refusal::LeaseLost | Refusal::SessionGone) => return state.interrupt(Interrupt::LeaseLost),
            // The lease stands, so the task has to be given back, with the reason.
            Err(refusal) => return state.does_not_fit(format!("the store refused a write of it: {refusal}")),
        };
        match (call, done) {
            (OWN_START, Done::ChildStarted { created: true, .. }) => {}
            // The row was there: this process ran in place what somebody else owns.
            (OWN_START, _) => state.interrupt(Interrupt::LeaseLost),
            (HEED, _) => state.heeded = true,
            (VALUE, _) => {
                state.unwritten_values -= 1;
                if state.unwritten_values == 0 && state.replay.is_over() {
                    state.begin_held(self);
                }
            }
            (_, Done::Recorded(record) | Done::Delivered(record)) => {
                state.turn = None;
                state.inbox.push_back((call, Delivery::from(*record)));
            }
            (_, Done::Waiting(due)) => {
                state.set_waiting(call, due);
                if state.calls.get(&call).is_some_and(|call| call.abandoned) {
                    state.dropped(self, call);
                } else {
                    state.take_returned(self, call);
                }
            }
            (_, Done::ChildStarted { state: child, digest, .. }) => self.child_started(state, call, child, digest),
            (_, other) => tracing::error!(?other, "the store answered a call with another's answer"),
        }
    }

    fn child_started(self: &Arc<Self>, state: &mut State, call: u64, child: TaskState, digest: [u8; 16]) {
        let Some(asked) = state.calls.get(&call) else { return };
        if asked.ask.digest().is_some_and(|mine| mine != digest) {
            let key = asked.key.clone();
            return state
                .does_not_fit(format!("child \"{key}\" was started with other arguments than it is called with"));
        }
        state.set_waiting(call, None);
        if child.is_terminal() {
            state.ask_again(self, call);
        }
    }
}

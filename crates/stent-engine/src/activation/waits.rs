//! Waits within an activation: messages whose wait was given up, timers, and what is asked for again after a wake.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stent_core::command::Append;
use stent_core::{CallKey, Command, Name, RecordKind, SignalId, Timestamp, Verdict};

use super::Activation;
use super::ask::Ask;
use super::state::{Delivery, Phase, State};

/// A message that was consumed for a wait the code had given up: the next wait of its stream gets it first.
pub(super) struct Returned {
    kind: RecordKind,
    name: Name,
    queue: Option<Name>,
    pub(super) delivery: Delivery,
}

impl Ask {
    /// The stream of messages this wait takes from, if it takes messages.
    pub(super) fn stream(&self) -> Option<(RecordKind, &Name, Option<&Name>)> {
        match self {
            Self::Signal(name, _) => Some((RecordKind::Signal, name, None)),
            Self::Event(queue, name, _) => Some((RecordKind::Event, name, Some(queue))),
            _ => None,
        }
    }
}

impl State {
    /// Keeps a message whose wait is gone for the next wait of its stream.
    pub(super) fn give_back(&mut self, activation: &Arc<Activation>, ask: &Ask, delivery: Delivery) {
        let (Some((kind, name, queue)), Verdict::Ok) = (ask.stream(), delivery.verdict) else { return };
        let (name, queue) = (name.clone(), queue.cloned());
        self.returned.push(Returned { kind, name, queue, delivery });
        let next = self.calls.iter().filter(|(_, call)| call.phase == Phase::Waiting && !call.abandoned);
        let next = next.filter(|(_, call)| call.ask.stream().is_some()).map(|(&number, _)| number).min();
        if let Some(number) = next {
            self.take_returned(activation, number);
        }
    }

    /// Hands a returned message to a wait of its stream, as a record of its own.
    pub(super) fn take_returned(&mut self, activation: &Arc<Activation>, number: u64) -> bool {
        if self.returned.is_empty() || !self.replay.is_over() {
            return false;
        }
        let Some(call) = self.calls.get(&number) else { return false };
        let Some((kind, name, queue)) = call.ask.stream() else { return false };
        let fits = |r: &Returned| r.kind == kind && r.name == *name && r.queue.as_ref() == queue;
        let Some(at) = self.returned.iter().position(fits) else { return false };
        let (key, seen) = (call.key.clone(), call.seen);
        let registered = self.leave_waiting(number);
        let returned = self.returned.remove(at);
        if registered {
            activation.send_quietly(Command::Abandon(activation.task.lease, key.clone()));
        }
        if let Some(call) = self.calls.get_mut(&number) {
            call.phase = Phase::InFlight;
        }
        let mut record = self.record(key, kind, seen, activation, Verdict::Ok, returned.delivery.payload);
        record.source = returned.delivery.source;
        let append = Append { lease: activation.task.lease, record, effect: None };
        activation.send(self, Command::Append(Box::new(append)), number);
        true
    }

    /// Signals to be given back because the task ends without having used them: those whose waits were given up, and
    /// those that the code did not stay for.
    pub(crate) fn returned_signals(&self) -> Vec<SignalId> {
        let given_up = self.returned.iter().map(|returned| (returned.kind, returned.delivery.source));
        let came = self.inbox.iter().filter_map(|(number, delivery)| {
            let call = self.calls.get(number)?;
            (delivery.verdict == Verdict::Ok).then_some((call.ask.kind(), delivery.source))
        });
        let recorded = self.replay.undelivered().filter(|record| record.verdict == Verdict::Ok);
        let recorded = recorded.map(|record| (record.kind, record.source));
        let signals = given_up.chain(came).chain(recorded).filter(|(kind, _)| *kind == RecordKind::Signal);
        // One that was given up and went to a second wait stands here twice.
        let signals: BTreeSet<_> = signals.filter_map(|(_, source)| source.map(SignalId::from_bytes)).collect();
        signals.into_iter().collect()
    }

    pub(super) fn waits_for_messages(&self) -> Vec<u64> {
        let waits = self.calls.iter().filter(|(_, call)| call.phase == Phase::Waiting && call.ask.stream().is_some());
        let mut waits: Vec<_> = waits.map(|(&number, _)| number).collect();
        waits.sort_unstable();
        waits
    }

    pub(crate) const fn waits_for_anything(&self) -> bool {
        self.waiting > 0
    }

    pub(super) fn waiting_call(&self, key: &CallKey) -> Option<u64> {
        let number = *self.asked.get(key)?;
        self.calls.get(&number).is_some_and(|call| call.phase == Phase::Waiting).then_some(number)
    }

    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<u64> {
        let later = self.timers.split_off(&(Timestamp::from_micros(now.as_micros().saturating_add(1)), 0));
        let due = std::mem::replace(&mut self.timers, later);
        due.into_iter().map(|(_, number)| number).collect()
    }

    pub(super) fn next_due(&mut self) -> Option<Timestamp> {
        while let Some(&(due, number)) = self.timers.first() {
            if self.calls.get(&number).is_some_and(|call| call.phase == Phase::Waiting) {
                return Some(due);
            }
            self.timers.pop_first();
        }
        None
    }

    pub(crate) fn set_timeout(&mut self, timeout: Option<Duration>, now: Duration) {
        self.timeout = timeout;
        self.sign_of_life(now);
    }

    pub(super) fn sign_of_life(&mut self, now: Duration) {
        self.alive_until = self.timeout.map(|timeout| now + timeout);
    }
}

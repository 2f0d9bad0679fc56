//! Append, and the effects that a record can carry.

use stent_core::command::{Append, Done, Effect, Number, Outcome, Refusal, Start};
use stent_core::{ExecutionId, Failure, FailureKind, Payload, Record, TaskRef, Verdict};

use super::Act;
use super::rows::Written;

impl Act<'_> {
    pub(super) fn append(&mut self, append: &Append) -> Outcome {
        let now = self.now;
        let task = self.leased(&append.lease)?;
        if task.records.contains_key(&append.record.seq) {
            return Err(Refusal::Exists);
        }
        let new = append.record.clone();
        let mut record = Record {
            seq: new.seq,
            key: new.key,
            kind: new.kind,
            run: new.run,
            seen: new.seen,
            digest: new.digest,
            verdict: new.verdict,
            payload: new.payload,
            source: new.source,
            at: now,
        };
        if let Some(effect) = &append.effect {
            (record.verdict, record.payload) = match self.carry_out(append.lease.task.execution, effect) {
                Ok(payload) => (Verdict::Ok, payload),
                Err(refusal) => (Verdict::Failed, Failure::new(FailureKind::Error, refusal.to_string()).to_payload()),
            };
        }
        self.write(append.lease.task, record.clone());
        Ok(Done::Recorded(Box::new(record)))
    }

    /// Adds a record at a place that is free.
    pub(super) fn write(&mut self, at: TaskRef, record: Record) {
        if let Some(task) = self.model.tasks.get_mut(&at) {
            task.records.insert(record.seq, Written { epoch: task.epoch, record });
        }
    }

    /// Makes the change and tells what to record of it.
    pub(super) fn carry_out(&mut self, execution: ExecutionId, effect: &Effect) -> Result<Payload, Refusal> {
        match effect {
            Effect::Start(start) => return self.start_from_within(start),
            Effect::Signal(signal) => drop(self.signal(signal)?),
            Effect::Emit(emit) => drop(self.emit(emit)?),
            Effect::EnsureCounters(counters) => {
                for (name, value) in counters {
                    self.model.counters.entry((execution, name.clone())).or_insert(*value);
                }
            }
            Effect::AddCounter(name, amount) => {
                let value = self.model.counters.entry((execution, name.clone())).or_insert(Number::Whole(0));
                *value = value.plus(*amount);
                return Ok(Payload::json(&*value).unwrap_or_else(|_| Payload::null()));
            }
            Effect::EnsureState(values) => {
                for (name, value) in values {
                    self.model.state.entry((execution, name.clone())).or_insert_with(|| value.clone());
                }
            }
            Effect::SetState(name, value) => {
                self.model.state.insert((execution, name.clone()), value.clone());
            }
        }
        Ok(Payload::null())
    }

    /// A start that is an effect is never claimed: the record could not hand the task out.
    fn start_from_within(&mut self, start: &Start) -> Result<Payload, Refusal> {
        match self.start(&Start { claim_for: None, ..start.clone() })? {
            Done::Started { execution, created, .. } => {
                let json = format!("{{\"created\":{created},\"execution\":\"{execution}\"}}");
                Ok(Payload::new(&stent_core::Codec::Json, json.as_bytes()).unwrap_or_else(|_| Payload::null()))
            }
            _ => Ok(Payload::null()),
        }
    }
}

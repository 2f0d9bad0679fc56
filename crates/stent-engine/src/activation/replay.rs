//! The recorded past of a task, handed out again in the order in which it was delivered. The next record is delivered
//! only once every call that had been asked before it has been asked again; what does not fit is found before
//! anything new runs, because nothing new begins until the past is used up.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use stent_core::history::OpenCall;
use stent_core::{CallKey, History, Payload, Record, RecordKind, TaskId, Verdict};

use super::state::Delivery;

/// What the past says of a call.
pub(super) enum Past {
    /// This run recorded it.
    Recorded,
    /// An earlier run recorded its success.
    Kept,
    /// It has no record.
    New,
    /// Its record is of another call.
    DoesNotFit(String),
}

/// A record of this run that was not delivered again yet, and the call that asks for it.
struct Pending {
    record: Record,
    call: Option<u64>,
}

pub(super) struct Replay {
    /// This run's records, in order of place; those of calls only.
    queue: VecDeque<Pending>,
    /// How many of them were delivered.
    delivered: usize,
    /// Which of them, counted from the first, answers a call that was not asked yet.
    unasked: HashMap<CallKey, usize>,
    /// How many records with this `seen` have not been asked yet.
    unasked_by_seen: BTreeMap<u32, u32>,
    /// Successes of earlier runs, oldest first: a child called with other arguments each time leaves several.
    kept: HashMap<CallKey, Vec<Record>>,
    /// The run that goes on.
    run: u32,
    /// Kept ones that were asked, in order of place.
    kept_asked: BTreeMap<u32, (u64, Delivery)>,
    values: HashMap<CallKey, Payload>,
    /// Several under one key where runs called a child with other arguments each time.
    open: HashMap<CallKey, Vec<OpenCall>>,
    /// Children of earlier lives that the code has not come to yet.
    not_begun: HashSet<TaskId>,
    /// How many failed children each key has left behind.
    failed_children: HashMap<CallKey, u32>,
}

impl Replay {
    pub(super) fn new(run: u32, history: History) -> Self {
        let mut replay = Self {
            queue: VecDeque::with_capacity(history.records.len()),
            delivered: 0,
            unasked: HashMap::with_capacity(history.records.len()),
            unasked_by_seen: BTreeMap::new(),
            kept: HashMap::new(),
            run,
            kept_asked: BTreeMap::new(),
            values: HashMap::new(),
            open: HashMap::new(),
            not_begun: history.open.iter().filter_map(|open| open.child).collect(),
            failed_children: HashMap::new(),
        };
        for open in history.open {
            replay.open.entry(open.key.clone()).or_default().push(open);
        }
        for record in history.records {
            replay.remember(run, record);
        }
        replay
    }

    fn remember(&mut self, run: u32, record: Record) {
        let succeeded = record.verdict == Verdict::Ok;
        if record.kind == RecordKind::Value {
            self.values.insert(record.key, record.payload);
        } else if record.run < run {
            if succeeded {
                self.kept.entry(record.key.clone()).or_default().push(record);
            } else if record.kind == RecordKind::Child {
                *self.failed_children.entry(record.key).or_insert(0) += 1;
            }
        } else {
            self.unasked.insert(record.key.clone(), self.queue.len());
            *self.unasked_by_seen.entry(record.seen).or_insert(0) += 1;
            self.queue.push_back(Pending { record, call: None });
        }
    }

    /// The code asks a call.
    pub(super) fn asked(&mut self, key: &CallKey, kind: RecordKind, digest: Option<[u8; 16]>, call: u64) -> Past {
        let asked = self.unasked.remove(key).and_then(|at| self.queue.get_mut(at.checked_sub(self.delivered)?));
        if let Some(pending) = asked {
            let record = &pending.record;
            if record.kind != kind {
                let (was, is) = (record.kind.as_str(), kind.as_str());
                return Past::DoesNotFit(format!("the record \"{key}\" is of a {was}, the code now asks for a {is}"));
            }
            if digest.is_some() && record.digest.is_some() && digest != record.digest {
                return Past::DoesNotFit(format!(
                    "the record of {} \"{key}\" has other arguments than the call has now",
                    kind.as_str()
                ));
            }
            let seen = record.seen;
            pending.call = Some(call);
            if let Some(count) = self.unasked_by_seen.get_mut(&seen) {
                *count -= 1;
                if *count == 0 {
                    self.unasked_by_seen.remove(&seen);
                }
            }
            return Past::Recorded;
        }
        if let Some(kept) = self.take_kept(key, kind, digest) {
            self.kept_asked.insert(kept.seq, (call, Delivery::from(kept)));
            return Past::Kept;
        }
        let open = self.open.get(key).map_or(&[][..], Vec::as_slice);
        if let Some(open) = open.iter().find(|open| open.kind != kind) {
            let (was, is) = (open.kind.as_str(), kind.as_str());
            return Past::DoesNotFit(format!("the open call \"{key}\" is of a {was}, the code now asks for a {is}"));
        }
        // Earlier runs may have called it with other arguments: this one then calls another child.
        let other = |open: &OpenCall| digest.is_some() && open.digest.is_some() && open.digest != digest;
        if self.run == 1 && open.iter().any(other) {
            return Past::DoesNotFit(format!(
                "child \"{key}\" was started with other arguments than it is called with"
            ));
        }
        Past::New
    }

    /// Whether a call that is about to be asked was not asked in an earlier life: it has no record, and as a child no row.
    pub(super) fn is_new(
        &self,
        key: &CallKey,
        kind: RecordKind,
        digest: Option<[u8; 16]>,
        child: Option<TaskId>,
    ) -> bool {
        let kept = self.kept.get(key).map_or(&[][..], Vec::as_slice);
        let open = self.open.get(key).map_or(&[][..], Vec::as_slice);
        let is_kept = kept.iter().any(|kept| kept.kind == kind && (digest.is_none() || kept.digest == digest));
        !self.unasked.contains_key(key) && !is_kept && !open.iter().any(|open| open.kind == kind && open.child == child)
    }

    fn next_call(&self, delivered: u32) -> Option<u64> {
        let call = self.queue.front()?.call?;
        // A call that had been asked by then and is not yet: the order of deliveries would not be the same.
        let waits = self.unasked_by_seen.first_key_value().is_some_and(|(&seen, _)| seen <= delivered);
        (!waits).then_some(call)
    }

    pub(super) fn has_next(&self, delivered: u32) -> bool {
        !self.kept_asked.is_empty() || self.next_call(delivered).is_some()
    }

    /// What the code gets next, once it rests.
    pub(super) fn next_delivery(&mut self, delivered: u32) -> Option<(u64, Delivery)> {
        if let Some((_, kept)) = self.kept_asked.pop_first() {
            return Some(kept);
        }
        let call = self.next_call(delivered)?;
        let Pending { record, .. } = self.queue.pop_front()?;
        self.delivered += 1;
        Some((call, Delivery::from(record)))
    }

    /// Whether every record of this run was delivered again.
    pub(super) fn is_over(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether a record of this run answers a call that was not asked again.
    pub(super) fn has_unasked(&self) -> bool {
        !self.unasked.is_empty()
    }

    /// What was asked again and not delivered, in order of place.
    pub(super) fn undelivered(&self) -> impl Iterator<Item = &Record> {
        self.queue.iter().filter(|pending| pending.call.is_some()).map(|pending| &pending.record)
    }

    /// The code has come to a child, which is asked for in the store from now on.
    pub(super) fn begins(&mut self, child: TaskId) {
        self.not_begun.remove(&child);
    }

    /// Whether the code has not come to a child yet that an earlier life began.
    pub(super) fn is_still_to_begin(&self, child: TaskId) -> bool {
        self.not_begun.contains(&child)
    }

    /// Whether a call was asked before, though it has no record.
    pub(super) fn is_open(&self, key: &CallKey) -> bool {
        self.open.contains_key(key)
    }

    /// Whether a call was asked before and has no record, and had more of the past been delivered then than now.
    pub(super) fn was_asked_later(&self, key: &CallKey, delivered: u32) -> bool {
        // What an earlier run had had when it called a child says nothing of this one; waits are always this run's.
        let tells = |open: &OpenCall| open.kind != RecordKind::Child || self.run == 1;
        self.open.get(key).is_some_and(|open| open.iter().any(|open| tells(open) && open.seen > delivered))
    }

    pub(super) fn value(&self, key: &CallKey) -> Option<Payload> {
        self.values.get(key).cloned()
    }

    fn take_kept(&mut self, key: &CallKey, kind: RecordKind, digest: Option<[u8; 16]>) -> Option<Record> {
        let kept = self.kept.get_mut(key)?;
        let at = kept.iter().rposition(|kept| kept.kind == kind && (digest.is_none() || kept.digest == digest))?;
        Some(kept.remove(at))
    }

    /// Which child of this key a call with these arguments is: earlier runs may have left failed ones behind, and others
    /// that were called with other arguments.
    pub(super) fn instance(&self, parent: TaskId, key: &CallKey, digest: [u8; 16]) -> u32 {
        let failed = self.failed_children.get(key).copied().unwrap_or(0);
        let kept = self.kept.get(key).map_or(&[][..], Vec::as_slice);
        let others = kept.iter().filter(|kept| kept.kind == RecordKind::Child && kept.digest != Some(digest)).count();
        let mut instance = failed + u32::try_from(others).unwrap_or(u32::MAX);
        let open = self.open.get(key).filter(|_| self.run > 1).map_or(&[][..], Vec::as_slice);
        let others = |id| open.iter().any(|open| open.child == Some(id) && open.digest.is_some_and(|d| d != digest));
        while others(TaskId::derive(parent, key, instance)) {
            instance += 1;
        }
        instance
    }

    /// A recorded call that was asked although one before it was not; the earliest of them.
    pub(super) fn asked_out_of_turn(&self) -> Option<u64> {
        self.queue.iter().find_map(|pending| pending.call)
    }

    /// The words of a mismatch: the first record that nobody asks for, and what the code does instead.
    pub(super) fn left_over(&self, instead: &str) -> String {
        let unasked = self.queue.iter().find(|pending| pending.call.is_none());
        match unasked.or(self.queue.front()) {
            Some(Pending { record, .. }) => format!(
                "the recorded {} \"{}\" (number {}) is not asked for; {instead}",
                record.kind.as_str(),
                record.key,
                record.seq
            ),
            None => instead.to_owned(),
        }
    }
}

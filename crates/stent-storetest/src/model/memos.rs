//! Memos: looking one up at a start, reserving a key, and what the end of a task means for its key and for the cache.

use stent_core::command::{Done, KeepResult, Outcome, Refusal, Reservation};
use stent_core::limits::SWEEP_TASKS;
use stent_core::memo::{Memo, MemoKey};
use stent_core::state::TaskEvent;
use stent_core::view::{CachedView, MemoView};
use stent_core::{Lease, Payload, TaskRef};

use super::queues::swept;
use super::rows::Reserved;
use super::{Act, Model};

impl Act<'_> {
    /// The result that a task with this memo starts with, if there is one.
    pub(super) fn look_up(&mut self, memo: &Memo, at: TaskRef) -> Option<Payload> {
        if memo.idempotent
            && let Some(row) = self.model.reserved.get(&memo.key)
        {
            return row.result.clone();
        }
        let cached = self.model.cache.get(&memo.key).filter(|_| memo.cached)?;
        let cached = cached.expires_at.is_none_or(|over| over > self.now).then(|| cached.value.clone())?;
        if memo.idempotent {
            let row = Reserved { holder: at, result: Some(cached.clone()) };
            self.model.reserved.insert(memo.key.clone(), row);
        }
        Some(cached)
    }

    pub(super) fn reserve(&mut self, lease: &Lease) -> Outcome {
        let at = lease.task;
        let task = self.leased(lease)?;
        let Some(key) = task.spec.options.idempotent().map(|memo| memo.key.clone()) else {
            return Ok(Done::Reserved(Reservation::Held));
        };
        let reservation = match self.model.reserved.get(&key).cloned() {
            None => {
                self.model.reserved.insert(key, Reserved { holder: at, result: None });
                Reservation::Held
            }
            Some(Reserved { result: Some(result), .. }) => {
                self.hit(at, &result)?;
                Reservation::Hit
            }
            Some(row) if row.holder == at => Reservation::Held,
            Some(row) if self.model.is_above(row.holder, at) => Reservation::Ancestor(row.holder.task),
            Some(_) => {
                self.stand_in_line(key, at);
                Reservation::Busy
            }
        };
        Ok(Done::Reserved(reservation))
    }

    fn stand_in_line(&mut self, key: MemoKey, at: TaskRef) {
        let due = self.model.waits_of(at).filter_map(|(_, wait)| wait.due).min();
        let Some(task) = self.model.tasks.get_mut(&at) else { return };
        let Ok(state) = task.state.on(TaskEvent::Suspend) else { return };
        // Who has the key may need the slot to go on.
        (task.state, task.session, task.holds_slot, task.woken, task.due) = (state, None, false, false, due);
        self.wakes.ready |= due.is_some();
        self.model.line.insert((key, at));
    }

    /// What the tasks that this command has ended leave to others.
    pub(super) fn settle_memos(&mut self) {
        let ended = std::mem::take(&mut self.ended);
        for (at, memo, _) in &ended {
            self.model.line.remove(&(memo.key.clone(), *at));
        }
        for (at, memo, result) in ended {
            if memo.cached
                && let Some(value) = result.clone()
            {
                let (created_at, expires_at) = (self.now, memo.ttl().map(|ttl| self.now + ttl));
                self.model.cache.insert(memo.key.clone(), CachedView { value, created_at, expires_at });
            }
            let row = self.model.reserved.get_mut(&memo.key);
            let Some(row) = row.filter(|row| memo.idempotent && row.holder == at && row.result.is_none()) else {
                continue;
            };
            let waiting = self.model.line.iter().filter(|(key, _)| *key == memo.key).map(|(_, waiter)| *waiter);
            let leaves: Vec<_> = match result {
                Some(result) => {
                    row.result = Some(result);
                    waiting.collect()
                }
                None => waiting.take(1).collect(),
            };
            match leaves.first() {
                Some(heir) if row.result.is_none() => row.holder = *heir,
                None if row.result.is_none() => drop(self.model.reserved.remove(&memo.key)),
                _ => {}
            }
            for waiter in leaves {
                self.model.line.remove(&(memo.key.clone(), waiter));
                self.wake(waiter);
            }
        }
    }

    pub(super) fn keep_result(&mut self, keep: &KeepResult) -> Outcome {
        let KeepResult { memo, holder, result } = keep;
        if memo.idempotent {
            match self.model.reserved.get(&memo.key) {
                Some(Reserved { result: Some(_), .. }) => return Err(Refusal::Exists),
                Some(_) => return Err(Refusal::Busy),
                None => {}
            }
            self.model.reserved.insert(memo.key.clone(), Reserved { holder: *holder, result: Some(result.clone()) });
        }
        if memo.cached {
            let (created_at, expires_at) = (self.now, memo.ttl().map(|ttl| self.now + ttl));
            self.model.cache.insert(memo.key.clone(), CachedView { value: result.clone(), created_at, expires_at });
        }
        Ok(Done::Nothing)
    }

    pub(super) fn clear_cache(&mut self, key: Option<&MemoKey>) -> Outcome {
        let all = self.model.cache.keys().filter(|one| key.is_none_or(|key| *one == key));
        let all: Vec<_> = all.cloned().collect();
        self.drop_cached(&all)
    }

    pub(super) fn prune_cache(&mut self) -> Outcome {
        let over = self.model.cache.iter().filter_map(|(key, row)| Some((row.expires_at?, key.clone())));
        let mut over: Vec<_> = over.filter(|(at, _)| *at <= self.now).collect();
        over.sort_unstable();
        self.drop_cached(&over.into_iter().map(|(_, key)| key).collect::<Vec<_>>())
    }

    fn drop_cached(&mut self, keys: &[MemoKey]) -> Outcome {
        for key in keys.iter().take(SWEEP_TASKS as usize) {
            self.model.cache.remove(key);
        }
        Ok(swept(keys.len()))
    }
}

impl Model {
    /// Whether one task has called another, or called who did.
    fn is_above(&self, above: TaskRef, at: TaskRef) -> bool {
        let parent = self.tasks.get(&at).and_then(|task| task.call.as_ref());
        let parent = parent.map(|call| TaskRef { execution: at.execution, task: call.parent });
        parent.is_some_and(|parent| parent == above || self.is_above(above, parent))
    }

    /// See [`Store::memo`](stent_core::Store::memo).
    #[must_use]
    pub fn memo(&self, key: &MemoKey) -> Option<MemoView> {
        let (reserved, cached) = (self.reserved.get(key), self.cache.get(key).cloned());
        if reserved.is_none() && cached.is_none() {
            return None;
        }
        Some(MemoView {
            result: reserved.and_then(|row| row.result.clone()),
            holder: reserved.map(|row| row.holder),
            waiting: self.line.iter().filter(|(of, _)| of == key).map(|(_, waiter)| *waiter).collect(),
            cached,
        })
    }
}

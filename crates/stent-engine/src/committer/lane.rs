//! One lane: the line of commands that wait, and whose turn it is to commit them. Mostly that is the lane's own thread.
//! Where single commands follow one another, whoever asked commits by itself, which saves two hand-overs between
//! threads; it never waits for anybody there but the disk.
//!
//! Invariant: a batch is taken from the head of the line and answered by the holder of the turn alone, and what a
//! failure leaves goes back to the head before the turn is given back. So the order of the line is that of the commits.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stent_core::command::Command;
use stent_core::error::StoreError;
use stent_core::limits::{BATCH_BYTES, BATCH_COMMANDS};
use stent_core::{Committed, Store};
use tokio::sync::Notify;

use super::{Reply, answer, survive};
use crate::hub::Hub;
use crate::runtime::Runtime;

/// How long a lane rests after the store failed, at first and at most.
const REST: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The largest batch that a caller's thread commits: more has many askers, and they keep the lane's thread busy.
const FEW: usize = 8;

/// The longest commit that lets the next one run on a caller's thread. Where syncs take longer, hand-overs are nothing
/// beside them, and the thread has better things to do than to wait for a disk.
const SWIFT: Duration = Duration::from_millis(1);

pub(super) struct Queued {
    pub(super) command: Command,
    pub(super) reply: Reply,
}

/// The line of one lane.
pub(super) struct Lane {
    number: usize,
    line: Mutex<VecDeque<Queued>>,
    filled: Notify,
    /// Queued or being committed.
    pub(super) busy: AtomicUsize,
    /// Somebody holds the turn.
    taken: AtomicBool,
    /// The last batch was small and swift, and its committer had nobody to wait for.
    alone: AtomicBool,
    /// The committer is closed or gone: nobody joins any more, and the lane ends once its line is empty.
    closed: AtomicBool,
    /// Nothing is left of a closed lane's line.
    emptied: Notify,
}

/// The right to commit, until it is dropped.
struct Turn<'a>(&'a Lane);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

/// A batch in the hands of the turn's holder.
struct Batch {
    commands: Vec<Command>,
    replies: Vec<Reply>,
}

impl Batch {
    fn into_line(self) -> impl DoubleEndedIterator<Item = Queued> {
        self.commands.into_iter().zip(self.replies).map(|(command, reply)| Queued { command, reply })
    }
}

impl Lane {
    pub(super) fn new(number: usize) -> Self {
        Self {
            number,
            line: Mutex::default(),
            filled: Notify::new(),
            busy: AtomicUsize::new(0),
            taken: AtomicBool::new(false),
            alone: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            emptied: Notify::new(),
        }
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<Queued>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the line. The caller sees to it that somebody looks at it: [`call`](Self::call) or
    /// [`commit_here`](Self::commit_here). What comes to a closed lane is dropped, which tells whoever awaits it.
    pub(super) fn join(&self, queued: Queued) {
        let mut line = self.line();
        if !self.closed.load(Ordering::Acquire) {
            self.busy.fetch_add(1, Ordering::AcqRel);
            return line.push_back(queued);
        }
        // A reply that is dropped may have more to say, here too.
        drop(line);
        drop(queued);
    }

    /// Calls the lane's own thread.
    pub(super) fn call(&self) {
        self.filled.notify_one();
    }

    pub(super) fn close(&self) {
        // Under the lock that joining takes: whoever has joined before is in the line.
        let line = self.line();
        self.closed.store(true, Ordering::Release);
        drop(line);
        self.call();
    }

    /// Resolves once nothing is left in the line of a closed lane.
    pub(super) async fn ended(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.busy.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// So many commands are done with.
    fn done(&self, commands: usize) {
        if self.busy.fetch_sub(commands, Ordering::AcqRel) == commands && self.closed.load(Ordering::Acquire) {
            self.emptied.notify_waiters();
        }
    }

    /// Gives up what the store does not take before the lane ends.
    fn abandon(&self) {
        let left = std::mem::take(&mut *self.line());
        tracing::warn!(commands = left.len(), "closed before the store took everything");
        self.done(left.len());
    }

    /// Whether the next batch may be committed by whoever asks for it.
    pub(super) fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }

    fn turn(&self) -> Option<Turn<'_>> {
        let mine = self.taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        // Made only when it is mine: one that is dropped gives the turn back, whoever has it.
        mine.then(|| Turn(self))
    }

    /// The head of the line, within the limits of one batch; a single command that is over them is a batch of its own.
    fn head(&self) -> Batch {
        let mut line = self.line();
        let mut bytes = 0;
        let fit = line.iter().take(BATCH_COMMANDS).take_while(|queued| {
            bytes += weight(&queued.command);
            bytes <= BATCH_BYTES
        });
        let fit = fit.count().max(1).min(line.len());
        let (commands, replies) = line.drain(..fit).map(|queued| (queued.command, queued.reply)).unzip();
        Batch { commands, replies }
    }

    fn put_back(&self, batch: impl DoubleEndedIterator<Item = Queued>) {
        let mut line = self.line();
        batch.rev().for_each(|queued| line.push_front(queued));
    }

    fn settle(&self, batch: Batch, committed: Committed, hub: &Hub) {
        let answered = batch.replies.len();
        debug_assert_eq!(committed.outcomes.len(), answered);
        if !committed.wakes.ended.is_empty() {
            hub.ends.keep_results(&batch.commands, &committed.outcomes);
        }
        for (reply, outcome) in batch.replies.into_iter().zip(committed.outcomes) {
            answer(reply, outcome);
        }
        hub.spread(&committed.wakes);
        self.done(answered);
    }

    /// Nothing of the batch is there: what has to be repeated is first in the line again.
    fn failed(&self, batch: Batch, error: &StoreError) {
        tracing::warn!(%error, "a batch was not committed");
        self.alone.store(false, Ordering::Relaxed);
        let all = batch.replies.len();
        let again: Vec<_> = batch.into_line().filter_map(|queued| survive(queued, error)).collect();
        let over = all - again.len();
        self.put_back(again.into_iter());
        self.done(over);
    }

    /// Commits the few commands that wait, here and now, if it is nobody's turn and nobody has to be waited for; else
    /// calls the lane's own thread. Never under a lock that an answer takes.
    pub(super) fn commit_here(&self, store: &dyn Store, runtime: &dyn Runtime, hub: &Hub) {
        let may = self.is_alone() && runtime.may_block_here();
        let Some(turn) = may.then(|| self.turn()).flatten() else { return self.call() };
        if self.line().len() <= FEW {
            self.commit_head(store, runtime, hub);
        }
        drop(turn);
        // The lane's thread may have been called meanwhile, and gone back since it was not its turn.
        if !self.line().is_empty() {
            self.call();
        }
    }

    /// One batch on a caller's thread, if it can be without waiting for others.
    fn commit_head(&self, store: &dyn Store, runtime: &dyn Runtime, hub: &Hub) {
        let batch = self.head();
        if batch.commands.is_empty() {
            return;
        }
        let began = runtime.now();
        match store.commit_here(self.number, &batch.commands, false) {
            Some(Ok(committed)) => {
                self.alone.store(runtime.now().saturating_sub(began) <= SWIFT, Ordering::Relaxed);
                self.settle(batch, committed, hub);
            }
            Some(Err(error)) => self.failed(batch, &error),
            None => {
                self.alone.store(false, Ordering::Relaxed);
                self.put_back(batch.into_line());
            }
        }
    }

    /// The lane's own thread: ends when the committer is dropped.
    pub(super) async fn run(&self, store: &dyn Store, runtime: &dyn Runtime, hub: &Hub) {
        let mut rest = REST.0;
        loop {
            // Whoever holds the turn calls once more after it.
            let Some(turn) = self.turn() else {
                self.filled.notified().await;
                continue;
            };
            let batch = self.head();
            if batch.commands.is_empty() {
                drop(turn);
                if self.closed.load(Ordering::Acquire) {
                    return;
                }
                self.filled.notified().await;
                continue;
            }
            let began = runtime.now();
            let (here, done) = match store.commit_here(self.number, &batch.commands, true) {
                Some(done) => (true, done),
                None => (false, store.commit(self.number, batch.commands.clone()).await),
            };
            match done {
                Ok(committed) => {
                    rest = REST.0;
                    let swift = runtime.now().saturating_sub(began) <= SWIFT;
                    self.alone.store(here && swift && batch.commands.len() <= FEW, Ordering::Relaxed);
                    self.settle(batch, committed, hub);
                }
                Err(error) => {
                    self.failed(batch, &error);
                    if self.closed.load(Ordering::Acquire) {
                        return self.abandon();
                    }
                    runtime.sleep(rest).await;
                    rest = (rest * 2).min(REST.1);
                }
            }
        }
    }
}

/// The payload bytes of a command, near enough.
fn weight(command: &Command) -> usize {
    match command {
        Command::Start(start) => start.spec.args.as_stored().len(),
        Command::StartChild(start) => start.spec.args.as_stored().len(),
        Command::Append(append) => append.record.payload.as_stored().len(),
        Command::Signal(signal) => signal.payload.as_stored().len(),
        Command::Emit(emit) => emit.payload.as_stored().len(),
        Command::Schedule(change) => change.bytes(),
        Command::Finish(finish) => match &finish.ending {
            stent_core::command::Ending::Completed(payload) => payload.as_stored().len(),
            _ => 0,
        },
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_get_the_turn_leaves_it_with_its_holder() {
        let lane = Lane::new(0);
        let held = lane.turn();
        assert!(held.is_some() && lane.turn().is_none());
        assert!(lane.turn().is_none(), "asking in vain gave the holder's turn away");
        drop(held);
        assert!(lane.turn().is_some());
    }
}

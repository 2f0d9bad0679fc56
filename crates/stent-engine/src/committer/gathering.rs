//! Gathering: what code queues until it comes to rest is one batch, which the thread that ran it may then commit by
//! itself. Only while single commands follow one another; else the lane is called for each at once.
//!
//! Invariant: what a thread has gathered is looked at when it stops gathering, whatever it gathered before. Should code
//! block its thread meanwhile, whoever else calls the lane takes it along; a worker's sweeps do so every second.

use std::cell::Cell;
use std::marker::PhantomData;

use super::Committer;

/// For which committer a thread gathers (its address, a name and no more), and whether anything was queued.
type Gathered = Option<(usize, bool)>;

thread_local! {
    static GATHERED: Cell<Gathered> = const { Cell::new(None) };
}

fn name(committer: &Committer) -> usize {
    std::ptr::from_ref(committer).addr()
}

/// Notes that this thread has queued something; false when it does not gather for this committer.
pub(super) fn note(committer: &Committer) -> bool {
    let gathers = GATHERED.get().is_some_and(|(whose, _)| whose == name(committer));
    if gathers {
        GATHERED.set(Some((name(committer), true)));
    }
    gathers
}

/// Gathers until it is dropped, then has what was gathered committed. Bound to its thread.
pub(crate) struct Gathering<'a> {
    committer: &'a Committer,
    /// What the thread gathered before: code of one engine may call another.
    before: Gathered,
    thread: PhantomData<*const ()>,
}

impl<'a> Gathering<'a> {
    pub(super) fn begin(committer: &'a Committer, gathers: bool) -> Self {
        let before = GATHERED.replace(gathers.then(|| (name(committer), false)));
        Self { committer, before, thread: PhantomData }
    }
}

impl Drop for Gathering<'_> {
    fn drop(&mut self) {
        if let Some((_, true)) = GATHERED.replace(self.before) {
            self.committer.commit_gathered();
        }
    }
}

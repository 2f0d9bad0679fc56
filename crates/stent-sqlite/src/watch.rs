//! The background of a store: one thread that notices what other processes committed, and moves the log into the
//! file once nobody writes, so that the file alone can be copied. It sleeps while there is nothing to watch for.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use stent_core::Watcher;

use crate::bell::Bell;
use crate::store::Inner;

/// Foreign changes are looked for at most this often while somebody watches.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// How long nobody must have written before the log is moved into the file.
const IDLE: Duration = Duration::from_secs(1);

/// How often that is looked at while nobody watches.
const IDLE_LOOK: Duration = Duration::from_millis(250);

/// How long to sleep at most while the bell is silent: it finds a missed ring, and that nobody watches any more.
const SILENCE: Duration = Duration::from_millis(250);

/// How long after a ring the commit mostly shows: a sync of a fast disk.
const SYNC: Duration = Duration::from_millis(1);

/// What wakes the thread, and what it watches for.
pub(crate) struct Background {
    /// The log of the database.
    log: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    /// Whether there may be something in the log that is not in the file.
    grew: AtomicBool,
}

#[derive(Default)]
struct State {
    started: bool,
    closed: bool,
    watchers: Vec<Weak<dyn Watcher>>,
}

impl Background {
    pub(crate) fn new(log: PathBuf) -> Self {
        Self { log, state: Mutex::default(), changed: Condvar::new(), grew: AtomicBool::new(false) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread at its first use.
    fn start(self: &Arc<Self>, state: &mut State, store: &Weak<Inner>) {
        if state.started || state.closed {
            return;
        }
        let (background, store) = (Arc::clone(self), Weak::clone(store));
        let thread = std::thread::Builder::new().name("stent-watch".to_owned());
        match thread.spawn(move || background.run(&store)) {
            Ok(_) => state.started = true,
            Err(error) => tracing::error!(%error, "no thread could be started to watch the database"),
        }
    }

    /// Tells `watcher` of foreign changes until it is dropped.
    pub(crate) fn watch(self: &Arc<Self>, store: &Weak<Inner>, watcher: Weak<dyn Watcher>) {
        let mut state = self.state();
        state.closed = false;
        state.watchers.push(watcher);
        self.start(&mut state, store);
        drop(state);
        self.changed.notify_all();
    }

    /// A batch was committed by this store.
    pub(crate) fn committed(self: &Arc<Self>, store: &Weak<Inner>) {
        // Most commits follow another one, and cost one load here.
        if self.grew.load(Ordering::Relaxed) {
            return;
        }
        self.grew.store(true, Ordering::Relaxed);
        let mut state = self.state();
        self.start(&mut state, store);
        drop(state);
        self.changed.notify_all();
    }

    /// Ends the thread.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    fn run(&self, store: &Weak<Inner>) {
        let mut commits = 0;
        let mut quiet_since = Instant::now();
        let bell = Bell::hang(&self.log);
        let mut rang = false;
        loop {
            let mut state = self.state();
            state.watchers.retain(|watcher| watcher.strong_count() > 0);
            if state.closed || store.strong_count() == 0 {
                state.started = false;
                return;
            }
            let grew = self.grew.load(Ordering::Relaxed);
            let state = match (state.watchers.is_empty(), grew) {
                (false, _) => self.wait(state, Some(LOOK)),
                (true, true) => self.wait(state, Some(IDLE_LOOK)),
                (true, false) => self.wait(state, None),
            };
            let (closed, watchers) = (state.closed, state.watchers.clone());
            drop(state);
            rang = match &bell {
                // The log is written before it is synced and the commit shows, so one ring is worth two looks.
                Some(bell) if !rang && !closed && !watchers.is_empty() => bell.wait(SILENCE),
                _ => false,
            };
            if rang {
                std::thread::sleep(SYNC);
            }
            let Some(store) = store.upgrade().filter(|_| !closed) else { continue };
            if store.changed_elsewhere() {
                self.grew.store(true, Ordering::Relaxed);
                quiet_since = Instant::now();
                watchers.iter().filter_map(Weak::upgrade).for_each(|watcher| watcher.changed());
            }
            if store.commits() != commits {
                commits = store.commits();
                quiet_since = Instant::now();
            } else if self.grew.load(Ordering::Relaxed) && quiet_since.elapsed() >= IDLE {
                // Before the attempt, so that a commit meanwhile counts as growth again.
                self.grew.store(false, Ordering::Relaxed);
                if !store.checkpoint() {
                    self.grew.store(true, Ordering::Relaxed);
                    quiet_since = Instant::now();
                }
            }
        }
    }

    fn wait<'a>(
        &self,
        state: std::sync::MutexGuard<'a, State>,
        span: Option<Duration>,
    ) -> std::sync::MutexGuard<'a, State> {
        match span {
            Some(span) => self.changed.wait_timeout(state, span).unwrap_or_else(PoisonError::into_inner).0,
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

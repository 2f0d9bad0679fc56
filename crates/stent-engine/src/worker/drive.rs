//! Running one task: poll its code, let it come to rest, deliver the next outcome, and so on to its end. While it only
//! waits it holds no slot; after a while it is suspended and its future dropped.
//!
//! Invariant: between two deliveries the code has come to rest.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context as Polled, Poll, Wake, Waker};
use std::time::Duration;

use stent_core::command::{Reservation, Reserve, Suspend};
use stent_core::error::StoreError;
use stent_core::limits::SUSPECT_LOSSES;
use stent_core::store::BoxFuture;
use stent_core::{
    CallKey, ClaimedTask, Command, Done, Failure, FailureKind, History, Lease, Payload, Refusal, TaskRef, Timestamp,
};
use tokio::sync::oneshot;

use super::ending::{self, End};
use super::suspects::Turn;
use super::{Slot, WorkerCore};
use crate::activation::{Activation, Context, OwnStart, Rest};
use crate::committer::Reply;
use crate::error::Interrupt;
use crate::host::AttemptError;
use crate::runtime::within;

/// How long a suspect waits for its turn here, before another worker may take it.
const SUSPECT_WAIT: Duration = Duration::from_secs(1);

/// How often interrupted code is polled to let it end by itself, before its future is dropped.
const UNWINDING_POLLS: usize = 64;

/// The longest time a timer is left alone: a clock that is set forward must not freeze it.
const LONGEST_REST: Duration = Duration::from_secs(1);

type Code = BoxFuture<'static, Result<Payload, AttemptError>>;

/// Runs a claimed task to the end of its attempt, or until it is put aside.
pub(super) async fn run(worker: Arc<WorkerCore>, task: ClaimedTask, slot: Slot) {
    let parent = task.parent.map(|parent| TaskRef { execution: task.lease.task.execution, task: parent });
    let parent = parent.and_then(|parent| worker.activation(parent)).map(|parent| Arc::downgrade(&parent));
    if task.losses < SUSPECT_LOSSES {
        return run_with_history(&worker, task, slot, parent, None).await;
    }
    // Waiting for its turn it holds no slot; nobody charges it meanwhile, as another one is named.
    drop(slot);
    let runtime = Arc::clone(&worker.engine.core().runtime);
    let suspects = Arc::clone(&worker.suspects);
    let Some(guard) = within(&*runtime, SUSPECT_WAIT, suspects.lock_owned()).await else {
        return ending::give_back_for(&worker, &task, Duration::ZERO);
    };
    let Some(slot) = worker.slot_to_resume().await else { return };
    let turn = if worker.is_draining() { None } else { Turn::of(&worker, guard, &task).await };
    match turn {
        Some(turn) => run_with_history(&worker, task, slot, parent, Some(turn)).await,
        None => ending::give_back_for(&worker, &task, Duration::ZERO),
    }
}

/// The history is read last before the code begins: what is old may have been gone on with elsewhere.
async fn run_with_history(
    worker: &Arc<WorkerCore>,
    task: ClaimedTask,
    slot: Slot,
    parent: Option<Weak<Activation>>,
    turn: Option<Turn>,
) {
    if !reserve(worker, &task).await {
        return;
    }
    let history = if task.has_history() { read_history(worker, &task).await } else { Ok(History::default()) };
    match history {
        Ok(history) => {
            let activation = Activation::new(Arc::clone(worker), task, history, parent, None);
            activation.state().turn = turn;
            drive(worker, Arc::clone(&activation), slot).await;
            activation.state().turn = None;
        }
        Err(error) => ending::give_back(worker, &task, &format!("its history could not be read: {error}")),
    }
}

/// Runs a child in place, whose own row is not there yet.
pub(super) async fn run_in_place(
    worker: Arc<WorkerCore>,
    task: ClaimedTask,
    slot: Slot,
    parent: Weak<Activation>,
    start: OwnStart,
) {
    let history = History::default();
    drive(&worker, Activation::new(Arc::clone(&worker), task, history, Some(parent), Some(start)), slot).await;
}

/// Reserves the key of an idempotent task. False when its body does not run now: the task has ended with the key's
/// result, waits for another to end, or is not this worker's any more.
async fn reserve(worker: &Arc<WorkerCore>, task: &ClaimedTask) -> bool {
    let Some(memo) = task.spec.options.idempotent() else { return true };
    let lease = task.lease;
    let committer = &worker.engine.core().committer;
    let asked = committer.insist(Some(lease.task.execution), Command::Reserve(Reserve { lease }));
    match asked.await {
        Ok(Ok(Done::Reserved(Reservation::Held))) => return true,
        Ok(Ok(Done::Reserved(Reservation::Ancestor(holder)))) => {
            let (function, key) = (&task.spec.function, &memo.key);
            let words = format!(
                "task {} of \"{function}\" would wait for itself: its ancestor {holder} has reserved the key \"{key}\"",
                lease.task.task
            );
            ending::fail_before_it_begins(worker, task, Failure::new(FailureKind::Error, words));
        }
        // Others ended it: it has no more to be told of that.
        Ok(Err(Refusal::Terminal(_))) => {
            committer.queue(Some(lease.task.execution), Command::Heed(lease), Reply::Nobody);
        }
        Ok(Ok(_) | Err(Refusal::LeaseLost | Refusal::SessionGone)) | Err(_) => {}
        // The lease stands, so the task has to be given back, with the reason.
        Ok(Err(refusal)) => ending::give_back(worker, task, &format!("its key could not be reserved: {refusal}")),
    }
    false
}

async fn read_history(worker: &WorkerCore, task: &ClaimedTask) -> Result<History, StoreError> {
    let mut rest = Duration::from_millis(20);
    loop {
        match worker.engine.store().history(task.lease.task, 0).await {
            Err(error) if error.is_transient() && !worker.is_stopped() => {
                tracing::warn!(%error, task = %task.lease.task, "a history could not be read yet");
                worker.engine.core().runtime.sleep(rest).await;
                rest = (rest * 2).min(Duration::from_secs(1));
            }
            read => return read,
        }
    }
}

/// What came while nobody looked. A read that fails is repeated: its mark is cleared, so nothing else would tell.
async fn read_arrivals(worker: Arc<WorkerCore>, task: TaskRef) -> Vec<CallKey> {
    loop {
        match worker.engine.store().arrivals(task).await {
            Ok(keys) => return keys,
            Err(error) => tracing::warn!(%error, %task, "what came for a task could not be read yet"),
        }
        if worker.is_stopped() {
            return Vec::new();
        }
        worker.engine.core().runtime.sleep(Duration::from_millis(100)).await;
    }
}

async fn drive(worker: &Arc<WorkerCore>, activation: Arc<Activation>, slot: Slot) {
    worker.insert(&activation);
    if worker.is_stopped() {
        activation.interrupt(Interrupt::Closed);
    }
    let timeout = activation.task.spec.options.timeout_ms.map(Duration::from_millis).or(worker.config.claim_timeout);
    activation.state().set_timeout(timeout, worker.now());
    let code = start_code(worker, &activation);
    let mut drive = Drive {
        worker,
        activation: Arc::clone(&activation),
        code,
        code_waker: Arc::new(CodeWaker { woken: AtomicBool::new(true), driver: Mutex::new(None) }),
        slot: Some(slot),
        resuming: None,
        looking: None,
        timer: None,
        parked_at: None,
        strays_until: None,
    };
    let committer = &worker.engine.core().committer;
    let end = std::future::poll_fn(|cx| {
        // What the code asked for is looked at once it rests, and its locks are free.
        let _gathered = committer.gather();
        drive.poll(cx)
    });
    let end = end.await;
    let end = drive.unwind(end).await;
    let _gathered = committer.gather();
    drop(drive.slot.take());
    drive.unpark();
    drop(drive);
    ending::settle(worker, &activation, end);
}

/// The user's code, with a panic in the making of its future caught like any other.
fn start_code(worker: &Arc<WorkerCore>, activation: &Arc<Activation>) -> Option<Code> {
    let context = Context::root(Arc::clone(activation));
    let host = Arc::clone(&worker.host);
    Some(Box::pin(async move { host.run(context).await }))
}

struct Drive<'a> {
    worker: &'a Arc<WorkerCore>,
    activation: Arc<Activation>,
    /// Gone once it ended or panicked.
    code: Option<Code>,
    code_waker: Arc<CodeWaker>,
    slot: Option<Slot>,
    resuming: Option<oneshot::Receiver<Slot>>,
    looking: Option<BoxFuture<'static, Vec<CallKey>>>,
    timer: Option<(Duration, BoxFuture<'static, ()>)>,
    parked_at: Option<Duration>,
    strays_until: Option<Duration>,
}

/// Counts stopped code that has not ended.
struct Unwinding<'a>(&'a WorkerCore);

impl<'a> Unwinding<'a> {
    fn of(worker: &'a WorkerCore) -> Self {
        worker.unwinding.fetch_add(1, Ordering::AcqRel);
        Self(worker)
    }
}

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        self.0.unwinding.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Wakes the drive, and remembers that it is the code that wants to go on.
struct CodeWaker {
    woken: AtomicBool,
    driver: Mutex<Option<Waker>>,
}

impl CodeWaker {
    fn set_driver(&self, waker: &Waker) {
        *self.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }
}

impl Wake for CodeWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        if let Some(driver) = &*self.driver.lock().unwrap_or_else(PoisonError::into_inner) {
            driver.wake_by_ref();
        }
    }
}

impl Drive<'_> {
    fn poll(&mut self, cx: &mut Polled<'_>) -> Poll<End> {
        self.activation.set_driver(cx.waker());
        self.code_waker.set_driver(cx.waker());
        loop {
            if let Some(interrupt) = self.activation.state().interrupt {
                return Poll::Ready(End::Interrupted(interrupt));
            }
            let code_goes_on = self.code_waker.woken.load(Ordering::Acquire);
            let has_news = code_goes_on || self.activation.state().has_news();
            if has_news && !self.poll_slot(cx) {
                return Poll::Pending;
            }
            if code_goes_on {
                match self.poll_code() {
                    Poll::Ready(end) => return Poll::Ready(end),
                    Poll::Pending => continue,
                }
            }
            // Code that runs elsewhere rests when it says so. Its timeout counts meanwhile.
            if self.activation.state().at_work {
                match self.poll_timer(cx) {
                    true => continue,
                    false => return Poll::Pending,
                }
            }
            if self.activation.state().advance(&self.activation) {
                self.strays_until = None;
                continue;
            }
            if self.poll_arrivals(cx) {
                continue;
            }
            if let Some(end) = self.at_rest() {
                return Poll::Ready(end);
            }
            if !self.poll_timer(cx) {
                return Poll::Pending;
            }
        }
    }

    /// Whether a slot is held; else one is being waited for.
    fn poll_slot(&mut self, cx: &mut Polled<'_>) -> bool {
        if self.slot.is_some() {
            return true;
        }
        if self.resuming.is_none() {
            match self.worker.slots.resume() {
                Ok(slot) => self.slot = Some(slot),
                Err(waiting) => self.resuming = Some(waiting),
            }
        }
        if let Some(waiting) = &mut self.resuming
            && let Poll::Ready(given) = Pin::new(waiting).poll(cx)
        {
            self.resuming = None;
            self.slot = given.ok();
        }
        if self.slot.is_some() {
            self.unpark();
            self.activation.state().set_timeout_again(self.worker.now());
        }
        self.slot.is_some()
    }

    fn poll_code(&mut self) -> Poll<End> {
        self.code_waker.woken.store(false, Ordering::Release);
        let Some(code) = &mut self.code else { return Poll::Pending };
        let waker = Waker::from(Arc::clone(&self.code_waker));
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| code.as_mut().poll(&mut Polled::from_waker(&waker))));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => {
                self.code = None;
                Poll::Ready(End::Returned(result))
            }
            Err(panic) => {
                self.drop_code();
                Poll::Ready(End::Panicked(panic_message(&*panic)))
            }
        }
    }

    /// Something may have come through the store: ask for it.
    fn poll_arrivals(&mut self, cx: &mut Polled<'_>) -> bool {
        if self.activation.state().woken {
            self.activation.look();
            return true;
        }
        let heeded = {
            let mut state = self.activation.state();
            std::mem::take(&mut state.heeded) && state.waits_for_anything()
        };
        if heeded {
            self.looking = Some(Box::pin(read_arrivals(Arc::clone(self.worker), self.activation.task.lease.task)));
        }
        if let Some(looking) = &mut self.looking
            && let Poll::Ready(keys) = looking.as_mut().poll(cx)
        {
            self.looking = None;
            self.activation.arrived(&keys);
            return true;
        }
        false
    }

    /// The code rests and nothing is to be delivered: it strays, or it waits.
    fn at_rest(&mut self) -> Option<End> {
        let now = self.worker.now();
        let (strayed, rest) = {
            let mut state = self.activation.state();
            if state.own_start_is_due() {
                self.activation.send_start(&mut state);
            }
            (state.strayed(), state.rest())
        };
        if let Some(why) = strayed {
            let until = *self.strays_until.get_or_insert_with(|| now + self.activation.state().stray_grace());
            return (now >= until).then_some(End::Strayed(why));
        }
        if rest != Rest::Waits || self.looking.is_some() {
            return None;
        }
        if self.slot.take().is_some() {
            self.parked_at = Some(now);
            self.activation.state().parked();
            self.worker.parked.fetch_add(1, Ordering::AcqRel);
        }
        let crowded = self.worker.parked.load(Ordering::Acquire) > self.worker.config.max_parked;
        // A suspect that waits makes room for the next one at once.
        let suspect = self.activation.state().turn.is_some();
        let long = suspect || self.parked_at.is_some_and(|since| now >= since + self.worker.config.park_for);
        if (crowded || long || self.worker.is_draining())
            && self.activation.state().stops_for_suspension(&self.activation)
        {
            return Some(End::Aside);
        }
        None
    }

    /// Whether some time has come; else the timer for the next is set.
    fn poll_timer(&mut self, cx: &mut Polled<'_>) -> bool {
        let now = self.worker.now();
        let clock = self.worker.engine.store().now();
        let due = self.activation.next_due();
        if due.is_some_and(|due| due <= clock) {
            self.activation.time_passed(clock);
            return true;
        }
        if self.activation.alive_until().is_some_and(|until| until <= now) {
            self.activation.interrupt(Interrupt::TimedOut);
            return true;
        }
        let Some(at) = self.next_timer(now, clock, due) else {
            self.timer = None;
            return false;
        };
        if self.timer.as_ref().is_none_or(|(set, _)| *set != at) {
            self.timer = Some((at, self.worker.engine.core().runtime.sleep(at.saturating_sub(now))));
        }
        let fired = self.timer.as_mut().is_some_and(|(_, timer)| timer.as_mut().poll(cx).is_ready());
        if fired {
            self.timer = None;
        }
        fired
    }

    fn next_timer(&self, now: Duration, clock: Timestamp, due: Option<Timestamp>) -> Option<Duration> {
        // A due time far off is approached in steps, as the store's clock and this one may part.
        let due = due.map(|due| now + due.since(clock).clamp(Duration::from_micros(100), LONGEST_REST));
        let suspend = self.parked_at.map(|since| since + self.worker.config.park_for).filter(|at| *at > now);

        [due, suspend, self.strays_until, self.activation.alive_until()].into_iter().flatten().min()
    }

    fn unpark(&mut self) {
        if self.parked_at.take().is_some() {
            self.worker.parked.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Interrupted code sees the interrupt in every call, may end by itself within bounds, and is dropped.
    async fn unwind(&mut self, end: End) -> End {
        let interrupt = match &end {
            End::Interrupted(interrupt) => *interrupt,
            End::Strayed(_) => Interrupt::Mismatch,
            End::Aside => Interrupt::Suspended,
            End::Returned(_) | End::Panicked(_) | End::PutAside(_) => return end,
        };
        self.activation.interrupt(interrupt);
        let most = self.worker.host.unwinding();
        if most.is_zero() || self.worker.is_stopped() {
            let _gathered = self.worker.engine.core().committer.gather();
            let _pending = self.poll_unwinding();
        } else {
            // Time that can be skipped does not pass meanwhile, though the code may hold no slot.
            let _unwinding = Unwinding::of(self.worker);
            // It learns of the interrupt even if it waits for nothing of the engine's.
            self.code_waker.woken.store(true, Ordering::Release);
            let runtime = Arc::clone(&self.worker.engine.core().runtime);
            let ended = within(
                &*runtime,
                most,
                std::future::poll_fn(|cx| {
                    self.code_waker.set_driver(cx.waker());
                    self.poll_unwinding()
                }),
            );
            if ended.await.is_none() {
                tracing::warn!(task = %self.activation.task.lease.task, "stopped code has not ended in time");
            }
        }
        self.drop_code();
        match end {
            // Nothing of the code may run or hold anything without the lease: it has ended by now.
            End::Aside => End::PutAside(suspend(self.worker, self.activation.task.lease).await),
            end => end,
        }
    }

    fn poll_unwinding(&mut self) -> Poll<()> {
        for _ in 0..UNWINDING_POLLS {
            if self.code.is_none() {
                break;
            }
            if !self.code_waker.woken.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            if self.poll_code().is_ready() {
                break;
            }
        }
        Poll::Ready(())
    }

    fn drop_code(&mut self) {
        let code = self.code.take();
        if std::panic::catch_unwind(AssertUnwindSafe(|| drop(code))).is_err() {
            tracing::warn!(task = %self.activation.task.lease.task, "dropping a task's code panicked");
        }
    }
}

/// Suspends a task whose code has ended for it; what stopped it. Nothing: something came for the task meanwhile.
async fn suspend(worker: &WorkerCore, lease: Lease) -> Option<Interrupt> {
    let command = Command::Suspend(Suspend { lease });
    match worker.engine.core().committer.insist(Some(lease.task.execution), command).await {
        Ok(Ok(Done::Suspended)) => Some(Interrupt::Suspended),
        Ok(Ok(_)) => None,
        Ok(Err(Refusal::Terminal(_))) => Some(Interrupt::Cancelled),
        Ok(Err(_)) => Some(Interrupt::LeaseLost),
        Err(_) => Some(Interrupt::Closed),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".into())
}

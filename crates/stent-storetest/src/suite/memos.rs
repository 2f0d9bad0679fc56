//! Memos: hits at a start, reservations and who inherits them, results that are kept for a while.

use std::time::Duration;

use stent_core::command::{Ending, Finish, KeepResult, Operation, Reservation, Reserve, StartChild, Wait};
use stent_core::limits::{LOSSES, SWEEP_TASKS};
use stent_core::memo::{Memo, MemoKey};
use stent_core::view::MemoView;
use stent_core::{
    ClaimedTask, Command, Done, ExecutionId, ExecutionState, Lease, Outcome, Payload, Refusal, SessionId, TaskState,
    Verdict,
};

use super::Fixture;
use super::kit::{
    HOUR, Kit, await_with, call, child_ref, complete, fail, failure, finish, json, key, record, replay, start_child,
};
use crate::drive::block_on;

fn memo_key(text: &str) -> MemoKey {
    MemoKey::new(text).unwrap()
}

fn once(text: &str) -> Memo {
    Memo::idempotent(memo_key(text))
}

fn completed(lease: Lease, value: &Payload) -> Command {
    finish(lease, Ending::Completed(value.clone()))
}

fn reserve(lease: Lease) -> Command {
    Command::Reserve(Reserve { lease })
}

fn with_memo(memo: &Memo, mut start: StartChild) -> StartChild {
    start.spec.options.memo = Some(Box::new(memo.clone()));
    start
}

impl Kit<'_> {
    fn call_with(&self, memo: &Memo) -> ExecutionId {
        self.start_with(|start| start.spec.options.memo = Some(Box::new(memo.clone())))
    }

    /// A new execution whose root has this memo and is in the session's hands.
    fn claimed_with(&self, session: SessionId, memo: &Memo) -> ClaimedTask {
        self.call_with(memo);
        self.claim_one(session)
    }

    fn reserves(&self, lease: Lease) -> Reservation {
        match self.ok(reserve(lease)) {
            Done::Reserved(reservation) => reservation,
            other => panic!("no reservation: {other:?}"),
        }
    }

    /// One that has reserved the key.
    fn holder(&self, session: SessionId, memo: &Memo) -> Lease {
        let lease = self.claimed_with(session, memo).lease;
        assert_eq!(self.reserves(lease), Reservation::Held);
        lease
    }

    /// One that waits for the key.
    fn waiter(&self, session: SessionId, memo: &Memo) -> Lease {
        let lease = self.claimed_with(session, memo).lease;
        assert_eq!(self.reserves(lease), Reservation::Busy);
        assert_eq!(self.state(lease.task), TaskState::Suspended);
        lease
    }

    fn memo(&self, text: &str) -> Option<MemoView> {
        block_on(self.store.memo(memo_key(text))).unwrap()
    }

    fn hit(&self, id: ExecutionId, value: &Payload) {
        let view = self.execution(id);
        assert_eq!((view.state, view.result.as_ref()), (ExecutionState::Completed, Some(value)));
        assert_eq!((view.attempts, view.started_at), (0, None));
        let root = self.view(stent_core::TaskRef::root(id));
        assert!(root.is_cache_hit() && root.completed_at.is_some() && root.session.is_none(), "{root:?}");
    }

    /// It was claimed, so it shows when; but no attempt of it counts.
    fn hit_after_a_claim(&self, lease: Lease, value: &Payload) {
        let view = self.execution(lease.task.execution);
        assert_eq!((view.state, view.result.as_ref(), view.attempts), (ExecutionState::Completed, Some(value), 0));
        assert!(self.view(lease.task).is_cache_hit());
        assert_eq!(self.refused(complete(lease)), Refusal::Terminal(TaskState::Completed));
    }
}

pub fn a_settled_key_starts_a_task_as_one_that_has_ended(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("m:f|None|[1]"));
    let holder = kit.holder(worker, &memo);
    assert!(!kit.view(holder.task).is_cache_hit());
    kit.ok(completed(holder, &json("paid")));
    assert!(!kit.view(holder.task).is_cache_hit());
    let mut start = kit.new_start();
    start.spec.options.memo = Some(Box::new(memo));
    start.due = Some(stent_core::history::Due::In(HOUR));
    let id = start.id;
    let committed = kit.batch(vec![Command::Start(Box::new(start))]);
    assert_eq!(committed.outcomes, [Ok(Done::Started { execution: id, created: true, claimed: None })]);
    assert_eq!(committed.wakes.ended, [id]);
    kit.hit(id, &json("paid"));
    kit.claim_nothing(worker);
    let view = kit.memo("m:f|None|[1]").unwrap();
    assert_eq!((view.result, view.holder, view.cached), (Some(json("paid")), Some(holder.task), None));
}

pub fn falsey_results_are_hits_like_any_other(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let worker = kit.worker();
    let falsey = [json(0), json(false), json(""), json([0; 0]), json(serde_json::json!({})), Payload::null()];
    let empty = Payload::from_stored(Vec::new());
    for (number, value) in falsey.into_iter().chain([empty]).enumerate() {
        for memo in [once(&format!("once {number}")), Memo::cached(memo_key(&format!("kept {number}")), None)] {
            let first = kit.claimed_with(worker, &memo).lease;
            assert_eq!(kit.reserves(first), Reservation::Held);
            kit.ok(completed(first, &value));
            kit.hit(kit.call_with(&memo), &value);
        }
    }
}

pub fn a_child_that_hits_is_told_as_ended_and_its_parent_finds_it(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("k"));
    let holder = kit.holder(worker, &memo);
    kit.ok(completed(holder, &json(7)));
    let parent = kit.running(worker).lease;
    let start = with_memo(&memo, start_child(parent, "c", false));
    let told = kit.ok(call(start));
    let expected = Done::ChildStarted { created: true, state: TaskState::Completed, digest: [7; 16], claimed: None };
    assert_eq!(told, expected);
    // After a crash it is looked for again, whatever its caller knows of the memo by then.
    let again = kit.ok(call(start_child(parent, "c", false)));
    assert!(matches!(again, Done::ChildStarted { created: false, state: TaskState::Completed, .. }), "{again:?}");
    assert_eq!(kit.arrivals(parent.task), [key("c")]);
    assert_eq!(kit.history(parent.task).open.len(), 1);
    let child = child_ref(parent, "c");
    let came = record(kit.ok(await_with(parent, 1, "c", Wait::Child(child.task), None)));
    assert_eq!((came.verdict, came.payload, came.digest), (Verdict::Ok, json(7), Some([7; 16])));
    assert_eq!(kit.arrivals(parent.task), []);
    assert!(kit.view(child).is_cache_hit());
    kit.ok(complete(parent));
    assert_eq!(kit.state(child), TaskState::Completed);
}

pub fn a_task_with_a_memo_starts_in_nobodys_hands(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let worker = kit.worker();
    for memo in [once("k"), Memo::cached(memo_key("c"), None)] {
        let id = kit.start_with(|start| {
            start.claim_for = Some(worker);
            start.spec.options.memo = Some(Box::new(memo.clone()));
        });
        assert_eq!(kit.execution(id).state, ExecutionState::Pending);
        let task = kit.claim_one(worker);
        assert_eq!(task.spec.options.memo.as_deref(), Some(&memo));
        let start = with_memo(&memo, start_child(task.lease, "c", true));
        let started = kit.ok(call(start));
        assert!(matches!(started, Done::ChildStarted { state: TaskState::Pending, claimed: None, .. }), "{started:?}");
        // Nor can its end bring its start.
        let start = with_memo(&memo, start_child(task.lease, "d", true));
        let lease = Lease { task: child_ref(task.lease, "d"), session: worker, epoch: 1 };
        let ending = Ending::Completed(json(1));
        let (deliver, start, returned) = (None, Some(Box::new(start)), Vec::new());
        let ends = Command::Finish(Box::new(Finish { lease, ending, deliver, start, returned }));
        assert_eq!(kit.refused(ends), Refusal::LeaseLost);
        assert!(block_on(kit.store.task(lease.task)).unwrap().is_none());
        kit.ok(complete(task.lease));
    }
}

pub fn a_key_stays_with_the_task_that_has_reserved_it(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("k"));
    let holder = kit.holder(worker, &memo);
    assert_eq!(kit.reserves(holder), Reservation::Held);
    let late = kit.waiter(worker, &memo);
    // A release and a loss keep it.
    kit.release(holder, Duration::ZERO);
    let holder = kit.claim_one(worker).lease;
    assert_eq!(kit.reserves(holder), Reservation::Held);
    kit.lose(worker);
    let other = kit.worker();
    let holder = kit.claim_one(other).lease;
    assert_eq!(kit.reserves(holder), Reservation::Held);
    // A retry keeps it while it rests.
    kit.ok(finish(holder, Ending::Retry(failure("not yet"), Duration::from_secs(5))));
    let another = kit.waiter(other, &memo);
    kit.advance(Duration::from_secs(6));
    let holder = kit.claim_one(other).lease;
    assert_eq!(kit.reserves(holder), Reservation::Held);
    kit.ok(completed(holder, &json("at last")));
    let waited = kit.claim(other, 10);
    assert_eq!(waited.iter().map(|task| task.lease.task).collect::<Vec<_>>(), [late.task, another.task]);
    for task in waited {
        assert_eq!(kit.reserves(task.lease), Reservation::Hit);
        kit.hit_after_a_claim(task.lease, &json("at last"));
    }
}

pub fn whoever_comes_while_the_holder_runs_waits_and_gets_its_result(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("k"));
    let holder = kit.holder(worker, &memo);
    let waiters = [kit.waiter(worker, &memo), kit.waiter(worker, &memo)];
    kit.claim_nothing(worker);
    assert_eq!(kit.memo("k").unwrap().waiting, waiters.map(|waiter| waiter.task));
    // What was its owner's is its no more.
    assert_eq!(kit.refused(complete(waiters[0])), Refusal::LeaseLost);
    let wakes = kit.wakes(completed(holder, &json("once")));
    assert!(wakes.ready);
    let again = kit.claim(worker, 10);
    assert_eq!(again.iter().map(|task| task.lease.task).collect::<Vec<_>>(), waiters.map(|waiter| waiter.task));
    for task in again {
        let wakes = kit.wakes(reserve(task.lease));
        assert_eq!(wakes.ended, [task.lease.task.execution]);
        kit.hit_after_a_claim(task.lease, &json("once"));
    }
    assert_eq!(kit.memo("k").unwrap().waiting, []);
}

pub fn a_childs_hit_wakes_its_parent(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("k"));
    let holder = kit.holder(worker, &memo);
    let parent = kit.running(worker).lease;
    kit.ok(call(with_memo(&memo, start_child(parent, "c", false))));
    let child = kit.claim_one(worker).lease;
    assert_eq!(kit.reserves(child), Reservation::Busy);
    kit.ok(completed(holder, &json(7)));
    let child = kit.claim_one(worker).lease;
    let wakes = kit.wakes(reserve(child));
    assert_eq!(wakes.woken, [(worker, parent.task)]);
    assert_eq!(kit.arrivals(parent.task), [key("c")]);
    let came = record(kit.ok(await_with(parent, 1, "c", Wait::Child(child.task.task), None)));
    assert_eq!(came.payload, json(7));
}

/// Every way in which a holder can end without a result.
fn ends(kit: &Kit<'_>, way: usize, holder: Lease) {
    match way {
        0 => drop(kit.ok(fail(holder))),
        1 => drop(kit.ok(Command::Cancel(holder.task))),
        2 => {
            kit.advance(HOUR);
            kit.ok(Command::Expire);
        }
        _ => {
            let mut lease = holder;
            for _ in 0..LOSSES {
                kit.lose(lease.session);
                let worker = kit.worker();
                match kit.claim(worker, 1).first() {
                    Some(task) if task.lease.task == holder.task => lease = task.lease,
                    Some(task) => kit.release(task.lease, Duration::ZERO),
                    None => {}
                }
            }
        }
    }
    assert!(kit.state(holder.task).is_terminal());
}

pub fn a_holder_that_ends_without_a_result_hands_the_key_to_the_oldest_who_waits(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    for way in 0..4 {
        let (worker, memo) = (kit.worker(), once(&format!("k{way}")));
        let id = kit.start_with(|start| {
            start.spec.options.memo = Some(Box::new(memo.clone()));
            start.deadline.expire_after = (way == 2).then_some(Duration::from_secs(60));
        });
        let holder = kit.claim_one(worker).lease;
        assert_eq!((holder.task.execution, kit.reserves(holder)), (id, Reservation::Held));
        let heir = kit.waiter(worker, &memo);
        let next = kit.waiter(worker, &memo);
        ends(&kit, way, holder);
        let view = kit.memo(&format!("k{way}")).unwrap();
        assert_eq!((view.holder, view.waiting, view.result), (Some(heir.task), vec![next.task], None), "{way}");
        let worker = kit.worker();
        let task = kit.claim_one(worker).lease;
        assert_eq!((task.task, kit.reserves(task)), (heir.task, Reservation::Held));
        kit.ok(completed(task, &json(way)));
        let task = kit.claim_one(worker).lease;
        assert_eq!((task.task, kit.reserves(task)), (next.task, Reservation::Hit));
    }
}

pub fn an_ancestors_end_hands_the_key_on_too(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("k"));
    let root = kit.running(worker).lease;
    kit.ok(call(with_memo(&memo, start_child(root, "c", false))));
    let holder = kit.claim_one(worker).lease;
    assert_eq!(kit.reserves(holder), Reservation::Held);
    // A sibling in the line ends with it and inherits nothing.
    kit.ok(call(with_memo(&memo, start_child(root, "d", false))));
    let sibling = kit.claim_one(worker).lease;
    assert_eq!(kit.reserves(sibling), Reservation::Busy);
    let heir = kit.waiter(worker, &memo);
    kit.ok(complete(root));
    assert_eq!([kit.state(holder.task), kit.state(sibling.task)], [TaskState::Cancelled; 2]);
    let view = kit.memo("k").unwrap();
    assert_eq!((view.holder, view.waiting), (Some(heir.task), vec![]));
    assert_eq!(kit.claim_one(worker).lease.task, heir.task);
}

pub fn a_key_that_nobody_waits_for_is_free_after_a_failure_and_reserved_anew_by_a_replay(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("k"));
    let failed = kit.holder(worker, &memo);
    kit.ok(fail(failed));
    assert_eq!(kit.memo("k"), None);
    let other = kit.holder(worker, &memo);
    kit.ok(replay(failed.task));
    let replayed = kit.claim_one(worker).lease;
    assert_eq!((replayed.task, kit.reserves(replayed)), (failed.task, Reservation::Busy));
    kit.ok(completed(other, &json(1)));
    let replayed = kit.claim_one(worker).lease;
    assert_eq!(kit.reserves(replayed), Reservation::Hit);
    let view = kit.execution(failed.task.execution);
    assert_eq!((view.state, view.result, view.failure), (ExecutionState::Completed, Some(json(1)), None));
}

pub fn a_waiter_that_ends_leaves_the_line(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("k"));
    let holder = kit.holder(worker, &memo);
    let [gone, stays] = [kit.waiter(worker, &memo), kit.waiter(worker, &memo)];
    kit.ok(Command::Cancel(gone.task));
    assert_eq!(kit.memo("k").unwrap().waiting, [stays.task]);
    kit.ok(fail(holder));
    assert_eq!(kit.claim_one(worker).lease.task, stays.task);
    // And one that was handed the key and ends before it begins hands it on.
    let last = kit.waiter(worker, &memo);
    kit.ok(Command::Cancel(stays.task));
    assert_eq!(kit.memo("k").unwrap().holder, Some(last.task));
    kit.ok(Command::Cancel(last.task));
    assert_eq!(kit.memo("k"), None);
}

pub fn an_ancestor_that_holds_the_key_is_named_and_nothing_changes(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("k"));
    let holder = kit.holder(worker, &memo);
    let between = kit.child(holder, "between").lease;
    for (parent, text) in [(holder, "child"), (between, "grandchild")] {
        kit.ok(call(with_memo(&memo, start_child(parent, text, false))));
        let below = kit.claim_one(worker).lease;
        assert_eq!(kit.reserves(below), Reservation::Ancestor(holder.task.task));
        assert_eq!(kit.state(below.task), TaskState::Running);
        assert_eq!(kit.memo("k").unwrap().waiting, []);
        kit.ok(fail(below));
        assert_eq!(kit.memo("k").unwrap().holder, Some(holder.task));
    }
}

pub fn a_mark_that_a_waiter_has_does_not_keep_it_from_waiting(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("k"));
    let holder = kit.holder(worker, &memo);
    let late = kit.claimed_with(worker, &memo).lease;
    kit.ok(await_with(late, 1, "s", Wait::Signal(super::kit::name("go")), None));
    kit.signal(late.task.execution, "go", 1);
    assert!(kit.view(late.task).woken);
    assert_eq!(kit.reserves(late), Reservation::Busy);
    let view = kit.view(late.task);
    assert_eq!((view.state, view.woken, view.session), (TaskState::Suspended, false, None));
    kit.ok(fail(holder));
    assert_eq!(kit.claim_one(worker).lease.task, late.task);
    assert_eq!(kit.arrivals(late.task), [key("s")]);
}

pub fn a_result_without_a_reservation_settles_nothing(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("k"));
    let hasty = kit.claimed_with(worker, &memo).lease;
    let holder = kit.holder(worker, &memo);
    kit.ok(completed(hasty, &json("hasty")));
    assert_eq!(kit.memo("k").unwrap().result, None);
    kit.ok(completed(holder, &json("reserved")));
    kit.hit(kit.call_with(&memo), &json("reserved"));
    let plain = kit.running(worker).lease;
    assert_eq!(kit.reserves(plain), Reservation::Held, "a task without a memo has nothing to reserve");
    kit.ok(complete(plain));
    assert_eq!(kit.refused(reserve(plain)), Refusal::Terminal(TaskState::Completed));
}

pub fn a_cached_result_is_a_hit_until_its_time_is_over(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    kit.fixture.set_clock(kit.now());
    let worker = kit.worker();
    let memo = Memo::cached(memo_key("k"), Some(Duration::from_secs(60)));
    let [first, second] = [(); 2].map(|()| kit.call_with(&memo));
    let tasks = kit.claim(worker, 10);
    assert_eq!(tasks.len(), 2, "nobody waits for anybody");
    assert!(tasks.iter().all(|task| kit.reserves(task.lease) == Reservation::Held));
    kit.ok(completed(tasks[0].lease, &json(1)));
    kit.ok(completed(tasks[1].lease, &json(2)));
    assert_eq!([first, second].map(|id| kit.execution(id).result), [Some(json(1)), Some(json(2))]);
    let cached = kit.memo("k").unwrap().cached.unwrap();
    assert_eq!((cached.value, cached.created_at), (json(2), kit.now()), "the last one stays");
    assert_eq!(cached.expires_at, Some(kit.now() + Duration::from_secs(60)));
    kit.advance(Duration::from_micros(59_999_999));
    kit.hit(kit.call_with(&memo), &json(2));
    assert_eq!(kit.memo("k").unwrap().cached.unwrap().created_at, cached.created_at, "a hit is not kept anew");
    kit.advance(Duration::from_micros(1));
    let again = kit.claimed_with(worker, &memo).lease;
    kit.ok(fail(again));
    assert_eq!(kit.memo("k").unwrap().cached.unwrap().value, json(2), "only results are kept");
}

pub fn with_both_options_a_key_has_one_result_for_ever(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let worker = kit.worker();
    let kept = Memo::cached(memo_key("k"), Some(Duration::from_secs(60)));
    let both = once("k").and_cached(Some(Duration::from_secs(60)));
    let first = kit.claimed_with(worker, &kept).lease;
    kit.ok(completed(first, &json("kept")));
    // What the cache has becomes the key's, and stays when the cache is cleared.
    kit.hit(kit.call_with(&both), &json("kept"));
    kit.ok(Command::ClearCache(None));
    kit.hit(kit.call_with(&both), &json("kept"));
    kit.hit(kit.call_with(&once("k")), &json("kept"));
    // The key comes first: who has reserved it decides, whatever the cache has by then.
    let mine = once("l").and_cached(None);
    let holder = kit.holder(worker, &mine);
    let first = kit.claimed_with(worker, &Memo::cached(memo_key("l"), None)).lease;
    kit.ok(completed(first, &json("the cache's")));
    let waits = kit.waiter(worker, &mine);
    kit.ok(completed(holder, &json("the key's")));
    let task = kit.claim_one(worker).lease;
    assert_eq!((task.task, kit.reserves(task)), (waits.task, Reservation::Hit));
    let view = kit.memo("l").unwrap();
    assert_eq!((view.result, view.cached.unwrap().value), (Some(json("the key's")), json("the key's")));
}

pub fn the_cache_is_cleared_and_pruned_and_keys_stay(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let worker = kit.worker();
    for (text, ttl) in [("a", Some(1)), ("b", Some(2)), ("c", None), ("d", Some(3_600))] {
        let memo = once(text).and_cached(ttl.map(Duration::from_secs));
        let holder = kit.holder(worker, &memo);
        kit.ok(completed(holder, &json(text)));
    }
    let swept = |command| match kit.ok(command) {
        Done::Swept { count, more: false } => count,
        other => panic!("{other:?}"),
    };
    assert_eq!(swept(Command::PruneCache), 0);
    kit.advance(Duration::from_secs(10));
    assert_eq!(swept(Command::PruneCache), 2);
    let cached = |text| kit.memo(text).is_some_and(|view| view.cached.is_some());
    assert_eq!(["a", "b", "c", "d"].map(cached), [false, false, true, true]);
    assert_eq!(swept(Command::ClearCache(Some(memo_key("c")))), 1);
    assert_eq!(swept(Command::ClearCache(Some(memo_key("c")))), 0);
    assert_eq!(swept(Command::ClearCache(None)), 1);
    assert_eq!(
        ["a", "b", "c", "d"].map(|text| kit.memo(text).unwrap().result),
        ["a", "b", "c", "d"].map(|t| Some(json(t)))
    );
}

pub fn a_full_cache_is_cleared_and_pruned_in_bounded_parts(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let worker = kit.worker();
    for over in [false, true] {
        let ttl = over.then_some(Duration::from_secs(1));
        let starts = (0..=SWEEP_TASKS).map(|number| {
            let mut start = kit.new_start();
            start.spec.options.memo = Some(Box::new(Memo::cached(memo_key(&format!("k{number:04}")), ttl)));
            Command::Start(Box::new(start))
        });
        kit.batch(starts.collect());
        let tasks = kit.claim(worker, 1_000);
        kit.batch(tasks.iter().map(|task| complete(task.lease)).collect());
        kit.advance(Duration::from_secs(10));
        let command = || if over { Command::PruneCache } else { Command::ClearCache(None) };
        assert_eq!(kit.ok(command()), Done::Swept { count: SWEEP_TASKS, more: true });
        assert!(kit.memo(&format!("k{SWEEP_TASKS:04}")).is_some(), "the last in order is left");
        assert_eq!(kit.ok(command()), Done::Swept { count: 1, more: false });
        assert!(kit.memo(&format!("k{SWEEP_TASKS:04}")).is_none());
    }
}

pub fn reservations_settle_and_pass_on_within_one_batch(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("k"));
    let [one, two, three] = [(); 3].map(|()| kit.claimed_with(worker, &memo).lease);
    let reserved = |reservation| -> Outcome { Ok(Done::Reserved(reservation)) };
    let stale = Lease { epoch: 9, ..two };
    let outcomes = kit
        .batch(vec![
            reserve(one),
            reserve(two),
            reserve(stale),
            fail(one),
            reserve(three),
            Command::Cancel(two.task),
            completed(three, &json("never")),
        ])
        .outcomes;
    assert_eq!(outcomes[0], reserved(Reservation::Held));
    assert_eq!(outcomes[1], reserved(Reservation::Busy));
    assert_eq!(outcomes[2], Err(Refusal::LeaseLost));
    // The second inherits from the first, the third waits for it and is next.
    assert_eq!(outcomes[4], reserved(Reservation::Busy));
    assert_eq!(outcomes[6], Err(Refusal::LeaseLost), "it waits");
    assert_eq!(kit.memo("k").unwrap().holder, Some(three.task));
    let three = kit.claim_one(worker).lease;
    let start = |kit: &Kit<'_>| {
        let mut start = kit.new_start();
        start.spec.options.memo = Some(Box::new(memo.clone()));
        (start.id, Command::Start(Box::new(start)))
    };
    let ((early, before), (late, after)) = (start(&kit), start(&kit));
    kit.batch(vec![before, reserve(three), completed(three, &json("it")), after]);
    kit.hit(late, &json("it"));
    let early_task = kit.claim_one(worker).lease;
    assert_eq!((early_task.task.execution, kit.reserves(early_task)), (early, Reservation::Hit));
}

pub fn a_hit_after_the_deadline_is_refused_and_ends_the_execution(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let (worker, memo) = (kit.worker(), once("k"));
    let holder = kit.holder(worker, &memo);
    let id = kit.start_with(|start| {
        start.spec.options.memo = Some(Box::new(memo.clone()));
        start.deadline.expire_after = Some(Duration::from_secs(60));
    });
    let late = kit.claim_one(worker).lease;
    kit.ok(completed(holder, &json(1)));
    kit.advance(HOUR);
    assert_eq!(kit.refused(reserve(late)), Refusal::Terminal(TaskState::TimedOut));
    assert_eq!(kit.execution(id).state, ExecutionState::TimedOut);
}

pub fn a_result_that_is_kept_by_hand_is_a_hit_and_takes_no_key_from_anybody(fixture: &dyn Fixture) {
    let kit = Kit::new(fixture);
    let worker = kit.worker();
    let holder = stent_core::TaskRef::root(kit.start());
    let keep = |memo: Memo, value: i32| {
        Command::Operate(Operation::KeepResult(Box::new(KeepResult { memo, holder, result: json(value) })))
    };
    assert_eq!(kit.ok(keep(once("k"), 0)), Done::Nothing);
    assert_eq!(kit.memo("k").map(|memo| (memo.holder, memo.result)), Some((Some(holder), Some(json(0)))));
    kit.hit(kit.call_with(&once("k")), &json(0));
    assert_eq!(kit.refused(keep(once("k").and_cached(None), 1)), Refusal::Exists);
    assert_eq!(kit.memo("k").and_then(|memo| memo.cached), None, "both or neither");
    // One that a task has reserved is the task's.
    kit.ok(Command::Cancel(holder));
    let reserves = kit.holder(worker, &once("mine"));
    assert_eq!(kit.refused(keep(once("mine"), 2)), Refusal::Busy);
    kit.ok(completed(reserves, &json(3)));
    assert_eq!(kit.memo("mine").and_then(|memo| memo.result), Some(json(3)));
    // The cache has the last one, for its time.
    let cached = |ttl| Memo::cached(memo_key("c"), ttl);
    assert_eq!(kit.ok(keep(cached(None), 4)), Done::Nothing);
    assert_eq!(kit.ok(keep(cached(Some(HOUR)), 5)), Done::Nothing);
    let kept = kit.memo("c").and_then(|memo| memo.cached).unwrap();
    assert_eq!((kept.value, kept.expires_at), (json(5), Some(kept.created_at + HOUR)));
    kit.hit(kit.call_with(&cached(None)), &json(5));
}

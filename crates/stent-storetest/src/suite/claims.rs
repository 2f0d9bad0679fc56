//! Starting and claiming: order, routes, due times, pauses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use stent_core::command::{Claim, Start};
use stent_core::history::Due;
use stent_core::{
    ClaimedTask, Command, Done, ExecutionId, ExecutionState, Refusal, RetryPolicy, Serve, SessionId, TaskOptions,
    TaskRef, TaskState,
};

use super::Fixture;
use super::kit::{HOUR, Kit, await_signal, await_with, claim, name, serve, suspend, tasks};
use crate::drive::block_on;

fn claim_as(kit: &Kit<'_>, session: SessionId, serve: Serve) -> Vec<TaskRef> {
    let done = kit.ok(Command::Claim(Claim { session, serve: Arc::new(serve), max: 100 }));
    tasks(done).into_iter().map(|task| task.lease.task).collect()
}

fn ids(claimed: &[ClaimedTask]) -> Vec<ExecutionId> {
    claimed.iter().map(|task| task.lease.task.execution).collect()
}

pub fn a_start_shows_as_pending_and_runs_once_claimed(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let before = kit.now();
    let id = kit.start();
    let view = kit.execution(id);
    assert_eq!((view.state, view.started_at, view.attempts), (ExecutionState::Pending, None, 0));
    assert!(view.created_at >= before && view.created_at <= kit.now());
    let task = kit.claim_one(kit.worker());
    assert_eq!((task.lease.epoch, task.attempt, task.run, task.losses), (1, 1, 1, 0));
    assert!(!task.has_history());
    let view = kit.execution(id);
    assert_eq!((view.state, view.attempts), (ExecutionState::Running, 1));
    assert!(view.started_at.is_some());
}

pub fn a_task_comes_with_all_it_was_started_with(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let retry = RetryPolicy::fixed(Duration::from_millis(5), 9);
    let mut wanted = None;
    let id = kit.start_with(|start| {
        let spec = &mut start.spec;
        spec.tags = vec![name("a"), name("ü 'x'")];
        (spec.priority, spec.headers) = (-3, Some(bytes::Bytes::from_static(b"{\"trace\":1}")));
        spec.options = TaskOptions { retry, timeout_ms: Some(70), memo: None };
        wanted = Some(spec.clone());
    });
    let task = kit.claim_one(kit.worker());
    assert_eq!((task.lease.task, task.parent), (TaskRef::root(id), None));
    assert_eq!(Some(task.spec), wanted);
}

pub fn a_known_id_is_refused_and_a_known_key_answers_the_earlier_execution(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let first = kit.start_with(|start| start.key = Some(name("order 1")));
    let known = Start { id: first, ..kit.new_start() };
    assert_eq!(kit.refused(Command::Start(Box::new(known.clone()))), Refusal::Exists);
    for known in
        [Start { key: Some(name("order 1")), ..kit.new_start() }, Start { key: Some(name("order 1")), ..known }]
    {
        let done = kit.ok(Command::Start(Box::new(known)));
        assert_eq!(done, Done::Started { execution: first, created: false, claimed: None });
    }
    let worker = kit.worker();
    kit.ok(super::kit::complete(kit.claim_one(worker).lease));
    let again = Start { key: Some(name("order 1")), ..kit.new_start() };
    let done = kit.ok(Command::Start(Box::new(again)));
    assert_eq!(done, Done::Started { execution: first, created: false, claimed: None });
    kit.claim_nothing(worker);
}

pub fn a_start_is_claimed_at_once_only_if_it_may_be(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    assert_eq!((task.lease.session, task.lease.epoch), (worker, 1));
    assert_eq!(kit.state(task.lease.task), TaskState::Running);
    kit.ok(Command::SetQueue(name("paused"), Some(true)));
    let cases: [fn(&mut Start); 2] =
        [|start| start.due = Some(Due::In(Duration::ZERO)), |start| start.spec.queue = name("paused")];
    for change in cases {
        let id = kit.start_with(|start| {
            start.claim_for = Some(worker);
            change(start);
        });
        assert_eq!(kit.state(TaskRef::root(id)), TaskState::Pending);
    }
}

pub fn resuming_comes_first_then_priority_then_age(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let resuming = kit.running_with(worker, |start| start.spec.priority = i32::MIN);
    kit.ok(await_signal(resuming.lease, 1, "s", "go"));
    kit.ok(suspend(resuming.lease));
    let start = |priority| kit.start_with(|start| start.spec.priority = priority);
    let (low, old, young, high) = (start(i32::MIN), start(0), start(0), start(i32::MAX));
    kit.signal(resuming.lease.task.execution, "go", 1);
    let first = kit.claim(worker, 2);
    assert_eq!(ids(&first), [resuming.lease.task.execution, high]);
    assert_eq!(ids(&kit.claim(worker, 100)), [old, young, low]);
}

pub fn age_counts_across_routes(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let started: Vec<_> =
        (0..12).map(|number| kit.start_with(|start| start.spec.queue = name(["a", "b", "c"][number % 3]))).collect();
    let mut claimed = ids(&kit.claim(worker, 5));
    claimed.extend(ids(&kit.claim(worker, 100)));
    assert_eq!(claimed, started);
}

pub fn a_worker_takes_only_what_it_serves(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let plain = TaskRef::root(kit.start());
    let unknown = TaskRef::root(kit.start_with(|start| start.spec.function = name("unknown")));
    let queued = TaskRef::root(kit.start_with(|start| start.spec.queue = name("slow")));
    let tagged = TaskRef::root(kit.start_with(|start| start.spec.tags = vec![name("big"), name("gpu")]));
    let only = |queues: Option<&[&str]>, tags: Option<&[&str]>| {
        let names = |texts: &[&str]| texts.iter().map(|text| name(text)).collect();
        Serve { queues: queues.map(names), tags: tags.map(names), ..serve(&["f"]) }
    };
    assert_eq!(claim_as(&kit, worker, only(Some(&["nowhere"]), None)), []);
    assert_eq!(claim_as(&kit, worker, Serve { functions: Vec::new(), ..only(None, None) }), []);
    assert_eq!(claim_as(&kit, worker, only(Some(&["slow"]), Some(&["gpu"]))), [queued]);
    assert_eq!(claim_as(&kit, worker, only(None, Some(&["other"]))), [plain]);
    assert_eq!(claim_as(&kit, worker, only(None, Some(&["gpu"]))), [tagged]);
    assert_eq!(kit.state(unknown), TaskState::Pending);
    assert_eq!(claim_as(&kit, worker, serve(&["g", "unknown"])), [unknown]);
}

pub fn a_claim_hands_out_at_most_what_was_asked_for(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    for _ in 0..5 {
        kit.start();
    }
    assert_eq!(kit.claim(worker, 0).len(), 0);
    assert_eq!(kit.claim(worker, 2).len(), 2);
    assert_eq!(kit.claim(kit.worker(), u32::MAX).len(), 3);
    kit.claim_nothing(worker);
}

pub fn two_that_claim_at_the_same_time_get_each_task_once(f: &dyn Fixture) {
    const TASKS: usize = 60;
    let kit = Kit::new(f);
    let started: BTreeSet<_> = (0..TASKS).map(|_| TaskRef::root(kit.start())).collect();
    let workers = [kit.store.clone(), f.second()].map(|store| {
        let (session, open) = kit.open_session();
        store.enter(session).unwrap();
        assert_eq!(block_on(store.commit(0, vec![open])).unwrap().outcomes.len(), 1);
        (store, session)
    });
    let (taken, until) = (AtomicUsize::new(0), Instant::now() + Duration::from_secs(30));
    let claimed: Vec<ClaimedTask> = std::thread::scope(|threads| {
        let claimers = workers.each_ref().map(|(store, session)| {
            threads.spawn(|| {
                let mut mine = Vec::new();
                // One may find nothing for as long as the other holds what is left.
                while taken.load(Ordering::SeqCst) < TASKS && Instant::now() < until {
                    let done = block_on(store.commit(0, vec![claim(*session, 3)])).unwrap().outcomes.remove(0);
                    let more = tasks(done.unwrap());
                    taken.fetch_add(more.len(), Ordering::SeqCst);
                    mine.extend(more);
                }
                mine
            })
        });
        claimers.into_iter().flat_map(|claimer| claimer.join().unwrap()).collect()
    });
    assert_eq!(claimed.len(), TASKS);
    assert_eq!(claimed.iter().map(|task| task.lease.task).collect::<BTreeSet<_>>(), started);
    assert!(claimed.iter().all(|task| task.lease.epoch == 1));
}

pub fn a_delayed_task_is_not_claimed_early_and_its_time_is_told(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let at = kit.now() + HOUR + HOUR;
    let later = kit.start_with(|start| start.due = Some(Due::At(at)));
    let sooner = kit.start_with(|start| start.due = Some(Due::In(HOUR)));
    let due = kit.view(TaskRef::root(sooner)).due.unwrap();
    assert_eq!(kit.ok(claim(worker, 9)), Done::Claimed { tasks: Vec::new(), next_due: Some(due), limited: Vec::new() });
    kit.advance(HOUR);
    let Done::Claimed { tasks, next_due, .. } = kit.ok(claim(worker, 9)) else { panic!() };
    assert_eq!((ids(&tasks), next_due), (vec![sooner], Some(at)));
    kit.advance(HOUR);
    assert_eq!(ids(&kit.claim(worker, 9)), [later]);
}

/// What is due is promoted whoever serves it, so that its time is never told again.
pub fn a_due_task_of_others_is_promoted_and_keeps_its_rank(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let young = kit.new_start();
    let delayed = kit.start_with(|start| start.due = Some(Due::In(HOUR)));
    let high = kit.start_with(|start| start.spec.priority = 1);
    kit.ok(Command::Start(Box::new(young.clone())));
    kit.advance(HOUR);
    let nobody = Claim { session: worker, serve: Arc::new(serve(&["other"])), max: 0 };
    assert_eq!(
        kit.ok(Command::Claim(nobody)),
        Done::Claimed { tasks: Vec::new(), next_due: None, limited: Vec::new() }
    );
    assert_eq!(kit.view(TaskRef::root(delayed)).due, None);
    assert_eq!(ids(&kit.claim(worker, 9)), [high, young.id, delayed]);
}

pub fn a_suspended_task_resumes_when_its_first_wait_is_due(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    let timer = |key, hours| {
        let due = Some(Due::In(HOUR * hours));
        await_with(task.lease, 1, key, stent_core::command::Wait::Timer, due)
    };
    kit.ok(timer("late", 2));
    let Done::Waiting(Some(due)) = kit.ok(timer("soon", 1)) else { panic!() };
    assert!(kit.wakes(suspend(task.lease)).ready, "somebody must look at its time");
    assert_eq!((kit.state(task.lease.task), kit.view(task.lease.task).due), (TaskState::Suspended, Some(due)));
    kit.start_with(|start| start.spec.priority = 9);
    assert_eq!(kit.ok(claim(worker, 0)), Done::Claimed { tasks: Vec::new(), next_due: Some(due), limited: Vec::new() });
    kit.advance(HOUR);
    let again = kit.claim(worker, 1).remove(0);
    assert_eq!((again.lease.task, again.lease.epoch, again.attempt), (task.lease.task, 2, 1));
}

pub fn a_paused_queue_is_passed_by_until_it_goes_on(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let id = kit.start();
    let runs = kit.running_with(worker, |start| start.spec.queue = name("other"));
    assert_eq!(kit.ok(Command::SetQueue(name("default"), Some(true))), Done::Changed(true));
    assert_eq!(kit.ok(Command::SetQueue(name("default"), Some(true))), Done::Changed(false));
    assert_eq!(kit.ok(Command::SetQueue(name("default"), None)), Done::Changed(false));
    kit.ok(Command::SetQueue(name("other"), Some(true)));
    kit.claim_nothing(worker);
    kit.ok(super::kit::complete(runs.lease));
    assert!(kit.wakes(Command::SetQueue(name("default"), Some(false))).ready);
    assert_eq!(kit.claim_one(worker).lease.task, TaskRef::root(id));
}

pub fn queues_are_listed_and_dropped_when_nothing_lies_in_them(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    assert_eq!(kit.ok(Command::SetQueue(name("zebra"), Some(true))), Done::Changed(true));
    assert_eq!(kit.ok(Command::SetQueue(name("default"), None)), Done::Changed(true));
    let queues = || crate::drive::block_on(kit.store.queues()).unwrap();
    let listed: Vec<_> = queues().into_iter().map(|queue| (queue.name, queue.paused)).collect();
    assert_eq!(listed, [(name("default"), false), (name("zebra"), true)]);
    assert_eq!(kit.refused(Command::DropQueue(name("default"))), Refusal::Busy);
    kit.ok(super::kit::complete(task.lease));
    assert_eq!(kit.ok(Command::DropQueue(name("default"))), Done::Changed(true));
    assert_eq!(kit.ok(Command::DropQueue(name("default"))), Done::Changed(false));
    assert_eq!(queues().len(), 1);
}

pub fn what_is_promoted_by_hand_is_ready_before_its_time_and_nothing_later_is(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let sooner = kit.start_with(|start| start.due = Some(Due::In(HOUR)));
    let later = kit.start_with(|start| start.due = Some(Due::In(HOUR + HOUR)));
    let due = kit.view(TaskRef::root(sooner)).due.unwrap();
    let promote = |until| Command::Operate(stent_core::command::Operation::Promote(until));
    assert_eq!(kit.ok(promote(stent_core::Timestamp::from_micros(due.as_micros() - 1))), Done::Nothing);
    kit.claim_nothing(worker);
    assert_eq!(kit.ok(promote(due)), Done::Nothing);
    assert_eq!(ids(&kit.claim(worker, 9)), [sooner]);
    assert!(kit.view(TaskRef::root(later)).due.is_some());
}

//! Operations over what is stored: cleaning up by age, letters put away by hand, baggage from outside, counts, pages.

use std::time::Duration;

use stent_core::command::{
    BaggageChange, CleanExecutions, Command, Done, Ending, Number, Operation, PutAway, Refusal, Wait,
};
use stent_core::limits::{CLEAN_EXECUTIONS, CLEAN_ROWS, SWEEP_TASKS};
use stent_core::view::{Stats, TaskFilter, TaskView};
use stent_core::{
    ExecutionId, ExecutionState, FailureKind, Progress, ProgressStatus, TaskId, TaskRef, TaskState, Timestamp,
};

use super::Fixture;
use super::kit::{
    HOUR, Kit, append, await_with, call, child_ref, complete, fail, failure, finish, json, key, name, record, replay,
    start_child, suspend,
};
use crate::drive::block_on;

fn clean(before: Timestamp, from: Option<ExecutionId>) -> Command {
    Command::Operate(Operation::CleanExecutions(CleanExecutions { before, from }))
}

fn put_away(task: TaskRef, words: &str) -> Command {
    Command::Operate(Operation::PutAway(Box::new(PutAway { task, failure: failure(words) })))
}

fn change(execution: ExecutionId, change: BaggageChange) -> Command {
    Command::Operate(Operation::ChangeBaggage(execution, change))
}

fn add(execution: ExecutionId, counter: &str, amount: Number) -> Command {
    change(execution, BaggageChange::AddCounter(name(counter), amount))
}

/// Cleans until there is no more: how many are gone, and how many commands it took.
fn clean_all(kit: &Kit<'_>, before: Timestamp) -> (u32, u32) {
    let (mut all, mut commands, mut from) = (0, 0, None);
    loop {
        commands += 1;
        match kit.ok(clean(before, from)) {
            Done::Cleaned { count, next } => {
                all += count;
                if next.is_none() {
                    return (all, commands);
                }
                from = next;
            }
            other => panic!("{other:?}"),
        }
    }
}

fn is_there(kit: &Kit<'_>, execution: ExecutionId) -> bool {
    block_on(kit.store.execution(execution)).unwrap().is_some()
}

pub fn what_ended_long_ago_is_deleted_with_all_that_belongs_to_it(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let root = kit.running(worker).lease;
    let execution = root.task.execution;
    let child = kit.child(root, "c").lease;
    kit.ok(append(root, 1, "step"));
    kit.ok(append(child, 1, "step"));
    kit.signal(execution, "go", 1);
    kit.emit("q", "news", 1);
    record(kit.ok(await_with(root, 2, "e", Wait::Event(name("q"), name("news")), None)));
    kit.ok(add(execution, "n", Number::Whole(1)));
    kit.ok(change(execution, BaggageChange::SetState(name("x"), json(1))));
    kit.ok(complete(child));
    kit.ok(complete(root));
    let (recent, waits, live) = (kit.running(worker).lease, kit.running(worker).lease, kit.start());
    kit.ok(await_with(waits, 1, "w", Wait::Signal(name("go")), None));
    kit.ok(suspend(waits));
    kit.advance(HOUR);
    let before = kit.now();
    kit.ok(complete(recent));
    // Nothing that ended at the moment or after it.
    assert_eq!(clean_all(&kit, before).0, 1);
    assert!(!is_there(&kit, execution));
    for lease in [root, child] {
        assert_eq!(block_on(kit.store.task(lease.task)).unwrap(), None);
        assert_eq!(block_on(kit.store.find_task(lease.task.task)).unwrap(), None);
        assert_eq!(kit.history(lease.task), stent_core::History::default());
        assert_eq!(kit.refused(complete(lease)), Refusal::LeaseLost);
    }
    assert_eq!(block_on(kit.store.tasks(execution)).unwrap(), []);
    assert_eq!(block_on(kit.store.steps(execution, 9)).unwrap(), []);
    assert_eq!(block_on(kit.store.baggage(execution)).unwrap(), Default::default());
    assert_eq!(kit.refused(Command::Cancel(root.task)), Refusal::Unknown);
    assert_eq!(kit.refused(Command::Signal(kit.signal_command(execution, "go", 1))), Refusal::Unknown);
    assert_eq!(kit.refused(add(execution, "n", Number::Whole(1))), Refusal::Unknown);
    assert!(is_there(&kit, recent.task.execution) && is_there(&kit, waits.task.execution) && is_there(&kit, live));
    assert_eq!(block_on(kit.store.count_executions(None)).unwrap(), 3);
    // What is left goes on.
    let signal = kit.signal(waits.task.execution, "go", 7);
    let again: Vec<_> = kit.claim(worker, 9).into_iter().filter(|task| task.lease.task == waits.task).collect();
    let taken = record(kit.ok(await_with(again[0].lease, 1, "w", Wait::Signal(name("go")), None)));
    assert_eq!(taken.source, Some(*signal.as_bytes()));
}

pub fn a_start_key_outlives_its_execution(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let first = kit.running_with(worker, |start| start.key = Some(name("order 1"))).lease;
    kit.ok(complete(first));
    kit.advance(HOUR);
    assert_eq!(clean_all(&kit, kit.now()).0, 1);
    let mut again = kit.new_start();
    again.key = Some(name("order 1"));
    let answer = Done::Started { execution: first.task.execution, created: false, claimed: None };
    assert_eq!(kit.ok(Command::Start(Box::new(again))), answer);
    assert_eq!(block_on(kit.store.count_executions(None)).unwrap(), 0);
}

pub fn what_runs_waits_or_is_still_named_by_its_owner_is_not_deleted(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let pending = kit.start();
    let running = kit.claim_one(worker);
    let later = kit.start_with(|start| start.due = Some(stent_core::history::Due::In(1_000 * HOUR)));
    // Ended by others; its owner does not know yet.
    let stopped = kit.running(worker).lease;
    kit.ok(Command::Cancel(stopped.task));
    // A child that was replayed after its execution's end.
    let root = kit.running(worker).lease;
    let child = kit.child(root, "c").lease;
    kit.ok(fail(child));
    kit.ok(complete(root));
    kit.ok(replay(child.task));
    kit.advance(HOUR);
    assert_eq!(clean_all(&kit, kit.now()).0, 0);
    assert!(running.lease.task.execution == pending && is_there(&kit, later));
    kit.ok(Command::Heed(stopped));
    let again = kit.claim_one(worker);
    assert_eq!(again.lease.task, child.task);
    assert_eq!(clean_all(&kit, kit.now()).0, 1);
    kit.ok(complete(again.lease));
    assert_eq!(clean_all(&kit, kit.now()).0, 1);
    assert!(!is_there(&kit, stopped.task.execution) && !is_there(&kit, root.task.execution));
    assert_eq!(block_on(kit.store.count_executions(None)).unwrap(), 2);
}

pub fn a_dead_letter_keeps_its_execution_until_it_is_cleaned_or_discarded(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let [cleaned, discarded, replayed] = [(); 3].map(|()| kit.running(worker).lease);
    for lease in [cleaned, discarded, replayed] {
        kit.ok(append(lease, 1, "kept"));
        kit.ok(fail(lease));
        kit.advance(HOUR);
    }
    assert_eq!(clean_all(&kit, kit.now()).0, 0);
    assert_eq!(kit.ok(Command::DiscardLetter(discarded.task)), Done::Changed(true));
    // Put away two hours ago and more.
    let letters = |before| Command::Operate(Operation::CleanLetters(before));
    assert_eq!(kit.ok(letters(kit.now() - HOUR * 2)), Done::Swept { count: 1, more: false });
    assert_eq!(kit.ok(letters(kit.now() - HOUR * 2)), Done::Swept { count: 0, more: false });
    assert_eq!(kit.state(cleaned.task), TaskState::Failed);
    assert_eq!(kit.refused(replay(cleaned.task)), Refusal::Unknown);
    assert_eq!(block_on(kit.store.count_letters()).unwrap(), 1);
    assert_eq!(clean_all(&kit, kit.now()).0, 2);
    kit.ok(replay(replayed.task));
    assert_eq!(clean_all(&kit, kit.now()).0, 0);
    let again = kit.claim_one(worker);
    assert_eq!((again.lease.task, kit.history(replayed.task).records.len()), (replayed.task, 1));
}

pub fn letters_are_cleaned_oldest_first_a_bounded_number_at_once(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let oldest = kit.running(worker).lease;
    kit.ok(fail(oldest));
    kit.advance(HOUR);
    let more = SWEEP_TASKS + 5;
    let commands: Vec<_> = (0..more)
        .map(|_| {
            let mut start = kit.new_start();
            start.claim_for = Some(worker);
            Command::Start(Box::new(start))
        })
        .collect();
    let claimed = kit.batch(commands).outcomes.into_iter().map(|outcome| match outcome {
        Ok(Done::Started { claimed: Some(task), .. }) => task.lease,
        other => panic!("{other:?}"),
    });
    kit.batch(claimed.map(fail).collect());
    kit.advance(HOUR);
    let letters = || Command::Operate(Operation::CleanLetters(kit.now()));
    assert_eq!(kit.ok(letters()), Done::Swept { count: SWEEP_TASKS, more: true });
    assert_eq!(block_on(kit.store.letter(oldest.task)).unwrap(), None);
    assert_eq!(kit.ok(letters()), Done::Swept { count: 6, more: false });
    assert_eq!(block_on(kit.store.count_letters()).unwrap(), 0);
}

pub fn a_cleaning_command_looks_at_a_bounded_number_and_says_where_to_go_on(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    // What stays lies before what goes: it is passed over once.
    let stays: Vec<_> = (0..CLEAN_EXECUTIONS + 3).map(|_| Command::Start(Box::new(kit.new_start()))).collect();
    kit.batch(stays);
    let ended: Vec<_> = (0..4).map(|_| kit.running(worker).lease).collect();
    kit.batch(ended.iter().map(|lease| complete(*lease)).collect());
    kit.advance(HOUR);
    let first = kit.ok(clean(kit.now(), None));
    let Done::Cleaned { count: 0, next: Some(next) } = first else { panic!("{first:?}") };
    assert_eq!(kit.ok(clean(kit.now(), Some(next))), Done::Cleaned { count: 4, next: None });
    assert_eq!(block_on(kit.store.count_executions(None)).unwrap(), u64::from(CLEAN_EXECUTIONS) + 3);
}

pub fn an_execution_larger_than_one_command_goes_in_parts_its_root_last(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let (large, small) = (kit.running(worker).lease, kit.running(worker).lease);
    let steps = CLEAN_ROWS + CLEAN_ROWS / 2;
    let records: Vec<_> = (1..=steps).map(|seq| append(large, seq, &format!("s{seq}"))).collect();
    for part in records.chunks(1_000) {
        kit.batch(part.to_vec());
    }
    kit.batch(vec![complete(large), complete(small)]);
    kit.advance(HOUR);
    let before = kit.now();
    match kit.ok(clean(before, None)) {
        Done::Cleaned { count: 0, next: Some(_) } => {
            let left = kit.history(large.task).records.len();
            assert_eq!(left, (steps - CLEAN_ROWS) as usize);
            assert!(is_there(&kit, large.task.execution) && is_there(&kit, small.task.execution));
            assert_eq!(clean_all(&kit, before).0, 2);
        }
        // A store to which size is nothing may do it at once.
        Done::Cleaned { count: 2, next: None } => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(block_on(kit.store.count_executions(None)).unwrap(), 0);
    assert_eq!(kit.history(large.task).records.len(), 0);
}

pub fn two_that_clean_at_the_same_time_delete_each_execution_once(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let ended: Vec<_> = (0..60).map(|_| kit.running(worker).lease).collect();
    kit.batch(ended.iter().map(|lease| complete(*lease)).collect());
    kit.advance(HOUR);
    let (before, second) = (kit.now(), f.second());
    let cleaned = |store: &dyn stent_core::Store| -> u32 {
        let (mut all, mut from) = (0, None);
        loop {
            let committed = block_on(store.commit(0, vec![clean(before, from)])).unwrap();
            match &committed.outcomes[..] {
                [Ok(Done::Cleaned { count, next })] => {
                    all += count;
                    if next.is_none() {
                        return all;
                    }
                    from = *next;
                }
                other => panic!("{other:?}"),
            }
        }
    };
    let counts = std::thread::scope(|scope| {
        let others = scope.spawn(|| cleaned(&*second));
        cleaned(&*kit.store) + others.join().unwrap()
    });
    // One may have passed over what the other had just locked.
    assert_eq!(counts + clean_all(&kit, before).0, 60);
    assert_eq!(block_on(kit.store.count_executions(None)).unwrap(), 0);
}

pub fn a_task_put_away_by_hand_is_a_letter_and_its_owner_is_told(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let root = kit.running(worker).lease;
    kit.ok(append(root, 1, "kept"));
    let child = kit.child(root, "c").lease;
    kit.ok(await_with(root, 2, "w", Wait::Signal(name("go")), None));
    let wakes = kit.wakes(put_away(root.task, "poisoned"));
    assert!(wakes.stopped.contains(&(worker, root.task, TaskState::Failed)));
    assert!(wakes.stopped.contains(&(worker, child.task, TaskState::Cancelled)));
    assert_eq!(wakes.ended, [root.task.execution]);
    let view = kit.execution(root.task.execution);
    assert_eq!((view.state, view.failure.unwrap().message), (ExecutionState::Failed, "poisoned".to_owned()));
    assert_eq!(kit.refused(complete(root)), Refusal::Terminal(TaskState::Failed));
    assert_eq!(kit.refused(put_away(root.task, "again")), Refusal::Terminal(TaskState::Failed));
    assert_eq!(kit.refused(put_away(TaskRef::root(ExecutionId::v7(1, [1; 10])), "who")), Refusal::Unknown);
    let letter = block_on(kit.store.letter(root.task)).unwrap().unwrap();
    assert_eq!((letter.failure.message.as_str(), letter.moved_at), ("poisoned", view.completed_at.unwrap()));
    let mut nudged: Vec<_> = block_on(kit.store.nudges(worker)).unwrap().into_iter().map(|n| n.task).collect();
    nudged.sort_unstable();
    let mut stopped = vec![root.task, child.task];
    stopped.sort_unstable();
    assert_eq!(nudged, stopped);
    kit.ok(replay(root.task));
    assert_eq!(kit.execution(root.task.execution).state, ExecutionState::Running);
    let again: Vec<_> = kit.claim(worker, 9).into_iter().map(|task| task.lease.task).collect();
    assert!(again.contains(&root.task) && again.contains(&child.task));
    assert_eq!(kit.history(root.task).records.len(), 1);
}

pub fn a_waiting_task_can_be_put_away_and_its_parent_gets_the_failure(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let root = kit.running(worker).lease;
    kit.ok(call(start_child(root, "queued", false)));
    let queued = child_ref(root, "queued");
    let sleeping = kit.child(root, "sleeping").lease;
    kit.ok(await_with(sleeping, 1, "w", Wait::Signal(name("go")), None));
    kit.ok(suspend(sleeping));
    for (seq, text, task) in [(1, "queued", queued), (2, "sleeping", sleeping.task)] {
        assert_eq!(kit.wakes(put_away(task, "by hand")).woken, [(worker, root.task)]);
        assert_eq!(kit.state(task), TaskState::Failed);
        let end = record(kit.ok(await_with(root, seq, text, Wait::Child(child_ref(root, text).task), None)));
        let failure = stent_core::Failure::from_payload(&end.payload);
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Error, "by hand"));
    }
    kit.claim_nothing(worker);
    assert_eq!(block_on(kit.store.count_letters()).unwrap(), 2);
    kit.ok(complete(root));
}

pub fn baggage_changes_from_outside_and_from_inside_alike(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let execution = kit.start();
    let whole = Number::Whole;
    let ensure = BaggageChange::EnsureCounters(vec![(name("a"), whole(7)), (name("b"), Number::Real(0.5))]);
    assert_eq!(kit.ok(change(execution, ensure)), Done::Nothing);
    let ensure = BaggageChange::EnsureCounters(vec![(name("a"), whole(1)), (name("c"), whole(0))]);
    kit.ok(change(execution, ensure));
    assert_eq!(kit.ok(add(execution, "a", whole(-9))), Done::Counter(whole(-2)));
    assert_eq!(kit.ok(add(execution, "b", whole(1))), Done::Counter(Number::Real(1.5)));
    assert_eq!(kit.ok(add(execution, "new", whole(i64::MAX))), Done::Counter(whole(i64::MAX)));
    kit.ok(change(execution, BaggageChange::EnsureState(vec![(name("x"), json(1))])));
    kit.ok(change(execution, BaggageChange::EnsureState(vec![(name("x"), json(2)), (name("y"), json(3))])));
    kit.ok(change(execution, BaggageChange::SetState(name("y"), json(4))));
    let baggage = block_on(kit.store.baggage(execution)).unwrap();
    let counters = [("a", whole(-2)), ("b", Number::Real(1.5)), ("c", whole(0)), ("new", whole(i64::MAX))];
    assert_eq!(baggage.counters, counters.map(|(text, value)| (name(text), value)));
    assert_eq!(baggage.state, [("x", json(1)), ("y", json(4))].map(|(text, value)| (name(text), value)));
    let nobody = ExecutionId::v7(1, [1; 10]);
    assert_eq!(kit.refused(add(nobody, "a", whole(1))), Refusal::Unknown);
    assert_eq!(kit.refused(change(nobody, BaggageChange::SetState(name("x"), json(1)))), Refusal::Unknown);
    assert_eq!(block_on(kit.store.baggage(nobody)).unwrap(), Default::default());
}

pub fn two_adds_in_one_batch_and_adds_of_many_at_once_all_count(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let execution = kit.start();
    let one = || add(execution, "n", Number::Whole(1));
    let answers = kit.batch(vec![one(), one()]).outcomes;
    assert_eq!(answers, [1, 2].map(|value| Ok(Done::Counter(Number::Whole(value)))));
    let (first, second) = (f.store(), f.second());
    let mut seen: Vec<i64> = std::thread::scope(|scope| {
        let adders: Vec<_> = [&first, &second, &first, &second]
            .into_iter()
            .map(|store| {
                scope.spawn(|| {
                    let mut values = Vec::new();
                    for _ in 0..25 {
                        match block_on(store.commit(0, vec![one()])).unwrap().outcomes.remove(0) {
                            Ok(Done::Counter(Number::Whole(value))) => values.push(value),
                            other => panic!("{other:?}"),
                        }
                    }
                    values
                })
            })
            .collect();
        adders.into_iter().flat_map(|adder| adder.join().unwrap()).collect()
    });
    seen.sort_unstable();
    assert_eq!(seen, (3..=102).collect::<Vec<_>>());
}

pub fn counts_are_exact_by_queue_and_state(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let count = |queue: Option<&str>, state| block_on(kit.store.count_tasks(queue.map(name), state)).unwrap();
    let empty = Stats { workers: 1, ..Stats::default() };
    assert_eq!((count(None, None), block_on(kit.store.stats()).unwrap()), (0, empty));
    let slow = kit.start_with(|start| start.spec.queue = name("slow"));
    kit.start_with(|start| start.due = Some(stent_core::history::Due::In(HOUR)));
    let [running, completed, failed, waiting, retried] = [(); 5].map(|()| kit.running(worker).lease);
    kit.ok(complete(completed));
    kit.ok(fail(failed));
    kit.ok(await_with(waiting, 1, "w", Wait::Timer, Some(stent_core::history::Due::In(HOUR))));
    kit.ok(suspend(waiting));
    kit.ok(finish(retried, Ending::Retry(failure("once"), HOUR)));
    let child = kit.child(running, "c").lease;
    let expected = [
        (None, None, 8),
        (None, Some(TaskState::Pending), 3),
        (Some("slow"), Some(TaskState::Pending), 1),
        (Some("default"), Some(TaskState::Pending), 2),
        (Some("nobody's"), Some(TaskState::Pending), 0),
        (None, Some(TaskState::Running), 2),
        (Some("slow"), Some(TaskState::Running), 0),
        (None, Some(TaskState::Suspended), 1),
        (Some("default"), Some(TaskState::Completed), 1),
        (None, Some(TaskState::Failed), 1),
        (None, Some(TaskState::Cancelled), 0),
        (Some("default"), None, 7),
    ];
    for (queue, state, number) in expected {
        assert_eq!(count(queue, state), number, "{queue:?} {state:?}");
    }
    let stats = block_on(f.second().stats()).unwrap();
    for state in TaskState::ALL {
        assert_eq!(stats.tasks_in(None, state), count(None, Some(state)), "{state}");
        assert_eq!(stats.tasks_in(Some("slow"), state), count(Some("slow"), Some(state)), "{state}");
    }
    for state in ExecutionState::ALL {
        assert_eq!(stats.executions_in(state), block_on(kit.store.count_executions(Some(state))).unwrap(), "{state}");
    }
    assert_eq!((stats.letters, stats.workers), (1, 1));
    let page = |filter: TaskFilter| -> Vec<TaskRef> {
        let views: Vec<TaskView> = block_on(f.second().list_tasks(filter)).unwrap();
        views.iter().map(|view| view.task).collect()
    };
    let all = TaskFilter { limit: 99, ..TaskFilter::default() };
    let in_state = |state| page(TaskFilter { state: Some(state), ..all.clone() });
    let mut both = vec![running.task, child.task];
    both.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(in_state(TaskState::Running), both);
    assert_eq!(in_state(TaskState::Failed), [failed.task]);
    assert_eq!(page(TaskFilter { only_children: true, ..all.clone() }), [child.task]);
    let running_children = TaskFilter { only_children: true, state: Some(TaskState::Running), ..all.clone() };
    assert_eq!(page(running_children), [child.task]);
    assert_eq!(page(TaskFilter { queue: Some(name("slow")), ..all.clone() }), [TaskRef::root(slow)]);
    let everything = page(all.clone());
    assert_eq!(everything.len(), 8);
    assert!(everything.is_sorted_by(|one, other| one > other), "newest first");
    assert_eq!(page(TaskFilter { limit: 3, offset: 2, ..all }), everything[2..5]);
}

pub fn progress_is_read_off_tasks_and_steps(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let root = kit.running_with(worker, |start| {
        start.spec.priority = 7;
        start.spec.tags = vec![name("billing")];
    });
    let (root, execution) = (root.lease, root.lease.task.execution);
    let view = kit.execution(execution);
    assert_eq!((view.priority, view.tags), (7, vec![name("billing")]));
    let tick = Duration::from_secs(1);
    kit.advance(tick);
    kit.ok(append(root, 1, "charge"));
    kit.advance(tick);
    let mut child = start_child(root, "a", true);
    child.spec.function = name("ship");
    kit.ok(call(child));
    kit.advance(tick);
    let mut child = start_child(root, "b", false);
    child.spec.function = name("invoice");
    kit.ok(call(child));
    kit.advance(tick);
    let shipped = stent_core::Lease { task: child_ref(root, "a"), session: worker, epoch: 1 };
    kit.ok(fail(shipped));
    let tasks = block_on(kit.store.tasks(execution)).unwrap();
    let steps = block_on(kit.store.steps(execution, 9)).unwrap();
    let entries: Vec<Progress> = stent_core::progress::progress(&tasks, &steps);
    let told: Vec<_> = entries.iter().map(|p| (p.step.as_str(), p.status, p.detail.as_deref())).collect();
    let expected = [
        ("f", ProgressStatus::Running, None),
        ("charge", ProgressStatus::Completed, None),
        ("ship", ProgressStatus::Failed, Some("no")),
        ("invoice", ProgressStatus::Dispatched, None),
    ];
    assert_eq!(told, expected);
    assert!(entries[0].started_at.is_some() && entries[0].completed_at.is_none());
    assert_eq!(entries[1].completed_at, Some(steps[0].at));
    assert!(entries[2].completed_at > entries[2].started_at);
    assert_eq!((steps.len(), &steps[0].key, steps[0].task), (1, &key("charge"), TaskId::from_uuid(execution.uuid())));
    assert_eq!(block_on(kit.store.steps(execution, 0)).unwrap(), []);
    assert_eq!(block_on(kit.store.count_tasks(None, None)).unwrap(), 3);
}

//! What a store shows, and how it tells of changes: lists, counts, lookups, sessions, functions, watchers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use stent_core::view::{ExecutionFilter, FunctionView};
use stent_core::{Command, ExecutionId, ExecutionState, MaxConcurrent, TaskId, TaskRef, TaskState, Watcher};

use super::Fixture;
use super::kit::{Kit, complete, fail, name, replay};
use crate::drive::block_on;

pub fn executions_are_listed_newest_first_by_state_and_queue(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let pending = kit.start_with(|start| start.spec.function = name("other"));
    let slow = kit.start_with(|start| start.spec.queue = name("slow"));
    let [running, completed, failed, cancelled] = [(); 4].map(|()| kit.running(worker));
    kit.ok(complete(completed.lease));
    kit.ok(fail(failed.lease));
    kit.ok(Command::Cancel(cancelled.lease.task));
    let [running, completed, failed, cancelled] =
        [running, completed, failed, cancelled].map(|task| task.lease.task.execution);
    let all = ExecutionFilter { limit: 99, ..ExecutionFilter::default() };
    let list = |filter: ExecutionFilter| -> Vec<ExecutionId> {
        block_on(f.second().executions(filter)).unwrap().iter().map(|view| view.id).collect()
    };
    assert_eq!(list(all.clone()), [cancelled, failed, completed, running, slow, pending]);
    assert_eq!(list(ExecutionFilter { limit: 2, offset: 1, ..all.clone() }), [failed, completed]);
    assert_eq!(list(ExecutionFilter { limit: 0, ..all.clone() }), []);
    let in_slow = ExecutionFilter { queue: Some(name("slow")), limit: 99, ..ExecutionFilter::default() };
    assert_eq!(list(in_slow), [slow]);
    let in_state = [
        (ExecutionState::Pending, vec![slow, pending]),
        (ExecutionState::Running, vec![running]),
        (ExecutionState::Completed, vec![completed]),
        (ExecutionState::Failed, vec![failed]),
        (ExecutionState::TimedOut, vec![]),
        (ExecutionState::Cancelling, vec![]),
        (ExecutionState::Cancelled, vec![cancelled]),
    ];
    for (state, ids) in in_state {
        assert_eq!(block_on(kit.store.count_executions(Some(state))).unwrap(), ids.len() as u64);
        assert_eq!(list(ExecutionFilter { state: Some(state), ..all.clone() }), ids);
    }
    let both = ExecutionFilter { state: Some(ExecutionState::Pending), queue: Some(name("slow")), ..all };
    assert_eq!(list(both), [slow]);
    assert_eq!(block_on(kit.store.count_executions(None)).unwrap(), 6);
}

pub fn of_many_executions_those_are_told_that_ended_or_are_unknown(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let [running, completed, failed, cancelled, revived] = [(); 5].map(|()| kit.running(worker));
    let pending = kit.start();
    kit.ok(complete(completed.lease));
    kit.ok(fail(failed.lease));
    kit.ok(Command::Cancel(cancelled.lease.task));
    kit.ok(fail(revived.lease));
    kit.ok(replay(revived.lease.task));
    let unknown = ExecutionId::v7(1, [1; 10]);
    let [running, completed, failed, cancelled, revived] =
        [running, completed, failed, cancelled, revived].map(|task| task.lease.task.execution);
    let asked = vec![running, completed, failed, pending, unknown, cancelled, revived];
    let mut ended = block_on(f.second().which_ended(asked)).unwrap();
    ended.sort_unstable();
    let mut expected = [completed, failed, unknown, cancelled];
    expected.sort_unstable();
    assert_eq!(ended, expected);
    assert_eq!(block_on(kit.store.which_ended(Vec::new())).unwrap(), []);
}

pub fn an_unknown_id_shows_nothing(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let id = ExecutionId::v7(1, [1; 10]);
    assert_eq!(block_on(kit.store.execution(id)).unwrap(), None);
    assert_eq!(block_on(kit.store.task(TaskRef::root(id))).unwrap(), None);
    assert_eq!(block_on(kit.store.tasks(id)).unwrap(), []);
    assert_eq!(block_on(kit.store.find_task(TaskId::v7(1, [1; 10]))).unwrap(), None);
    assert_eq!(block_on(kit.store.letter(TaskRef::root(id))).unwrap(), None);
    assert_eq!(kit.arrivals(TaskRef::root(id)), []);
}

pub fn a_task_is_found_by_its_id_alone(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    // A neighbour of the same millisecond.
    let mut start = kit.new_start();
    let (one, two) = (ExecutionId::v7(77, [1; 10]), ExecutionId::v7(77, [2; 10]));
    for id in [one, two] {
        start.id = id;
        kit.ok(Command::Start(Box::new(start.clone())));
    }
    let parents = kit.claim(worker, 9);
    for parent in parents {
        let child = kit.child(parent.lease, "c");
        assert_eq!(block_on(kit.store.find_task(child.lease.task.task)).unwrap(), Some(child.lease.task));
        assert_eq!(block_on(kit.store.find_task(parent.lease.task.task)).unwrap(), Some(parent.lease.task));
        let mut tasks = [parent.lease.task, child.lease.task];
        tasks.sort_unstable();
        let listed: Vec<_> = block_on(kit.store.tasks(parent.lease.task.execution)).unwrap();
        assert_eq!(listed.iter().map(|view| view.task).collect::<Vec<_>>(), tasks);
    }
}

pub fn sessions_and_what_they_publish_are_listed_while_they_are_open(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (one, two) = (kit.worker(), kit.worker());
    let function = |text: &str, version: u32| FunctionView {
        name: name(text),
        options: serde_json::json!({ "version": version, "limits": [1, null, "ü"] }),
        max_concurrent: MaxConcurrent::new(version - 1).ok(),
    };
    kit.ok(Command::Publish(one, vec![function("z", 1), function("f", 1)]));
    kit.ok(Command::Publish(two, vec![function("f", 2)]));
    let sessions = || block_on(f.second().sessions()).unwrap();
    assert_eq!(sessions().iter().map(|view| view.session).collect::<Vec<_>>(), [one, two]);
    assert_eq!((sessions()[0].worker_id.as_str(), sessions()[0].host.as_str(), sessions()[0].pid), ("w", "h", 1));
    let functions = || block_on(f.second().functions()).unwrap();
    assert_eq!(functions(), [function("f", 1), function("f", 2), function("z", 1)]);
    kit.ok(Command::Publish(one, vec![function("a", 3)]));
    assert_eq!(functions(), [function("a", 3), function("f", 2)]);
    kit.ok(Command::CloseSession(one));
    assert_eq!(sessions().len(), 1);
    assert_eq!(functions(), [function("f", 2)]);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Watcher for Count {
    fn changed(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub fn a_watcher_learns_of_what_another_process_commits(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let watcher = Arc::new(Count::default());
    if Arc::ptr_eq(&kit.store, &f.second()) {
        return;
    }
    let weak: Weak<dyn Watcher> = Arc::downgrade(&watcher) as Weak<dyn Watcher>;
    f.second().watch(weak);
    let until = Instant::now() + Duration::from_secs(10);
    let mut ids = Vec::new();
    while watcher.0.load(Ordering::SeqCst) == 0 && Instant::now() < until {
        ids.push(kit.start());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(watcher.0.load(Ordering::SeqCst) > 0, "no word of {} commits", ids.len());
    // A dropped watcher is in nobody's way.
    drop(watcher);
    kit.start();
}

pub fn what_one_process_committed_the_other_sees_and_goes_on_with(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    let other = f.second();
    assert_eq!(block_on(other.task(task.lease.task)).unwrap().unwrap().state, TaskState::Running);
    let committed = block_on(other.commit(0, vec![Command::Cancel(task.lease.task)])).unwrap();
    assert_eq!(committed.wakes.stopped, [(worker, task.lease.task, TaskState::Cancelled)]);
    assert_eq!(kit.state(task.lease.task), TaskState::Cancelled);
    assert!(kit.run(complete(task.lease)).is_err());
}

pub fn closing_is_safe_to_repeat(f: &dyn Fixture) {
    let kit = Kit::new(f);
    kit.start();
    block_on(kit.store.close()).unwrap();
    block_on(kit.store.close()).unwrap();
}

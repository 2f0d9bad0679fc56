//! Who is there: seen at once when a process dies, by silence otherwise, never by the wall clock.

use std::time::Duration;

use stent_core::command::TakeOver;
use stent_core::{Command, Done, Refusal, SessionId, Store};
use stent_sqlite::{Options, SqliteStore};

use crate::stores::{
    block, claim, commit, complete, execution, open, open_session, place, session, start_one, step, worker,
};

const LONG: Duration = Duration::from_secs(3_600);

fn gone(store: &SqliteStore) -> Vec<SessionId> {
    block(store.gone_sessions(LONG)).unwrap()
}

#[test]
fn a_session_of_another_store_is_present_until_it_leaves_or_its_store_is_dropped() {
    let (_directory, path) = place();
    let (here, there) = (open(&path), open(&path));
    let (one, two) = (worker(&there), worker(&there));
    for _ in 0..3 {
        assert_eq!(gone(&here), [], "looking takes nobody's presence away");
    }
    there.leave(one);
    assert_eq!(gone(&here), [one]);
    drop(there);
    assert_eq!(gone(&here), [one, two]);
}

#[test]
fn one_of_two_workers_in_a_process_can_go_alone() {
    let (_directory, path) = place();
    let store = open(&path);
    let (stays, goes) = (worker(&store), worker(&store));
    store.leave(goes);
    assert_eq!(gone(&store), [goes]);
    assert_eq!(
        commit(&store, vec![Command::TakeOver(TakeOver { session: goes })]),
        [Ok(Done::Swept { count: 0, more: false })]
    );
    assert_eq!(gone(&store), []);
    assert_eq!(
        commit(&store, vec![Command::Beat(stays), Command::Beat(goes)]),
        [Ok(Done::Nothing), Err(Refusal::SessionGone)]
    );
}

#[test]
fn a_session_that_nobody_entered_is_gone() {
    let (_directory, path) = place();
    for path in [path, ":memory:".into()] {
        let store = open(&path);
        let (entered, never) = (worker(&store), session());
        commit(&store, vec![open_session(never)]);
        assert_eq!(gone(&store), [never]);
        store.leave(entered);
        assert_eq!(gone(&store), [entered, never]);
    }
}

#[test]
fn silence_is_counted_from_the_last_beat_for_ones_own_sessions_too() {
    let (_directory, path) = place();
    let store = open(&path);
    let id = worker(&store);
    // Longer than it takes from the beat to the look behind it.
    let silent = || block(store.gone_sessions(Duration::from_millis(1_500))).unwrap();
    let began = std::time::Instant::now();
    while silent().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(silent(), [id]);
    commit(&store, vec![Command::Beat(id)]);
    assert_eq!(silent(), []);
}

#[test]
fn a_killed_process_is_seen_at_once_and_its_tasks_go_on_elsewhere() {
    let (_directory, path) = place();
    let store = open(&path);
    commit(&store, vec![start_one(execution()), start_one(execution())]);
    let (mut child, _output, said) = crate::processes::present_child(&path);
    let (id, tasks) = said.split_once(' ').unwrap();
    let id: SessionId = id.parse().unwrap();
    assert_eq!(tasks, "2");
    assert_eq!(gone(&store), [], "it lives");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(gone(&store), [id]);
    let swept = commit(&store, vec![Command::TakeOver(TakeOver { session: id })]);
    assert_eq!(swept, [Ok(Done::Swept { count: 2, more: false })]);
    let me = worker(&store);
    let tasks = claim(&store, me, 10);
    assert_eq!(tasks.iter().map(|task| (task.lease.epoch, task.losses)).collect::<Vec<_>>(), [(2, 1), (2, 1)]);
    let stale = stent_core::Lease { session: id, epoch: 1, ..tasks[0].lease };
    assert_eq!(
        commit(&store, vec![step(stale, 1), complete(stale)]),
        [Err(Refusal::LeaseLost), Err(Refusal::LeaseLost)]
    );
}

#[test]
fn a_beat_of_another_boot_is_none() {
    let (_directory, path) = place();
    let store = SqliteStore::open(&path, Options::default()).unwrap();
    let id = worker(&store);
    let theirs = rusqlite::Connection::open(&path).unwrap();
    theirs.execute("UPDATE sessions SET boot_id = 'another'", []).unwrap();
    assert_eq!(gone(&store), [id]);
}

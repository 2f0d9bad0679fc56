//! A server that is killed and restarted under its stores: they go on, and nothing is taken from the living.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use stent_core::{Command, Done, Store};
use stent_postgres::PostgresStore;
use stent_servers::Server;

use crate::hands::{Hand, joined, running, take_over, tell, try_send, until, watch};
use crate::stores::{block, complete, open, start_one, step, worker};

const LONG: Duration = Duration::from_secs(3_600);

/// Commits until the server is there again.
fn insist(store: &PostgresStore, lane: usize, command: &Command) -> Done {
    let mut outcome = None;
    until("the server is there again", || match try_send(store, lane, vec![command.clone()]) {
        Ok(committed) => {
            outcome = committed.outcomes.into_iter().next();
            true
        }
        Err(error) => {
            assert!(error.is_transient(), "{error}");
            false
        }
    });
    outcome.unwrap().unwrap()
}

/// How many sessions show their presence to the server.
const PRESENT: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 \
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

#[test]
fn stores_go_on_after_a_crash_of_the_server_and_nobody_is_taken_over() {
    let server = Server::start().unwrap();
    let database = server.database().unwrap();
    let (one, two) = (open(&database.url()), open(&database.url()));
    let sessions = [worker(&one), worker(&two)];
    let tasks = [running(&one, sessions[0], 0), running(&two, sessions[1], 1)];
    let (_watcher, told) = watch(&two);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let looks: Vec<_> = [&one, &two]
            .map(|store| {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut looks = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        if let Ok(gone) = block(store.gone_sessions(LONG)) {
                            assert_eq!(gone, []);
                            looks += 1;
                        }
                        thread::sleep(Duration::from_millis(20));
                    }
                    looks
                })
            })
            .into();
        for round in 1..=2 {
            thread::sleep(Duration::from_millis(300));
            server.kill().unwrap();
            thread::sleep(Duration::from_millis(300));
            server.restart().unwrap();
            for (store, (session, task)) in [&one, &two].into_iter().zip(sessions.iter().zip(tasks)) {
                let lane = crate::hands::lane_of(task.task.execution);
                assert_eq!(insist(store, 0, &Command::Beat(*session)), Done::Nothing);
                assert!(matches!(insist(store, lane, &step(task, round)), Done::Recorded(_)));
            }
            let eye = Hand::at(&database.url());
            until("both are present again", || eye.ask(PRESENT) == "2");
        }
        // As long as it takes to count a session as gone, and longer.
        thread::sleep(Duration::from_millis(2_500));
        is_over.store(true, Ordering::Relaxed);
        looks.into_iter().for_each(|looks| assert!(joined(looks) > 20));
    });
    // Notifications arrive again.
    while told.recv_timeout(Duration::from_millis(300)).is_ok() {}
    let id = crate::hands::execution_in(0);
    assert!(matches!(insist(&one, 0, &start_one(id)), Done::Started { .. }));
    told.recv_timeout(crate::hands::PATIENCE).unwrap();
    for (store, task) in [&one, &two].into_iter().zip(tasks) {
        assert!(tell(store, task, complete).is_ok());
    }
}

#[test]
fn a_process_that_ends_while_the_server_is_down_is_seen_when_it_is_back() {
    let server = Server::start().unwrap();
    let database = server.database().unwrap();
    let (stays, goes) = (open(&database.url()), open(&database.url()));
    let (_mine, session) = (worker(&stays), worker(&goes));
    running(&goes, session, 0);
    assert_eq!(block(stays.gone_sessions(LONG)).unwrap(), []);
    server.kill().unwrap();
    drop(goes);
    server.restart().unwrap();
    until("it is seen", || {
        thread::sleep(Duration::from_millis(50));
        block(stays.gone_sessions(LONG)).is_ok_and(|gone| gone == [session])
    });
    assert_eq!(insist(&stays, 0, &take_over(session)), Done::Swept { count: 1, more: false });
}

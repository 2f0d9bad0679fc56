//! A storm: processes run tasks while others cancel them and steal them from the living. Whatever was answered is so
//! afterwards, exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use stent_core::command::Append;
use stent_core::{
    ClaimedTask, Command, Done, ExecutionId, ExecutionState, Lease, Payload, Refusal, SessionId, Store, TaskRef,
};
use stent_postgres::PostgresStore;
use stent_servers::Server;

use crate::hands::{ask, execution_in, joined, lane_of, send, take_over};
use crate::stores::{block, complete, open, serve, start_one, step, worker};

/// How long it blows at least, and at most: a slow machine takes its time until there was anything worth the name.
const LASTS: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(40));

/// What all have in sight.
#[derive(Default, Debug)]
struct Sea {
    is_over: AtomicBool,
    fresh: AtomicU64,
    executions: Mutex<Vec<ExecutionId>>,
    sessions: Mutex<Vec<SessionId>>,
    completed: AtomicUsize,
    cancelled: AtomicUsize,
    refused: AtomicUsize,
    stolen: AtomicUsize,
}

/// What one was answered.
#[derive(Default)]
struct Log {
    steps: BTreeSet<(TaskRef, u64)>,
    completed: Vec<ExecutionId>,
    cancelled: Vec<ExecutionId>,
}

impl Sea {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// A calm sea proves nothing.
    fn is_stormy(&self) -> bool {
        let more_than = |most, counts: [&AtomicUsize; 2]| counts.iter().all(|seen| seen.load(Ordering::Relaxed) > most);
        more_than(10, [&self.completed, &self.cancelled]) && more_than(5, [&self.refused, &self.stolen])
    }

    /// A number that nobody has had, and no better chance than that.
    fn number(&self) -> u64 {
        self.fresh.fetch_add(1, Ordering::Relaxed)
    }

    fn join(&self, store: &PostgresStore) -> SessionId {
        let session = worker(store);
        self.sessions.lock().unwrap().push(session);
        session
    }
}

/// A step whose payload is nobody else's.
fn marked(lease: Lease, seq: u32, mark: u64) -> Command {
    let Command::Append(mut append) = step(lease, seq) else { panic!() };
    append.record.payload = Payload::json(&mark).unwrap();
    Command::Append(Box::new(Append { effect: None, ..*append }))
}

/// Claims and works: three steps of each task, then its end.
fn work(sea: &Sea, store: &PostgresStore) -> Log {
    let (mut log, mut session) = (Log::default(), sea.join(store));
    while !sea.is_over() {
        let claim = stent_core::command::Claim { session, serve: serve(&["f"]), max: 6 };
        let tasks = match send(store, 0, vec![Command::Claim(claim)]).remove(0) {
            Ok(Done::Claimed { tasks, .. }) => tasks,
            Err(Refusal::SessionGone) => {
                session = sea.join(store);
                continue;
            }
            other => panic!("{other:?}"),
        };
        for lane in [0, 1] {
            let mine = |task: &&ClaimedTask| lane_of(task.lease.task.execution) == lane;
            let leases: Vec<Lease> = tasks.iter().filter(mine).map(|task| task.lease).collect();
            let begun: Vec<u32> = leases.iter().map(|lease| next_place(store, lease.task)).collect();
            for round in 0..3 {
                let marks: Vec<u64> = leases.iter().map(|_| sea.number()).collect();
                let steps = leases.iter().zip(&begun).zip(&marks).map(|((l, at), mark)| marked(*l, at + round, *mark));
                // Some alone, some together.
                let outcomes = match round {
                    0 => send(store, lane, steps.collect()),
                    _ => steps.flat_map(|step| send(store, lane, vec![step])).collect(),
                };
                for ((lease, mark), outcome) in leases.iter().zip(marks).zip(outcomes) {
                    match outcome {
                        Ok(Done::Recorded(_)) => {
                            log.steps.insert((lease.task, mark));
                        }
                        Err(Refusal::LeaseLost | Refusal::Terminal(_)) => {
                            sea.refused.fetch_add(1, Ordering::Relaxed);
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
            for lease in leases {
                match ask(store, lease.task.execution, complete(lease)) {
                    Ok(_) => {
                        sea.completed.fetch_add(1, Ordering::Relaxed);
                        log.completed.push(lease.task.execution);
                    }
                    Err(Refusal::LeaseLost | Refusal::Terminal(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    log
}

fn next_place(store: &PostgresStore, task: TaskRef) -> u32 {
    crate::hands::places(store, task).last().map_or(1, |last| last + 1)
}

/// Starts, cancels and steals.
fn blow(sea: &Sea, store: &PostgresStore) -> Log {
    let mut log = Log::default();
    while !sea.is_over() {
        for lane in [0, 1] {
            let ids: Vec<_> = (0..4).map(|_| execution_in(lane)).collect();
            assert!(send(store, lane, ids.iter().map(|id| start_one(*id)).collect()).iter().all(Result::is_ok));
            sea.executions.lock().unwrap().extend(ids);
        }
        for back in [1, 5, 9] {
            let chosen = sea.executions.lock().unwrap().iter().rev().nth(back).copied();
            let Some(chosen) = chosen else { continue };
            match ask(store, chosen, Command::Cancel(TaskRef::root(chosen))) {
                Ok(_) => {
                    sea.cancelled.fetch_add(1, Ordering::Relaxed);
                    log.cancelled.push(chosen);
                }
                Err(Refusal::Terminal(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        if sea.number().is_multiple_of(4) {
            let victim = sea.sessions.lock().unwrap().last().copied();
            let Some(victim) = victim else { continue };
            match send(store, 0, vec![take_over(victim)]).remove(0) {
                Ok(Done::Swept { count, .. }) => {
                    sea.stolen.fetch_add(count as usize, Ordering::Relaxed);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    log
}

#[test]
fn in_a_storm_of_cancels_and_steals_whatever_was_answered_is_so_afterwards() {
    let database = Server::shared().database().unwrap();
    let stores: Vec<_> = (0..3).map(|_| open(&format!("{}?max_size=3", database.url()))).collect();
    let sea = Sea::default();
    let logs: Vec<Log> = thread::scope(|scope| {
        let (sea, all) = (&sea, stores.iter());
        let ships: Vec<_> = all
            .flat_map(|store| [scope.spawn(move || work(sea, store)), scope.spawn(move || blow(sea, store))])
            .collect();
        let (since, (least, most)) = (Instant::now(), LASTS);
        while since.elapsed() < least || (since.elapsed() < most && !sea.is_stormy()) {
            thread::sleep(Duration::from_millis(20));
        }
        sea.is_over.store(true, Ordering::Relaxed);
        ships.into_iter().map(joined).collect()
    });
    let mut found: BTreeMap<ExecutionId, ExecutionState> = BTreeMap::new();
    let (mut there, store) = (BTreeSet::new(), &stores[0]);
    for id in sea.executions.lock().unwrap().iter() {
        found.insert(*id, block(store.execution(*id)).unwrap().unwrap().state);
        for record in block(store.history(TaskRef::root(*id), 0)).unwrap().records {
            there.insert((TaskRef::root(*id), record.payload.read::<u64>().unwrap()));
        }
    }
    let steps: BTreeSet<_> = logs.iter().flat_map(|log| log.steps.iter().copied()).collect();
    assert_eq!(there, steps, "what was acknowledged is there, and nothing else");
    let ends = logs.iter().flat_map(|log| log.completed.iter().map(|id| (*id, ExecutionState::Completed)));
    let ends = ends.chain(logs.iter().flat_map(|log| log.cancelled.iter().map(|id| (*id, ExecutionState::Cancelled))));
    for (id, state) in ends {
        assert_eq!(found[&id], state, "{id}");
    }
    let counts = |of: fn(&Log) -> usize| logs.iter().map(of).sum::<usize>();
    let ends = counts(|log| log.completed.len()) + counts(|log| log.cancelled.len());
    assert_eq!(found.values().filter(|state| state.is_terminal()).count(), ends, "each has one end");
    let late = "SELECT count(*) FROM records a JOIN records b USING (execution_id, task_id) \
                WHERE a.seq < b.seq AND a.epoch > b.epoch";
    assert_eq!(database.psql(late).unwrap(), "0", "nobody writes behind who came later");
    assert!(sea.is_stormy(), "{sea:?}");
}

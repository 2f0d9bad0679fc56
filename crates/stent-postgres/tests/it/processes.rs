//! Real processes on one database: killed, frozen, many at once. A test starts this very program again with orders in
//! its environment.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stent_core::{Done, ExecutionId, ExecutionState, Refusal, SessionId, Store};
use stent_servers::Server;

use crate::hands::{
    World, ask, claim, execution_in, lane_of, lock_execution, places, send, signal, take_over, tell, watch,
};
use crate::stores::{block, complete, open, start_one, step, worker};

const LONG: Duration = Duration::from_secs(3_600);

/// A child that carries out its order and talks about it.
pub(crate) struct Subject {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Subject {
    pub(crate) fn start(order: &str, url: &str) -> Self {
        let mut child = Program::new(std::env::current_exe().unwrap());
        child.args(["--exact", "processes::a_child_process_carries_out_its_orders", "--nocapture"]);
        child.env("STENT_IT_ORDER", order).env("STENT_IT_URL", url).stdout(Stdio::piped()).stdin(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// Waits until the child says a line with this word, and gives the rest of it.
    pub(crate) fn hear(&mut self, word: &str) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, rest)) = line.split_once(word) {
                return rest.trim().to_owned();
            }
            line.clear();
        }
        panic!("the child ended without saying {word}");
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

fn told() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim().to_owned()
}

#[test]
fn a_child_process_carries_out_its_orders() {
    let (Ok(order), Ok(url)) = (std::env::var("STENT_IT_ORDER"), std::env::var("STENT_IT_URL")) else { return };
    match order.as_str() {
        "be present" => {
            let store = open(&url);
            let session = worker(&store);
            let tasks = claim(&store, session, 10);
            say(&format!("present {session} {}", tasks.len()));
            told();
        }
        "step and signal" => {
            let store = open(&url);
            let session = worker(&store);
            let task = claim(&store, session, 1)[0].lease;
            say(&format!("present {session}"));
            let aside: ExecutionId = told().parse().unwrap();
            let outcomes = send(&store, lane_of(task.task.execution), vec![step(task, 1), signal(aside)]);
            say(&format!("answered {outcomes:?}"));
        }
        "work" => {
            let store = open(&url);
            let session = worker(&store);
            let mut done = 0;
            loop {
                let tasks = claim(&store, session, 5);
                if tasks.is_empty() {
                    break;
                }
                for task in tasks {
                    assert!(tell(&store, task.lease, |lease| step(lease, 1)).is_ok());
                    assert!(tell(&store, task.lease, complete).is_ok());
                    done += 1;
                }
            }
            say(&format!("done {done}"));
        }
        "watch" => {
            tracing::subscriber::set_global_default(Warnings::default()).unwrap();
            let store = open(&url);
            let (_watcher, changed) = watch(&store);
            say("watching");
            while told() == "next" {
                // What was told before is not what is asked for.
                while changed.try_recv().is_ok() {}
                say("ready");
                changed.recv_timeout(crate::hands::PATIENCE).unwrap();
                say("changed");
            }
            say("over");
        }
        other => panic!("no such order: {other}"),
    }
}

/// Says every warning aloud.
#[derive(Default)]
struct Warnings(Mutex<()>);

struct Words(String);

impl tracing::field::Visit for Words {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            write!(self.0, "{value:?}").unwrap();
        }
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _span: &tracing::span::Id, _values: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut words = Words(String::new());
        event.record(&mut words);
        let _one_at_a_time = self.0.lock();
        say(&format!("warned {}", words.0));
    }

    fn enter(&self, _span: &tracing::span::Id) {}

    fn exit(&self, _span: &tracing::span::Id) {}
}

/// How long it takes until a killed process is seen; its tasks go on elsewhere then.
fn seen_after_its_kill() -> Duration {
    let world = World::new();
    let me = worker(&world.a);
    for _ in 0..2 {
        let id = execution_in(0);
        assert!(ask(&world.a, id, start_one(id)).is_ok());
    }
    let mut child = Subject::start("be present", &world.database.url());
    let said = child.hear("present ");
    let (session, tasks) = said.split_once(' ').unwrap();
    let session: SessionId = session.parse().unwrap();
    assert_eq!(tasks, "2");
    let gone = || block(world.a.gone_sessions(LONG)).unwrap();
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(1_800) {
        assert_eq!(gone(), [], "it lives");
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill();
    let since = Instant::now();
    crate::hands::until("it is seen", || {
        std::thread::sleep(Duration::from_millis(50));
        gone() == [session]
    });
    let took = since.elapsed();
    assert_eq!(send(&world.a, 0, vec![take_over(session)]), [Ok(Done::Swept { count: 2, more: false })]);
    let tasks = claim(&world.a, me, 10);
    assert_eq!(tasks.iter().map(|task| (task.lease.epoch, task.losses)).collect::<Vec<_>>(), [(2, 1), (2, 1)]);
    assert_eq!(gone(), []);
    took
}

#[test]
fn a_killed_process_is_seen_within_seconds_and_its_tasks_go_on_elsewhere() {
    let mut rounds = Vec::new();
    // Two seconds are the promise, and a little more on a busy machine: what is late by itself is so in each round.
    while rounds.len() < 3 && rounds.iter().all(|took| *took >= Duration::from_secs(4)) {
        rounds.push(seen_after_its_kill());
    }
    assert!(rounds.last() < Some(&Duration::from_secs(4)), "it was seen only after {rounds:?}");
}

#[test]
fn looks_at_the_same_time_do_not_hide_the_dead_from_each_other() {
    let world = World::new();
    let mut child = Subject::start("be present", &world.database.url());
    let session: SessionId = child.hear("present ").split(' ').next().unwrap().parse().unwrap();
    child.kill();
    let since = Instant::now();
    std::thread::scope(|scope| {
        for store in [&world.a, &world.b] {
            scope.spawn(move || {
                while block(store.gone_sessions(LONG)).unwrap() != [session] {
                    assert!(since.elapsed() < crate::hands::PATIENCE, "one hides it from the other");
                }
            });
        }
    });
}

#[test]
fn a_process_that_is_frozen_within_a_transaction_holds_nobody_for_long_and_is_refused_when_it_thaws() {
    let world = World::new();
    let me = worker(&world.a);
    let (id, aside) = (execution_in(0), execution_in(0));
    assert!(ask(&world.a, id, start_one(id)).is_ok());
    let mut child = Subject::start("step and signal", &world.database.url());
    let session: SessionId = child.hear("present ").parse().unwrap();
    assert!(ask(&world.a, aside, start_one(aside)).is_ok());
    world.hand.say("BEGIN");
    world.hand.say(&lock_execution(aside));
    child.say(&aside.to_string());
    world.await_waiting(1);
    child.send(Signal::STOP);
    world.hand.say("ROLLBACK");
    // The server has done what it was asked so far, and nobody asks on: the row of its committer is held.
    let idle = "SELECT count(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND state = 'idle in transaction'";
    crate::hands::until("it stands within its transaction", || world.eye.ask(idle) == "1");
    let since = Instant::now();
    assert_eq!(send(&world.a, 0, vec![take_over(session)]), [Ok(Done::Swept { count: 1, more: false })]);
    // Five seconds are the limit of a transaction that stands still. It is frozen yet: without it this would not end.
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    let claimed = claim(&world.a, me, 10);
    let again = claimed.iter().find(|task| task.lease.task.execution == id).unwrap();
    assert_eq!((again.lease.epoch, again.losses), (2, 1));
    child.send(Signal::CONT);
    let answered = child.hear("answered ");
    assert_eq!(answered, format!("{:?}", [Err::<Done, _>(Refusal::LeaseLost), Ok(Done::Nothing)]));
    assert_eq!(places(&world.a, again.lease.task), [0; 0]);
    assert_eq!(world.count("signals"), 1, "what was not the task's came through, once");
}

#[test]
fn four_processes_do_all_that_there_is_and_each_task_once() {
    let database = Server::shared().database().unwrap();
    let store = open(&database.url());
    for lane in [0, 1] {
        send(&store, lane, (0..100).map(|_| start_one(execution_in(lane))).collect());
    }
    let mut children: Vec<_> = (0..4).map(|_| Subject::start("work", &database.url())).collect();
    let done: usize = children.iter_mut().map(|child| child.hear("done ").parse::<usize>().unwrap()).sum();
    assert_eq!(done, 200);
    assert_eq!(block(store.count_executions(Some(ExecutionState::Completed))).unwrap(), 200);
    assert_eq!(database.psql("SELECT count(*), max(epoch) FROM records").unwrap(), "200|1");
}

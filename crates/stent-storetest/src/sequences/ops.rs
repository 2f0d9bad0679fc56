//! Commands out of chance: each is made of a few random numbers and of what the model knows at that moment, so that
//! most leases stand and most keys are fresh, and some are stale, unknown or taken.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stent_core::command::{
    Append, Await, BaggageChange, Claim, CleanExecutions, Command, Deadline, Deliver, Effect, Emit, Ending, Finish,
    KeepResult, Number, OpenSession, Operation, PutAway, Release, ReplayLetter, Reserve, Signal, Start, StartChild,
    Suspend, TakeOver, Wait,
};
use stent_core::history::{Due, NewRecord};
use stent_core::view::FunctionView;
use stent_core::{
    CallKey, EventId, ExecutionId, Failure, FailureKind, Lease, MaxConcurrent, Memo, MemoKey, Name, Payload,
    RecordKind, RetryPolicy, Serve, SessionId, SignalId, TaskId, TaskOptions, TaskRef, TaskSpec, TaskState, Timestamp,
    Verdict,
};

pub(super) use super::schedules::schedule_name;
use crate::model::Model;
use crate::model::inspect::Seen;

/// The random numbers a command is made of: the sort of command, then three choices.
pub(super) type Op = (u16, u8, u8, u8);

/// How often each sort of command comes, of their sum.
const WEIGHTS: [u16; 36] = [
    6, 2, 4, 1, 4, 3, // sessions
    14, 26, 26, // start, claim, child
    16, 20, // append, effect
    44, 6, 10, 22, 6, // await, abandon, heed, suspend, release
    30, 8, // finish, finish with its start
    18, 10, // signal, emit
    4, 8, 1, // cancel, replay, discard
    5, 1, // queues
    5, 2, 1, // expire, prune, nonsense
    30, 2, // reserve, the cache
    2, 2, 1, 4, 5,  // clean executions, clean letters, forget processes, put away, change baggage
    12, // schedules
];

/// How many executions and sessions there can be.
pub(super) const EXECUTIONS: u8 = 8;
pub(super) const SESSIONS: u8 = 8;

/// What tasks run; nothing ever runs the last.
pub(super) const FUNCTIONS: [&str; 3] = ["f", "g'\"", "h"];

/// Makes commands and numbers what must be fresh.
#[derive(Default)]
pub(super) struct Maker {
    fresh: u64,
}

fn name(text: &str) -> Name {
    Name::stored(text)
}

pub(super) fn session(number: u8) -> SessionId {
    SessionId::v7(1_000, [number; 10])
}

/// Two of them share their millisecond.
pub(super) fn execution(number: u8) -> ExecutionId {
    ExecutionId::v7(2_000 + u64::from(number / 2), [number + 1; 10])
}

/// The keys that sequences know.
pub(super) fn memo_key(number: u8) -> MemoKey {
    MemoKey::stored(["f|None|[]", "f|v'2|\n{\"ü\":1}"][usize::from(number % 2)])
}

/// A third of all tasks has one: of either sort, and of both.
fn memo(number: u8) -> Option<Memo> {
    let key = memo_key(number / 9);
    let ttl = [None, Some(Duration::from_millis(6))][usize::from(number / 18 % 2)];
    match number % 9 {
        1 | 3 => Some(Memo::idempotent(key)),
        5 => Some(Memo::cached(key, ttl)),
        7 => Some(Memo::idempotent(key).and_cached(ttl)),
        _ => None,
    }
}

fn pick<T: Copy>(all: &[T], number: u8) -> Option<T> {
    if all.is_empty() { None } else { all.get(usize::from(number) % all.len()).copied() }
}

fn due(number: u8, now: Timestamp) -> Option<Due> {
    match number % 8 {
        0..4 => None,
        4 => Some(Due::In(Duration::ZERO)),
        5 => Some(Due::In(Duration::from_millis(4))),
        6 => Some(Due::At(now + Duration::from_micros(10_500))),
        _ => Some(Due::At(now - Duration::from_millis(2))),
    }
}

/// What a key asks for: always the same.
fn wait_of(task: TaskRef, key: u8) -> (CallKey, Wait) {
    let event = |queue, event| Wait::Event(name(queue), name(event));
    match key % 12 {
        0 => (CallKey::new("", "t", 1), Wait::Timer),
        1 => (CallKey::new("", "s", 1), Wait::Signal(name("go"))),
        2 => (CallKey::new("", "s", 2), Wait::Signal(name("go"))),
        3 => (CallKey::new("b", "s", 1), Wait::Signal(name("名前"))),
        4 => (CallKey::new("", "e", 1), event("default", "news")),
        5 => (CallKey::new("", "e", 2), event("default", "news")),
        6 => (CallKey::new("", "e", 3), event("slow", "news")),
        7 => (CallKey::new("", "s", 3), Wait::Signal(name("go"))),
        8 => (CallKey::new("", "s", 4), Wait::Signal(name("go"))),
        other => {
            let (key, child) = child_of(task, other);
            (key, Wait::Child(child))
        }
    }
}

fn child_of(task: TaskRef, number: u8) -> (CallKey, TaskId) {
    let key = CallKey::new("", "child", u32::from(number % 2) + 1);
    let child = TaskId::derive(task.task, &key, u32::from(number / 2 % 2));
    (key, child)
}

impl Maker {
    fn next(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }

    fn payload(&mut self, number: u8) -> Payload {
        match number % 16 {
            0 => Payload::from_stored(Vec::new()),
            1 => Payload::from_stored(vec![0, 255, 0, 0xc3, 0x28]),
            2 => Payload::json("a\0b\u{202e}\u{d7ff}'; DROP TABLE tasks; --").unwrap_or_else(|_| Payload::null()),
            _ => Payload::json(&self.next()).unwrap_or_else(|_| Payload::null()),
        }
    }

    fn failure(&mut self, number: u8) -> Failure {
        let mut failure = Failure::new(FailureKind::Error, format!("failure {} \0 \"'", self.next()));
        if number.is_multiple_of(4) {
            failure.details = serde_json::json!({ "code": number, "why": ["a", null] });
            failure.permanent = true;
        }
        failure
    }

    pub(super) fn spec(&mut self, number: u8) -> TaskSpec {
        let mut options = match number % 5 {
            0 => TaskOptions { retry: RetryPolicy::none(), timeout_ms: Some(7), memo: None },
            _ => TaskOptions::default(),
        };
        options.memo = memo(number).map(Box::new);
        TaskSpec {
            function: name(if number.is_multiple_of(4) { "g'\"" } else { "f" }),
            args: self.payload(number),
            queue: name(if number.is_multiple_of(7) { "slow" } else { "default" }),
            priority: [0, 0, 0, 7, -7, i32::MAX][usize::from(number % 6)],
            tags: if number.is_multiple_of(11) { vec![name("gpu"), name("ü")] } else { Vec::new() },
            headers: (number.is_multiple_of(3)).then(|| Bytes::from_static(b"{\"trace\":\"1\"}")),
            options,
        }
    }

    /// A lease of a task: usually one that stands.
    fn lease(tasks: &[Seen], a: u8, b: u8) -> (Lease, Option<Seen>) {
        let running: Vec<_> = tasks.iter().copied().filter(|task| task.state == TaskState::Running).collect();
        let unknown = TaskRef { execution: execution(0), task: TaskId::v7(9, [9; 10]) };
        let nobody = || Lease { task: unknown, session: session(0), epoch: 1 };
        match b {
            // Some other task, ended or waiting, under its last epoch.
            0..12 => pick(tasks, a).map_or_else(|| (nobody(), None), |task| (task.lease(session(b)), Some(task))),
            12..18 => (nobody(), None),
            _ => match pick(&running, a) {
                Some(task) => {
                    let mut lease = task.lease(session(0));
                    match b {
                        18..23 => lease.epoch = lease.epoch.saturating_sub(1),
                        23..26 => lease.session = session(b % 4),
                        _ => {}
                    }
                    (lease, Some(task))
                }
                None => (nobody(), None),
            },
        }
    }

    /// A lease of a task that has something to reserve, where there is one.
    fn keen_lease(tasks: &[Seen], a: u8, b: u8) -> Lease {
        let keen = tasks.iter().copied().filter(|task| task.is_idempotent && task.state == TaskState::Running);
        let keen: Vec<_> = keen.collect();
        Self::lease(if keen.is_empty() { tasks } else { &keen }, a, b).0
    }

    /// Makes the command that these numbers stand for now.
    pub(super) fn make(&mut self, model: &Model, now: Timestamp, op: Op) -> Command {
        let (sort, a, b, c) = op;
        let mut at = sort % WEIGHTS.iter().sum::<u16>();
        let mut kind = 0;
        for weight in WEIGHTS {
            if at < weight {
                break;
            }
            at -= weight;
            kind += 1;
        }
        let tasks = model.seen();
        // Without a running task most commands could only be refused.
        let idle = !tasks.iter().any(|task| task.state == TaskState::Running);
        if idle && b >= 40 && matches!(kind, 8..=17 | 28) {
            kind = if tasks.iter().any(|task| task.state == TaskState::Pending) { 7 } else { 6 };
        }
        match kind {
            0..=5 => self.of_session(kind, model, &tasks, a, b, c),
            6 => Command::Start(Box::new(self.start(now, a, b, c))),
            7 => Command::Claim(claim(model, a, b, c)),
            8 => Command::StartChild(Box::new(self.start_child(&tasks, now, a, b, c))),
            9 | 10 => Command::Append(Box::new(self.append(&tasks, now, kind == 10, (a, b, c)))),
            11 => Command::Await(Box::new(Self::await_of(&tasks, now, a, b, c))),
            12 => {
                let (lease, _) = Self::lease(&tasks, a, b);
                let registered = model.keys_of(lease.task);
                let key = registered.get(usize::from(c) % registered.len().max(1)).cloned();
                Command::Abandon(lease, key.unwrap_or_else(|| wait_of(lease.task, c).0))
            }
            // Often of a task that others have ended.
            13 => Command::Heed(Self::lease(&tasks, a, if c < 100 { c % 12 } else { b }).0),
            14 => Command::Suspend(Suspend { lease: Self::lease(&tasks, a, b).0 }),
            15 => {
                let delay = Duration::from_millis(u64::from(c % 3) * 3);
                let reason = (c.is_multiple_of(2)).then(|| self.failure(c));
                Command::Release(Box::new(Release { lease: Self::lease(&tasks, a, b).0, delay, reason }))
            }
            16 => Command::Finish(Box::new(self.finish(model, &tasks, a, b, c))),
            17 => Command::Finish(Box::new(self.finish_in_place(&tasks, now, a, b, c))),
            18 => Command::Signal(self.signal(&tasks, a, b, c)),
            19 => Command::Emit(self.emit(a, b)),
            20 => Command::Cancel(Self::any_task(&tasks, a, b)),
            21 => {
                let task = pick(&model.lettered(), a).unwrap_or_else(|| Self::any_task(&tasks, a, b));
                let queue = (c.is_multiple_of(4)).then(|| name("slow"));
                Command::ReplayLetter(ReplayLetter { task, reset_attempts: b.is_multiple_of(2), queue })
            }
            22 => Command::DiscardLetter(pick(&model.lettered(), a).unwrap_or_else(|| Self::any_task(&tasks, a, b))),
            23 => Command::SetQueue(queue_of(a), [None, Some(true), Some(false), Some(false)][usize::from(b % 4)]),
            24 => Command::DropQueue(queue_of(a)),
            25 => Command::Expire,
            26 => Command::PruneEvents(now - Duration::from_millis(u64::from(a % 20))),
            27 => Command::Cancel(TaskRef::root(ExecutionId::v7(5, [a; 10]))),
            28 => Command::Reserve(Reserve { lease: Self::keen_lease(&tasks, a, b) }),
            29 => match c % 8 {
                0 => Command::ClearCache(None),
                1 => Command::ClearCache(Some(memo_key(a))),
                _ => Command::PruneCache,
            },
            35 => Command::Schedule(self.schedule(model, now, (a, b, c))),
            _ => Command::Operate(self.operation(kind - 2, &tasks, now, (a, b, c))),
        }
    }

    fn operation(&mut self, kind: usize, tasks: &[Seen], now: Timestamp, (a, b, c): (u8, u8, u8)) -> Operation {
        let before = now - Duration::from_millis(u64::from(a % 8));
        match kind {
            28 => {
                let from = (b < 64).then(|| execution(b % EXECUTIONS));
                Operation::CleanExecutions(CleanExecutions { before, from })
            }
            29 => Operation::CleanLetters(before),
            30 if a.is_multiple_of(2) => {
                let memo = Memo { idempotent: b < 128, cached: c < 128, ttl_ms: None, key: memo_key(a / 2) };
                let (holder, result) = (Self::any_task(tasks, b, c), self.payload(b));
                Operation::KeepResult(Box::new(KeepResult { memo, holder, result }))
            }
            30 if a % 4 == 1 => Operation::Promote(now + Duration::from_millis(u64::from(b % 16))),
            30 => Operation::ForgetProcesses,
            31 => {
                let (task, failure) = (Self::any_task(tasks, a, b), self.failure(c));
                Operation::PutAway(Box::new(PutAway { task, failure }))
            }
            _ => {
                let number = [Number::Whole(1), Number::Real(0.5), Number::Whole(-3)][usize::from(b % 3)];
                let counter = name(if c.is_multiple_of(2) { "n" } else { "m" });
                let change = match c / 2 % 4 {
                    0 => BaggageChange::EnsureCounters(vec![(counter, number), (name("k"), Number::Whole(2))]),
                    1 => BaggageChange::AddCounter(counter, number),
                    2 => BaggageChange::EnsureState(vec![(counter, self.payload(b))]),
                    _ => BaggageChange::SetState(counter, self.payload(b)),
                };
                Operation::ChangeBaggage(execution(a % EXECUTIONS), change)
            }
        }
    }

    fn any_task(tasks: &[Seen], a: u8, b: u8) -> TaskRef {
        let unknown = TaskRef::root(ExecutionId::v7(5, [5; 10]));
        if b < 12 { unknown } else { pick(tasks, a).map_or(unknown, |task| task.task) }
    }

    fn of_session(&mut self, kind: usize, model: &Model, tasks: &[Seen], a: u8, b: u8, c: u8) -> Command {
        let open = model.open_sessions();
        // With one worker left another one comes.
        let (kind, any) = if open.len() < 2 { (0, session(a % SESSIONS)) } else { (kind, session(a % SESSIONS)) };
        let session = if kind == 0 || a < 40 { any } else { pick(&open, a).unwrap_or(any) };
        match kind {
            0 => {
                let worker_id = format!("worker {b} 'ü");
                Command::OpenSession(OpenSession { session, worker_id, host: "here".into(), pid: u32::from(c) })
            }
            1 => Command::Beat(session),
            2 => Command::NameSuspect(session, (!b.is_multiple_of(3)).then(|| Self::any_task(tasks, c, b))),
            3 => Command::CloseSession(session),
            4 => Command::TakeOver(TakeOver { session }),
            _ => {
                let limit = MaxConcurrent::new(u32::from(b / 4 % 4)).ok();
                let all = FUNCTIONS.map(|f| FunctionView {
                    name: name(f),
                    options: serde_json::json!({ "version": b % 4, "queue": "ü" }),
                    max_concurrent: limit.filter(|_| f != "h"),
                });
                Command::Publish(session, all.into_iter().take(usize::from(c % 4)).collect())
            }
        }
    }

    pub(super) fn start(&mut self, now: Timestamp, a: u8, b: u8, c: u8) -> Start {
        let limit = |bit: u8, ms: u64| (b & bit == bit).then(|| Duration::from_millis(ms));
        Start {
            id: execution(a % EXECUTIONS),
            spec: self.spec(c),
            key: (b.is_multiple_of(5)).then(|| name(if c.is_multiple_of(2) { "order 1" } else { "order 2" })),
            due: due(a / 5 % 16 / 2, now).filter(|_| c.is_multiple_of(2)),
            deadline: Deadline { expire_after: limit(3, 12), start_within: limit(12, 6), run_within: limit(48, 9) },
            claim_for: (a > 100).then(|| session(c % 4)),
        }
    }

    fn start_child(&mut self, tasks: &[Seen], now: Timestamp, a: u8, b: u8, c: u8) -> StartChild {
        let parent = Self::lease(tasks, a, b).0;
        let (key, child) = child_of(parent.task, c / 2);
        StartChild {
            parent,
            child,
            key,
            seen: u32::from(c % 3),
            digest: [c % 4; 16],
            spec: self.spec(c),
            due: due(b, now).filter(|_| c.is_multiple_of(4)),
            in_place: c.is_multiple_of(2),
        }
    }

    fn append(&mut self, tasks: &[Seen], now: Timestamp, with_effect: bool, (a, b, c): (u8, u8, u8)) -> Append {
        let (lease, task) = Self::lease(tasks, a, b);
        let kinds = [RecordKind::Step, RecordKind::Value, RecordKind::Step, RecordKind::Effect];
        let record = NewRecord {
            seq: seq(task, c),
            key: CallKey::new("", "step", u32::from(c % 4)),
            kind: kinds[usize::from(c % 4)],
            run: task.map_or(1, |task| task.run),
            seen: u32::from(c % 5),
            digest: (c.is_multiple_of(3)).then_some([c; 16]),
            verdict: if c.is_multiple_of(7) { Verdict::Failed } else { Verdict::Ok },
            payload: if c.is_multiple_of(7) { self.failure(c).to_payload() } else { self.payload(c) },
            source: None,
        };
        let effect = with_effect.then(|| self.effect(tasks, now, b, c));
        Append { lease, record, effect }
    }

    fn effect(&mut self, tasks: &[Seen], now: Timestamp, b: u8, c: u8) -> Effect {
        let numbers = [Number::Whole(1), Number::Whole(i64::MAX), Number::Real(0.5), Number::Whole(-3)];
        let number = numbers[usize::from(b % 4)];
        let counter = name(if c.is_multiple_of(2) { "n" } else { "m" });
        match c / 2 % 7 {
            0 => Effect::Start(Box::new(self.start(now, c, b, c))),
            1 => Effect::Signal(self.signal(tasks, b, c, 0)),
            2 => Effect::Emit(self.emit(b, c)),
            3 => Effect::EnsureCounters(vec![(counter, number), (name("k"), Number::Whole(2))]),
            4 => Effect::AddCounter(counter, number),
            5 => Effect::EnsureState(vec![(counter, self.payload(b))]),
            _ => Effect::SetState(counter, self.payload(b)),
        }
    }

    fn await_of(tasks: &[Seen], now: Timestamp, a: u8, b: u8, c: u8) -> Await {
        let (lease, task) = Self::lease(tasks, a, b);
        let (mut key, mut wait) = wait_of(lease.task, c);
        // A child that is there, where there is one.
        let children: Vec<_> =
            tasks.iter().filter(|t| t.parent == Some(lease.task.task)).map(|t| t.task.task).collect();
        if let (Wait::Child(_), Some(child)) = (&wait, pick(&children, c / 12)) {
            let one = (0..4).map(|number| child_of(lease.task, number)).find(|(_, id)| *id == child);
            key = one.map_or(key, |(key, _)| key);
            wait = Wait::Child(child);
        }
        let due = match wait {
            Wait::Timer => due(b % 4 + 4, now),
            // One key always asks for the same child, which two children of one key would not.
            Wait::Child(_) => None,
            _ => due(b, now),
        };
        Await { lease, seq: seq(task, b), run: task.map_or(1, |task| task.run), key, seen: u32::from(c % 3), wait, due }
    }

    fn finish(&mut self, model: &Model, tasks: &[Seen], a: u8, b: u8, c: u8) -> Finish {
        let (lease, task) = Self::lease(tasks, a, b);
        let parent = task.and_then(|task| tasks.iter().find(|parent| Some(parent.task.task) == task.parent));
        let deliver = parent.filter(|_| !c.is_multiple_of(4)).map(|parent| Deliver {
            parent: parent.lease(session(0)),
            run: parent.run,
            seq: seq(Some(*parent), c),
        });
        let returned = if c.is_multiple_of(2) { model.signals_of(lease.task) } else { vec![SignalId::v7(1, [1; 10])] };
        Finish { lease, ending: self.ending(c), deliver, start: None, returned }
    }

    fn ending(&mut self, c: u8) -> Ending {
        match c % 8 {
            0..4 => Ending::Completed(self.payload(c)),
            4 | 5 => Ending::Failed(self.failure(c)),
            6 => Ending::Retry(self.failure(c), Duration::ZERO),
            _ => Ending::Retry(self.failure(c), Duration::from_millis(4)),
        }
    }

    fn finish_in_place(&mut self, tasks: &[Seen], now: Timestamp, a: u8, b: u8, c: u8) -> Finish {
        let mut start = self.start_child(tasks, now, a, b, c);
        start.in_place = c % 16 != 1;
        let task = TaskRef { execution: start.parent.task.execution, task: start.child };
        let lease = Lease { task, session: start.parent.session, epoch: 1 };
        let parent = tasks.iter().find(|parent| parent.task == start.parent.task).copied();
        let deliver = (!c.is_multiple_of(3)).then(|| Deliver {
            parent: start.parent,
            run: parent.map_or(1, |parent| parent.run),
            seq: seq(parent, c),
        });
        Finish { lease, ending: self.ending(b), deliver, start: Some(Box::new(start)), returned: Vec::new() }
    }

    fn signal(&mut self, tasks: &[Seen], a: u8, b: u8, c: u8) -> Signal {
        // Rarely one that was given before.
        let number = if c % 8 == 1 { self.fresh / 2 } else { self.next() };
        let some = if a < 16 { None } else { pick(tasks, a).map(|task| task.task.execution) };
        let (execution, payload) = (some.unwrap_or_else(|| execution(a % EXECUTIONS)), self.payload(b));
        Signal {
            id: SignalId::v7(number, [1; 10]),
            execution,
            name: name(if b.is_multiple_of(4) { "名前" } else { "go" }),
            payload,
        }
    }

    fn emit(&mut self, a: u8, b: u8) -> Emit {
        let id = EventId::v7(self.next(), [2; 10]);
        Emit { id, queue: queue_of(a), name: name("news"), payload: self.payload(b) }
    }
}

/// The next place in a history, rarely one that is taken.
fn seq(task: Option<Seen>, number: u8) -> u32 {
    let last = task.map_or(0, |task| task.last_seq);
    if number % 16 == 15 { last.max(1) } else { last + 1 + u32::from(number % 2) }
}

fn queue_of(number: u8) -> Name {
    name(if number.is_multiple_of(3) { "slow" } else { "default" })
}

fn claim(model: &Model, a: u8, b: u8, c: u8) -> Claim {
    let names = |texts: &[&str]| texts.iter().map(|text| name(text)).collect::<Vec<_>>();
    let mut serve = Serve { queues: None, functions: names(&["f", "g'\"", "nobody's"]), tags: None };
    match b % 16 {
        0 => serve.functions = names(&["f"]),
        1 => serve.queues = Some(names(&["slow"])),
        2 => serve.queues = Some(names(&["default", "slow"])),
        3 => serve.tags = Some(Vec::new()),
        4 => serve.tags = Some(names(&["ü"])),
        5 => serve.functions = Vec::new(),
        _ => {}
    }
    let open = if a < 10 { None } else { pick(&model.open_sessions(), a) };
    Claim {
        session: open.unwrap_or_else(|| session(a % SESSIONS)),
        serve: Arc::new(serve),
        max: [8, 1, 2, 0][usize::from(c % 8 / 2)],
    }
}

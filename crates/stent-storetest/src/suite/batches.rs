//! Records, their effects, and batches: several commands on one row, commands that build on each other, and one bad
//! command among good ones.

use stent_core::command::{Append, Effect, Emit, Ending, Finish, Number, Start};
use stent_core::history::NewRecord;
use stent_core::{
    Codec, Command, Done, EventId, ExecutionId, Failure, FailureKind, Lease, Payload, RecordKind, Refusal, TaskRef,
    TaskState, Verdict,
};

use super::Fixture;
use super::kit::{Kit, append, await_signal, call, claim, complete, json, key, name, record, start_child, suspend};
use crate::drive::block_on;

fn effect(lease: Lease, seq: u32, effect: Effect) -> Command {
    let record = NewRecord {
        seq,
        key: key("effect"),
        kind: RecordKind::Effect,
        run: 1,
        seen: 0,
        digest: None,
        verdict: Verdict::Ok,
        payload: Payload::null(),
        source: None,
    };
    Command::Append(Box::new(Append { lease, record, effect: Some(effect) }))
}

pub fn a_record_comes_back_as_it_was_written(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    let (before, mut written) = (kit.now(), Vec::new());
    for (number, kind) in (1..).zip(RecordKind::ALL) {
        let record = NewRecord {
            seq: number * 3,
            key: key(&format!("k{number}")),
            kind,
            run: number,
            seen: number + 1,
            digest: (number % 2 == 0).then_some([9; 16]),
            verdict: [Verdict::Ok, Verdict::Failed, Verdict::TimedOut][number as usize % 3],
            payload: json(number),
            source: None,
        };
        let append = Append { lease: task.lease, record: record.clone(), effect: None };
        let done = super::kit::record(kit.ok(Command::Append(Box::new(append))));
        assert_eq!((done.seq, &done.key, done.kind, done.run), (record.seq, &record.key, record.kind, record.run));
        assert_eq!((done.seen, done.digest, done.verdict), (record.seen, record.digest, record.verdict));
        assert_eq!((&done.payload, done.source), (&record.payload, None));
        assert!(done.at >= before && done.at <= kit.now());
        written.push(done);
    }
    assert_eq!(kit.history(task.lease.task).records, written);
    assert_eq!(block_on(f.second().history(task.lease.task, 9)).unwrap().records, written[3..]);
    let unknown = TaskRef::root(ExecutionId::v7(1, [1; 10]));
    assert_eq!(kit.history(unknown), stent_core::History::default());
}

pub fn a_place_is_taken_once(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    kit.ok(append(task.lease, 2, "a"));
    assert_eq!(kit.refused(append(task.lease, 2, "b")), Refusal::Exists);
    kit.ok(append(task.lease, 1, "earlier"));
    let add = Effect::AddCounter(name("n"), Number::Whole(1));
    assert_eq!(kit.refused(effect(task.lease, 1, add)), Refusal::Exists);
    assert_eq!(block_on(kit.store.baggage(task.lease.task.execution)).unwrap().counters, []);
    let seqs: Vec<_> = kit.history(task.lease.task).records.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, [1, 2]);
}

/// Scenario 27.
pub fn two_of_a_kind_in_one_batch_both_count(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    let id = task.lease.task.execution;
    let add = |seq| effect(task.lease, seq, Effect::AddCounter(name("n"), Number::Whole(5)));
    let signal = |value| Command::Signal(kit.signal_command(id, "go", value));
    let wait = |seq| await_signal(task.lease, seq, &format!("s{seq}"), "go");
    let emit = |number| {
        let id = EventId::v7(number, [1; 10]);
        Command::Emit(Emit { id, queue: name("q"), name: name("e"), payload: json(number) })
    };
    let batch = vec![
        add(1),
        add(2),
        signal(1),
        signal(2),
        append(task.lease, 3, "a"),
        append(task.lease, 4, "b"),
        wait(5),
        wait(6),
        emit(1),
        emit(2),
        append(task.lease, 4, "again"),
    ];
    let outcomes = kit.batch(batch).outcomes;
    let payload = |at: usize| record(outcomes[at].clone().unwrap()).payload;
    assert_eq!([payload(0), payload(1), payload(6), payload(7)], [json(5), json(10), json(1), json(2)]);
    assert_eq!(outcomes[10], Err(Refusal::Exists));
    assert_eq!(block_on(kit.store.baggage(id)).unwrap().counters, [(name("n"), Number::Whole(10))]);
    assert_eq!(kit.history(task.lease.task).records.len(), 6);
}

pub fn one_batch_can_hold_a_whole_life(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (worker, start) = (kit.worker(), kit.new_start());
    let root = Lease { task: TaskRef::root(start.id), session: worker, epoch: 1 };
    let child = Lease { task: super::kit::child_ref(root, "c"), session: worker, epoch: 1 };
    let outcomes = kit
        .batch(vec![
            Command::Start(Box::new(start)),
            claim(worker, 9),
            append(root, 1, "step"),
            call(start_child(root, "c", false)),
            claim(worker, 9),
            complete(child),
            suspend(root),
            complete(root),
            append(root, 2, "late"),
        ])
        .outcomes;
    assert!(outcomes[..6].iter().all(Result::is_ok), "{outcomes:?}");
    // The child's end marked its parent.
    assert_eq!(outcomes[6..8], [Ok(Done::Woken), Ok(Done::Finished { delivered: None })]);
    assert_eq!(outcomes[8], Err(Refusal::Terminal(TaskState::Completed)));
    assert_eq!((kit.state(root.task), kit.state(child.task)), (TaskState::Completed, TaskState::Completed));
}

/// Scenario 27.
pub fn one_bad_command_in_a_batch_is_refused_alone(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let (task, stale) = (kit.running(worker), kit.running(worker));
    kit.release(stale.lease, std::time::Duration::ZERO);
    let unknown = TaskRef::root(ExecutionId::v7(1, [1; 10]));
    let batch = vec![
        append(task.lease, 1, "good"),
        append(stale.lease, 1, "stale"),
        Command::Cancel(unknown),
        Command::Signal(kit.signal_command(unknown.execution, "go", 1)),
        append(task.lease, 1, "taken"),
        complete(Lease { task: unknown, ..task.lease }),
        append(task.lease, 2, "good too"),
        complete(task.lease),
    ];
    let outcomes = kit.batch(batch).outcomes;
    let refusals: Vec<_> = outcomes.iter().map(|outcome| outcome.clone().err()).collect();
    let (lost, unknown, exists) = (Some(Refusal::LeaseLost), Some(Refusal::Unknown), Some(Refusal::Exists));
    assert_eq!(refusals, [None, lost, unknown, unknown, exists, lost, None, None]);
    assert_eq!(kit.history(task.lease.task).records.len(), 2);
    assert_eq!(kit.state(task.lease.task), TaskState::Completed);
}

pub fn hostile_payloads_and_names_round_trip_exactly(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let payloads = [
        Payload::from_stored(Vec::new()),
        Payload::from_stored(vec![0, 0, 0, 0, 0]),
        Payload::from_stored((0..=255).collect::<Vec<u8>>()),
        Payload::new(&Codec::Pickle, b"\x80\x04\0.").unwrap(),
        Payload::new(&Codec::Custom("mine \u{202e}".into()), "\u{fffe}\u{10ffff}".as_bytes()).unwrap(),
        json("'; DROP TABLE tasks; -- \0 $1 ?1 %s {}"),
    ];
    let texts =
        ["it's", "\"; DROP TABLE tasks; --", "\u{202e}rtl", "<script>", "名前", "a\u{301}", "á", "%_\\", "\u{10ffff}"];
    for (number, payload) in payloads.iter().enumerate() {
        let text = texts[number];
        let task = kit.running_with(worker, |start| {
            start.spec.args = payload.clone();
            start.spec.function = name(text);
            start.key = Some(name(text));
        });
        assert_eq!(task.spec.args, *payload);
        let mut step = append(task.lease, 1, text);
        if let Command::Append(append) = &mut step {
            append.record.payload = payload.clone();
        }
        kit.batch(vec![step, append(task.lease, 2, "plain")]);
        let records = kit.history(task.lease.task).records;
        assert_eq!((records.len(), &records[0].payload, records[0].key.as_str()), (2, payload, text));
        kit.ok(super::kit::finish(task.lease, Ending::Completed(payload.clone())));
        let view = kit.execution(task.lease.task.execution);
        assert_eq!((view.result.as_ref(), view.function.as_str()), (Some(payload), text));
    }
    // Names that look alike are not the same.
    let task = kit.running(worker);
    for (value, text) in (0..).zip(texts) {
        kit.signal(task.lease.task.execution, text, value);
    }
    for (value, text) in (0..).zip(texts) {
        let taken = record(kit.ok(await_signal(task.lease, value + 1, &format!("s{value}"), text)));
        assert_eq!(taken.payload, json(value));
    }
    let failure = Failure { details: serde_json::json!({"\0": ["\u{202e}"]}), ..super::kit::failure("\0 ' \u{7}") };
    kit.ok(super::kit::finish(task.lease, Ending::Failed(failure.clone())));
    assert_eq!(kit.view(task.lease.task).failure, Some(failure));
}

pub fn counters_add_and_state_is_set_within_their_execution(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let (task, other) = (kit.running(worker), kit.running(worker));
    let id = task.lease.task.execution;
    let whole = Number::Whole;
    let effects = [
        (Effect::EnsureCounters(vec![(name("a"), whole(7)), (name("b"), Number::Real(0.5))]), Payload::null()),
        (Effect::EnsureCounters(vec![(name("a"), whole(1)), (name("c"), whole(0))]), Payload::null()),
        (Effect::AddCounter(name("a"), whole(-9)), json(-2)),
        (Effect::AddCounter(name("b"), whole(1)), json(1.5)),
        (Effect::AddCounter(name("new"), whole(i64::MAX)), json(i64::MAX)),
        (Effect::AddCounter(name("new"), whole(1)), json(i64::MAX as f64 + 1.0)),
        (Effect::EnsureState(vec![(name("x"), json(1))]), Payload::null()),
        (Effect::EnsureState(vec![(name("x"), json(2)), (name("y"), json(3))]), Payload::null()),
        (Effect::SetState(name("y"), json(4)), Payload::null()),
    ];
    for (seq, (change, expected)) in (1..).zip(effects) {
        let record = record(kit.ok(effect(task.lease, seq, change)));
        assert_eq!((record.verdict, record.payload), (Verdict::Ok, expected));
    }
    let baggage = block_on(f.second().baggage(id)).unwrap();
    let counters =
        [("a", whole(-2)), ("b", Number::Real(1.5)), ("c", whole(0)), ("new", Number::Real(i64::MAX as f64 + 1.0))];
    assert_eq!(baggage.counters, counters.map(|(text, value)| (name(text), value)));
    assert_eq!(baggage.state, [(name("x"), json(1)), (name("y"), json(4))]);
    assert_eq!(block_on(kit.store.baggage(other.lease.task.execution)).unwrap(), Default::default());
}

pub fn a_dispatch_is_recorded_with_its_execution_and_never_claimed_at_once(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let task = kit.running(worker);
    let start = |claim_for| Start { key: Some(name("once")), claim_for, ..kit.new_start() };
    let (first, second) = (start(Some(worker)), start(None));
    let id = first.id;
    for (seq, (start, created)) in (1..).zip([(first, true), (second, false)]) {
        let record = record(kit.ok(effect(task.lease, seq, Effect::Start(Box::new(start)))));
        let value: serde_json::Value = record.payload.read().unwrap();
        assert_eq!(value, serde_json::json!({ "execution": id.to_string(), "created": created }));
    }
    assert_eq!(kit.state(TaskRef::root(id)), TaskState::Pending);
}

pub fn a_signal_and_an_emit_from_within_arrive(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let (task, other) = (kit.running(worker), kit.running(worker));
    kit.ok(await_signal(other.lease, 1, "s", "go"));
    let signal = Effect::Signal(kit.signal_command(other.lease.task.execution, "go", 1));
    let batch = kit.batch(vec![effect(task.lease, 1, signal)]);
    assert_eq!(record(batch.outcomes[0].clone().unwrap()).payload, Payload::null());
    assert_eq!(batch.wakes.woken, [(worker, other.lease.task)]);
    let id = EventId::v7(1, [1; 10]);
    let emit = Effect::Emit(Emit { id, queue: name("q"), name: name("e"), payload: json(2) });
    assert_eq!(record(kit.ok(effect(task.lease, 2, emit))).payload, Payload::null());
    let wait = stent_core::command::Wait::Event(name("q"), name("e"));
    let taken = record(kit.ok(super::kit::await_with(other.lease, 2, "e", wait, None)));
    assert_eq!(taken.payload, json(2));
}

pub fn a_refused_effect_is_a_recorded_failure_and_changes_nothing(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let worker = kit.worker();
    let (task, ended) = (kit.running(worker), kit.running(worker));
    kit.ok(complete(ended.lease));
    let known = Start { id: task.lease.task.execution, ..kit.new_start() };
    let effects = [
        (Effect::Signal(kit.signal_command(ExecutionId::v7(1, [1; 10]), "go", 1)), Refusal::Unknown),
        (
            Effect::Signal(kit.signal_command(ended.lease.task.execution, "go", 1)),
            Refusal::Terminal(TaskState::Completed),
        ),
        (Effect::Start(Box::new(known)), Refusal::Exists),
    ];
    for (seq, (change, refusal)) in (1..).zip(effects) {
        let record = record(kit.ok(effect(task.lease, seq, change)));
        let failure = Failure::from_payload(&record.payload);
        assert_eq!((record.verdict, failure.kind), (Verdict::Failed, FailureKind::Error));
        assert_eq!(failure.message, refusal.to_string());
    }
    assert_eq!(kit.history(task.lease.task).records.len(), 3);
}

pub fn an_empty_batch_is_nothing(f: &dyn Fixture) {
    let kit = Kit::new(f);
    assert!(kit.batch(Vec::new()).wakes.is_empty());
}

pub fn a_large_batch_of_one_task_keeps_its_order(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let task = kit.running(kit.worker());
    let mut batch: Vec<_> = (1..=999).map(|seq| append(task.lease, seq, &format!("s{seq}"))).collect();
    let (lease, ending) = (task.lease, Ending::Completed(json(1)));
    batch.push(Command::Finish(Box::new(Finish { lease, ending, deliver: None, start: None, returned: Vec::new() })));
    batch.push(append(task.lease, 1_000, "late"));
    let outcomes = kit.batch(batch).outcomes;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1_000);
    let records = kit.history(task.lease.task).records;
    assert!(records.iter().zip(1..).all(|(record, seq)| record.seq == seq) && records.len() == 999);
}

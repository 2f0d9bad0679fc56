//! The figures a store is judged by on its own: starts in batches of 1,000, claims, recorded steps in batches of 100
//! and of 1,000, one step alone, ends in batches of 100. Not a microscope: it tells rates and leaves the verdict to the
//! reader.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail loudly")]
#![allow(missing_docs, reason = "one function, told of above")]

use std::sync::Arc;
use std::time::Instant;

use stent_core::command::{Append, Claim, Ending, Finish, OpenSession, Start};
use stent_core::history::NewRecord;
use stent_core::{
    CallKey, Command, Done, ExecutionId, Lease, Name, Outcome, Payload, RecordKind, Serve, SessionId, Store, TaskSpec,
    Verdict,
};

use crate::drive::block_on;

fn commit(store: &dyn Store, batch: Vec<Command>) -> Vec<Outcome> {
    block_on(store.commit(0, batch)).unwrap().outcomes
}

fn start(n: u32, payload: &Payload) -> Command {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&n.to_be_bytes());
    Command::Start(Box::new(Start {
        id: ExecutionId::v7(1_700_000_000_000 + u64::from(n) / 100, random),
        spec: TaskSpec {
            function: Name::stored("bench:work"),
            args: payload.clone(),
            queue: Name::stored("default"),
            priority: 0,
            tags: Vec::new(),
            headers: None,
            options: Default::default(),
        },
        key: None,
        due: None,
        deadline: Default::default(),
        claim_for: None,
    }))
}

fn step(lease: Lease, seq: u32, payload: &Payload) -> Command {
    let record = NewRecord {
        seq,
        key: CallKey::new("", "step", seq),
        kind: RecordKind::Step,
        run: 1,
        seen: seq - 1,
        digest: Some([7; 16]),
        verdict: Verdict::Ok,
        payload: payload.clone(),
        source: None,
    };
    Command::Append(Box::new(Append { lease, record, effect: None }))
}

/// Measures a fresh store: one line for each figure.
pub fn measure(store: &dyn Store) -> Vec<String> {
    let mut figures = Vec::new();
    let payload = Payload::json(&"x".repeat(100)).unwrap();
    let session = SessionId::v7(1, [1; 10]);
    let open = OpenSession { session, worker_id: String::new(), host: String::new(), pid: 1 };
    commit(store, vec![Command::OpenSession(open)]);

    let starts = 100_000;
    let batches: Vec<Vec<Command>> =
        (0..starts / 1_000).map(|b| (b * 1_000..(b + 1) * 1_000).map(|n| start(n, &payload)).collect()).collect();
    let began = Instant::now();
    for batch in batches {
        commit(store, batch);
    }
    figures.push(format!("starts in batches of 1,000: {:.0}/s", f64::from(starts) / began.elapsed().as_secs_f64()));

    let serve = Arc::new(Serve { queues: None, functions: vec![Name::stored("bench:work")], tags: None });
    let mut leases = Vec::new();
    let began = Instant::now();
    let claims = 20;
    for _ in 0..claims {
        let claim = Claim { session, serve: Arc::clone(&serve), max: 100 };
        if let Some(Ok(Done::Claimed { tasks, .. })) = commit(store, vec![Command::Claim(claim)]).pop() {
            leases.extend(tasks.into_iter().map(|task| task.lease));
        }
    }
    figures.push(format!("claims in batches of 100: {:.0}/s", leases.len() as f64 / began.elapsed().as_secs_f64()));

    for width in [100, 1_000] {
        let base = if width == 100 { 0 } else { 500 };
        let rounds = if width == 100 { 400u32 } else { 40 };
        let batches: Vec<Vec<Command>> = (1..=rounds)
            .map(|round| leases[..width].iter().map(|lease| step(*lease, base + round, &payload)).collect())
            .collect();
        let began = Instant::now();
        for batch in batches {
            assert!(commit(store, batch).iter().all(Result::is_ok));
        }
        let steps = f64::from(rounds) * width as f64;
        figures.push(format!("steps in batches of {width}: {:.0}/s", steps / began.elapsed().as_secs_f64()));
    }

    let mut spans = Vec::new();
    for seq in 10_000..11_000 {
        let batch = vec![step(leases[0], seq, &payload)];
        let began = Instant::now();
        commit(store, batch);
        spans.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    spans.sort_by(f64::total_cmp);
    figures.push(format!("one step alone: p50 {:.3} ms, p99 {:.3} ms", spans[500], spans[990]));

    let ends: Vec<Vec<Command>> = leases
        .chunks(100)
        .map(|chunk| {
            let end = |lease: &Lease| Finish {
                lease: *lease,
                ending: Ending::Completed(payload.clone()),
                deliver: None,
                start: None,
                returned: Vec::new(),
            };
            chunk.iter().map(|lease| Command::Finish(Box::new(end(lease)))).collect()
        })
        .collect();
    let began = Instant::now();
    for batch in ends {
        assert!(commit(store, batch).iter().all(Result::is_ok));
    }
    figures.push(format!("ends in batches of 100: {:.0}/s", leases.len() as f64 / began.elapsed().as_secs_f64()));
    figures
}

//! Key functions: asked once for each call, with the bound arguments, and never by a replay.

use std::sync::atomic::{AtomicU32, Ordering};

use durable::testing::{Workflow, check_replay};

use super::{executor, run};

static ASKED: AtomicU32 = AtomicU32::new(0);

#[durable::function(idempotent(key = |order_id: &str, ..| { ASKED.fetch_add(1, Ordering::Relaxed); format!("charge:{order_id}") }))]
async fn charge(order_id: String, cents: u64) -> u64 {
    order_id.len() as u64 + cents
}

#[durable::function]
async fn charges_twice() -> u64 {
    let first = charge("a".into(), 1).await;
    durable::sleep("1h").await;
    let second = charge("b".into(), 2).await;
    durable::sleep("1h").await;
    first + second
}

#[tokio::test]
async fn a_key_function_is_asked_once_for_each_call_and_never_by_a_replay() {
    let (executor, _) = executor().await;
    let execution = executor.dispatch(charges_twice, ()).await.unwrap();
    assert_eq!(execution.wait(None).await.unwrap(), 5);
    assert_eq!(ASKED.load(Ordering::Relaxed), 2);
    let recorded = executor.recorded(execution.id()).await.unwrap();
    let answers: Vec<_> = recorded.iter().filter(|call| call.kind == "value").map(|call| &call.output).collect();
    assert_eq!(answers, ["charge:a", "charge:b"]);
    run(&executor, charge, ("c".to_owned(), 1)).await.unwrap();
    assert_eq!(ASKED.load(Ordering::Relaxed), 3);
}

fn by_day(order_id: &str, cents: &u64) -> String {
    format!("{order_id} {cents} {}", std::process::id())
}

#[durable::function(cached(ttl = "1d", key = by_day))]
async fn reads_the_world_in_its_key(order_id: String, cents: u64) -> u64 {
    order_id.len() as u64 + cents
}

#[durable::function]
async fn calls_it() -> u64 {
    reads_the_world_in_its_key("a".into(), 4).await
}

#[tokio::test]
async fn a_key_function_that_reads_the_world_is_evaluated_once_and_replayed_from_the_record() {
    let report = check_replay(Workflow::call(calls_it, ())).await.unwrap();
    assert_eq!(report.outcome, 5);
}

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
    // What the key leaves out makes no other call of it.
    assert_eq!(run(&executor, charge, ("a".to_owned(), 100)).await.unwrap(), 2, "the result of the first");
}

/// What the key function below reads: another day is another key.
static DAY: AtomicU32 = AtomicU32::new(1);
static LOOKS: AtomicU32 = AtomicU32::new(0);
static REPORTS: AtomicU32 = AtomicU32::new(0);

fn by_day(order_id: &str, _cents: &u64) -> String {
    LOOKS.fetch_add(1, Ordering::Relaxed);
    format!("{order_id} on day {}", DAY.load(Ordering::Relaxed))
}

#[durable::function(cached(key = by_day))]
async fn daily_report(order_id: String, cents: u64) -> u64 {
    REPORTS.fetch_add(1, Ordering::Relaxed);
    order_id.len() as u64 + cents
}

#[durable::function]
async fn reports_and_sleeps() -> u64 {
    let report = daily_report("a".into(), 4).await;
    durable::sleep("1h").await;
    report
}

#[tokio::test]
async fn a_key_function_that_reads_the_world_is_evaluated_once_and_replayed_from_the_record() {
    let (executor, _) = executor().await;
    let execution = executor.dispatch(reports_and_sleeps, ()).await.unwrap();
    executor.settle().await;
    DAY.store(2, Ordering::Relaxed);
    executor.crash().await;
    assert_eq!(execution.wait(None).await.unwrap(), 5);
    assert_eq!(LOOKS.load(Ordering::Relaxed), 1, "the replay on the next day took the key of the first");
    let recorded = executor.recorded(execution.id()).await.unwrap();
    let answers: Vec<_> = recorded.iter().filter(|call| call.kind == "value").map(|call| &call.output).collect();
    assert_eq!(answers, ["a on day 1"]);
    // A new entry of the cache each day.
    for cents in [6, 7] {
        assert_eq!(run(&executor, daily_report, ("a".to_owned(), cents)).await.unwrap(), 7);
    }
    assert_eq!((LOOKS.load(Ordering::Relaxed), REPORTS.load(Ordering::Relaxed)), (3, 2));
}

#[durable::function]
async fn charges_once() -> u64 {
    charge_by_order("a".into(), 4).await
}

#[durable::function(idempotent(key = |order_id, ..| order_id.clone()))]
async fn charge_by_order(order_id: String, cents: u64) -> u64 {
    order_id.len() as u64 + cents
}

#[tokio::test]
async fn a_call_with_a_key_function_comes_to_the_same_wherever_its_process_is_killed() {
    let report = check_replay(Workflow::call(charges_once, ())).await.unwrap();
    assert_eq!(report.outcome, 5);
}

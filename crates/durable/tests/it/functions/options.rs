//! What the options of a function do to its calls: one result for a key, a kept result, a bound on how many run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use durable::ProgressStatus;
use serde_json::{Value, json};

use super::{executor, run, write};

#[durable::function(idempotent)]
async fn welcome(user: String) -> bool {
    write(format!("mail to {user}"));
    false
}

#[durable::function(idempotent)]
async fn same_for_ever(value: Value) -> Value {
    write(format!("for ever {value}"));
    value
}

#[durable::function(cached(ttl = "1d"))]
async fn same_for_a_day(value: Value) -> Value {
    write(format!("for a day {value}"));
    value
}

#[tokio::test]
async fn an_idempotent_function_runs_once_for_a_key_and_a_falsey_result_is_a_hit() {
    let (executor, ledger) = executor().await;
    for _ in 0..3 {
        assert!(!run(&executor, welcome, "ann".to_owned()).await.unwrap());
    }
    assert!(!run(&executor, welcome, "bob".to_owned()).await.unwrap());
    assert_eq!((ledger.count("mail to ann"), ledger.count("mail to bob")), (1, 1));
    for value in [json!(0), json!(false), json!(""), json!([]), json!({}), Value::Null] {
        for _ in 0..2 {
            assert_eq!(run(&executor, same_for_ever, value.clone()).await.unwrap(), value);
            assert_eq!(run(&executor, same_for_a_day, value.clone()).await.unwrap(), value);
        }
        assert_eq!(ledger.count(&format!("for ever {value}")), 1);
        assert_eq!(ledger.count(&format!("for a day {value}")), 1);
    }
}

#[durable::function(cached(ttl = "1d"))]
async fn rate(day: String) -> u64 {
    write(format!("rate of {day}"));
    0
}

#[durable::function]
async fn report(day: String) -> u64 {
    rate(day.clone()).await + rate(day).await
}

#[tokio::test]
async fn a_cached_result_is_kept_for_its_time_across_executions() {
    let (executor, ledger) = executor().await;
    for _ in 0..2 {
        assert_eq!(run(&executor, report, "monday".to_owned()).await.unwrap(), 0);
    }
    assert_eq!(ledger.count("rate of monday"), 1);
    run(&executor, report, "tuesday".to_owned()).await.unwrap();
    assert_eq!(ledger.count("rate of tuesday"), 1, "other arguments are another result");
    executor.advance(Duration::from_secs(2 * 86_400)).await;
    assert_eq!(run(&executor, report, "monday".to_owned()).await.unwrap(), 0);
    assert_eq!(ledger.count("rate of monday"), 2);
}

#[tokio::test]
async fn a_hit_shows_in_the_progress_under_the_name_of_its_function() {
    let (executor, _) = executor().await;
    let execution = executor.dispatch(report, "monday".to_owned()).await.unwrap();
    execution.wait(None).await.unwrap();
    let shown = executor.execution(execution.id()).await.unwrap().unwrap();
    let told: Vec<_> = shown.progress.iter().map(|entry| (entry.step.as_str(), entry.status)).collect();
    let (whole, part) = (report.meta().name(), rate.meta().name());
    let (completed, hit) = (ProgressStatus::Completed, ProgressStatus::CacheHit);
    assert_eq!(told, [(whole, completed), (part, completed), (part, hit)]);
    assert_eq!(hit.to_string(), "cache_hit");
}

#[durable::function(cached)]
async fn square(n: u64) -> u64 {
    write(format!("square of {n}"));
    n * n
}

#[tokio::test]
async fn a_cached_result_without_a_time_is_kept_for_years() {
    let (executor, ledger) = executor().await;
    for _ in 0..2 {
        assert_eq!(run(&executor, square, 7).await.unwrap(), 49);
        executor.advance(Duration::from_secs(3 * 365 * 86_400)).await;
    }
    assert_eq!(ledger.count("square of 7"), 1);
}

static WITHIN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[durable::function(max_concurrent = 2)]
async fn narrow(n: u64) -> u64 {
    MOST.fetch_max(WITHIN.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(2)).await;
    WITHIN.fetch_sub(1, Ordering::SeqCst);
    n
}

#[durable::function]
async fn wide() -> Vec<u64> {
    narrow.map(0..6).await
}

#[tokio::test]
async fn no_more_than_its_limit_of_a_function_run_at_once() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, wide, ()).await.unwrap(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(MOST.load(Ordering::SeqCst), 2);
}

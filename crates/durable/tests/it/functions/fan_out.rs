//! `map`: results in order, failures after the rest, a cap, one batch.

use std::sync::atomic::{AtomicUsize, Ordering};

use durable::{DurableError, FailureKind};

use super::{executor, run, write};

#[durable::function]
async fn halve(n: u64) -> Result<u64, String> {
    durable::sleep("1m").await;
    write(format!("halve {n}"));
    if n.is_multiple_of(2) { Ok(n / 2) } else { Err(format!("{n} is odd")) }
}

#[durable::function]
async fn halve_all(numbers: Vec<u64>) -> Result<Vec<u64>, String> {
    halve.map(numbers).try_all().await
}

#[durable::function]
async fn halve_each(numbers: Vec<u64>) -> Vec<Result<u64, String>> {
    halve.map(numbers).await
}

#[tokio::test]
async fn results_come_in_the_order_of_the_items() {
    let (executor, _) = executor().await;
    let numbers: Vec<u64> = (0..50).map(|n| 2 * n).collect();
    assert_eq!(run(&executor, halve_all, numbers).await.unwrap(), Ok((0..50).collect()));
}

#[tokio::test]
async fn the_first_failure_comes_after_the_rest_have_settled() {
    let (executor, ledger) = executor().await;
    assert_eq!(run(&executor, halve_all, vec![2, 5, 3, 4]).await.unwrap(), Err("5 is odd".into()));
    assert_eq!(ledger.lines().len(), 4, "all of them ran to their end");
}

#[tokio::test]
async fn every_outcome_can_be_collected() {
    let (executor, _) = executor().await;
    let outcomes = run(&executor, halve_each, vec![2, 5, 4]).await.unwrap();
    assert_eq!(outcomes, [Ok(1), Err("5 is odd".into()), Ok(2)]);
}

#[durable::function]
async fn picky(n: u64) -> u64 {
    durable::sleep("1m").await;
    assert_ne!(n, 2, "two is refused");
    write(format!("took {n}"));
    n
}

#[durable::function]
async fn takes_all(numbers: Vec<u64>) -> Vec<u64> {
    let all = picky.map(numbers).await;
    write("came back");
    all
}

#[tokio::test]
async fn a_failure_without_a_place_ends_the_caller_after_the_rest_have_settled() {
    let (executor, ledger) = executor().await;
    let failed = run(&executor, takes_all, vec![1, 2, 3]).await.unwrap_err();
    assert!(matches!(&failed, DurableError::Failed { failure, .. } if failure.kind == FailureKind::Panic), "{failed}");
    let mut lines = ledger.lines();
    lines.sort();
    assert_eq!(lines, ["took 1", "took 3"]);
}

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[durable::function]
async fn crowds(n: u64) -> u64 {
    durable::step("be here", || async move {
        MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        NOW.fetch_sub(1, Ordering::SeqCst);
        Ok(n)
    })
    .await
    .unwrap_or_default()
}

#[durable::function]
async fn crowds_all(numbers: Vec<u64>) -> u64 {
    crowds.map(numbers).max_parallel(3).await.into_iter().sum()
}

#[tokio::test]
async fn a_cap_holds() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, crowds_all, (0..20).collect::<Vec<_>>()).await.unwrap(), 190);
    assert!((1..=3).contains(&MOST.load(Ordering::SeqCst)), "{MOST:?}");
}

#[tokio::test]
async fn nothing_maps_to_nothing() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, halve_all, Vec::new()).await.unwrap(), Ok(vec![]));
}

#[durable::function]
async fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[durable::function]
async fn add_all() -> Vec<u64> {
    add.map([(1, 2), (3, 4)]).await
}

#[tokio::test]
async fn several_arguments_are_mapped_as_tuples() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, add_all, ()).await.unwrap(), [3, 7]);
    assert_eq!(add.map([(1, 2), (3, 4)]).await, [3, 7], "as written, without an engine");
}

//! Calls of one durable function by another: children, to any depth, side by side, in races, once.

use std::time::Duration;

use durable::{DurableError, Execution, FailureKind, TaskStatus};

use super::{executor, run, write};

#[durable::function]
async fn double(n: u64) -> u64 {
    write(format!("double {n}"));
    2 * n
}

#[durable::function]
async fn quadruple(n: u64) -> u64 {
    double(double(n).await).await
}

#[tokio::test]
async fn a_call_inside_a_durable_function_is_a_child_that_runs_once() {
    let (executor, ledger) = executor().await;
    let execution = executor.dispatch(quadruple, 3).await.unwrap();
    assert_eq!(execution.wait(None).await.unwrap(), 12);
    assert_eq!(ledger.lines(), ["double 3", "double 6"]);
    let recorded = executor.recorded(execution.id()).await.unwrap();
    let kinds: Vec<_> = recorded.iter().map(|call| (call.kind, call.key.ends_with("#2"))).collect();
    assert_eq!(kinds, [("child", false), ("child", true)]);
}

#[durable::function]
async fn in_two_lives(n: u64) -> u64 {
    let first = double(n).await;
    durable::sleep("1h").await;
    double(first).await
}

#[tokio::test]
async fn a_crash_between_two_calls_repeats_neither() {
    let (executor, ledger) = executor().await;
    let execution = executor.dispatch(in_two_lives, 1).await.unwrap();
    executor.settle().await;
    executor.crash().await;
    assert_eq!(execution.wait(None).await.unwrap(), 4);
    assert_eq!(ledger.lines(), ["double 1", "double 2"]);
}

#[durable::function]
async fn side_by_side() -> (u64, u64, u64) {
    let begun = double(1);
    tokio::join!(begun, double(2), double(3))
}

#[tokio::test]
async fn calls_side_by_side_each_get_their_own_result() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, side_by_side, ()).await.unwrap(), (2, 4, 6));
}

#[durable::function]
async fn after(hours: u64) -> u64 {
    durable::sleep(Duration::from_secs(hours * 3_600)).await;
    hours
}

#[durable::function]
async fn race() -> u64 {
    // Polled in random order; the calls have their places since they were made.
    let won = tokio::select! {
        slow = after(9) => slow,
        fast = after(2) => fast,
        middle = after(5) => middle,
    };
    durable::sleep("1d").await;
    won
}

#[tokio::test]
async fn a_race_that_was_won_stays_won_whatever_crashes() {
    for _ in 0..5 {
        let (executor, _) = executor().await;
        let execution = executor.dispatch(race, ()).await.unwrap();
        executor.advance(Duration::from_secs(10 * 3_600)).await;
        executor.crash().await;
        assert_eq!(execution.wait(None).await.unwrap(), 2);
    }
}

#[durable::function]
async fn dies() -> u64 {
    panic!("a bug")
}

#[durable::function]
async fn calls_what_dies() -> u64 {
    write("before");
    let n = dies().await;
    write("after");
    n
}

#[tokio::test]
async fn a_failure_that_the_return_type_has_no_place_for_fails_the_caller_without_returning_into_it() {
    let (executor, ledger) = executor().await;
    let failed = run(&executor, calls_what_dies, ()).await.unwrap_err();
    let DurableError::Failed { status, failure, .. } = failed else { panic!("{failed}") };
    assert_eq!((status, failure.kind), (TaskStatus::Failed, FailureKind::Panic));
    assert!(failure.message.contains("a bug") && failure.message.contains("dies"), "{failure}");
    assert!(ledger.count("before") > 0);
    assert_eq!(ledger.count("after"), 0);
}

#[durable::function]
async fn in_a_step() -> u64 {
    durable::step("call", || async { Ok(double(1).await) }).await.unwrap_or(0)
}

#[tokio::test]
async fn a_call_inside_of_a_step_is_refused_since_a_replay_would_not_make_it() {
    let (executor, ledger) = executor().await;
    let refused = run(&executor, in_a_step, ()).await.unwrap_err().to_string();
    assert!(refused.contains("double\" is called inside of a step"), "{refused}");
    assert_eq!(ledger.lines(), [""; 0]);
}

#[durable::function]
async fn given_up() -> u64 {
    drop(double(1));
    double(2).await
}

#[tokio::test]
async fn a_call_that_is_not_awaited_disturbs_nobody() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, given_up, ()).await.unwrap(), 4);
}

#[durable::function]
async fn hangs() {
    durable::sleep("1000d").await;
}

#[durable::function]
async fn calls_what_hangs() {
    hangs().await;
    write("came back");
}

#[tokio::test]
async fn cancelling_never_shows_in_the_code() {
    let (executor, ledger) = executor().await;
    let execution: Execution<calls_what_hangs> = executor.dispatch(calls_what_hangs, ()).await.unwrap();
    executor.settle().await;
    execution.cancel().await.unwrap();
    assert!(execution.wait(None).await.unwrap_err().is_cancelled());
    assert_eq!(ledger.lines(), [""; 0]);
}

#[durable::function]
async fn down(depth: u64) -> u64 {
    if depth == 0 { 0 } else { 1 + down(depth - 1).await }
}

#[tokio::test]
async fn a_function_that_calls_itself_comes_back_with_its_result() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, down, 20).await.unwrap(), 20);
}

task!(CallsAFunction(n: u64, ctx) -> u64 {
    let recorded = ctx.step("one", || async { Ok(n) }).await?;
    Ok(double(recorded).await)
});

#[tokio::test]
async fn the_code_of_a_task_calls_functions_too() {
    let (executor, ledger) = executor().await;
    executor.register::<CallsAFunction>().await;
    assert_eq!(executor.run::<CallsAFunction>(4).await.unwrap(), 8);
    assert_eq!(ledger.lines(), ["double 4"]);
}

#[durable::function]
async fn by_name(name: String) -> String {
    match durable::call(&name, serde_json::json!([5])).await {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_call_by_name_takes_and_gives_json() {
    let (executor, _) = executor().await;
    let called = run(&executor, by_name, double.meta().name().to_owned()).await.unwrap();
    assert_eq!(called, "10");
    let died = run(&executor, by_name, dies.meta().name().to_owned()).await.unwrap();
    assert!(died.contains("dies\" failed: the arguments"), "{died}");
}

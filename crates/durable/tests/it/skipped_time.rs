//! The executor of `durable::testing` itself: when its time passes, when it stands, and what it says when nothing can
//! happen any more.

use std::time::Duration;

use durable::testing::Executor;
use durable::{Durable, DurableError, SpawnOptions, TaskStatus};

use crate::ledger::{Ledger, executor_with_ledger};

const DAY: Duration = Duration::from_secs(86_400);

task!(Waits(name: String, ctx) -> u32 {
    ctx.await_event(&name, None).await
});

#[tokio::test]
async fn a_wait_that_nothing_can_end_says_what_is_waited_for() {
    let executor = Executor::new().await;
    executor.register::<Waits>().await;
    let task = executor.spawn::<Waits>("answer".into()).await.unwrap();
    let error = executor.wait_for(task.task_id, None).await.unwrap_err();
    assert!(matches!(error, DurableError::Stalled { .. }));
    let words = error.to_string();
    assert!(words.contains("\"Waits\"") && words.contains("\"event:answer\""), "{words}");
    executor.emit_event("answer", &7, None).await.unwrap();
    assert_eq!(executor.wait_for_output::<Waits>(task.task_id, None).await.unwrap(), 7);
}

#[tokio::test]
async fn a_task_that_no_worker_knows_is_named_too() {
    let executor = Executor::new().await;
    let task = executor.spawn_by_name("nobody's", serde_json::json!(null), SpawnOptions::default()).await.unwrap();
    let words = executor.wait_for(task.task_id, None).await.unwrap_err().to_string();
    assert!(words.contains("\"nobody's\"") && words.contains("a worker that runs it"), "{words}");
}

#[tokio::test]
async fn something_from_outside_may_still_come_before_that() {
    let executor = Executor::new().await;
    executor.register::<Waits>().await;
    let task = executor.spawn::<Waits>("answer".into()).await.unwrap();
    let client = Durable::clone(&executor);
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.emit_event("answer", &7, None).await.unwrap();
    };
    let (output, ()) = tokio::join!(executor.wait_for_output::<Waits>(task.task_id, None), later);
    assert_eq!(output.unwrap(), 7);
}

task!(Daily(days: u32, ctx) -> u32 {
    let ledger = Ledger::of(&ctx);
    for day in 0..days {
        ctx.sleep_for("a day", DAY).await?;
        ctx.step("work", || async { ledger.write(format!("day {day}")); Ok(()) }).await?;
    }
    Ok(days)
});

#[tokio::test]
async fn time_stands_while_nobody_waits_and_stops_where_it_was_told() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Daily>().await;
    let task = executor.spawn::<Daily>(10).await.unwrap();
    executor.settle().await;
    assert_eq!(ledger.lines(), [""; 0]);
    executor.advance(DAY * 3 + Duration::from_secs(1)).await;
    executor.settle().await;
    assert_eq!(ledger.lines(), ["day 0", "day 1", "day 2"]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(ledger.lines().len(), 3);
    let before = executor.now();
    assert_eq!(executor.wait_for_output::<Daily>(task.task_id, None).await.unwrap(), 10);
    assert_eq!(executor.now().since(before), DAY * 7 - Duration::from_secs(1));
}

#[tokio::test]
async fn a_year_of_days_takes_a_moment() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Daily>().await;
    let began = std::time::Instant::now();
    assert_eq!(executor.run::<Daily>(365).await.unwrap(), 365);
    assert_eq!(ledger.lines().len(), 365);
    // A moment of a busy machine's, beside a year.
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
}

task!(Outside(millis: u64, ctx) -> u64 {
    ctx.step("call a service", || async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(millis)
    }).await
});

#[tokio::test]
async fn code_that_waits_outside_is_waited_for() {
    let executor = Executor::new().await;
    executor.register::<Outside>().await;
    let before = executor.now();
    assert_eq!(executor.run::<Outside>(60).await.unwrap(), 60);
    assert!(executor.now().since(before) < Duration::from_secs(5), "time does not jump meanwhile");
}

#[tokio::test]
async fn a_body_that_hangs_is_ended_by_its_timeout() {
    let executor = Executor::with(Durable::builder().default_max_attempts(1)).await.unwrap();
    executor.register::<Outside>().await;
    let short = SpawnOptions { timeout: Some(Duration::from_millis(100)), ..SpawnOptions::default() };
    let task = executor.spawn_with_options::<Outside>(3_600_000, short).await.unwrap();
    let report = executor.wait_for(task.task_id, None).await.unwrap();
    assert_eq!(report.status, TaskStatus::Failed);
    assert_eq!(report.failure.unwrap().kind, durable::FailureKind::Timeout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_the_same_on_several_threads() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Daily>().await;
    let before = executor.now();
    let tasks = executor.spawn_all::<Daily>(vec![3; 20]).await.unwrap();
    for task in &tasks {
        assert_eq!(executor.wait_for_output::<Daily>(task.task_id, None).await.unwrap(), 3);
    }
    assert_eq!(executor.now().since(before), DAY * 3);
    assert_eq!(ledger.lines().len(), 60);
}

task!(Crashes(nothing: (), ctx) -> u32 {
    let ledger = Ledger::of(&ctx);
    ctx.step("work", || async {
        ledger.write("work");
        if ledger.count("work") == 1 {
            std::future::pending::<()>().await; // the crash comes here
        }
        Ok(())
    }).await?;
    Ok(ctx.attempt)
});

#[tokio::test]
async fn a_crash_in_a_body_runs_it_again_and_is_no_attempt() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Crashes>().await;
    let task = executor.spawn::<Crashes>(()).await.unwrap();
    crate::eventually("the body runs", async || !ledger.lines().is_empty()).await;
    executor.crash().await;
    assert_eq!(executor.wait_for_output::<Crashes>(task.task_id, None).await.unwrap(), 1);
    assert_eq!(ledger.count("work"), 2);
}

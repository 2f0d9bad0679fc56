//! Steps: run once and remembered, through crashes, retries and suspensions; and what becomes of their failures.

use std::time::Duration;

use durable::testing::Executor;
use durable::{
    DurableError, FailureKind, ReplayOptions, RetryStrategy, SpawnOptions, StepError, TaskError, TaskStatus,
};

use crate::ledger::{Ledger, executor_with_ledger};

fn attempts(most: u32) -> SpawnOptions {
    SpawnOptions { max_attempts: Some(most), ..SpawnOptions::default() }
}

task!(Pay(cents: i64, ctx) -> String {
    let ledger = Ledger::of(&ctx);
    let reserved = ctx.step("reserve", || async { ledger.write("reserve"); Ok(cents) }).await?;
    ctx.sleep_for("wait", Duration::from_secs(60)).await?;
    ctx.step("charge", || async { ledger.write("charge"); Ok(format!("paid {reserved}")) }).await
});

#[tokio::test]
async fn a_recorded_step_does_not_run_again_after_a_sleep_or_a_crash() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Pay>().await;
    let task = executor.spawn::<Pay>(250).await.unwrap();
    executor.settle().await;
    executor.crash().await;
    assert_eq!(executor.wait_for_output::<Pay>(task.task_id, None).await.unwrap(), "paid 250");
    assert_eq!(ledger.lines(), ["reserve", "charge"]);
}

task!(Flaky(failures: usize, ctx) -> usize {
    let ledger = Ledger::of(&ctx);
    ctx.step("first", || async { ledger.write("first"); Ok(()) }).await?;
    ctx.step("second", || async {
        ledger.write(format!("{} second", ctx.task_id));
        let tries = ledger.count(&format!("{} second", ctx.task_id));
        if tries <= failures { Err(StepError::new("not yet").details(tries)) } else { Ok(tries) }
    }).await
});

#[tokio::test]
async fn a_retry_keeps_what_succeeded_and_runs_what_failed_anew() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Flaky>().await;
    let before = executor.now();
    assert_eq!(executor.run::<Flaky>(2).await.unwrap(), 3);
    assert_eq!(ledger.count("first"), 1);
    assert_eq!(executor.now().since(before), Duration::from_secs(10), "twice the default of five seconds");
}

#[tokio::test]
async fn a_task_out_of_attempts_is_a_dead_letter_that_replays_from_its_last_success() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Flaky>().await;
    let task = executor.spawn_with_options::<Flaky>(2, attempts(2)).await.unwrap();
    let report = executor.wait_for(task.task_id, None).await.unwrap();
    assert_eq!((report.status, report.attempts), (TaskStatus::Failed, 2));
    let failure = report.failure.clone().unwrap();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Error, "step \"second\" failed: not yet"));
    assert_eq!(failure.details, 2);
    assert!(matches!(report.output::<usize>(), Err(DurableError::Failed { .. })));

    let letters = executor.list_dead_letters(10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.task_id).collect::<Vec<_>>(), [task.task_id]);
    let keep_counting = ReplayOptions { reset_attempts: false, ..ReplayOptions::default() };
    let run = executor.replay_dead_letter(task.task_id, keep_counting).await.unwrap();
    assert_ne!(run, task.run_id);
    assert_eq!(executor.wait_for_output::<Flaky>(task.task_id, None).await.unwrap(), 3);
    assert_eq!(ledger.count("first"), 1);
    assert!(executor.get_dead_letter(task.task_id).await.unwrap().is_none());
}

task!(Hopeless(permanent: bool, ctx) -> () {
    let ledger = Ledger::of(&ctx);
    ctx.step("try", || async {
        ledger.write("try");
        let error = StepError::new("no");
        Err::<(), _>(if permanent { error.permanent() } else { error.retry_after(Duration::from_secs(3_600)) })
    }).await
});

#[tokio::test]
async fn a_permanent_failure_is_tried_once() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Hopeless>().await;
    let error = executor.run::<Hopeless>(true).await.unwrap_err();
    assert!(error.to_string().ends_with("failed: step \"try\" failed: no"), "{error}");
    assert_eq!(ledger.count("try"), 1);
}

#[tokio::test]
async fn a_failure_says_itself_when_it_is_to_be_tried_again() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Hopeless>().await;
    let before = executor.now();
    let task = executor.spawn_with_options::<Hopeless>(false, attempts(3)).await.unwrap();
    executor.wait_for(task.task_id, None).await.unwrap();
    assert_eq!(ledger.count("try"), 3);
    assert_eq!(executor.now().since(before), Duration::from_secs(2 * 3_600));
}

#[tokio::test]
async fn delays_grow_as_the_strategy_says_and_none_means_one_attempt() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Flaky>().await;
    let doubling = RetryStrategy::Exponential {
        initial_delay: Duration::from_secs(1),
        factor: 2.0,
        max_delay: Duration::from_secs(3),
        jitter: 0.0,
    };
    let options = SpawnOptions { retry_strategy: Some(doubling), ..attempts(10) };
    let before = executor.now();
    let task = executor.spawn_with_options::<Flaky>(4, options).await.unwrap();
    assert_eq!(executor.wait_for_output::<Flaky>(task.task_id, None).await.unwrap(), 5);
    assert_eq!(executor.now().since(before), Duration::from_secs(1 + 2 + 3 + 3));

    let never = SpawnOptions { retry_strategy: Some(RetryStrategy::None), ..attempts(10) };
    let task = executor.spawn_with_options::<Flaky>(1, never).await.unwrap();
    let report = executor.wait_for(task.task_id, None).await.unwrap();
    assert_eq!((report.status, report.attempts), (TaskStatus::Failed, 1));
    assert_eq!(ledger.count("first"), 2);
}

task!(Compensates(nothing: (), ctx) -> String {
    let ledger = Ledger::of(&ctx);
    let shipped = ctx.step("ship", || async { ledger.write("ship"); Err::<(), _>(StepError::new("no truck")) }).await;
    let Err(TaskError::Step { name, failure }) = shipped else { return Ok("shipped".into()) };
    ctx.step("refund", || async { ledger.write("refund"); Ok(()) }).await?;
    ctx.sleep_for("let it settle", Duration::from_secs(60)).await?;
    Ok(format!("{name}: {failure}"))
});

#[tokio::test]
async fn a_failure_that_was_handled_is_handed_out_again_on_replay() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Compensates>().await;
    let task = executor.spawn::<Compensates>(()).await.unwrap();
    executor.settle().await;
    executor.crash().await;
    assert_eq!(executor.wait_for_output::<Compensates>(task.task_id, None).await.unwrap(), "ship: no truck");
    assert_eq!(ledger.lines(), ["ship", "refund"]);
}

task!(Panics(in_blocking: bool, ctx) -> () {
    if in_blocking {
        ctx.blocking("body", || -> Result<(), StepError> { panic!("in the pool") }).await
    } else {
        ctx.step("body", || async { panic!("in the body") }).await
    }
});

#[tokio::test]
async fn a_panic_in_a_body_fails_the_attempt_with_its_words() {
    let executor = Executor::new().await;
    executor.register::<Panics>().await;
    for (in_blocking, words) in [(false, "in the body"), (true, "in the pool")] {
        let task = executor.spawn_with_options::<Panics>(in_blocking, attempts(1)).await.unwrap();
        let failure = executor.wait_for(task.task_id, None).await.unwrap().failure.unwrap();
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Panic, words));
    }
}

task!(Blocks(nothing: (), ctx) -> u64 {
    let ledger = Ledger::of(&ctx);
    let sum = ctx.blocking("sum", move || { ledger.write("sum"); Ok((1..=10_u64).sum::<u64>()) }).await?;
    ctx.sleep_for("wait", Duration::from_secs(1)).await?;
    Ok(sum)
});

#[tokio::test]
async fn a_blocking_step_is_recorded_like_any_other() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Blocks>().await;
    assert_eq!(executor.run::<Blocks>(()).await.unwrap(), 55);
    assert_eq!(ledger.count("sum"), 1);
}

task!(Repeats(times: u32, ctx) -> Vec<u32> {
    let mut seen = Vec::new();
    for n in 0..times {
        seen.push(ctx.step("same name", || async move { Ok(n * n) }).await?);
    }
    ctx.sleep_for("wait", Duration::from_secs(1)).await?;
    Ok(seen)
});

#[tokio::test]
async fn calls_of_one_name_are_told_apart_by_their_order() {
    let executor = Executor::new().await;
    executor.register::<Repeats>().await;
    let task = executor.spawn::<Repeats>(4).await.unwrap();
    assert_eq!(executor.wait_for_output::<Repeats>(task.task_id, None).await.unwrap(), [0, 1, 4, 9]);
    let keys: Vec<_> = executor.recorded(task.task_id).await.unwrap().into_iter().map(|call| call.key).collect();
    assert_eq!(keys, ["same name", "same name#2", "same name#3", "same name#4", "wait"]);
}

#[derive(serde::Serialize, serde::Deserialize, Default)]
struct Lossy {
    kept: u32,
    #[serde(skip)]
    lost: u32,
}

task!(SeesWhatWasStored(nothing: (), ctx) -> u32 {
    let lossy = ctx.step("make", || async { Ok(Lossy { kept: 1, lost: 1 }) }).await?;
    Ok(lossy.kept * 10 + lossy.lost)
});

#[tokio::test]
async fn the_first_pass_sees_what_every_replay_will_see() {
    let executor = Executor::new().await;
    executor.register::<SeesWhatWasStored>().await;
    assert_eq!(executor.run::<SeesWhatWasStored>(()).await.unwrap(), 10);
}

task!(Together(nothing: (), ctx) -> (u32, u32, u32) {
    let ledger = Ledger::of(&ctx);
    let step = |name: &'static str, value: u32| {
        let ledger = ledger.clone();
        ctx.step(name, move || async move { ledger.write(name); tokio::task::yield_now().await; Ok(value) })
    };
    let both = tokio::try_join!(step("a", 1), step("b", 2), step("c", 3))?;
    ctx.sleep_for("wait", Duration::from_secs(1)).await?;
    Ok(both)
});

#[tokio::test]
async fn steps_run_side_by_side_under_join() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Together>().await;
    assert_eq!(executor.run::<Together>(()).await.unwrap(), (1, 2, 3));
    assert_eq!(ledger.lines(), ["a", "b", "c"]);
}

task!(Unwritable(nothing: (), ctx) -> () {
    let ledger = Ledger::of(&ctx);
    let made = ctx.step("make", || async {
        ledger.write("make");
        Ok(std::collections::HashMap::from([((1, 2), 3)])) // JSON has no such keys
    });
    made.await.map(drop)
});

#[tokio::test]
async fn a_result_that_json_cannot_hold_fails_for_good_and_says_so() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Unwritable>().await;
    let error = executor.run::<Unwritable>(()).await.unwrap_err().to_string();
    assert!(error.contains("cannot be written as JSON"), "{error}");
    assert_eq!(ledger.count("make"), 1);
}

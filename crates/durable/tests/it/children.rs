//! Calling other tasks: their outputs and failures, fan-out, races, what they have of their parent, and what becomes
//! of them when it ends.

use std::time::Duration;

use durable::testing::Executor;
use durable::{Durable, RetryStrategy, SpawnOptions, StepError, Task, TaskError, TaskStatus};
use serde_json::{Map, json};

use crate::ledger::{Ledger, executor_with_ledger};

task!(Double(n: u64, ctx) -> u64 {
    let ledger = Ledger::of(&ctx);
    ctx.step("double", || async { ledger.write(format!("double {n}")); Ok(2 * n) }).await
});

task!(Parent(n: u64, ctx) -> u64 {
    let one = ctx.spawn::<Double>("one", n, SpawnOptions::default()).await?;
    let two = ctx.spawn::<Double>("two", n + 1, SpawnOptions::default()).await?;
    assert_ne!(one.task_id(), two.task_id());
    let (two, one) = (ctx.join(two).await?, ctx.join(one).await?);
    ctx.sleep_for("wait", Duration::from_secs(60)).await?;
    Ok(one + two)
});

#[tokio::test]
async fn children_are_run_once_and_joined_in_any_order() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Parent>().await;
    executor.register::<Double>().await;
    let task = executor.spawn::<Parent>(3).await.unwrap();
    executor.settle().await;
    executor.crash().await;
    assert_eq!(executor.wait_for_output::<Parent>(task.task_id, None).await.unwrap(), 14);
    assert_eq!((ledger.count("double 3"), ledger.count("double 4")), (1, 1));
}

task!(Fails(attempts: u32, ctx) -> u32 {
    let ledger = Ledger::of(&ctx);
    ledger.write("attempt");
    Err(TaskError::user("broken", json!({ "code": 7 })))
});

task!(Forgives(attempts: u32, ctx) -> String {
    let options = SpawnOptions {
        max_attempts: Some(attempts),
        retry_strategy: Some(RetryStrategy::Fixed { delay: Duration::from_secs(1) }),
        ..SpawnOptions::default()
    };
    let child = ctx.spawn::<Fails>("child", attempts, options).await?;
    let child_id = child.task_id();
    match ctx.join(child).await {
        Err(TaskError::Child { name, task_id, failure }) => {
            assert_eq!(task_id, child_id);
            Ok(format!("{name}: {failure} {}", failure.details["code"]))
        }
        other => other.map(|_| String::new()),
    }
});

#[tokio::test]
async fn a_childs_failure_reaches_its_parent_after_its_own_retries_and_can_be_handled() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Forgives>().await;
    executor.register::<Fails>().await;
    assert_eq!(executor.run::<Forgives>(3).await.unwrap(), "child: broken 7");
    assert_eq!(ledger.count("attempt"), 3);
}

task!(MapsAll(numbers: Vec<u64>, ctx) -> Vec<u64> {
    ctx.map::<Double>("double", numbers).concurrency(3).await
});

#[tokio::test]
async fn a_fan_out_keeps_the_order_and_runs_each_child_once() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<MapsAll>().await;
    executor.register::<Double>().await;
    let output = executor.run::<MapsAll>((0..20).collect()).await.unwrap();
    assert_eq!(output, (0..20).map(|n| 2 * n).collect::<Vec<_>>());
    assert_eq!(ledger.lines().len(), 20);
    assert!(executor.run::<MapsAll>(vec![]).await.unwrap().is_empty());
}

task!(Odd(n: u64, ctx) -> u64 {
    let ledger = Ledger::of(&ctx);
    ledger.write(format!("odd {n}"));
    ctx.sleep_for("a while", Duration::from_secs(n)).await?;
    if n.is_multiple_of(2) { Err(TaskError::from(format!("{n} is even")).permanent()) } else { Ok(n) }
});

task!(MapsOrFails(numbers: Vec<u64>, ctx) -> Vec<u64> {
    ctx.map::<Odd>("odd", numbers).concurrency(2).await
});

task!(CollectsAll(numbers: Vec<u64>, ctx) -> Vec<String> {
    let outcomes = ctx.map::<Odd>("odd", numbers).concurrency(2).collect_all().await?;
    Ok(outcomes.into_iter().map(|outcome| outcome.map_or_else(|e| e.to_string(), |n| n.to_string())).collect())
});

#[tokio::test]
async fn a_fan_out_ends_with_its_first_failure_and_starts_nothing_more() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<MapsOrFails>().await;
    executor.register::<Odd>().await;
    let once = SpawnOptions { max_attempts: Some(1), ..SpawnOptions::default() };
    let task = executor.spawn_with_options::<MapsOrFails>(vec![9, 2, 3, 5], once).await.unwrap();
    let error = executor.wait_for_output::<MapsOrFails>(task.task_id, None).await.unwrap_err().to_string();
    assert!(error.contains("child \"odd\" failed: 2 is even"), "{error}");
    assert_eq!((ledger.count("odd 3"), ledger.count("odd 5")), (0, 0));
}

#[tokio::test]
async fn a_fan_out_that_collects_all_gives_each_outcome_in_its_place() {
    let (executor, _) = executor_with_ledger().await;
    executor.register::<CollectsAll>().await;
    executor.register::<Odd>().await;
    let output = executor.run::<CollectsAll>(vec![5, 2, 1]).await.unwrap();
    assert_eq!(output, ["5", "child \"odd\" failed: 2 is even", "1"]);
}

task!(Slow(seconds: u64, ctx) -> u64 {
    ctx.sleep_for("a while", Duration::from_secs(seconds)).await?;
    Ok(seconds)
});

task!(RacesChildren(nothing: (), ctx) -> (u64, u64) {
    let slow = ctx.spawn::<Slow>("slow", 20, SpawnOptions::default()).await?;
    let fast = ctx.spawn::<Slow>("fast", 10, SpawnOptions::default()).await?;
    let winner = tokio::select! {
        slow = ctx.join(slow) => slow?,
        fast = ctx.join(fast) => fast?,
    };
    let later = ctx.step("note the winner", || async move { Ok(winner) }).await?;
    ctx.sleep_for("until both are done", Duration::from_secs(60)).await?;
    Ok((winner, later))
});

#[tokio::test]
async fn a_race_of_two_children_comes_out_the_same_after_a_crash() {
    let executor = Executor::new().await;
    executor.register::<RacesChildren>().await;
    executor.register::<Slow>().await;
    let task = executor.spawn::<RacesChildren>(()).await.unwrap();
    executor.advance(Duration::from_secs(30)).await;
    executor.crash().await;
    assert_eq!(executor.wait_for_output::<RacesChildren>(task.task_id, None).await.unwrap(), (10, 10));
}

task!(ShowsItself(nothing: (), ctx) -> (Map<String, serde_json::Value>, bool) {
    Ok((ctx.headers(), ctx.attempt == 1))
});

task!(HandsDown(nothing: (), ctx) -> (Map<String, serde_json::Value>, Map<String, serde_json::Value>) {
    let inherited = ctx.spawn::<ShowsItself>("inherits", (), SpawnOptions::default()).await?;
    let own = Map::from_iter([("tenant".to_owned(), json!("own"))]);
    let own = ctx.spawn::<ShowsItself>("own", (), SpawnOptions { headers: Some(own), ..Default::default() }).await?;
    Ok((ctx.join(inherited).await?.0, ctx.join(own).await?.0))
});

#[tokio::test]
async fn a_child_has_its_parents_queue_priority_and_headers_unless_it_is_given_its_own() {
    let executor = Executor::new().await;
    executor.register::<HandsDown>().await;
    executor.register::<ShowsItself>().await;
    let headers = Map::from_iter([("tenant".to_owned(), json!("acme"))]);
    let options = SpawnOptions {
        headers: Some(headers.clone()),
        queue: Some("vip".into()),
        priority: Some(7),
        ..SpawnOptions::default()
    };
    let task = executor.spawn_with_options::<HandsDown>((), options).await.unwrap();
    let (inherited, own) = executor.wait_for_output::<HandsDown>(task.task_id, None).await.unwrap();
    assert_eq!(inherited, headers);
    assert_eq!(own["tenant"], "own");
    let children: Vec<_> = executor.recorded(task.task_id).await.unwrap();
    assert_eq!(children.len(), 2);
}

task!(AsksTooMuch(what: u8, ctx) -> String {
    let options = match what {
        0 => SpawnOptions { idempotency_key: Some("k".into()), ..Default::default() },
        1 => SpawnOptions { cancellation: Some(Default::default()), ..Default::default() },
        _ => SpawnOptions { expiry: Some(Duration::from_secs(1)), ..Default::default() },
    };
    match ctx.spawn::<Slow>("child", 1, options).await {
        Err(TaskError::Invalid(failure)) => Ok(failure.message),
        _ => Ok("accepted".into()),
    }
});

#[tokio::test]
async fn options_of_executions_are_refused_for_children_by_name() {
    let executor = Executor::new().await;
    executor.register::<AsksTooMuch>().await;
    for (what, option) in ["idempotency_key", "cancellation", "expiry"].into_iter().enumerate() {
        let words = executor.run::<AsksTooMuch>(u8::try_from(what).unwrap()).await.unwrap();
        assert!(words.starts_with(&format!("the option `{option}`")), "{words}");
    }
}

task!(Abandons(nothing: (), ctx) -> durable::TaskId {
    let child = ctx.spawn::<Slow>("slow", 3_600, SpawnOptions::default()).await?;
    ctx.sleep_for("let it begin", Duration::from_secs(1)).await?;
    Ok(child.task_id())
});

#[tokio::test]
async fn a_child_that_still_runs_when_its_parent_ends_is_cancelled() {
    let executor = Executor::new().await;
    executor.register::<Abandons>().await;
    executor.register::<Slow>().await;
    let child = executor.run::<Abandons>(()).await.unwrap();
    let report = executor.get_task_result(child).await.unwrap().unwrap();
    assert_eq!((report.status, report.name.as_str()), (TaskStatus::Cancelled, Slow::NAME));
}

task!(Dispatches(nothing: (), ctx) -> (durable::TaskId, bool, bool) {
    let keyed = || SpawnOptions { idempotency_key: Some("one survey".into()), ..Default::default() };
    let first = ctx.dispatch::<Slow>(3_600, keyed()).await?;
    let second = ctx.dispatch::<Slow>(3_600, keyed()).await?;
    ctx.sleep_for("and is replayed", Duration::from_secs(1)).await?;
    assert_eq!(first.task_id, second.task_id);
    Ok((first.task_id, first.created, second.created))
});

#[tokio::test]
async fn a_dispatched_execution_goes_on_by_itself_and_is_started_once() {
    let executor = Executor::new().await;
    executor.register::<Dispatches>().await;
    executor.register::<Slow>().await;
    let (survey, first, second) = executor.run::<Dispatches>(()).await.unwrap();
    assert_eq!((first, second), (true, false));
    assert_eq!(executor.wait_for_output::<Slow>(survey, None).await.unwrap(), 3_600);
}

task!(Recurses(depth: u32, ctx) -> u32 {
    if depth == 0 {
        return Ok(0);
    }
    let deeper = ctx.spawn::<Recurses>("deeper", depth - 1, SpawnOptions::default()).await?;
    Ok(1 + ctx.join(deeper).await?)
});

#[tokio::test]
async fn tasks_call_themselves_to_any_depth() {
    let executor = Executor::new().await;
    executor.register::<Recurses>().await;
    assert_eq!(executor.run::<Recurses>(30).await.unwrap(), 30);
}

task!(RetriesItsChild(nothing: (), ctx) -> u32 {
    let ledger = Ledger::of(&ctx);
    let once = SpawnOptions { max_attempts: Some(1), ..Default::default() };
    let child = ctx.spawn::<FailsOnce>("child", (), once).await?;
    ledger.write(child.task_id().to_string());
    ctx.join(child).await
});

task!(FailsOnce(nothing: (), ctx) -> u32 {
    let ledger = Ledger::of(&ctx);
    ctx.step("body", || async {
        ledger.write("body");
        if ledger.count("body") == 1 { Err(StepError::new("once")) } else { Ok(1) }
    }).await
});

#[tokio::test]
async fn a_retry_calls_a_failed_child_anew_as_another_task() {
    let ledger = Ledger::default();
    let builder = Durable::builder()
        .state(ledger.clone())
        .default_retry_strategy(RetryStrategy::Fixed { delay: Duration::from_secs(1) });
    let executor = Executor::with(builder).await.unwrap();
    executor.register::<RetriesItsChild>().await;
    executor.register::<FailsOnce>().await;
    assert_eq!(executor.run::<RetriesItsChild>(()).await.unwrap(), 1);
    assert_eq!(ledger.count("body"), 2);
    let mut children: Vec<_> = ledger.lines().into_iter().filter(|line| line != "body").collect();
    children.sort();
    children.dedup();
    assert_eq!(children.len(), 2, "a failed child is not asked again");
}

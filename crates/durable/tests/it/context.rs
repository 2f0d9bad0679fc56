//! What a task knows of itself and carries along: ids, chance and time that are the same on every replay, headers,
//! the application's state, counters, branches; and that it cannot get away with swallowing a stop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use durable::testing::Executor;
use durable::{Durable, Number, TaskError, TaskStatus};

use crate::ledger::{Ledger, executor_with_ledger};

task!(Draws(nothing: (), ctx) -> (String, String) {
    let ledger = Ledger::of(&ctx);
    let draw = || format!("{} {} {} {}", ctx.rand(), ctx.rand(), ctx.uuid7(), ctx.uuid7());
    let drawn = format!("{} {:?} {} {}", draw(), ctx.now()?, ctx.task_id, ctx.run_id);
    ledger.write(&drawn);
    ctx.sleep_for("and is replayed", Duration::from_secs(60)).await?;
    Ok((drawn, format!("{:?}", ctx.now()?)))
});

#[tokio::test]
async fn chance_ids_and_the_time_are_the_same_on_every_replay() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Draws>().await;
    let task = executor.spawn::<Draws>(()).await.unwrap();
    executor.settle().await;
    executor.crash().await;
    let (drawn, _) = executor.wait_for_output::<Draws>(task.task_id, None).await.unwrap();
    let seen = ledger.lines();
    assert!(seen.len() >= 2, "the code ran more than once");
    assert!(seen.iter().all(|line| *line == drawn), "{seen:#?}");
    let parts: Vec<_> = drawn.split(' ').collect();
    assert_ne!(parts[0], parts[1]);
    assert_ne!(parts[2], parts[3]);
    assert_eq!(parts[2].as_bytes()[14], b'7', "a UUIDv7");
    assert_eq!(parts[5], task.task_id.to_string());
    assert_eq!(parts[6], task.run_id.to_string());
    assert!((0.0..1.0).contains(&parts[0].parse::<f64>().unwrap()));
}

struct Pool(&'static str);

task!(UsesApp(nothing: (), ctx) -> (String, String) {
    let pool: Arc<Pool> = ctx.app::<Pool>()?;
    let missing = ctx.app::<Vec<u8>>().unwrap_err();
    Ok((pool.0.into(), missing.to_string()))
});

#[tokio::test]
async fn the_applications_state_reaches_tasks_and_what_is_missing_is_named() {
    let executor = Executor::with(Durable::builder().state(Pool("first")).state(Pool("second"))).await.unwrap();
    executor.register::<UsesApp>().await;
    let (found, missing) = executor.run::<UsesApp>(()).await.unwrap();
    assert_eq!(found, "second");
    assert!(missing.contains("alloc::vec::Vec<u8>") && missing.contains(".state("), "{missing}");
}

task!(Counts(nothing: (), ctx) -> (f64, Option<Number>, Option<String>) {
    let counters = ctx.counters();
    counters.ensure([("seen", 10_i64)]).await?;
    counters.add("seen", 1_i64).await?;
    ctx.sleep_for("and is replayed", Duration::from_secs(1)).await?;
    let sum = counters.add("seen", 0.5).await?;
    ctx.state().ensure("phase", "first").await?;
    ctx.state().ensure("phase", "unused").await?;
    let before = ctx.state().get::<String>("phase").await?;
    ctx.state().set("phase", "second").await?;
    assert_eq!(counters.get("absent").await?, None);
    Ok((sum.as_f64(), counters.get("seen").await?, before))
});

#[tokio::test]
async fn counters_and_state_change_once_however_often_the_code_is_replayed() {
    let executor = Executor::new().await;
    executor.register::<Counts>().await;
    let output = executor.run::<Counts>(()).await.unwrap();
    assert_eq!(output, (11.5, Some(Number::Real(11.5)), Some("first".into())));
}

task!(Branches(nothing: (), ctx) -> (u32, u32, u32) {
    let (left, right) = (ctx.branch("side")?, ctx.branch("side")?);
    let left = tokio::spawn(async move { left.step("work", || async { Ok(1) }).await });
    let right = tokio::spawn(async move { right.step("work", || async { Ok(2) }).await });
    let own = ctx.step("work", || async { Ok(3) }).await?;
    let sides = (left.await??, right.await??);
    ctx.sleep_for("and is replayed", Duration::from_secs(1)).await?;
    Ok((sides.0, sides.1, own))
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn branches_on_other_threads_each_get_their_own_record() {
    let executor = Executor::new().await;
    executor.register::<Branches>().await;
    for _ in 0..20 {
        let task = executor.spawn::<Branches>(()).await.unwrap();
        assert_eq!(executor.wait_for_output::<Branches>(task.task_id, None).await.unwrap(), (1, 2, 3));
        let recorded = executor.recorded(task.task_id).await.unwrap();
        let keys: BTreeSet<_> = recorded.iter().map(|call| call.key.as_str()).collect();
        assert_eq!(keys, BTreeSet::from(["work", "side/work", "side#2/work", "and is replayed"]));
    }
}

task!(Swallows(nothing: (), ctx) -> String {
    let ledger = Ledger::of(&ctx);
    if ctx.sleep_for("a day", Duration::from_secs(86_400)).await.is_err() {
        // Swallowed. Nothing of what follows may be recorded.
        let after = ctx.step("after", || async { ledger.write("after"); Ok(()) }).await;
        ledger.write(format!("{}", after.is_err_and(|error| error.is_control())));
        return Ok("swallowed".into());
    }
    Ok("slept".into())
});

#[tokio::test]
async fn code_that_swallows_a_suspension_gets_nothing_recorded() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Swallows>().await;
    let before = executor.now();
    assert_eq!(executor.run::<Swallows>(()).await.unwrap(), "slept");
    assert_eq!(executor.now().since(before), Duration::from_secs(86_400));
    assert_eq!(ledger.lines(), ["true"], "the code was stopped once, and its body did not run");
}

task!(Invents(nothing: (), ctx) -> () {
    Err(TaskError::Control(durable::ControlFlow::Suspend))
});

#[tokio::test]
async fn control_flow_that_the_engine_did_not_send_is_a_failure() {
    let executor = Executor::with(Durable::builder().default_max_attempts(1)).await.unwrap();
    executor.register::<Invents>().await;
    let task = executor.spawn::<Invents>(()).await.unwrap();
    let report = executor.wait_for(task.task_id, None).await.unwrap();
    assert_eq!(report.status, TaskStatus::Failed);
    assert!(report.failure.unwrap().message.contains("control flow"));
}

task!(Heartbeats(nothing: (), ctx) -> bool {
    ctx.heartbeat(Duration::from_secs(60)).await?;
    let again = ctx.is_replaying();
    ctx.step("first", || async { Ok(()) }).await?;
    ctx.sleep_for("and is replayed", Duration::from_secs(1)).await?;
    Ok(again && !ctx.is_replaying())
});

#[tokio::test]
async fn code_can_tell_that_it_is_replayed() {
    let executor = Executor::new().await;
    executor.register::<Heartbeats>().await;
    assert!(executor.run::<Heartbeats>(()).await.unwrap());
}

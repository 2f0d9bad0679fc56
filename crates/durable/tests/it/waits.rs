//! Times, events and signals: before and after the wait, in time and late, in order.

use std::time::{Duration, SystemTime};

use durable::testing::Executor;
use durable::{DurableError, SpawnOptions, TaskError, TaskStatus, Timestamp};
use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_secs(86_400);

task!(Sleeps(days: u64, ctx) -> u64 {
    let began = ctx.now()?;
    ctx.sleep_for("days", DAY * u32::try_from(days)?).await?;
    Ok(ctx.now()?.since(began).as_secs() / 86_400)
});

#[tokio::test]
async fn a_sleep_of_a_month_takes_no_time_and_is_exact() {
    let executor = Executor::new().await;
    executor.register::<Sleeps>().await;
    let (began, before) = (std::time::Instant::now(), executor.now());
    assert_eq!(executor.run::<Sleeps>(30).await.unwrap(), 30);
    assert_eq!(executor.now().since(before), 30 * DAY);
    assert!(began.elapsed() < Duration::from_secs(60), "time is not skipped");
}

task!(SleepsUntil(at: i64, ctx) -> i64 {
    let time: SystemTime = Timestamp::from_micros(at).into();
    ctx.sleep_until("then", time).await?;
    Ok(ctx.now()?.as_micros())
});

#[tokio::test]
async fn a_sleep_until_a_time_ends_at_it_and_one_that_has_passed_does_not_sleep() {
    let executor = Executor::new().await;
    executor.register::<SleepsUntil>().await;
    let then = (executor.now() + 3 * DAY).as_micros();
    assert_eq!(executor.run::<SleepsUntil>(then).await.unwrap(), then);
    let now = executor.now();
    assert_eq!(executor.run::<SleepsUntil>(0).await.unwrap(), now.as_micros());
}

task!(SleepsByCalendars(nothing: (), ctx) -> i64 {
    let now = ctx.now()?;
    ctx.sleep_until("jiff", jiff::Timestamp::from(now + DAY)).await?;
    ctx.sleep_until("jiff in a zone", jiff::Timestamp::from(now + 2 * DAY).to_zoned(jiff::tz::TimeZone::UTC)).await?;
    ctx.sleep_until("chrono", chrono::DateTime::<chrono::Utc>::from(now + 3 * DAY)).await?;
    Ok(ctx.now()?.as_micros())
});

#[tokio::test]
async fn a_sleep_takes_times_of_jiff_and_of_chrono() {
    let executor = Executor::new().await;
    executor.register::<SleepsByCalendars>().await;
    let then = (executor.now() + 3 * DAY).as_micros();
    assert_eq!(executor.run::<SleepsByCalendars>(()).await.unwrap(), then);
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Packed {
    tracking: String,
}

task!(Ships(timeout_days: Option<u32>, ctx) -> String {
    let timeout = timeout_days.map(|days| DAY * days);
    match ctx.await_event::<Packed>("packed", timeout).await {
        Ok(packed) => Ok(packed.tracking),
        Err(TaskError::Timeout { name }) => Ok(format!("no {name}")),
        Err(error) => Err(error),
    }
});

#[tokio::test]
async fn an_event_reaches_a_wait_that_is_there_and_one_that_comes_later() {
    let executor = Executor::new().await;
    executor.register::<Ships>().await;
    let early = executor.spawn::<Ships>(None).await.unwrap();
    executor.settle().await;
    executor.emit_event("packed", &Packed { tracking: "1Z".into() }, None).await.unwrap();
    assert_eq!(executor.wait_for_output::<Ships>(early.task_id, None).await.unwrap(), "1Z");
    executor.advance(20 * DAY).await;
    assert_eq!(executor.run::<Ships>(None).await.unwrap(), "1Z");
}

#[tokio::test]
async fn an_event_that_does_not_come_in_time_is_a_timeout_that_the_code_catches() {
    let executor = Executor::new().await;
    executor.register::<Ships>().await;
    let before = executor.now();
    assert_eq!(executor.run::<Ships>(Some(7)).await.unwrap(), "no packed");
    assert_eq!(executor.now().since(before), 7 * DAY);
}

task!(ShipsOrFails(nothing: (), ctx) -> Packed {
    ctx.await_event("packed", Some(DAY)).await
});

#[tokio::test]
async fn a_timeout_that_nobody_catches_fails_the_task_with_its_kind() {
    let executor = Executor::new().await;
    executor.register::<ShipsOrFails>().await;
    let once = SpawnOptions { max_attempts: Some(1), ..SpawnOptions::default() };
    let task = executor.spawn_with_options::<ShipsOrFails>((), once).await.unwrap();
    let failure = executor.wait_for(task.task_id, None).await.unwrap().failure.unwrap();
    assert_eq!(failure.kind, durable::FailureKind::Timeout);
    assert!(failure.message.contains("\"packed\""), "{failure}");
}

#[tokio::test]
async fn an_event_that_does_not_fit_its_type_fails_for_good() {
    let executor = Executor::new().await;
    executor.register::<ShipsOrFails>().await;
    executor.emit_event("packed", &7, None).await.unwrap();
    let task = executor.spawn::<ShipsOrFails>(()).await.unwrap();
    let report = executor.wait_for(task.task_id, None).await.unwrap();
    assert_eq!((report.status, report.attempts), (TaskStatus::Failed, 1));
    assert_eq!(report.failure.unwrap().kind, durable::FailureKind::Payload);
}

#[tokio::test]
async fn an_event_of_another_queue_is_another_event() {
    let executor = Executor::new().await;
    executor.register::<Ships>().await;
    executor.emit_event("packed", &Packed { tracking: "elsewhere".into() }, Some("elsewhere")).await.unwrap();
    assert_eq!(executor.run::<Ships>(Some(1)).await.unwrap(), "no packed");
    let elsewhere = SpawnOptions { queue: Some("elsewhere".into()), ..SpawnOptions::default() };
    let task = executor.spawn_with_options::<Ships>(Some(1), elsewhere).await.unwrap();
    assert_eq!(executor.wait_for_output::<Ships>(task.task_id, None).await.unwrap(), "elsewhere");
}

task!(TakesTwo(nothing: (), ctx) -> (u32, u32) {
    Ok((ctx.await_event("n", None).await?, ctx.await_event("n", None).await?))
});

task!(EmitsTwo(nothing: (), ctx) -> () {
    ctx.emit_event("n", &1).await?;
    ctx.sleep_for("a while", DAY).await?;
    ctx.emit_event("n", &2).await
});

#[tokio::test]
async fn a_task_emits_each_event_once_however_often_it_is_replayed() {
    let executor = Executor::new().await;
    executor.register::<TakesTwo>().await;
    executor.register::<EmitsTwo>().await;
    executor.run::<EmitsTwo>(()).await.unwrap();
    assert_eq!(executor.run::<TakesTwo>(()).await.unwrap(), (1, 2));
}

task!(CountsSignals(many: u32, ctx) -> Vec<u32> {
    let mut seen = Vec::new();
    for _ in 0..many {
        seen.push(ctx.wait_for_signal("n", Some(DAY)).await?);
    }
    Ok(seen)
});

task!(Sends(to: durable::TaskId, ctx) -> () {
    for n in 0..3 {
        ctx.signal(to, "n", &n).await?;
    }
    Ok(())
});

#[tokio::test]
async fn signals_of_one_name_go_to_the_waits_for_it_in_order() {
    let executor = Executor::new().await;
    executor.register::<CountsSignals>().await;
    executor.register::<Sends>().await;
    let counting = executor.spawn::<CountsSignals>(4).await.unwrap();
    executor.run::<Sends>(counting.task_id).await.unwrap();
    executor.settle().await;
    executor.crash().await;
    executor.signal(counting.task_id, "n", &3).await.unwrap();
    let seen = executor.wait_for_output::<CountsSignals>(counting.task_id, None).await.unwrap();
    assert_eq!(seen, [0, 1, 2, 3]);
    let late = executor.signal(counting.task_id, "n", &4).await.unwrap_err();
    assert_eq!(late.already_ended(), Some(TaskStatus::Completed));
    let unknown = "01900000-0000-7000-8000-000000000000".parse().unwrap();
    assert!(matches!(executor.signal(unknown, "n", &0).await, Err(DurableError::UnknownTask)));
}

task!(SendsToNobody(to: durable::TaskId, ctx) -> bool {
    Ok(matches!(ctx.signal(to, "n", &0).await, Err(TaskError::Refused { .. })))
});

#[tokio::test]
async fn a_signal_to_nobody_is_a_refusal_that_the_code_sees() {
    let executor = Executor::new().await;
    executor.register::<SendsToNobody>().await;
    let unknown = "01900000-0000-7000-8000-000000000000".parse().unwrap();
    assert!(executor.run::<SendsToNobody>(unknown).await.unwrap());
}

task!(Races(nothing: (), ctx) -> String {
    let winner = tokio::select! {
        event = ctx.await_event::<String>("answer", None) => event?,
        late = ctx.sleep_for("patience", DAY) => { late?; "patience".into() }
    };
    ctx.step("note", || async { Ok(()) }).await?;
    ctx.sleep_for("then", DAY).await?;
    Ok(winner)
});

#[tokio::test]
async fn a_race_takes_the_same_way_again_although_both_are_ready_by_then() {
    let executor = Executor::new().await;
    executor.register::<Races>().await;
    let task = executor.spawn::<Races>(()).await.unwrap();
    executor.advance(DAY + Duration::from_secs(1)).await;
    executor.emit_event("answer", "too late", None).await.unwrap();
    executor.crash().await;
    assert_eq!(executor.wait_for_output::<Races>(task.task_id, None).await.unwrap(), "patience");
}

task!(Misnames(name: String, ctx) -> () {
    ctx.sleep_for(&name, DAY).await
});

#[tokio::test]
async fn an_odd_name_is_refused_by_the_validator_and_fails_for_good() {
    let executor = Executor::new().await;
    executor.register::<Misnames>().await;
    for (name, words) in [("", "must not be empty"), ("a\nb", "control characters"), (" a", "blank")] {
        let task = executor.spawn::<Misnames>(name.into()).await.unwrap();
        let report = executor.wait_for(task.task_id, None).await.unwrap();
        let failure = report.failure.unwrap();
        assert!(failure.permanent && failure.message.contains(words), "{failure}");
        assert!(failure.message.starts_with("the timer name"), "{failure}");
    }
}

//! What a client can ask: starts with options, keys, deadlines, cancels, waits, queues; and how it says no.

use std::time::Duration;

use durable::testing::Executor;
use durable::{CancellationPolicy, Durable, DurableError, SpawnOptions, Task, TaskStatus, WorkerOptions};
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3_600);

task!(Waits(hours: u32, ctx) -> u32 {
    ctx.sleep_for("hours", HOUR * hours).await?;
    Ok(hours)
});

async fn executor() -> Executor {
    let executor = Executor::new().await;
    executor.register::<Waits>().await;
    executor
}

#[tokio::test]
async fn a_start_key_gives_one_execution_ever() {
    let executor = executor().await;
    let keyed = || SpawnOptions { idempotency_key: Some("order 7".into()), ..SpawnOptions::default() };
    let first = executor.spawn_with_options::<Waits>(1, keyed()).await.unwrap();
    let second = executor.spawn_with_options::<Waits>(2, keyed()).await.unwrap();
    assert_eq!((first.created, second.created), (true, false));
    assert_eq!((first.task_id, first.run_id), (second.task_id, second.run_id));
    assert_eq!(executor.wait_for_output::<Waits>(second.task_id, None).await.unwrap(), 1);
    assert_eq!(executor.spawn_with_options::<Waits>(3, keyed()).await.unwrap().task_id, first.task_id);
}

#[tokio::test]
async fn a_delayed_task_starts_when_its_delay_is_over() {
    let executor = executor().await;
    let before = executor.now();
    let delayed = SpawnOptions { delay: Some(HOUR * 5), ..SpawnOptions::default() };
    let task = executor.spawn_with_options::<Waits>(0, delayed).await.unwrap();
    executor.settle().await;
    let report = executor.get_task_result(task.task_id).await.unwrap().unwrap();
    assert_eq!((report.status, report.attempts), (TaskStatus::Pending, 0));
    let report = executor.wait_for(task.task_id, None).await.unwrap();
    assert_eq!(report.started_at.unwrap().since(before), HOUR * 5);
}

#[tokio::test]
async fn many_are_started_at_once_in_the_order_they_were_given() {
    let executor = executor().await;
    let all = executor.spawn_all::<Waits>((0..100).collect()).await.unwrap();
    assert!(all.windows(2).all(|pair| pair[0].task_id < pair[1].task_id));
    for (hours, spawned) in all.iter().enumerate().step_by(33) {
        let output = executor.wait_for_output::<Waits>(spawned.task_id, None).await.unwrap();
        assert_eq!(output as usize, hours);
    }
    let keyed = SpawnOptions { idempotency_key: Some("k".into()), ..SpawnOptions::default() };
    assert!(matches!(
        executor.spawn_all_with_options::<Waits>(vec![1], keyed).await,
        Err(DurableError::Option { option: "idempotency_key", .. })
    ));
}

#[tokio::test]
async fn a_cancelled_task_stops_and_a_second_cancel_says_that_it_has_ended() {
    let executor = executor().await;
    let task = executor.spawn::<Waits>(100).await.unwrap();
    executor.settle().await;
    executor.cancel_task(task.task_id).await.unwrap();
    let report = executor.wait_for(task.task_id, None).await.unwrap();
    assert_eq!(report.status, TaskStatus::Cancelled);
    let error = report.output::<u32>().unwrap_err();
    assert!(matches!(&error, DurableError::Failed { status: TaskStatus::Cancelled, .. }));
    assert!(error.to_string().contains("was cancelled"), "{error}");
    let again = executor.cancel_task(task.task_id).await.unwrap_err();
    assert_eq!(again.already_ended(), Some(TaskStatus::Cancelled));
    assert!(matches!(executor.cancel_task(unknown()).await, Err(DurableError::UnknownTask)));
}

fn unknown() -> durable::TaskId {
    "01900000-0000-7000-8000-000000000000".parse().unwrap()
}

#[tokio::test]
async fn a_policy_cancels_what_runs_too_long_and_an_expiry_times_it_out() {
    let executor = executor().await;
    let two_hours = CancellationPolicy { max_running_time: Some(HOUR * 2), max_pending_time: None };
    let short = SpawnOptions { cancellation: Some(two_hours), ..SpawnOptions::default() };
    let task = executor.spawn_with_options::<Waits>(3, short).await.unwrap();
    assert_eq!(executor.wait_for(task.task_id, None).await.unwrap().status, TaskStatus::Cancelled);
    let expiring = SpawnOptions { expiry: Some(HOUR * 2), ..SpawnOptions::default() };
    let task = executor.spawn_with_options::<Waits>(3, expiring).await.unwrap();
    let report = executor.wait_for(task.task_id, None).await.unwrap();
    assert_eq!(report.status, TaskStatus::TimedOut);
    assert!(report.output::<u32>().unwrap_err().to_string().contains("ran out of time"));
}

#[tokio::test]
async fn the_clients_own_policy_and_attempts_apply_where_the_options_say_nothing() {
    let policy = CancellationPolicy { max_pending_time: Some(HOUR), max_running_time: None };
    let executor = Executor::with(Durable::builder().default_cancellation(policy)).await.unwrap();
    let task = executor.spawn_by_name("known to nobody", json!(null), SpawnOptions::default()).await.unwrap();
    assert_eq!(executor.wait_for(task.task_id, None).await.unwrap().status, TaskStatus::Cancelled);
    let refused = Executor::with(Durable::builder().default_max_attempts(0)).await.unwrap_err();
    assert!(matches!(refused, DurableError::Option { option: "max_attempts", .. }));
}

#[tokio::test]
async fn a_wait_ends_at_its_timeout_and_the_task_goes_on() {
    let executor = executor().await;
    let task = executor.spawn::<Waits>(5).await.unwrap();
    let before = executor.now();
    let late = executor.wait_for(task.task_id, Some(HOUR)).await.unwrap_err();
    assert!(matches!(late, DurableError::TimedOut) && late.is_transient());
    assert_eq!(executor.now().since(before), HOUR);
    assert_eq!(executor.wait_for_output::<Waits>(task.task_id, None).await.unwrap(), 5);
    assert!(matches!(executor.wait_for(unknown(), None).await, Err(DurableError::UnknownTask)));
    assert!(executor.get_task_result(unknown()).await.unwrap().is_none());
}

task!(Calls(hours: u32, ctx) -> durable::TaskId {
    let child = ctx.spawn::<Waits>("child", hours, SpawnOptions::default()).await?;
    let id = child.task_id();
    ctx.join(child).await?;
    Ok(id)
});

#[tokio::test]
async fn a_child_is_asked_after_by_its_id_but_waited_for_through_its_execution() {
    let executor = executor().await;
    executor.register::<Calls>().await;
    let root = executor.spawn::<Calls>(1).await.unwrap().task_id;
    let child = executor.wait_for_output::<Calls>(root, None).await.unwrap();
    let report = executor.get_task_result(child).await.unwrap().unwrap();
    assert_eq!((report.status, report.output::<u32>().unwrap()), (TaskStatus::Completed, 1));
    match executor.wait_for(child, None).await {
        Err(DurableError::Child { execution }) => assert_eq!(execution, root),
        other => panic!("{other:?}"),
    }
}

struct Namesake;

#[durable::async_trait]
impl Task for Namesake {
    const NAME: &'static str = "Waits";
    type Params = ();
    type Output = ();

    async fn run((): (), _: durable::TaskContext) -> durable::TaskResult<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_name_taken_twice_is_told_at_once_or_fails_the_next_call() {
    let executor = executor().await;
    let told = executor.try_register::<Namesake>().await.unwrap_err();
    let words = "\"Waits\" is registered already: each task needs a `NAME`, each function a `name` of its own";
    assert_eq!(told.to_string(), words);
    executor.register::<Namesake>().await;
    assert!(matches!(executor.spawn::<Waits>(1).await, Err(DurableError::NameTaken { .. })));
    assert!(executor.spawn::<Waits>(1).await.is_ok(), "it is told once");
}

#[tokio::test]
async fn a_workers_bad_option_is_told_at_once_or_fails_the_next_call() {
    let executor = executor().await;
    for (options, option) in [
        (WorkerOptions { concurrency: 0, ..WorkerOptions::default() }, "concurrency"),
        (WorkerOptions { batch_size: 0, ..WorkerOptions::default() }, "batch_size"),
        (WorkerOptions { poll_interval: Duration::ZERO, ..WorkerOptions::default() }, "poll_interval"),
        (WorkerOptions { queues: Some(vec![]), ..WorkerOptions::default() }, "queues"),
    ] {
        let told = executor.try_start_worker(options.clone()).await.unwrap_err();
        assert!(matches!(told, DurableError::Option { option: named, .. } if named == option), "{told}");
        executor.start_worker(options).await.shutdown().await;
        assert!(matches!(executor.list_queues().await, Err(DurableError::Option { .. })));
    }
}

#[tokio::test]
async fn a_paused_queue_starts_nothing_until_it_is_resumed() {
    let executor = executor().await;
    assert!(executor.pause_queue("default").await.unwrap());
    assert!(!executor.pause_queue("default").await.unwrap());
    let task = executor.spawn::<Waits>(0).await.unwrap();
    executor.advance(HOUR).await;
    assert_eq!(executor.get_task_result(task.task_id).await.unwrap().unwrap().status, TaskStatus::Pending);
    assert!(matches!(executor.drop_queue("default").await, Err(DurableError::Refused(_))));
    assert!(executor.resume_queue("default").await.unwrap());
    assert_eq!(executor.wait_for_output::<Waits>(task.task_id, None).await.unwrap(), 0);
}

#[tokio::test]
async fn queues_are_created_listed_and_dropped() {
    let executor = executor().await;
    assert!(executor.create_queue("imports").await.unwrap());
    assert!(!executor.create_queue("imports").await.unwrap());
    let names: Vec<_> = executor.list_queues().await.unwrap().into_iter().map(|queue| queue.name).collect();
    assert!(names.contains(&"imports".to_owned()), "{names:?}");
    assert!(executor.drop_queue("imports").await.unwrap());
    assert!(!executor.drop_queue("imports").await.unwrap());
    assert!(matches!(executor.create_queue("").await, Err(DurableError::Name(_))));
}

#[tokio::test]
async fn a_dead_letter_is_discarded_or_replayed_in_another_queue() {
    let executor = executor().await;
    let spawn = || executor.spawn_by_name("Waits", json!("no number"), SpawnOptions::default());
    let (first, second) = (spawn().await.unwrap().task_id, spawn().await.unwrap().task_id);
    for task in [first, second] {
        assert_eq!(executor.wait_for(task, None).await.unwrap().status, TaskStatus::Failed);
    }
    assert_eq!(executor.list_dead_letters(1).await.unwrap().len(), 1);
    assert_eq!(executor.list_dead_letters(10).await.unwrap().len(), 2);
    assert!(executor.discard_dead_letter(first).await.unwrap());
    assert!(!executor.discard_dead_letter(first).await.unwrap());
    let elsewhere = durable::ReplayOptions { queue: Some("repairs".into()), ..Default::default() };
    executor.replay_dead_letter(second, elsewhere).await.unwrap();
    executor.wait_for(second, None).await.unwrap();
    let letter = executor.get_dead_letter(second).await.unwrap().unwrap();
    assert_eq!((letter.queue.as_str(), letter.is_through_root), ("repairs", false));
    assert!(executor.replay_dead_letter(first, Default::default()).await.is_err());
}

#[test]
fn a_client_is_built_inside_of_a_runtime() {
    let build = Durable::builder().database_url("sqlite::memory:").build();
    let built = futures_of(build);
    assert!(matches!(built, Err(DurableError::NoRuntime)));
}

/// Polls a future that is ready at once.
fn futures_of<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it waits for something"),
    }
}

//! Calls from outside of any durable function: dispatched in a client's scope or by the process's default client, run
//! as written where there is neither.

use std::time::Duration;

use durable::testing::Executor;
use durable::{CallError, Durable, TaskId, WorkerOptions};

use super::executor;

#[durable::function]
async fn add(a: u64, b: u64) -> Result<u64, String> {
    let where_am_i = durable::context().task().is_some();
    a.checked_add(b).filter(|_| a != 13).ok_or_else(|| format!("{a} + {b}, durable: {where_am_i}"))
}

#[durable::function]
async fn add_three(a: u64, b: u64, c: u64) -> Result<u64, String> {
    durable::sleep(Duration::from_millis(1)).await;
    add(add(a, b).await?, c).await
}

#[tokio::test]
async fn without_an_executor_a_function_runs_as_written() {
    assert_eq!(add_three(1, 2, 3).await, Ok(6));
    assert_eq!(add(13, 1).await, Err("13 + 1, durable: false".into()));
    assert_eq!(add_three.map([(1, 2, 3), (4, 5, 6)]).await, [Ok(6), Ok(15)]);
}

#[durable::function]
async fn plain_surface() -> Result<String, CallError> {
    let stepped: u64 = durable::step("one", || async { Ok(1) }).await?;
    let failed = durable::step("bad", || async { Err::<(), _>("broken".into()) }).await.unwrap_err();
    let beside = durable::spawn(async { add(1, 1).await }).await;
    let waited = durable::wait_for_signal::<bool>("answer", None).await.unwrap_err();
    let by_name = durable::call(add.meta().name(), serde_json::json!([2, 3])).await?;
    assert_ne!(durable::uuid(), durable::uuid());
    assert!(durable::random() < 1.0 && durable::now().as_micros() > 0);
    let nobody = durable::signal(TaskId::from_bytes([1; 16]), "x", &1).await.is_err();
    Ok(format!("{stepped} {failed} {beside:?} {waited} {by_name} {nobody}"))
}

#[tokio::test]
async fn every_free_function_has_a_meaning_without_an_engine() {
    let said = plain_surface().await.unwrap();
    assert_eq!(
        said,
        "1 \"bad\" failed: broken Ok(2) \"answer\" failed: there is no executor here, so nothing can come of it 5 true"
    );
}

#[tokio::test]
async fn in_a_clients_scope_a_call_is_dispatched_and_awaited() {
    let (executor, _) = executor().await;
    let client: &Durable = &executor;
    assert_eq!(client.scope(async { add(1, 2).await }).await, Ok(3));
    assert_eq!(client.scope(async { add(13, 2).await }).await, Err("13 + 2, durable: true".into()));
    assert_eq!(client.scope(async { add.map([(1, 2), (3, 4)]).await }).await, [Ok(3), Ok(7)]);
    assert_eq!(client.count_executions(None).await.unwrap(), 4);
}

#[durable::function]
async fn dies() -> u64 {
    panic!("a bug")
}

#[tokio::test]
async fn outside_a_failure_without_a_place_is_a_panic_of_the_caller() {
    let (executor, _) = executor().await;
    let client = Durable::clone(&executor);
    let stopped = tokio::spawn(async move { client.scope(async { dies().await }).await }).await.unwrap_err();
    let panic = stopped.into_panic();
    let words = panic.downcast_ref::<String>().unwrap();
    assert!(words.contains("dies: a bug"), "{words}");
}

#[tokio::test]
async fn a_spawned_future_of_a_workers_runtime_may_call_in_a_scope_only() {
    let (executor, _) = executor().await;
    let refused = tokio::spawn(async { add(1, 2).await }).await.unwrap_err();
    let words = refused.into_panic().downcast_ref::<String>().cloned().unwrap();
    assert!(words.contains("durable::spawn") && words.contains("client.scope"), "{words}");
    let client = Durable::clone(&executor);
    assert_eq!(tokio::spawn(async move { client.scope(async { add(1, 2).await }).await }).await.unwrap(), Ok(3));
}

#[test]
fn the_default_client_is_for_calls_of_the_whole_process() {
    // Another process: the default would be that of the tests beside this one too.
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "functions::outside::with_a_default_client", "--include-ignored", "--nocapture"])
        .env("DEFAULT_CLIENT", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn with_a_default_client() {
    if std::env::var_os("DEFAULT_CLIENT").is_none() {
        return;
    }
    let client = Durable::builder().database_url("sqlite::memory:").make_default().build().await.unwrap();
    let worker = client.try_start_worker(WorkerOptions::default()).await.unwrap();
    assert_eq!(add(1, 2).await, Ok(3));
    assert_eq!(add(13, 2).await, Err("13 + 2, durable: true".into()));
    assert!(client.count_executions(None).await.unwrap() >= 2);
    worker.shutdown().await;
}

#[tokio::test]
async fn an_executor_of_a_test_knows_every_annotated_function() {
    let executor = Executor::new().await;
    assert_eq!(executor.dispatch(add_three, (1, 2, 3)).await.unwrap().wait(None).await.unwrap(), Ok(6));
}

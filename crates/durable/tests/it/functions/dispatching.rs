//! Starting functions from outside, with options, and asking after them.

use std::time::Duration;

use durable::{Durable, DurableError, ExecutionQuery, TaskId, TaskStatus};
use serde_json::{Map, json};

use super::{executor, run, write};

#[durable::function]
async fn echo(text: String) -> String {
    write(format!("echo {text}"));
    text
}

#[durable::function]
async fn slow() -> String {
    durable::sleep("10d").await;
    "at last".into()
}

#[tokio::test]
async fn a_delay_is_waited_for() {
    let (executor, ledger) = executor().await;
    let execution = executor.dispatch(echo, "a".to_owned()).delay("1h30m").await.unwrap();
    executor.advance(Duration::from_secs(89 * 60)).await;
    assert_eq!(ledger.lines(), [""; 0]);
    executor.advance(Duration::from_secs(2 * 60)).await;
    assert_eq!(execution.result().await.unwrap(), "a");
}

#[tokio::test]
async fn an_expiry_by_either_name_ends_it_as_timed_out_and_both_are_an_error() {
    let (executor, _) = executor().await;
    for execution in [
        executor.dispatch(slow, ()).expiry("1h").await.unwrap(),
        executor.dispatch(slow, ()).max_duration(Duration::from_secs(3_600)).await.unwrap(),
    ] {
        let waited = execution.wait(None).await.unwrap_err();
        let asked = execution.result().await.unwrap_err();
        assert!(waited.is_expired() && asked.is_expired(), "{waited}, {asked}");
        assert_eq!(waited.to_string(), asked.to_string());
        assert!(waited.to_string().contains("Execution expired"), "{waited}");
        assert_eq!(execution.state().await.unwrap().status, TaskStatus::TimedOut);
    }
    let both = executor.dispatch(slow, ()).expiry("1h").max_duration("2h").await.unwrap_err();
    assert!(both.to_string().contains("`expiry` and `max_duration` are one limit"), "{both}");
}

#[tokio::test]
async fn cancelled_reads_as_the_same_error_from_a_wait_and_from_the_result() {
    let (executor, _) = executor().await;
    let execution = executor.dispatch(slow, ()).await.unwrap();
    executor.settle().await;
    execution.cancel().await.unwrap();
    let waited = execution.wait(None).await.unwrap_err();
    let asked = execution.result().await.unwrap_err();
    assert!(waited.is_cancelled() && asked.is_cancelled());
    assert_eq!(waited.to_string(), asked.to_string());
    assert!(waited.to_string().ends_with("Execution cancelled"), "{waited}");
    let waited_by_id = executor.wait_for(execution.id(), None).await.unwrap();
    let asked_by_id = executor.result_of(execution.id()).await.unwrap();
    for report in [waited_by_id, asked_by_id] {
        assert_eq!(report.status, TaskStatus::Cancelled);
        assert_eq!(report.output::<String>().unwrap_err().to_string(), waited.to_string());
    }
}

#[tokio::test]
async fn a_failure_reads_as_the_same_error_from_a_wait_and_from_the_result() {
    let (executor, _) = executor().await;
    let execution = executor.dispatch(super::dies_of_a_bug, ()).await.unwrap();
    let waited = execution.wait(None).await.unwrap_err();
    let asked = execution.result().await.unwrap_err();
    assert!(matches!(&waited, DurableError::Failed { status: TaskStatus::Failed, .. }), "{waited:?}");
    assert!(!waited.is_cancelled() && !waited.is_expired() && waited.to_string().contains("a bug"), "{waited}");
    assert_eq!(waited.to_string(), asked.to_string());
}

#[tokio::test]
async fn a_wait_that_expires_is_a_timeout_and_never_a_stale_state() {
    let (executor, _) = executor().await;
    let (execution, began) = (executor.dispatch(slow, ()).await.unwrap(), executor.now());
    assert!(matches!(execution.wait("1m").await, Err(DurableError::TimedOut)));
    let minute = Some(Duration::from_secs(60));
    assert!(matches!(executor.wait_for(execution.id(), minute).await, Err(DurableError::TimedOut)));
    assert_eq!(executor.now().since(began), Duration::from_secs(120));
    assert!(matches!(execution.result().await, Err(DurableError::NotEnded { .. })));
    assert_eq!(execution.state().await.unwrap().status, TaskStatus::Running);
    assert_eq!(execution.wait(None).await.unwrap(), "at last");
}

#[tokio::test]
async fn an_unknown_execution_is_an_error() {
    let (executor, _) = executor().await;
    let nobody = executor.execution_of(echo, TaskId::from_bytes([9; 16]));
    assert!(matches!(nobody.wait(None).await, Err(DurableError::UnknownTask)));
    assert!(matches!(nobody.result().await, Err(DurableError::UnknownTask)));
    assert!(matches!(nobody.state().await, Err(DurableError::UnknownTask)));
    assert!(matches!(nobody.cancel().await, Err(DurableError::UnknownTask)));
}

#[tokio::test]
async fn a_start_key_gives_one_execution() {
    let (executor, ledger) = executor().await;
    let first = executor.dispatch(echo, "a".to_owned()).idempotency_key("once").await.unwrap();
    let again = executor.dispatch(echo, "b".to_owned()).idempotency_key("once").await.unwrap();
    assert_eq!((first.created(), again.created(), again.id()), (true, false, first.id()));
    assert_eq!(again.wait(None).await.unwrap(), "a");
    assert_eq!(ledger.lines(), ["echo a"]);
}

#[durable::function]
async fn tenant() -> Option<String> {
    Some(durable::context().headers().get("tenant")?.as_str()?.to_owned())
}

#[durable::function]
async fn tenant_of_child() -> Option<String> {
    tenant().await
}

#[tokio::test]
async fn headers_travel_with_the_execution_and_its_children() {
    let (executor, _) = executor().await;
    let headers = Map::from_iter([("tenant".to_owned(), json!("acme"))]);
    let execution = executor.dispatch(tenant_of_child, ()).headers(headers).await.unwrap();
    assert_eq!(execution.wait(None).await.unwrap().as_deref(), Some("acme"));
    assert_eq!(run(&executor, tenant_of_child, ()).await.unwrap(), None);
}

#[durable::function]
async fn starts_another(text: String) -> TaskId {
    let client = durable::context().client().unwrap();
    let execution = client.dispatch(echo, text).await.unwrap();
    durable::sleep("1h").await;
    execution.id()
}

#[tokio::test]
async fn a_dispatch_inside_of_a_durable_function_is_done_once() {
    let (executor, ledger) = executor().await;
    let outer = executor.dispatch(starts_another, "x".to_owned()).await.unwrap();
    executor.settle().await;
    executor.crash().await;
    let inner = outer.wait(None).await.unwrap();
    assert_eq!(executor.execution_of(echo, inner).wait(None).await.unwrap(), "x");
    assert_eq!((ledger.count("echo x"), executor.count_executions(None).await.unwrap()), (1, 2));
}

#[durable::function]
async fn starts_elsewhere() -> String {
    let other = Durable::builder().database_url("sqlite::memory:").build().await.unwrap();
    other.dispatch(echo, "x".to_owned()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_dispatch_through_another_client_would_not_be_recorded_and_is_refused() {
    let (executor, _) = executor().await;
    let words = run(&executor, starts_elsewhere, ()).await.unwrap();
    assert!(words.contains("would not be recorded"), "{words}");
}

#[tokio::test]
async fn executions_are_listed_and_counted_by_state() {
    let (executor, _) = executor().await;
    for text in ["a", "b", "c"] {
        run(&executor, echo, text.to_owned()).await.unwrap();
    }
    let open = executor.dispatch(slow, ()).queue("other").await.unwrap();
    executor.settle().await;
    assert_eq!(executor.count_executions(None).await.unwrap(), 4);
    assert_eq!(executor.count_executions(Some(TaskStatus::Completed)).await.unwrap(), 3);
    assert_eq!(executor.count_executions(Some(TaskStatus::Running)).await.unwrap(), 1);
    let completed = ExecutionQuery { status: Some(TaskStatus::Completed), limit: 2, offset: 2, ..Default::default() };
    assert_eq!(executor.list_executions(completed).await.unwrap().len(), 1);
    let other = ExecutionQuery { queue: Some("other".into()), ..Default::default() };
    let listed = executor.list_executions(other).await.unwrap();
    assert_eq!(listed.iter().map(|report| report.task_id).collect::<Vec<_>>(), [open.id()]);
}

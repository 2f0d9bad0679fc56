//! Which errors turn into a task's by `?`, and what of them is kept.

use durable::testing::Executor;
use durable::{Durable, FailureKind, StepError, TaskError, TaskResult};

#[derive(Debug, thiserror::Error)]
#[error("declined")]
struct Declined(#[source] std::num::ParseIntError);

fn every_kind(which: u8) -> TaskResult<u32> {
    match which {
        0 => Ok(serde_json::from_str::<u32>("no number")?),
        1 => Err(anyhow::anyhow!("below").context("above"))?,
        2 => Err(Declined("x".parse::<u32>().unwrap_err()))?,
        3 => Err(StepError::new("by hand").details([1, 2]))?,
        4 => Err("plain words")?,
        5 => Err(TaskError::user("with data", serde_json::json!({ "a": 1 })))?,
        _ => Ok("7".parse::<u32>()?),
    }
}

#[test]
fn every_error_turns_into_a_tasks_by_the_question_mark() {
    let words = |which| every_kind(which).unwrap_err().to_string();
    assert!(words(0).contains("expected"));
    assert_eq!(words(1), "above: below");
    assert_eq!(words(2), "declined: invalid digit found in string");
    assert_eq!(every_kind(3).unwrap_err().failure().unwrap().details, serde_json::json!([1, 2]));
    assert_eq!(words(4), "plain words");
    assert_eq!(every_kind(5).unwrap_err().failure().unwrap().details["a"], 1);
    assert_eq!(every_kind(6).unwrap(), 7);
}

#[test]
fn a_timeout_is_known_by_its_kind_wherever_it_happened() {
    let own = TaskError::Timeout { name: "answer".into() };
    assert!(own.is_timeout() && own.failure().is_none());
    assert!(!TaskError::from("anything").is_timeout());
    let marked = own.permanent();
    assert!(marked.failure().is_some_and(|failure| failure.permanent && failure.kind == FailureKind::Timeout));
}

task!(FailsLike(which: u8, ctx) -> u32 {
    every_kind(which)
});

#[tokio::test]
async fn a_tasks_own_failure_reaches_its_client_with_its_data() {
    let executor = Executor::with(Durable::builder().default_max_attempts(1)).await.unwrap();
    executor.register::<FailsLike>().await;
    let task = executor.spawn::<FailsLike>(5).await.unwrap();
    let failure = executor.wait_for(task.task_id, None).await.unwrap().failure.unwrap();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Error, "with data"));
    assert_eq!(failure.details, serde_json::json!({ "a": 1 }));
}

#[tokio::test]
async fn parameters_that_do_not_fit_fail_for_good_and_harm_no_neighbour() {
    let executor = Executor::new().await;
    executor.register::<FailsLike>().await;
    let poison = executor.spawn_by_name("FailsLike", serde_json::json!("text"), Default::default()).await.unwrap();
    let fine = executor.spawn::<FailsLike>(6).await.unwrap();
    let report = executor.wait_for(poison.task_id, None).await.unwrap();
    let failure = report.failure.unwrap();
    assert_eq!((failure.kind, failure.permanent, report.attempts), (FailureKind::Payload, true, 1));
    assert!(failure.message.starts_with("the parameters:"), "{failure}");
    assert_eq!(executor.wait_for_output::<FailsLike>(fine.task_id, None).await.unwrap(), 7);
}

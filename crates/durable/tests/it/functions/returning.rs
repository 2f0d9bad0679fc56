//! What comes back to a caller: values, the function's own errors with their types, and other failures where there is
//! a place for them.

use durable::testing::Executor;
use durable::{Durable, Failure, FailureKind, StepError, TaskError, TaskResult};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{executor, run, write};
use crate::ledger::Ledger;

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
enum ChargeError {
    #[error("the bank does not answer")]
    NoAnswer,
    #[error("{cents} cents are too much")]
    TooMuch { cents: u64 },
    #[error("{0}")]
    Engine(String),
}

impl From<Failure> for ChargeError {
    fn from(failure: Failure) -> Self {
        Self::Engine(format!("{:?}: {}", failure.kind, failure.message))
    }
}

type ChargeResult = Result<String, ChargeError>;

#[durable::function]
async fn charge(cents: u64) -> ChargeResult {
    match cents {
        0 => Err(ChargeError::NoAnswer),
        13 => panic!("unlucky"),
        1..=100 => Ok(format!("receipt {cents}")),
        _ => Err(ChargeError::TooMuch { cents }),
    }
}

#[durable::function]
async fn order(cents: u64) -> String {
    match charge(cents).await {
        Ok(receipt) => receipt,
        Err(ChargeError::TooMuch { cents }) => format!("{cents} are too much"),
        Err(other) => other.to_string(),
    }
}

#[tokio::test]
async fn a_childs_own_error_comes_back_as_itself() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, order, 5).await.unwrap(), "receipt 5");
    assert_eq!(run(&executor, order, 500).await.unwrap(), "500 are too much");
    assert_eq!(run(&executor, order, 0).await.unwrap(), "the bank does not answer");
    assert_eq!(run(&executor, charge, 500).await.unwrap(), Err(ChargeError::TooMuch { cents: 500 }));
}

#[tokio::test]
async fn an_error_that_is_made_from_failures_has_a_place_for_every_one() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, order, 13).await.unwrap(), "Panic: unlucky");
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("declined")]
struct Declined;

#[durable::function]
async fn declines(how: String) -> Result<(), Declined> {
    if how == "panic" {
        panic!("a bug");
    }
    Err(Declined)
}

#[durable::function]
async fn asks(how: String) -> String {
    match declines(how).await {
        Ok(()) => "accepted".into(),
        Err(Declined) => "declined".into(),
    }
}

#[tokio::test]
async fn an_error_without_a_place_for_a_panic_ends_the_caller_and_its_own_comes_back() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, asks, "politely".to_owned()).await.unwrap(), "declined");
    let failed = run(&executor, asks, "panic".to_owned()).await.unwrap_err().to_string();
    assert!(failed.contains("a bug"), "{failed}");
}

#[durable::function]
async fn any_error(which: u64) -> TaskResult<u64> {
    match which {
        0 => Ok("7".parse::<u64>()?),
        1 => Ok("x".parse::<u64>()?),
        2 => Err(anyhow::anyhow!("below").context("above"))?,
        _ => Err(StepError::new("by hand").details([1, 2]))?,
    }
}

#[durable::function]
async fn handles_any(which: u64) -> String {
    match any_error(which).await {
        Ok(n) => n.to_string(),
        Err(TaskError::Child { failure, .. }) => format!("{failure} {}", failure.details),
        Err(other) => format!("another: {other}"),
    }
}

#[tokio::test]
async fn a_function_that_returns_a_task_result_takes_any_error_by_the_question_mark() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, handles_any, 0).await.unwrap(), "7");
    assert_eq!(run(&executor, handles_any, 1).await.unwrap(), "invalid digit found in string null");
    assert_eq!(run(&executor, handles_any, 2).await.unwrap(), "above: below null");
    assert_eq!(run(&executor, handles_any, 3).await.unwrap(), "by hand [1,2]");
}

#[durable::function(retry(max_attempts = 4, initial_delay = "1s", retry_for = is_worth_it))]
async fn flaky(transient: bool) -> Result<u32, ChargeError> {
    write("attempt");
    Err(if transient { ChargeError::NoAnswer } else { ChargeError::TooMuch { cents: 1 } })
}

fn is_worth_it(error: &ChargeError) -> bool {
    *error == ChargeError::NoAnswer
}

#[tokio::test]
async fn retry_for_decides_whether_an_error_is_final() {
    let (executor, ledger) = executor().await;
    assert_eq!(run(&executor, flaky, false).await.unwrap(), Err(ChargeError::TooMuch { cents: 1 }));
    assert_eq!(ledger.count("attempt"), 1);
    assert_eq!(run(&executor, flaky, true).await.unwrap(), Err(ChargeError::NoAnswer));
    assert_eq!(ledger.count("attempt"), 5);
}

#[durable::function(retry(max_attempts = 1))]
async fn validates(text: String) -> Result<(), String> {
    write("validation");
    Err(format!("{text:?} is no order"))
}

#[tokio::test]
async fn one_attempt_is_one_whatever_the_client_says() {
    let ledger = Ledger::default();
    let builder = Durable::builder().state(ledger.clone()).default_max_attempts(3);
    let executor = Executor::with(builder).await.unwrap();
    assert!(run(&executor, validates, "x".to_owned()).await.unwrap().is_err());
    assert_eq!(ledger.count("validation"), 1);
}

#[durable::function(retry(max_attempts = 5, retry_for = TaskError::is_timeout))]
async fn only_timeouts() -> TaskResult<()> {
    write("attempt");
    Err("no timeout")?
}

#[tokio::test]
async fn retry_for_judges_a_task_error_too() {
    let (executor, ledger) = executor().await;
    assert!(run(&executor, only_timeouts, ()).await.unwrap().is_err());
    assert_eq!(ledger.count("attempt"), 1);
}

#[durable::function]
async fn falsey() -> (u64, bool, String, Vec<u8>, Option<u8>) {
    (0, false, String::new(), vec![], None)
}

#[tokio::test]
async fn falsey_results_are_results() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, falsey, ()).await.unwrap(), (0, false, String::new(), vec![], None));
}

#[durable::function]
async fn itself(value: Value) -> Value {
    write(format!("child {value}"));
    value
}

#[durable::function]
async fn through_all(value: Value) -> Vec<Value> {
    let step = durable::step("step", || async {
        write(format!("step {value}"));
        Ok(value.clone())
    });
    let mut all = vec![step.await.unwrap(), itself(value.clone()).await];
    all.push(durable::wait_for_signal("go", None).await.unwrap());
    durable::sleep("1h").await;
    all
}

#[tokio::test]
async fn falsey_results_of_steps_children_and_signals_are_replayed_and_not_computed_again() {
    for value in [json!(0), json!(false), json!(""), json!([]), json!({}), Value::Null] {
        let (executor, ledger) = executor().await;
        let execution = executor.dispatch(through_all, value.clone()).await.unwrap();
        executor.signal(execution.id(), "go", &value).await.unwrap();
        executor.settle().await;
        executor.crash().await;
        assert_eq!(execution.wait(None).await.unwrap(), [value.clone(), value.clone(), value.clone()]);
        assert_eq!((ledger.count(&format!("step {value}")), ledger.count(&format!("child {value}"))), (1, 1));
    }
}

#[tokio::test]
async fn arguments_that_do_not_fit_fail_for_good_and_say_where() {
    let (executor, _) = executor().await;
    let args = serde_json::json!(["many"]);
    let task = executor.spawn_by_name(order.meta().name(), args, Default::default()).await.unwrap();
    let failure = executor.wait_for(task.task_id, None).await.unwrap().failure.unwrap();
    assert_eq!((failure.kind, failure.permanent), (FailureKind::Payload, true));
    assert!(failure.message.starts_with("the arguments:"), "{failure}");
}

#[tokio::test]
async fn arguments_by_name_are_understood() {
    let (executor, _) = executor().await;
    let args = serde_json::json!({ "cents": 5 });
    let task = executor.spawn_by_name(order.meta().name(), args, Default::default()).await.unwrap();
    assert_eq!(executor.wait_for(task.task_id, None).await.unwrap().output::<String>().unwrap(), "receipt 5");
}

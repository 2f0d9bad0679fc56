//! What the code of a function calls: sleeps, signals, events, steps, values, counters, branches on other threads.

use std::time::Duration;

use durable::{CallError, Number, TaskId};

use super::{executor, run, write};

#[durable::function]
async fn waits(timeout: Option<Duration>) -> String {
    match durable::wait_for_signal::<String>("answer", timeout).await {
        Ok(answer) => answer,
        Err(CallError::TimedOut { name }) => format!("no {name}"),
        Err(other) => other.to_string(),
    }
}

#[tokio::test]
async fn a_signal_is_taken_before_and_after_the_wait_and_a_late_one_times_out() {
    let (executor, _) = executor().await;
    let early = executor.dispatch(waits, None).await.unwrap();
    early.signal("answer", "yes").await.unwrap();
    assert_eq!(early.wait(None).await.unwrap(), "yes");
    let late = executor.dispatch(waits, Some(Duration::from_secs(60))).await.unwrap();
    assert_eq!(late.wait(None).await.unwrap(), "no answer");
    let odd = executor.dispatch(waits, None).await.unwrap();
    executor.settle().await;
    executor.crash().await;
    odd.signal("answer", &7).await.unwrap();
    assert!(odd.wait(None).await.unwrap().starts_with("\"answer\" failed:"), "a payload that does not fit");
}

#[durable::function]
async fn greets(to: TaskId) -> Result<(), CallError> {
    durable::signal(to, "answer", "from inside").await
}

#[tokio::test]
async fn a_signal_from_inside_is_sent_once() {
    let (executor, _) = executor().await;
    let waiting = executor.dispatch(waits, None).await.unwrap();
    run(&executor, greets, waiting.id()).await.unwrap().unwrap();
    assert_eq!(waiting.wait(None).await.unwrap(), "from inside");
    let refused = run(&executor, greets, waiting.id()).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("ended"), "{refused}");
}

#[durable::function]
async fn events() -> Result<String, CallError> {
    durable::emit("mine", "first").await?;
    durable::wait_for_event("mine", "1h").await
}

#[tokio::test]
async fn an_event_that_is_emitted_is_there_for_a_wait() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, events, ()).await.unwrap(), Ok("first".into()));
}

#[durable::function]
async fn values() -> (i64, f64, String) {
    let before = (durable::now().as_micros(), durable::random(), durable::uuid().to_string());
    durable::sleep("1d").await;
    before
}

#[tokio::test]
async fn time_chance_and_ids_are_the_same_on_every_replay() {
    let (executor, _) = executor().await;
    let began = executor.now().as_micros();
    let (now, random, uuid) = run(&executor, values, ()).await.unwrap();
    assert_eq!(now, began);
    assert!((0.0..1.0).contains(&random));
    assert_eq!(uuid.len(), 36);
}

#[durable::function]
async fn steps() -> Result<Vec<u64>, CallError> {
    let mut all = vec![];
    for n in 0..3 {
        all.push(
            durable::step("one", || async move {
                write_outside(n);
                Ok(n)
            })
            .await?,
        );
        durable::sleep("1h").await;
    }
    let refused = durable::step("bad", || async { Err::<(), _>("no truck".into()) }).await.unwrap_err();
    assert_eq!(refused.to_string(), "\"bad\" failed: no truck");
    Ok(all)
}

fn write_outside(n: u64) {
    write(format!("step {n}"));
}

#[tokio::test]
async fn a_step_runs_once_and_its_failure_can_be_handled() {
    let (executor, ledger) = executor().await;
    assert_eq!(run(&executor, steps, ()).await.unwrap(), Ok(vec![0, 1, 2]));
    assert_eq!(ledger.lines(), ["step 0", "step 1", "step 2"]);
}

#[durable::function]
async fn counts(times: u64) -> Option<f64> {
    let here = durable::context();
    here.counter("done").ensure(10_i64).await;
    for n in 0..times {
        here.counter("done").add(1_i64).await;
        here.state("last").set(&n).await;
        durable::sleep("0.01s").await;
    }
    here.state("last").ensure(&99).await;
    assert_eq!(here.state("last").get::<u64>().await, times.checked_sub(1).or(Some(99)));
    here.counter("done").get().await.map(Number::as_f64)
}

#[tokio::test]
async fn counters_and_state_count_once_and_are_seen_from_outside() {
    let (executor, _) = executor().await;
    let execution = executor.dispatch(counts, 3).await.unwrap();
    assert_eq!(execution.wait(None).await.unwrap(), Some(13.0));
    let state = executor.state_of(execution.id()).await.unwrap();
    assert_eq!(state.counters["done"], Number::Whole(13));
    assert_eq!(state.values["last"], 2);
    assert_eq!(counts(3).await, Some(13.0), "as written, without an engine");
}

#[durable::function]
async fn who_am_i() -> (TaskId, TaskId, u32) {
    let here = durable::context();
    (here.task_id(), here.execution_id(), here.attempt())
}

#[durable::function]
async fn who_is_my_child() -> (TaskId, TaskId, u32) {
    who_am_i().await
}

#[tokio::test]
async fn a_child_has_an_id_of_its_own_and_its_roots_execution() {
    let (executor, _) = executor().await;
    let execution = executor.dispatch(who_is_my_child, ()).await.unwrap();
    let (task, root, attempt) = execution.wait(None).await.unwrap();
    assert_eq!((root, attempt), (execution.id(), 1));
    assert_ne!(task, root);
}

#[durable::function]
async fn square(n: u64) -> u64 {
    n * n
}

#[durable::function]
async fn on_other_threads() -> u64 {
    let branches: Vec<_> =
        (1..=3).map(|n| durable::spawn(async move { square(n).await + square(n + 1).await })).collect();
    let mut sum = square(10).await;
    for branch in branches {
        sum += branch.await;
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn branches_on_other_threads_each_keep_their_own_order() {
    let (executor, _) = executor().await;
    let execution = executor.dispatch(on_other_threads, ()).await.unwrap();
    assert_eq!(execution.wait(None).await.unwrap(), 100 + (1 + 4) + (4 + 9) + (9 + 16));
    let mut keys: Vec<_> = executor.recorded(execution.id()).await.unwrap().into_iter().map(|call| call.key).collect();
    keys.sort();
    assert_eq!(keys.iter().filter(|key| key.starts_with("spawn/")).count(), 2, "{keys:?}");
    assert_eq!(keys.iter().filter(|key| key.starts_with("spawn#3/")).count(), 2, "{keys:?}");
}

#[durable::function]
async fn fails_in_a_branch() -> u64 {
    let branch = durable::spawn(async { super::calling_what_dies().await });
    durable::sleep("1d").await;
    branch.await
}

#[tokio::test]
async fn a_failure_in_a_branch_ends_the_function() {
    let (executor, _) = executor().await;
    let failed = run(&executor, fails_in_a_branch, ()).await.unwrap_err().to_string();
    assert!(failed.contains("a bug"), "{failed}");
}

#[durable::function]
async fn bare_spawn() -> String {
    match tokio::spawn(async { square(2).await }).await {
        Ok(n) => n.to_string(),
        Err(stopped) => match stopped.into_panic().downcast_ref::<String>() {
            Some(words) => words.clone(),
            None => "other words".into(),
        },
    }
}

#[durable::function]
async fn bare_spawn_of_a_call() -> String {
    match tokio::spawn(square(2)).await {
        Ok(n) => n.to_string(),
        Err(stopped) => stopped.into_panic().downcast_ref::<String>().cloned().unwrap_or_default(),
    }
}

#[tokio::test]
async fn a_call_in_a_bare_spawn_is_an_error_that_names_the_right_one() {
    let (executor, _) = executor().await;
    let words = run(&executor, bare_spawn, ()).await.unwrap();
    assert!(words.contains("durable::spawn"), "{words}");
    let words = run(&executor, bare_spawn_of_a_call, ()).await.unwrap();
    assert!(words.contains("durable::spawn"), "{words}");
}

#[durable::function]
async fn sleeps_badly() {
    durable::sleep("soon").await;
    write("slept");
}

#[tokio::test]
async fn a_span_that_is_none_fails_for_good_and_shows_where() {
    let (executor, ledger) = executor().await;
    let failed = run(&executor, sleeps_badly, ()).await.unwrap_err().to_string();
    assert!(failed.contains("\"soon\" is no duration: at character 1"), "{failed}");
    assert_eq!(ledger.lines(), [""; 0]);
}

//! Queues, priorities and tags of functions: their own, their caller's, a dispatch's.

use std::time::Duration;

use durable::{Durable, TaskId, WorkerOptions};

use super::{executor, run};

#[durable::function]
async fn plain_child() -> (String, i32, Vec<String>) {
    place().await
}

#[durable::function(queue = "own", priority = 7, tags = ["a", "b"])]
async fn child_with_its_own() -> (String, i32, Vec<String>) {
    place().await
}

#[durable::function(priority = 0)]
async fn child_with_no_priority() -> (String, i32, Vec<String>) {
    place().await
}

/// Where the task in hand is.
async fn place() -> Place {
    let here = durable::context();
    (here.queue(), here.priority(), here.tags())
}

type Place = (String, i32, Vec<String>);

#[durable::function(tags = ["mine"])]
async fn parent() -> Vec<Place> {
    vec![place().await, plain_child().await, child_with_its_own().await, child_with_no_priority().await]
}

fn at(queue: &str, priority: i32, tags: &[&str]) -> Place {
    (queue.into(), priority, tags.iter().map(|tag| (*tag).to_owned()).collect())
}

#[tokio::test]
async fn a_child_without_a_queue_or_priority_of_its_own_has_its_parents() {
    let (executor, _) = executor().await;
    let execution = executor.dispatch(parent, ()).queue("urgent").priority(3).tags(["billing"]).await.unwrap();
    let places = execution.wait(None).await.unwrap();
    let expected =
        [at("urgent", 3, &["billing"]), at("urgent", 3, &[]), at("own", 7, &["a", "b"]), at("urgent", 3, &[])];
    assert_eq!(places, expected);
}

#[tokio::test]
async fn a_root_has_what_its_function_says() {
    let (executor, _) = executor().await;
    assert_eq!(run(&executor, child_with_its_own, ()).await.unwrap(), at("own", 7, &["a", "b"]));
    assert_eq!(run(&executor, plain_child, ()).await.unwrap(), at("default", 0, &[]));
}

#[tokio::test]
async fn a_worker_that_runs_one_at_a_time_does_not_deadlock_a_parent_that_awaits_its_child() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("sqlite:{}", folder.path().join("stent.db").display());
    let client = Durable::builder().database_url(address).build().await.unwrap();
    let one = WorkerOptions { concurrency: 1, ..WorkerOptions::default() };
    let worker = client.try_start_worker(one).await.unwrap();
    assert_eq!(client.dispatch(nested, 5).await.unwrap().wait("60s").await.unwrap(), 5);
    worker.shutdown().await;
}

#[durable::function]
async fn nested(depth: u64) -> u64 {
    if depth == 0 { 0 } else { nested.map([depth - 1]).await[0] + 1 }
}

#[durable::function(tags = ["gpu"])]
async fn renders() -> TaskId {
    durable::context().task_id()
}

#[tokio::test]
async fn a_worker_takes_what_shares_a_tag_and_what_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("sqlite:{}", folder.path().join("stent.db").display());
    let client = Durable::builder().database_url(address).build().await.unwrap();
    let other = WorkerOptions { tags: Some(vec!["cpu".into()]), ..WorkerOptions::default() };
    let of_cpu = client.try_start_worker(other).await.unwrap();
    let tagged = client.dispatch(renders, ()).await.unwrap();
    let retagged = client.dispatch(renders, ()).tags(["cpu"]).await.unwrap();
    let untagged = client.dispatch(plain_child, ()).await.unwrap();
    assert_eq!(retagged.wait("60s").await.unwrap(), retagged.id());
    untagged.wait("60s").await.unwrap();
    assert_eq!(tagged.state().await.unwrap().attempts, 0);
    let of_gpu = WorkerOptions { tags: Some(vec!["gpu".into()]), ..WorkerOptions::default() };
    let of_gpu = client.try_start_worker(of_gpu).await.unwrap();
    assert_eq!(tagged.wait(Some(Duration::from_secs(60))).await.unwrap(), tagged.id());
    of_gpu.shutdown().await;
    of_cpu.shutdown().await;
}

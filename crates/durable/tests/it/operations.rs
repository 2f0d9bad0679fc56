//! Operations over what is stored, on SQLite and PostgreSQL: a worker's clean-up, what executions show, counts, counters
//! and state values from outside, tasks put away by hand.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use durable::{
    Cleaned, Durable, DurableError, ExecutionQuery, Number, ProgressStatus, ReplayOptions, SpawnOptions, TaskId,
    TaskStatus, WorkerOptions,
};
use serde_json::json;
use stent_servers::{Database, Server};
use tempfile::TempDir;

use crate::eventually;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

task!(Charge(cents: u64, ctx) -> u64 {
    ctx.wait_for_signal::<serde_json::Value>("go", None).await?;
    Ok(cents)
});

task!(Order(cents: u64, ctx) -> u64 {
    ctx.step("quote", || async { Ok(()) }).await?;
    if cents == 13 {
        return Err(std::io::Error::other("no luck").into());
    }
    if cents == 7 {
        let charge = ctx.spawn::<Charge>("charge", cents, SpawnOptions::default()).await?;
        return ctx.join(charge).await;
    }
    Ok(cents)
});

/// What a store lives in, for as long as the test.
enum Place {
    File(TempDir),
    Server(Database),
}

impl Place {
    fn both() -> [Self; 2] {
        [Self::File(tempfile::tempdir().unwrap()), Self::Server(Server::shared().database().unwrap())]
    }

    async fn client(&self) -> Durable {
        let url = match self {
            Self::File(folder) => format!("sqlite://{}", folder.path().join("stent.db").display()),
            Self::Server(database) => database.url(),
        };
        let client = Durable::builder().database_url(url).build().await.unwrap();
        client.register::<Order>().await;
        client.register::<Charge>().await;
        client
    }
}

fn once() -> SpawnOptions {
    SpawnOptions { max_attempts: Some(1), ..SpawnOptions::default() }
}

async fn order(client: &Durable, cents: u64) -> TaskId {
    client.spawn_with_options::<Order>(cents, once()).await.unwrap().task_id
}

/// The one child that workers have in hand, once there is one.
async fn running_child(client: &Durable) -> TaskId {
    eventually("a child is in hand", async || client.running_activities(10).await.unwrap().len() == 1).await;
    let [child] = &client.running_activities(10).await.unwrap()[..] else { panic!("it is not in hand any more") };
    assert_eq!((child.name.as_str(), child.status), ("Charge", TaskStatus::Running));
    child.task_id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_deletes_what_is_past_its_retention_and_nothing_that_runs() {
    for place in Place::both() {
        let client = place.client().await;
        let keyed = SpawnOptions { idempotency_key: Some("order 1".into()), ..once() };
        let first = client.spawn_with_options::<Order>(250, keyed.clone()).await.unwrap().task_id;
        let keeper = client.start_worker(WorkerOptions { retention_period: None, ..Default::default() }).await;
        client.wait_for(first, PATIENCE).await.unwrap();
        let failed = order(&client, 13).await;
        client.wait_for(failed, PATIENCE).await.unwrap();
        let waiting = order(&client, 7).await;
        running_child(&client).await;
        assert_eq!(client.count_executions(None).await.unwrap(), 3);
        keeper.shutdown().await;
        let often = Duration::from_millis(20);
        let cleaning =
            WorkerOptions { cleanup_interval: often, retention_period: Some(Duration::ZERO), ..Default::default() };
        let worker = client.start_worker(cleaning).await;
        eventually("the old is gone", async || client.count_executions(None).await.unwrap() <= 1).await;
        assert!(client.get_task_result(first).await.unwrap().is_none());
        assert_eq!(client.count_dead_letters().await.unwrap(), 0);
        assert_eq!(client.execution(waiting).await.unwrap().unwrap().root.status, TaskStatus::Running);
        // The key outlives its execution.
        let again = client.spawn_with_options::<Order>(250, keyed).await.unwrap();
        assert_eq!((again.created, again.task_id), (false, first));
        worker.shutdown().await;
        client.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_younger_than_asked_stays() {
    for place in Place::both() {
        let client = place.client().await;
        let worker = client.start_worker(WorkerOptions::default()).await;
        for cents in [250, 13] {
            client.wait_for(order(&client, cents).await, PATIENCE).await.unwrap();
        }
        assert_eq!(client.clean_up(Duration::from_secs(3_600)).await.unwrap(), Cleaned::default());
        assert_eq!(client.cleanup_dead_letters(Duration::from_secs(3_600)).await.unwrap(), 0);
        assert_eq!(client.clean_up(Duration::ZERO).await.unwrap(), Cleaned { letters: 1, executions: 2 });
        assert_eq!(client.stats().await.unwrap().executions.values().sum::<u64>(), 0);
        worker.shutdown().await;
        client.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_shows_its_progress_and_what_it_carries() {
    for place in Place::both() {
        let client = place.client().await;
        let worker = client.start_worker(WorkerOptions::default()).await;
        let options = SpawnOptions { priority: Some(5), tags: vec!["billing".into()], ..once() };
        let id = client.spawn_with_options::<Order>(7, options).await.unwrap().task_id;
        let child = running_child(&client).await;
        client.ensure_state(id, "phase", "new").await.unwrap();
        client.set_state(id, "phase", &json!({ "held": true })).await.unwrap();
        client.ensure_state(id, "phase", "newer").await.unwrap();
        client.ensure_counters(id, [("looks", 2_i64)]).await.unwrap();
        assert_eq!(client.increment_counter(child, "looks", 0.5).await.unwrap(), Number::Real(2.5));

        let shown = client.execution(id).await.unwrap().unwrap();
        assert_eq!((shown.root.status, shown.priority, shown.retries), (TaskStatus::Running, 5, 0));
        assert_eq!((&shown.tags[..], &shown.state["phase"]), (&["billing".to_owned()][..], &json!({ "held": true })));
        assert_eq!(shown.counters, client.counters(child).await.unwrap());
        assert_eq!(client.state_values(id).await.unwrap(), shown.state);
        let steps = |shown: &durable::ExecutionReport| -> Vec<_> {
            shown.progress.iter().map(|entry| (entry.step.clone(), entry.status)).collect()
        };
        let entry = |step: &str, status| (step.to_owned(), status);
        let (running, completed) = (ProgressStatus::Running, ProgressStatus::Completed);
        assert_eq!(steps(&shown), [entry("Order", running), entry("quote", completed), entry("Charge", running)]);
        assert!(matches!(client.execution(child).await, Err(DurableError::Child { execution }) if execution == id));

        client.signal(id, "go", &()).await.unwrap();
        client.wait_for(id, PATIENCE).await.unwrap();
        let shown = client.execution(id).await.unwrap().unwrap();
        assert_eq!(steps(&shown), [entry("Order", completed), entry("quote", completed), entry("Charge", completed)]);
        assert!(shown.progress.iter().all(|entry| entry.completed_at.is_some()));

        let failed = order(&client, 13).await;
        client.wait_for(failed, PATIENCE).await.unwrap();
        let shown = client.execution(failed).await.unwrap().unwrap();
        assert_eq!(shown.progress[0].status, ProgressStatus::Failed);
        assert!(shown.progress[0].detail.as_ref().unwrap().contains("no luck"));
        worker.shutdown().await;
        client.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_counts_agree() {
    for place in Place::both() {
        let client = place.client().await;
        let slow = SpawnOptions { queue: Some("slow".into()), ..once() };
        let later = SpawnOptions { delay: Some(Duration::from_secs(3_600)), ..once() };
        for options in [slow, later, once()] {
            client.spawn_with_options::<Order>(1, options).await.unwrap();
        }
        assert_eq!(client.queue_depth(None).await.unwrap(), 3);
        assert_eq!(client.queue_depth(Some("slow")).await.unwrap(), 1);
        assert_eq!(client.queue_depth(Some("default")).await.unwrap(), 2);
        let worker = client.start_worker(WorkerOptions::default()).await;
        let failed = order(&client, 13).await;
        client.wait_for(failed, PATIENCE).await.unwrap();
        let completed = async || client.count_executions(Some(TaskStatus::Completed)).await.unwrap();
        eventually("one completes", async || completed().await > 0).await;
        let list = async |query| client.list_executions(query).await.unwrap();
        let in_state = |status| ExecutionQuery { status: Some(status), limit: 99, ..Default::default() };
        for status in [TaskStatus::Pending, TaskStatus::Completed, TaskStatus::Failed, TaskStatus::Cancelled] {
            let listed = list(in_state(status)).await;
            assert!(listed.iter().all(|execution| execution.status == status));
            assert_eq!(listed.len() as u64, client.count_executions(Some(status)).await.unwrap(), "{status}");
        }
        assert_eq!(list(in_state(TaskStatus::Failed)).await[0].task_id, failed);
        let pages: Vec<_> = [0, 2].map(|offset| ExecutionQuery { limit: 2, offset, ..Default::default() }).into();
        let mut seen = BTreeSet::new();
        for page in pages {
            seen.extend(list(page).await.into_iter().map(|execution| execution.task_id));
        }
        assert_eq!(seen.len(), 4);
        let refused = client.count_executions(Some(TaskStatus::Suspended)).await.unwrap_err().to_string();
        assert!(refused.contains("an execution that waits is running"), "{refused}");
        let stats = client.stats().await.unwrap();
        assert_eq!((stats.dead_letters, stats.workers), (1, 1));
        assert_eq!(stats.executions[&TaskStatus::Pending], 2);
        assert_eq!(stats.tasks[&("slow".to_owned(), TaskStatus::Pending)], 1);
        worker.shutdown().await;
        client.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_additions_at_once_counts() {
    for place in Place::both() {
        let (client, other) = (Arc::new(place.client().await), Arc::new(place.client().await));
        let id = order(&client, 1).await;
        let adders = (0..100).map(|number| {
            let client = Arc::clone(if number % 2 == 0 { &client } else { &other });
            tokio::spawn(async move { client.increment_counter(id, "n", 1_i64).await.unwrap() })
        });
        let mut seen = BTreeSet::new();
        for adder in adders.collect::<Vec<_>>() {
            match adder.await.unwrap() {
                Number::Whole(value) => assert!(seen.insert(value), "{value} was told twice"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, (1..=100).collect());
        let nobody = TaskId::v7(1, [1; 10]);
        assert!(matches!(client.counters(nobody).await, Err(DurableError::UnknownTask)));
        assert!(matches!(client.set_state(nobody, "x", &1).await, Err(DurableError::UnknownTask)));
        for client in [client, other] {
            client.close().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_task_is_put_away_by_hand_and_replayed() {
    for place in Place::both() {
        let client = place.client().await;
        let worker = client.start_worker(WorkerOptions::default()).await;
        let id = order(&client, 7).await;
        let child = running_child(&client).await;
        client.move_to_dead_letters(child, "by hand").await.unwrap();
        let report = client.wait_for(id, PATIENCE).await.unwrap();
        assert_eq!(report.status, TaskStatus::Failed, "its parent was told");
        let letters = client.list_dead_letters(10).await.unwrap();
        assert_eq!(letters.len(), 2);
        let letter = client.get_dead_letter(child).await.unwrap().unwrap();
        assert_eq!((letter.failure.message.as_str(), letter.is_through_root), ("by hand", true));
        let again = client.move_to_dead_letters(child, "twice").await.unwrap_err();
        assert_eq!(again.already_ended(), Some(TaskStatus::Failed));
        client.replay_dead_letter(id, ReplayOptions::default()).await.unwrap();
        running_child(&client).await;
        client.signal(id, "go", &()).await.unwrap();
        assert_eq!(client.wait_for_output::<Order>(id, PATIENCE).await.unwrap(), 7);
        assert_eq!(client.count_dead_letters().await.unwrap(), 0);
        worker.shutdown().await;
        client.close().await.unwrap();
    }
}

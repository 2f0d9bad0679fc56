//! Cron schedules from the Rust face: what they start, when, with which options, and how they are steered. Months pass in
//! moments on the executor of `durable::testing`; what must hold of stores is shown on SQLite and PostgreSQL.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use durable::testing::Executor;
use durable::{
    CancellationPolicy, Durable, DurableError, MissedTicks, ScheduleError, TaskId, Timestamp, WorkerOptions,
};
use serde_json::{Map, Value, json};
use stent_servers::Server;

use crate::ledger::{Ledger, executor_with_ledger};

const HOUR: Duration = Duration::from_secs(3_600);

task!(Report(region: String, ctx) -> String {
    let headers = ctx.headers();
    Ledger::of(&ctx).write(format!("{region} {} {}", headers["stent-schedule"], headers.get("stent-tick").is_some()));
    Ok(region)
});

#[durable::function(queue = "reports", priority = 3)]
async fn count(letters: String) -> usize {
    letters.len()
}

#[durable::function]
async fn endless(_letters: String) {
    std::future::pending::<()>().await;
}

/// How often the next one ran.
static RUNS: AtomicUsize = AtomicUsize::new(7);

#[durable::function(idempotent)]
async fn once(_letters: String) -> usize {
    RUNS.fetch_add(1, Ordering::SeqCst)
}

/// Lets this much time pass, and everything come of it that does.
async fn pass(executor: &Executor, span: Duration) {
    executor.advance(span).await;
    executor.settle().await;
}

async fn report(client: &Durable, name: &str) -> durable::ScheduleReport {
    client.get_schedule(name).await.unwrap().unwrap()
}

fn seconds(at: Timestamp) -> i64 {
    at.as_micros() / 1_000_000
}

#[tokio::test]
async fn a_task_is_started_at_every_tick_and_knows_which() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Report>().await;
    assert!(executor.schedule_task::<Report>("north", "0 * * * *", "n".into()).await.unwrap());
    let first = report(&executor, "north").await;
    assert_eq!((&*first.starts, &*first.queue, first.is_paused), ("Report", "default", false));
    assert_eq!(seconds(first.next_tick.unwrap()) % 3_600, 0);
    pass(&executor, HOUR * 3).await;
    assert_eq!(ledger.lines(), ["n \"north\" true"; 3]);
    let after = report(&executor, "north").await;
    assert_eq!(after.last_tick, Some(first.next_tick.unwrap() + HOUR * 2));
    let last = executor.get_task_result(after.last_execution.unwrap()).await.unwrap();
    assert_eq!(last.unwrap().name, "Report");
}

#[tokio::test]
async fn a_schedule_rests_goes_on_runs_now_and_is_deleted() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Report>().await;
    executor.schedule_task::<Report>("north", "@hourly", "n".into()).missed(MissedTicks::All).await.unwrap();
    assert!(executor.pause_schedule("north").await.unwrap());
    assert!(!executor.pause_schedule("north").await.unwrap());
    pass(&executor, HOUR * 5).await;
    assert_eq!((ledger.lines().len(), report(&executor, "north").await.next_tick), (0, None));
    let by_hand = executor.run_schedule_now("north").await.unwrap();
    executor.wait_for(by_hand.task_id, None).await.unwrap();
    assert_eq!(ledger.lines(), ["n \"north\" false"], "no tick is behind it");
    assert!(executor.resume_schedule("north").await.unwrap());
    assert!(!executor.resume_schedule("north").await.unwrap());
    pass(&executor, HOUR * 2).await;
    assert_eq!(ledger.lines().len(), 3, "what passed while it rested is nobody's");
    assert!(executor.delete_schedule("north").await.unwrap());
    assert!(!executor.delete_schedule("north").await.unwrap());
    pass(&executor, HOUR * 5).await;
    assert_eq!(ledger.lines().len(), 3);
    assert_eq!(executor.list_schedules().await.unwrap(), []);
}

#[tokio::test]
async fn the_night_on_which_the_clock_is_set_forward_has_its_tick_too() {
    let (executor, ledger) = executor_with_ledger().await;
    executor.register::<Report>().await;
    let set = executor.schedule_task::<Report>("night", "30 2 * * *", "b".into()).time_zone("europe/berlin");
    set.await.unwrap();
    assert_eq!(report(&executor, "night").await.time_zone, "Europe/Berlin");
    // A year has 365 nights, whatever the clock does in two of them.
    for _ in 0..365 {
        pass(&executor, HOUR * 24).await;
    }
    assert_eq!(ledger.lines().len(), 365);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason_and_nothing_is_set() {
    let executor = Executor::new().await;
    let set = |cron: &str| executor.schedule("s", cron, count, "abc".to_owned());
    let error = set("0 25 * * *").await.unwrap_err();
    assert!(matches!(error, DurableError::Schedule(ScheduleError::Field { place: 2, .. })));
    assert!(error.to_string().contains("cron line \"0 25 * * *\": field 2 (hour) is \"25\", and may hold 0-23"));
    let error = set("@daily").time_zone("Europe/Berlim").await.unwrap_err().to_string();
    assert!(error.contains("time zone \"Europe/Berlim\" is not known"), "{error}");
    let error = set("@daily").queue(" q").await.unwrap_err().to_string();
    assert!(error.contains("queue name \" q\""), "{error}");
    let error = executor.schedule(" s", "@daily", count, "abc".to_owned()).await.unwrap_err().to_string();
    assert!(error.contains("schedule name \" s\""), "{error}");
    for error in [
        executor.pause_schedule("s").await.unwrap_err(),
        executor.resume_schedule("s").await.unwrap_err(),
        executor.run_schedule_now("s").await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "there is no schedule \"s\"");
    }
    assert_eq!(executor.list_schedules().await.unwrap(), []);
}

#[tokio::test]
async fn an_idempotent_function_has_one_result_however_often_it_is_started() {
    let executor = Executor::new().await;
    let worker = executor.start_worker(WorkerOptions::default()).await;
    executor.schedule("once", "@hourly", once, "abc".to_owned()).await.unwrap();
    let first = executor.run_schedule_now("once").await.unwrap().task_id;
    assert_eq!(executor.execution_of(once, first).wait(None).await.unwrap(), 7);
    let again = executor.run_schedule_now("once").await.unwrap().task_id;
    assert_eq!(executor.execution_of(once, again).wait(None).await.unwrap(), 7);
    assert_ne!(first, again);
    assert_eq!(RUNS.load(Ordering::SeqCst), 8);
    worker.shutdown().await;
}

/// Sets, steers and runs a schedule, each by another client of one database.
async fn lives(url: &str) {
    let client = || async { Durable::builder().database_url(url).build().await.unwrap() };
    let (one, other) = (client().await, client().await);
    let headers = Map::from_iter([("tenant".to_owned(), Value::from("acme"))]);
    let set = || {
        let set = one.schedule("seconds", "* * * * * *", count, "abc".to_owned());
        set.queue("fast").tags(["gpu"]).headers(headers.clone()).missed(MissedTicks::Skip)
    };
    assert!(set().await.unwrap());
    assert!(!set().await.unwrap());
    let seen = report(&other, "seconds").await;
    assert_eq!((&*seen.cron, &*seen.time_zone, &*seen.queue), ("* * * * * *", "UTC", "fast"));
    assert_eq!((seen.missed, seen.last_tick), (MissedTicks::Skip, None));
    let options = || WorkerOptions { queues: Some(vec!["fast".into()]), ..WorkerOptions::default() };
    let workers = [one.start_worker(options()).await, other.start_worker(options()).await];
    let ticked = async {
        loop {
            if let Some(id) = report(&one, "seconds").await.last_execution {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let id: TaskId = tokio::time::timeout(Duration::from_secs(30), ticked).await.unwrap();
    assert_eq!(other.execution_of(count, id).wait("30s").await.unwrap(), 3);
    other.pause_schedule("seconds").await.unwrap();
    let execution = one.execution(id).await.unwrap().unwrap();
    assert_eq!((&*execution.root.queue, execution.priority, execution.tags), ("fast", 3, vec!["gpu".to_owned()]));
    let by_hand = one.run_schedule_now("seconds").await.unwrap();
    assert_eq!(one.execution_of(count, by_hand.task_id).wait("30s").await.unwrap(), 3);
    for worker in workers {
        worker.shutdown().await;
    }
    assert_eq!(json!(report(&one, "seconds").await.is_paused), json!(true));
    assert!(other.delete_schedule("seconds").await.unwrap());
    one.close().await.unwrap();
    other.close().await.unwrap();
}

/// Sets schedules with one client's limits, and follows them with another that has none.
async fn gives_up(url: &str) {
    let second = Duration::from_secs(1);
    let limits = CancellationPolicy { max_running_time: Some(second), ..CancellationPolicy::default() };
    let one = Durable::builder().database_url(url).default_cancellation(limits).build().await.unwrap();
    let other = Durable::builder().database_url(url).build().await.unwrap();
    let set = |name: &str| one.schedule(name, "* * * * * *", endless, "abc".to_owned());
    let unlimited = || set("expires").cancellation(CancellationPolicy::default()).expiry(second / 2);
    assert!(set("is cancelled").await.unwrap() && unlimited().await.unwrap());
    assert!(!unlimited().await.unwrap(), "it says the same already");
    assert!(set("expires").cancellation(CancellationPolicy::default()).expiry(second).await.unwrap(), "another expiry");
    let worker = other.start_worker(WorkerOptions::default()).await;
    for name in ["is cancelled", "expires"] {
        let ticked = async {
            loop {
                if let Some(id) = report(&other, name).await.last_execution {
                    return id;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let by_tick: TaskId = tokio::time::timeout(Duration::from_secs(30), ticked).await.unwrap();
        other.pause_schedule(name).await.unwrap();
        let by_hand = other.run_schedule_now(name).await.unwrap().task_id;
        for id in [by_tick, by_hand] {
            let ended = other.execution_of(endless, id).wait("30s").await.unwrap_err();
            assert!(if name == "expires" { ended.is_expired() } else { ended.is_cancelled() }, "{name}: {ended}");
        }
    }
    worker.shutdown().await;
    one.close().await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_schedule_keeps_the_limits_of_who_set_it_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    gives_up(&format!("sqlite://{}", folder.path().join("stent.db").display())).await;
}

#[tokio::test]
async fn a_schedule_keeps_the_limits_of_who_set_it_on_postgresql() {
    let database = Server::shared().database().unwrap();
    gives_up(&database.url()).await;
}

#[tokio::test]
async fn a_schedule_lives_in_its_database_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    lives(&format!("sqlite://{}", folder.path().join("stent.db").display())).await;
}

#[tokio::test]
async fn a_schedule_lives_in_its_database_on_postgresql() {
    let database = Server::shared().database().unwrap();
    lives(&database.url()).await;
}

//! Scenarios 14, 18 and 34 as a server has them: it restarts, crashes or hangs with all workers alive; a process stops
//! inside a transaction there; users have transactions of their own.

use std::time::{Duration, Instant};

use stent_core::command::Deadline;
use stent_core::{Done, ExecutionId, SessionId, TaskRef};
use stent_engine::{Engine, WorkerConfig};
use stent_postgres::outbox;

use crate::kit::hands::start_of;
use crate::kit::process::{Process, go_on, says};
use crate::kit::world::{Client, config};
use crate::kit::{Functions, Gates, Ledger, Run, World, eventually, request, spec};

on!(own_server, postgres_server: a_server_that_restarts_crashes_or_hangs_takes_no_living_workers_task);

on!(
    postgres, postgres:
    a_process_stopped_inside_a_transaction_holds_its_taker_up_no_longer_than_the_limit,
    a_start_in_a_users_transaction_waits_for_no_batch_and_is_there_with_its_rows_or_not_at_all,
);

/// How long a worker may be silent in these scenarios.
const WORKER_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a server is gone: as much longer than that as the design's 30 s are longer than its 10.
const OUTAGE: Duration = Duration::from_secs(9);

fn impatient() -> WorkerConfig {
    WorkerConfig { worker_timeout: WORKER_TIMEOUT, ..config() }
}

/// Who runs each of these, its epoch, and how often it was lost.
async fn owners(client: &Engine, ids: &[ExecutionId]) -> Vec<(Option<SessionId>, u64, u32)> {
    let mut owners = Vec::new();
    for id in ids {
        let root = client.root(*id).await;
        owners.push((root.session, root.epoch, root.losses));
    }
    owners
}

/// Scenario 18: The server restarts, crashes and comes back after thrice the workers' timeout, or hangs for that long,
/// with all workers alive: nobody's tasks are taken, and everybody goes on.
async fn a_server_that_restarts_crashes_or_hangs_takes_no_living_workers_task(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions = Functions::new(&ledger, &gates)
        .with("works", |run: Run| async move {
            let first = run.step("first").await?;
            Ok(first + &run.gated("work").await? + &run.step("last").await?)
        })
        .with("passes", |run: Run| async move { Ok(run.step("passed").await?) });
    let client = world.engine();
    let _one = world.worker_with(functions.clone(), impatient()).await;
    let _other = world.worker_with(functions, impatient()).await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(client.begin("works", &number.to_string()).await);
        ledger.reaches(&format!("{number}:work"), 1).await;
    }
    let before = owners(&client, &ids).await;
    assert!(before.iter().all(|(_, epoch, losses)| (*epoch, *losses) == (1, 0)), "{before:?}");
    for outage in ["restarts", "crashes", "hangs"] {
        let server = world.server();
        match outage {
            "restarts" => server.restart().unwrap(),
            "crashes" => {
                server.kill().unwrap();
                tokio::time::sleep(OUTAGE).await;
                server.restart().unwrap();
            }
            _ => {
                server.pause().unwrap();
                tokio::time::sleep(OUTAGE).await;
                server.resume().unwrap();
            }
        }
        // A start may meet a connection that the server has just ended; it was refused then, and is asked for again.
        let passes = eventually_started(&client, "passes").await;
        assert_eq!(client.result(passes).await, "passed", "after the server {outage}");
        // Whoever would take something away must have been connected for the timeout itself.
        tokio::time::sleep(WORKER_TIMEOUT + Duration::from_millis(500)).await;
        assert_eq!(owners(&client, &ids).await, before, "the server {outage}: a living worker's task was taken");
    }
    gates.open("work");
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(client.result(*id).await, "firstworklast");
        for step in ["first", "work", "last"] {
            assert_eq!(ledger.count(&format!("{number}:{step}")), 1, "{step} ran again");
        }
    }
}

async fn eventually_started(client: &Engine, function: &str) -> ExecutionId {
    let since = Instant::now();
    loop {
        match client.start(request(spec(function, ""))).await {
            Ok(started) => return started.execution,
            Err(stent_engine::EngineError::Store(error)) if error.is_transient() => {
                assert!(since.elapsed() < Duration::from_secs(30), "nothing can be started any more: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Scenario 14: A worker frozen by SIGSTOP with a batch of its own in flight, its transaction open on the server: the
/// server ends that transaction after its standstill limit (5 s), the taker goes on, and nothing of the frozen one is
/// written later. The batch is held open by hand, on a connection that is set as a committer's is: none is that slow.
async fn a_process_stopped_inside_a_transaction_holds_its_taker_up_no_longer_than_the_limit(world: World) {
    let client = world.engine();
    let frozen = Process::start("worker", &world, "frozen");
    let id = client.begin("freezes", "").await;
    says(world.path(), "frozen", "in user code").await;
    let session = client.root(id).await.session.unwrap();
    let batch = world.users_connection().await;
    let session = session.to_string();
    let open = format!(
        "BEGIN; SET LOCAL idle_in_transaction_session_timeout TO '5s'; \
         UPDATE committers SET last_batch = last_batch + 1 \
         WHERE instance_id = (SELECT instance_id FROM sessions WHERE session_id = '{session}')"
    );
    // In this order: a beat of its own that waits behind this batch would stand still for a second limit.
    frozen.signal("STOP");
    batch.batch_execute(&open).await.unwrap();
    let since = Instant::now();
    let ledger = Ledger::default();
    let functions = Functions::new(&ledger, &Gates::default())
        .with("freezes", |run: Run| async move { Ok(run.step("done").await? + " by the taker") });
    let _taker = world.worker_with(functions, impatient()).await;
    assert_eq!(client.result(id).await, "done by the taker");
    // The limit, the worker's timeout, and what a busy machine takes; the frozen one stands still until it is told.
    assert!(since.elapsed() < Duration::from_secs(20), "the taker was held up for {:?}", since.elapsed());
    assert!(batch.batch_execute("COMMIT").await.is_err(), "the frozen transaction was to be ended by the server");
    let rows = || async { (client.tasks(id).await, client.past(TaskRef::root(id)).await) };
    let before = rows().await;
    frozen.signal("CONT");
    go_on(&world);
    says(world.path(), "frozen", "was stopped").await;
    assert_eq!(rows().await, before, "a frozen worker changed a row after it was taken over");
    assert_eq!((before.0[0].losses, ledger.count("done")), (1, 1));
}

/// Scenario 34: A `spawn` inside the user's own open transaction (outbox) waits for none of our batches, commits with
/// the user's rows or not at all, and wakes a worker. That an ordinary call inside is noticed and named is the face's,
/// which knows whose code asks.
async fn a_start_in_a_users_transaction_waits_for_no_batch_and_is_there_with_its_rows_or_not_at_all(world: World) {
    let (ledger, gates) = (Ledger::default(), Gates::default());
    let functions =
        Functions::new(&ledger, &gates).with("works", |run: Run| async move { Ok(run.step("work").await?) });
    let engine = world.engine();
    // Something was committed, so that the committers have their rows.
    let blocked = engine.begin("works", "first").await;
    let mut users = world.users_connection().await;
    users.batch_execute("CREATE TABLE orders (id text)").await.unwrap();
    // Every batch of ours now waits for its committer's row.
    let mut jam = world.users_connection().await;
    let jam = jam.transaction().await.unwrap();
    jam.batch_execute("SELECT FROM committers FOR UPDATE").await.unwrap();
    let start = || {
        let id = engine.new_execution_id();
        (id, start_of(id, spec("works", "outbox"), Deadline::default()))
    };
    let (kept, command) = start();
    let since = Instant::now();
    let transaction = users.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES ('one')", &[]).await.unwrap();
    let outcomes = outbox::apply(&transaction, vec![command]).await.unwrap();
    // Our batches wait until their row is let go, below: whoever waited for one would never come here.
    assert!(since.elapsed() < Duration::from_secs(10), "the outbox waited for {:?}", since.elapsed());
    assert!(matches!(outcomes[0], Ok(Done::Started { created: true, .. })), "{outcomes:?}");
    assert!(engine.store().execution(kept).await.unwrap().is_none(), "it is there before the user commits");
    transaction.commit().await.unwrap();
    assert!(engine.store().execution(kept).await.unwrap().is_some(), "it is not there with the user's rows");
    jam.rollback().await.unwrap();

    let transaction = users.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES ('two')", &[]).await.unwrap();
    let (dropped, command) = start();
    outbox::apply(&transaction, vec![command]).await.unwrap();
    transaction.rollback().await.unwrap();

    // A worker that is not told would look again only after a minute.
    let deaf = WorkerConfig { poll_interval: Duration::from_secs(60), ..config() };
    let _worker = world.worker_with(functions, deaf).await;
    assert_eq!(engine.result(blocked).await, "work");
    assert_eq!(engine.result(kept).await, "work");
    let transaction = users.transaction().await.unwrap();
    let (told, command) = start();
    outbox::apply(&transaction, vec![command]).await.unwrap();
    transaction.commit().await.unwrap();
    let done = || async { engine.root(told).await.state.is_terminal() };
    eventually("a worker hears of the user's commit", done).await;
    assert!(engine.store().execution(dropped).await.unwrap().is_none(), "it outlived the user's rollback");
    let orders = users.query_one("SELECT count(*) FROM orders", &[]).await.unwrap();
    assert_eq!(orders.get::<_, i64>(0), 1);
}

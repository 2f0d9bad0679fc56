//! The face on PostgreSQL: an address opens the store, tasks outlive their worker there, and starts and events go with
//! the user's own transaction or not at all.

use std::sync::LazyLock;
use std::time::Duration;

use durable::{Durable, DurableError, SpawnOptions, StoreErrorKind, Task, WorkerOptions};
use stent_servers::{Database, Server};
use tokio::sync::Barrier;
use tokio_postgres::{Client, NoTls};

task!(Mail(to: String, ctx) -> String {
    let from: String = ctx.await_event("sender", None).await?;
    ctx.step("send", || async { Ok(format!("{from} to {to}")) }).await
});

const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

fn database() -> Database {
    Server::shared().database().unwrap()
}

async fn client(database: &Database) -> Durable {
    let client = Durable::builder().database_url(database.url()).build().await.unwrap();
    client.register::<Mail>().await;
    client
}

async fn connection(database: &Database) -> Client {
    let (connection, driver) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(driver);
    connection
}

/// A client, a connection of the user's own with a table of theirs, and the database, which goes last.
async fn shop() -> (Durable, Client, Database) {
    let database = database();
    let (client, connection) = (client(&database).await, connection(&database).await);
    connection.batch_execute("CREATE TABLE customers (name TEXT)").await.unwrap();
    (client, connection, database)
}

#[tokio::test]
async fn a_task_goes_on_with_another_process_from_its_last_step() {
    let database = database();
    let first = client(&database).await;
    let worker = first.start_worker(WorkerOptions::default()).await;
    let mail = first.spawn::<Mail>("ann".into()).await.unwrap();
    worker.shutdown().await;
    first.close().await.unwrap();
    let second = client(&database).await;
    let worker = second.start_worker(WorkerOptions::default()).await;
    second.emit_event("sender", "shop", None).await.unwrap();
    assert_eq!(second.wait_for_output::<Mail>(mail.task_id, PATIENCE).await.unwrap(), "shop to ann");
    worker.shutdown().await;
    second.close().await.unwrap();
}

static TOGETHER: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(20));

/// Ends once twenty of its kind run at the same time.
#[durable::function]
async fn meets_others(number: u64) -> u64 {
    TOGETHER.wait().await;
    number
}

#[tokio::test]
async fn twenty_tasks_run_at_once_over_a_pool_of_one_connection() {
    let database = database();
    let client = Durable::builder().database_url(format!("{}?max_size=1", database.url())).build().await.unwrap();
    let worker = client.start_worker(WorkerOptions { concurrency: 20, ..WorkerOptions::default() }).await;
    let mut started = Vec::new();
    for number in 0..20 {
        started.push((number, client.dispatch(meets_others, number).await.unwrap()));
    }
    for (number, execution) in started {
        assert_eq!(execution.wait(PATIENCE).await.unwrap(), number);
    }
    worker.shutdown().await;
    client.close().await.unwrap();
}

#[tokio::test]
async fn both_schemes_and_a_schema_of_its_own_are_understood() {
    let database = database();
    let other_scheme = database.url().replacen("postgres://", "postgresql://", 1);
    let apart =
        Durable::builder().database_url(format!("{other_scheme}?schema=apart&max_size=2")).build().await.unwrap();
    apart.spawn_by_name("anything", serde_json::json!({}), SpawnOptions::default()).await.unwrap();
    assert_eq!(database.psql("SELECT count(*) FROM apart.executions").unwrap(), "1");
}

#[tokio::test]
async fn a_configuration_of_tokio_postgres_opens_the_store_and_its_search_path_says_where() {
    let database = database();
    database.psql("CREATE SCHEMA till").unwrap();
    let mut config: tokio_postgres::Config = database.url().parse().unwrap();
    config.options("-c search_path=till");
    let till = Durable::builder().postgres_config(config).build().await.unwrap();
    till.register::<Mail>().await;
    let worker = till.start_worker(WorkerOptions::default()).await;
    let mail = till.spawn::<Mail>("ann".into()).await.unwrap();
    till.emit_event("sender", "shop", None).await.unwrap();
    assert_eq!(till.wait_for_output::<Mail>(mail.task_id, PATIENCE).await.unwrap(), "shop to ann");
    assert_eq!(database.psql("SELECT count(*) FROM till.executions").unwrap(), "1");
    worker.shutdown().await;
    let mut nowhere = tokio_postgres::Config::new();
    nowhere.user("ann").password("gu3ss").host("127.0.0.1").port(1);
    let refused = Durable::builder().postgres_config(nowhere).build().await.unwrap_err();
    assert!(matches!(&refused, DurableError::Store(error) if error.is_transient()), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("gu3ss"), "{refused:?}");
}

#[tokio::test]
async fn an_address_that_cannot_be_opened_is_not_repeated() {
    let server = Server::shared();
    let role = server.role_with_password("s3cret").unwrap();
    let right = database();
    let wrong = right.url_as(&role).replace("s3cret", "gu3ss");
    let nowhere = format!("postgres://ann:gu3ss@127.0.0.1:{}/no_such_database", server.port());
    let unknown = format!("{}?no_such_parameter=gu3ss", right.url());
    for address in [wrong, nowhere, unknown] {
        let refused = Durable::builder().database_url(address).build().await.unwrap_err();
        let DurableError::Store(error) = &refused else { panic!("{refused:?}") };
        assert_eq!(error.kind(), StoreErrorKind::Unusable, "{refused}");
        assert!(!error.hint().is_empty(), "{refused}");
        assert!(!format!("{refused} {refused:?}").contains("gu3ss"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_task_and_an_event_are_there_when_the_transaction_commits() {
    let (client, mut connection, _database) = shop().await;
    let worker = client.start_worker(WorkerOptions::default()).await;
    let transaction = connection.transaction().await.unwrap();
    transaction.execute("INSERT INTO customers VALUES ('ann')", &[]).await.unwrap();
    let inside = client.in_postgres_transaction(&transaction);
    let mail = inside.spawn::<Mail>("ann".into()).await.unwrap();
    inside.emit_event("sender", "shop", None).await.unwrap();
    drop(inside);
    assert!(client.get_task_result(mail.task_id).await.unwrap().is_none(), "it is there before the commit");
    transaction.commit().await.unwrap();
    assert_eq!(client.wait_for_output::<Mail>(mail.task_id, PATIENCE).await.unwrap(), "shop to ann");
    worker.shutdown().await;
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_starts_nothing() {
    let (client, mut connection, _database) = shop().await;
    let transaction = connection.transaction().await.unwrap();
    let mail = client.in_postgres_transaction(&transaction).spawn::<Mail>("bob".into()).await.unwrap();
    transaction.rollback().await.unwrap();
    assert!(client.get_task_result(mail.task_id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_is_known_inside_a_transaction_too() {
    let (client, mut connection, _database) = shop().await;
    let keyed = || SpawnOptions { idempotency_key: Some("welcome ann".into()), ..SpawnOptions::default() };
    let before = client.spawn_with_options::<Mail>("ann".into(), keyed()).await.unwrap();
    let transaction = connection.transaction().await.unwrap();
    let inside = client.in_postgres_transaction(&transaction);
    let again = inside.spawn_with_options::<Mail>("ann".into(), keyed()).await.unwrap();
    assert_eq!((again.task_id, again.created), (before.task_id, false));
    let by_name = inside.spawn_by_name(Mail::NAME, &serde_json::json!("cleo"), SpawnOptions::default()).await.unwrap();
    assert!(by_name.created);
}

#[tokio::test]
async fn an_ordinary_call_inside_a_transaction_is_noticed_and_named_and_that_of_another_task_is_not() {
    let (client, mut connection, _database) = shop().await;
    let transaction = connection.transaction().await.unwrap();
    let inside = client.in_postgres_transaction(&transaction);
    let refused = client.spawn::<Mail>("ann".into()).await.unwrap_err();
    assert!(matches!(refused, DurableError::InsideTransaction), "{refused}");
    let neighbour = client.clone();
    tokio::spawn(async move { neighbour.spawn::<Mail>("bob".into()).await }).await.unwrap().unwrap();
    drop(inside);
    transaction.rollback().await.unwrap();
    client.spawn::<Mail>("ann".into()).await.unwrap();
}

#[tokio::test]
async fn a_refused_start_leaves_the_users_transaction_open() {
    let (client, _, _database) = shop().await;
    let elsewhere = database();
    let mut connection = connection(&elsewhere).await;
    connection.batch_execute("CREATE TABLE customers (name TEXT)").await.unwrap();
    let transaction = connection.transaction().await.unwrap();
    let inside = client.in_postgres_transaction(&transaction);
    let wrong = inside.spawn::<Mail>("ann".into()).await.unwrap_err();
    assert!(matches!(&wrong, DurableError::Store(error) if error.kind() == StoreErrorKind::Misuse), "{wrong}");
    let named = inside.emit_event("", &1, None).await.unwrap_err();
    assert!(matches!(named, DurableError::Name(_)), "{named}");
    transaction.execute("INSERT INTO customers VALUES ('ann')", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(elsewhere.psql("SELECT count(*) FROM customers").unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_a_task_that_moves_between_threads_can_start_tasks() {
    let (client, mut connection, _database) = shop().await;
    let sign_up = async move {
        let transaction = connection.transaction().await?;
        let mail = client.in_postgres_transaction(&transaction).spawn::<Mail>("ann".into()).await?;
        transaction.commit().await?;
        anyhow::Ok(client.get_task_result(mail.task_id).await?.is_some())
    };
    assert!(tokio::spawn(sign_up).await.unwrap().unwrap());
}

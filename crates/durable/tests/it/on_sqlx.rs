//! Starts and events inside a transaction of sqlx's, as `on_postgres.rs` has them for tokio-postgres's.

use std::time::Duration;

use durable::sqlx::{self, PgConnection, PgPool};
use durable::{Durable, DurableError, SpawnOptions, StoreErrorKind, Task, WorkerOptions};
use stent_servers::{Database, Server};

task!(Mail(to: String, ctx) -> String {
    let from: String = ctx.await_event("sender", None).await?;
    ctx.step("send", || async { Ok(format!("{from} to {to}")) }).await
});

const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

/// A client, a pool of the user's own with a table of theirs, and the database, which goes last.
async fn shop() -> (Durable, PgPool, Database) {
    let database = Server::shared().database().unwrap();
    let client = Durable::builder().database_url(database.url()).build().await.unwrap();
    client.register::<Mail>().await;
    (client, pool(&database).await, database)
}

async fn pool(database: &Database) -> PgPool {
    let pool = PgPool::connect(&database.url()).await.unwrap();
    sqlx::query("CREATE TABLE customers (name TEXT)").execute(&pool).await.unwrap();
    pool
}

async fn sign_up(connection: &mut PgConnection, name: &str) {
    sqlx::query("INSERT INTO customers VALUES ($1)").bind(name).execute(connection).await.unwrap();
}

#[tokio::test]
async fn a_task_and_an_event_are_there_when_the_transaction_commits() {
    let (client, pool, _database) = shop().await;
    let worker = client.start_worker(WorkerOptions::default()).await;
    let mut transaction = pool.begin().await.unwrap();
    sign_up(&mut transaction, "ann").await;
    let mut inside = client.in_sqlx_transaction(&mut transaction);
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
    let (client, pool, _database) = shop().await;
    let mut transaction = pool.begin().await.unwrap();
    let mail = client.in_sqlx_transaction(&mut transaction).spawn::<Mail>("bob".into()).await.unwrap();
    transaction.rollback().await.unwrap();
    assert!(client.get_task_result(mail.task_id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_is_known_inside_a_transaction_too() {
    let (client, pool, _database) = shop().await;
    let keyed = || SpawnOptions { idempotency_key: Some("welcome ann".into()), ..SpawnOptions::default() };
    let before = client.spawn_with_options::<Mail>("ann".into(), keyed()).await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    let mut inside = client.in_sqlx_transaction(&mut transaction);
    let again = inside.spawn_with_options::<Mail>("ann".into(), keyed()).await.unwrap();
    assert_eq!((again.task_id, again.created), (before.task_id, false));
    let by_name = inside.spawn_by_name(Mail::NAME, &serde_json::json!("cleo"), SpawnOptions::default()).await.unwrap();
    assert!(by_name.created);
}

#[tokio::test]
async fn an_ordinary_call_inside_a_transaction_is_noticed_and_named() {
    let (client, pool, _database) = shop().await;
    let mut transaction = pool.begin().await.unwrap();
    let inside = client.in_sqlx_transaction(&mut transaction);
    let refused = client.spawn::<Mail>("ann".into()).await.unwrap_err();
    assert!(matches!(refused, DurableError::InsideTransaction), "{refused}");
    drop(inside);
    transaction.rollback().await.unwrap();
    client.spawn::<Mail>("ann".into()).await.unwrap();
}

#[tokio::test]
async fn a_refused_start_leaves_the_users_transaction_open() {
    let (client, _, _database) = shop().await;
    let elsewhere = Server::shared().database().unwrap();
    let other = pool(&elsewhere).await;
    let mut transaction = other.begin().await.unwrap();
    let mut inside = client.in_sqlx_transaction(&mut transaction);
    let wrong = inside.spawn::<Mail>("ann".into()).await.unwrap_err();
    assert!(matches!(&wrong, DurableError::Store(error) if error.kind() == StoreErrorKind::Misuse), "{wrong}");
    let named = inside.emit_event("", &1, None).await.unwrap_err();
    assert!(matches!(named, DurableError::Name(_)), "{named}");
    drop(inside);
    sign_up(&mut transaction, "ann").await;
    transaction.commit().await.unwrap();
    assert_eq!(elsewhere.psql("SELECT count(*) FROM customers").unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_a_task_that_moves_between_threads_can_start_tasks() {
    let (client, pool, _database) = shop().await;
    let sign_up = async move {
        let mut transaction = pool.begin().await?;
        let mail = client.in_sqlx_transaction(&mut transaction).spawn::<Mail>("ann".into()).await?;
        transaction.commit().await?;
        anyhow::Ok(client.get_task_result(mail.task_id).await?.is_some())
    };
    assert!(tokio::spawn(sign_up).await.unwrap().unwrap());
}

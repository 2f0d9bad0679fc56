//! Starts and events inside a transaction of the user's own: with its rows or not at all, and never waiting for our
//! writer.

use std::time::Duration;

use durable::{Durable, DurableError, SpawnOptions, Task, WorkerOptions};
use rusqlite::{Connection, Transaction, TransactionBehavior};

task!(Mail(to: String, ctx) -> String {
    let from: String = ctx.await_event("sender", None).await?;
    ctx.step("send", || async { Ok(format!("{from} to {to}")) }).await
});

struct Shop {
    client: Durable,
    connection: Connection,
    _folder: tempfile::TempDir,
}

fn begin(connection: &mut Connection) -> Transaction<'_> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap()
}

async fn shop() -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let client = Durable::builder().database_url(format!("sqlite://{}", path.display())).build().await.unwrap();
    client.register::<Mail>().await;
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE customers (name TEXT)").unwrap();
    Shop { client, connection, _folder: folder }
}

#[tokio::test]
async fn a_task_and_an_event_are_there_when_the_transaction_commits() {
    let Shop { client, mut connection, _folder } = shop().await;
    let worker = client.start_worker(WorkerOptions::default()).await;
    let transaction = begin(&mut connection);
    transaction.execute("INSERT INTO customers VALUES ('ann')", []).unwrap();
    let inside = client.in_transaction(&transaction);
    let mail = inside.spawn::<Mail>("ann".into()).unwrap();
    inside.emit_event("sender", "shop", None).unwrap();
    drop(inside);
    transaction.commit().unwrap();
    let output = client.wait_for_output::<Mail>(mail.task_id, Some(Duration::from_secs(20))).await.unwrap();
    assert_eq!(output, "shop to ann");
    worker.shutdown().await;
}

#[tokio::test]
async fn a_transaction_that_is_rolled_back_starts_nothing() {
    let Shop { client, mut connection, _folder } = shop().await;
    let transaction = begin(&mut connection);
    transaction.execute("INSERT INTO customers VALUES ('bob')", []).unwrap();
    let mail = client.in_transaction(&transaction).spawn::<Mail>("bob".into()).unwrap();
    transaction.rollback().unwrap();
    assert!(client.get_task_result(mail.task_id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_is_known_inside_a_transaction_too() {
    let Shop { client, mut connection, _folder } = shop().await;
    let keyed = || SpawnOptions { idempotency_key: Some("welcome ann".into()), ..SpawnOptions::default() };
    let before = client.spawn_with_options::<Mail>("ann".into(), keyed()).await.unwrap();
    let transaction = begin(&mut connection);
    let inside = client.in_transaction(&transaction);
    let again = inside.spawn_with_options::<Mail>("ann".into(), keyed()).unwrap();
    assert_eq!((again.task_id, again.created), (before.task_id, false));
    let by_name = inside.spawn_by_name(Mail::NAME, &serde_json::json!("cleo"), SpawnOptions::default()).unwrap();
    assert!(by_name.created);
}

#[tokio::test]
async fn an_ordinary_call_inside_a_transaction_is_noticed_and_named() {
    let Shop { client, mut connection, _folder } = shop().await;
    let transaction = begin(&mut connection);
    let inside = client.in_transaction(&transaction);
    let refused = client.spawn::<Mail>("ann".into()).await.unwrap_err();
    assert!(matches!(refused, DurableError::InsideTransaction), "{refused}");
    drop(inside);
    transaction.rollback().unwrap();
    assert!(client.spawn::<Mail>("ann".into()).await.is_ok());
}

#[tokio::test]
async fn a_connection_that_is_not_to_the_store_or_in_no_transaction_is_refused() {
    let Shop { client, mut connection, _folder } = shop().await;
    let outside = client.in_transaction(&connection).spawn::<Mail>("ann".into()).unwrap_err();
    assert!(outside.to_string().contains("no transaction is open"), "{outside}");
    let mut elsewhere = Connection::open_in_memory().unwrap();
    let transaction = begin(&mut elsewhere);
    let wrong = client.in_transaction(&transaction).spawn::<Mail>("ann".into()).unwrap_err();
    assert!(matches!(wrong, DurableError::Store(_)), "{wrong}");
    drop(transaction);
    let transaction = begin(&mut connection);
    let named = client.in_transaction(&transaction).emit_event("", &1, None).unwrap_err();
    assert!(matches!(named, DurableError::Name(_)), "{named}");
}

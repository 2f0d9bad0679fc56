//! The outbox on PostgreSQL: a task is started inside the application's own transaction, so the customer's row and the
//! welcome mail are both there or neither is. The tables of both live in one database: the environment's
//! DURABLE_DATABASE_URL, else `shop` on this machine.

use durable::{Durable, Task, TaskContext, TaskResult, WorkerOptions, async_trait};
use tokio_postgres::{Client, NoTls};

struct Welcome;

#[async_trait]
impl Task for Welcome {
    const NAME: &'static str = "welcome";
    type Params = String;
    type Output = String;

    async fn run(name: String, ctx: TaskContext) -> TaskResult<String> {
        ctx.step("send the mail", || async { Ok(format!("welcome, {name}!")) }).await
    }
}

/// Adds a customer and starts the mail, in one transaction.
async fn sign_up(client: &Durable, shop: &mut Client, name: &str) -> anyhow::Result<durable::TaskId> {
    let transaction = shop.transaction().await?;
    let mail = client.in_postgres_transaction(&transaction).spawn::<Welcome>(name.into()).await?;
    transaction.execute("INSERT INTO customers (name) VALUES ($1)", &[&name]).await?;
    transaction.commit().await?;
    Ok(mail.task_id)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::var("DURABLE_DATABASE_URL").unwrap_or_else(|_| "postgres://localhost/shop".into());
    let client = Durable::builder().database_url(&address).build().await?;
    client.register::<Welcome>().await;
    let worker = client.start_worker(WorkerOptions::default()).await;
    let (mut shop, connection) = tokio_postgres::connect(&address, NoTls).await?;
    tokio::spawn(connection);
    shop.batch_execute("CREATE TABLE customers (name text PRIMARY KEY)").await?;

    let mail = sign_up(&client, &mut shop, "ann").await?;
    println!("{}", client.wait_for_output::<Welcome>(mail, None).await?);

    // The second sign-up fails after the mail was asked for: there is no such mail.
    match sign_up(&client, &mut shop, "ann").await {
        Ok(_) => println!("ann is there twice"),
        Err(error) => println!("refused: {}", error.root_cause()),
    }
    let mails = shop.query_one("SELECT count(*) FROM executions", &[]).await?;
    println!("mails: {}", mails.get::<_, i64>(0));

    worker.shutdown().await;
    Ok(())
}

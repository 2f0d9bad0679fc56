//! The outbox: a task is started inside the application's own SQLite transaction, so the customer's row and the
//! welcome mail are both there or neither is. The tables of both live in one file.

use durable::{Durable, Task, TaskContext, TaskResult, WorkerOptions, async_trait};
use rusqlite::{Connection, TransactionBehavior};

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
fn sign_up(client: &Durable, shop: &mut Connection, name: &str) -> anyhow::Result<durable::TaskId> {
    // Immediate: it takes its turn to write now, and nothing can come between its reads and its writes.
    let transaction = shop.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mail = client.in_transaction(&transaction).spawn::<Welcome>(name.into())?;
    transaction.execute("INSERT INTO customers (name) VALUES (?1)", [name])?;
    transaction.commit()?;
    Ok(mail.task_id)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Durable::builder().database_url("sqlite://shop.db").build().await?;
    client.register::<Welcome>().await;
    let worker = client.start_worker(WorkerOptions::default()).await;
    let mut shop = Connection::open("shop.db")?;
    shop.execute_batch("CREATE TABLE customers (name TEXT PRIMARY KEY)")?;

    let mail = sign_up(&client, &mut shop, "ann")?;
    println!("{}", client.wait_for_output::<Welcome>(mail, None).await?);

    // The second sign-up fails after the mail was asked for: there is no such mail.
    match sign_up(&client, &mut shop, "ann") {
        Ok(_) => println!("ann is there twice"),
        Err(error) => println!("refused: {error}"),
    }
    let mails: u32 = shop.query_row("SELECT count(*) FROM executions", [], |row| row.get(0))?;
    println!("mails: {mails}");

    worker.shutdown().await;
    Ok(())
}

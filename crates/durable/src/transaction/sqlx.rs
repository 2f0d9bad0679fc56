//! Inside a transaction of the user's own of sqlx's, on PostgreSQL. What goes over the connection is the same as over
//! one of tokio-postgres's; nothing stays prepared on it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use stent_core::Payload;
use stent_core::command::{Command, Done};
use stent_postgres::outbox;

use super::inside::Mark;
use super::{answer, emit, start, started};
use crate::client::Durable;
use crate::error::DurableError;
use crate::options::SpawnOptions;
use crate::report::SpawnResult;
use crate::task::Task;

/// What a client can do inside a transaction of your own of sqlx's, on the client's PostgreSQL database. Feature `sqlx`.
///
/// All that [`InPostgresTransaction`](crate::InPostgresTransaction) says holds here too: the connection must find the
/// store's tables by its search path, the transaction should be short, and the client's ordinary calls by the same tokio
/// task are errors while this handle lives. It has the connection for itself; drop it before your own next statement.
///
/// ```
/// # use durable::{Durable, Task, TaskContext, TaskResult, async_trait, sqlx};
/// # struct SendMail;
/// # #[async_trait]
/// # impl Task for SendMail {
/// #     const NAME: &'static str = "send-mail";
/// #     type Params = String;
/// #     type Output = ();
/// #     async fn run(_: String, _: TaskContext) -> TaskResult<()> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let database = stent_servers::Server::shared().database()?;
/// # let url = database.url();
/// let client = Durable::builder().database_url(&url).build().await?;
/// let pool = sqlx::PgPool::connect(&url).await?;
/// sqlx::query("CREATE TABLE customers (name TEXT)").execute(&pool).await?;
///
/// let mut transaction = pool.begin().await?;
/// sqlx::query("INSERT INTO customers VALUES ($1)").bind("ann").execute(&mut *transaction).await?;
/// let mail = client.in_sqlx_transaction(&mut transaction).spawn::<SendMail>("welcome, ann".into()).await?;
/// transaction.commit().await?; // the row and the task, or neither
///
/// assert!(client.get_task_result(mail.task_id).await?.is_some());
/// # Ok(())
/// # }
/// ```
pub struct InSqlxTransaction<'c> {
    client: &'c Durable,
    transaction: &'c mut PgConnection,
    /// Refuses ordinary calls of this task while it lives.
    _inside: Mark,
}

impl Durable {
    /// The client inside a transaction of your own of sqlx's, which must be one on this client's PostgreSQL database:
    /// `&mut transaction` of a `sqlx::Transaction<'_, Postgres>`, or a connection on which one is open.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, sqlx};
    /// async fn packed(client: &Durable, transaction: &mut sqlx::PgTransaction<'_>) -> Result<(), DurableError> {
    ///     client.in_sqlx_transaction(transaction).emit_event("packed", &true, None).await
    /// }
    /// ```
    #[must_use]
    pub fn in_sqlx_transaction<'c>(&'c self, transaction: &'c mut PgConnection) -> InSqlxTransaction<'c> {
        InSqlxTransaction { client: self, transaction, _inside: Mark::here() }
    }
}

impl InSqlxTransaction<'_> {
    /// Starts a task when the transaction commits.
    ///
    /// # Errors
    /// As [`Durable::spawn`]; [`DurableError::Store`] when no transaction is open, the connection finds no store of this
    /// version, or the server fails. Nothing of the start is there then, and your transaction can go on, unless the
    /// connection is lost.
    pub async fn spawn<T: Task>(&mut self, params: T::Params) -> Result<SpawnResult, DurableError> {
        self.spawn_with_options::<T>(params, SpawnOptions::default()).await
    }

    /// Starts a task with options when the transaction commits.
    ///
    /// ```
    /// # use durable::{DurableError, InSqlxTransaction, SpawnOptions, Task, TaskId};
    /// async fn once<T: Task>(
    ///     inside: &mut InSqlxTransaction<'_>,
    ///     key: &str,
    ///     params: T::Params,
    /// ) -> Result<TaskId, DurableError> {
    ///     let options = SpawnOptions { idempotency_key: Some(key.into()), ..SpawnOptions::default() };
    ///     Ok(inside.spawn_with_options::<T>(params, options).await?.task_id)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Durable::spawn_with_options`].
    pub async fn spawn_with_options<T: Task>(
        &mut self,
        params: T::Params,
        options: SpawnOptions,
    ) -> Result<SpawnResult, DurableError> {
        self.start(T::NAME, Payload::json(&params)?, options).await
    }

    /// Starts a task by its name when the transaction commits.
    ///
    /// ```
    /// # use durable::{DurableError, InSqlxTransaction, SpawnOptions};
    /// async fn resize(inside: &mut InSqlxTransaction<'_>, image: &str) -> Result<(), DurableError> {
    ///     let params = serde_json::json!({ "image": image });
    ///     inside.spawn_by_name("resize", &params, SpawnOptions::default()).await.map(drop)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`spawn_with_options`](Self::spawn_with_options).
    pub async fn spawn_by_name(
        &mut self,
        name: &str,
        params: &Value,
        options: SpawnOptions,
    ) -> Result<SpawnResult, DurableError> {
        self.start(name, Payload::json(params)?, options).await
    }

    async fn start(&mut self, name: &str, args: Payload, options: SpawnOptions) -> Result<SpawnResult, DurableError> {
        started(&self.apply(start(self.client, name, args, &options)?).await?)
    }

    /// Publishes an event when the transaction commits.
    ///
    /// ```
    /// # use durable::{DurableError, InSqlxTransaction};
    /// async fn packed(inside: &mut InSqlxTransaction<'_>, order: u64) -> Result<(), DurableError> {
    ///     inside.emit_event(&format!("packed:{order}"), &true, None).await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Durable::emit_event`] and [`spawn`](Self::spawn).
    pub async fn emit_event<P: Serialize + ?Sized>(
        &mut self,
        name: &str,
        payload: &P,
        queue: Option<&str>,
    ) -> Result<(), DurableError> {
        self.apply(emit(self.client, name, payload, queue)?).await.map(drop)
    }

    async fn apply(&mut self, command: Command) -> Result<Done, DurableError> {
        answer(outbox::apply_sqlx(self.transaction, vec![command]).await?)
    }
}

impl fmt::Debug for InSqlxTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InSqlxTransaction").finish_non_exhaustive()
    }
}

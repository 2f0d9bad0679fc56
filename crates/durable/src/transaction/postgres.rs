//! Inside a transaction of the user's own on PostgreSQL, over any connection of theirs to the store's database: direct,
//! from a pool, through a transaction-pooling PgBouncer.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use stent_core::Payload;
use stent_core::command::{Command, Done};
use stent_postgres::outbox;
use tokio_postgres::Transaction;

use super::inside::Mark;
use super::{answer, emit, start, started};
use crate::client::Durable;
use crate::error::DurableError;
use crate::options::SpawnOptions;
use crate::report::SpawnResult;
use crate::task::Task;

/// What a client can do inside a transaction of your own, on your connection to the same PostgreSQL database. (On SQLite
/// it is [`Durable::in_transaction`].)
///
/// The connection must find the store's tables: by its search path, or, where the client's address names a
/// `?schema=`, by a `SET search_path` of yours to that schema. The role needs the same grants as a worker's.
///
/// Keep the transaction short. Until it ends, whoever starts a task under the same key, or emits or awaits an event of
/// the same name, waits for it. That is why, while this handle lives, the client's ordinary calls by the same tokio
/// task are errors ([`DurableError::InsideTransaction`]): they could wait for themselves, and would not roll back with
/// it. Code that handles several such transactions at once in one task (`join!`, `buffer_unordered`) gives each a task
/// of its own by `tokio::spawn`.
///
/// ```
/// # use durable::{Durable, Task, TaskContext, TaskResult, async_trait};
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
/// let (mut connection, driver) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
/// tokio::spawn(driver);
/// connection.batch_execute("CREATE TABLE customers (name TEXT)").await?;
///
/// let transaction = connection.transaction().await?;
/// transaction.execute("INSERT INTO customers VALUES ('ann')", &[]).await?;
/// let mail = client.in_postgres_transaction(&transaction).spawn::<SendMail>("welcome, ann".into()).await?;
/// transaction.commit().await?; // the row and the task, or neither
///
/// assert!(client.get_task_result(mail.task_id).await?.is_some());
/// # Ok(())
/// # }
/// ```
pub struct InPostgresTransaction<'c> {
    client: &'c Durable,
    transaction: &'c Transaction<'c>,
    /// Refuses ordinary calls of this task while it lives.
    _inside: Mark,
}

impl Durable {
    /// The client inside a transaction of your own, which must be one on this client's PostgreSQL database. A pool's
    /// transaction goes too where it dereferences to tokio-postgres's, as deadpool-postgres's does.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, tokio_postgres};
    /// async fn packed(
    ///     client: &Durable,
    ///     transaction: &tokio_postgres::Transaction<'_>,
    /// ) -> Result<(), DurableError> {
    ///     client.in_postgres_transaction(transaction).emit_event("packed", &true, None).await
    /// }
    /// ```
    #[must_use]
    pub fn in_postgres_transaction<'c>(&'c self, transaction: &'c Transaction<'c>) -> InPostgresTransaction<'c> {
        InPostgresTransaction { client: self, transaction, _inside: Mark::here() }
    }
}

impl InPostgresTransaction<'_> {
    /// Starts a task when the transaction commits.
    ///
    /// # Errors
    /// As [`Durable::spawn`]; [`DurableError::Store`] when the connection finds no store of this version, or the
    /// server fails. Nothing of the start is there then, and your transaction can go on, unless the connection is lost.
    pub async fn spawn<T: Task>(&self, params: T::Params) -> Result<SpawnResult, DurableError> {
        self.spawn_with_options::<T>(params, SpawnOptions::default()).await
    }

    /// Starts a task with options when the transaction commits.
    ///
    /// ```
    /// # use durable::{DurableError, InPostgresTransaction, SpawnOptions, Task, TaskId};
    /// async fn once<T: Task>(
    ///     inside: &InPostgresTransaction<'_>,
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
        &self,
        params: T::Params,
        options: SpawnOptions,
    ) -> Result<SpawnResult, DurableError> {
        self.start(T::NAME, Payload::json(&params)?, options).await
    }

    /// Starts a task by its name when the transaction commits.
    ///
    /// ```
    /// # use durable::{DurableError, InPostgresTransaction, SpawnOptions};
    /// async fn resize(inside: &InPostgresTransaction<'_>, image: &str) -> Result<(), DurableError> {
    ///     let params = serde_json::json!({ "image": image });
    ///     inside.spawn_by_name("resize", &params, SpawnOptions::default()).await.map(drop)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`spawn_with_options`](Self::spawn_with_options).
    pub async fn spawn_by_name(
        &self,
        name: &str,
        params: &Value,
        options: SpawnOptions,
    ) -> Result<SpawnResult, DurableError> {
        self.start(name, Payload::json(params)?, options).await
    }

    async fn start(&self, name: &str, args: Payload, options: SpawnOptions) -> Result<SpawnResult, DurableError> {
        started(&self.apply(start(self.client, name, args, &options)?).await?)
    }

    /// Publishes an event when the transaction commits.
    ///
    /// ```
    /// # use durable::{DurableError, InPostgresTransaction};
    /// async fn packed(inside: &InPostgresTransaction<'_>, order: u64) -> Result<(), DurableError> {
    ///     inside.emit_event(&format!("packed:{order}"), &true, None).await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Durable::emit_event`] and [`spawn`](Self::spawn).
    pub async fn emit_event<P: Serialize + ?Sized>(
        &self,
        name: &str,
        payload: &P,
        queue: Option<&str>,
    ) -> Result<(), DurableError> {
        self.apply(emit(self.client, name, payload, queue)?).await.map(drop)
    }

    async fn apply(&self, command: Command) -> Result<Done, DurableError> {
        answer(outbox::apply(self.transaction, vec![command]).await?)
    }
}

impl fmt::Debug for InPostgresTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InPostgresTransaction").finish_non_exhaustive()
    }
}

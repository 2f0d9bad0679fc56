//! Inside a transaction of the user's own on a SQLite file. Nothing here waits for the store's writer, which may be
//! waiting for this very transaction.

use std::fmt;

use rusqlite::Connection;
use serde::Serialize;
use serde_json::Value;
use stent_core::command::{Command, Done};
use stent_core::{Payload, StoreError, StoreErrorKind};
use stent_sqlite::outbox;

use super::{answer, emit, start, started};
use crate::client::Durable;
use crate::error::DurableError;
use crate::options::SpawnOptions;
use crate::report::SpawnResult;
use crate::task::Task;

/// What a client can do inside a transaction of your own, on your connection to the same SQLite file. (On PostgreSQL it
/// is [`Durable::in_postgres_transaction`].)
///
/// Begin the transaction as an immediate one: SQLite refuses to let a deferred one write once it has read and somebody
/// else has written since, as a worker beside it may.
///
/// While it lives, the client's ordinary calls on this thread are errors
/// ([`DurableError::InsideTransaction`]): they would wait for the lock that your transaction holds.
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
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("shop.db");
/// let client = Durable::builder().database_url(format!("sqlite://{}", path.display())).build().await?;
/// let mut connection = rusqlite::Connection::open(&path)?;
/// connection.execute_batch("CREATE TABLE customers (name TEXT)")?;
///
/// let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
/// transaction.execute("INSERT INTO customers VALUES ('ann')", [])?;
/// let mail = client.in_transaction(&transaction).spawn::<SendMail>("welcome, ann".into())?;
/// transaction.commit()?; // the row and the task, or neither
///
/// assert!(client.get_task_result(mail.task_id).await?.is_some());
/// # Ok(())
/// # }
/// ```
pub struct InTransaction<'c> {
    client: &'c Durable,
    connection: &'c Connection,
    /// Refuses ordinary calls on this thread while it lives.
    _inside: outbox::Inside,
}

impl Durable {
    /// The client inside a transaction that is open on `connection`, which must be one to this client's SQLite file.
    ///
    /// ```
    /// # use durable::{Durable, DurableError};
    /// fn packed(client: &Durable, transaction: &rusqlite::Transaction<'_>) -> Result<(), DurableError> {
    ///     client.in_transaction(transaction).emit_event("packed", &true, None)
    /// }
    /// ```
    #[must_use]
    pub fn in_transaction<'c>(&'c self, connection: &'c Connection) -> InTransaction<'c> {
        InTransaction { client: self, connection, _inside: outbox::enter() }
    }
}

impl InTransaction<'_> {
    /// Starts a task when the transaction commits.
    ///
    /// # Errors
    /// As [`Durable::spawn`]; [`DurableError::Store`] when the connection's database is no store.
    pub fn spawn<T: Task>(&self, params: T::Params) -> Result<SpawnResult, DurableError> {
        self.spawn_with_options::<T>(params, SpawnOptions::default())
    }

    /// Starts a task with options when the transaction commits.
    ///
    /// ```
    /// # use durable::{DurableError, InTransaction, SpawnOptions, Task, TaskId};
    /// fn once<T: Task>(inside: &InTransaction<'_>, key: &str, params: T::Params) -> Result<TaskId, DurableError> {
    ///     let options = SpawnOptions { idempotency_key: Some(key.into()), ..SpawnOptions::default() };
    ///     Ok(inside.spawn_with_options::<T>(params, options)?.task_id)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Durable::spawn_with_options`].
    pub fn spawn_with_options<T: Task>(
        &self,
        params: T::Params,
        options: SpawnOptions,
    ) -> Result<SpawnResult, DurableError> {
        self.start(T::NAME, Payload::json(&params)?, &options)
    }

    /// Starts a task by its name when the transaction commits.
    ///
    /// ```
    /// # use durable::{DurableError, InTransaction, SpawnOptions};
    /// fn resize(inside: &InTransaction<'_>, image: &str) -> Result<(), DurableError> {
    ///     inside.spawn_by_name("resize", &serde_json::json!({ "image": image }), SpawnOptions::default()).map(drop)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`spawn_with_options`](Self::spawn_with_options).
    pub fn spawn_by_name(
        &self,
        name: &str,
        params: &Value,
        options: SpawnOptions,
    ) -> Result<SpawnResult, DurableError> {
        self.start(name, Payload::json(params)?, &options)
    }

    fn start(&self, name: &str, args: Payload, options: &SpawnOptions) -> Result<SpawnResult, DurableError> {
        started(&self.apply(start(self.client, name, args, options)?)?)
    }

    /// Publishes an event when the transaction commits.
    ///
    /// ```
    /// # use durable::{DurableError, InTransaction};
    /// fn packed(inside: &InTransaction<'_>, order: u64) -> Result<(), DurableError> {
    ///     inside.emit_event(&format!("packed:{order}"), &true, None)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Durable::emit_event`].
    pub fn emit_event<P: Serialize + ?Sized>(
        &self,
        name: &str,
        payload: &P,
        queue: Option<&str>,
    ) -> Result<(), DurableError> {
        self.apply(emit(self.client, name, payload, queue)?).map(drop)
    }

    fn apply(&self, command: Command) -> Result<Done, DurableError> {
        if self.connection.is_autocommit() {
            let none = StoreError::new(StoreErrorKind::Misuse, "no transaction is open on the connection");
            return Err(none.with_hint("begin one, or use the client's own calls").into());
        }
        answer(outbox::apply(self.connection, vec![command])?)
    }
}

impl fmt::Debug for InTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InTransaction").finish_non_exhaustive()
    }
}

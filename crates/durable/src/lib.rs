//! Durable functions: ordinary async Rust that goes on from its last recorded step when the process dies. There is no
//! server to run; the state is in a database you already have, to begin with a SQLite file.
//!
//! ```
//! use durable::{Durable, Task, TaskContext, TaskResult, WorkerOptions, async_trait};
//!
//! struct Order;
//!
//! #[async_trait]
//! impl Task for Order {
//!     const NAME: &'static str = "order";
//!     type Params = u64;
//!     type Output = String;
//!
//!     async fn run(cents: u64, ctx: TaskContext) -> TaskResult<String> {
//!         // Recorded: whatever happens after this line, nobody is charged twice.
//!         let receipt = ctx.step("charge", || async { Ok(format!("receipt over {cents}")) }).await?;
//!         let parcel = ctx.step("ship", || async { Ok(format!("parcel 1Z999, {receipt}")) }).await?;
//!         Ok(parcel)
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), durable::DurableError> {
//!     // Without an address: the environment's DURABLE_DATABASE_URL, else the file `stent.db`.
//!     let client = Durable::builder().database_url("sqlite::memory:").build().await?;
//!     client.register::<Order>().await;
//!     let worker = client.start_worker(WorkerOptions::default()).await;
//!
//!     let order = client.spawn::<Order>(250).await?;
//!     let parcel = client.wait_for_output::<Order>(order.task_id, None).await?;
//!     assert_eq!(parcel, "parcel 1Z999, receipt over 250");
//!
//!     worker.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! # How it works, and the one rule
//!
//! A [`Task`]'s code calls its [`TaskContext`] for everything that reads or changes the world. Each call's outcome is
//! recorded. When the process dies, when the task waits for long, when an attempt failed, the code later runs again
//! **from its start**, anywhere, and each call that has a record returns it at once; so the code arrives where it was,
//! with the same values in its variables, and goes on.
//!
//! The rule that follows: between its calls the code must do the same each time. The time, chance and ids come from
//! [`TaskContext::now`], [`rand`](TaskContext::rand) and [`uuid7`](TaskContext::uuid7); everything else from outside
//! comes through a [`step`](TaskContext::step). Code that was changed so that it no longer fits what is recorded is
//! stopped before it does anything, and goes on once it fits again. [`testing::check_replay`] finds what breaks the
//! rule.
//!
//! A step runs at least once: a process that dies inside of it runs it again. Give outside services a key made of
//! [`TaskContext::task_id`] and the step's name, so that they know the repetition. What is recorded is never computed
//! again.
//!
//! # Functions
//!
//! What a task's code says through its context, an annotated function says by calling: a call inside of one is a
//! durable call, with its own argument and error types. Both run on the same workers and call each other. The attribute
//! [`function`](macro@function) has the options, [`FunctionCall`] says what becomes of a call.
//!
//! ```
//! #[durable::function(retry(max_attempts = 5, initial_delay = "1s"))]
//! async fn charge(cents: u64) -> Result<String, String> {
//!     if cents == 0 { Err("nothing to charge".into()) } else { Ok(format!("receipt over {cents}")) }
//! }
//!
//! #[durable::function]
//! async fn order(cents: u64) -> Result<String, String> {
//!     let receipt = charge(cents).await?;
//!     durable::sleep("30m").await;
//!     Ok(receipt)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), durable::DurableError> {
//! let executor = durable::testing::Executor::new().await; // stands for a client with a worker
//! let execution = executor.dispatch(order, 250).await?;
//! assert_eq!(execution.wait(None).await?, Ok("receipt over 250".to_owned()));
//! # Ok(())
//! # }
//! ```
//!
//! # A tour
//!
//! **Calls.** [`step`](TaskContext::step) for async code, [`blocking`](TaskContext::blocking) for code that blocks.
//! They run side by side under `join!` and `select!`, and a race takes the same way again on every replay.
//!
//! **Waiting.** [`sleep_for`](TaskContext::sleep_for) and [`sleep_until`](TaskContext::sleep_until) for a second or a
//! year; [`await_event`](TaskContext::await_event) for what anybody publishes under a name, and
//! [`wait_for_signal`](TaskContext::wait_for_signal) for what is sent to one execution, both with a timeout that the
//! code can catch. A waiting task holds no worker's slot, and after a while no memory.
//!
//! ```
//! # use std::time::Duration;
//! # use durable::{TaskContext, TaskError, TaskResult};
//! async fn approval(ctx: &TaskContext, order: u64) -> TaskResult<bool> {
//!     let three_days = Duration::from_secs(3 * 86_400);
//!     match ctx.await_event(&format!("approved:{order}"), Some(three_days)).await {
//!         Err(TaskError::Timeout { .. }) => Ok(false),
//!         decided => decided,
//!     }
//! }
//! ```
//!
//! **Calling tasks.** [`spawn`](TaskContext::spawn) starts a child, [`join`](TaskContext::join) waits for it,
//! [`map`](TaskContext::map) fans out with order kept and a cap; [`dispatch`](TaskContext::dispatch) starts an
//! execution that goes on by itself.
//!
//! **Failing.** A failed attempt is tried again as [`RetryStrategy`] and [`SpawnOptions`] say; an error can be
//! [`permanent`](StepError::permanent) or say [when to try again](StepError::retry_after). A task out of attempts
//! becomes a [`DeadLetter`], which is replayed from its last success. A failure that the code handles is recorded like
//! a result, so a compensation that has begun goes on.
//!
//! ```
//! # use durable::{StepError, TaskContext, TaskError, TaskResult};
//! async fn ship_or_refund(ctx: &TaskContext) -> TaskResult<String> {
//!     let shipped = ctx.step("ship", || async { Err::<String, _>(StepError::new("no truck").permanent()) }).await;
//!     match shipped {
//!         Err(TaskError::Step { failure, .. }) => {
//!             ctx.step("refund", || async { Ok(()) }).await?;
//!             Ok(format!("refunded: {failure}"))
//!         }
//!         other => other, // control flow too: always pass it on
//!     }
//! }
//! ```
//!
//! **Stopping.** Suspension, cancellation and a lost lease travel up through `?` as
//! [`TaskError::Control`]. Code that swallows one achieves nothing: every further call answers the same, and what it
//! returns is not recorded.
//!
//! **Clients.** [`Durable`] starts tasks ([with options](Durable::spawn_with_options), [by name](Durable::spawn_by_name),
//! [many at once](Durable::spawn_all), inside your own transaction on [SQLite](Durable::in_transaction) or
//! [PostgreSQL](Durable::in_postgres_transaction)), waits for them, cancels them, and steers queues and dead letters;
//! [lists](Durable::list_executions), [shows](Durable::execution) and [counts](Durable::stats) what there is, and
//! [cleans up](Durable::clean_up) what is old.
//! Workers run in any process that has registered the tasks; those on one machine may share a file, those on many hosts
//! a server.
//!
//! **Databases.** [`database_url`](DurableBuilder::database_url) names a SQLite file or a PostgreSQL server; the code is
//! the same on both. The tables are made when a client first opens the database.
//!
//! ```no_run
//! # async fn open() -> Result<(), durable::DurableError> {
//! use durable::Durable;
//!
//! let client = Durable::builder().database_url("postgres://ann@db.example/shop?schema=stent").build().await?;
//! # drop(client);
//! # Ok(())
//! # }
//! ```
//!
//! **Testing.** [`testing::Executor`] keeps everything in memory and skips time: a sleep of thirty days takes
//! milliseconds. [`testing::check_replay`] kills your workflow before and after everything it records.
//!
//! **Seeing.** Each attempt runs in a [`tracing`](https://docs.rs/tracing) span `task` with the ids of execution and
//! task, the attempt, and whether its code is being replayed; each body of a step in a span `step`.
//!
//! # What it does not do
//!
//! - It makes no step of yours atomic with the outside: a step may run twice, never a recorded one.
//! - It keeps no stack: only what calls return survives, so a value made outside of a step is made again.
//! - It carries values as JSON of at most 16 MiB each. Store what is larger elsewhere and pass its address.
//! - It bridges no change of code by itself: tasks under way go on with code that fits what they have recorded.
//! - It makes one database out of one: executions that share work share a SQLite file or a PostgreSQL server.
//!
//! # Features
//!
//! `sqlite` (default): the store in a file, and transactions of your own on it. `postgres` (default): the store on a
//! PostgreSQL server from version 15 on, and transactions of your own (`tokio_postgres`) there. `sqlx`: transactions of
//! sqlx's there. `jiff`, `chrono`: their points in time as arguments of [`TaskContext::sleep_until`].

#![allow(
    clippy::needless_pass_by_value,
    reason = "parameters and options are the started task's from then on, so the face takes them by value throughout"
)]

extern crate self as durable;

mod builder;
mod client;
mod context;
mod database;
mod error;
mod executions;
mod failure;
mod function;
mod operations;
mod options;
mod queues;
mod registry;
mod report;
mod schedules;
mod task;
mod task_error;
pub mod testing;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod transaction;
mod worker;

pub use builder::DurableBuilder;
pub use client::{Durable, run};
pub use context::{Counters, FanOut, Number, StateValues, TaskContext};
/// Makes an `async fn` a durable function.
///
/// ```
/// use durable::{Durable, WorkerOptions};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
/// enum ChargeError {
///     #[error("the bank does not answer")]
///     NoAnswer,
///     #[error("declined")]
///     Declined,
/// }
///
/// impl ChargeError {
///     fn is_transient(&self) -> bool {
///         *self == Self::NoAnswer
///     }
/// }
///
/// #[durable::function(
///     retry(
///         max_attempts = 5,
///         initial_delay = "1s",
///         backoff_factor = 2.0,
///         max_delay = "60s",
///         jitter = 0.1,
///         retry_for = ChargeError::is_transient,
///     ),
///     queue = "critical",
///     priority = 10,
///     tags = ["billing"],
///     version = "v2",
///     name = "payments:charge",
///     timeout = "2m",
///     cached(ttl = "1d"),
///     idempotent(key = |order_id, ..| format!("charge:{order_id}")),
///     max_concurrent = 5,
/// )]
/// async fn charge(order_id: String, cents: u64) -> Result<String, ChargeError> {
///     if cents > 10_000 { Err(ChargeError::Declined) } else { Ok(format!("receipt of {order_id}")) }
/// }
///
/// #[durable::function]
/// async fn order(order_id: String, cents: u64) -> String {
///     match charge(order_id, cents).await {
///         Ok(receipt) => receipt,
///         Err(declined) => format!("no order: {declined}"),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// // Without an executor these are ordinary functions.
/// assert_eq!(charge("a".into(), 20_000).await, Err(ChargeError::Declined));
///
/// // With one they survive whatever happens.
/// let client = Durable::builder().database_url("sqlite::memory:").build().await?;
/// let worker = client.start_worker(WorkerOptions { queues: Some(vec!["default".into(), "critical".into()]), ..Default::default() }).await;
/// let execution = client.dispatch(order, ("b".into(), 250)).await?;
/// assert_eq!(execution.wait(None).await?, "receipt of b");
/// worker.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// # The function
///
/// A free `async fn` without type parameters, with up to twelve arguments that it owns. Arguments and result are
/// stored as JSON: their types implement serde's `Serialize` and `Deserialize`. An error type implements `Display` too,
/// or is [`TaskError`](crate::TaskError), which any error turns into by `?`. Its name becomes a value and a type that
/// stand for it: call it like any async function ([`FunctionCall`](crate::FunctionCall) says what becomes of the call), map
/// it ([`Callable::map`](crate::Callable::map)), start it ([`Durable::dispatch`](crate::Durable::dispatch)).
///
/// # Options
///
/// | option | meaning | unless given |
/// |---|---|---|
/// | `retry(..)` | how a failed attempt is tried again | the client's defaults if it has any, else as `retry()` |
/// | `retry(max_attempts = N)` | attempts in all, the first counted | 3 |
/// | `retry(initial_delay = "1s")` | before the second attempt | `"1s"` |
/// | `retry(backoff_factor = F)` | by what the delay grows | 2.0 |
/// | `retry(max_delay = "60s")` | what no delay exceeds, jitter aside | `"60s"` |
/// | `retry(jitter = F)` | how far a delay may stray, as a share of itself, 0.0 to 1.0 | 0.1 |
/// | `retry(retry_for = path)` | given a reference to the error: false makes it final | every error is tried again |
/// | `queue = ".."` | which queue its tasks join | its caller's; from outside the client's |
/// | `priority = N` | higher is started first | its caller's, as with 0 |
/// | `tags = [".."]` | only workers that serve one of these, or no tags in particular, run it | none |
/// | `version = ".."` | another one finds no result of this one | none |
/// | `name = ".."` | what it is registered and stored under | `module::path:function` |
/// | `timeout = "2m"` | how long an attempt may go without a sign of life; waiting does not count | no limit |
/// | `cached`, `cached(ttl = "1d")` | its results are kept for calls with the same key | |
/// | `idempotent` | one result is committed for each key, ever | |
/// | `idempotent(key = ..)`, `cached(key = ..)` | what the key is made of: a closure over arguments by name, or a path | all arguments |
/// | `max_concurrent = N` | how many of its tasks may run at once, in all workers together | no limit |
///
/// Spans are text (`"90s"`, `"1h30m"`, units `s m h d w`), checked while your code compiles, or a `Duration`. What breaks
/// a rule is a compile error that says what to do.
pub use durable_macros::function;

/// Lets a trait or an implementation have `async fn`s, as `async-trait` does, without a dependency of your own.
///
/// ```
/// # struct Nothing;
/// #[durable::async_trait]
/// impl durable::Task for Nothing {
///     const NAME: &'static str = "nothing";
///     type Params = ();
///     type Output = ();
///
///     async fn run(params: (), mut ctx: durable::TaskContext) -> durable::TaskResult<()> {
///         Ok(()) // that `params` is not used and `ctx` needs no `mut` is no warning
///     }
/// }
/// ```
pub use durable_macros::async_trait;
pub use error::DurableError;
pub use executions::ExecutionState;
pub use failure::StepError;
pub use function::{
    Arguments, Branch, CallError, Callable, Context, Counter, Dispatch, Execution, Function, FunctionCall,
    FunctionEntry, FunctionMap, FunctionMeta, IntoArguments, IntoSpan, IntoTimeout, StateValue, call, context, emit,
    now, random, signal, sleep, sleep_until, spawn, step, uuid, wait_for_event, wait_for_signal,
};
pub use operations::{ExecutionQuery, ExecutionReport, Stats};
pub use options::{CancellationPolicy, RetryStrategy, SpawnOptions};
pub use queues::{DeadLetter, Queue, ReplayOptions};
pub use report::{SpawnResult, TaskReport, TaskStatus};
/// The version of rusqlite whose connections [`Durable::in_transaction`] takes.
#[cfg(feature = "sqlite")]
pub use rusqlite;
pub use schedules::{ScheduleReport, SetSchedule};
/// The version of sqlx whose transactions [`Durable::in_sqlx_transaction`] takes.
#[cfg(feature = "sqlx")]
pub use sqlx;
/// What failures, ids, times and stores are in the words of all of Stent.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use durable::{DurableError, Failure, FailureKind, RunId, StoreError, StoreErrorKind, TaskId, Timestamp};
///
/// fn was_cancelled(failure: &Failure) -> bool {
///     failure.kind == FailureKind::Cancelled
/// }
///
/// fn is_full(error: &DurableError) -> bool {
///     matches!(error, DurableError::Store(error) if error.kind() == StoreErrorKind::Full)
/// }
///
/// fn hint(error: &StoreError) -> &str {
///     error.hint()
/// }
///
/// fn in_a_log(task: TaskId, run: RunId) -> String {
///     format!("{task}/{run}") // both are UUIDs
/// }
///
/// let in_a_minute = Timestamp::from(SystemTime::UNIX_EPOCH) + Duration::from_secs(60);
/// assert_eq!(in_a_minute.as_micros(), 60_000_000);
/// ```
pub use stent_core::{
    Failure, FailureKind, MissedTicks, Progress, ProgressStatus, RunId, Store, StoreError, StoreErrorKind, TaskId,
    Timestamp,
};
pub use stent_engine::{Cleaned, ScheduleError};
pub use task::{Task, TaskHandle};
pub use task_error::{ControlFlow, TaskError, TaskResult};
/// The version of tokio-postgres whose transactions [`Durable::in_postgres_transaction`] takes.
#[cfg(feature = "postgres")]
pub use tokio_postgres;
#[cfg(feature = "postgres")]
pub use transaction::InPostgresTransaction;
#[cfg(feature = "sqlx")]
pub use transaction::InSqlxTransaction;
#[cfg(feature = "sqlite")]
pub use transaction::InTransaction;
pub use worker::{Worker, WorkerOptions};

/// The guide's code is compiled and run with that of this documentation.
#[cfg(all(doctest, feature = "sqlx"))]
#[doc = include_str!("../../../docs/guide/postgresql.md")]
mod guide {}

/// The same of the guide to durable functions.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/functions.md")]
mod guide_to_functions {}

/// What the macros' expansions refer to.
#[doc(hidden)]
pub mod __private {
    pub use async_trait::async_trait;
    pub use inventory;
    pub use stent_core::Payload;
    pub use stent_core::store::BoxFuture;

    pub use crate::function::expansion::*;
}

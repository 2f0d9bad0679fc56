//! Durable functions for Rust, on the database you already have. Write ordinary async code; if the process dies, it
//! goes on from the last recorded step. There is no server to run: a store is a SQLite file.
#![doc = ""]

extern crate self as durable;

mod builder;
mod client;
mod context;
mod database;
mod error;
mod failure;
mod options;
mod queues;
mod registry;
mod report;
mod task;
mod task_error;
pub mod testing;
#[cfg(feature = "sqlite")]
mod transaction;
mod worker;

pub use builder::DurableBuilder;
pub use client::Durable;
pub use context::{Counters, FanOut, Number, StateValues, TaskContext};
pub use durable_macros::async_trait;
pub use error::DurableError;
pub use failure::StepError;
pub use options::{CancellationPolicy, RetryStrategy, SpawnOptions};
pub use queues::{DeadLetter, Queue, ReplayOptions};
pub use report::{SpawnResult, TaskReport, TaskStatus};
pub use stent_core::{Failure, FailureKind, RunId, Store, StoreError, StoreErrorKind, TaskId, Timestamp};
pub use task::{Task, TaskHandle};
pub use task_error::{ControlFlow, TaskError, TaskResult};
#[cfg(feature = "sqlite")]
pub use transaction::InTransaction;
pub use worker::{Worker, WorkerOptions};

/// What the macros' expansions refer to.
#[doc(hidden)]
pub mod __private {
    pub use async_trait::async_trait;
}

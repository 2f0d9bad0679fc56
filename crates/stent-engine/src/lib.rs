//! Runs durable functions over any [`Store`](stent_core::Store). It knows names, bytes and states; a face (Rust,
//! Python) brings the functions and turns values into bytes.
//!
//! - [`client`]: start, wait, signal, emit, cancel; [`operations`]: clean up, put away, count, show;
//! - [`worker`]: sessions, claims, slots, parking, suspension, take-over of the dead, drain;
//! - [`activation`]: one claimed task in hand: its calls, exact replay, delivery one at a time;
//! - [`committer`]: group commit: every write of the process, in the order it was asked;
//! - [`schedule`]: starts that come back by a cron line;
//! - [`why`]: why a task does not go on;
//! - [`host`]: what a face implements; [`runtime`]: where futures, time and chance come from.

pub mod activation;
pub mod client;
pub mod committer;
mod ends;
pub mod error;
pub mod host;
mod hub;
mod ids;
pub mod operations;
pub mod runtime;
pub mod schedule;
pub mod why;
pub mod worker;

pub use activation::{BeginStep, Begun, BegunValue, Call, ChildCall, Context, Delivery, StepTicket, ValueTicket};
pub use client::{Ended, Engine, StartRequest, Started, WaitPace};
pub use error::{EngineError, Interrupt};
pub use host::{AttemptError, Host};
pub use operations::Cleaned;
pub use runtime::{Runtime, TokioRuntime};
pub use schedule::{Calendar, ScheduleError};
pub use why::{Obstacle, Why};
pub use worker::{Worker, WorkerConfig};

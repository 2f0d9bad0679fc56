//! The scenarios of the design, one test each, on the in-memory model, on SQLite and on PostgreSQL: the ways in which an
//! engine of this sort goes wrong. The number in a test's comment is the scenario's. No test sleeps to be in step with
//! another: crashes fall where a gate holds the code, and conditions are looked at until they hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

#[macro_use]
mod kit;

mod batches;
mod concurrency;
mod keys;
mod limits;
mod ownership;
mod replay;
mod schedules;
mod servers;
mod timing;
mod waking;

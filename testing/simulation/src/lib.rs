//! The engine under a seeded scheduler: several processes over one model store, virtual time, crashes wherever a future
//! can stand, lost and doubled wake-ups, clocks that differ, sessions taken over while they live. A failing seed
//! reproduces exactly.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a broken world should fail loudly"
)]

pub mod functions;
pub mod ledger;
pub mod runtime;
mod schedules;
pub mod store;
pub mod world;

pub use world::{Outline, simulate};

//! The command `stent`, run as users run it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod demo;
mod help;
mod order_books;
mod over_databases;

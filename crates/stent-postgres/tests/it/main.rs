//! What is PostgreSQL's own: addresses, connections, schemas. What every store must do is in `stent-storetest`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may fail loudly; a child process talks"
)]

mod addresses;
mod connections;
mod schemas;

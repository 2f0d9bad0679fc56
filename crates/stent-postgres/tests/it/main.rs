//! What is PostgreSQL's own: addresses, connections, schemas. What every store must do is in `stent-storetest`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may fail loudly; a child process talks"
)]

mod addresses;
mod bulk;
mod circles;
mod claim_cost;
mod cleaning;
mod connections;
mod fences;
mod grants;
mod growth;
mod hands;
mod idle;
mod keys;
mod limits;
mod operations;
mod outbox;
mod plans;
mod pooler;
mod processes;
mod races;
mod restarts;
mod schemas;
mod select;
mod stores;
mod storms;
mod unknown_commits;

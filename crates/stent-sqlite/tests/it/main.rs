//! What is SQLite's own: files, locks, processes, plans. What every store must do is in `stent-storetest`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may fail loudly; a child process talks"
)]

mod backups;
mod claim_cost;
mod cleaning;
mod files;
mod keys;
mod leftovers;
mod outbox;
mod plans;
mod presence;
mod processes;
mod select;
mod stores;
mod time;
mod turns;
mod watching;

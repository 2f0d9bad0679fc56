//! The Rust face from outside, as its users meet it. Most tests run on the executor of `durable::testing`, whose time
//! is skipped; those about files and processes run on SQLite.

// mod children;
// mod client;
// mod context;
// mod replay_check;
mod seed_002;
// mod skipped_time;
// mod steps;
// mod transactions;
// mod waits;
// mod workers;

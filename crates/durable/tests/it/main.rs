//! The Rust face from outside, as its users meet it. Most tests run on the executor of `durable::testing`, whose time
//! is skipped; those about files and processes run on SQLite, those about servers on
//! PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail loudly, also in its helpers"
)]

/// A task in few words, registered under the name of its type.
macro_rules! task {
    ($name:ident($params:ident: $in:ty, $ctx:ident) -> $out:ty $body:block) => {
        struct $name;

        #[durable::async_trait]
        impl durable::Task for $name {
            const NAME: &'static str = stringify!($name);
            type Params = $in;
            type Output = $out;

            async fn run($params: $in, $ctx: durable::TaskContext) -> durable::TaskResult<$out> $body
        }
    };
}

/// Looks until it holds.
async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let looking = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, looking).await.is_ok(), "it never came about: {what}");
}

/// How long anything may take on a machine that is busy.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

mod children;
mod client;
mod context;
mod errors;
mod functions;
mod ledger;
mod on_postgres;
mod on_sqlx;
mod operations;
mod refusals;
mod replay_check;
mod schedules;
mod seed_002;
mod skipped_time;
mod spans;
mod steps;
mod transactions;
mod waits;
mod workers;

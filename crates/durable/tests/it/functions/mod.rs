//! Durable functions as their users meet them. What holds of an engine is tested on the executor in memory, what must
//! hold on the stores that people run on SQLite and PostgreSQL too (`on_stores`).

mod calling;
mod carrying;
mod context;
mod crash_points;
mod dispatching;
mod fan_out;
mod keys;
mod metadata;
mod on_stores;
mod options;
mod outside;
mod replaying;
mod returning;
mod routing;

use durable::testing::Executor;
use durable::{Durable, DurableError, Function, IntoArguments};

use crate::ledger::Ledger;

/// An executor whose functions find a ledger, and try once.
pub(crate) async fn executor() -> (Executor, Ledger) {
    let ledger = Ledger::default();
    let builder = Durable::builder().state(ledger.clone()).default_max_attempts(1);
    (Executor::with(builder).await.unwrap(), ledger)
}

/// Writes into the ledger of the application whose function this is.
pub(crate) fn write(line: impl Into<String>) {
    if let Some(ledger) = durable::context().app::<Ledger>() {
        ledger.write(line);
    }
}

#[durable::function]
async fn dies_of_a_bug() -> u64 {
    panic!("a bug")
}

/// What a branch calls that ends its function.
pub(crate) async fn calling_what_dies() -> u64 {
    dies_of_a_bug().await
}

/// Dispatches and waits.
pub(crate) async fn run<F: Function>(
    client: &Durable,
    function: F,
    args: impl IntoArguments<F::Args>,
) -> Result<F::Output, DurableError> {
    client.dispatch(function, args).await?.wait(None).await
}

//! Durable functions: ordinary async functions under an attribute, called like any other. A charge that is tried
//! again, an error that comes back as itself, what is taken back, a fan-out; and none of it is done twice.

use durable::{Durable, WorkerOptions};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
enum ChargeError {
    NoAnswer,
    Declined { cents: u64 },
}

impl ChargeError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::NoAnswer)
    }
}

impl std::fmt::Display for ChargeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAnswer => write!(f, "the bank does not answer"),
            Self::Declined { cents } => write!(f, "the bank declines {cents} cents"),
        }
    }
}

#[durable::function(retry(max_attempts = 3, initial_delay = "0.01s", retry_for = ChargeError::is_transient))]
async fn charge(number: u64, cents: u64) -> Result<String, ChargeError> {
    let attempt = durable::context().attempt();
    println!("order {number}: charging {cents} cents, attempt {attempt}");
    match (cents, attempt) {
        (10_000.., _) => Err(ChargeError::Declined { cents }),
        (_, 1) => Err(ChargeError::NoAnswer),
        _ => Ok(format!("receipt {number}")),
    }
}

#[durable::function]
async fn reserve(item: String) -> String {
    format!("one {item}")
}

#[durable::function]
async fn release(reserved: String) {
    println!("put back: {reserved}");
}

#[durable::function]
async fn order(number: u64, items: Vec<String>, cents: u64) -> String {
    let reserved = reserve.map(items).await;
    match charge(number, cents).await {
        Ok(receipt) => format!("order {number}: {}, {receipt}", reserved.join(", ")),
        Err(error) => {
            release.map(reserved).max_parallel(1).await;
            format!("order {number}: {error}")
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Durable::builder().make_default().build().await?;
    let worker = client.start_worker(WorkerOptions::default()).await;

    // With a default client a call is dispatched and awaited.
    println!("{}", order(1, vec!["lamp".into(), "bulb".into()], 4_900).await);

    let expensive = client.dispatch(order, (2, vec!["villa".into(), "pool".into()], 90_000)).priority(5).await?;
    println!("{}", expensive.wait("30s").await?);

    worker.shutdown().await;
    Ok(())
}

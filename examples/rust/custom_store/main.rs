//! A workflow on a store of one's own: SQLite with a journal of interventions before it. The workflow waits for a
//! decision; the journal names the signal that brought it, and the cancellation of a second one that nobody decided.

mod audited;
mod journal;

use std::path::Path;
use std::sync::Arc;

use durable::{Durable, WorkerOptions};
use stent_sqlite::{Options, SqliteStore};

use crate::audited::Audited;

#[durable::function]
async fn publish(article: String) -> Result<String, durable::TaskError> {
    let by: String = durable::wait_for_signal("approved", "1h").await?;
    Ok(format!("{article} is out, approved by {by}"))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let inner = Arc::new(SqliteStore::from_url("sqlite://stent.db", Options::default())?);
    let store = Audited::open(inner, Path::new("journal.jsonl"))?;
    let client = Durable::builder().store(Arc::new(store)).build().await?;
    let worker = client.start_worker(WorkerOptions::default()).await;

    let article = client.dispatch(publish, "Spring".to_owned()).await?;
    let forgotten = client.dispatch(publish, "Autumn".to_owned()).await?;
    article.signal("approved", "Ada").await?;
    println!("{}", article.wait("1m").await?.map_err(anyhow::Error::msg)?);
    forgotten.cancel().await?;
    worker.shutdown().await;
    client.close().await?;

    for line in std::fs::read_to_string("journal.jsonl")?.lines() {
        println!("journal: {}", shown(line)?);
    }
    Ok(())
}

/// A line of the journal without the ids, which are others each time.
fn shown(line: &str) -> anyhow::Result<String> {
    let line: serde_json::Value = serde_json::from_str(line)?;
    let says = |what: &str| Some(line.get(what)?.as_array()?.iter().filter_map(|words| words.as_str()));
    let first = |words: &str| words.split(' ').next().map(str::to_owned);
    let (what, words) = match (says("asked"), says("answered")) {
        (Some(asked), _) => ("asked to", asked),
        (None, Some(answered)) => ("answered", answered),
        (None, None) => anyhow::bail!("neither asked nor answered: {line}"),
    };
    Ok(format!("{what} {}", words.filter_map(first).collect::<Vec<_>>().join(", ")))
}

//! The end of an engine: what was asked before is there, and nothing comes after.

use std::sync::Arc;

use futures_util::future::join_all;
use stent_engine::{Engine, EngineError, TokioRuntime};

use crate::{engine, request};

async fn executions(engine: &Engine) -> u64 {
    engine.store().count_executions(None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_before_a_close_is_committed_and_what_comes_later_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder.path().join("stent.db"), Arc::new(TokioRuntime::current().unwrap()));
    let starts = join_all((0..200).map(|_| engine.start(request())));
    // Polled in this order: all are asked before the close is.
    let (started, closed) = tokio::join!(biased; starts, engine.close());
    closed.unwrap();
    assert!(started.iter().all(Result::is_ok));
    let late = engine.start(request()).await;
    assert!(matches!(late, Err(EngineError::Closed)), "{late:?}");
    assert_eq!(executions(&engine).await, 200);
    engine.close().await.unwrap();
}

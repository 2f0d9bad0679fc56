//! How a worker rests that finds nothing.

use std::sync::Arc;
use std::time::Duration;

use stent_core::Payload;
use stent_core::store::BoxFuture;
use stent_engine::{Runtime, TokioRuntime, WorkerConfig};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{OneFunction, engine, request};

/// Tells how long each sleep is to take.
struct Telling {
    runtime: TokioRuntime,
    sleeps: UnboundedSender<Duration>,
}

impl Runtime for Telling {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.runtime.spawn(task);
    }

    fn spawn_lane(&self, lane: BoxFuture<'static, ()>) {
        self.runtime.spawn_lane(lane);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _ = self.sleeps.send(duration);
        self.runtime.sleep(duration)
    }

    fn now(&self) -> Duration {
        self.runtime.now()
    }

    fn random(&self) -> u64 {
        self.runtime.random()
    }
}

/// The next pauses, of lengths that nothing else sleeps for.
async fn pauses(sleeps: &mut UnboundedReceiver<Duration>, count: usize) -> Vec<u128> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(30), sleeps.recv()).await;
        let length = next.unwrap().unwrap().as_micros();
        if [7_001, 14_002, 28_004, 50_003].contains(&length) {
            seen.push(length);
        }
    }
    seen
}

#[tokio::test]
async fn an_idle_worker_looks_more_and_more_seldom_up_to_its_limit_and_at_once_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, mut sleeps) = unbounded_channel();
    let runtime = Telling { runtime: TokioRuntime::current().unwrap(), sleeps: sender };
    let path = folder.path().join("stent.db");
    let client = engine(&path, Arc::new(runtime));
    let config = WorkerConfig {
        poll_interval: Duration::from_micros(7_001),
        poll_interval_max: Duration::from_micros(50_003),
        poll_backoff_factor: 2.0,
        ..WorkerConfig::default()
    };
    let host = OneFunction::of(|_| async { Ok(Payload::null()) });
    let worker = client.start_worker(config, host).await.unwrap();
    assert_eq!(pauses(&mut sleeps, 5).await, [7_001, 14_002, 28_004, 50_003, 50_003]);
    let elsewhere = engine(&path, Arc::new(TokioRuntime::current().unwrap()));
    let id = elsewhere.start(request()).await.unwrap().execution;
    elsewhere.wait(id, Some(Duration::from_secs(30))).await.unwrap();
    // Until then it rests at its longest, so that one in a few must be the shortest again.
    assert!(pauses(&mut sleeps, 20).await.contains(&7_001));
    worker.shutdown().await;
}

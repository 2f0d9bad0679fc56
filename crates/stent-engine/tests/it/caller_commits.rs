//! Where single commands follow one another, whoever asks commits: the outcome is that of the lane's own thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stent_core::store::BoxFuture;
use stent_core::{ExecutionState, Name, Payload, TaskRef};
use stent_engine::{Engine, Runtime, TokioRuntime, WorkerConfig};

use crate::{OneFunction, engine, request, step};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));

/// Counts how often a caller's thread was found fit to commit.
struct Watched {
    tokio: TokioRuntime,
    here: AtomicUsize,
}

impl Watched {
    fn new() -> Arc<Self> {
        Arc::new(Self { tokio: TokioRuntime::current().unwrap(), here: AtomicUsize::new(0) })
    }
}

impl Runtime for Watched {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.tokio.spawn(task);
    }

    fn spawn_lane(&self, lane: BoxFuture<'static, ()>) {
        self.tokio.spawn_lane(lane);
    }

    fn may_block_here(&self) -> bool {
        let may = self.tokio.may_block_here();
        self.here.fetch_add(usize::from(may), Ordering::Relaxed);
        may
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.tokio.sleep(duration)
    }

    // A clock that stands: every commit counts as swift, so that a slow disk changes nothing here.
    fn now(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn random(&self) -> u64 {
        self.tokio.random()
    }
}

async fn start_in_a_row(engine: &Engine, starts: usize) {
    for _ in 0..starts {
        assert!(engine.start(request()).await.unwrap().created);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_one_after_another_are_committed_where_they_are_asked() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Watched::new();
    let engine = engine(&folder.path().join("stent.db"), runtime.clone());
    start_in_a_row(&engine, 50).await;
    assert!(runtime.here.load(Ordering::Relaxed) > 40);
    assert_eq!(engine.store().count_executions(None).await.unwrap(), 50);
}

#[tokio::test]
async fn a_runtime_with_one_thread_never_commits() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Watched::new();
    let engine = engine(&folder.path().join("stent.db"), runtime.clone());
    start_in_a_row(&engine, 20).await;
    assert_eq!(runtime.here.load(Ordering::Relaxed), 0);
    assert_eq!(engine.store().count_executions(None).await.unwrap(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_does_not_wait_for_a_neighbour_but_leaves_that_to_the_lane() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stent.db");
    let engine = engine(&path, Watched::new());
    start_in_a_row(&engine, 3).await;
    let neighbour = std::fs::File::options().write(true).open(folder.path().join("stent.db-turn")).unwrap();
    neighbour.lock().unwrap();
    let start = {
        let engine = engine.clone();
        tokio::spawn(async move { start_in_a_row(&engine, 1).await })
    };
    // The thread of that start is free meanwhile, whichever it is.
    for _ in 0..20 {
        tokio::time::timeout(Duration::from_secs(5), tokio::spawn(tokio::task::yield_now())).await.unwrap().unwrap();
    }
    assert!(!start.is_finished());
    neighbour.unlock().unwrap();
    start.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn commands_keep_their_order_whoever_commits_them() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder.path().join("stent.db"), Watched::new());
    let host = OneFunction::of(|context| async move {
        let mut sum = 0;
        for number in 1..=20 {
            context.value(&Name::stored("read"), Payload::null)?;
            sum += step(&context, number).await?;
        }
        Ok(Payload::json(&sum).unwrap())
    });
    let worker = engine.start_worker(WorkerConfig::default(), host).await.unwrap();
    // One alone, several at once, then many: callers and the lane take turns.
    for together in [1, 1, 3, 1, 40, 1] {
        let clients: Vec<_> = (0..together)
            .map(|_| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    let id = engine.start(request()).await.unwrap().execution;
                    let view = engine.wait(id, PATIENCE).await.unwrap();
                    assert_eq!(view.state, ExecutionState::Completed, "{:?}", view.failure);
                    assert_eq!(view.result.unwrap().read::<u32>().unwrap(), 210);
                    let history = engine.store().history(TaskRef::root(id), 0).await.unwrap();
                    let seqs: Vec<_> = history.records.iter().map(|record| record.seq).collect();
                    assert_eq!(seqs, (1..=40).collect::<Vec<_>>());
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    }
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_code_has_queued_does_not_wait_for_code_that_blocks_its_thread() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder.path().join("stent.db"), Arc::new(TokioRuntime::current().unwrap()));
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = Arc::new(std::sync::Mutex::new(wait));
    let host = OneFunction::of(move |context| {
        let wait = Arc::clone(&wait);
        async move {
            context.value(&Name::stored("read"), Payload::null)?;
            // Blocks inside one poll until somebody has seen the record.
            let seen = wait.lock().unwrap().recv_timeout(Duration::from_secs(30));
            assert!(seen.is_ok(), "the record was held up");
            Ok(Payload::null())
        }
    });
    let worker = engine.start_worker(WorkerConfig::default(), host).await.unwrap();
    let id = engine.start(request()).await.unwrap().execution;
    let recorded = async {
        while engine.store().history(TaskRef::root(id), 0).await.unwrap().records.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), recorded).await.unwrap();
    go_on.send(()).unwrap();
    let view = engine.wait(id, PATIENCE).await.unwrap();
    assert_eq!(view.state, ExecutionState::Completed, "{:?}", view.failure);
    worker.shutdown().await;
}

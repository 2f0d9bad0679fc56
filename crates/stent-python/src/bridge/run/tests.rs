//! What Python is told of calls that came back before they lay in the table.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may fail loudly")]

use std::sync::Mutex;
use std::time::Duration;

use stent_core::command::Deadline;
use stent_core::history::Due;
use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::{Failure, FailureKind, Name, RetryPolicy, TaskOptions, TaskSpec};
use stent_engine::{Ended, Engine, Host, StartRequest, TokioRuntime, WorkerConfig};
use stent_sqlite::{Options, SqliteStore};
use tokio::sync::mpsc;

use super::*;

const LONGEST: Duration = Duration::from_secs(30);

/// Code that asks as a thread of Python's may: its calls have been delivered when they come to lie in the table.
struct LateCode(Mutex<mpsc::UnboundedSender<(u64, Came)>>);

impl Host for LateCode {
    fn functions(&self) -> Vec<FunctionView> {
        vec![FunctionView::new(Name::stored("late"))]
    }

    fn run(&self, context: Context) -> BoxFuture<'static, Result<Payload, AttemptError>> {
        let told = self.0.lock().unwrap().clone();
        Box::pin(async move {
            let run = Run::new(1, context.clone());
            let interrupted = AttemptError::Interrupted;
            let begin = context.begin_step(&Name::stored("step"));
            if context.attempt() == 1 {
                let Begun::Run(ticket) = begin.await.map_err(interrupted)? else { panic!("a past without a record") };
                context.finish_step(ticket, Verdict::Ok, Payload::null()).await.map_err(interrupted)?;
                return Err(AttemptError::Failed(Failure::new(FailureKind::Error, "once more")));
            }
            let timer = context.sleep(&Name::stored("first"), Due::In(Duration::ZERO));
            // Outcomes are delivered one by one, in order: those before are there when this one is.
            context.sleep(&Name::stored("second"), Due::In(Duration::ZERO)).await.map_err(interrupted)?;
            run.asked(1, timer);
            assert!(!run.begin_step(2, begin), "its body has run");
            run.poll_calls(|number, came| told.send((number, came)).unwrap());
            Ok(Payload::null())
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_came_back_before_it_lay_in_the_table_is_told_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("stent.db"), Options::default()).unwrap();
    let engine = Engine::new(Arc::new(store), Arc::new(TokioRuntime::current().unwrap()));
    let (told, mut heard) = mpsc::unbounded_channel();
    let worker = engine.start_worker(WorkerConfig::default(), Arc::new(LateCode(Mutex::new(told)))).await.unwrap();
    let retry = RetryPolicy { initial_delay_ms: 1, ..RetryPolicy::default() };
    let spec = TaskSpec {
        function: Name::stored("late"),
        args: Payload::null(),
        queue: Name::stored("default"),
        priority: 0,
        tags: Vec::new(),
        headers: None,
        options: TaskOptions { retry, ..TaskOptions::default() },
    };
    let request = StartRequest { id: None, spec, key: None, due: None, deadline: Deadline::default() };
    let started = engine.start(request).await.unwrap();
    let ended = engine.wait_for_result(started.execution, Some(LONGEST)).await.unwrap();
    assert!(matches!(ended, Ended::Completed(_)));
    worker.shutdown().await;
    let mut came = Vec::new();
    while let Ok((number, Came::Outcome(outcome))) = heard.try_recv() {
        came.push((number, outcome.verdict));
    }
    assert_eq!(came, [(1, Verdict::Ok), (2, Verdict::Ok)]);
}

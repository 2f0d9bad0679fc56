//! What runs: a function that gives one result for a key, and one that calls it as a child. Some attempts fail, some
//! tasks fail for good, so that keys change hands; whoever called them calls again.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use stent_core::command::Deadline;
use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::{
    ExecutionState, Failure, FailureKind, Memo, MemoKey, Name, Payload, RetryPolicy, Store, TaskOptions, TaskSpec,
    Verdict,
};
use stent_engine::{AttemptError, Context as Task, Engine, Host, StartRequest, TokioRuntime, WorkerConfig};

use crate::ledger::Ledger;
use crate::line::{Subject, Verb};
use crate::place::Place;
use crate::worker::Args;

const ONCE: &str = "once";
const THROUGH: &str = "through";

/// How long a body takes at most.
const BODY_MS: u64 = 12;

/// Every so many keys the first attempt of a task fails; every so many others, some of their tasks fail for good.
const RETRIED_ONE_IN: u32 = 7;
const FAILING_ONE_IN: u32 = 11;

/// How often a call whose task failed is made again.
const CALLS: u32 = 100;

fn spec(function: &str, key: u32) -> anyhow::Result<TaskSpec> {
    let mut options = TaskOptions { retry: RetryPolicy::fixed(Duration::from_millis(20), 3), ..TaskOptions::default() };
    if function == ONCE {
        options.memo = Some(Box::new(Memo::idempotent(MemoKey::new(&format!("{ONCE}|None|[{key}]"))?)));
    }
    Ok(TaskSpec {
        function: Name::new("function", function)?,
        args: Payload::json(&key)?,
        queue: Name::new("queue", "default")?,
        priority: 0,
        tags: Vec::new(),
        headers: None,
        options,
    })
}

/// Calls a key until there is a result.
pub async fn call(engine: &Engine, key: u32, through_a_child: bool) -> anyhow::Result<u64> {
    for _ in 0..CALLS {
        let spec = spec(if through_a_child { THROUGH } else { ONCE }, key)?;
        let request = StartRequest { id: None, spec, key: None, due: None, deadline: Deadline::default() };
        let started = engine.start(request).await.context("a start was refused")?;
        let ended = engine.wait(started.execution, None).await.context("an execution cannot be waited for")?;
        if ended.state == ExecutionState::Completed {
            let result = ended.result.context("an execution completed without a result")?;
            return result.read().context("a result is no number");
        }
    }
    bail!("key {key} has no result after {CALLS} calls")
}

/// The functions of a worker.
struct Functions(Arc<Ledger>);

impl Host for Functions {
    fn functions(&self) -> Vec<FunctionView> {
        let view = |name| FunctionView::new(Name::stored(name));
        [ONCE, THROUGH].map(view).to_vec()
    }

    fn run(&self, task: Task) -> BoxFuture<'static, Result<Payload, AttemptError>> {
        let ledger = Arc::clone(&self.0);
        Box::pin(async move {
            let key: u32 = task.task().spec.args.read().map_err(failed)?;
            if task.task().spec.function.as_str() == ONCE {
                once(&task, key, &ledger).await
            } else {
                through(&task, key).await
            }
        })
    }
}

fn failed(error: impl std::fmt::Display) -> AttemptError {
    AttemptError::Failed(Failure::new(FailureKind::Error, error.to_string()))
}

async fn once(task: &Task, key: u32, ledger: &Ledger) -> Result<Payload, AttemptError> {
    let token = ledger.token();
    ledger.add(Verb::Run, Subject::root(key), token).map_err(failed)?;
    tokio::time::sleep(Duration::from_millis(token % (BODY_MS + 1))).await;
    if key.is_multiple_of(RETRIED_ONE_IN) && task.attempt() == 1 {
        return Err(failed("not yet"));
    }
    if key.is_multiple_of(FAILING_ONE_IN) && task.task_id().as_bytes()[15].is_multiple_of(3) {
        return Err(AttemptError::Failed(Failure { permanent: true, ..Failure::new(FailureKind::Error, "never") }));
    }
    Payload::json(&token).map_err(failed)
}

async fn through(task: &Task, key: u32) -> Result<Payload, AttemptError> {
    let name = Name::new("child", ONCE).map_err(failed)?;
    let end = task.start_child(&name, spec(ONCE, key).map_err(failed)?, None).call.await?;
    match end.verdict {
        Verdict::Ok => Ok(end.payload),
        _ => Err(AttemptError::Failed(Failure { permanent: true, ..Failure::from_payload(&end.payload) })),
    }
}

/// The store at an address, opened where blocking is allowed.
pub async fn open(url: &str) -> anyhow::Result<Arc<dyn Store>> {
    let url = url.to_owned();
    let opened = tokio::task::spawn_blocking(move || -> anyhow::Result<Arc<dyn Store>> {
        Ok(match url.strip_prefix("sqlite://") {
            Some(file) => {
                Arc::new(stent_sqlite::SqliteStore::open(PathBuf::from(file), stent_sqlite::Options::default())?)
            }
            None => Arc::new(stent_postgres::PostgresStore::from_url(&url, stent_postgres::Options::default())?),
        })
    });
    opened.await?.context("cannot open the store")
}

/// A worker process of this run.
pub async fn serve(args: Args) -> anyhow::Result<()> {
    let ledger = Ledger::open(&Place::at(&args.dir).ledger(), args.life).context("cannot open the ledger")?;
    let engine = Engine::new(open(&args.url).await?, Arc::new(TokioRuntime::current().context("no runtime")?));
    let config = WorkerConfig { concurrency: args.concurrency, ..WorkerConfig::default() };
    let worker = engine.start_worker(config, Arc::new(Functions(Arc::new(ledger)))).await?;
    std::io::stdout().write_all(b"up\n")?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    worker.shutdown().await;
    engine.close().await.context("cannot close the store")
}

//! The engine over SQLite, on real threads: what only shows where callers commit by themselves, and limits that a
//! face's functions do not reach.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may fail loudly")]

mod caller_commits;
mod closing;
mod idling;
mod limits;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use stent_core::command::Deadline;
use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::{Name, Payload, TaskOptions, TaskSpec};
use stent_engine::{AttemptError, Begun, Context, Engine, Host, Interrupt, Runtime, StartRequest};
use stent_sqlite::{Options, SqliteStore};

type Code = dyn Fn(Context) -> BoxFuture<'static, Result<Payload, AttemptError>> + Send + Sync;

/// One function, "run", whose code is a closure.
struct OneFunction(Box<Code>);

impl OneFunction {
    fn of<F>(code: impl Fn(Context) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<Payload, AttemptError>> + Send + 'static,
    {
        Arc::new(Self(Box::new(move |context| Box::pin(code(context)))))
    }
}

impl Host for OneFunction {
    fn functions(&self) -> Vec<FunctionView> {
        vec![FunctionView::new(Name::stored("run"))]
    }

    fn run(&self, context: Context) -> BoxFuture<'static, Result<Payload, AttemptError>> {
        (self.0)(context)
    }
}

fn engine(path: &Path, runtime: Arc<dyn Runtime>) -> Engine {
    Engine::new(Arc::new(SqliteStore::open(path, Options::default()).unwrap()), runtime)
}

fn request() -> StartRequest {
    let spec = TaskSpec {
        function: Name::stored("run"),
        args: Payload::null(),
        queue: Name::stored("default"),
        priority: 0,
        tags: Vec::new(),
        headers: None,
        options: TaskOptions::default(),
    };
    StartRequest { id: None, spec, key: None, due: None, deadline: Deadline::default() }
}

/// Records a step that gives its own number.
async fn step(context: &Context, number: u32) -> Result<u32, Interrupt> {
    let recorded = match context.begin_step(&Name::stored("step")).await? {
        Begun::Recorded(delivery) => delivery,
        Begun::Run(ticket) => {
            let payload = Payload::json(&number).unwrap();
            context.finish_step(ticket, stent_core::Verdict::Ok, payload).await?
        }
    };
    Ok(recorded.payload.read().unwrap())
}

//! Which tasks this process can run, by name, and how one attempt is run. It translates: JSON to parameters, outputs
//! to JSON, errors to the engine's; every decision is the engine's.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::{MaxConcurrent, Name, Payload};
use stent_engine::{AttemptError, Context, Host};
use tracing::Instrument;

use crate::client::Durable;
use crate::context::TaskContext;
use crate::error::DurableError;
use crate::task::Task;
use crate::task_error::TaskError;

/// How one attempt at a task is run.
type Run = fn(TaskContext, Payload) -> Attempt;
type Attempt = BoxFuture<'static, Result<Payload, AttemptError>>;

/// The tasks of one client: how each is run, and what workers publish of it.
#[derive(Default)]
pub(crate) struct Registry(RwLock<BTreeMap<Name, (Run, FunctionView)>>);

impl Registry {
    pub(crate) fn add<T: Task>(&self) -> Result<(), DurableError> {
        let name = Name::new("task", T::NAME)?;
        let limit = T::MAX_CONCURRENT.map(MaxConcurrent::new).transpose();
        let max_concurrent = limit.map_err(|error| DurableError::option("max_concurrent", error.to_string()))?;
        let mut tasks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if tasks.contains_key(&name) {
            return Err(DurableError::NameTaken { name: name.to_string() });
        }
        let view = FunctionView { max_concurrent, ..FunctionView::new(name.clone()) };
        tasks.insert(name, (run::<T>, view));
        Ok(())
    }

    fn find(&self, name: &Name) -> Option<Run> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).map(|(run, _)| *run)
    }

    fn views(&self) -> Vec<FunctionView> {
        let tasks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tasks.values().map(|(_, view)| view.clone()).collect()
    }
}

/// A client as the engine's worker sees it.
pub(crate) struct ClientHost(pub(crate) Durable);

impl Host for ClientHost {
    fn functions(&self) -> Vec<FunctionView> {
        self.0.registry().views()
    }

    fn run(&self, context: Context) -> Attempt {
        let task = context.task();
        let Some(run) = self.0.registry().find(&task.spec.function) else {
            let words = format!("no task is registered as \"{}\"", task.spec.function);
            return Box::pin(async move { Err(TaskError::invalid(words).into_attempt(false)) });
        };
        let span = tracing::info_span!(
            "task",
            name = %task.spec.function,
            execution = %task.lease.task.execution,
            task = %task.lease.task.task,
            attempt = task.attempt,
            replaying = context.is_replaying(),
        );
        let args = task.spec.args.clone();
        let attempt = run(TaskContext::new(context, self.0.clone(), span.clone()), args);
        Box::pin(attempt.instrument(span))
    }
}

fn run<T: Task>(context: TaskContext, args: Payload) -> Attempt {
    Box::pin(async move {
        let attempt = context.attempt_in_hand();
        let ended = match args.read::<T::Params>() {
            Ok(params) => T::run(params, context).await,
            Err(error) => Err(TaskError::unreadable("the parameters", error)),
        };
        let output = ended.and_then(|output| Payload::json(&output).map_err(TaskError::invalid));
        output.map_err(|error| error.into_attempt(attempt.is_interrupted()))
    })
}

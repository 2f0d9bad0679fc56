//! Which tasks this process can run, by name, and how one attempt is run. It translates: JSON to parameters, outputs
//! to JSON, errors to the engine's; every decision is the engine's.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};

use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::{MaxConcurrent, Name, Payload};
use stent_engine::{AttemptError, Context, Host};
use tracing::Instrument;

use crate::client::Durable;
use crate::context::TaskContext;
use crate::error::DurableError;
use crate::function::{Arguments, Function, FunctionEntry, FunctionMeta, Here, spec};
use crate::task::Task;
use crate::task_error::{TaskError, TaskResult};

/// How one attempt at a task is run.
type Run = fn(TaskContext, Payload) -> Attempt;
type Attempt = BoxFuture<'static, Result<Payload, AttemptError>>;

/// A task or a function that can be run.
#[derive(Clone)]
struct Known {
    run: Run,
    /// Of a function.
    meta: Option<&'static FunctionMeta>,
    /// How many may run at once.
    max_concurrent: Option<MaxConcurrent>,
    /// What it is to Rust: a name that is taken by the same thing is no clash.
    what: TypeId,
}

/// The tasks and functions of one client.
#[derive(Default)]
pub(crate) struct Registry(RwLock<BTreeMap<Name, Known>>);

fn limit(most: Option<u32>) -> Result<Option<MaxConcurrent>, DurableError> {
    let limit = most.map(MaxConcurrent::new).transpose();
    limit.map_err(|error| DurableError::option("max_concurrent", error.to_string()))
}

impl Registry {
    /// Every function that is linked into the program.
    ///
    /// # Errors
    /// [`DurableError::NameTaken`] when two share a name.
    pub(crate) fn linked() -> Result<Self, DurableError> {
        let registry = Self::default();
        registry.add_functions(FunctionEntry::linked())?;
        Ok(registry)
    }

    pub(crate) fn add<T: Task>(&self) -> Result<(), DurableError> {
        let max_concurrent = limit(T::MAX_CONCURRENT)?;
        self.insert(T::NAME, Known { run: run::<T>, meta: None, max_concurrent, what: TypeId::of::<T>() }, false)
    }

    /// Makes functions known; those that are known already are passed over.
    pub(crate) fn add_functions(&self, functions: impl IntoIterator<Item = FunctionEntry>) -> Result<(), DurableError> {
        for FunctionEntry { meta, run, what, .. } in functions {
            let meta = meta();
            let max_concurrent = limit(meta.limit())?;
            self.insert(meta.name(), Known { run, meta: Some(meta), max_concurrent, what: what() }, true)?;
        }
        Ok(())
    }

    fn insert(&self, name: &str, known: Known, may_repeat: bool) -> Result<(), DurableError> {
        let name = Name::new("task", name)?;
        let mut tasks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match tasks.get(&name) {
            Some(other) if may_repeat && other.what == known.what => Ok(()),
            Some(_) => Err(DurableError::NameTaken { name: name.to_string() }),
            None => {
                tasks.insert(name, known);
                Ok(())
            }
        }
    }

    fn find(&self, name: &Name) -> Option<Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The options of a function that is known here.
    pub(crate) fn meta(&self, name: &str) -> Option<&'static FunctionMeta> {
        self.find(&Name::stored(name))?.meta
    }

    fn views(&self) -> Vec<FunctionView> {
        let tasks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let options = |known: &Known| known.meta.map_or(serde_json::Value::Null, spec::published);
        let view = |(name, known): (&Name, &Known)| FunctionView {
            options: options(known),
            max_concurrent: known.max_concurrent,
            ..FunctionView::new(name.clone())
        };
        tasks.iter().map(view).collect()
    }

    fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A client as the engine's worker sees it.
pub(crate) struct ClientHost(pub(crate) Durable);

impl Host for ClientHost {
    fn functions(&self) -> Vec<FunctionView> {
        self.0.registry().views()
    }

    fn functions_known(&self) -> usize {
        self.0.registry().len()
    }

    fn run(&self, context: Context) -> Attempt {
        let task = context.task();
        let Some(Known { run, .. }) = self.0.registry().find(&task.spec.function) else {
            let words = format!(
                "no task is registered as \"{}\": register it with this client, under this very name",
                task.spec.function
            );
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
    in_hand(context, |context| async move {
        let params = args.read::<T::Params>().map_err(|error| TaskError::unreadable("the parameters", error))?;
        Payload::json(&T::run(params, context).await?).map_err(TaskError::invalid)
    })
}

/// One attempt at a function.
pub(crate) fn run_function<F: Function>(context: TaskContext, args: Payload) -> Attempt {
    in_hand(context, |_| async move {
        let args = F::Args::read(&args, F::meta().parameters());
        let args = args.map_err(|error| TaskError::unreadable("the arguments", error))?;
        F::settle(F::run(args).await)
    })
}

/// Runs an attempt's code where it knows its task.
fn in_hand<Fut>(context: TaskContext, code: impl FnOnce(TaskContext) -> Fut) -> Attempt
where
    Fut: Future<Output = TaskResult<Payload>> + Send + 'static,
{
    let attempt = context.attempt_in_hand();
    let inside = Here::Inside(Arc::new(context.again()));
    let code = code(context);
    Box::pin(async move { attempt.guard(inside.run(code)).await })
}

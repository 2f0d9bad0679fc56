//! Executions as an application asks after them: results, states, lists, counts; and what a client has to do with
//! durable functions beside starting them.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use serde_json::Value;
use stent_core::TaskId;

use crate::client::{Durable, execution};
use crate::context::Number;
use crate::error::DurableError;
use crate::function::{FunctionEntry, Here};
use crate::report::TaskReport;

/// An execution with what it carries along.
///
/// ```
/// # use durable::{Durable, DurableError, TaskId};
/// async fn progress(client: &Durable, import: TaskId) -> Result<String, DurableError> {
///     let state = client.state_of(import).await?;
///     let rows = state.counters.get("imported").map_or(0.0, |count| count.as_f64());
///     Ok(format!("{}: {rows} rows, {:?}", state.report.status, state.values.get("phase")))
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionState {
    /// Where it stands.
    pub report: TaskReport,
    /// Its counters, by name.
    pub counters: BTreeMap<String, Number>,
    /// Its state values, by name.
    pub values: BTreeMap<String, Value>,
}

impl Durable {
    /// Makes functions known to this client's workers, also to those that run already. Annotated functions that are
    /// linked into the program are known without it; naming one of them again changes nothing.
    ///
    /// ```
    /// # use durable::{Durable, DurableError};
    /// #[durable::function]
    /// async fn charge(cents: u64) -> String {
    ///     format!("receipt over {cents}")
    /// }
    ///
    /// fn with_functions(client: &Durable) -> Result<(), DurableError> {
    ///     client.register_functions(durable::functions![charge])
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::NameTaken`].
    pub fn register_functions(&self, functions: impl IntoIterator<Item = FunctionEntry>) -> Result<(), DurableError> {
        self.registry().add_functions(functions)
    }

    /// Runs a future in which calls of durable functions are dispatched by this client, whatever the process's default
    /// is: the handler of a web request in a process that also runs a worker, or one of several tenants.
    ///
    /// ```
    /// # use durable::{Durable, DurableError};
    /// #[durable::function]
    /// async fn charge(cents: u64) -> String {
    ///     format!("receipt over {cents}")
    /// }
    ///
    /// async fn handler(client: &Durable) -> String {
    ///     client.scope(async { charge(250).await }).await
    /// }
    /// ```
    pub async fn scope<Fut: Future>(&self, future: Fut) -> Fut::Output {
        Here::Client(self.clone()).run(future).await
    }

    /// How an execution ended, by its root's id, without waiting.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn receipt(client: &Durable, order: TaskId) -> Result<String, DurableError> {
    ///     client.result_of(order).await?.output()
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`]; [`DurableError::NotEnded`] while it runs; the store's failure. One that failed is
    /// no error here, but of [`TaskReport::output`], as with [`wait_for`](Self::wait_for).
    pub async fn result_of(&self, id: TaskId) -> Result<TaskReport, DurableError> {
        let report = self.report_of(id).await?;
        if report.status.is_terminal() { Ok(report) } else { Err(DurableError::NotEnded { status: report.status }) }
    }

    /// Where an execution stands, and what it carries along, by its root's id.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId, TaskStatus};
    /// async fn failed(client: &Durable, import: TaskId) -> Result<bool, DurableError> {
    ///     Ok(client.state_of(import).await?.report.status == TaskStatus::Failed)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`]; the store's failure.
    pub async fn state_of(&self, id: TaskId) -> Result<ExecutionState, DurableError> {
        let report = self.report_of(id).await?;
        let baggage = self.engine()?.store().baggage(execution(id)).await?;
        let counters = baggage.counters.into_iter().map(|(name, value)| (name.to_string(), value.into())).collect();
        let values = baggage.state.into_iter().map(|(name, value)| Ok((name.to_string(), value.read()?)));
        Ok(ExecutionState { report, counters, values: values.collect::<Result<_, DurableError>>()? })
    }

    async fn report_of(&self, id: TaskId) -> Result<TaskReport, DurableError> {
        let view = self.engine()?.store().execution(execution(id)).await?;
        view.map(TaskReport::of_execution).ok_or(DurableError::UnknownTask)
    }

    /// Whether both are hands on one client, or on clients of one test's store.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.shared(), other.shared())
    }
}

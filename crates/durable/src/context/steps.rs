//! Inline operations whose outcome is recorded: run once, remembered ever after. Two phases: leave to run the body,
//! then its outcome into the history; what the code gets is read back from what was stored, so that the first pass
//! sees exactly what every replay will.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stent_core::{Failure, FailureKind, Payload, Verdict};
use stent_engine::{BeginStep, Begun};
use tracing::Instrument;

use super::{Calls, TaskContext, checked, settle};
use crate::failure::StepError;
use crate::function::Here;
use crate::task_error::{TaskError, TaskResult};

impl TaskContext {
    /// Runs a piece of code and records what it comes to. If a run before this one has recorded it, the recorded
    /// result is returned and nothing runs.
    ///
    /// The body runs at least once: if the process dies inside of it, it runs again. So that an outside service does
    /// the same thing only once, give it a key made of [`task_id`](TaskContext::task_id) and the step's name. A
    /// failure is recorded too and handed out again on replay; a retry of the task drops it and runs the body anew.
    ///
    /// ```
    /// # use durable::{StepError, TaskContext, TaskResult};
    /// # async fn post(url: &str, key: &str) -> Result<u16, std::io::Error> { Ok(200) }
    /// async fn pay(ctx: &TaskContext) -> TaskResult<u16> {
    ///     ctx.step("charge-payment", || async {
    ///         let key = format!("{}:charge", ctx.task_id);
    ///         let status = post("https://pay.example/charges", &key).await?;
    ///         if status == 402 {
    ///             return Err(StepError::new("declined").permanent());
    ///         }
    ///         Ok(status)
    ///     })
    ///     .await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TaskError::Step`] with what the body failed with; [`TaskError::Invalid`] for a name that breaks a rule;
    /// [`TaskError::Payload`] when what was recorded does not fit `T`; control flow.
    pub fn step<T, F, Fut>(&self, name: &str, body: F) -> impl Future<Output = TaskResult<T>> + Send + use<T, F, Fut>
    where
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<T, StepError>> + Send,
        T: Serialize + DeserializeOwned + Send,
    {
        let begun = self.begin(name);
        async move { begun?.run(body).await }
    }

    /// [`step`](Self::step) for code that blocks its thread: it runs on one of tokio's blocking threads.
    ///
    /// ```
    /// # use durable::{TaskContext, TaskResult};
    /// async fn digest(ctx: &TaskContext) -> TaskResult<usize> {
    ///     ctx.blocking("read", || Ok(std::fs::read("Cargo.toml")?.len())).await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn blocking<T, F>(&self, name: &str, body: F) -> impl Future<Output = TaskResult<T>> + Send + use<T, F>
    where
        F: FnOnce() -> Result<T, StepError> + Send + 'static,
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let begun = self.begin(name);
        async move {
            let body = || async {
                match tokio::task::spawn_blocking(body).await {
                    Ok(outcome) => outcome,
                    Err(stopped) => match stopped.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(stopped) => Err(stopped.into()),
                    },
                }
            };
            begun?.run(body).await
        }
    }

    pub(crate) fn begin(&self, name: &str) -> TaskResult<Step> {
        let checked = checked("step", name)?;
        let begin = self.calls.context.begin_step(&checked);
        Ok(Step { name: name.to_owned(), calls: self.calls.clone(), begin })
    }
}

/// A step that was asked for.
pub(crate) struct Step {
    name: String,
    calls: Calls,
    begin: BeginStep,
}

impl Step {
    pub(crate) async fn run<T, F, Fut>(self, body: F) -> TaskResult<T>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, StepError>>,
        T: Serialize + DeserializeOwned,
    {
        let Self { name, calls, begin } = self;
        let delivery = match begin.await.map_err(|interrupt| calls.attempt.stop(interrupt))? {
            Begun::Recorded(delivery) => delivery,
            Begun::Run(ticket) => {
                calls.mark_replay();
                let span = tracing::debug_span!("step", name);
                // Making the body's future may already be the body.
                let body = async move { body().await }.instrument(span);
                let (verdict, payload) = recorded(Here::in_step(body).await);
                calls.outcome(calls.context.finish_step(ticket, verdict, payload)).await?
            }
        };
        settle(&name, &delivery, |failure| TaskError::Step { name: name.clone(), failure })
    }
}

/// What goes into the history. A result that serde cannot write is a failure of the step, for good.
fn recorded<T: Serialize>(outcome: Result<T, StepError>) -> (Verdict, Payload) {
    let failure = match outcome.map(|value| Payload::json(&value)) {
        Ok(Ok(payload)) => return (Verdict::Ok, payload),
        Ok(Err(error)) => Failure { permanent: true, ..Failure::new(FailureKind::Payload, error.to_string()) },
        Err(error) => error.into_failure(),
    };
    (Verdict::Failed, failure.to_payload())
}

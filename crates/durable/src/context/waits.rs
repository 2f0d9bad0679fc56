//! Waiting for times, events and signals, and giving them. A wait holds no worker's slot: soon its task is put aside,
//! and its code runs again over its history once it is woken.

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stent_core::command::{Effect, Emit, Signal};
use stent_core::history::Due;
use stent_core::{ExecutionId, Payload, TaskId, Timestamp};
use stent_engine::Call;

use super::{Calls, TaskContext, checked, settle};
use crate::options::span;
use crate::task_error::{TaskError, TaskResult};

impl TaskContext {
    /// Sleeps this long. The time of waking stands from the first call on, whatever crashes in between; days and
    /// months are fine.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use durable::{TaskContext, TaskResult};
    /// async fn cool_off(ctx: &TaskContext) -> TaskResult<()> {
    ///     ctx.sleep_for("cool off", Duration::from_secs(86_400)).await
    /// }
    /// ```
    ///
    /// # Errors
    /// Control flow; [`TaskError::Invalid`] for a name that breaks a rule or a span over 100 years.
    pub fn sleep_for(&self, name: &str, duration: Duration) -> impl Future<Output = TaskResult<()>> + Send + use<> {
        let due = span("duration", duration).map(Due::In).map_err(TaskError::invalid);
        slept(self.calls.clone(), self.sleep(name, due))
    }

    /// Sleeps until a time: a `SystemTime`, a [`Timestamp`], or one of the crates `jiff` and `chrono` by the feature
    /// of that name. One that has passed does not sleep.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use durable::{TaskContext, TaskResult};
    /// async fn next_hour(ctx: &TaskContext) -> TaskResult<()> {
    ///     let in_an_hour = ctx.now()? + Duration::from_secs(3_600);
    ///     ctx.sleep_until("next hour", in_an_hour).await
    /// }
    /// ```
    ///
    /// # Errors
    /// Control flow; [`TaskError::Invalid`] for a name that breaks a rule.
    pub fn sleep_until<M: Into<Timestamp>>(
        &self,
        name: &str,
        time: M,
    ) -> impl Future<Output = TaskResult<()>> + Send + use<M> {
        slept(self.calls.clone(), self.sleep(name, Ok(Due::At(time.into()))))
    }

    fn sleep(&self, name: &str, due: TaskResult<Due>) -> TaskResult<Call> {
        Ok(self.calls.context.sleep(&checked("timer", name)?, due?))
    }

    /// Waits for an event of the task's queue: the oldest of this name that the task has not had, sent before or
    /// after this call. Without a `timeout` it waits for as long as it takes.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use durable::{TaskContext, TaskResult};
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Shipment {
    ///     tracking: String,
    /// }
    ///
    /// async fn tracking(ctx: &TaskContext, order: u64) -> TaskResult<String> {
    ///     let week = Duration::from_secs(7 * 24 * 3_600);
    ///     let shipment: Shipment = ctx.await_event(&format!("packed:{order}"), Some(week)).await?;
    ///     Ok(shipment.tracking)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TaskError::Timeout`]; [`TaskError::Payload`] when the event does not fit `T`; control flow.
    pub fn await_event<T: DeserializeOwned>(
        &self,
        name: &str,
        timeout: Option<Duration>,
    ) -> impl Future<Output = TaskResult<T>> + Send + use<T> {
        let context = &self.calls.context;
        let asked = due_after(timeout)
            .and_then(|due| Ok(context.wait_event(&context.task().spec.queue, &checked("event", name)?, due)));
        received(self.calls.clone(), name.to_owned(), asked)
    }

    /// Waits for a signal to this execution. Signals of one name are taken one by one, in order, by the waits for it
    /// in order; one that came before is there.
    ///
    /// ```
    /// # use durable::{TaskContext, TaskResult};
    /// async fn decision(ctx: &TaskContext) -> TaskResult<bool> {
    ///     ctx.wait_for_signal("approve", None).await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`await_event`](Self::await_event).
    pub fn wait_for_signal<T: DeserializeOwned>(
        &self,
        name: &str,
        timeout: Option<Duration>,
    ) -> impl Future<Output = TaskResult<T>> + Send + use<T> {
        let asked =
            due_after(timeout).and_then(|due| Ok(self.calls.context.wait_signal(&checked("signal", name)?, due)));
        received(self.calls.clone(), name.to_owned(), asked)
    }

    /// Publishes an event in the task's queue, once: a replay does not send it again. Whoever waits for it there, now
    /// or within the retention, gets it.
    ///
    /// ```
    /// # use durable::{TaskContext, TaskResult};
    /// async fn packed(ctx: &TaskContext, order: u64) -> TaskResult<()> {
    ///     ctx.emit_event(&format!("packed:{order}"), &serde_json::json!({ "tracking": "1Z999" })).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TaskError::Invalid`] for a name that breaks a rule or a value that serde cannot write; control flow.
    pub fn emit_event<P: Serialize + ?Sized>(
        &self,
        name: &str,
        payload: &P,
    ) -> impl Future<Output = TaskResult<()>> + Send + use<P> {
        let context = &self.calls.context;
        let queue = context.task().spec.queue.clone();
        let effect = checked("event", name).and_then(|name| {
            let payload = Payload::json(payload).map_err(TaskError::invalid)?;
            Ok(Effect::Emit(Emit { id: context.engine().new_event_id(), queue, name, payload }))
        });
        self.effect(format!("emit:{name}"), effect)
    }

    /// Gives a signal to an execution (by its root's id), once: a replay does not send it again. It is kept until a
    /// wait takes it.
    ///
    /// ```
    /// # use durable::{TaskContext, TaskId, TaskResult};
    /// async fn approve(ctx: &TaskContext, order: TaskId) -> TaskResult<()> {
    ///     ctx.signal(order, "approve", &true).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TaskError::Refused`] when there is no such execution or it has ended; else as
    /// [`emit_event`](Self::emit_event).
    pub fn signal<P: Serialize + ?Sized>(
        &self,
        to: TaskId,
        name: &str,
        payload: &P,
    ) -> impl Future<Output = TaskResult<()>> + Send + use<P> {
        let context = &self.calls.context;
        let effect = checked("signal", name).and_then(|name| {
            let payload = Payload::json(payload).map_err(TaskError::invalid)?;
            let execution = ExecutionId::from_uuid(to.uuid());
            Ok(Effect::Signal(Signal { id: context.engine().new_signal_id(), execution, name, payload }))
        });
        self.effect(format!("signal-to:{name}"), effect)
    }

    pub(crate) fn effect<T: DeserializeOwned>(
        &self,
        name: String,
        effect: TaskResult<Effect>,
    ) -> impl Future<Output = TaskResult<T>> + Send + use<T> {
        let asked = effect.map(|effect| self.calls.context.effect(&name, effect));
        received(self.calls.clone(), name, asked)
    }
}

fn due_after(timeout: Option<Duration>) -> TaskResult<Option<Due>> {
    timeout.map(|timeout| span("timeout", timeout).map(Due::In).map_err(TaskError::invalid)).transpose()
}

async fn slept(calls: Calls, asked: TaskResult<Call>) -> TaskResult<()> {
    calls.outcome(asked?).await.map(drop)
}

async fn received<T: DeserializeOwned>(calls: Calls, name: String, asked: TaskResult<Call>) -> TaskResult<T> {
    let delivery = calls.outcome(asked?).await?;
    settle(&name, &delivery, |failure| TaskError::Refused { name: name.clone(), failure })
}

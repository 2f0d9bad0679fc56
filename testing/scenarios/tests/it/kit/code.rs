//! Functions made of closures, and what their code says: steps, children, waits, all in text.

use std::collections::HashMap;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use stent_core::history::Due;
use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::{Failure, FailureKind, MaxConcurrent, Payload, Verdict};
use stent_engine::{AttemptError, Begun, Call, ChildCall, Context, Delivery, Host, Interrupt};

use super::{Gates, Ledger, name, payload, spec};

/// What a function comes to.
pub(crate) type Text = Result<String, AttemptError>;

type Code = Arc<dyn Fn(Run) -> BoxFuture<'static, Text> + Send + Sync>;

/// The functions of a process, with what they share.
#[derive(Clone, Default)]
pub(crate) struct Functions {
    codes: HashMap<String, Code>,
    limits: HashMap<String, u32>,
    pub(crate) ledger: Ledger,
    pub(crate) gates: Gates,
}

impl Functions {
    pub(crate) fn new(ledger: &Ledger, gates: &Gates) -> Self {
        Self { codes: HashMap::new(), limits: HashMap::new(), ledger: ledger.clone(), gates: gates.clone() }
    }

    /// The same functions behind other gates.
    pub(crate) fn behind(self, gates: &Gates) -> Self {
        Self { gates: gates.clone(), ..self }
    }

    /// At most so many tasks of a function at once.
    pub(crate) fn limit(mut self, function: &str, limit: u32) -> Self {
        self.limits.insert(function.to_owned(), limit);
        self
    }

    pub(crate) fn with<F, R>(mut self, function: &str, code: F) -> Self
    where
        F: Fn(Run) -> R + Send + Sync + 'static,
        R: Future<Output = Text> + Send + 'static,
    {
        self.codes.insert(function.to_owned(), Arc::new(move |run| Box::pin(code(run))));
        self
    }
}

impl Host for Functions {
    fn functions(&self) -> Vec<FunctionView> {
        let limit = |code: &String| self.limits.get(code).map(|limit| MaxConcurrent::new(*limit).unwrap());
        let view = |code| FunctionView { max_concurrent: limit(code), ..FunctionView::new(name(code)) };
        self.codes.keys().map(view).collect()
    }

    fn run(&self, context: Context) -> BoxFuture<'static, Result<Payload, AttemptError>> {
        let code = Arc::clone(&self.codes[context.task().spec.function.as_str()]);
        let args = context.task().spec.args.read().unwrap_or_default();
        let run = Run { context, args, ledger: self.ledger.clone(), gates: self.gates.clone() };
        Box::pin(async move { code(run).await.map(|text| payload(&text)) })
    }
}

/// A function's code in the middle of its task.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) context: Context,
    pub(crate) args: String,
    pub(crate) ledger: Ledger,
    pub(crate) gates: Gates,
}

impl Deref for Run {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}

impl Run {
    /// What the ledger calls this: by the arguments too, where a scenario runs many.
    pub(crate) fn entry(&self, what: &str) -> String {
        if self.args.is_empty() { what.to_owned() } else { format!("{}:{what}", self.args) }
    }

    pub(crate) fn note(&self, what: &str) {
        self.ledger.add(self.entry(what));
    }

    /// A step whose body is noted when it begins. A failure of its own is recorded as one.
    pub(crate) async fn step_with(
        &self,
        step: &str,
        body: impl Future<Output = Result<String, Failure>>,
    ) -> Result<Delivery, Interrupt> {
        let ticket = match self.context.begin_step(&name(step)).await? {
            Begun::Recorded(delivery) => return Ok(delivery),
            Begun::Run(ticket) => ticket,
        };
        self.note(step);
        let (verdict, outcome) = match body.await {
            Ok(text) => (Verdict::Ok, payload(&text)),
            Err(failure) => (Verdict::Failed, failure.to_payload()),
        };
        self.context.finish_step(ticket, verdict, outcome).await
    }

    /// A step that comes to its own name.
    pub(crate) async fn step(&self, step: &str) -> Result<String, Interrupt> {
        self.step_with(step, async { Ok(step.to_owned()) }).await.map(|delivery| said(&delivery))
    }

    /// A step whose body waits for the gate of its name.
    pub(crate) async fn gated(&self, step: &str) -> Result<String, Interrupt> {
        let gate = self.gates.pass(step);
        let body = async {
            gate.await;
            Ok(step.to_owned())
        };
        self.step_with(step, body).await.map(|delivery| said(&delivery))
    }

    pub(crate) fn child(&self, function: &str, args: &str) -> ChildCall {
        self.context.start_child(&name(function), spec(function, args), None)
    }

    pub(crate) fn nap(&self, ms: u64) -> Call {
        self.context.sleep(&name("nap"), Due::In(Duration::from_millis(ms)))
    }

    pub(crate) fn signal(&self, signal: &str, timeout_ms: Option<u64>) -> Call {
        self.context.wait_signal(&name(signal), timeout_ms.map(|ms| Due::In(Duration::from_millis(ms))))
    }

    pub(crate) fn event(&self, event: &str, timeout_ms: Option<u64>) -> Call {
        let due = timeout_ms.map(|ms| Due::In(Duration::from_millis(ms)));
        self.context.wait_event(&name("default"), &name(event), due)
    }
}

/// A delivery in words.
pub(crate) fn said(delivery: &Delivery) -> String {
    match delivery.verdict {
        Verdict::Ok => delivery.payload.read().unwrap_or_default(),
        Verdict::Failed => format!("failed({})", Failure::from_payload(&delivery.payload)),
        Verdict::TimedOut => "late".into(),
    }
}

pub(crate) fn failure(words: &str) -> Failure {
    Failure::new(FailureKind::Error, words)
}

/// The first of two calls, polled in an order of chance: 0 or 1, what it came to, and the other call.
pub(crate) async fn race(one: Call, other: Call) -> Result<(usize, Delivery, Call), Interrupt> {
    let mut calls = [Some(one), Some(other)];
    std::future::poll_fn(move |cx| {
        let first = fastrand::usize(..2);
        for at in [first, 1 - first] {
            if let Some(call) = &mut calls[at]
                && let Poll::Ready(came) = Pin::new(call).poll(cx)
            {
                let other = calls[1 - at].take().unwrap();
                return Poll::Ready(came.map(|delivery| (at, delivery, other)));
            }
        }
        Poll::Pending
    })
    .await
}

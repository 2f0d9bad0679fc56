//! The functions that run in a simulated world: one for each way a workflow can take, written against the engine's
//! context as a face would. Each returns text that the world knows to expect.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use stent_core::history::Due;
use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::{
    Failure, FailureKind, MaxConcurrent, Memo, MemoKey, Name, Payload, RetryPolicy, TaskOptions, TaskSpec, Verdict,
};
use stent_engine::schedule::TICK_HEADER;
use stent_engine::{AttemptError, Begun, Context, Delivery, Host, Interrupt, Runtime};

use crate::ledger::Ledger;
use crate::runtime::SimRuntime;
use crate::schedules::SCHEDULES;

/// The host of one simulated process.
pub struct Functions {
    /// Where the process runs.
    pub runtime: SimRuntime,
    /// What really happened.
    pub ledger: Ledger,
}

/// The functions a world starts, by name.
pub const ROOTS: [&str; 10] =
    ["linear", "fan", "race", "sleeper", "signalled", "listener", "flaky", "compensates", "impatient", "keyed"];

/// Those of which one task may be under way at once: one sleeps, one is retried, one waits.
pub const LIMITED: [&str; 3] = ["sleeper", "flaky", "signalled"];

impl Host for Functions {
    fn functions(&self) -> Vec<FunctionView> {
        let all = ROOTS.into_iter().chain(["leaf", "once", "fails"]).chain(SCHEDULES.map(|(function, _)| function));
        let limit = |name| MaxConcurrent::new(1).ok().filter(|_| LIMITED.contains(&name));
        all.map(|name| FunctionView { max_concurrent: limit(name), ..FunctionView::new(Name::stored(name)) }).collect()
    }

    fn run(&self, context: Context) -> BoxFuture<'static, Result<Payload, AttemptError>> {
        let run = Run { context, runtime: self.runtime.clone(), ledger: self.ledger.clone() };
        Box::pin(async move {
            let name = run.context.task().spec.function.clone();
            let result = match name.as_str() {
                "linear" => run.linear().await,
                "leaf" => run.leaf().await,
                "fan" => run.fan().await,
                "race" => run.race().await,
                "sleeper" => run.sleeper().await,
                "signalled" => run.signalled().await,
                "listener" => run.listener().await,
                "flaky" => run.flaky().await,
                "compensates" => run.compensates().await,
                "impatient" => run.impatient().await,
                "keyed" => run.keyed().await,
                "once" => run.once().await,
                name if name.starts_with("tick-") => run.tick(name),
                _ => Err(AttemptError::Failed(Failure::new(FailureKind::Error, "as it should"))),
            };
            result.map(|text| text_payload(&text))
        })
    }
}

/// Text as a payload.
#[must_use]
pub fn text_payload(text: &str) -> Payload {
    Payload::json(text).expect("short text fits")
}

fn text(delivery: &Delivery) -> String {
    match delivery.verdict {
        Verdict::Ok => delivery.payload.read().unwrap_or_else(|error| error.to_string()),
        Verdict::Failed => format!("failed({})", Failure::from_payload(&delivery.payload)),
        Verdict::TimedOut => "late".into(),
    }
}

/// What a root or child of this name is asked to do.
#[must_use]
pub fn spec(function: &str, args: &str) -> TaskSpec {
    TaskSpec {
        function: Name::stored(function),
        args: text_payload(args),
        queue: Name::stored("default"),
        priority: 0,
        tags: Vec::new(),
        headers: None,
        options: TaskOptions {
            retry: if function == "fails" {
                RetryPolicy::none()
            } else {
                RetryPolicy::fixed(Duration::from_millis(700), 3)
            },
            timeout_ms: None,
            memo: None,
        },
    }
}

struct Run {
    context: Context,
    runtime: SimRuntime,
    ledger: Ledger,
}

type Text = Result<String, AttemptError>;

impl Run {
    fn id(&self) -> String {
        self.context.task_id().to_string()
    }

    async fn step(&self, name: &str) -> Result<String, Interrupt> {
        let ticket = match self.context.begin_step(&Name::stored(name)).await? {
            Begun::Recorded(delivery) => return Ok(text(&delivery)),
            Begun::Run(ticket) => ticket,
        };
        self.ledger.body(&self.id(), name);
        self.runtime.dawdle(3).await;
        let delivery = self.context.finish_step(ticket, Verdict::Ok, text_payload(name)).await?;
        self.ledger.acknowledged(&self.id(), name);
        Ok(text(&delivery))
    }

    fn child(&self, function: &str, args: &str) -> stent_engine::ChildCall {
        self.context.start_child(&Name::stored(function), spec(function, args), None)
    }

    async fn linear(&self) -> Text {
        let mut out = String::new();
        for name in ["a", "b", "c", "d", "e"] {
            out += &self.step(name).await?;
        }
        Ok(out)
    }

    /// Each tick of a schedule is one execution.
    fn tick(&self, schedule: &str) -> Result<String, AttemptError> {
        let task = self.context.task();
        let headers = task.spec.headers.as_deref().unwrap_or_default();
        let headers: serde_json::Value = serde_json::from_slice(headers).unwrap_or_default();
        let tick = headers[TICK_HEADER].as_str().unwrap_or("none");
        self.ledger.result(&format!("{schedule} at {tick}"), &task.lease.task.to_string());
        Ok(tick.to_owned())
    }

    async fn leaf(&self) -> Text {
        let args: String = self.context.task().spec.args.read().unwrap_or_default();
        self.runtime.dawdle(2).await;
        self.step("leaf").await?;
        Ok(args)
    }

    async fn fan(&self) -> Text {
        let children: Vec<_> = (0..5).map(|i| self.child("leaf", &i.to_string()).call).collect();
        let mut out = String::new();
        for child in children {
            out += &text(&child.await?);
        }
        Ok(out + &self.step("after").await?)
    }

    /// Whoever wins, wins again on every replay.
    async fn race(&self) -> Text {
        let (a, b) = (self.child("leaf", "a"), self.child("leaf", "b"));
        let (won, late) = first(&self.runtime, a.call, b.call).await;
        let won = text(&won?);
        self.step(&format!("won-{won}")).await?;
        let late = text(&late.await?);
        let id = self.id();
        if self.ledger.bodies(&id, "won-a") > 0 && self.ledger.bodies(&id, "won-b") > 0 {
            self.ledger.wrong(format!("{id}: the race was won by both"));
        }
        let mut both = [won, late];
        both.sort();
        Ok(both.concat())
    }

    async fn sleeper(&self) -> Text {
        self.step("before").await?;
        let asked = self
            .context
            .value(&Name::stored("asked"), || Payload::json(&self.context.now().as_micros()).expect("a number fits"))?;
        self.context.sleep(&Name::stored("nap"), Due::In(Duration::from_secs(3))).await?;
        let asked: i64 = asked.read().unwrap_or_default();
        if self.context.now().as_micros() - asked < 3_000_000 {
            self.ledger.wrong(format!("{}: the timer fired early", self.id()));
        }
        Ok(self.step("after").await?)
    }

    async fn signalled(&self) -> Text {
        let name = Name::stored("go");
        let one = text(&self.context.wait_signal(&name, None).await?);
        self.step("between").await?;
        let two = text(&self.context.wait_signal(&name, None).await?);
        Ok(one + &two)
    }

    async fn listener(&self) -> Text {
        let number: String = self.context.task().spec.args.read().unwrap_or_default();
        let (queue, name) = (Name::stored("default"), Name::stored(&format!("news-{number}")));
        let one = text(&self.context.wait_event(&queue, &name, None).await?);
        let two = text(&self.context.wait_event(&queue, &name, None).await?);
        Ok(one + &two)
    }

    async fn flaky(&self) -> Text {
        self.step("first").await?;
        if self.context.attempt() < 3 {
            return Err(AttemptError::Failed(Failure::new(FailureKind::Error, "not yet")));
        }
        Ok(self.step("second").await?)
    }

    async fn compensates(&self) -> Text {
        self.step("book").await?;
        let failed = self.child("fails", "").call.await?;
        if failed.verdict != Verdict::Failed {
            self.ledger.wrong(format!("{}: a child that fails did not", self.id()));
        }
        Ok(self.step("cancel-booking").await?)
    }

    /// Whoever calls a key, here or in another execution, gets what the others get.
    async fn keyed(&self) -> Text {
        let calls = ["k0", "k1", "k0"].map(|key| {
            let mut once = spec("once", key);
            once.options.memo = Some(Box::new(Memo::idempotent(MemoKey::stored(key))));
            (key, self.context.start_child(&Name::stored("once"), once, None).call)
        });
        for (key, call) in calls {
            let end = call.await?;
            if end.verdict == Verdict::Failed {
                return Ok(text(&end));
            }
            self.ledger.result(key, &text(&end));
        }
        Ok("equal".into())
    }

    /// The result tells which task gave it. One of the keys is kept through a failed attempt.
    async fn once(&self) -> Text {
        self.step("pay").await?;
        let key: String = self.context.task().spec.args.read().unwrap_or_default();
        if key == "k1" && self.context.attempt() == 1 {
            return Err(AttemptError::Failed(Failure::new(FailureKind::Error, "not yet")));
        }
        Ok(self.id())
    }

    /// A timeout that fired fires again; a signal that came too late for it goes to the next wait.
    async fn impatient(&self) -> Text {
        let name = Name::stored("go");
        let wait = self.context.wait_signal(&name, None);
        let nap = self.context.sleep(&Name::stored("patience"), Due::In(Duration::from_millis(900)));
        let early = {
            let (mut wait, mut nap) = (wait, nap);
            let flip = self.runtime.random().is_multiple_of(2);
            std::future::poll_fn(|cx| {
                for turn in [flip, !flip] {
                    if turn {
                        if let Poll::Ready(got) = Pin::new(&mut wait).poll(cx) {
                            return Poll::Ready(got.map(|got| Some(text(&got))));
                        }
                    } else if let Poll::Ready(over) = Pin::new(&mut nap).poll(cx) {
                        return Poll::Ready(over.map(|_| None));
                    }
                }
                Poll::Pending
            })
            .await?
        };
        let took = self.step(if early.is_some() { "early" } else { "late" }).await?;
        let id = self.id();
        if self.ledger.bodies(&id, "early") > 0 && self.ledger.bodies(&id, "late") > 0 {
            self.ledger.wrong(format!("{id}: the timeout fired and did not, took {took}"));
        }
        let first = match early {
            Some(first) => first,
            None => text(&self.context.wait_signal(&name, None).await?),
        };
        let second = text(&self.context.wait_signal(&name, None).await?);
        Ok(first + &second)
    }
}

/// The first of two calls, polled in random order, and the other.
async fn first(
    runtime: &SimRuntime,
    a: stent_engine::Call,
    b: stent_engine::Call,
) -> (Result<Delivery, Interrupt>, stent_engine::Call) {
    let (mut a, mut b) = (Some(a), Some(b));
    std::future::poll_fn(|cx| {
        let flip = runtime.random().is_multiple_of(2);
        for turn in [flip, !flip] {
            let call = if turn { &mut a } else { &mut b };
            if let Some(polled) = call
                && let Poll::Ready(won) = Pin::new(polled).poll(cx)
            {
                *call = None;
                let other = a.take().or(b.take()).expect("one is left");
                return Poll::Ready((won, other));
            }
        }
        Poll::Pending
    })
    .await
}

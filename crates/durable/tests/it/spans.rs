//! What a subscriber of `tracing` sees: a span for each attempt with the ids of execution and task, one for each body
//! of a step, and whether what is logged in between comes from code that is replayed.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use durable::SpawnResult;
use durable::testing::Executor;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

#[derive(Clone, Default)]
struct Fields(HashMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

#[derive(Default)]
struct Seen {
    spans: Vec<(&'static str, Fields)>,
    entered: Vec<u64>,
    /// The messages of this test's own events, with the fields of the span around each.
    events: Vec<(String, Fields)>,
}

impl Seen {
    /// Nothing that the task says in one way or the other is missing.
    fn is_whole(&self) -> bool {
        let has = |name| self.spans.iter().any(|(other, _)| *other == name);
        has("task") && has("step") && self.events.len() == 4
    }
}

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Seen>>);

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("durable") || metadata.target().starts_with("it::")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        let mut seen = self.0.lock().unwrap();
        seen.spans.push((span.metadata().name(), fields));
        Id::from_u64(seen.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let at = usize::try_from(span.into_u64()).unwrap() - 1;
        values.record(&mut self.0.lock().unwrap().spans[at].1);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut seen = self.0.lock().unwrap();
        let Some(around) = seen.entered.last().and_then(|id| usize::try_from(*id).ok()) else { return };
        let around = seen.spans[around - 1].1.clone();
        seen.events.push((fields.0["message"].clone(), around));
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.0.lock().unwrap().entered.pop();
    }
}

task!(Logs(nothing: (), ctx) -> () {
    tracing::info!("begins");
    ctx.step("first", || async { tracing::info!("in the body"); Ok(()) }).await?;
    ctx.sleep_for("wait", Duration::from_secs(60)).await?;
    tracing::info!("goes on");
    Ok(())
});

/// A run that somebody looks at.
async fn observed() -> (Collector, SpawnResult) {
    let collector = Collector::default();
    let _here = tracing::subscriber::set_default(collector.clone());
    let executor = Executor::new().await;
    executor.register::<Logs>().await;
    let task = executor.spawn::<Logs>(()).await.unwrap();
    executor.wait_for(task.task_id, None).await.unwrap();
    (collector, task)
}

#[tokio::test]
async fn spans_name_the_task_and_tell_what_is_replayed() {
    // Whether anybody is interested in a span or an event is settled when it is first met, and another test may be meeting
    // it at this moment, with nobody looking: then this one is not seen, and the test looks again.
    let mut looks = 0;
    let (collector, task) = loop {
        let (collector, task) = observed().await;
        looks += 1;
        if looks == 10 || collector.0.lock().unwrap().is_whole() {
            break (collector, task);
        }
    };

    let seen = collector.0.lock().unwrap();
    let told: Vec<_> = seen.events.iter().map(|(words, around)| (words.as_str(), around.0.get("replaying"))).collect();
    let (yes, no) = ("true".to_owned(), "false".to_owned());
    assert_eq!(
        told,
        [("begins", Some(&no)), ("in the body", None), ("begins", Some(&yes)), ("goes on", Some(&no))],
        "the second pass is marked as replayed until it is where the first one stopped"
    );
    let attempts: Vec<_> = seen.spans.iter().filter(|(name, _)| *name == "task").collect();
    assert_eq!(attempts.len(), 2, "one for each time the code ran");
    for (_, fields) in attempts {
        assert_eq!(fields.0["name"], "Logs");
        assert_eq!(fields.0["task"], task.task_id.to_string());
        assert_eq!(fields.0["execution"], task.task_id.to_string());
        assert_eq!(fields.0["attempt"], "1");
    }
    let bodies: Vec<_> = seen.spans.iter().filter(|(name, _)| *name == "step").collect();
    assert_eq!(bodies.len(), 1);
    assert!(bodies[0].1.0["name"].contains("first"));
}

//! The scenarios in Rust. Each name stands in `python/scenarios.py` too, where the same is written as one writes it
//! there. Bodies give at once, so that the order of outcomes is that of the calls.

use std::time::Duration;

use durable::{
    Durable, DurableError, RetryStrategy, SpawnOptions, StepError, Task, TaskContext, TaskError, TaskResult,
    async_trait,
};
use serde_json::{Value, json};

/// Longer than any run.
const LONG: Duration = Duration::from_secs(3_600);
/// Over before anybody answers.
const SHORT: Duration = Duration::from_millis(20);

pub const NAMES: &[&str] = &[
    "one step",
    "steps of one name",
    "a step that fails",
    "gather of steps",
    "gather of branches",
    "a race of steps",
    "a race that a timer lost",
    "signal after a race it lost",
    "a child",
    "a child of a child",
    "gather of children",
    "map of children",
    "a child's error",
    "a child that is retried",
    "compensation",
    "a root that is retried",
    "sleep",
    "signal",
    "two signals of one name",
    "timeout of a signal",
    "event",
    "timeout of an event",
    "an event of its own",
    "counters",
    "state",
    "the time",
    "a dispatch",
    "a signal to another",
    "cancellation",
];

pub async fn register(client: &Durable) -> Result<(), DurableError> {
    client.try_register::<Scenario>().await?;
    client.try_register::<Echo>().await?;
    client.try_register::<Nested>().await?;
    client.try_register::<Fails>().await?;
    client.try_register::<Flaky>().await
}

struct Scenario;

#[async_trait]
impl Task for Scenario {
    const NAME: &'static str = "scenario";
    type Params = (String,);
    type Output = Value;

    async fn run((name,): (String,), ctx: TaskContext) -> TaskResult<Value> {
        match name.as_str() {
            "one step" => step(&ctx, "a").await,
            "steps of one name" => {
                Ok(json!([step(&ctx, "same").await?, step(&ctx, "same").await?, step(&ctx, "same").await?]))
            }
            "a step that fails" => a_step_that_fails(&ctx).await,
            "gather of steps" => {
                let (a, b, c) = tokio::try_join!(step(&ctx, "a"), step(&ctx, "b"), step(&ctx, "c"))?;
                Ok(json!([a, b, c]))
            }
            "gather of branches" => {
                let (ab, cd) = tokio::try_join!(two_steps(&ctx, "a", "b"), two_steps(&ctx, "c", "d"))?;
                Ok(json!([ab, cd]))
            }
            "a race of steps" => a_race_of_steps(&ctx).await,
            "a race that a timer lost" => {
                let won = tokio::select! {
                    biased;
                    won = step(&ctx, "a") => won?,
                    slept = ctx.sleep_for("sleep", LONG) => json!(slept?),
                };
                Ok(json!([won, step(&ctx, "after").await?]))
            }
            "signal after a race it lost" => a_signal_that_lost(&ctx).await,
            "a child" => child::<Echo>(&ctx, "x").await,
            "a child of a child" => child::<Nested>(&ctx, "x").await,
            "gather of children" => {
                let (x, y) = tokio::try_join!(child::<Echo>(&ctx, "x"), child::<Echo>(&ctx, "y"))?;
                Ok(json!([x, y]))
            }
            "map of children" => {
                let items = ["w", "x", "y", "z"].map(|item| (item.to_owned(),));
                Ok(json!(ctx.map::<Echo>("echo", items).await?))
            }
            "a child's error" => {
                let error = child::<Fails>(&ctx, "x").await;
                Ok(json!([caught(error)?, step(&ctx, "after").await?]))
            }
            "a child that is retried" => child::<Flaky>(&ctx, "x").await,
            "compensation" => compensation(&ctx).await,
            "a root that is retried" => a_root_that_is_retried(&ctx).await,
            _ => waits_and_changes(&name, &ctx).await,
        }
    }
}

async fn waits_and_changes(name: &str, ctx: &TaskContext) -> TaskResult<Value> {
    match name {
        "sleep" => {
            ctx.sleep_for("sleep", SHORT).await?;
            step(ctx, "after").await
        }
        "signal" => ctx.wait_for_signal("go", None).await,
        "two signals of one name" => {
            let first: Value = ctx.wait_for_signal("go", None).await?;
            let second: Value = ctx.wait_for_signal("go", None).await?;
            Ok(json!([first, second]))
        }
        "timeout of a signal" => {
            let waited = ctx.wait_for_signal::<Value>("go", Some(SHORT)).await;
            late(waited)?;
            step(ctx, "after").await
        }
        "event" => ctx.await_event("news", None).await,
        "timeout of an event" => {
            let waited = ctx.await_event::<Value>("never", Some(SHORT)).await;
            late(waited)?;
            step(ctx, "after").await
        }
        "an event of its own" => {
            ctx.emit_event("own", &json!({ "n": 2 })).await?;
            ctx.await_event("own", None).await
        }
        "counters" => counters(ctx).await,
        "state" => {
            ctx.state().set("stage", "first").await?;
            ctx.state().set("stage", "second").await?;
            step(ctx, "after").await
        }
        "the time" => {
            let (first, second) = (ctx.now()?, ctx.now()?);
            Ok(json!(first <= second))
        }
        "a dispatch" => {
            ctx.dispatch::<Echo>(("x".to_owned(),), SpawnOptions::default()).await?;
            step(ctx, "after").await
        }
        "a signal to another" => {
            ctx.signal(ctx.task_id, "go", &7).await?;
            ctx.wait_for_signal("go", None).await
        }
        "cancellation" => {
            step(ctx, "before").await?;
            ctx.wait_for_signal("never", None).await
        }
        _ => Err(TaskError::user("there is no such scenario", name)),
    }
}

async fn step(ctx: &TaskContext, name: &str) -> TaskResult<Value> {
    ctx.step(name, || async { Ok(json!(name)) }).await
}

async fn two_steps(ctx: &TaskContext, first: &str, second: &str) -> TaskResult<Value> {
    Ok(json!([step(ctx, first).await?, step(ctx, second).await?]))
}

async fn failing_step(ctx: &TaskContext, name: &str) -> TaskResult<Value> {
    ctx.step(name, || async { Err(StepError::new(format!("{name} failed")).permanent()) }).await
}

async fn child<T: Task<Params = (String,)>>(ctx: &TaskContext, text: &str) -> TaskResult<T::Output> {
    let options = SpawnOptions {
        max_attempts: Some(2),
        retry_strategy: Some(RetryStrategy::Fixed { delay: Duration::from_millis(1) }),
        ..SpawnOptions::default()
    };
    let handle = ctx.spawn::<T>(T::NAME, (text.to_owned(),), options).await?;
    ctx.join(handle).await
}

/// What an error says that code goes on after.
fn caught(outcome: TaskResult<Value>) -> TaskResult<Value> {
    match outcome {
        Err(TaskError::Step { failure, .. } | TaskError::Child { failure, .. }) => Ok(json!(failure.message)),
        other => other,
    }
}

fn late(outcome: TaskResult<Value>) -> TaskResult<()> {
    match outcome {
        Err(error) if error.is_timeout() => Ok(()),
        other => other.map(drop),
    }
}

async fn a_step_that_fails(ctx: &TaskContext) -> TaskResult<Value> {
    let error = failing_step(ctx, "bad").await;
    Ok(json!([caught(error)?, step(ctx, "after").await?]))
}

async fn a_race_of_steps(ctx: &TaskContext) -> TaskResult<Value> {
    let (mut a, mut b) = (std::pin::pin!(step(ctx, "a")), std::pin::pin!(step(ctx, "b")));
    let (first, second) = tokio::select! {
        biased;
        first = &mut a => (first?, b.await?),
        first = &mut b => (first?, a.await?),
    };
    Ok(json!([first, second, step(ctx, "after").await?]))
}

async fn a_signal_that_lost(ctx: &TaskContext) -> TaskResult<Value> {
    let won = tokio::select! {
        biased;
        got = ctx.wait_for_signal::<Value>("go", None) => got?,
        won = step(ctx, "a") => won?,
    };
    Ok(json!([won, ctx.wait_for_signal::<Value>("go", None).await?]))
}

/// As Python's `context(counters=..)` asks: nobody waits for the first value.
async fn counters(ctx: &TaskContext) -> TaskResult<Value> {
    let counters = ctx.counters();
    tokio::try_join!(counters.ensure([("done", 0)]), counters.add("done", 2))?;
    counters.add("done", 3).await?;
    step(ctx, "after").await
}

async fn compensation(ctx: &TaskContext) -> TaskResult<Value> {
    step(ctx, "book").await?;
    step(ctx, "pay").await?;
    let error = caught(child::<Fails>(ctx, "x").await)?;
    step(ctx, "refund").await?;
    step(ctx, "cancel").await?;
    Ok(error)
}

async fn a_root_that_is_retried(ctx: &TaskContext) -> TaskResult<Value> {
    step(ctx, "kept").await?;
    if ctx.attempt == 1 {
        let error = caught(failing_step(ctx, "dropped").await)?;
        return Err(TaskError::user("once", error));
    }
    step(ctx, "dropped").await
}

struct Echo;

#[async_trait]
impl Task for Echo {
    const NAME: &'static str = "echo";
    type Params = (String,);
    type Output = Value;

    async fn run((text,): (String,), _: TaskContext) -> TaskResult<Value> {
        Ok(json!(text))
    }
}

struct Nested;

#[async_trait]
impl Task for Nested {
    const NAME: &'static str = "nested";
    type Params = (String,);
    type Output = Value;

    async fn run((text,): (String,), ctx: TaskContext) -> TaskResult<Value> {
        step(&ctx, "a").await?;
        child::<Echo>(&ctx, &text).await
    }
}

struct Fails;

#[async_trait]
impl Task for Fails {
    const NAME: &'static str = "fails";
    type Params = (String,);
    type Output = Value;

    async fn run((text,): (String,), _: TaskContext) -> TaskResult<Value> {
        Err(TaskError::user(format!("no {text}"), Value::Null))
    }
}

struct Flaky;

#[async_trait]
impl Task for Flaky {
    const NAME: &'static str = "flaky";
    type Params = (String,);
    type Output = Value;

    async fn run((text,): (String,), ctx: TaskContext) -> TaskResult<Value> {
        let made = step(&ctx, "a").await?;
        if ctx.attempt == 1 {
            return Err(TaskError::user(format!("not yet {text}"), Value::Null));
        }
        Ok(made)
    }
}

//! `check_replay` finds what is not the same each time, and passes what is.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use durable::testing::{ReplayDivergence, Workflow, check_replay};
use durable::{SpawnOptions, StepError, TaskError};

use crate::ledger::Ledger;

task!(Charge(cents: u64, ctx) -> String {
    let ledger = Ledger::of(&ctx);
    ctx.step("charge", || async { ledger.write("charge"); Ok(format!("receipt {cents}")) }).await
});

task!(Order(cents: u64, ctx) -> Vec<String> {
    let ledger = Ledger::of(&ctx);
    let mut done = vec![];
    let charges = ctx.map::<Charge>("charge", [cents, cents + 1, cents + 2]).concurrency(2).await?;
    done.extend(charges);
    ctx.counters().add("charged", 3_i64).await?;
    let shipped = ctx.step("ship", || async { Err::<(), _>(StepError::new("no truck")) }).await;
    if let Err(TaskError::Step { failure, .. }) = shipped {
        done.push(failure.message);
    }
    let address = tokio::select! {
        address = ctx.await_event::<String>("address", Some(Duration::from_secs(86_400))) => address?,
        late = ctx.sleep_for("patience", Duration::from_secs(2 * 86_400)) => { late?; "late".into() }
    };
    done.push(address);
    ctx.emit_event("packed", &done.len()).await?;
    done.push(ctx.wait_for_signal::<String>("approve", None).await?);
    let _ = ctx.now()?;
    let key = ctx.uuid7().to_string();
    done.push(ctx.step("file", || async { ledger.write("file"); Ok(key) }).await?);
    let count = ctx.counters().get("charged").await?;
    done.push(format!("{count:?}"));
    Ok(done)
});

#[tokio::test]
async fn a_careful_workflow_comes_to_the_same_wherever_it_is_killed() {
    let ledger = Ledger::default();
    let order =
        Workflow::<Order>::of(5).registering::<Charge>().state(ledger.clone()).alongside(|client, order| async move {
            client.emit_event("address", "1 Main Street", None).await.unwrap();
            client.signal(order, "approve", "ann").await.unwrap();
        });
    let report = check_replay(order).await.unwrap();
    assert!(report.kills >= 20, "{report:?}");
    assert_eq!(report.outcome[0], "receipt 5");
    assert_eq!(report.outcome[3], "no truck");
    assert_eq!(report.outcome[4], "1 Main Street");
    // One undisturbed run, one for each kill, and the last one that met no kill; a killed body may run twice.
    let runs = report.kills + 2;
    assert!((runs..=runs + 2).contains(&ledger.count("file")), "{} of {runs}", ledger.count("file"));
}

static READ: AtomicU32 = AtomicU32::new(0);

task!(ReadsTheWorld(nothing: (), ctx) -> u32 {
    let read = READ.fetch_add(1, Ordering::Relaxed);
    ctx.step("a", || async { Ok(()) }).await?;
    Ok(read)
});

#[tokio::test]
async fn what_is_read_outside_of_steps_is_found() {
    let found = check_replay(Workflow::<ReadsTheWorld>::of(())).await.unwrap_err();
    assert!(matches!(found, ReplayDivergence::Outcome { .. }), "{found}");
    assert!(found.to_string().starts_with("killed before write 1 (step \"a\"), it came to"), "{found}");
}

static MADE: AtomicU32 = AtomicU32::new(0);

task!(StepsDiffer(nothing: (), ctx) -> () {
    ctx.step("make an id", || async { Ok(MADE.fetch_add(1, Ordering::Relaxed)) }).await.map(drop)
});

#[tokio::test]
async fn a_step_that_comes_to_something_else_is_found() {
    let found = check_replay(Workflow::<StepsDiffer>::of(())).await.unwrap_err();
    assert!(matches!(&found, ReplayDivergence::Record { key, .. } if key == "make an id"), "{found}");
}

#[tokio::test]
async fn what_may_differ_can_be_evened_out() {
    let evened = Workflow::<StepsDiffer>::of(()).alike(|value| *value = serde_json::Value::Null);
    check_replay(evened).await.unwrap();
}

static FLIPS: AtomicU32 = AtomicU32::new(0);

task!(OtherSteps(nothing: (), ctx) -> () {
    let name = if FLIPS.fetch_add(1, Ordering::Relaxed) == 0 { "one" } else { "another" };
    ctx.step(name, || async { Ok(()) }).await?;
    ctx.step("end", || async { Ok(()) }).await
});

#[tokio::test]
async fn a_step_that_is_not_there_is_found() {
    let found = check_replay(Workflow::<OtherSteps>::of(())).await.unwrap_err();
    assert!(matches!(&found, ReplayDivergence::Record { .. }), "{found}");
}

task!(Fails(nothing: (), ctx) -> () {
    ctx.step("try", || async { Err::<(), _>(StepError::new("no").permanent()) }).await
});

#[tokio::test]
async fn a_workflow_that_always_fails_the_same_way_passes() {
    let report = check_replay(Workflow::<Fails>::of(())).await.unwrap();
    assert_eq!(report.outcome, "failed: step \"try\" failed: no");
}

#[tokio::test]
async fn a_workflow_that_cannot_run_says_why() {
    let none = SpawnOptions { max_attempts: Some(0), ..SpawnOptions::default() };
    let found = check_replay(Workflow::<Fails>::of(()).options(none)).await.unwrap_err();
    assert!(found.to_string().contains("`max_attempts`"), "{found}");
    let twice = check_replay(Workflow::<Fails>::of(()).registering::<Fails>()).await.unwrap_err();
    assert!(twice.to_string().contains("registered already"), "{twice}");
}

//! Limits that only a worker can meet: what passes one ends with an error that names it.

use std::time::Duration;

use stent_core::command::Release;
use stent_core::limits::HISTORY_RECORDS;
use stent_core::{Command, ExecutionState};

use crate::kit::hands::step;
use crate::kit::world::Client;
use crate::kit::{Functions, Gates, Hands, Ledger, Run, World};

on_all_stores!(a_task_with_as_many_records_as_it_may_have_ends_with_an_error_that_says_so);

async fn a_task_with_as_many_records_as_it_may_have_ends_with_an_error_that_says_so(world: World) {
    let hands = Hands::on(&world).await;
    let id = hands.start("endless").await;
    let lease = hands.claim_one("endless").await;
    // Only the number of the last one counts, so one record is as good as a million.
    hands.one(step(lease, HISTORY_RECORDS, "first")).await.unwrap();
    let release = Release { lease, delay: Duration::ZERO, reason: None };
    hands.one(Command::Release(Box::new(release))).await.unwrap();

    let ledger = Ledger::default();
    let functions = Functions::new(&ledger, &Gates::default()).with("endless", |run: Run| async move {
        run.step("first").await?;
        Ok(run.step("one more").await?)
    });
    let client = world.engine();
    let _worker = world.worker(functions).await;
    let view = client.ended(id).await;
    assert_eq!(view.state, ExecutionState::Failed);
    let failure = view.failure.unwrap();
    assert!(failure.permanent && failure.message.contains("1000000 records"), "{failure:?}");
    assert_eq!(ledger.all().iter().filter(|entry| entry.contains("one more")).count(), 0);
}

//! `check_replay` over functions: killed before and after everything that is written, they come to the same.

use std::sync::atomic::{AtomicU32, Ordering};

use durable::testing::{ReplayDivergence, Workflow, check_replay};
use serde::{Deserialize, Serialize};

use super::write;
use crate::ledger::Ledger;

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("no {what} left")]
struct SoldOut {
    what: String,
}

#[durable::function(retry(max_attempts = 1))]
async fn book(what: String) -> Result<String, SoldOut> {
    if what == "car" { Err(SoldOut { what }) } else { Ok(format!("{what}-1")) }
}

#[durable::function]
async fn unbook(booking: String) {
    durable::step("unbook", || async {
        write(format!("unbook {booking}"));
        Ok(())
    })
    .await
    .unwrap();
}

#[durable::function]
async fn trip(parts: Vec<String>) -> String {
    let mut booked = Vec::new();
    for part in parts {
        match book(part).await {
            Ok(booking) => booked.push(booking),
            Err(sold_out) => {
                unbook.map(booked.iter().rev().cloned()).await;
                return format!("no trip: {sold_out}");
            }
        }
    }
    booked.join(", ")
}

#[tokio::test]
async fn a_saga_that_began_to_compensate_goes_on_wherever_it_is_killed() {
    let ledger = Ledger::default();
    let parts: Vec<String> = ["flight", "hotel", "car"].map(String::from).to_vec();
    let report = check_replay(Workflow::call(trip, parts).state(ledger.clone())).await.unwrap();
    assert_eq!(report.outcome, "no trip: no car left");
    assert!(report.kills >= 10, "{report:?}");
    let runs = report.kills + 2;
    assert!(
        (runs..=runs + 2).contains(&ledger.count("unbook flight-1")),
        "{} of {runs}",
        ledger.count("unbook flight-1")
    );
}

#[durable::function]
async fn everything(cents: u64) -> (Vec<String>, Option<f64>) {
    let mut done = vec![book("boat".into()).await.unwrap(), durable::uuid().to_string()];
    let bookings = book.map(["a".to_owned(), "b".to_owned(), "c".to_owned()]).max_parallel(2).try_all().await.unwrap();
    done.extend(bookings);
    durable::context().counter("cents").add(i64::try_from(cents).unwrap()).await;
    done.push(nap("1h".into()).await);
    durable::emit("packed", &done.len()).await.unwrap();
    done.push(durable::wait_for_signal("approve", "1w").await.unwrap_or_else(|late| late.to_string()));
    let _ = durable::now();
    let branch = durable::spawn(async { book("beside".into()).await.unwrap() });
    done.push(branch.await);
    (done, durable::context().counter("cents").get().await.map(|count| count.as_f64()))
}

#[durable::function]
async fn nap(span: String) -> String {
    durable::sleep(span.as_str()).await;
    span
}

#[tokio::test]
async fn a_function_that_does_everything_comes_to_the_same_wherever_it_is_killed() {
    let workflow = Workflow::call(everything, 5).alongside(|client, id| async move {
        client.signal(id, "approve", "ann").await.unwrap();
    });
    let report = check_replay(workflow).await.unwrap();
    assert_eq!(report.outcome[0][5], "1h");
    assert_eq!(report.outcome[0][6], "ann");
    assert_eq!(report.outcome[1], 5.0);
    assert!(report.kills >= 20, "{report:?}");
}

static READ: AtomicU32 = AtomicU32::new(0);

#[durable::function]
async fn careless() -> u32 {
    let read = READ.fetch_add(1, Ordering::Relaxed);
    durable::sleep("1m").await;
    read
}

#[tokio::test]
async fn a_function_that_reads_the_world_outside_of_steps_is_found() {
    let found = check_replay(Workflow::call(careless, ())).await.unwrap_err();
    assert!(matches!(found, ReplayDivergence::Outcome { .. }), "{found}");
}

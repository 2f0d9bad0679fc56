//! How exact timers are (P6): never before their time by the store's clock, and soon after it while a worker is idle.

use std::time::Duration;

use stent_core::history::Due;

use crate::kit::world::Client;
use crate::kit::{Functions, Gates, Ledger, Run, World, request, spec};

on_all_stores!(naps_and_delayed_starts_end_soon_after_their_time_and_never_before);

/// What P6 promises of an idle, notified worker. The median is held to it: a machine that is busy with other tests may
/// keep a single one waiting.
const SOON: Duration = Duration::from_millis(20);

async fn naps_and_delayed_starts_end_soon_after_their_time_and_never_before(world: World) {
    let functions = Functions::new(&Ledger::default(), &Gates::default())
        .with("naps", |run: Run| async move {
            let mut late_us = Vec::new();
            for _ in 0..15 {
                let due = run.context.now() + Duration::from_millis(30);
                run.context.sleep(&crate::kit::name("nap"), Due::At(due)).await?;
                late_us.push(run.context.now().as_micros() - due.as_micros());
            }
            Ok(late_us.iter().map(i64::to_string).collect::<Vec<_>>().join(","))
        })
        .with("nothing", |_| async move { Ok(String::new()) });
    let client = world.engine();
    let _worker = world.worker(functions).await;
    let id = client.begin("naps", "").await;
    let naps = client.result(id).await;
    hold(naps.split(',').map(|late| late.parse().unwrap()).collect());

    let mut late_us = Vec::new();
    for _ in 0..15 {
        let delay = Duration::from_millis(30);
        let started =
            client.start(stent_engine::StartRequest { due: Some(Due::In(delay)), ..request(spec("nothing", "")) });
        let id = started.await.unwrap().execution;
        let view = client.ended(id).await;
        let due = view.created_at + delay;
        late_us.push(view.started_at.unwrap().as_micros() - due.as_micros());
    }
    hold(late_us);
}

fn hold(mut late_us: Vec<i64>) {
    late_us.sort_unstable();
    assert!(late_us[0] >= 0, "one was early: {late_us:?}");
    assert!(late_us[late_us.len() / 2] <= i64::try_from(SOON.as_micros()).unwrap(), "they are late: {late_us:?}");
}

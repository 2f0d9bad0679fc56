//! Schedules as several processes on one database live them: each tick is one execution, what was missed goes by the
//! policy, and ticks come soon after their time and never before. Minutes pass by setting the clock.

use std::collections::BTreeSet;
use std::time::Duration;

use stent_core::command::Deadline;
use stent_core::view::ExecutionFilter;
use stent_core::{MissedTicks, Schedule, ScheduleView, Timestamp};
use stent_engine::Engine;
use stent_engine::schedule::TICK_HEADER;

use crate::kit::{Functions, Gates, Ledger, Run, World, eventually, name, own_lateness_us, spec};

on_all_stores!(
    each_tick_is_one_execution_however_many_workers_there_are,
    what_was_missed_while_no_worker_was_there_goes_by_the_policy,
    a_schedule_that_another_process_sets_is_followed_at_once_and_its_ticks_are_on_time,
    a_worker_that_dies_over_a_tick_leaves_it_to_another,
);

const MINUTE_MS: i64 = 60_000;

/// How many ticks are looked at together, and how often.
const TICKS: usize = 5;
const ROUNDS: usize = 4;

/// Starts the function of its name, with its time for an entry of the ledger.
fn functions(ledger: &Ledger, schedules: &[&'static str]) -> Functions {
    let mut functions = Functions::new(ledger, &Gates::default());
    for &schedule in schedules {
        let ledger = ledger.clone();
        functions = functions.with(schedule, move |run: Run| {
            let ledger = ledger.clone();
            async move {
                let headers = run.context.task().spec.headers.clone().unwrap_or_default();
                let headers: serde_json::Value = serde_json::from_slice(&headers).unwrap_or_default();
                ledger.add(format!("{schedule} {}", headers[TICK_HEADER].as_str().unwrap_or("none")));
                Ok(String::new())
            }
        });
    }
    functions
}

fn schedule(called: &str, cron: &str, missed: MissedTicks) -> Schedule {
    let (cron, zone) = (cron.to_owned(), "America/New_York".to_owned());
    Schedule { name: name(called), cron, zone, missed, spec: spec(called, ""), deadline: Deadline::default() }
}

async fn view(client: &Engine, called: &str) -> ScheduleView {
    client.schedule(&name(called)).await.unwrap()
}

/// When the executions of a function were created, the newest first.
async fn created(client: &Engine, function: &str) -> Vec<Timestamp> {
    let all = client.store().executions(ExecutionFilter { limit: 1_000, ..ExecutionFilter::default() }).await.unwrap();
    all.into_iter().filter(|view| view.function.as_str() == function).map(|view| view.created_at).collect()
}

/// Sets the clock to the beginning of a minute, by this offset: a tick that the clock reaches by itself is far.
fn at_a_minutes_beginning(world: &World) -> i64 {
    let now_ms = world.store().now().as_micros() / 1_000;
    // A second behind it, so that it does not matter whose clock it is.
    let offset_ms = MINUTE_MS - now_ms % MINUTE_MS + 1_000;
    world.clock.set_offset_ms(offset_ms);
    offset_ms
}

/// Resolves when a schedule's next tick is still to come.
async fn up_to_date(client: &Engine, called: &str) {
    eventually("its next tick is to come", || async {
        view(client, called).await.due.is_some_and(|due| due > client.store().now())
    })
    .await;
}

async fn each_tick_is_one_execution_however_many_workers_there_are(world: World) {
    let (client, ledger) = (world.engine(), Ledger::default());
    let beginning_ms = at_a_minutes_beginning(&world);
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(world.worker(functions(&ledger, &["each"])).await);
    }
    client.set_schedule(schedule("each", "* * * * *", MissedTicks::All)).await.unwrap();
    for minute in 1..=5 {
        world.clock.set_offset_ms(beginning_ms + minute * MINUTE_MS);
        up_to_date(&client, "each").await;
        eventually("the tick's execution ran", || async { ledger.all().len() >= usize::try_from(minute).unwrap() })
            .await;
    }
    assert_eq!(created(&client, "each").await.len(), 5);
    let times: BTreeSet<_> = ledger.all().into_iter().collect();
    assert_eq!(times.len(), 5, "{times:?}");
}

async fn what_was_missed_while_no_worker_was_there_goes_by_the_policy(world: World) {
    let (client, ledger) = (world.engine(), Ledger::default());
    let beginning_ms = at_a_minutes_beginning(&world);
    let all = [("skip", MissedTicks::Skip, 0), ("one", MissedTicks::One, 1), ("all", MissedTicks::All, 5)];
    for (called, missed, _) in all {
        client.set_schedule(schedule(called, "* * * * *", missed)).await.unwrap();
    }
    let mut dues = Vec::new();
    for (called, ..) in all {
        dues.push(view(&client, called).await.due.unwrap());
    }
    world.clock.set_offset_ms(beginning_ms + 5 * MINUTE_MS);
    let _worker = world.worker(functions(&ledger, &["skip", "one", "all"])).await;
    for ((called, missed, count), first) in all.into_iter().zip(dues) {
        up_to_date(&client, called).await;
        assert_eq!(created(&client, called).await.len(), count, "{missed:?}");
        let last = view(&client, called).await.last_tick;
        assert_eq!(last, (count > 0).then(|| first + Duration::from_secs(4 * 60)), "{missed:?}");
    }
}

async fn a_schedule_that_another_process_sets_is_followed_at_once_and_its_ticks_are_on_time(world: World) {
    let ledger = Ledger::default();
    let _worker = world.worker(functions(&ledger, &["seconds"])).await;
    let client = world.engine();
    // All: whatever keeps the worker waiting, each second has its tick, so that their order tells whose time is whose.
    client.set_schedule(schedule("seconds", "* * * * * *", MissedTicks::All)).await.unwrap();
    let first = view(&client, "seconds").await.due.unwrap();
    let mut rounds = Vec::new();
    // A machine that is busy with other tests may keep one waiting, or all of a round: late by itself is late in each, and
    // later than the machine.
    for round in 1..=ROUNDS {
        eventually("more ticks have come", || async { created(&client, "seconds").await.len() >= round * TICKS }).await;
        let mut created = created(&client, "seconds").await;
        created.reverse();
        let late =
            |(at, created): (u32, &Timestamp)| created.as_micros() - (first + Duration::from_secs(1) * at).as_micros();
        let late_us: Vec<_> = (0..).zip(&created).map(late).collect();
        assert!(late_us.iter().all(|late| *late >= 0), "one was early: {late_us:?}");
        let mut late_us = late_us[(round - 1) * TICKS..round * TICKS].to_vec();
        late_us.sort_unstable();
        let own_us = if late_us[TICKS / 2] <= 20_000 { 0 } else { own_lateness_us(&client).await };
        if late_us[TICKS / 2] <= 20_000 + own_us {
            client.pause_schedule(&name("seconds")).await.unwrap();
            return;
        }
        rounds.push((late_us, own_us));
    }
    panic!("they are late: {rounds:?}");
}

async fn a_worker_that_dies_over_a_tick_leaves_it_to_another(world: World) {
    let (client, ledger) = (world.engine(), Ledger::default());
    let beginning_ms = at_a_minutes_beginning(&world);
    let first = world.worker(functions(&ledger, &["s"])).await;
    client.set_schedule(schedule("s", "* * * * *", MissedTicks::Skip)).await.unwrap();
    // It rests until the tick; dropped, it is gone as by a crash.
    up_to_date(&client, "s").await;
    drop(first);
    let _second = world.worker(functions(&ledger, &["s"])).await;
    let due = view(&client, "s").await.due.unwrap();
    let ahead = i64::try_from(due.since(client.store().now()).as_millis()).unwrap();
    world.clock.set_offset_ms(beginning_ms + ahead + 1);
    eventually("the tick came", || async { view(&client, "s").await.last_tick == Some(due) }).await;
    assert_eq!(created(&client, "s").await.len(), 1);
}

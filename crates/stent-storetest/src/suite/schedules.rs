//! Schedules: what they say, when they are due, and that each tick comes at most once.

use std::time::Duration;

use stent_core::command::{Command, Deadline, Done, Refusal, ResumeSchedule, ScheduleChange, SetSchedule, Start, Tick};
use stent_core::{ExecutionId, ExecutionState, MissedTicks, Schedule, ScheduleView, Timestamp};

use super::Fixture;
use super::kit::{Kit, json, name, spec};
use crate::drive::block_on;

const MINUTE: Duration = Duration::from_secs(60);

fn schedule(called: &str) -> Schedule {
    Schedule {
        name: name(called),
        cron: "* * * * *".to_owned(),
        zone: "Europe/Berlin".to_owned(),
        missed: MissedTicks::One,
        spec: spec(),
        deadline: Deadline::default(),
    }
}

fn set(schedule: Schedule, due: Timestamp) -> Command {
    Command::Schedule(ScheduleChange::Set(Box::new(SetSchedule { schedule, due: Some(due) })))
}

fn pause(called: &str) -> Command {
    Command::Schedule(ScheduleChange::Pause(name(called)))
}

fn resume(called: &str, revision: u64, due: Timestamp) -> Command {
    let resume = ResumeSchedule { name: name(called), revision, due: Some(due) };
    Command::Schedule(ScheduleChange::Resume(resume))
}

fn delete(called: &str) -> Command {
    Command::Schedule(ScheduleChange::Delete(name(called)))
}

/// A tick of a schedule as it was read, with these starts; the next is a minute later.
fn tick(view: &ScheduleView, starts: Vec<Start>) -> Command {
    let due = view.due.unwrap();
    let (name, revision, next) = (view.schedule.name.clone(), view.revision, Some(due + MINUTE));
    Command::Schedule(ScheduleChange::Tick(Box::new(Tick { name, revision, due, starts, last_tick: due, next })))
}

fn read(kit: &Kit<'_>, called: &str) -> ScheduleView {
    block_on(kit.store.schedule(&name(called))).unwrap().unwrap()
}

fn count(kit: &Kit<'_>) -> u64 {
    block_on(kit.store.count_executions(None)).unwrap()
}

/// A schedule that is due now.
fn due_now(kit: &Kit<'_>, called: &str) -> ScheduleView {
    assert_eq!(kit.ok(set(schedule(called), kit.now())), Done::Changed(true));
    read(kit, called)
}

pub fn a_schedule_that_says_the_same_already_is_left_as_it_is(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let mut says = schedule("nightly 'ü\" %");
    says.missed = MissedTicks::All;
    says.spec.tags = vec![name("gpu"), name("ü")];
    says.spec.headers = Some("{\"trace\":\"1\"}".into());
    says.spec.priority = -7;
    says.spec.options.timeout_ms = Some(5);
    let (expire, start, run) = (MINUTE * 3, MINUTE * 2, Duration::from_micros(7));
    says.deadline = Deadline { expire_after: Some(expire), start_within: Some(start), run_within: Some(run) };
    let due = kit.now() + MINUTE;
    assert_eq!(kit.ok(set(says.clone(), due)), Done::Changed(true));
    let first = read(&kit, says.name.as_str());
    assert_eq!((&first.schedule, first.due, first.paused), (&says, Some(due), false));
    assert_eq!((first.last_tick, first.last_execution), (None, None));
    assert_eq!(kit.ok(set(says.clone(), due + MINUTE)), Done::Changed(false));
    assert_eq!(read(&kit, says.name.as_str()), first);
    assert_eq!(block_on(kit.store.schedules()).unwrap(), [first]);
    assert_eq!(block_on(kit.store.schedule(&name("another"))).unwrap(), None);
}

pub fn a_change_of_what_is_started_keeps_the_ticks_that_are_owed(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let owed = due_now(&kit, "s");
    let mut says = schedule("s");
    says.spec.args = json("others");
    assert_eq!(kit.ok(set(says.clone(), kit.now() + MINUTE)), Done::Changed(true));
    let changed = read(&kit, "s");
    assert_eq!((&changed.schedule, changed.due), (&says, owed.due));
    assert!(changed.revision > owed.revision);
    // Other ticks are another matter.
    for (cron, zone) in [("0 * * * *", "Europe/Berlin"), ("0 * * * *", "UTC")] {
        (says.cron, says.zone) = (cron.to_owned(), zone.to_owned());
        let due = kit.now() + MINUTE;
        assert_eq!(kit.ok(set(says.clone(), due)), Done::Changed(true));
        assert_eq!(read(&kit, "s").due, Some(due));
        kit.advance(MINUTE);
    }
}

pub fn a_tick_starts_what_is_due_and_moves_the_schedule_on(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (view, worker) = (due_now(&kit, "s"), kit.worker());
    let starts: Vec<_> = (0..3).map(|_| Start { claim_for: Some(worker), ..kit.new_start() }).collect();
    let ids: Vec<_> = starts.iter().map(|start| start.id).collect();
    let wakes = kit.wakes(tick(&view, starts));
    assert!(wakes.ready);
    let after = read(&kit, "s");
    assert_eq!(after.due, Some(view.due.unwrap() + MINUTE));
    assert_eq!((after.last_tick, after.last_execution), (view.due, ids.last().copied()));
    assert_eq!(after.revision, view.revision);
    for id in &ids {
        assert_eq!(kit.execution(*id).state, ExecutionState::Pending);
    }
    let claimed: Vec<_> = kit.claim(worker, 10).iter().map(|task| task.lease.task.execution).collect();
    assert_eq!(claimed, ids);
}

pub fn a_tick_never_comes_early(f: &dyn Fixture) {
    let kit = Kit::new(f);
    f.set_clock(Timestamp::from_micros(1_800_000_000_000_000));
    let due = kit.now() + MINUTE;
    kit.ok(set(schedule("s"), due));
    let view = read(&kit, "s");
    kit.advance(MINUTE - Duration::from_micros(1));
    assert_eq!(kit.ok(tick(&view, vec![kit.new_start()])), Done::Changed(false));
    assert_eq!((count(&kit), read(&kit, "s")), (0, view.clone()));
    kit.advance(Duration::from_micros(1));
    assert_eq!(kit.ok(tick(&view, vec![kit.new_start()])), Done::Changed(true));
    assert_eq!(count(&kit), 1);
}

pub fn of_two_ticks_of_one_time_one_starts_anything(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let view = due_now(&kit, "s");
    let both = kit.batch(vec![tick(&view, vec![kit.new_start()]), tick(&view, vec![kit.new_start()])]);
    assert_eq!(both.outcomes, [Ok(Done::Changed(true)), Ok(Done::Changed(false))]);
    assert_eq!(kit.ok(tick(&view, vec![kit.new_start()])), Done::Changed(false));
    assert_eq!(count(&kit), 1);
    // The next one is another matter, in one batch too.
    kit.advance(MINUTE * 2);
    let next = read(&kit, "s");
    let after = ScheduleView { due: Some(next.due.unwrap() + MINUTE), ..next.clone() };
    let both = kit.batch(vec![tick(&next, vec![kit.new_start()]), tick(&after, vec![kit.new_start()])]);
    assert_eq!(both.outcomes, [Ok(Done::Changed(true)), Ok(Done::Changed(true))]);
    assert_eq!(count(&kit), 3);
}

pub fn two_processes_that_tick_at_the_same_time_start_each_tick_once(f: &dyn Fixture) {
    let kit = Kit::new(f);
    kit.ok(set(schedule("s"), kit.now()));
    kit.advance(MINUTE * 40);
    let ticked: Vec<u32> = std::thread::scope(|threads| {
        let stores = [kit.store.clone(), f.second()];
        let racers = stores.into_iter().enumerate().map(|(at, store)| {
            threads.spawn(move || {
                let mut ticked = 0;
                for number in 0..20 {
                    let view = block_on(store.schedule(&name("s"))).unwrap().unwrap();
                    let bytes = [u8::try_from(at).unwrap() + 1, number, 1, 1, 1, 1, 1, 1, 1, 1];
                    let id = ExecutionId::v7(1_700_000_000_000, bytes);
                    let deadline = stent_core::command::Deadline::default();
                    let start = Start { id, spec: spec(), key: None, due: None, deadline, claim_for: None };
                    let committed = block_on(store.commit(0, vec![tick(&view, vec![start])])).unwrap();
                    ticked += u32::from(committed.outcomes == [Ok(Done::Changed(true))]);
                }
                ticked
            })
        });
        let racers: Vec<_> = racers.collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    let all = ticked.iter().sum::<u32>();
    assert_eq!(count(&kit), u64::from(all), "{ticked:?}");
    assert!((20..=40).contains(&all), "{ticked:?}");
}

pub fn a_tick_of_what_was_changed_meanwhile_does_nothing(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let view = due_now(&kit, "s");
    let mut says = schedule("s");
    says.spec.args = json("others");
    kit.ok(set(says, kit.now()));
    assert_eq!(kit.ok(tick(&view, vec![kit.new_start()])), Done::Changed(false));
    let view = read(&kit, "s");
    kit.ok(pause("s"));
    assert_eq!(kit.ok(tick(&view, vec![kit.new_start()])), Done::Changed(false));
    // Deleted and made anew, at the same time, it is another schedule.
    kit.ok(delete("s"));
    assert_eq!(kit.ok(tick(&view, vec![kit.new_start()])), Done::Changed(false));
    kit.advance(Duration::from_millis(1));
    kit.ok(set(schedule("s"), view.due.unwrap()));
    assert_eq!(kit.ok(tick(&view, vec![kit.new_start()])), Done::Changed(false));
    assert_eq!(count(&kit), 0);
}

pub fn a_tick_whose_id_is_known_starts_nothing_and_stays_due(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (view, known) = (due_now(&kit, "s"), kit.start());
    let (fresh, known) = (kit.new_start(), Start { id: known, ..kit.new_start() });
    assert_eq!(kit.refused(tick(&view, vec![fresh.clone(), known])), Refusal::Exists);
    assert_eq!(kit.refused(tick(&view, vec![fresh.clone(), fresh.clone()])), Refusal::Exists);
    assert_eq!((read(&kit, "s"), count(&kit)), (view.clone(), 1));
    // The id that was refused is free still, and one that the same batch started is not.
    let batch = kit.batch(vec![Command::Start(Box::new(fresh.clone())), tick(&view, vec![fresh])]);
    assert!(batch.outcomes[0].is_ok());
    assert_eq!(batch.outcomes[1], Err(Refusal::Exists));
    assert_eq!(read(&kit, "s"), view);
}

pub fn a_skipped_tick_starts_nothing(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let view = due_now(&kit, "s");
    assert_eq!(kit.ok(tick(&view, vec![kit.new_start()])), Done::Changed(true));
    let before = read(&kit, "s");
    kit.advance(MINUTE);
    assert_eq!(kit.ok(tick(&before, Vec::new())), Done::Changed(true));
    let after = read(&kit, "s");
    assert_eq!((after.last_tick, after.last_execution), (before.last_tick, before.last_execution));
    assert_eq!((after.due, count(&kit)), (Some(before.due.unwrap() + MINUTE), 1));
}

pub fn a_schedule_that_rests_is_not_due_and_owes_nothing_when_it_goes_on(f: &dyn Fixture) {
    let kit = Kit::new(f);
    for unknown in [pause("s"), resume("s", 1, kit.now())] {
        assert_eq!(kit.refused(unknown), Refusal::Unknown);
    }
    let view = due_now(&kit, "s");
    assert_eq!(kit.ok(resume("s", view.revision, kit.now())), Done::Changed(false));
    assert_eq!(kit.ok(pause("s")), Done::Changed(true));
    assert_eq!(kit.ok(pause("s")), Done::Changed(false));
    let rests = read(&kit, "s");
    assert_eq!((rests.paused, rests.due), (true, None));
    assert_eq!(block_on(kit.store.next_schedules(10)).unwrap(), []);
    // What is changed at rest stays at rest.
    let mut says = schedule("s");
    says.cron = "0 0 * * *".to_owned();
    assert_eq!(kit.ok(set(says, kit.now())), Done::Changed(true));
    let changed = read(&kit, "s");
    assert_eq!((changed.paused, changed.due), (true, None));
    // Whoever read it before does not know its line.
    let due = kit.now() + MINUTE;
    assert_eq!(kit.ok(resume("s", rests.revision, due)), Done::Changed(false));
    assert_eq!(kit.ok(resume("s", changed.revision, due)), Done::Changed(true));
    let goes_on = read(&kit, "s");
    assert_eq!((goes_on.paused, goes_on.due), (false, Some(due)));
}

pub fn the_next_schedules_come_in_order_of_their_time(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let now = kit.now();
    for (called, minutes) in [("b", 2), ("d", 3), ("a", 2), ("c", 1), ("rests", 0)] {
        kit.ok(set(schedule(called), now + MINUTE * minutes));
    }
    kit.ok(pause("rests"));
    let next = |limit| {
        let views = block_on(kit.store.next_schedules(limit)).unwrap();
        views.iter().map(|view| view.schedule.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(next(10), ["c", "a", "b", "d"]);
    assert_eq!(next(2), ["c", "a"]);
    let all = block_on(kit.store.schedules()).unwrap();
    assert_eq!(all.iter().map(|view| view.schedule.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d", "rests"]);
}

pub fn what_a_schedule_started_outlives_it(f: &dyn Fixture) {
    let kit = Kit::new(f);
    let (view, start) = (due_now(&kit, "s"), kit.new_start());
    let id = start.id;
    kit.ok(tick(&view, vec![start]));
    assert_eq!(kit.ok(delete("s")), Done::Changed(true));
    assert_eq!(kit.ok(delete("s")), Done::Changed(false));
    assert_eq!(kit.execution(id).state, ExecutionState::Pending);
    assert_eq!(block_on(kit.store.schedules()).unwrap(), []);
}

pub fn a_change_of_schedules_is_news_to_workers(f: &dyn Fixture) {
    let kit = Kit::new(f);
    assert!(kit.wakes(set(schedule("s"), kit.now() + MINUTE)).ready);
    assert!(!kit.wakes(set(schedule("s"), kit.now() + MINUTE)).ready);
    assert!(!kit.wakes(pause("s")).ready);
    assert!(kit.wakes(resume("s", read(&kit, "s").revision, kit.now())).ready);
}

//! Random command sequences: whatever is asked, in whatever batches, a store answers and shows what the model does.
//! Each sequence is shrunk when it fails, and the seed repeats the whole run.
//!
//! Compared are every outcome, every visible row and every wake. Wakes may be more than the model's, never fewer:
//! one for nothing harms nobody.
#![allow(clippy::panic, reason = "this is test code: a disagreement ends the test, loudly")]

mod ops;
mod picture;
mod schedules;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use stent_core::command::OpenSession;
use stent_core::{Command, Done, Outcome, Store, Timestamp, Wakes};

use crate::drive::block_on;
use crate::model::{ManualClock, Model, ModelStore};
use crate::suite::Fixture;
use ops::{Maker, Op};
use picture::Picture;

/// How many milliseconds pass, then a batch of commands.
type Batch = (u8, Vec<Op>);

/// After how many batches everything is looked at, besides the end.
const LOOK: usize = 4;

/// Holds a store against the model over `cases` random sequences. A failure names the seed and shows the smallest
/// sequence found that still disagrees.
///
/// # Panics
/// When the store and the model disagree, or the store fails.
pub fn agree<F: Fixture>(make: impl Fn() -> F, cases: u32, seed: u64) {
    run(cases, seed, |batches| {
        let fixture = make();
        let store = fixture.store();
        follow(&*store, &|now| fixture.set_clock(now), batches).map(drop)
    });
}

/// Holds the model against itself: the same commands one by one, and in batches, through the trait.
///
/// # Panics
/// When they disagree.
pub fn model_agrees_with_itself(cases: u32, seed: u64) {
    run(cases, seed, |batches| {
        let clock = ManualClock::new();
        let store = ModelStore::manual(&clock);
        let model = follow(&store, &|now| clock.set(now), batches)?;
        if store.snapshot() == model { Ok(()) } else { Err("the rows differ".to_owned()) }
    });
}

/// Checks of the model what no query shows: a refused command changes nothing, and the rows never contradict each
/// other.
///
/// # Panics
/// When a rule is broken.
pub fn the_models_rules_hold(cases: u32, seed: u64) {
    run(cases, seed, |batches| {
        let mut script = Script::new();
        for (pause, ops) in batches {
            script.now = script.now + Duration::from_millis(u64::from(*pause));
            for op in ops {
                let before = script.model.clone();
                let (command, outcome) = script.step(*op, &mut Wakes::default());
                let refused_as_overdue = match &command {
                    Command::Finish(finish) => finish.lease.task.is_root(),
                    Command::Reserve(reserve) => reserve.lease.task.is_root(),
                    _ => false,
                };
                if outcome.is_err() && script.model != before && !refused_as_overdue {
                    return Err(format!("{command:?} was refused and changed something"));
                }
                if let Some(words) = script.model.broken_rule() {
                    return Err(format!("after {command:?}: {words}"));
                }
            }
        }
        Ok(())
    });
}

fn run(cases: u32, seed: u64, check: impl Fn(&[Batch]) -> Result<(), String>) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let op = any::<Op>();
    let batches = vec((0u8..6, vec(op, 1..9)), 1..24);
    match runner.run(&batches, |batches| check(&batches).map_err(TestCaseError::fail)) {
        Ok(()) => {}
        Err(TestError::Fail(reason, batches)) => {
            panic!("seed {seed}: {reason}\nthe smallest sequence found:\n{}", told(&batches))
        }
        Err(TestError::Abort(reason)) => panic!("seed {seed}: {reason}"),
    }
}

/// How often each sort of command got each sort of answer in random sequences: what the sequences can find at all.
/// `Revived` counts those that brought cancelled tasks back, `Deleted` those that deleted executions.
#[must_use]
pub fn answers(cases: u32, seed: u64) -> BTreeMap<(String, String), u32> {
    let counts = RefCell::new(BTreeMap::new());
    let word = |debug: String| {
        let debug = debug.strip_prefix("Operate(").unwrap_or(&debug);
        let debug = debug.strip_prefix("Schedule(").unwrap_or(debug);
        debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
    };
    run(cases, seed, |batches| {
        let mut script = Script::new();
        for (pause, ops) in batches {
            script.now = script.now + Duration::from_millis(u64::from(*pause));
            for op in ops {
                let cancelled = script.model.cancelled();
                let (command, outcome) = script.step(*op, &mut Wakes::default());
                if script.model.cancelled() < cancelled {
                    *counts.borrow_mut().entry((word(format!("{command:?}")), "Revived".into())).or_default() += 1;
                }
                let answer = match outcome {
                    Ok(Done::Reserved(reservation)) => word(format!("{reservation:?}")),
                    Ok(Done::Cleaned { count: 1.., .. }) => "Deleted".to_owned(),
                    Ok(Done::Changed(false)) if matches!(command, Command::Schedule(_)) => "Unchanged".to_owned(),
                    Ok(done) => word(format!("{done:?}")),
                    Err(refusal) => word(format!("{refusal:?}")),
                };
                *counts.borrow_mut().entry((word(format!("{command:?}")), answer)).or_default() += 1;
            }
        }
        Ok(())
    });
    counts.into_inner()
}

/// The model's run of a sequence: the commands come out of it.
struct Script {
    model: Model,
    maker: Maker,
    now: Timestamp,
}

impl Script {
    fn new() -> Self {
        let mut script = Self { model: Model::new(), maker: Maker::default(), now: ManualClock::new().now() };
        for command in prelude() {
            drop(script.model.apply(script.now, &command, &mut Wakes::default()));
        }
        script
    }

    fn step(&mut self, op: Op, wakes: &mut Wakes) -> (Command, Outcome) {
        let command = self.maker.make(&self.model, self.now, op);
        let outcome = self.model.apply(self.now, &command, wakes);
        (command, outcome)
    }
}

/// Two workers are there from the beginning.
fn prelude() -> Vec<Command> {
    let open = |number| OpenSession {
        session: ops::session(number),
        worker_id: format!("worker {number}"),
        host: "here".into(),
        pid: 7,
    };
    vec![Command::OpenSession(open(0)), Command::OpenSession(open(1))]
}

/// Runs a sequence on the model and the store, and compares.
fn follow(store: &dyn Store, set_clock: &dyn Fn(Timestamp), batches: &[Batch]) -> Result<Model, String> {
    let failed = |error: stent_core::StoreError| format!("the store failed: {error}");
    let mut script = Script::new();
    set_clock(script.now);
    block_on(store.commit(0, prelude())).map_err(failed)?;
    let shadow_clock = ManualClock::new();
    let shadow = ModelStore::manual(&shadow_clock);
    for (number, (pause, ops)) in batches.iter().enumerate() {
        script.now = script.now + Duration::from_millis(u64::from(*pause));
        set_clock(script.now);
        let mut wakes = Wakes::default();
        let before = script.model.before_batch();
        let steps: Vec<_> = ops.iter().map(|op| script.step(*op, &mut wakes)).collect();
        let (commands, expected): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        let committed = block_on(store.commit(0, commands.clone())).map_err(failed)?;
        if committed.outcomes.len() != expected.len() {
            return Err(format!("{} commands, {} outcomes", expected.len(), committed.outcomes.len()));
        }
        for ((command, model), store) in commands.iter().zip(&expected).zip(&committed.outcomes) {
            if picture::plain_outcome(model) != picture::plain_outcome(store) {
                return Err(format!("batch {number}, {command:?}\n  model {model:?}\n  store {store:?}"));
            }
        }
        wakes.ready |= script.model.leaves_apart(&before);
        compare_wakes(&wakes, &committed.wakes).map_err(|words| format!("batch {number}: {words}"))?;
        if number % LOOK == LOOK - 1 || number + 1 == batches.len() {
            shadow_clock.set(script.now);
            shadow.restore(script.model.clone());
            let model = Picture::of(&shadow).map_err(failed)?;
            let difference = model.difference(&Picture::of(store).map_err(failed)?);
            if !difference.is_empty() {
                return Err(format!("after batch {number}: {difference}"));
            }
        }
    }
    Ok(script.model)
}

/// Every wake of the model's is among the store's.
fn compare_wakes(model: &Wakes, store: &Wakes) -> Result<(), String> {
    let missing =
        |what, is_missing: bool| if is_missing { Err(format!("{what}: {model:?}, but {store:?}")) } else { Ok(()) };
    let of = |wakes: &Wakes| wakes.woken.iter().copied().collect::<BTreeSet<_>>();
    missing("a wake is missing", !of(model).is_subset(&of(store)))?;
    let stopped = |wakes: &Wakes| wakes.stopped.iter().map(|(s, t, state)| (*s, *t, *state)).collect::<BTreeSet<_>>();
    missing("the stops differ", stopped(model) != stopped(store))?;
    missing("ready is missing", model.ready && !store.ready)?;
    let ended = |wakes: &Wakes| wakes.ended.iter().copied().collect::<BTreeSet<_>>();
    missing("the ends differ", ended(model) != ended(store))
}

/// A sequence as its commands and the model's answers.
fn told(batches: &[Batch]) -> String {
    let mut script = Script::new();
    let mut words = String::new();
    for (number, (pause, ops)) in batches.iter().enumerate() {
        script.now = script.now + Duration::from_millis(u64::from(*pause));
        let _ = writeln!(words, "batch {number}, {pause} ms later");
        for op in ops {
            let (command, outcome) = script.step(*op, &mut Wakes::default());
            let _ = writeln!(words, "  {command:?}\n    -> {outcome:?}");
        }
    }
    words
}

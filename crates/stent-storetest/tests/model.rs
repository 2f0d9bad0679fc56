//! The model under its own suite, and the random sequences that other stores are held against.

use std::sync::Arc;
use std::time::Duration;

use stent_core::{Store, Timestamp};
use stent_storetest::model::{ManualClock, ModelStore};
use stent_storetest::sequences;
use stent_storetest::suite::Fixture;

/// Two handles on one model.
struct Model {
    clock: ManualClock,
    store: Arc<ModelStore>,
    second: Arc<ModelStore>,
}

impl Fixture for Model {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    fn second(&self) -> Arc<dyn Store> {
        Arc::clone(&self.second) as Arc<dyn Store>
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn set_clock(&self, now: Timestamp) {
        self.clock.set(now);
    }
}

fn model() -> Model {
    let clock = ManualClock::new();
    let store = Arc::new(ModelStore::manual(&clock));
    let second = Arc::new(store.handle());
    Model { clock, store, second }
}

stent_storetest::store_suite!(model);

#[test]
fn the_model_answers_the_same_in_all_batchings() {
    sequences::model_agrees_with_itself(20_000, 1);
}

#[test]
fn the_model_agrees_with_itself_as_any_store_does() {
    sequences::agree(model, 200, 4);
}

#[test]
fn a_refusal_changes_nothing_and_the_rows_never_contradict_each_other() {
    sequences::the_models_rules_hold(2_000, 2);
}

/// Sequences that are nearly always refused would prove nothing.
#[test]
fn random_sequences_get_every_answer_there_is() {
    let answers = sequences::answers(1_000, 3);
    let count = |command: &str, answer: &str| answers.get(&(command.into(), answer.into())).copied().unwrap_or(0);
    let wanted = [
        ("Append", "Recorded"),
        ("Append", "Exists"),
        ("Append", "LeaseLost"),
        ("Append", "Terminal"),
        ("Await", "Delivered"),
        ("Await", "Waiting"),
        ("Await", "Exists"),
        ("Await", "Unknown"),
        ("Beat", "Nothing"),
        ("Beat", "SessionGone"),
        ("Cancel", "Nothing"),
        ("Cancel", "Terminal"),
        ("Cancel", "Unknown"),
        ("Claim", "Claimed"),
        ("Claim", "SessionGone"),
        ("ClearCache", "Swept"),
        ("DropQueue", "Busy"),
        ("DropQueue", "Changed"),
        ("Finish", "Finished"),
        ("Finish", "LeaseLost"),
        ("Finish", "Terminal"),
        ("Heed", "Nothing"),
        ("OpenSession", "Exists"),
        ("ChangeBaggage", "Counter"),
        ("ChangeBaggage", "Nothing"),
        ("ChangeBaggage", "Unknown"),
        ("CleanExecutions", "Deleted"),
        ("CleanLetters", "Swept"),
        ("PutAway", "Nothing"),
        ("PutAway", "Terminal"),
        ("PutAway", "Unknown"),
        ("Release", "Nothing"),
        ("Reserve", "Ancestor"),
        ("Reserve", "Busy"),
        ("Reserve", "Held"),
        ("Reserve", "Hit"),
        ("Reserve", "LeaseLost"),
        ("ReplayLetter", "ReplayRoot"),
        ("ReplayLetter", "Replayed"),
        ("ReplayLetter", "Revived"),
        ("Set", "Changed"),
        ("Set", "Unchanged"),
        ("Delete", "Changed"),
        ("Delete", "Unchanged"),
        ("Pause", "Changed"),
        ("Pause", "Unchanged"),
        ("Pause", "Unknown"),
        ("Resume", "Changed"),
        ("Resume", "Unchanged"),
        ("Tick", "Changed"),
        ("Tick", "Unchanged"),
        ("Tick", "Exists"),
        ("Signal", "Nothing"),
        ("Signal", "Exists"),
        ("Signal", "Terminal"),
        ("Start", "Exists"),
        ("Start", "Started"),
        ("StartChild", "ChildStarted"),
        ("StartChild", "Terminal"),
        ("Suspend", "Suspended"),
        ("Suspend", "Woken"),
        ("TakeOver", "Swept"),
    ];
    for (command, answer) in wanted {
        assert!(count(command, answer) > 1, "{command} got {answer} {} times", count(command, answer));
    }
    let refused = |command: &str| count(command, "LeaseLost");
    assert!(count("Finish", "Finished") > refused("Finish") && count("Append", "Recorded") > refused("Append"));
}

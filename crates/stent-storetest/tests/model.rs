//! The model under its own suite.

use stent_storetest::sequences;

#[test]
fn the_model_answers_the_same_in_all_batchings() {
    sequences::model_agrees_with_itself(20_000, 1);
}

#[test]
fn a_refusal_changes_nothing_and_the_rows_never_contradict_each_other() {
    sequences::the_models_rules_hold(2_000, 2);
}

#[test]
fn cov() {
    for (k, v) in sequences::answers(2_000, 3) { println!("{k:?} {v}"); }
}

//! Runs every example as its reader would, in a folder of its own, and asserts what it prints.

use std::path::Path;
use std::process::Command;

/// What the program prints, line by line.
fn printed_by(program: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    printed_in(program, folder.path())
}

fn printed_in(program: &str, folder: &Path) -> Vec<String> {
    let run = Command::new(program).current_dir(folder).env_remove("DURABLE_DATABASE_URL").output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap().lines().map(String::from).collect()
}

#[test]
fn hello_greets_and_has_fifteen_lines() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(printed_in(env!("CARGO_BIN_EXE_hello"), folder.path()), ["Hello, world!"]);
    assert_eq!(printed_in(env!("CARGO_BIN_EXE_hello"), folder.path()), ["Hello, world!"]);
    let code = include_str!("../../hello.rs").lines().filter(|line| !line.trim_start().starts_with("//"));
    assert!(code.filter(|line| !line.trim().is_empty()).count() <= 15);
}

#[test]
fn order_fulfilment_charges_once_although_the_carrier_needs_two_attempts() {
    let expected =
        ["reserved a lamp", "charged 4900 cents by a key that ends in \":charge\"", "receipt 1, 1Z00007, attempt 2"];
    assert_eq!(printed_by(env!("CARGO_BIN_EXE_order_fulfilment")), expected);
}

#[test]
fn fan_out_counts_in_the_order_of_the_chapters() {
    let expected = ["[100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]", "5500 words in 10 chapters"];
    assert_eq!(printed_by(env!("CARGO_BIN_EXE_fan_out")), expected);
}

#[test]
fn human_approval_pays_what_was_approved_and_hands_on_what_nobody_answered() {
    let expected = [
        "expense 1: who approves it?",
        "expense 1: paid, approved by ann",
        "expense 2: who approves it?",
        "expense 2: nobody answered, handed to the boss",
    ];
    assert_eq!(printed_by(env!("CARGO_BIN_EXE_human_approval")), expected);
}

#[test]
fn saga_takes_back_in_reverse_order() {
    let expected = [
        "booked the flight",
        "booked the hotel",
        "a trip of flight-1, hotel-1",
        "booked the flight",
        "booked the hotel",
        "cancelled hotel-1",
        "cancelled flight-1",
        "no trip: no car left",
    ];
    assert_eq!(printed_by(env!("CARGO_BIN_EXE_saga")), expected);
}

#[test]
fn long_poll_asks_until_the_service_is_done() {
    let expected = ["asked 1 times", "asked 2 times", "asked 3 times", "asked 4 times", "the text of interview.wav"];
    assert_eq!(printed_by(env!("CARGO_BIN_EXE_long_poll")), expected);
}

#[test]
fn race_takes_the_first_answer_and_cancels_the_other() {
    let expected = ["the file from next door", "the other one: cancelled"];
    assert_eq!(printed_by(env!("CARGO_BIN_EXE_race")), expected);
}

#[test]
fn outbox_starts_with_the_row_or_not_at_all() {
    let expected = ["welcome, ann!", "refused: UNIQUE constraint failed: customers.name", "mails: 1"];
    assert_eq!(printed_by(env!("CARGO_BIN_EXE_outbox")), expected);
}

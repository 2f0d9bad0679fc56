//! Runs every example as its reader would, in a folder of its own, on SQLite and on PostgreSQL, and asserts what it
//! prints.

mod custom_store;

use std::path::Path;
use std::process::Command;

use stent_servers::{Database, Server};

const ADDRESS: &str = "DURABLE_DATABASE_URL";

/// Where an example has its records: the default, a file in its folder, or a new database on a server.
enum Place {
    Folder(tempfile::TempDir),
    Server(Database),
}

impl Place {
    fn folder() -> Self {
        Self::Folder(tempfile::tempdir().unwrap())
    }

    fn server() -> Self {
        Self::Server(Server::shared().database().unwrap())
    }

    /// What the program prints, line by line.
    fn prints(&self, program: &str) -> Vec<String> {
        let mut command = Command::new(program);
        match self {
            Self::Folder(folder) => command.current_dir(folder.path()).env_remove(ADDRESS),
            Self::Server(database) => command.current_dir(Path::new("/")).env(ADDRESS, database.url()),
        };
        let run = command.output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap().lines().map(String::from).collect()
    }
}

/// Runs the program on each kind of database.
fn prints_everywhere(program: &str, expected: &[&str]) {
    for place in [Place::folder(), Place::server()] {
        assert_eq!(place.prints(program), expected);
    }
}

#[test]
fn hello_greets_and_has_fifteen_lines() {
    for place in [Place::folder(), Place::server()] {
        assert_eq!(place.prints(env!("CARGO_BIN_EXE_hello")), ["Hello, world!"]);
        assert_eq!(place.prints(env!("CARGO_BIN_EXE_hello")), ["Hello, world!"]);
    }
    let code = include_str!("../../hello.rs").lines().filter(|line| !line.trim_start().starts_with("//"));
    assert!(code.filter(|line| !line.trim().is_empty()).count() <= 15);
}

#[test]
fn order_fulfilment_charges_once_although_the_carrier_needs_two_attempts() {
    let expected =
        ["reserved a lamp", "charged 4900 cents by a key that ends in \":charge\"", "receipt 1, 1Z00007, attempt 2"];
    prints_everywhere(env!("CARGO_BIN_EXE_order_fulfilment"), &expected);
}

#[test]
fn fan_out_counts_in_the_order_of_the_chapters() {
    let expected = ["[100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]", "5500 words in 10 chapters"];
    prints_everywhere(env!("CARGO_BIN_EXE_fan_out"), &expected);
}

#[test]
fn human_approval_pays_what_was_approved_and_hands_on_what_nobody_answered() {
    let expected = [
        "expense 1: who approves it?",
        "expense 1: paid, approved by ann",
        "expense 2: who approves it?",
        "expense 2: nobody answered, handed to the boss",
    ];
    prints_everywhere(env!("CARGO_BIN_EXE_human_approval"), &expected);
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
    prints_everywhere(env!("CARGO_BIN_EXE_saga"), &expected);
}

#[test]
fn long_poll_asks_until_the_service_is_done() {
    let expected = ["asked 1 times", "asked 2 times", "asked 3 times", "asked 4 times", "the text of interview.wav"];
    prints_everywhere(env!("CARGO_BIN_EXE_long_poll"), &expected);
}

#[test]
fn race_takes_the_first_answer_and_cancels_the_other() {
    let expected = ["the file from next door", "the other one: cancelled"];
    prints_everywhere(env!("CARGO_BIN_EXE_race"), &expected);
}

#[test]
fn functions_are_called_like_any_other_and_their_errors_come_back_as_themselves() {
    let expected = [
        "order 1: charging 4900 cents, attempt 1",
        "order 1: charging 4900 cents, attempt 2",
        "order 1: one lamp, one bulb, receipt 1",
        "order 2: charging 90000 cents, attempt 1",
        "put back: one villa",
        "put back: one pool",
        "order 2: the bank declines 90000 cents",
    ];
    prints_everywhere(env!("CARGO_BIN_EXE_functions"), &expected);
}

#[test]
fn outbox_starts_with_the_row_or_not_at_all() {
    let expected = ["welcome, ann!", "refused: UNIQUE constraint failed: customers.name", "mails: 1"];
    assert_eq!(Place::folder().prints(env!("CARGO_BIN_EXE_outbox")), expected);
}

#[test]
fn outbox_postgres_starts_with_the_row_or_not_at_all() {
    let expected = [
        "welcome, ann!",
        "refused: ERROR: duplicate key value violates unique constraint \"customers_pkey\"",
        "DETAIL: Key (name)=(ann) already exists.",
        "mails: 1",
    ];
    assert_eq!(Place::server().prints(env!("CARGO_BIN_EXE_outbox_postgres")), expected);
}

#[test]
fn custom_store_names_each_intervention_before_what_came_of_it() {
    let expected = [
        "Spring is out, approved by Ada",
        "journal: asked to signal",
        "journal: answered done",
        "journal: asked to cancel",
        "journal: answered done",
    ];
    assert_eq!(Place::folder().prints(env!("CARGO_BIN_EXE_custom_store")), expected);
}

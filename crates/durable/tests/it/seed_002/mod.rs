//! Seed 002 is the README: its quick start compiles as it stands, without a warning, and runs; every other snippet
//! does once its free names are bound, and none of them may drift from the page.

mod snippets;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use durable::{Durable, TaskStatus};

/// The page, which is what a user copies from.
const README: &str = include_str!("../../../README.md");
const QUICK_START: &str = include_str!("quick_start.rs");
const ON_THE_DEFAULT_STORE: &str = include_str!("on_the_default_store.rs");

#[deny(warnings)]
mod quick_start {
    include!("quick_start.rs");

    #[test]
    fn compiles_as_it_stands() {
        let _: fn() -> anyhow::Result<()> = main;
    }
}

#[deny(warnings)]
mod on_the_default_store {
    include!("on_the_default_store.rs");

    /// The program itself, when the test below starts this binary as one.
    #[test]
    fn program() {
        if std::env::var_os("STENT_TEST_RUNS_QUICK_START").is_some() {
            main().unwrap();
        }
    }
}

fn snippets_of_the_page() -> Vec<String> {
    let parts = README.split("```rust\n").skip(1);
    parts.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_pages_first_snippet_is_the_tested_quick_start() {
    assert_eq!(snippets_of_the_page()[0], QUICK_START);
    let without_address = QUICK_START.replace("        .database_url(\"postgres://localhost/myapp\")\n", "");
    assert_eq!(without_address, ON_THE_DEFAULT_STORE);
    assert_ne!(without_address, QUICK_START);
}

#[test]
fn every_other_snippet_of_the_page_stands_word_for_word_in_tested_code() {
    let tested = lines(include_str!("snippets.rs"));
    let snippets = snippets_of_the_page();
    assert_eq!(snippets.len(), 4);
    for snippet in &snippets[1..] {
        let mut rest = &tested[..];
        // Where the page leaves the code to its reader, the test has some.
        for part in snippet.split("// Your task logic here").map(lines) {
            let at = rest.windows(part.len()).position(|window| window == part);
            let at = at.unwrap_or_else(|| panic!("no test binds the names of:\n{snippet}"));
            rest = &rest[at + part.len()..];
        }
    }
}

/// The lines that say something, without indentation and comments.
fn lines(text: &str) -> Vec<String> {
    let code = text.lines().map(|line| line.split(" //").next().unwrap_or_default());
    let code = code.filter(|line| !line.trim_start().starts_with("//"));
    let words = code.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    words.filter(|line| !line.is_empty()).collect()
}

#[tokio::test]
async fn the_quick_start_on_the_default_store_runs_until_ctrl_c_and_leaves_its_task_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "seed_002::on_the_default_store::program", "--nocapture"])
        .env("STENT_TEST_RUNS_QUICK_START", "1")
        .env_remove("DURABLE_DATABASE_URL")
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(program.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("Spawned task: ") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the program ended before it spawned its task");
    }
    let task_id = line.rsplit("Spawned task: ").next().unwrap().trim().parse().unwrap();

    let file = folder.path().join("stent.db");
    let client = Durable::builder().database_url(format!("sqlite://{}", file.display())).build().await.unwrap();
    let report = client.wait_for(task_id, Some(Duration::from_secs(30))).await.unwrap();
    assert_eq!(report.status, TaskStatus::Completed);
    assert_eq!(report.json().unwrap(), Some(serde_json::json!({ "message_id": "msg-123" })));

    let pid = program.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(program.wait().unwrap().success());
}

#[tokio::test]
async fn the_quick_start_as_it_stands_is_told_what_this_build_lacks() {
    let build = Durable::builder().database_url("postgres://localhost/myapp").queue_name("emails").build();
    let error = build.await.unwrap_err().to_string();
    assert!(error.contains("PostgreSQL") && error.contains("feature `postgres`"), "{error}");
}

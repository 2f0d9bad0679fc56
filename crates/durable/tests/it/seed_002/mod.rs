//! Seed 002 is the README: its quick start compiles as it stands, without a warning, and runs; every other snippet
//! does once its free names are bound, and none of them may drift from the page.

mod snippets;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use durable::{Durable, TaskStatus};
use stent_servers::Server;

/// The page, which is what a user copies from.
const README: &str = include_str!("../../../README.md");
const QUICK_START: &str = include_str!("quick_start.rs");
const ON_THE_DEFAULT_STORE: &str = include_str!("on_the_default_store.rs");

/// Makes a test of this binary the program itself: the name of the module that has it.
const ROLE: &str = "STENT_TEST_RUNS_QUICK_START";

#[deny(warnings)]
mod quick_start {
    include!("quick_start.rs");

    /// The program itself, when a test below starts this binary as one.
    #[test]
    fn program() {
        if std::env::var(super::ROLE).as_deref() == Ok("quick_start") {
            main().unwrap();
        }
    }
}

#[deny(warnings)]
mod on_the_default_store {
    include!("on_the_default_store.rs");

    /// The program itself, when a test below starts this binary as one.
    #[test]
    fn program() {
        if std::env::var(super::ROLE).as_deref() == Ok("on_the_default_store") {
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
    let address = format!("sqlite://{}", folder.path().join("stent.db").display());
    let here = |program: &mut Command| {
        program.current_dir(folder.path());
    };
    runs_until_ctrl_c("on_the_default_store", address, here).await;
}

/// The page's address leaves out the user and the port, as libpq's do: they come from its environment. Here they lead
/// to a server of this test's own, where everything else is the default that the page counts on.
#[tokio::test]
async fn the_quick_start_as_it_stands_runs_against_a_server_on_its_default_address() {
    let server = Server::start().unwrap();
    server.psql("CREATE ROLE newcomer LOGIN").unwrap();
    server.psql("CREATE DATABASE myapp OWNER newcomer").unwrap();
    let port = server.port().to_string();
    let address = format!("postgres://newcomer@127.0.0.1:{port}/myapp");
    let there = |program: &mut Command| {
        program.env("PGPORT", &port).env("PGUSER", "newcomer");
    };
    runs_until_ctrl_c("quick_start", address, there).await;
}

/// Starts the program of a module, sees its task done in the database at `address`, and ends it as its reader would.
async fn runs_until_ctrl_c(module: &str, address: String, set: impl FnOnce(&mut Command)) {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", &format!("seed_002::{module}::program"), "--nocapture"]);
    program.env(ROLE, module).env_remove("DURABLE_DATABASE_URL").stdout(Stdio::piped());
    set(&mut program);
    let mut program = program.spawn().unwrap();
    let mut output = BufReader::new(program.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("Spawned task: ") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the program ended before it spawned its task");
    }
    let task_id = line.rsplit("Spawned task: ").next().unwrap().trim().parse().unwrap();

    let client = Durable::builder().database_url(address).build().await.unwrap();
    let report = client.wait_for(task_id, Some(Duration::from_secs(30))).await.unwrap();
    assert_eq!(report.status, TaskStatus::Completed);
    assert_eq!(report.json().unwrap(), Some(serde_json::json!({ "message_id": "msg-123" })));

    let pid = program.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(program.wait().unwrap().success());
}

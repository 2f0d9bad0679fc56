//! Several processes on one file. A test starts this very program again with orders in its environment.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use stent_core::Store;
use stent_sqlite::{Options, SqliteStore};

use crate::stores::{block, claim, commit, complete, execution, open, place, start_one, step, worker};

/// This program, told to carry out `order` on the database at `path`.
pub(crate) fn child(order: &str, path: &Path) -> Command {
    child_of(&std::env::current_exe().unwrap(), order, path)
}

pub(crate) fn child_of(program: &Path, order: &str, path: &Path) -> Command {
    let mut child = Command::new(program);
    child.args(["--exact", "processes::a_child_process_carries_out_its_orders", "--nocapture"]);
    child.env("STENT_IT_ORDER", order).env("STENT_IT_PATH", path).stdout(Stdio::piped()).stdin(Stdio::piped());
    child
}

/// Waits until the child says a line that begins with `word`, and gives the rest of it.
pub(crate) fn hear(from: &mut impl BufRead, word: &str) -> String {
    let mut line = String::new();
    while from.read_line(&mut line).unwrap() > 0 {
        if let Some((_, rest)) = line.split_once(word) {
            return rest.trim().to_owned();
        }
        line.clear();
    }
    panic!("the child ended without saying {word}");
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

#[test]
fn a_child_process_carries_out_its_orders() {
    let Ok(order) = std::env::var("STENT_IT_ORDER") else { return };
    let path = std::path::PathBuf::from(std::env::var("STENT_IT_PATH").unwrap());
    let until_told = || drop(std::io::stdin().read_line(&mut String::new()));
    match order.as_str() {
        "open" => match SqliteStore::open(&path, Options::default()) {
            Ok(_) => say("opened"),
            Err(error) => say(&format!("refused {:?}: {error}", error.kind())),
        },
        "be present" => {
            let store = open(&path);
            let id = worker(&store);
            let tasks = claim(&store, id, 10);
            say(&format!("present {id} {}", tasks.len()));
            until_told();
        }
        "commit back to back" => {
            let store = open(&path);
            let id = worker(&store);
            commit(&store, vec![start_one(execution())]);
            let lease = claim(&store, id, 1)[0].lease;
            say("committing");
            for round in 0.. {
                commit(&store, (1..=50).map(|n| step(lease, round * 50 + n)).collect());
                if path.with_extension("stop").exists() {
                    break;
                }
            }
        }
        "start 300" => {
            let store = open(&path);
            for _ in 0..300 {
                assert!(commit(&store, vec![start_one(execution())])[0].is_ok());
            }
        }
        other => panic!("no such order: {other}"),
    }
}

#[test]
fn eight_processes_that_come_at_once_make_the_tables_once() {
    let (_directory, path) = place();
    let children: Vec<_> = (0..8).map(|_| child("open", &path).spawn().unwrap()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("opened"), "{said} {}", String::from_utf8_lossy(&output.stderr));
    }
    let theirs = rusqlite::Connection::open(&path).unwrap();
    let rows: i64 = theirs.query_row("SELECT count(*) FROM stent_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn eight_processes_on_one_file_lose_nothing() {
    let (_directory, path) = place();
    let store = open(&path);
    let mut children: Vec<_> = (0..8).map(|_| child("start 300", &path).spawn().unwrap()).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(block(store.count_executions(None)).unwrap(), 2_400);
    let id = worker(&store);
    let mut done = 0;
    loop {
        let tasks = claim(&store, id, 1_000);
        if tasks.is_empty() {
            break;
        }
        done += tasks.len();
        assert!(commit(&store, tasks.iter().map(|task| complete(task.lease)).collect()).iter().all(Result::is_ok));
    }
    assert_eq!(done, 2_400);
    let theirs = rusqlite::Connection::open(&path).unwrap();
    let verdict: String = theirs.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

/// A child that is present, and what it said of itself.
pub(crate) fn present_child(path: &Path) -> (std::process::Child, BufReader<std::process::ChildStdout>, String) {
    let mut child = child("be present", path).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let said = hear(&mut output, "present ");
    (child, output, said)
}

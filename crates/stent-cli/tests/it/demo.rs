//! The demo on a small order book: a real worker process is really killed, and nothing is lost.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

const HEADER: &str = "order_id,customer,sku,quantity,cents";

pub(crate) fn stent(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stent")).args(arguments).output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

fn book(orders: usize) -> String {
    let lines: String = (1..=orders).map(|number| format!("SO-{number},\"Finch, Zoë\",MUG,1,{number}50\n")).collect();
    format!("{HEADER}\n{lines}")
}

/// The ledger's lines, each cut into its values: order, step, key, pid.
fn ledger(dir: &Path) -> Vec<[String; 4]> {
    let text = std::fs::read_to_string(dir.join("ledger.jsonl")).unwrap();
    let entry = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        ["order", "step", "key", "pid"].map(|name| entry[name].to_string().trim_matches('"').to_owned())
    };
    text.lines().filter(|line| !line.is_empty()).map(entry).collect()
}

#[test]
fn every_order_is_charged_once_though_the_worker_is_killed_half_way() {
    let dir = tempfile::tempdir().unwrap();
    let orders = dir.path().join("orders.csv");
    std::fs::write(&orders, book(24)).unwrap();
    let place = dir.path().join("a run");
    let output = stent(&["demo", "--orders", orders.to_str().unwrap(), "--dir", place.to_str().unwrap()]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for words in ["24 orders", "signal: 9 (SIGKILL)", "verdict: good", "   24  charged exactly once", "    0  lost"] {
        assert!(said.contains(words), "`{words}` is missing:\n{said}");
    }
    let ledger = ledger(&place);
    let pids: BTreeSet<&str> = ledger.iter().map(|[.., pid]| pid.as_str()).collect();
    assert_eq!(pids.len(), 2, "one process worked before the kill, another after it: {pids:?}");
    let charges: BTreeSet<(&str, &str)> =
        ledger.iter().filter(|[_, step, ..]| step == "charge").map(|[order, _, key, _]| (&**order, &**key)).collect();
    assert_eq!(charges.len(), 24, "one key for each order");
    assert!(said.contains("\"select * from stent_overview limit 5\""), "{said}");
    assert!(place.join("stent.db").is_file());
}

#[test]
fn one_order_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let orders = dir.path().join("orders.csv");
    std::fs::write(&orders, book(1)).unwrap();
    let output = stent(&["demo", "--orders", orders.to_str().unwrap(), "--dir", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("    1  charged exactly once"), "{}", said(&output));
}

#[test]
fn a_charge_under_a_second_key_is_found_and_fails_the_demo() {
    let dir = tempfile::tempdir().unwrap();
    let orders = dir.path().join("orders.csv");
    std::fs::write(&orders, book(12)).unwrap();
    let place = dir.path().join("run");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_stent"))
        .args(["demo", "--orders", orders.to_str().unwrap(), "--dir", place.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(demo.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("begins") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the demo ended early");
    }
    let mut ledger = std::fs::OpenOptions::new().append(true).open(place.join("ledger.jsonl")).unwrap();
    writeln!(ledger, r#"{{"order":"SO-3","step":"charge","key":"of another execution:charge","pid":1}}"#).unwrap();
    let mut said = String::new();
    output.read_to_string(&mut said).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("verdict: BAD") && said.contains("    1  charged twice: SO-3\n"), "{said}");
}

#[test]
fn a_folder_with_an_earlier_run_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("stent.db"), "mine").unwrap();
    let output = stent(&["demo", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("holds an earlier run"), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(dir.path().join("stent.db")).unwrap(), "mine");
}

#[test]
fn help_is_no_error_and_an_unknown_command_is() {
    let help = stent(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(said(&help).contains("demo") && !said(&help).contains("demo-worker"), "{}", said(&help));
    assert_eq!(stent(&["no-such-command"]).status.code(), Some(2));
    assert_eq!(stent(&[]).status.code(), Some(2));
}

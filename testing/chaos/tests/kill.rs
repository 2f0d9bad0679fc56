//! The harness itself, on a short run: real processes are killed, and a sound engine is found clean.

use std::process::Command;

#[test]
fn a_few_kills_around_ticks_leave_each_tick_one_execution() {
    let run = ["kill", "--workload", "ticks", "--kills", "5", "--seed", "4", "--workers", "2"];
    let run = Command::new(env!("CARGO_BIN_EXE_stent-chaos")).args(run).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert!(said.contains("kills             5  ") && said.ends_with("clean\n"), "{said}");
}

#[test]
fn a_few_kills_leave_nothing_lost_and_nothing_computed_again() {
    let run = Command::new(env!("CARGO_BIN_EXE_stent-chaos")).args(["kill", "--kills", "3", "--seed", "7"]).output();
    let run = run.unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert!(said.contains("kills             3  ") && said.ends_with("clean\n"), "{said}");
    assert!(said.contains("integrity check ok"), "{said}");
}

//! `docs/reference/cli.md` says what `--help` says; this test says when it does not any more.
//! `STENT_WRITE_DOCS=1 cargo test -p stent-cli --test it help` writes its second half anew.

use std::fmt::Write as _;
use std::path::Path;

use crate::demo::{said, stent};

/// Where the made half begins.
const MADE: &str = "<!-- Made from `--help` by the tests of stent-cli. -->\n";

/// Every command with help of its own.
const COMMANDS: &[&[&str]] = &[
    &[],
    &["list"],
    &["show"],
    &["tasks"],
    &["stats"],
    &["dlq"],
    &["dlq", "list"],
    &["dlq", "show"],
    &["dlq", "replay"],
    &["dlq", "discard"],
    &["dlq", "move"],
    &["dlq", "count"],
    &["dlq", "cleanup"],
    &["schedules"],
    &["schedules", "list"],
    &["schedules", "pause"],
    &["schedules", "resume"],
    &["schedules", "run"],
    &["schedules", "delete"],
    &["cleanup"],
    &["signal"],
    &["cancel"],
    &["demo"],
];

#[test]
fn the_reference_is_what_help_says() {
    let mut made = String::from(MADE);
    for command in COMMANDS {
        let help = said(&stent(&[*command, &["--help"]].concat()));
        let name = [&["stent"], *command].concat().join(" ");
        let lines: String = help.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        write!(made, "\n## `{name}`\n\n```text\n{}```\n", lines).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (written, documented) = page.split_at(page.find(MADE).unwrap());
    if std::env::var_os("STENT_WRITE_DOCS").is_some() {
        std::fs::write(&file, format!("{written}{made}")).unwrap();
        return;
    }
    assert!(documented == made, "docs/reference/cli.md is out of date: run this test with STENT_WRITE_DOCS=1");
}

#[test]
fn every_subcommand_has_its_page() {
    for below in [&[][..], &["dlq"], &["schedules"]] {
        let help = said(&stent(&[below, &["--help"]].concat()));
        let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
            assert!(COMMANDS.contains(&&[below, &[name]].concat()[..]), "`{name}` has no page");
        }
    }
}

//! GUARANTEES.md and what it points at: each promise has a row, each row names tests that exist, each test has a break
//! that shows it can fail, each break fits the present sources. Whether the tests pass is for the tests to say, and
//! whether the breaks fail them for `cargo xtask breaks`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::Finding;
use super::source::{Kind, Source};
use crate::breaks::is_patch;
use crate::breaks::patch::{Break, FOLDER};
use crate::workspace::{Workspace, output};

const PAGE: &str = "GUARANTEES.md";
const RULE: &str = "promise";

/// P1 to P14.
const PROMISES: RangeInclusive<u32> = 1..=14;

/// A promise's row in the page's table.
struct Row {
    line: usize,
    promise: u32,
    /// Paths of tests, as written between backticks.
    tests: Vec<String>,
}

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(page) = sources.iter().find(|source| source.path == PAGE) else { return Vec::new() };
    let rows = rows(page);
    let mut findings = Vec::new();
    for promise in PROMISES {
        if !rows.iter().any(|row| row.promise == promise) {
            findings.push(page.finding(1, RULE, format!("P{promise} has no row in a table: say which test holds it")));
        }
    }
    for row in &rows {
        if row.tests.is_empty() {
            let advice = format!("P{} names no test: put its path in backticks into the column of tests", row.promise);
            findings.push(page.finding(row.line, RULE, advice));
        }
        for test in row.tests.iter().filter(|test| !exists(sources, test)) {
            let advice = format!("no function is called `{test}`: name the test that holds P{}", row.promise);
            findings.push(page.finding(row.line, RULE, advice));
        }
    }
    findings.extend(breaks_fit(sources, page, &rows));
    findings
}

/// Breaks and rows belong together: a break runs a test that its promise's row names, and each row has a break.
fn breaks_fit(sources: &[Source], page: &Source, rows: &[Row]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut broken = BTreeSet::new();
    for source in sources.iter().filter(|source| is_patch(&source.path)) {
        for part in Break::parse(&source.path, &source.text).unwrap_or_default() {
            broken.insert(part.promise);
            let named = rows.iter().filter(|row| row.promise == part.promise).flat_map(|row| &row.tests);
            if !named.map(|test| last_part(test)).any(|name| name == part.test_name()) {
                let advice = format!("{PAGE} does not name `{}` for P{}", part.test_name(), part.promise);
                findings.push(source.finding(1, RULE, advice));
            }
        }
    }
    for row in rows.iter().filter(|row| !broken.contains(&row.promise)) {
        let advice = format!("P{0} has no break: write {FOLDER}P{0:02}-what-it-takes-out.patch", row.promise);
        findings.push(page.finding(row.line, RULE, advice));
    }
    findings
}

/// Whether each break can be read and applied to the project as it is.
pub(super) fn check_patches(workspace: &Workspace, sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| is_patch(&source.path)) {
        if let Err(error) = Break::parse(&source.path, &source.text) {
            findings.push(source.finding(1, "break", format!("{error:#}")));
        }
        if let Err(error) = output(workspace.git().args(["apply", "--check", &source.path])) {
            let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
            findings.push(source.finding(1, "break", format!("it does not apply, write it anew: {reason}")));
        }
    }
    findings
}

/// The rows whose first cell is a promise. Tests stand in the column whose head speaks of tests, else in the last.
fn rows(page: &Source) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut column = None;
    for (line, text) in page.lines() {
        let Some(cells) = cells(text) else {
            column = None;
            continue;
        };
        if let Some(promise) = promise_of(cells[0]) {
            let column = column.unwrap_or(cells.len() - 1);
            let tests = cells.get(column).map_or_else(Vec::new, |cell| tests(cell));
            rows.push(Row { line, promise, tests });
        } else if column.is_none() {
            column = cells.iter().position(|cell| cell.to_lowercase().contains("test"));
        }
    }
    rows
}

/// The cells of a table's line; a bar behind a backslash is text.
pub(super) fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?;
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    let mut cells = Vec::new();
    let mut start = 0;
    for (at, _) in inner.match_indices('|').filter(|(at, _)| !inner[..*at].ends_with('\\')) {
        cells.push(inner[start..at].trim());
        start = at + 1;
    }
    cells.push(inner[start..].trim());
    Some(cells)
}

fn promise_of(cell: &str) -> Option<u32> {
    let text = cell.trim_start_matches(|c: char| !c.is_alphanumeric()).strip_prefix('P')?;
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().ok()
}

/// What stands between backticks and has the form of a test's path; commands and file names have not.
pub(super) fn tests(cell: &str) -> Vec<String> {
    let is_path = |text: &&str| {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | ':' | '-');
        text.contains('_') && text.chars().all(is_part)
    };
    cell.split('`').skip(1).step_by(2).filter(is_path).map(str::to_owned).collect()
}

fn last_part(test: &str) -> &str {
    test.rsplit("::").next().unwrap_or(test)
}

/// Whether the tree has a function of that name, in the crate that the path begins with, if it is one of ours.
fn exists(sources: &[Source], test: &str) -> bool {
    let first = test.split("::").next().unwrap_or(test).replace('_', "-");
    let folder = format!("crates/{first}/");
    let is_crate = test.contains("::") && sources.iter().any(|source| source.path.starts_with(&folder));
    let defines = |source: &Source| match source.kind {
        Kind::Rust => defines(&source.text, "fn ", last_part(test)),
        Kind::Python => defines(&source.text, "def ", last_part(test)),
        _ => false,
    };
    sources.iter().filter(|source| !is_crate || source.path.starts_with(&folder)).any(defines)
}

fn defines(text: &str, keyword: &str, name: &str) -> bool {
    text.match_indices(&format!("{keyword}{name}")).any(|(at, found)| {
        let after = text[at + found.len()..].chars().next();
        !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "| promise | what it says | test | limits |\n|---|---|---|---|\n";

    fn page(row_of_3: &str) -> String {
        let mut text = format!("# Guarantees\n\n{HEAD}");
        for promise in PROMISES.filter(|number| *number != 3) {
            text += &format!("| **P{promise}** | `what` | `stent-core::it::it_holds` | `none` |\n");
        }
        text + row_of_3
    }

    fn breaks_of_all() -> Vec<Source> {
        let patch = |number: u32| {
            let text = "test: -p stent-core it_holds\n\ndiff --git a/a b/a\n";
            Source::new(format!("{FOLDER}P{number:02}-out.patch"), text)
        };
        PROMISES.map(patch).collect()
    }

    fn advice(page: &str, breaks: Vec<Source>) -> Vec<String> {
        let mut sources = breaks;
        sources.push(Source::new(PAGE, page));
        sources.push(Source::new("crates/stent-core/tests/it.rs", "#[test]\nfn it_holds() {}\n"));
        sources.push(Source::new("crates/durable/tests/it.rs", "#[test]\nfn it_holds_too() {}\n"));
        check(&sources).into_iter().map(|finding| finding.advice).collect()
    }

    #[test]
    fn each_promise_has_a_row_a_test_that_exists_and_a_break() {
        let found = advice(&page("| P3 | x | `it_holds` | |\n"), breaks_of_all());
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn a_missing_row_and_a_row_without_a_test_are_found() {
        let found = advice(&page(""), breaks_of_all());
        assert_eq!(found[0], "P3 has no row in a table: say which test holds it");
        let found = advice(&page("| P3 | `x_y` | none yet | |\n"), breaks_of_all());
        assert!(found[0].starts_with("P3 names no test"), "{found:?}");
    }

    #[test]
    fn a_test_that_does_not_exist_is_found() {
        let found = advice(&page("| P3 | x | `it_holds`, `it_holds_no_more` | |\n"), breaks_of_all());
        assert_eq!(found, ["no function is called `it_holds_no_more`: name the test that holds P3"]);
        let found = advice(&page("| P3 | x | `it_holds`, `stent_core::it_holds_too` | |\n"), breaks_of_all());
        assert_eq!(found, ["no function is called `stent_core::it_holds_too`: name the test that holds P3"]);
    }

    #[test]
    fn a_promise_without_a_break_and_a_break_with_another_test_are_found() {
        let mut breaks = breaks_of_all();
        breaks.remove(2);
        let row = "| P3 | x | `it_holds` | |\n";
        assert_eq!(advice(&page(row), breaks), [format!("P3 has no break: write {FOLDER}P03-what-it-takes-out.patch")]);
        let found = advice(&page("| P3 | x | `it_holds_too` | |\n"), breaks_of_all());
        assert_eq!(found, ["GUARANTEES.md does not name `it_holds` for P3"]);
    }

    #[test]
    fn a_promise_may_be_a_link() {
        assert_eq!(advice(&page("| [P3](#p3) | x | `it_holds` | |\n"), breaks_of_all()), [""; 0]);
    }

    #[test]
    fn a_project_without_the_page_is_let_be() {
        assert_eq!(check(&[Source::new("README.md", "# Words")]), []);
    }

    #[test]
    fn a_break_that_does_not_fit_the_sources_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(folder.path());
        output(workspace.git().args(["init", "--quiet"])).unwrap();
        std::fs::create_dir_all(folder.path().join(FOLDER)).unwrap();
        std::fs::write(folder.path().join("a"), "one\n").unwrap();
        let patch = |from: &str| {
            let text = format!("test: a_b\ndiff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-{from}\n+two\n");
            let source = Source::new(format!("{FOLDER}P01-x.patch"), text);
            std::fs::write(folder.path().join(&source.path), &source.text).unwrap();
            check_patches(&workspace, &[source]).len()
        };
        assert_eq!(patch("one"), 0);
        assert_eq!(patch("three"), 1);
    }
}

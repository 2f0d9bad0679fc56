//! docs/seeds.md and what it points at: each heading, rule and method of the seeds has a row, in the order in which the
//! document has them, and each row names tests that exist or says why there is none. Does not run the tests: that all
//! of them are run is asked of the test binaries themselves, once they are built.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::ensure;

use super::Finding;
use super::promises::{cells, exists, last_part, tests};
use super::source::Source;
use crate::workspace::{Workspace, output};

const PAGE: &str = "docs/seeds.md";
const FOLDER: &str = "testing/seeds/";
const RULE: &str = "seed";

/// Seeds about functions and stores. 002 is a program, which the tests run as it is written.
const SEEDS: &[&str] = &["000", "001", "003", "004"];

/// Lists below these words explain or name files of another code base. They ask for nothing of their own.
const EXPLAINING: &[&str] = &[
    "Files",
    "Problem",
    "Use cases",
    "Trade-offs",
    "When to change version",
    "Use SQLite when",
    "Use PostgreSQL when",
];

/// Headings whose lists are examples of when to use something.
const EXAMPLES: &[&str] = &["Use Cases"];

/// What a row says instead of a test, before its reason.
const NO_TEST: &str = "no test: ";

/// A row of a table below a heading of the second level.
struct Row {
    line: usize,
    /// The number of the section's seed; empty where the section is about something else.
    seed: String,
    is_python: bool,
    asked: String,
    held_by: String,
}

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(page) = sources.iter().find(|source| source.path == PAGE) else { return Vec::new() };
    let rows = rows(page);
    let mut findings: Vec<Finding> = rows.iter().filter_map(|row| fault_of_row(sources, page, row)).collect();
    for seed in SEEDS {
        let Some(text) = sources.iter().find(|source| source.path.starts_with(&format!("{FOLDER}{seed}_"))) else {
            findings.push(page.finding(1, RULE, format!("the text of seed {seed} is not in {FOLDER}")));
            continue;
        };
        let rows: Vec<&Row> = rows.iter().filter(|row| row.seed == *seed).collect();
        findings.extend(missing(page, seed, &text.text, &rows));
    }
    findings
}

/// Whether each test that the page names is one that the built test binaries run. Names of Python are left to pytest.
pub fn must_run(workspace: &Workspace) -> anyhow::Result<()> {
    let sources = super::source::read_all(workspace)?;
    let Some(page) = sources.iter().find(|source| source.path == PAGE) else { return Ok(()) };
    let listed = listed(&mut workspace.cargo(), &[])?;
    let ignored = listed_alone(&mut workspace.cargo())?;
    let mut absent = BTreeSet::new();
    for row in rows(page).iter().filter(|row| !row.is_python) {
        for test in tests(&row.held_by) {
            let name = last_part(&test);
            if !listed.contains(name) || ignored.contains(name) {
                absent.insert(format!("{PAGE}:{}: `{test}` is not run", row.line));
            }
        }
    }
    ensure!(absent.is_empty(), "{}", absent.into_iter().collect::<Vec<_>>().join("\n"));
    println!("seeds: each test that {PAGE} names is among the {} that are run", listed.len());
    Ok(())
}

/// The last parts of the names of tests that are never run.
fn listed_alone(cargo: &mut Command) -> anyhow::Result<BTreeSet<String>> {
    listed(cargo, &["--ignored"])
}

/// The last parts of the names of all tests, as the test binaries list them.
fn listed(cargo: &mut Command, more: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let all = ["test", "--quiet", "--workspace", "--lib", "--bins", "--tests", "--", "--list"];
    Ok(names_listed(&output(cargo.args(all).args(more))?))
}

fn names_listed(text: &str) -> BTreeSet<String> {
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    names.map(|path| last_part(path).to_owned()).collect()
}

fn fault_of_row(sources: &[Source], page: &Source, row: &Row) -> Option<Finding> {
    if let Some(reason) = row.held_by.strip_prefix(NO_TEST) {
        let is_reason = reason.split_whitespace().count() >= 4;
        return (!is_reason).then(|| page.finding(row.line, RULE, "say in a few words why no test holds it"));
    }
    let named = tests(&row.held_by);
    if named.is_empty() {
        let advice = format!("name the test that holds `{}`, in backticks, or begin with `{NO_TEST}`", row.asked);
        return Some(page.finding(row.line, RULE, advice));
    }
    let unknown = named.iter().find(|test| !exists(sources, test))?;
    Some(page.finding(row.line, RULE, format!("no function is called `{unknown}`")))
}

/// What the seed asks for and no row has. Rows stand in the seed's order, so that of two headings with the same words
/// each needs its own; more rows may stand between them.
fn missing(page: &Source, seed: &str, text: &str, rows: &[&Row]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut next = 0;
    for asked in asked_for(text) {
        match rows[next..].iter().position(|row| row.asked == asked) {
            Some(at) => next += at + 1,
            None => {
                let line = rows.get(next).map_or(1, |row| row.line);
                findings.push(page.finding(line, RULE, format!("seed {seed} has no row, in its order, for: {asked}")));
            }
        }
    }
    for method in methods(text) {
        let name = format!("`{method}`");
        let has_row = rows.iter().any(|row| row.asked.contains(&name) || row.asked.contains(&format!("`{method}(")));
        if !has_row {
            findings.push(page.finding(1, RULE, format!("seed {seed} has no row for the method {name}")));
        }
    }
    findings
}

/// Headings from the second level on and the entries of lists, outside of code, in order.
fn asked_for(text: &str) -> Vec<String> {
    let (mut in_code, mut label, mut heading) = (false, "", "");
    let mut asked = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            in_code = !in_code;
        } else if in_code {
        } else if let Some(words) = line.strip_prefix("##") {
            (heading, label) = (words.trim_start_matches('#').trim(), "");
            asked.push(heading.to_owned());
        } else if let Some(words) = label_of(trimmed) {
            label = words;
        } else if let Some(entry) = entry_of(trimmed)
            && !EXPLAINING.contains(&label)
            && !EXAMPLES.contains(&heading)
        {
            asked.push(entry.trim_end_matches(':').to_owned());
        }
    }
    asked
}

/// The words of a line that is nothing but bold words: they say what the list below is.
fn label_of(line: &str) -> Option<&str> {
    let words = line.strip_prefix("**")?.trim_end_matches(':').strip_suffix("**")?.trim_end_matches(':');
    Some(words.split(" (").next().unwrap_or(words))
}

/// What a list has behind its dash or number.
fn entry_of(line: &str) -> Option<&str> {
    if let Some(entry) = line.strip_prefix("- ") {
        return Some(entry.trim());
    }
    let (number, entry) = line.split_once(". ")?;
    (!number.is_empty() && number.chars().all(|c| c.is_ascii_digit())).then(|| entry.trim())
}

/// The methods of the class that ends with `(Protocol)`.
fn methods(text: &str) -> Vec<&str> {
    let class = text.lines().skip_while(|line| !line.ends_with("(Protocol):"));
    let class = class.take_while(|line| !line.starts_with("```"));
    class.filter_map(|line| line.trim().strip_prefix("async def ")?.split('(').next()).collect()
}

fn rows(page: &Source) -> Vec<Row> {
    let (mut seed, mut is_python, mut is_head) = (String::new(), false, true);
    let mut rows = Vec::new();
    for (line, text) in page.lines() {
        if let Some(heading) = text.strip_prefix("## ") {
            let number = heading.strip_prefix("Seed ").unwrap_or_default();
            seed = number.chars().take_while(char::is_ascii_digit).collect();
            is_python = heading.starts_with("Python");
        }
        let Some(cells) = cells(text) else {
            is_head = true;
            continue;
        };
        let is_rule = cells[0].chars().all(|c| matches!(c, '-' | ':'));
        if is_head || (is_rule && !cells[0].is_empty()) {
            is_head = false;
            continue;
        }
        let held_by = cells.last().copied().unwrap_or_default().to_owned();
        rows.push(Row { line, seed: seed.clone(), is_python, asked: cells[0].replace("\\|", "|"), held_by });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "# Title\n\n## Overview\n\n**Files**\n- `a.py`\n\n**Tests**\n- Add a test.\n\n```python\n## no\n\
                        class Backend(Protocol):\n    async def close(self) -> None: ...\n```\n\n## Rules\n\n\
                        1. **Be good**:\n   text\n\n## Overview\n";

    fn advice(rows: &str) -> Vec<String> {
        let mut sources = vec![
            Source::new(PAGE, format!("# Page\n\n## Seed 000: x\n\n| asked | test |\n|---|---|\n{rows}")),
            Source::new("crates/durable/tests/it.rs", "#[test]\nfn it_holds() {}\n"),
            Source::new("python/tests/test_it.py", "def test_it_holds():\n"),
        ];
        sources.extend(
            SEEDS
                .iter()
                .map(|seed| Source::new(format!("{FOLDER}{seed}_x.txt"), if *seed == "000" { SEED } else { "" })),
        );
        check(&sources).into_iter().map(|finding| finding.advice).collect()
    }

    const GOOD: &str = "| Overview | `it_holds` |\n| Add a test. | `it_holds` |\n| `close` | `it_holds` |\n\
                        | Rules | no test: it is words about words |\n| **Be good** | `it_holds` |\n";

    #[test]
    fn each_heading_entry_and_method_has_a_row_in_the_seeds_order() {
        assert_eq!(advice(&format!("{GOOD}| Overview | `it_holds` |\n")), [""; 0]);
        assert_eq!(advice(GOOD), ["seed 000 has no row, in its order, for: Overview"]);
        let found = advice(&format!("{}| Overview | `it_holds` |\n", GOOD.replace("| `close` |", "| close |")));
        assert_eq!(found, ["seed 000 has no row for the method `close`"]);
    }

    #[test]
    fn a_row_names_a_test_that_exists_or_says_why_not() {
        let with = |row: &str| advice(&format!("{GOOD}| Overview | `it_holds` |\n{row}\n"));
        assert_eq!(with("| more | `it_holds_no_more` |"), ["no function is called `it_holds_no_more`"]);
        assert!(with("| more | later |")[0].starts_with("name the test that holds `more`"));
        assert_eq!(with("| more | no test: later |"), ["say in a few words why no test holds it"]);
    }

    #[test]
    fn a_section_for_python_names_tests_of_python() {
        let section = "\n## Python: x\n\n| asked | test |\n|---|---|\n| any | `test_it_holds` |\n";
        assert_eq!(advice(&format!("{GOOD}| Overview | `it_holds` |\n{section}")), [""; 0]);
    }

    #[test]
    fn tests_are_read_off_what_the_binaries_list() {
        let listed = names_listed("suite::a_b: test\nc_d: test\ne: benchmark\n\n2 tests, 1 benchmark\n");
        assert_eq!(listed.into_iter().collect::<Vec<_>>(), ["a_b", "c_d"]);
    }
}

//! docs/seeds.md against the seeds themselves: each heading and each acceptance bullet of the seeds about functions has
//! a row in its chapter, and each test that a row names is there. Whether the tests pass is for the tests
//! to say; sections about Python speak of Python's own tests.

use super::Finding;
use super::promises::{cells, tests};
use super::source::{Kind, Source};

const PAGE: &str = "docs/seeds.md";
const FOLDER: &str = "testing/seeds/";
const RULE: &str = "seed";

/// The seeds that the page maps, by the number that their files' names begin with.
const MAPPED: &[&str] = &["000", "001", "003", "004"];

/// A row of a table: where it is, which chapter it is in, what it is about and the tests that it names.
struct Row<'a> {
    line: usize,
    chapter: &'a str,
    subject: String,
    tests: Vec<String>,
}

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(page) = sources.iter().find(|source| source.path == PAGE) else { return Vec::new() };
    let rows = rows(page);
    let mut findings = Vec::new();
    for number in MAPPED {
        let seed = sources.iter().find(|source| source.path.starts_with(&format!("{FOLDER}{number}")));
        let Some(seed) = seed else { continue };
        let chapter = format!("Seed {number}");
        let subjects: Vec<&str> =
            rows.iter().filter(|row| row.chapter.starts_with(&chapter)).map(|row| row.subject.as_str()).collect();
        for (line, wanted) in wanted(seed) {
            if !subjects.iter().any(|subject| subject.contains(&plain(wanted))) {
                let advice = format!("\"{wanted}\" has no row under \"## {chapter}\" in {PAGE}");
                findings.push(seed.finding(line, RULE, advice));
            }
        }
    }
    for row in &rows {
        for test in row.tests.iter().filter(|test| !is_test(sources, test)) {
            let advice = format!("no test is called `{test}`: name one that there is");
            findings.push(page.finding(row.line, RULE, advice));
        }
    }
    findings
}

/// The rows of all tables but Python's.
fn rows(page: &Source) -> Vec<Row<'_>> {
    let mut chapter = "";
    let mut rows = Vec::new();
    for (line, text) in page.lines() {
        if let Some(title) = text.strip_prefix("## ") {
            chapter = title;
        }
        if chapter.starts_with("Python:") {
            continue;
        }
        if let Some(cells) = cells(text)
            && let [subject, .., held_by] = cells[..]
        {
            let tests = tests(held_by).into_iter().filter(|name| !name.contains('-')).collect();
            rows.push(Row { line, chapter, subject: plain(subject), tests });
        }
    }
    rows
}

/// The headings and the acceptance bullets of a seed, with their lines. What stands in a fence is code.
fn wanted(seed: &Source) -> Vec<(usize, &str)> {
    let (mut fenced, mut accepting) = (false, false);
    let mut wanted = Vec::new();
    for (line, text) in seed.lines() {
        if text.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            // Code, whose comments look like headings.
        } else if text.starts_with("##") {
            let title = text.trim_start_matches('#').trim();
            accepting = title == "Definition of Done";
            wanted.push((line, without_number(title)));
        } else if text.starts_with("**") {
            accepting = text.starts_with("**Acceptance");
        } else if let Some(bullet) = text.strip_prefix("- ").filter(|_| accepting) {
            wanted.push((line, bullet));
        }
    }
    wanted
}

/// A title without the `3. ` before it.
fn without_number(title: &str) -> &str {
    title
        .split_once(". ")
        .filter(|(number, _)| number.chars().all(|c| c.is_ascii_digit()))
        .map_or(title, |(_, rest)| rest)
}

/// Words without marks, in small letters and with single blanks.
fn plain(text: &str) -> String {
    let marks = |c: char| matches!(c, '`' | '*');
    let words = text.replace(marks, "").to_lowercase();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the project has a test of that name. One that a macro makes has no attribute of its own, but lies among tests;
/// that none is skipped is a rule of its own.
fn is_test(sources: &[Source], test: &str) -> bool {
    let needle = format!("fn {}(", test.rsplit("::").next().unwrap_or(test));
    sources.iter().filter(|source| source.kind == Kind::Rust).any(|source| {
        let among_tests = source.is_test() || source.path.contains("/suite/") || source.path.starts_with("testing/");
        source.text.match_indices(&needle).any(|(at, _)| {
            // From the line's own beginning: before the name there may be `pub` and `async`.
            let above = &source.text[..source.text[..at].rfind('\n').map_or(0, |end| end + 1)];
            let mut attributes = above.lines().rev().take_while(|line| line.trim_start().starts_with("#["));
            among_tests || attributes.any(|line| line.contains("test"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str =
        "# Title\n\n## 1. First\n\n```\n## code\n```\n\n**Acceptance Criteria**\n- `It` holds.\n\n## Second\n- free\n";

    fn advice(page: &str) -> Vec<String> {
        let code = "#[test]\nfn it_does_hold() {}\n\nfn it_is_no_test() {}\n";
        let sources = [
            Source::new("testing/seeds/000_x.txt", SEED),
            Source::new(PAGE, page),
            Source::new("crates/stent-core/src/it.rs", code),
        ];
        check(&sources).into_iter().map(|finding| finding.advice).collect()
    }

    #[test]
    fn a_heading_or_acceptance_bullet_without_a_row_is_named() {
        let page = "## Seed 000: x\n\n| First: It holds. | `it_does_hold` |\n| Second | |\n";
        assert_eq!(advice(page), [""; 0]);
        let found = advice("## Seed 000: x\n\n| First | |\n\n## Seed 001: y\n\n| It holds. Second | |\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("holds") && found[1].contains("Second"), "{found:?}");
    }

    #[test]
    fn a_test_that_is_not_there_or_is_none_is_named() {
        let page =
            "## Seed 000: x\n\n| First: It holds. Second | `it_is_not_there`, `it_is_no_test`, `it_does_hold` |\n";
        let found = advice(page);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("it_is_not_there") && found[1].contains("it_is_no_test"), "{found:?}");
        let python = page.to_owned() + "\n## Python: seed 000\n\n| First | `test_of_pytest` |\n";
        assert_eq!(advice(&python).len(), 2);
    }
}

//! Rules that a single line shows: unfinished work, skipped tests, places of one machine, blanks nobody sees.

use super::Finding;
use super::source::{Kind, Source};

/// Marks of unfinished work. Written in halves, so that this file keeps its own rule.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Files that may have such a mark, each with the reason.
const QUOTING: &[(&str, &str)] = &[("docs/seeds.md", "its rows are the words of the seeds")];
const STUBS: &[&str] = &[concat!("todo", "!("), concat!("unimplemented", "!(")];
/// Folders of the machine somebody happened to work on.
const MACHINE_FOLDERS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];
const SKIPPED: &str = concat!("#[", "ignore");

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(check_one).collect()
}

fn check_one(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.kind == Kind::Made {
        return findings;
    }
    let is_quoting = QUOTING.iter().any(|(path, _)| *path == source.path);
    for (number, line) in source.lines() {
        let mut report = |rule, advice: String| findings.push(source.finding(number, rule, advice));
        for mark in MARKS.iter().filter(|mark| !is_quoting && has_word(line, mark)) {
            report("unfinished", format!("`{mark}`: finish it, or open an issue and take the mark out"));
        }
        for folder in MACHINE_FOLDERS.iter().filter(|folder| has_path(line, folder)) {
            report("machine path", format!("`{folder}` exists on one machine: name the place relative to the project"));
        }
        if source.kind == Kind::Rust {
            for stub in STUBS.iter().filter(|stub| line.contains(*stub)) {
                report("unfinished", format!("`{stub}..)`: write what belongs here, or leave the item out"));
            }
            if line.contains(SKIPPED) {
                report("skipped test", "a test runs or is deleted".to_owned());
            }
        }
        if matches!(source.kind, Kind::Rust | Kind::Markdown) && is_skipped_example(line) {
            report("skipped example", "let it compile (`no_run` if it cannot run), or mark it `text`".to_owned());
        }
        if source.kind != Kind::Patch {
            if line.contains('\t') {
                report("tab", "indent by spaces; inside a string write \\t".to_owned());
            }
            if line.ends_with([' ', '\t', '\r']) {
                report("trailing blank", "take the blanks off the end of the line".to_owned());
            }
        }
    }
    findings
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let touches = |neighbour: Option<char>| neighbour.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !touches(line[..at].chars().next_back()) && !touches(line[at + word.len()..].chars().next())
    })
}

/// Whether an absolute path begins with the folder; `target/work/` has the same letters and is none.
fn has_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | ')' | '*'))
    })
}

fn is_skipped_example(line: &str) -> bool {
    let text = line.trim_start().trim_start_matches(['/', '!', '*']).trim_start();
    text.strip_prefix("```").is_some_and(|info| info.split([',', ' ']).any(|word| word.starts_with("ignore")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&[Source::new(path, text)]).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn marks_of_unfinished_work_are_found_as_words() {
        for mark in MARKS {
            assert_eq!(rules("a.py", &format!("x = 1  # {mark}: later")), ["unfinished"]);
            assert_eq!(rules("a.py", &format!("name = 'A{mark}B'")), [""; 0]);
            assert_eq!(rules(QUOTING[0].0, &format!("a new {mark}-*.md")), [""; 0]);
        }
    }

    #[test]
    fn stubs_are_found_in_rust() {
        for stub in STUBS {
            assert_eq!(rules("a.rs", &format!("    {stub})")), ["unfinished"]);
        }
    }

    #[test]
    fn a_skipped_test_is_found() {
        assert_eq!(rules("a.rs", &format!("{SKIPPED}]")), ["skipped test"]);
        assert_eq!(rules("a.rs", &format!("{SKIPPED} = \"slow\"]")), ["skipped test"]);
    }

    #[test]
    fn a_skipped_example_is_found_in_docs_and_in_markdown() {
        let fence = "```";
        assert_eq!(rules("a.rs", &format!("/// {fence}ignore")), ["skipped example"]);
        assert_eq!(rules("a.rs", &format!("//! {fence}rust,ignore")), ["skipped example"]);
        assert_eq!(rules("a.md", &format!("{fence}ignore")), ["skipped example"]);
        assert_eq!(rules("a.rs", &format!("/// {fence}no_run")), [""; 0]);
    }

    #[test]
    fn paths_of_one_machine_are_found_where_a_path_begins() {
        let folder = MACHINE_FOLDERS[0];
        assert_eq!(rules("a.toml", &format!("path = \"{folder}main\"")), ["machine path"]);
        assert_eq!(rules("a.toml", &format!("path = \"target{folder}main\"")), [""; 0]);
    }

    #[test]
    fn tabs_and_trailing_blanks_are_found_except_in_patches() {
        assert_eq!(rules("a.sql", "\tselect 1"), ["tab"]);
        assert_eq!(rules("a.md", "two lines  "), ["trailing blank"]);
        assert_eq!(rules("a.patch", " \tcontext "), [""; 0]);
    }

    #[test]
    fn a_finding_names_file_line_rule_and_remedy() {
        let found = check(&[Source::new("a/b.sql", "select 1;\nselect 2; ")]);
        let said: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(said, ["a/b.sql:2: trailing blank: take the blanks off the end of the line"]);
    }
}

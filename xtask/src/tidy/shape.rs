//! Rules about a file as a whole: how long it may be, how it opens, what it may be called.

use super::Finding;
use super::source::{Kind, Source};
use super::tokens::test_lines;

/// Past this a file holds more than one thing, tests aside.
const FILE_LINES: usize = 600;

/// Names that fit everything and so say nothing.
pub(super) const REFUSED_NAMES: &[&str] =
    &["data", "info", "manager", "managers", "helper", "helpers", "util", "utils"];

/// What carries such a name, or lies below it, because a user's program imports it.
const GIVEN_NAMES: &[(&str, &str)] =
    &[("python/stent/utils/", "`stent.utils` is part of the Python interface that users know")];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(|source| [length(source), opening(source), name(source)]).flatten().collect()
}

fn length(source: &Source) -> Option<Finding> {
    let counted = match source.kind {
        Kind::Rust => source.text.lines().count() - test_lines(&source.text),
        Kind::Python | Kind::TypeScript | Kind::Sql => source.text.lines().count(),
        _ => return None,
    };
    if source.is_test() || counted <= FILE_LINES {
        return None;
    }
    let advice = format!("{counted} lines without tests, {FILE_LINES} are the limit: split by what changes together");
    Some(source.finding(1, "length", advice))
}

fn opening(source: &Source) -> Option<Finding> {
    let is_code = source.crate_of_source().is_some() || source.path.starts_with("xtask/src/");
    let (sign, wanted) = match source.kind {
        Kind::Rust if is_code => ("//!", "what it is, what it is not, the invariant it keeps"),
        Kind::Sql => ("--", "what it does, and which index serves it"),
        _ => return None,
    };
    let head: Vec<&str> = source.text.lines().map_while(|line| line.trim_start().strip_prefix(sign)).collect();
    let text = head.join(" ");
    let is_sentence = text.split_whitespace().count() >= 3 && (sign == "--" || text.contains(['.', ':', '!', '?']));
    (!is_sentence).then(|| source.finding(1, "header", format!("open the file with a sentence in `{sign}`: {wanted}")))
}

fn name(source: &Source) -> Option<Finding> {
    if GIVEN_NAMES.iter().any(|(path, _)| source.path.starts_with(path)) || source.kind == Kind::Made {
        return None;
    }
    let folders = source.path.split('/').rev().skip(1);
    let refused = folders.chain([source.stem()]).find(|part| REFUSED_NAMES.contains(part))?;
    Some(source.finding(1, "name", format!("`{refused}` says nothing: name the file by what it holds")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&[Source::new(path, text)]).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_file_past_the_limit_is_found_and_its_tests_do_not_count() {
        let code = "//! What this is.\n".to_owned() + &"const A: u8 = 1;\n".repeat(FILE_LINES - 1);
        assert_eq!(rules("crates/a/src/x.rs", &code), [""; 0]);
        let tests = "#[cfg(test)]\nmod tests {\n".to_owned() + &"// line\n".repeat(200) + "}\n";
        assert_eq!(rules("crates/a/src/x.rs", &(code.clone() + &tests)), [""; 0]);
        assert_eq!(rules("crates/a/src/x.rs", &(code + "const B: u8 = 1;\n")), ["length"]);
        let long = "-- What it does here.\n".to_owned() + &"select 1;\n".repeat(FILE_LINES);
        assert_eq!(rules("crates/a/sql/x.sql", &long), ["length"]);
        assert_eq!(rules("crates/a/tests/x.rs", &"const A: u8 = 1;\n".repeat(FILE_LINES + 1)), [""; 0]);
    }

    #[test]
    fn a_source_opens_with_what_it_is() {
        assert_eq!(rules("crates/a/src/x.rs", "use std::fs;\n"), ["header"]);
        assert_eq!(rules("crates/a/src/x.rs", "//! Placeholder.\n"), ["header"]);
        assert_eq!(rules("xtask/src/x.rs", "\n//! What this is.\n"), ["header"]);
        assert_eq!(rules("crates/a/src/x.rs", "//! What this is.\n"), [""; 0]);
        assert_eq!(rules("crates/a/tests/it.rs", "use std::fs;\n"), [""; 0]);
        assert_eq!(rules("crates/a/sql/x.sql", "select 1;\n"), ["header"]);
        assert_eq!(rules("crates/a/sql/x.sql", "-- The oldest ready task, by ix_ready\nselect 1;\n"), [""; 0]);
    }

    #[test]
    fn names_that_say_nothing_are_refused_for_files_and_folders() {
        for name in REFUSED_NAMES {
            assert_eq!(rules(&format!("python/stent/{name}.pyi"), ""), ["name"]);
            assert_eq!(rules(&format!("testing/{name}/orders.py"), ""), ["name"]);
        }
        assert_eq!(rules("crates/a/sql/data_version.py", ""), [""; 0]);
        assert_eq!(rules(GIVEN_NAMES[0].0, ""), [""; 0]);
    }
}

//! A break: a patch that takes out the code which keeps a promise, with a head that names the test which must then
//! fail. Reads the file, applies nothing. The head is the text before the first `diff --git`; its line
//! `test: <arguments>` holds what follows `cargo test`. A promise that several stores keep by the same code has a line
//! for each of them, and the patch is tried with each.

use std::path::Path;

use anyhow::{Context, ensure};

/// Where the breaks lie, one or more for each promise: `P03-epoch-unchecked.patch`.
pub const FOLDER: &str = "testing/breaks/";

/// One break, as its file says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The file's name without folder and ending.
    pub name: String,
    /// The promise's number.
    pub promise: u32,
    /// The arguments of `cargo test` that run its test.
    pub test: Vec<String>,
    /// The files it changes, relative to the root.
    pub changes: Vec<String>,
}

impl Break {
    /// Reads a patch, given its path relative to the root and its text: a break for each test that it names.
    pub fn parse(path: &str, text: &str) -> anyhow::Result<Vec<Self>> {
        let name = Path::new(path).file_stem().and_then(|stem| stem.to_str()).context("a patch without a name")?;
        let promise = promise_of(name).context("its name does not begin with its promise, as in P03-what-breaks")?;
        let (head, diff) = text.split_at(text.find("diff --git ").context("it holds no `diff --git`")?);
        let tests: Vec<&str> = head.lines().filter_map(|line| line.strip_prefix("test:")).collect();
        ensure!(!tests.is_empty(), "its head has no line `test: <cargo test arguments>`");
        let breaks = tests.into_iter().map(|test| {
            let test: Vec<String> = test.split_whitespace().map(str::to_owned).collect();
            ensure!(!test.is_empty(), "its line `test:` is empty");
            Ok(Self { name: name.to_owned(), promise, test, changes: changed_files(diff) })
        });
        breaks.collect()
    }

    /// The test's own name, without the path of modules that may stand before it: the last argument that is one.
    pub fn test_name(&self) -> &str {
        let is_name = |argument: &&String| !argument.starts_with('-') && argument.contains('_');
        let argument = self.test.iter().rev().find(is_name).map_or("", String::as_str);
        argument.rsplit("::").next().unwrap_or(argument)
    }

    /// Whether a developer means this break: by promise (`P3`, `p03`) or by the beginning of its name.
    pub fn is_meant_by(&self, wish: &str) -> bool {
        let wish = wish.to_lowercase();
        let number = wish.strip_prefix('p').and_then(|number| number.parse().ok());
        number.map_or_else(|| self.name.to_lowercase().starts_with(&wish), |number: u32| number == self.promise)
    }
}

fn promise_of(name: &str) -> Option<u32> {
    let digits: String = name.strip_prefix('P')?.chars().take_while(char::is_ascii_digit).collect();
    (digits.len() == 2).then(|| digits.parse().ok()).flatten()
}

fn changed_files(diff: &str) -> Vec<String> {
    const SIGNS: [&str; 4] = ["--- a/", "+++ b/", "rename from ", "rename to "];
    let named =
        |line: &str| SIGNS.iter().find_map(|sign| line.strip_prefix(sign)).map(|path| path.trim_end().to_owned());
    let mut files: Vec<String> = diff.lines().filter_map(named).collect();
    files.sort();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Late writes pass when nobody looks at the epoch.\n\
        test: -p stent-storetest --test suite writes::a_late_write_is_refused -- --exact\n\n\
        diff --git a/crates/x/src/a.rs b/crates/x/src/a.rs\n--- a/crates/x/src/a.rs\n+++ b/crates/x/src/a.rs\n\
        @@ -1 +1 @@\n-a\n+b\n";

    #[test]
    fn a_head_names_the_test_and_the_diff_the_files() {
        let parsed = Break::parse("testing/breaks/P03-no-epoch.patch", TEXT).unwrap().remove(0);
        assert_eq!((parsed.name.as_str(), parsed.promise), ("P03-no-epoch", 3));
        assert_eq!(parsed.test[..2], ["-p", "stent-storetest"]);
        assert_eq!(parsed.test_name(), "a_late_write_is_refused");
        assert_eq!(parsed.changes, ["crates/x/src/a.rs"]);
    }

    #[test]
    fn a_patch_is_tried_with_each_test_that_its_head_names() {
        let text = format!("test: -p stent-postgres the_same\n{TEXT}");
        let parsed = Break::parse("testing/breaks/P03-no-epoch.patch", &text).unwrap();
        let names: Vec<&str> = parsed.iter().map(Break::test_name).collect();
        assert_eq!(names, ["the_same", "a_late_write_is_refused"]);
        assert!(parsed.iter().all(|part| part.name == "P03-no-epoch"));
    }

    #[test]
    fn a_patch_without_a_test_or_a_promise_is_refused() {
        let complaint = |path: &str, text: &str| Break::parse(path, text).unwrap_err().to_string();
        assert!(complaint("P03.patch", &TEXT.replace("test:", "tests")).contains("no line `test:"));
        assert!(complaint("P03.patch", "test: -p a").contains("no `diff --git`"));
        assert!(complaint("epoch.patch", TEXT).contains("promise"));
        assert!(complaint("P3.patch", TEXT).contains("promise"));
    }

    #[test]
    fn a_break_is_meant_by_its_promise_or_the_beginning_of_its_name() {
        let parsed = Break::parse("P03-no-epoch.patch", TEXT).unwrap().remove(0);
        for wish in ["P03", "p3", "P03-no", "p03-no-epoch"] {
            assert!(parsed.is_meant_by(wish), "{wish}");
        }
        for wish in ["P30", "P0", "P03-yes"] {
            assert!(!parsed.is_meant_by(wish), "{wish}");
        }
    }
}

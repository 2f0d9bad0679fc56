//! A file of the project as the rules see it: its path, its text, what kind it is and whether it is a test. Reads
//! files, judges nothing.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::Finding;
use crate::workspace::Workspace;

/// What a file is written in, as far as a rule asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rust,
    Python,
    TypeScript,
    Sql,
    Markdown,
    /// A change to be applied: its blanks and tabs belong to what it changes.
    Patch,
    /// Configuration, scripts, style sheets and other text that people write.
    Text,
    /// Written by a program, by law, or by whoever asked for the product: lock files, snapshots, built web files,
    /// licences, seeds.
    Made,
}

/// One file.
#[derive(Debug)]
pub(super) struct Source {
    pub path: String,
    pub text: String,
    pub kind: Kind,
}

impl Source {
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let path = path.into();
        Self { kind: kind_of(&path), path, text: text.into() }
    }

    /// Something wrong in this file, on a line counted from 1.
    pub(super) fn finding(&self, line: usize, rule: &'static str, advice: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, rule, advice: advice.into() }
    }

    /// Lines with their numbers, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.split('\n').enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The file's name without folders and without what follows the first dot.
    pub(super) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.split('.').find(|part| !part.is_empty()).unwrap_or(name)
    }

    /// Whether the whole file is tests.
    pub(super) fn is_test(&self) -> bool {
        let in_folder = self.path.split('/').rev().skip(1).any(|folder| matches!(folder, "tests" | "benches"));
        let stem = self.stem();
        in_folder || stem == "tests" || stem.starts_with("test_") || stem.ends_with("_test")
    }

    /// The name of the folder under `crates/` that this file is a source of.
    pub(super) fn crate_of_source(&self) -> Option<&str> {
        let (name, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        rest.starts_with("src/").then_some(name)
    }
}

fn kind_of(path: &str) -> Kind {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let built = path.split('/').rev().skip(1).any(|folder| matches!(folder, "dist" | "snapshots" | "seeds"));
    if built || name.starts_with("LICENSE-") || name == "package-lock.json" {
        return Kind::Made;
    }
    match extension {
        "rs" => Kind::Rust,
        "py" | "pyi" => Kind::Python,
        "ts" | "tsx" => Kind::TypeScript,
        "sql" => Kind::Sql,
        "md" => Kind::Markdown,
        "patch" => Kind::Patch,
        "lock" | "snap" | "stderr" | "csv" | "proptest-regressions" => Kind::Made,
        _ => Kind::Text,
    }
}

/// All files of the project that are text.
pub(super) fn read_all(workspace: &Workspace) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in workspace.files()? {
        let bytes = fs::read(workspace.root().join(Path::new(&path))).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source::new(path, text));
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_by_their_place_or_name() {
        for path in ["crates/a/tests/it/x.rs", "crates/a/src/tests.rs", "python/tests/x.py", "ui/x_test.ts"] {
            assert!(Source::new(path, "").is_test(), "{path}");
        }
        for path in ["crates/a/src/testing.rs", "testing/chaos/src/main.rs", "xtask/src/test.rs"] {
            assert!(!Source::new(path, "").is_test(), "{path}");
        }
    }

    #[test]
    fn made_files_are_told_from_written_ones() {
        for path in [
            "Cargo.lock",
            "crates/d/dist/app.js",
            "LICENSE-MIT",
            "crates/a/tests/snapshots/x.snap",
            "testing/seeds/x.txt",
        ] {
            assert_eq!(Source::new(path, "").kind, Kind::Made, "{path}");
        }
        assert_eq!(Source::new(".ci/run", "").kind, Kind::Text);
        assert_eq!(Source::new("a/b.sql", "").kind, Kind::Sql);
    }

    #[test]
    fn a_stem_is_the_name_up_to_its_first_dot() {
        assert_eq!(Source::new("a/claim.test.ts", "").stem(), "claim");
        assert_eq!(Source::new(".gitignore", "").stem(), "gitignore");
    }
}

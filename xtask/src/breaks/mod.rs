//! `cargo xtask breaks [P03 ..]`: proof that the tests hold the promises. Each patch in `testing/breaks` takes out
//! the code that keeps one promise; in a copy of the project its test, which passes unbroken, must fail. Never
//! touches the developer's own files: the copy and its builds live in `target/breaks`.

mod copy;
pub mod patch;
mod trial;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use self::copy::Copy;
use self::patch::{Break, FOLDER};
use self::trial::Verdict;
use crate::table;
use crate::workspace::{Workspace, output};

#[derive(clap::Args)]
pub struct Args {
    /// The breaks to try, by promise (`P03`) or by the beginning of their names; all if none is given.
    breaks: Vec<String>,
}

pub fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<ExitCode> {
    let chosen = choose(read(workspace)?, &args.breaks)?;
    let bench = Bench::set_up(workspace)?;
    let mut rows = Vec::new();
    let mut all_caught = true;
    let mut unbroken: BTreeMap<&[String], Verdict> = BTreeMap::new();
    for (index, part) in chosen.iter().enumerate() {
        let start = Instant::now();
        eprintln!("[{}/{}] {}: cargo test {}", index + 1, chosen.len(), part.name, part.test.join(" "));
        let before = match unbroken.get(part.test.as_slice()) {
            Some(known) => *known,
            None => bench.try_unbroken(part)?,
        };
        unbroken.insert(&part.test, before);
        let outcome = if before == Verdict::Passed { bench.try_broken(part)? } else { Outcome::Unfit(before) };
        let says = outcome.says();
        eprintln!("[{}/{}] {}: {says}, {:.1} s", index + 1, chosen.len(), part.name, start.elapsed().as_secs_f64());
        all_caught &= outcome == Outcome::Caught;
        rows.push([part.name.clone(), part.test_name().to_owned(), says.to_owned()]);
    }
    println!("{}", table::render(["break", "test", "verdict"], &rows));
    if all_caught {
        println!("each of the {} breaks made its test fail", rows.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!("what the tests printed lies in {}", bench.logs.display());
    Ok(ExitCode::FAILURE)
}

/// All breaks of the project, by name.
fn read(workspace: &Workspace) -> anyhow::Result<Vec<Break>> {
    let mut breaks = Vec::new();
    for file in workspace.files()?.iter().filter(|file| is_patch(file)) {
        let text = fs::read_to_string(workspace.root().join(file)).with_context(|| format!("cannot read {file}"))?;
        breaks.extend(Break::parse(file, &text).with_context(|| file.clone())?);
    }
    ensure!(!breaks.is_empty(), "{FOLDER} holds no patch");
    Ok(breaks)
}

/// Whether a file of the project, by its path relative to the root, is a break.
pub fn is_patch(file: &str) -> bool {
    file.starts_with(FOLDER) && file.ends_with(".patch")
}

fn choose(breaks: Vec<Break>, wishes: &[String]) -> anyhow::Result<Vec<Break>> {
    if let Some(wish) = wishes.iter().find(|wish| !breaks.iter().any(|part| part.is_meant_by(wish))) {
        let names: Vec<&str> = breaks.iter().map(|part| part.name.as_str()).collect();
        bail!("no break is called {wish}; there are {}", names.join(", "));
    }
    let is_meant = |part: &Break| wishes.is_empty() || wishes.iter().any(|wish| part.is_meant_by(wish));
    Ok(breaks.into_iter().filter(is_meant).collect())
}

/// What became of a break.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Its test failed, as it must.
    Caught,
    /// Unbroken, the test did not pass, so it proves nothing.
    Unfit(Verdict),
    /// Broken, the test did not fail.
    NotCaught(Verdict),
    /// The patch is for other sources than these.
    NotApplied,
}

impl Outcome {
    fn says(&self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::NotApplied => "BROKEN PATCH: it does not apply",
            Self::Unfit(Verdict::Failed | Verdict::Passed) => "UNFIT: its test fails without the break",
            Self::Unfit(Verdict::NoTest) => "UNFIT: no such test ran",
            Self::Unfit(Verdict::NotBuilt) => "UNFIT: the project does not compile",
            Self::Unfit(Verdict::Hung) => "UNFIT: its test hangs without the break",
            Self::Unfit(Verdict::Died) => "UNFIT: cargo test gave no verdict without the break",
            Self::NotCaught(Verdict::Passed | Verdict::Failed) => "NOT CAUGHT: its test passes all the same",
            Self::NotCaught(Verdict::NoTest) => "BROKEN PATCH: it removes the test",
            Self::NotCaught(Verdict::NotBuilt) => "BROKEN PATCH: it does not compile",
            Self::NotCaught(Verdict::Hung) => "HANGS: give the test a deadline of its own",
            Self::NotCaught(Verdict::Died) => "DIED: the break ends the runner, not the test",
        }
    }
}

/// The place where breaks are tried.
struct Bench<'a> {
    workspace: &'a Workspace,
    copy: Copy,
    builds: PathBuf,
    logs: PathBuf,
}

impl<'a> Bench<'a> {
    fn set_up(workspace: &'a Workspace) -> anyhow::Result<Self> {
        let folder = workspace.root().join("target/breaks");
        let (tree, builds, logs) = (folder.join("tree"), folder.join("target"), folder.join("logs"));
        for place in [&tree, &logs] {
            fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
        }
        let copy = Copy::of(workspace.root(), &workspace.files()?, &tree)?;
        Ok(Self { workspace, copy, builds, logs })
    }

    fn try_unbroken(&self, part: &Break) -> anyhow::Result<Verdict> {
        self.test(part, "unbroken")
    }

    fn try_broken(&self, part: &Break) -> anyhow::Result<Outcome> {
        let saved = self.copy.save(&part.changes);
        let verdict = if self.apply(part).is_ok() { Some(self.test(part, "broken")) } else { None };
        saved.restore()?;
        Ok(match verdict.transpose()? {
            None => Outcome::NotApplied,
            Some(Verdict::Failed) => Outcome::Caught,
            Some(other) => Outcome::NotCaught(other),
        })
    }

    fn apply(&self, part: &Break) -> anyhow::Result<()> {
        let patch = self.copy.root().join(FOLDER).join(format!("{}.patch", part.name));
        let mut git = self.workspace.git();
        // Without the ceiling git would find the developer's repository around the copy, and patch nothing.
        git.env("GIT_CEILING_DIRECTORIES", self.copy.root().parent().unwrap_or(self.copy.root()));
        output(git.current_dir(self.copy.root()).arg("apply").arg(patch)).map(drop)
    }

    fn test(&self, part: &Break, state: &str) -> anyhow::Result<Verdict> {
        // Lints do not judge a break: an import nobody uses any more is not what its test is about.
        let flags = env::var("RUSTFLAGS").unwrap_or_default() + " --cap-lints warn";
        let mut cargo = self.workspace.cargo();
        cargo
            .current_dir(self.copy.root())
            .env("CARGO_TARGET_DIR", &self.builds)
            .env("RUSTFLAGS", flags.trim())
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .arg("test")
            .args(&part.test);
        // The same test in two stores' modules is told apart by its whole path.
        let test = part.test.last().map_or_else(String::new, |test| test.replace("::", "."));
        trial::run(&mut cargo, &self.logs.join(format!("{}-{test}-{state}.log", part.name)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A project of one crate whose one test holds one promise.
    fn project(root: &Path) -> Workspace {
        let write = |path: &str, text: &str| {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        };
        write("Cargo.toml", "[package]\nname = \"kept\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n");
        write(".gitignore", "/target\n");
        let code = "pub fn one() -> u8 {\n    1\n}\n\n#[test]\nfn one_is_one() {\n    assert_eq!(one(), 1);\n}\n";
        write("src/lib.rs", code);
        let patch = |name: &str, test: &str, from: &str, to: &str| {
            let text = format!(
                "Why.\ntest: {test}\n\ndiff --git a/src/lib.rs b/src/lib.rs\n--- a/src/lib.rs\n+++ b/src/lib.rs\n\
                 @@ -1,3 +1,3 @@\n pub fn one() -> u8 {{\n-    {from}\n+    {to}\n }}\n"
            );
            write(&format!("{FOLDER}{name}.patch"), &text);
        };
        patch("P01-two", "--lib one_is_one", "1", "2");
        patch("P02-still-one", "--lib one_is_one", "1", "2 - 1");
        patch("P03-no-number", "--lib one_is_one", "1", "\"\"");
        patch("P04-other-source", "--lib one_is_one", "5", "2");
        patch("P05-no-test", "--lib two_is_two", "1", "2");
        let workspace = Workspace::at(root);
        output(workspace.git().args(["init", "--quiet"])).unwrap();
        workspace
    }

    #[test]
    fn only_a_break_that_fails_its_test_is_caught() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = project(folder.path());
        let bench = Bench::set_up(&workspace).unwrap();
        let breaks = read(&workspace).unwrap();
        for part in &breaks[..4] {
            assert_eq!(bench.try_unbroken(part).unwrap(), Verdict::Passed, "{}", part.name);
        }
        let outcomes: Vec<Outcome> = breaks[..4].iter().map(|part| bench.try_broken(part).unwrap()).collect();
        let expected = [
            Outcome::Caught,
            Outcome::NotCaught(Verdict::Passed),
            Outcome::NotCaught(Verdict::NotBuilt),
            Outcome::NotApplied,
        ];
        assert_eq!(outcomes, expected);
        assert_eq!(bench.try_unbroken(&breaks[4]).unwrap(), Verdict::NoTest);
        assert_eq!(bench.try_unbroken(&breaks[0]).unwrap(), Verdict::Passed, "the copy is whole again");

        let wishes = |names: &[&str]| Args { breaks: names.iter().map(|name| (*name).to_owned()).collect() };
        assert_eq!(run(&workspace, &wishes(&["P01"])).unwrap(), ExitCode::SUCCESS);
        assert_eq!(run(&workspace, &wishes(&["P01", "P02"])).unwrap(), ExitCode::FAILURE);
        let refused = run(&workspace, &wishes(&["P09"])).unwrap_err().to_string();
        assert!(refused.contains("no break is called P09; there are P01-two"), "{refused}");
    }
}

//! The workspace's tests, several test binaries at once: most of them wait for servers and clocks, not for the
//! processor. Each runs as cargo would run it, and what it printed is shown whole when it has ended. Tests in
//! documentation come last, by cargo itself.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Deserialize;
use stent_servers::Server;

use crate::workspace::{Workspace, output};

/// Those that take longest, so that none of them is begun when all others have ended.
const BEGUN_FIRST: &[(&str, &str)] = &[
    ("stent-postgres", "suite"),
    ("stent-scenarios", "it"),
    ("stent-postgres", "it"),
    ("durable", "it"),
    ("stent-postgres", "stent_postgres"),
    ("stent-servers", "it"),
];

/// The variable that names folders of libraries to a program that starts.
const LIBRARY_PATH: &str = if cfg!(target_os = "macos") { "DYLD_FALLBACK_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };

/// What cargo says of a thing that it has built.
#[derive(Deserialize)]
struct Built {
    package_id: Option<String>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// A test binary.
#[derive(Debug, PartialEq, Eq)]
struct Binary {
    package: String,
    target: String,
    folder: PathBuf,
    program: PathBuf,
}

/// How one went.
struct Ran {
    name: String,
    passed: bool,
}

/// Builds and runs all tests, with one PostgreSQL for all of them.
pub fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let mut binaries = build(workspace)?;
    binaries.sort_by_key(Binary::place);
    let server = Server::start_for_many()?;
    let libraries = libraries(workspace)?;
    let at_once = thread::available_parallelism().map_or(2, usize::from);
    let (waiting, ended) = (Mutex::new(VecDeque::from(binaries)), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                // The lock is let go before the binary runs.
                let next = || locked(&waiting).pop_front();
                while let Some(binary) = next() {
                    let ran = binary.run(workspace, &server, &libraries);
                    locked(&ended).push(ran);
                }
            });
        }
    });
    let ended: Vec<Ran> = locked(&ended).drain(..).collect::<anyhow::Result<_>>()?;
    let (name, value) = server.shared_variable();
    let documentation =
        workspace.cargo().args(["test", "--workspace", "--doc", "--no-fail-fast"]).env(name, value).status();
    let failed: Vec<&str> = ended.iter().filter(|ran| !ran.passed).map(|ran| ran.name.as_str()).collect();
    ensure!(failed.is_empty(), "tests failed in {}", failed.join(", "));
    ensure!(documentation.context("cannot start cargo")?.success(), "tests in documentation failed");
    println!("{} test binaries and all documentation passed", ended.len());
    Ok(())
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn build(workspace: &Workspace) -> anyhow::Result<Vec<Binary>> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--workspace", "--no-run", "--message-format", "json-render-diagnostics"]);
    // What it says to people goes where they read it.
    let built = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(built.status.success(), "the tests cannot be built: {}", built.status);
    Ok(binaries(&String::from_utf8_lossy(&built.stdout)))
}

/// The test binaries among what cargo says that it has built.
fn binaries(messages: &str) -> Vec<Binary> {
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Built>(line).ok());
    built
        .filter(|built| built.profile.as_ref().is_some_and(|profile| profile.test))
        .filter_map(|built| {
            let folder = built.manifest_path?.parent()?.to_owned();
            // `path+file:///folder/crates/stent-core#0.1.0`, and `…/servers#stent-servers@0.1.0` where folders differ.
            let id = built.package_id?;
            let (path, version) = id.rsplit_once('#')?;
            let package = version.split_once('@').map_or_else(|| path.rsplit('/').next(), |(name, _)| Some(name))?;
            Some(Binary { package: package.to_owned(), target: built.target?.name, folder, program: built.executable? })
        })
        .collect()
}

/// Where the compiler's own libraries lie: tests of macros are linked to them.
fn libraries(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let folder = output(workspace.tool(Path::new("rustc")).args(["--print", "target-libdir"]))?;
    Ok(PathBuf::from(folder.trim()))
}

impl Binary {
    fn name(&self) -> String {
        format!("{}/{}", self.package, self.target)
    }

    fn place(&self) -> usize {
        let same = |(package, target): &(&str, &str)| *package == self.package && *target == self.target;
        BEGUN_FIRST.iter().position(same).unwrap_or(BEGUN_FIRST.len())
    }

    /// Runs it with what cargo gives to a test binary, and shows what it printed.
    fn run(&self, workspace: &Workspace, server: &Server, libraries: &Path) -> anyhow::Result<Ran> {
        let (start, (variable, value)) = (Instant::now(), server.shared_variable());
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env(variable, value);
        command.env("CARGO", workspace.cargo().get_program());
        command.env("CARGO_MANIFEST_DIR", &self.folder).env("CARGO_PKG_NAME", &self.package);
        command.env(LIBRARY_PATH, libraries);
        let ended = command.output().with_context(|| format!("cannot start {}", self.program.display()))?;
        println!("{}", told(&self.name(), start.elapsed(), &ended));
        Ok(Ran { name: self.name(), passed: ended.status.success() })
    }
}

/// What a binary printed, below its name.
fn told(name: &str, time: Duration, ended: &Output) -> String {
    let said = [&ended.stdout, &ended.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim_end().to_owned());
    let said: Vec<&str> = said.iter().map(String::as_str).filter(|text| !text.trim().is_empty()).collect();
    format!("\n--- {name}: {}, {:.1} s\n{}", ended.status, time.as_secs_f64(), said.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_binaries_are_found_among_what_cargo_says_it_built() {
        let messages = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/crates/stent-core#0.1.0","manifest_path":"/w/crates/stent-core/Cargo.toml","target":{"name":"states"},"profile":{"test":true},"executable":"/w/target/states"}
{"reason":"compiler-artifact","package_id":"path+file:///w/testing/servers#stent-servers@0.1.0","manifest_path":"/w/testing/servers/Cargo.toml","target":{"name":"it"},"profile":{"test":true},"executable":"/w/target/it"}
{"reason":"compiler-artifact","package_id":"path+file:///w/xtask#0.1.0","manifest_path":"/w/xtask/Cargo.toml","target":{"name":"xtask"},"profile":{"test":false},"executable":"/w/target/xtask"}
{"reason":"build-finished","success":true}"#;
        let found: Vec<(String, PathBuf)> =
            binaries(messages).into_iter().map(|binary| (binary.name(), binary.folder)).collect();
        let expected = [("stent-core/states", "/w/crates/stent-core"), ("stent-servers/it", "/w/testing/servers")];
        assert_eq!(found, expected.map(|(name, folder)| (name.to_owned(), PathBuf::from(folder))));
    }

    #[test]
    fn a_binary_that_fails_is_named_and_what_it_said_is_shown() {
        let ended = Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]).output().unwrap();
        let told = told("stent/it", Duration::from_millis(1_500), &ended);
        assert_eq!(told, "\n--- stent/it: exit status: 3, 1.5 s\none\ntwo");
    }
}

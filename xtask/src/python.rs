//! The Python package in development: an environment of its own below `target/`, the native module built beside the
//! sources, and the checks and tests that run there. What ships is built by maturin, not here.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use stent_servers::Server;

use crate::workspace::Workspace;

/// Prints what the environment must hold: the extras of the package for developers.
const EXTRAS: &str = "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
    print('\\n'.join([*project.get('dependencies', []), *project['optional-dependencies']['dev']]))";

/// How the native module is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As tests are.
    Dev,
    /// As users get it.
    Release,
}

/// Where the environment lies.
fn environment(workspace: &Workspace) -> PathBuf {
    workspace.root().join("target/python")
}

/// A program of the environment, in the root, with the package's sources before whatever is installed.
fn program(workspace: &Workspace, name: &str) -> Command {
    let mut command = workspace.tool(&environment(workspace).join("bin").join(name));
    with_sources(workspace, &mut command).env("MYPYPATH", workspace.root().join("python"));
    command
}

/// Has the Python of a command find the package's sources. What it compiles of them is kept, whatever it does elsewhere:
/// the tests start hundreds of processes.
fn with_sources<'a>(workspace: &Workspace, command: &'a mut Command) -> &'a mut Command {
    command
        .env("PYTHONPATH", workspace.root().join("python"))
        .env("PYTHONPYCACHEPREFIX", environment(workspace).join("compiled"))
        .env_remove("PYTHONDONTWRITEBYTECODE")
}

/// Makes the environment, brings it what the package's developers need, and builds the native module. Each only where
/// something has changed.
fn prepare(workspace: &Workspace, profile: Profile) -> anyhow::Result<()> {
    let folder = environment(workspace);
    if !folder.join("bin/python").exists() {
        run(workspace.tool("python3".as_ref()).args([OsStr::new("-m"), OsStr::new("venv"), folder.as_os_str()]))?;
    }
    let wanted = crate::workspace::output(program(workspace, "python").args(["-c", EXTRAS]))?;
    let list = folder.join("wanted.txt");
    if fs::read_to_string(&list).ok().as_ref() != Some(&wanted) {
        let new = folder.join("wanted-new.txt");
        fs::write(&new, &wanted)?;
        run(program(workspace, "python").args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&new))?;
        fs::rename(new, list)?;
    }
    // What the tests use is built of the whole workspace: alone it would choose other features of its dependencies, and
    // build most of them again.
    let (options, output): (&[&str], _) = match profile {
        Profile::Dev => (&["--workspace", "--lib"], "target/debug"),
        Profile::Release => (&["--package", "stent-python", "--release"], "target/release"),
    };
    run(workspace.cargo().arg("build").args(options))?;
    let target = workspace.root().join(output);
    let built = ["libstent_native.so", "libstent_native.dylib"].map(|name| target.join(name));
    let built = built.iter().find(|path| path.exists()).context("cargo built no native module")?;
    // Renamed into place: a process that has loaded the old one keeps it.
    let (beside, module) = (target.join("native.new"), workspace.root().join("python/stent/_native.abi3.so"));
    fs::copy(built, &beside)?;
    fs::rename(beside, module).context("cannot put the native module beside its stub")
}

/// Readies the package for a harness that starts Python by itself, and tells it which.
pub fn lend(workspace: &Workspace, profile: Profile, harness: &mut Command) -> anyhow::Result<()> {
    prepare(workspace, profile)?;
    with_sources(workspace, harness).arg("--python").arg(environment(workspace).join("bin/python"));
    Ok(())
}

/// Whether options of a harness name Python as the face.
pub fn is_asked_for(options: &[String]) -> bool {
    options.windows(2).any(|pair| pair == ["--face", "python"]) || options.iter().any(|word| word == "--face=python")
}

/// Lints, formats, and types in the eyes of three checkers; the stub of the native module against the module.
pub fn check(workspace: &Workspace) -> anyhow::Result<()> {
    prepare(workspace, Profile::Dev)?;
    run(program(workspace, "ruff").args(["check", "."]))?;
    run(program(workspace, "ruff").args(["format", "--check", "."]))?;
    run(program(workspace, "pyright")
        .args(["--project", "pyproject.toml", "--pythonpath"])
        .arg(environment(workspace).join("bin/python")))?;
    let python = environment(workspace).join("bin/python");
    run(program(workspace, "pyrefly").arg("check").arg("--python-interpreter-path").arg(python))?;
    run(program(workspace, "python").args(["-m", "mypy.stubtest", "stent._native"]))
}

/// The tests of the package, with one PostgreSQL for all of them. Many at once: most wait for timers and processes.
pub fn test(workspace: &Workspace) -> anyhow::Result<()> {
    prepare(workspace, Profile::Dev)?;
    let server = Server::start_for_many()?;
    let (name, value) = server.shared_variable();
    run(program(workspace, "python").args(["-m", "pytest", "--quiet", "--numprocesses", "8"]).env(name, value))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    ensure!(status.success(), "{name}: {status}");
    Ok(())
}

//! `cargo xtask wheel`: the package as users get it. Installs it into a fresh environment, runs the first example there,
//! and holds the wheel to its size and the import to its time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::workspace::{Workspace, output};

/// What people wait for when they install it.
const SIZE_LIMIT_BYTES: u64 = 15_000_000;

/// What every program that uses it pays at its start, beyond a bare interpreter.
const IMPORT_LIMIT: Duration = Duration::from_millis(100);

/// How often each start is timed; the median counts.
const STARTS: usize = 10;

/// What the first example prints.
const HELLO: &str = "['Hello, Ann!', 'Hello, Bob!']\n";

/// Fails if the package cannot be installed, is too large or too slow to import.
pub fn run(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let folder = workspace.root().join("target/wheel");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot clear the folder of an earlier run")?;
    }
    let environment = folder.join("fresh");
    output(workspace.tool("python3".as_ref()).args(["-m", "venv"]).arg(&environment))?;
    let python = environment.join("bin/python");
    let installed = Instant::now();
    output(outside(workspace, &python).args(["-m", "pip", "install", "--quiet", "."]))?;
    println!("pip install .   {:.0} s", installed.elapsed().as_secs_f64());

    let said = output(outside(workspace, &python).arg("examples/python/hello.py"))?;
    ensure!(said == HELLO, "the example printed {said:?}");
    println!("hello.py        {}", said.trim_end());

    output(
        outside(workspace, &python).args(["-m", "pip", "wheel", "--quiet", "--no-deps", "-w"]).arg(&folder).arg("."),
    )?;
    let bytes = fs::metadata(wheel_in(&folder)?)?.len();
    println!("the wheel       {:.1} MB of {:.0}", bytes as f64 / 1e6, SIZE_LIMIT_BYTES as f64 / 1e6);

    let import = cost(workspace, &python, "import stent", IN_ORDER)?;
    let milliseconds = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1e3);
    println!("import stent    {} of {}", milliseconds(import), IMPORT_LIMIT.as_millis());
    println!("until it is in  {}", milliseconds(cost(workspace, &python, "import stent", AT_ONCE)?));
    println!(
        "import asyncio  {} more with its first use, at most",
        milliseconds(cost(workspace, &python, "import asyncio", AT_ONCE)?)
    );
    ensure!(bytes < SIZE_LIMIT_BYTES, "the wheel is too large");
    ensure!(import < IMPORT_LIMIT, "the import takes too long");
    Ok(ExitCode::SUCCESS)
}

/// The interpreter of the fresh environment, which finds nothing but what is installed there.
fn outside(workspace: &Workspace, python: &Path) -> Command {
    let mut command = workspace.tool(python);
    command.env_remove("PYTHONPATH");
    command
}

fn wheel_in(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut paths = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| path.extension().is_some_and(|end| end == "whl")).context("no wheel was built")
}

/// How a program ends whose start is timed: clearing up what was imported is a cost of its own.
const AT_ONCE: &str = "import os; os._exit(0)";

/// How programs end.
const IN_ORDER: &str = "pass";

/// What code costs beyond a bare interpreter that ends in the same way: the difference of the medians, each start beside one of
/// the other kind.
fn cost(workspace: &Workspace, python: &Path, code: &str, end: &str) -> anyhow::Result<Duration> {
    let timed = |code: &str| {
        let began = Instant::now();
        output(outside(workspace, python).args(["-c", code]))?;
        anyhow::Ok(began.elapsed())
    };
    let (mut with, mut bare) = (Vec::with_capacity(STARTS), Vec::with_capacity(STARTS));
    for _ in 0..STARTS {
        bare.push(timed(end)?);
        with.push(timed(&format!("{code}; {end}"))?);
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[STARTS / 2]
    };
    Ok(median(&mut with).saturating_sub(median(&mut bare)))
}

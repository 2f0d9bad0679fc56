//! The same workloads through the Python package: each part is a process of `python/workloads.py`, which is client and
//! worker in one. Gives it fresh databases and reads its figures.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::figure::{Figure, Part, Sample};
use crate::ground::Ground;

/// How the names of Python's figures begin.
const PREFIX: &str = "python.";

/// How many databases a part needs, each measurement its own.
const fn databases(part: Part) -> usize {
    match part {
        Part::W2 => 3,
        Part::W3 | Part::W6 | Part::W7 => 2,
        _ => 1,
    }
}

/// Measures one workload. `interpreter` must find the package.
pub fn run(part: Part, ground: &Ground, interpreter: &Path) -> anyhow::Result<Vec<Sample>> {
    let fresh: Vec<_> = (0..databases(part)).map(|_| ground.fresh_database()).collect::<Result<_, _>>()?;
    let output = Command::new(interpreter)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/workloads.py"))
        .arg(part.name())
        .args(fresh.iter().map(|database| &database.url))
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", interpreter.display()))?;
    ensure!(output.status.success(), "{} in Python: {}", part.name(), output.status);
    let said: BTreeMap<String, f64> = serde_json::from_slice(&output.stdout).context("no figures came")?;
    let figure = |name: &String| Figure::ALL.iter().find(|figure| figure.name().strip_prefix(PREFIX) == Some(name));
    said.iter()
        .map(|(name, value)| Ok(Sample::of(*figure(name).with_context(|| format!("no figure {name}"))?, *value)))
        .collect()
}

//! `cargo xtask tidy`: the rules of the house that no compiler and no linter knows. A rule is a function from the
//! project's sources to findings, pure where it can be, in the file named after what it looks at; each finding says
//! where, which rule and what to do. Rules have no switches: an exception is a named row with its reason, in the
//! rule's own file.

mod examples;
mod fences;
mod layers;
mod lines;
mod pages;
mod promises;
pub mod seeds;
mod shape;
mod source;
mod surface;
mod tokens;

use std::fmt;
use std::process::ExitCode;

use anyhow::bail;

use self::source::Source;
use crate::workspace::Workspace;

/// One breach of one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}: {}", self.path, self.line, self.rule, self.advice)
    }
}

type Rule = fn(&[Source]) -> Vec<Finding>;

/// Rules that need nothing but the sources.
const RULES: &[Rule] =
    &[lines::check, shape::check, tokens::check, examples::check, promises::check, seeds::check, pages::check];

pub fn run(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let (files, findings) = look(workspace)?;
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {files} files, {} findings", findings.len());
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same as one phase of the tests.
pub fn must_be_clean(workspace: &Workspace) -> anyhow::Result<()> {
    if run(workspace)? != ExitCode::SUCCESS {
        bail!("the house rules above are broken");
    }
    Ok(())
}

fn look(workspace: &Workspace) -> anyhow::Result<(usize, Vec<Finding>)> {
    let sources = source::read_all(workspace)?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&sources)).collect();
    findings.extend(layers::read(workspace).map_or_else(layers::unreadable, |manifests| layers::check(&manifests)));
    findings.extend(promises::check_patches(workspace, &sources));
    findings.sort();
    findings.dedup();
    Ok((sources.len(), findings))
}

//! Which crate may depend on which: imports run one way, from the core outwards. Judged by the manifests as cargo
//! reads them. What tests alone need (dev-dependencies) is free, save that nothing ever depends on xtask.

use anyhow::Context;
use serde::Deserialize;

use super::Finding;
use crate::workspace::{Workspace, output};

const RULE: &str = "direction of dependencies";

/// Each crate with all of the workspace that it may see. A new crate gets its row before its first line of code.
const LAYERS: &[(&str, &[&str])] = &[
    ("stent-core", &[]),
    ("stent-engine", &["stent-core"]),
    ("stent-sqlite", &["stent-core"]),
    ("stent-postgres", &["stent-core"]),
    ("stent-redis", &["stent-core"]),
    ("stent-storetest", &["stent-core"]),
    // What the faces' test kits share, on the in-memory model of stent-storetest.
    ("stent-testing", &["stent-core", "stent-engine", "stent-storetest"]),
    ("durable-macros", &[]),
    (
        "durable",
        &[
            "stent-core",
            "stent-engine",
            "stent-sqlite",
            "stent-postgres",
            "stent-redis",
            "stent-testing",
            "durable-macros",
        ],
    ),
    (
        "stent-python",
        &["stent-cli", "stent-core", "stent-engine", "stent-sqlite", "stent-postgres", "stent-redis", "stent-testing"],
    ),
    ("stent-cli", &["durable", "stent-core", "stent-engine", "stent-sqlite", "stent-postgres", "stent-storetest"]),
];

/// The members of the workspace, as `cargo metadata` tells of them.
#[derive(Debug, Deserialize)]
pub(super) struct Manifests {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    /// Relative to the root once read.
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `dev` or `build`; nothing for an ordinary one.
    kind: Option<String>,
    /// Where a dependency from this very workspace lies.
    path: Option<String>,
}

pub(super) fn read(workspace: &Workspace) -> anyhow::Result<Manifests> {
    let told = output(workspace.cargo().args(["metadata", "--no-deps", "--format-version", "1", "--offline"]))?;
    let mut manifests: Manifests = serde_json::from_str(&told).context("cargo metadata speaks another format")?;
    let root = format!("{}/", workspace.root().display());
    for package in &mut manifests.packages {
        if let Some(relative) = package.manifest_path.strip_prefix(&root) {
            package.manifest_path = relative.to_owned();
        }
    }
    Ok(manifests)
}

/// Manifests that cargo does not understand must not hide what the other rules found.
pub(super) fn unreadable(error: anyhow::Error) -> Vec<Finding> {
    let advice = format!("{error:#}").lines().collect::<Vec<_>>().join(" ");
    vec![Finding { path: "Cargo.toml".to_owned(), line: 1, rule: RULE, advice }]
}

pub(super) fn check(manifests: &Manifests) -> Vec<Finding> {
    manifests.packages.iter().flat_map(check_one).collect()
}

fn check_one(package: &Package) -> Vec<Finding> {
    let finding = |advice| Finding { path: package.manifest_path.clone(), line: 1, rule: RULE, advice };
    let inner = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
    let (xtask, others): (Vec<_>, Vec<_>) = inner.partition(|dependency| dependency.name == "xtask");
    let mut findings: Vec<Finding> = xtask
        .iter()
        .map(|_| finding("nothing depends on xtask: move what is shared into a crate".to_owned()))
        .collect();
    if !package.manifest_path.starts_with("crates/") {
        return findings;
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == package.name) else {
        findings.push(finding(format!("{} has no row in xtask/src/tidy/layers.rs: add it", package.name)));
        return findings;
    };
    for dependency in others.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev")) {
        if !allowed.contains(&dependency.name.as_str()) {
            let seen = if allowed.is_empty() { "nothing of the workspace".to_owned() } else { allowed.join(", ") };
            findings.push(finding(format!("{} may not see {}: it sees {seen}", package.name, dependency.name)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(name: &str, manifest_path: &str, dependencies: &str) -> Vec<String> {
        let told = format!(
            r#"{{"packages": [{{"name": "{name}", "manifest_path": "{manifest_path}", "dependencies": [{dependencies}]}}]}}"#
        );
        let manifests = serde_json::from_str(&told).unwrap();
        check(&manifests).into_iter().map(|finding| finding.advice).collect()
    }

    fn on(name: &str, kind: &str) -> String {
        format!(r#"{{"name": "{name}", "kind": {kind}, "path": "here"}}"#)
    }

    #[test]
    fn the_core_depends_on_nothing_of_the_workspace() {
        let found = advice("stent-core", "crates/stent-core/Cargo.toml", &on("stent-engine", "null"));
        assert_eq!(found, ["stent-core may not see stent-engine: it sees nothing of the workspace"]);
    }

    #[test]
    fn stores_and_engine_see_the_core_alone() {
        for name in ["stent-sqlite", "stent-engine", "stent-storetest"] {
            let manifest = format!("crates/{name}/Cargo.toml");
            assert_eq!(advice(name, &manifest, &on("stent-core", "null")), [""; 0]);
            assert_eq!(advice(name, &manifest, &on("durable", "\"build\"")).len(), 1);
        }
    }

    #[test]
    fn what_tests_need_is_free_except_for_xtask() {
        assert_eq!(advice("stent-sqlite", "crates/s/Cargo.toml", &on("stent-storetest", "\"dev\"")), [""; 0]);
        assert_eq!(advice("stent-sqlite", "crates/s/Cargo.toml", &on("xtask", "\"dev\"")).len(), 1);
        assert_eq!(advice("examples", "examples/rust/Cargo.toml", &on("xtask", "null")).len(), 1);
    }

    #[test]
    fn a_crate_without_a_row_is_named() {
        let found = advice("stent-new", "crates/stent-new/Cargo.toml", "");
        assert_eq!(found, ["stent-new has no row in xtask/src/tidy/layers.rs: add it"]);
    }

    #[test]
    fn no_row_allows_a_way_back() {
        for (name, allowed) in LAYERS {
            for seen in *allowed {
                let (_, of_seen) = LAYERS.iter().find(|(other, _)| other == seen).unwrap();
                assert!(!of_seen.contains(name), "{name} and {seen} see each other");
            }
        }
    }
}

//! What a machine must have before the tests can run: one row per need. What apt-get has is installed where that is
//! possible (as root, on Debian's kin); all else is named together with the command that installs it. Nothing is
//! skipped because it is missing.
//!
//! Cargo needs a linker to build this very program, so on a machine without any C compiler cargo speaks first.

use std::env;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use stent_servers::{Installation, PgBouncer, Redis};

use crate::workspace::{Workspace, output};

/// Something the tests need from the machine.
struct Need {
    name: &'static str,
    used_for: &'static str,
    is_there: fn(&Workspace) -> bool,
    remedy: Remedy,
}

/// How a need is met.
#[derive(Clone, Copy)]
enum Remedy {
    /// By packages of the system, installed here and now if this process may.
    Packages(&'static [&'static str]),
    /// By a command that is the developer's to run: it changes more than this project's machine.
    Command(&'static str),
}

const NEEDS: &[Need] = &[
    Need {
        name: "a C compiler",
        used_for: "the SQLite that is built into stent-sqlite",
        is_there: compiles_c,
        remedy: Remedy::Packages(&["gcc", "libc6-dev"]),
    },
    Need {
        name: "git",
        used_for: "the tidy check's list of files",
        is_there: |workspace| answers(workspace.git().arg("--version")),
        remedy: Remedy::Command("apt-get install git"),
    },
    Need {
        name: "rustfmt",
        used_for: "the phase `fmt`",
        is_there: |workspace| answers(workspace.cargo().args(["fmt", "--version"])),
        remedy: Remedy::Command("rustup component add rustfmt"),
    },
    Need {
        name: "clippy",
        used_for: "the phase `clippy`",
        is_there: |workspace| answers(workspace.cargo().args(["clippy", "--version"])),
        remedy: Remedy::Command("rustup component add clippy"),
    },
    Need {
        name: "PostgreSQL 15 or newer",
        used_for: "the tests of stent-postgres, on a server of their own",
        is_there: |_| Installation::find().is_ok(),
        // Debian's package also makes and starts a server for everyday use; the tests never touch that one.
        remedy: Remedy::Packages(&["postgresql"]),
    },
    Need {
        name: "PgBouncer",
        used_for: "the tests of stent-postgres behind a pool",
        is_there: |_| PgBouncer::is_installed(),
        remedy: Remedy::Packages(&["pgbouncer"]),
    },
    Need {
        name: "redis-server",
        used_for: "the tests of stent-redis, on a Redis of their own",
        is_there: |_| Redis::is_installed(),
        remedy: Remedy::Packages(&["redis-server"]),
    },
    Need {
        name: "the sqlite3 shell",
        used_for: "the backup that seed 003 tells people to make",
        is_there: |_| answers(Command::new("sqlite3").arg("--version")),
        remedy: Remedy::Packages(&["sqlite3"]),
    },
    Need {
        name: "Python 3.11 or newer with venv",
        used_for: "the phases of the Python package",
        is_there: |_| {
            answers(
                Command::new("python3")
                    .args(["-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"]),
            )
        },
        remedy: Remedy::Packages(&["python3", "python3-venv"]),
    },
    Need {
        name: "setpriv",
        used_for: "servers that end with the tests, and run as another user where the tests are root's",
        is_there: |_| answers(Command::new("setpriv").arg("--version")),
        remedy: Remedy::Packages(&["util-linux"]),
    },
];

/// Installs what is missing and may be installed, and names the rest. Succeeds only if nothing is missing any more.
pub fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.is_there)(workspace)).collect();
    let packages = packages_of(&missing);
    if !packages.is_empty() && may_install() {
        install(&packages)?;
    }
    let named = complaint(missing.into_iter().filter(|need| !(need.is_there)(workspace)));
    ensure!(named.is_empty(), "this machine lacks what the tests need:{named}");
    println!("nothing is missing: {}", NEEDS.iter().map(|need| need.name).collect::<Vec<_>>().join(", "));
    Ok(())
}

fn packages_of(missing: &[&Need]) -> Vec<&'static str> {
    missing
        .iter()
        .filter_map(|need| match need.remedy {
            Remedy::Packages(packages) => Some(packages),
            Remedy::Command(_) => None,
        })
        .flatten()
        .copied()
        .collect()
}

fn complaint<'a>(missing: impl Iterator<Item = &'a Need>) -> String {
    missing
        .map(|need| {
            let command = match need.remedy {
                Remedy::Packages(packages) => format!("apt-get install {} (as root)", packages.join(" ")),
                Remedy::Command(command) => command.to_owned(),
            };
            format!("\n  {}, for {}; it comes with: {command}", need.name, need.used_for)
        })
        .collect()
}

fn may_install() -> bool {
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    is_root && answers(Command::new("apt-get").arg("--version"))
}

fn install(packages: &[&str]) -> anyhow::Result<()> {
    for arguments in [&["update"][..], &[&["install", "--yes", "--no-install-recommends"], packages].concat()] {
        println!("apt-get {}", arguments.join(" "));
        let status = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .context("cannot start apt-get")?;
        if !status.success() {
            bail!("apt-get {}: {status}", arguments.join(" "));
        }
    }
    Ok(())
}

fn answers(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|end| end.success())
}

/// Whether the compiler that build scripts will use finds the C library's headers: a linker alone is not enough.
fn compiles_c(_: &Workspace) -> bool {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    answers(Command::new(compiler).args(["-fsyntax-only", "-include", "stdlib.h", "-x", "c", "/dev/null"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn need(remedy: Remedy) -> Need {
        Need { name: "a kettle", used_for: "tea", is_there: |_| false, remedy }
    }

    #[test]
    fn what_is_missing_is_named_with_its_use_and_the_command_that_brings_it() {
        let needs = [need(Remedy::Packages(&["kettle", "leaves"])), need(Remedy::Command("brew"))];
        let named = complaint(needs.iter());
        assert!(named.contains("a kettle, for tea; it comes with: apt-get install kettle leaves (as root)"), "{named}");
        assert!(named.contains("it comes with: brew"), "{named}");
    }

    #[test]
    fn only_packages_of_missing_needs_are_installed() {
        let (packaged, by_hand) = (need(Remedy::Packages(&["kettle"])), need(Remedy::Command("brew")));
        assert_eq!(packages_of(&[&packaged, &by_hand]), ["kettle"]);
    }

    #[test]
    fn a_program_that_does_not_exist_does_not_answer() {
        assert!(!answers(&mut Command::new("no-such-program-anywhere")));
    }
}

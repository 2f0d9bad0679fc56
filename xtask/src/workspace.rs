//! Where the repository lies, which files are its own, and how its tools (cargo, git) are started. Knows no
//! subcommand. Everything runs in the repository's root, wherever the developer stands.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

/// The repository on this machine.
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The repository this program was started from.
    pub fn find() -> anyhow::Result<Self> {
        // `cargo run` names the manifest it runs; the path baked in at build time serves a binary started by hand.
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest_dir).parent().context("xtask lies in no folder")?;
        ensure!(root.join("Cargo.toml").is_file(), "{} has no Cargo.toml", root.display());
        Ok(Self::at(root))
    }

    /// A repository at a place of the caller's.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root folder, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The cargo that started this program, in the root.
    pub fn cargo(&self) -> Command {
        self.tool(&env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from))
    }

    /// Where one of the project's programs lies once it is built as the tests were. A build of its package alone would
    /// choose other features of its dependencies, and build most of them a second time.
    pub fn program_of_the_tests(&self, name: &str) -> anyhow::Result<PathBuf> {
        let status = self.cargo().args(["build", "--quiet", "--workspace", "--bin", name]).status();
        let status = status.context("cannot start cargo")?;
        ensure!(status.success(), "cannot build {name}: {status}");
        Ok(self.root.join("target/debug").join(name))
    }

    /// A program in the root.
    pub fn tool(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// Git in the root. What a hook may have put into the environment would point it elsewhere.
    pub fn git(&self) -> Command {
        let mut command = self.tool(Path::new("git"));
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
            command.env_remove(name);
        }
        command
    }

    /// The files of the project that exist now: tracked ones, and new ones that are not ignored. Paths are relative
    /// to the root, with `/`, sorted.
    pub fn files(&self) -> anyhow::Result<Vec<String>> {
        let listed = output(self.git().args(["ls-files", "-co", "--exclude-standard", "-z"]))?;
        let mut files: Vec<String> = listed
            .split('\0')
            .filter(|path| !path.is_empty() && self.root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }
}

/// What a command prints, if it ends well; else an error with what it complained of.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ended = command.output().with_context(|| format!("cannot start {name}"))?;
    if !ended.status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let complaint = String::from_utf8_lossy(&ended.stderr);
        bail!("{name} {}: {}: {}", arguments.join(" "), ended.status, complaint.trim());
    }
    String::from_utf8(ended.stdout).with_context(|| format!("{name} printed what is not UTF-8"))
}

//! Real processes: this test binary runs itself again with a role in the environment, so that signals, kills and the
//! kernel's locks are the real ones. Roles open the same database; they speak through files in one folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::World;

const ROLE: &str = "STENT_SCENARIO_ROLE";
const FILE: &str = "STENT_SCENARIO_FILE";
const URL: &str = "STENT_SCENARIO_URL";
const LABEL: &str = "STENT_SCENARIO_LABEL";

/// The test whose only work is to play a role, when there is one.
const STAGE: &str = "ownership::a_process_plays_its_role";

/// Another process; killed when dropped.
pub(crate) struct Process {
    child: Child,
}

/// What a process was told to be.
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    /// Where the database is, if it is on a server.
    pub(crate) url: Option<String>,
    pub(crate) label: String,
}

impl Role {
    /// The role of this process, if it has one.
    pub(crate) fn mine() -> Option<Self> {
        let name = std::env::var(ROLE).ok()?;
        let (file, url) = (std::env::var_os(FILE)?.into(), std::env::var(URL).ok());
        Some(Self { name, file, url, label: std::env::var(LABEL).unwrap_or_default() })
    }

    /// Says to the others that something is so.
    pub(crate) fn say(&self, what: &str) {
        let said = beside(&self.file, &format!("{}-{what}", self.label));
        std::fs::write(said, std::process::id().to_string()).unwrap();
    }

    /// Adds a line to the ledger that all processes share.
    pub(crate) fn note(&self, line: &str) {
        note(&self.file, line);
    }
}

fn beside(file: &Path, what: &str) -> PathBuf {
    file.with_file_name(what)
}

/// One line in the shared ledger: written in one go, so that a kill leaves none half there.
pub(crate) fn note(file: &Path, line: &str) {
    use std::io::Write;
    let mut ledger = std::fs::OpenOptions::new().append(true).create(true).open(beside(file, "ledger")).unwrap();
    ledger.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The lines of the shared ledger.
pub(crate) fn ledger(file: &Path) -> Vec<String> {
    std::fs::read_to_string(beside(file, "ledger")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Whether the process with this label has said it.
pub(crate) fn has_said(file: &Path, label: &str, what: &str) -> bool {
    beside(file, &format!("{label}-{what}")).exists()
}

/// Tells those that wait for it to go on.
pub(crate) fn go_on(world: &World) {
    std::fs::write(beside(world.path(), "test-go on"), "").unwrap();
}

/// Waits until it has.
pub(crate) async fn says(file: &Path, label: &str, what: &str) {
    let since = Instant::now();
    while !has_said(file, label, what) {
        assert!(since.elapsed() < Duration::from_secs(40), "{label} never says that it is at \"{what}\"");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl Process {
    /// Starts another process in this role on this database.
    pub(crate) fn start(role: &str, world: &World, label: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", STAGE, "--nocapture", "--test-threads", "1"]);
        command.env(ROLE, role).env(FILE, world.path()).env(LABEL, label).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(url) = world.url() {
            command.env(URL, url);
        }
        Self { child: command.spawn().unwrap() }
    }

    /// Sends it a signal: "STOP", "CONT", "KILL".
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "kill -{signal}");
    }

    /// Stops it at a moment at which it writes nothing: on a file it cannot be its turn, for the turn is held here until
    /// the process stands still.
    pub(crate) fn stop_between_writes(&self, world: &World) {
        let lock = |what: &str| {
            let name = world.path().file_name().unwrap().to_string_lossy();
            let file = std::fs::File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(beside(world.path(), &format!("{name}-{what}")));
            let file = file.unwrap();
            file.lock().unwrap();
            file
        };
        let turn = world.url().is_none().then(|| [lock("gate"), lock("turn")]);
        self.signal("STOP");
        while !self.stands_still() {
            std::thread::yield_now();
        }
        drop(turn);
    }

    /// Whether a signal has stopped each of its threads, as the kernel tells.
    fn stands_still(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        threads.into_iter().all(|thread| {
            // One that has just ended writes nothing either.
            let status = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
            // The state comes behind the name, which stands in brackets and may hold anything.
            status.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('T'))
        })
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self) {
        while self.child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) async fn kill(mut self) {
        self.signal("KILL");
        self.end().await;
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only what we started, and only while it is ours to wait for.
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

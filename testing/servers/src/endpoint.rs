//! How a server is reached, and what PostgreSQL's own programs do with it: SQL through `psql`, dumps. The same for
//! servers of our own and for one that somebody else started.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::account::without_pg_variables;
use crate::installation::Installation;
use crate::processes::{GLANCE, has_ended_within};

/// The role that may do everything.
pub(crate) const SUPERUSER: &str = "postgres";

/// The database that is always there.
pub(crate) const MAINTENANCE: &str = "postgres";

/// How long a program may work on a server before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server's address.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) installation: Installation,
    /// The folder of its unix socket.
    pub(crate) sockets: PathBuf,
    pub(crate) port: u16,
    /// Whether it cannot answer just now, so that nobody asks it in vain.
    pub(crate) is_silent: AtomicBool,
}

impl Endpoint {
    pub(crate) fn new(installation: Installation, sockets: PathBuf, port: u16) -> Self {
        Self { installation, sockets, port, is_silent: AtomicBool::new(false) }
    }

    /// A server by libpq's words for it: `host=/its/sockets port=20001`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let word = |name: &str| text.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let wanted = || format!("a server is named like `host=/folder/of/its/socket port=20001`, not `{text}`");
        let sockets = word("host").filter(|host| Path::new(host).is_absolute()).with_context(wanted)?;
        let port = word("port").and_then(|port| port.parse().ok()).with_context(wanted)?;
        Ok(Self::new(Installation::find()?, sockets.into(), port))
    }

    /// What [`Endpoint::parse`] reads; psql does too.
    pub(crate) fn words(&self) -> String {
        format!("host={} port={} user={SUPERUSER}", self.sockets.display(), self.port)
    }

    /// A program of PostgreSQL's that is told where the server is and as whom to come.
    pub(crate) fn client(&self, program: &str, user: &str, database: &str) -> Command {
        let mut command = Command::new(self.installation.program(program));
        without_pg_variables(&mut command);
        command.env("PGHOST", &self.sockets).env("PGPORT", self.port.to_string());
        command.env("PGUSER", user).env("PGDATABASE", database);
        // What a user may have put into a home folder is none of the tests' business.
        command.env("PGPASSFILE", "/dev/null").env("PGSERVICEFILE", "/dev/null");
        command
    }

    /// SQL through `psql`, each statement by itself: the text of all rows, `|` between columns. Ends at the first
    /// error.
    pub(crate) fn psql(&self, user: &str, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut command = self.psql_command(user, database);
        run(&mut command, sql, PATIENCE)
    }

    pub(crate) fn psql_command(&self, user: &str, database: &str) -> Command {
        let mut command = self.client("psql", user, database);
        command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]);
        command
    }

    /// A statement that tidies up: the server may be gone, and nobody waits for it then.
    pub(crate) fn tidy_up(&self, sql: &str) {
        if !self.is_silent.load(Ordering::Acquire) {
            let mut command = self.psql_command(SUPERUSER, MAINTENANCE);
            drop(run(&mut command, sql, Duration::from_secs(20)));
        }
    }
}

/// Runs a program to its end with a text as its input: what it printed, without the last line break.
pub(crate) fn run(command: &mut Command, input: &str, limit: Duration) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let started = Instant::now();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // All three at once: a program that waits for one of them to move would wait for ever. A program that ends before
    // it has read everything is judged by its status.
    let (status, printed, complaint) = thread::scope(|scope| {
        scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        let printed = scope.spawn(|| read_all(stdout));
        let complaint = scope.spawn(|| read_all(stderr));
        let in_time = has_ended_within(&mut child, limit);
        if !matches!(in_time, Ok(true)) {
            drop(child.kill());
        }
        (child.wait(), printed.join().unwrap_or_default(), complaint.join().unwrap_or_default())
    });
    let status: ExitStatus = status.with_context(|| format!("cannot look after {name}"))?;
    ensure!(started.elapsed() < limit || status.success(), "{name} came to no end in {limit:?}");
    if !status.success() {
        bail!("{name}: {status}: {}", complaint.trim());
    }
    Ok(printed.strip_suffix('\n').unwrap_or(&printed).to_owned())
}

fn read_all(source: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut source) = source {
        // A killed program's output ends where it ends.
        drop(source.read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until something is so.
pub(crate) fn await_until(limit: Duration, mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<bool> {
    let deadline = Instant::now() + limit;
    while !is_so()? {
        if Instant::now() > deadline {
            return Ok(false);
        }
        thread::sleep(GLANCE);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_in_words_that_are_read_back() {
        let named = Endpoint::parse("host=/var/tmp/sockets port=20017 user=postgres").unwrap();
        let again = Endpoint::parse(&named.words()).unwrap();
        assert_eq!((again.sockets.to_str(), again.port), (Some("/var/tmp/sockets"), 20017));
        for bad in ["", "port=20017", "host=localhost port=20017", "host=/var/tmp port=many"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let error = run(Command::new("sleep").arg("60"), "", Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("came to no end"), "{error}");
    }

    #[test]
    fn more_text_than_a_pipe_holds_goes_in_and_comes_out() {
        let text = "x".repeat(1 << 20);
        assert_eq!(run(&mut Command::new("cat"), &text, PATIENCE).unwrap(), text);
    }
}

//! The worker process, as the demo holds it: this same program with another subcommand. It ends with its input, so it
//! never outlives whoever started it.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::place::Place;

/// How long a worker may take to end once it is asked to.
const FAREWELL: Duration = Duration::from_secs(10);

/// How often a process that is to end is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// A running worker; killed if it is dropped while it runs.
pub(super) struct WorkerProcess(Child);

impl WorkerProcess {
    pub(super) fn start(place: &Place) -> anyhow::Result<Self> {
        let mut program = match crate::HOST.get() {
            Some(words) => words.iter(),
            None => [].iter(),
        };
        let own = std::env::current_exe().context("cannot find this program")?;
        let child = Command::new(program.next().unwrap_or(&own.into_os_string()))
            .args(program)
            .arg("demo-worker")
            .arg("--dir")
            .arg(place.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start a worker process")?;
        Ok(Self(child))
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// An error if it has ended of itself, which nobody asked it to.
    pub(super) fn must_live(&mut self) -> anyhow::Result<()> {
        match self.0.try_wait().context("cannot look after the worker process")? {
            None => Ok(()),
            Some(status) => bail!("the worker process {} ended by itself: {status}", self.pid()),
        }
    }

    /// `kill -9`: the process gets no chance to do anything more.
    pub(super) fn kill(mut self) -> anyhow::Result<ExitStatus> {
        self.0.kill().context("cannot kill the worker process")?;
        self.0.wait().context("cannot look after the worker process")
    }

    /// Lets it end in good order.
    pub(super) async fn dismiss(mut self) -> anyhow::Result<()> {
        drop(self.0.stdin.take());
        let ended = async {
            loop {
                match self.0.try_wait() {
                    Ok(None) => tokio::time::sleep(GLANCE).await,
                    Ok(Some(status)) if !status.success() => bail!("the last worker ended badly: {status}"),
                    Ok(Some(_)) => return Ok(()),
                    Err(error) => return Err(error).context("cannot look after the worker process"),
                }
            }
        };
        tokio::time::timeout(FAREWELL, ended).await.context("the last worker does not end")?
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // Nothing to be done about a failure: it means that the process has ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

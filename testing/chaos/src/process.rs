//! Worker processes from outside: start, kill, dismiss. Each start is another life, and every turn of it is in the
//! ledger.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::sync::watch;

use crate::ledger::Ledger;
use crate::line::{Life, Subject, Verb};
use crate::place::Place;

/// How long a worker may take to open the store and serve.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How long it waits for a store that may be away: beyond the longest outage of a server, and that of a pool.
const AWAY_LIMIT: Duration = Duration::from_secs(60);

/// How long a worker may take to end once it is asked to.
const DRAIN_LIMIT: Duration = Duration::from_secs(40);

/// How often a process that is to end is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// The workers of a run: as many processes as there are places, each place filled again when its process is killed.
pub struct Workers {
    place: Place,
    ledger: Arc<Ledger>,
    launch: Launch,
    processes: Vec<Process>,
    lives: u32,
}

/// How every worker is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The address of the store.
    pub url: String,
    pub concurrency: usize,
    /// Whether the store may be away when one starts.
    pub may_wait: bool,
    pub workload: Workload,
    pub program: Program,
}

/// What a worker process is.
#[derive(Clone, Debug)]
pub enum Program {
    /// This program.
    Own,
    /// The worker in Python, run by this interpreter, which must find the package.
    Python(PathBuf),
}

impl Program {
    fn command(&self) -> anyhow::Result<Command> {
        Ok(match self {
            Self::Own => {
                let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
                command.arg("worker");
                command
            }
            Self::Python(interpreter) => {
                let mut command = Command::new(interpreter);
                command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/worker.py"));
                command
            }
        })
    }
}

/// What a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Executions of many steps: nothing is lost, nothing recorded is computed again.
    Steps,
    /// Many callers of the same keys: one result for each.
    Idempotent,
}

struct Process {
    child: Child,
    life: Life,
    is_up: watch::Receiver<bool>,
}

impl Workers {
    pub fn start(place: &Place, ledger: &Arc<Ledger>, count: usize, launch: Launch) -> anyhow::Result<Self> {
        let (place, ledger) = (place.clone(), ledger.clone());
        let mut workers = Self { place, ledger, launch, processes: Vec::new(), lives: 0 };
        for _ in 0..count {
            let process = workers.begin_life()?;
            workers.processes.push(process);
        }
        Ok(workers)
    }

    fn begin_life(&mut self) -> anyhow::Result<Process> {
        self.lives += 1;
        let mut child = self.launch.program.command()?;
        let mut child = child
            .arg("--dir")
            .arg(self.place.dir())
            .args(["--url", &self.launch.url, "--life", &self.lives.to_string()])
            .args(["--concurrency", &self.launch.concurrency.to_string()])
            .args(["--workload", self.launch.workload.name()])
            .args(["--patience-ms", &self.launch.patience().as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a worker process")?;
        let life = Life { number: self.lives, pid: child.id() };
        let (tell, is_up) = watch::channel(false);
        let output = child.stdout.take().context("the worker process has no output")?;
        let ledger = self.ledger.clone();
        std::thread::spawn(move || announce(output, &ledger, life, &tell));
        Ok(Process { child, life, is_up })
    }

    /// Kills the process in a place, once it is up, and starts another there.
    pub async fn kill(&mut self, index: usize) -> anyhow::Result<()> {
        self.up(index).await?;
        self.end_life(index)?;
        self.processes[index] = self.begin_life()?;
        Ok(())
    }

    /// Kills all of them, once they are up, and starts as many again after a while.
    pub async fn kill_all(&mut self, away: Duration) -> anyhow::Result<()> {
        for index in 0..self.processes.len() {
            self.up(index).await?;
        }
        for index in 0..self.processes.len() {
            self.end_life(index)?;
        }
        tokio::time::sleep(away).await;
        for index in 0..self.processes.len() {
            self.processes[index] = self.begin_life()?;
        }
        for index in 0..self.processes.len() {
            self.up(index).await?;
        }
        Ok(())
    }

    fn end_life(&mut self, index: usize) -> anyhow::Result<()> {
        let process = &mut self.processes[index];
        let life = process.life;
        self.ledger.add_of(life, Verb::Kill, Subject::none(), 0)?;
        process.child.kill().context("cannot kill a worker process")?;
        process.child.wait().context("cannot look after a worker process")?;
        self.ledger.add_of(life, Verb::Dead, Subject::none(), 0)?;
        Ok(())
    }

    /// When the process in a place serves.
    pub async fn up(&mut self, index: usize) -> anyhow::Result<()> {
        let process = &mut self.processes[index];
        let limit = START_LIMIT + self.launch.patience();
        let up = tokio::time::timeout(limit, process.is_up.wait_for(|is_up| *is_up)).await;
        let up = up.with_context(|| format!("worker {} does not serve", process.life.number))?;
        ensure!(up.is_ok(), "worker {} ended before it served", process.life.number);
        Ok(())
    }

    pub fn count(&self) -> usize {
        self.processes.len()
    }

    /// An error if one has ended that nobody killed.
    pub fn must_live(&mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            if let Some(status) = process.child.try_wait().context("cannot look after a worker process")? {
                bail!("worker {} (pid {}) ended by itself: {status}", process.life.number, process.life.pid);
            }
        }
        Ok(())
    }

    /// Lets all end in good order.
    pub async fn dismiss(mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            drop(process.child.stdin.take());
        }
        let asked = Instant::now();
        for process in &mut self.processes {
            loop {
                if let Some(status) = process.child.try_wait().context("cannot look after a worker process")? {
                    ensure!(status.success(), "worker {} ended badly: {status}", process.life.number);
                    break;
                }
                ensure!(asked.elapsed() < DRAIN_LIMIT, "worker {} does not end", process.life.number);
                tokio::time::sleep(GLANCE).await;
            }
        }
        Ok(())
    }
}

impl Workload {
    /// As it is written on a command line.
    const fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Idempotent => "idempotent",
        }
    }
}

impl Launch {
    const fn patience(&self) -> Duration {
        if self.may_wait { AWAY_LIMIT } else { Duration::ZERO }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing to be done about a failure: it means that the process has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Passes on that a worker serves. If it never says so, `tell` is dropped, and whoever waits learns of that.
fn announce(mut output: ChildStdout, ledger: &Ledger, life: Life, tell: &watch::Sender<bool>) {
    if matches!(output.read(&mut [0; 3]), Ok(read) if read > 0)
        && ledger.add_of(life, Verb::Up, Subject::none(), 0).is_ok()
    {
        tell.send_replace(true);
        // Stays until the process has ended, so that its output is never a closed pipe.
        drop(output.read_to_end(&mut Vec::new()));
    }
}

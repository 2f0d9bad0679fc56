//! A real Redis of a test's own: Debian's, which keeps nothing on the disk here. It is hurt as a machine would be: ended,
//! started again at the same address, or paused with its connections standing.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::account::Account;
use crate::endpoint::await_until;
use crate::home::{Home, scratch};
use crate::installation::program;
use crate::ports::{free_port, local};

/// How long it may take to listen.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running Redis. Ended, and its folder removed, when dropped.
#[derive(Debug)]
pub struct Redis {
    account: Account,
    program: PathBuf,
    child: Option<Child>,
    port: u16,
    home: Home,
}

impl Redis {
    /// Whether this machine has it.
    pub fn is_installed() -> bool {
        program("redis-server").is_some()
    }

    /// Starts one, and returns when it listens.
    ///
    /// # Errors
    ///
    /// If this machine has none, or it does not start; what it says is part of the error.
    pub fn start() -> anyhow::Result<Self> {
        let program = program("redis-server").context("there is no redis-server: apt-get install redis-server")?;
        let account = Account::of_servers()?;
        let home = Home::make_in(&scratch()?, &account)?;
        let mut redis = Self { account, program, child: None, port: free_port()?, home };
        redis.launch()?;
        Ok(redis)
    }

    /// Its address over TCP.
    pub fn address(&self) -> SocketAddr {
        local(self.port)
    }

    /// Its address as clients write it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Ends it, all of its connections with it.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // It keeps nothing, so the hard way is as good as any, and takes a paused one too.
        drop(child.kill());
        drop(child.wait());
    }

    /// Starts it again at the same address. One that runs is stopped first.
    ///
    /// # Errors
    ///
    /// As [`Redis::start`].
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop();
        self.launch()
    }

    /// Stops it where it is: connections stay, the kernel accepts new ones, nothing is answered.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused one go on.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("this Redis does not run")?;
        kill_process(Pid::from_child(child), signal).context("cannot signal Redis")
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        let log_path = self.home.folder().join("log");
        let log = File::create(&log_path).context("cannot make the log of Redis")?;
        let mut command = self.account.server_command(&self.program, "KILL");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", "", "--appendonly", "no"]);
        command.current_dir(self.home.folder()).stdin(Stdio::null());
        command.stderr(log.try_clone().context("cannot share the log of Redis")?).stdout(log);
        let mut child = crate::keeper::spawn(command).context("cannot start Redis")?;
        let said = || fs::read_to_string(&log_path).unwrap_or_default();
        let listens = await_until(START_LIMIT, || {
            if let Some(end) = child.try_wait().context("cannot look after Redis")? {
                bail!("Redis ended at its start: {end}\n{}", said());
            }
            Ok(TcpStream::connect(local(self.port)).is_ok())
        });
        self.child = Some(child);
        match listens {
            Ok(true) => Ok(()),
            Ok(false) => bail!("Redis does not listen after {START_LIMIT:?}\n{}", said()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

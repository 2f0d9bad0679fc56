//! One PostgreSQL of our own: its folder, its settings, its process. Starts, stops and hurts it; knows no databases.
//! Port and socket stay the same over all of its lives.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::account::{Account, without_pg_variables};
use crate::endpoint::await_until;
use crate::home::{Home, scratch};
use crate::installation::Installation;
use crate::ports::{free_port, local};
use crate::pristine;
use crate::processes::{self, Signal, has_ended_within, kill_all_in, pid_of, signal_all_in};

/// How long a server may take until it serves; recovery after a crash is part of it.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long a server may take to end once it is asked to, before it is asked in another way.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How many ports are tried before a server that cannot bind one counts as broken.
const PORT_TRIES: usize = 5;

/// The longest path of a socket that the kernel takes, with room for its name.
const SOCKET_FOLDER_BYTES: usize = 107 - "/sockets/.s.PGSQL.65535.lock".len();

/// How much of the log an error shows.
const LOG_TAIL_LINES: usize = 25;

/// What every server of ours is set to; `fsync` and `synchronous_commit` are PostgreSQL's own, and said aloud.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_permissions", "0777"),
    ("max_connections", "200"),
    ("shared_buffers", "256MB"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("log_line_prefix", "%m [%p] %u@%d "),
    ("lc_messages", "C"),
];

/// How a server is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Sessions are ended, everything is written down.
    Fast,
    /// As after a crash: the next start recovers.
    AtOnce,
}

/// A server's folder and, while it runs, its process. Removed and ended when dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    account: Account,
    pub(crate) installation: Installation,
    child: Option<Child>,
    is_paused: bool,
    pub(crate) port: u16,
    pub(crate) sockets: PathBuf,
    data: PathBuf,
    log: PathBuf,
    // Removed last, when no process works in them any more.
    _homes: Vec<Home>,
}

impl Cluster {
    /// A server in a new folder, serving.
    pub(crate) fn start_new(folder: Option<&Path>, settings: &[(String, String)]) -> anyhow::Result<Self> {
        let (installation, account) = (Installation::find()?, Account::of_servers()?);
        let scratch = scratch()?;
        let mut homes = vec![Home::make_in(folder.unwrap_or(&scratch), &account)?];
        let data = homes[0].folder().join("data");
        let log = homes[0].folder().join("log");
        if homes[0].folder().as_os_str().len() > SOCKET_FOLDER_BYTES {
            homes.push(Home::make_in(&scratch, &account)?);
        }
        let sockets = homes[homes.len() - 1].folder().join("sockets");
        fs::create_dir(&sockets).context("cannot make the folder of the socket")?;
        account.own(&sockets)?;
        let port = free_port()?;
        let mut cluster =
            Self { account, installation, child: None, is_paused: false, port, sockets, data, log, _homes: homes };
        cluster.make_folder(settings)?;
        for _ in 1..PORT_TRIES {
            match cluster.start() {
                // Somebody took the port since it was found free.
                Err(_) if TcpListener::bind(local(cluster.port)).is_err() => cluster.port = free_port()?,
                outcome => return outcome.map(|()| cluster),
            }
        }
        cluster.start().map(|()| cluster)
    }

    fn make_folder(&self, settings: &[(String, String)]) -> anyhow::Result<()> {
        pristine::copy_to(&self.data, &self.installation, &self.account)?;
        let ours = SETTINGS.iter().map(|(name, value)| setting(name, value));
        let given = settings.iter().map(|(name, value)| setting(name, value));
        let sockets = setting("unix_socket_directories", &self.sockets.to_string_lossy());
        let lines: String = ours.chain(given).chain([sockets]).collect();
        // Written as this process, read as the account's: the file keeps its owner.
        let file = self.data.join("postgresql.conf");
        let made = fs::read_to_string(&file).context("initdb made no settings")?;
        fs::write(&file, made + &lines).context("cannot write the server's settings")?;
        fs::write(self.data.join("pg_hba.conf"), crate::server::host_rules()).context("cannot write who may come")
    }

    /// Starts the process, and returns when it serves.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "the server runs already");
        let log = File::options().append(true).create(true).open(&self.log).context("cannot open the server's log")?;
        let mut command = self.account.server_command(&self.installation.program("postgres"), "QUIT");
        without_pg_variables(&mut command);
        command.arg("-D").arg(&self.data).args(["-p", &self.port.to_string()]).current_dir(&self.data);
        command.stdin(Stdio::null()).stderr(log.try_clone().context("cannot share the server's log")?).stdout(log);
        let mut child = crate::keeper::spawn(command).context("cannot start PostgreSQL")?;
        let id = child.id().to_string();
        let status = self.data.join("postmaster.pid");
        let is_ready = await_until(START_LIMIT, || {
            if let Some(end) = child.try_wait().context("cannot look after PostgreSQL")? {
                bail!("PostgreSQL ended at its start: {end}\n{}", self.log_tail());
            }
            // A killed server leaves the file behind: only the one with our process in it counts.
            let told = fs::read_to_string(&status).unwrap_or_default();
            Ok(told.lines().next() == Some(&id) && told.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
        });
        self.child = Some(child);
        match is_ready {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.kill();
                bail!("PostgreSQL does not serve after {START_LIMIT:?}\n{}", self.log_tail())
            }
            Err(error) => {
                self.child = None;
                Err(error)
            }
        }
    }

    /// Ends the process, if there is one; in harder ways if it does not end.
    pub(crate) fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        if self.is_paused {
            self.resume();
        }
        let Some(child) = &mut self.child else { return Ok(()) };
        let gentle = if how == Stop::Fast { Some(Signal::INT) } else { None };
        for signal in gentle.into_iter().chain([Signal::QUIT]) {
            if let Some(pid) = pid_of(child) {
                processes::send(pid, signal);
            }
            if has_ended_within(child, STOP_LIMIT).context("cannot look after PostgreSQL")? {
                self.child = None;
                return Ok(());
            }
        }
        self.kill();
        Ok(())
    }

    /// A crash: all processes are killed, none of them gets to say anything.
    pub(crate) fn kill(&mut self) {
        // The first one sees to it that the others do not learn of each other's death.
        signal_all_in(&self.data, Signal::STOP);
        kill_all_in(&self.data);
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        self.is_paused = false;
    }

    /// Stops all processes where they are.
    pub(crate) fn pause(&mut self) {
        signal_all_in(&self.data, Signal::STOP);
        self.is_paused = true;
    }

    /// Lets them go on.
    pub(crate) fn resume(&mut self) {
        signal_all_in(&self.data, Signal::CONT);
        self.is_paused = false;
    }

    /// Whether it can answer.
    pub(crate) fn is_serving(&self) -> bool {
        self.child.is_some() && !self.is_paused
    }

    /// The file it writes its log to.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nobody will read the folder again, so nothing needs to be written down.
        drop(self.stop(Stop::AtOnce));
    }
}

fn setting(name: &str, value: &str) -> String {
    format!("{name} = '{}'\n", value.replace('\'', "''"))
}

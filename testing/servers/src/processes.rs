//! The processes of a server: found by the folder they work in (PostgreSQL and PgBouncer change into theirs), signalled
//! together, waited for with a limit.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use rustix::process::{Pid, Signal};

/// How often a process that is to end or to be ready is looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(3);

/// Programs that are ever signalled: a shell that somebody opened in the folder is not.
const SERVERS: &[&str] = &["postgres", "pgbouncer", "redis-server", "setpriv"];

/// The servers' processes that work in a folder or below.
pub(crate) fn working_in(folder: &Path) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let works_in = fs::read_link(entry.path().join("cwd")).ok()?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            (works_in.starts_with(folder) && SERVERS.contains(&name.trim())).then_some(pid)
        })
        .collect()
}

/// Signals every process in a folder, those that are born meanwhile included: until no new one is found.
pub(crate) fn signal_all_in(folder: &Path, signal: Signal) {
    let mut told = Vec::new();
    loop {
        let fresh: Vec<Pid> = working_in(folder).into_iter().filter(|pid| !told.contains(pid)).collect();
        if fresh.is_empty() {
            return;
        }
        for pid in fresh {
            send(pid, signal);
            told.push(pid);
        }
    }
}

/// Kills every process in a folder and returns when none is left (or after a while, if the kernel holds one back).
pub(crate) fn kill_all_in(folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left = working_in(folder);
        if left.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in left {
            send(pid, Signal::KILL);
        }
        thread::sleep(GLANCE);
    }
}

/// Sends a signal. A process that has ended meanwhile needs none.
pub(crate) fn send(pid: Pid, signal: Signal) {
    let _has_ended = rustix::process::kill_process(pid, signal);
}

/// The id of a child, to send signals to.
pub(crate) fn pid_of(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// Waits for a child's end, and says whether it came in time.
pub(crate) fn has_ended_within(child: &mut Child, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            return Ok(false);
        }
        thread::sleep(GLANCE);
    }
    Ok(true)
}

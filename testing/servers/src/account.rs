//! Whom the servers run as. PostgreSQL and PgBouncer refuse root, so root's servers run as `postgres` or `nobody`; those
//! of anybody else run as themselves. Also what makes a server end with the process that started it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::installation::program;

/// Users that root's servers may run as: the first that exists.
const CANDIDATES: &[&str] = &["postgres", "nobody"];

/// Who a server is.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// Whom to become; nobody else when this process is not root.
    other: Option<Other>,
}

#[derive(Debug, Clone)]
struct Other {
    uid: u32,
    gid: u32,
    name: String,
}

impl Account {
    /// The account that servers of this process run as.
    pub(crate) fn of_servers() -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { other: None });
        }
        ensure!(
            program("setpriv").is_some(),
            "PostgreSQL does not run as root, and there is no setpriv to become another user with: apt-get install util-linux"
        );
        let users = fs::read_to_string("/etc/passwd").context("cannot read the list of users")?;
        let other = CANDIDATES.iter().find_map(|name| find_user(&users, name)).with_context(|| {
            format!("PostgreSQL does not run as root, and there is none of the users {}", CANDIDATES.join(", "))
        })?;
        Ok(Self { other: Some(other) })
    }

    /// A program run as this account.
    pub(crate) fn command(&self, program: &Path) -> Command {
        self.with_options(program, None)
    }

    /// A program run as this account that is sent a signal ("QUIT", "KILL") when the thread that starts it ends, in a
    /// process group of its own, so that an interrupted terminal does not reach it before its owner.
    pub(crate) fn server_command(&self, program: &Path, signal_at_death: &str) -> Command {
        let mut command = self.with_options(program, Some(signal_at_death));
        command.process_group(0);
        command
    }

    fn with_options(&self, run: &Path, signal_at_death: Option<&str>) -> Command {
        let mut options: Vec<String> = Vec::new();
        if let Some(Other { uid, gid, name }) = &self.other {
            options.extend(["--reuid", &uid.to_string(), "--regid", &gid.to_string()].map(str::to_owned));
            // Groups are those of the name, where there are any.
            options.push(if name == "postgres" { "--init-groups" } else { "--clear-groups" }.to_owned());
        }
        if let Some(signal) = signal_at_death {
            options.extend(["--pdeathsig", signal].map(str::to_owned));
        }
        match program("setpriv") {
            Some(setpriv) if !options.is_empty() => {
                let mut command = Command::new(setpriv);
                command.args(options).arg("--").arg(run);
                command
            }
            // Without setpriv nothing but a drop ends the server. Root has been refused above.
            _ => Command::new(run),
        }
    }

    /// The number of its user.
    pub(crate) fn uid(&self) -> u32 {
        self.other.as_ref().map_or_else(|| rustix::process::geteuid().as_raw(), |other| other.uid)
    }

    /// Makes a file or folder this account's.
    pub(crate) fn own(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(Other { uid, gid, name }) = &self.other {
            chown(path, Some(*uid), Some(*gid)).with_context(|| format!("cannot give {} to {name}", path.display()))?;
        }
        Ok(())
    }
}

/// A user in the text of `/etc/passwd`.
fn find_user(users: &str, name: &str) -> Option<Other> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (found, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (found == name).then(|| Other { uid, gid, name: name.to_owned() })
    })
}

/// Takes away what libpq would read from the environment of whoever runs the tests.
pub(crate) fn without_pg_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_libpq(name)) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C");
}

fn is_of_libpq(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"PG")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\npostgresql:x:7:8:::\npostgres:x:101:104:PostgreSQL:/var:/bin/bash\n";
        let found = find_user(users, "postgres").unwrap();
        assert_eq!((found.uid, found.gid), (101, 104));
        assert!(find_user(users, "nobody").is_none());
    }
}

//! A server's folder as `initdb` makes it, made once and copied from then on: a copy takes a tenth of the time.
//! Kept for as long as the machine keeps its temporary files, one per version of PostgreSQL and account.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, ensure};

use crate::account::{Account, without_pg_variables};
use crate::endpoint::{SUPERUSER, run};
use crate::home::{Home, scratch};
use crate::installation::Installation;

/// How long making and copying may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Makes a new server's folder.
pub(crate) fn copy_to(data: &Path, installation: &Installation, account: &Account) -> anyhow::Result<()> {
    let scratch = scratch()?;
    let kept = scratch.join(format!("initdb-{}-{}", installation.version(), account.uid()));
    if !kept.is_dir() {
        make(&kept, &scratch, installation, account)?;
    }
    let mut copy = account.command(Path::new("cp"));
    copy.args(["-a", "--reflink=auto"]).arg(&kept).arg(data);
    run(&mut copy, "", LIMIT).with_context(|| format!("no new server in {}", data.display()))?;
    Ok(())
}

fn make(kept: &Path, scratch: &Path, installation: &Installation, account: &Account) -> anyhow::Result<()> {
    let home = Home::make_in(scratch, account)?;
    let fresh: PathBuf = home.folder().join("fresh");
    let mut initdb = account.command(&installation.program("initdb"));
    without_pg_variables(&mut initdb);
    initdb.arg("-D").arg(&fresh).args(["-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]);
    // Synced, as initdb does by itself: it outlives a power cut, and is not to be looked at again after one.
    run(initdb.arg("--no-instructions"), "", LIMIT).context("initdb makes no folder")?;
    let placed = fs::rename(&fresh, kept);
    // Somebody else may have been faster.
    let is_there = placed.is_ok() || placed.as_ref().is_err_and(is_taken);
    ensure!(is_there, "cannot keep {}: {placed:?}", kept.display());
    Ok(())
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists)
}

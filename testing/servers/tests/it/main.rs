//! The servers as tests use them: real processes, real crashes, real sockets.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod access;
mod lives;
mod network;
mod pool;

/// How long something may take before it counts as hanging.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The result of running psql on a URL: a connection of its own.
fn psql_at(url: &str, sql: &str) -> Result<String, String> {
    let psql = stent_servers::Installation::find().unwrap().program("psql");
    let ran = std::process::Command::new(psql)
        .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
        .output()
        .unwrap();
    if ran.status.success() {
        Ok(String::from_utf8(ran.stdout).unwrap().trim_end().to_owned())
    } else {
        Err(String::from_utf8_lossy(&ran.stderr).into_owned())
    }
}

//! One run of one test in the copy, and what its output means. A break counts as caught only when the test itself
//! said no: a break that does not compile, or hangs, or kills the runner, proves nothing.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

/// What a run of a test showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The test ran and passed.
    Passed,
    /// The test ran and failed.
    Failed,
    /// No test has that name.
    NoTest,
    /// The code does not compile.
    NotBuilt,
    /// It took longer than [`RUN_LIMIT`].
    Hung,
    /// The runner ended without a verdict: an abort, a signal.
    Died,
}

/// The longest a build and its one test may take: a first build of everything on a small machine, with room.
const RUN_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Between two looks at a running child.
const LOOK: Duration = Duration::from_millis(20);

/// Runs `command`, a `cargo test`, writes all it prints to `log` and judges.
pub fn run(command: &mut Command, log: &Path) -> anyhow::Result<Verdict> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    // A group of its own, so that a test which hangs ends together with the cargo that started it.
    let child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0)
        .spawn()
        .context("cannot start cargo")?;
    let Some(code) = wait(child)? else { return Ok(Verdict::Hung) };
    let printed = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(judge(code, &String::from_utf8_lossy(&printed)))
}

/// The exit code (-1 for a signal), or nothing if the time was up.
fn wait(mut child: Child) -> anyhow::Result<Option<i32>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.code().unwrap_or(-1)));
        }
        if start.elapsed() > RUN_LIMIT {
            Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status().context("cannot kill")?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// Reads the closing lines of the test runners.
fn judge(code: i32, printed: &str) -> Verdict {
    let closing = || printed.lines().filter_map(|line| line.trim_start().strip_prefix("test result: "));
    let ran = |line: &str| {
        let count = |word: &str| {
            let (before, _) = line.split_once(word)?;
            before.rsplit(' ').next()?.parse::<u32>().ok()
        };
        count(" passed").unwrap_or(0) + count(" failed").unwrap_or(0) > 0
    };
    match code {
        0 if closing().any(ran) => Verdict::Passed,
        0 => Verdict::NoTest,
        101 if closing().any(|line| line.starts_with("FAILED")) => Verdict::Failed,
        101 if printed.contains("error: could not compile") => Verdict::NotBuilt,
        _ => Verdict::Died,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_test_that_said_no_has_failed() {
        let failed =
            "running 1 test\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out\n";
        assert_eq!(judge(101, failed), Verdict::Failed);
        assert_eq!(judge(101, "error[E0425]\nerror: could not compile `a` (lib) due to 1 error"), Verdict::NotBuilt);
        assert_eq!(judge(101, "process didn't exit successfully (signal: 6, SIGABRT)"), Verdict::Died);
        assert_eq!(judge(101, "error: no test target named `suit`"), Verdict::Died);
    }

    #[test]
    fn a_pass_needs_a_test_that_ran() {
        let none = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s\n";
        let one = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 8 filtered out; finished in 0.00s\n";
        assert_eq!(judge(0, none), Verdict::NoTest);
        assert_eq!(judge(0, &format!("{none}{one}{none}")), Verdict::Passed);
    }

    #[test]
    fn a_run_leaves_its_output_behind() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let says = "echo 'test result: FAILED. 0 passed; 1 failed'; echo why >&2; exit 101";
        assert_eq!(run(Command::new("sh").args(["-c", says]), &log).unwrap(), Verdict::Failed);
        assert!(fs::read_to_string(&log).unwrap().contains("why"));
    }
}

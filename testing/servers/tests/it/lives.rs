//! A server's lives: what a crash keeps, what a pause holds back, what is gone at the end.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use stent_servers::{Server, ServerOptions};

use crate::{PATIENCE, psql_at};

#[test]
fn a_crash_keeps_what_was_committed_and_the_address() {
    let server = Server::start().unwrap();
    let database = server.database().unwrap();
    let url = database.url();
    database.psql("create table t (x int); insert into t values (1), (2)").unwrap();
    for _ in 0..2 {
        server.kill().unwrap();
        assert!(database.psql("select 1").is_err(), "a dead server answers");
        server.restart().unwrap();
        assert_eq!(psql_at(&url, "select sum(x), count(*) from t").unwrap(), "3|2");
    }
    let log = std::fs::read_to_string(server.log().unwrap()).unwrap();
    assert!(log.contains("was not properly shut down; automatic recovery in progress"), "{log}");
}

#[test]
fn a_server_stops_in_both_ways_and_comes_back() {
    let server = Server::start().unwrap();
    let database = server.database().unwrap();
    database.psql("create table t ()").unwrap();
    for stop in [Server::stop, Server::stop_at_once] {
        stop(&server).unwrap();
        assert!(database.psql("select 1").is_err(), "a stopped server answers");
        server.restart().unwrap();
        assert_eq!(database.psql("select count(*) from t").unwrap(), "0");
    }
}

#[test]
fn a_paused_server_answers_nothing_until_it_goes_on() {
    let server = Server::start().unwrap();
    let database = server.database().unwrap();
    server.pause().unwrap();
    let (tell, told) = channel();
    let url = database.url();
    let asking = thread::spawn(move || tell.send(psql_at(&url, "select 7")).unwrap());
    assert!(told.recv_timeout(Duration::from_millis(200)).is_err(), "a paused server answers");
    server.resume().unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().unwrap(), "7");
    asking.join().unwrap();
    server.pause().unwrap();
    drop(database);
    drop(server);
}

#[test]
fn a_dropped_server_leaves_nothing_behind() {
    let parent = tempfile::Builder::new().prefix("stent-it-").tempdir_in("/var/tmp").unwrap();
    open_to_all(parent.path());
    let server = Server::start_in(parent.path()).unwrap();
    assert_eq!(server.psql("show data_directory").unwrap().find(parent.path().to_str().unwrap()), Some(0));
    drop(server);
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn settings_of_a_test_win_over_ours() {
    let server = ServerOptions::default().set("max_connections", "17").start().unwrap();
    assert_eq!(server.psql("show max_connections; show fsync; show synchronous_commit").unwrap(), "17\non\non");
}

#[test]
fn an_error_at_the_start_shows_the_log() {
    let error = ServerOptions::default().set("shared_buffers", "many").start().unwrap_err();
    assert!(format!("{error:#}").contains("invalid value for parameter \"shared_buffers\""), "{error:#}");
}

/// Set for the process that is to start a server and be killed.
const ROLE: &str = "STENT_SERVERS_FOLDER";

#[test]
fn a_server_ends_with_the_process_that_started_it_even_if_that_is_killed() {
    if let Some(folder) = std::env::var_os(ROLE) {
        // This is the process that is to be killed. The server is started by a thread that ends before the process.
        let server = thread::spawn(|| Server::start_in(PathBuf::from(folder)).unwrap()).join().unwrap();
        let pid = postmaster(&server).unwrap();
        assert_eq!(server.psql("select 1").unwrap(), "1", "the server ended with the thread that started it");
        std::fs::write(server.log().unwrap().with_file_name("told"), pid).unwrap();
        thread::sleep(PATIENCE);
        return;
    }
    let parent = tempfile::Builder::new().prefix("stent-it-").tempdir_in("/var/tmp").unwrap();
    open_to_all(parent.path());
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lives::a_server_ends_with_the_process_that_started_it_even_if_that_is_killed"])
        .env(ROLE, parent.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let told = || {
        let homes = std::fs::read_dir(parent.path()).unwrap();
        homes.flatten().find_map(|home| std::fs::read_to_string(home.path().join("told")).ok())
    };
    let pid = eventually("the owner tells of its server", || told().filter(|pid| !pid.is_empty()));
    let process = PathBuf::from(format!("/proc/{pid}"));
    assert!(process.exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("the server has ended", || is_gone(&process).then_some(()));
    let next = Server::start_in(parent.path()).unwrap();
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 2, "the dead one's folder is still there");
    drop(next);
}

fn postmaster(server: &Server) -> anyhow::Result<String> {
    let file = server.log()?.with_file_name("data").join("postmaster.pid");
    Ok(std::fs::read_to_string(file)?.lines().next().unwrap_or_default().to_owned())
}

/// Whether a process has ended; one that nobody looks after stays as a zombie, without a command line.
fn is_gone(process: &std::path::Path) -> bool {
    std::fs::read(process.join("cmdline")).map_or(true, |line| line.is_empty())
}

/// PostgreSQL may run as another user.
fn open_to_all(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

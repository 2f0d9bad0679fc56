//! The proxy's faults as a client sees them, and what the server made of it meanwhile.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use stent_servers::{Database, Installation, Proxy, Server};

use crate::{PATIENCE, psql_at};

/// Long enough for a healthy server to answer many times over.
const SILENCE: Duration = Duration::from_millis(300);

fn place() -> (Database, Proxy) {
    let server = Server::shared();
    (server.database().unwrap(), Proxy::start(server.address()).unwrap())
}

/// A client that stays connected and is fed statements.
fn session(url: &str) -> Child {
    let psql = Installation::find().unwrap().program("psql");
    let mut command = Command::new(psql);
    command.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", url]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn say(session: &mut Child, sql: &str) {
    writeln!(session.stdin.as_mut().unwrap(), "{sql}").unwrap();
}

fn complaint(session: Child) -> String {
    let ended = session.wait_with_output().unwrap();
    assert!(!ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_healthy_network_carries_everything() {
    let (database, proxy) = place();
    let url = proxy.url(&database);
    assert_eq!(psql_at(&url, "select length(repeat('x', 3000000))").unwrap(), "3000000");
    assert_eq!(psql_at(&url, "select repeat('x', 3000000)").unwrap().len(), 3_000_000);
    assert!(psql_at(&url, &format!("select length('{}')", "y".repeat(100_000))).is_ok());
    until("the connections are forgotten", || proxy.connections() == 0);
}

#[test]
fn a_cut_resets_connections_and_new_ones_are_welcome() {
    let (database, proxy) = place();
    let mut client = session(&proxy.url(&database));
    say(&mut client, "create table t (); select pg_sleep(600);");
    until("the statement runs", || database.psql("select count(*) from pg_class where relname = 't'").unwrap() == "1");
    proxy.cut();
    assert_eq!(proxy.connections(), 0);
    let said = complaint(client);
    assert!(said.contains("Connection reset by peer") || said.contains("connection unexpectedly"), "{said}");
    assert_eq!(psql_at(&proxy.url(&database), "select 1").unwrap(), "1");
}

#[test]
fn the_reply_to_a_commit_is_lost_after_the_commit_was_done() {
    let (database, proxy) = place();
    database.psql("create table t (x int)").unwrap();
    for round in 1..=5 {
        let lost = proxy.lose_reply_to_commit();
        let error = psql_at(&proxy.url(&database), &format!("begin; insert into t values ({round}); commit"));
        assert!(error.is_err(), "the client learnt of the commit");
        assert!(lost.wait(PATIENCE));
        // Nothing is waited for: when the loss is told, the server has done it.
        assert_eq!(database.psql("select max(x) from t").unwrap(), round.to_string());
    }
    assert_eq!(psql_at(&proxy.url(&database), "begin; commit; select 3").unwrap(), "3", "the trap springs once");
}

#[test]
fn a_trap_springs_for_the_message_that_is_sought_and_for_no_other() {
    let (database, proxy) = place();
    let lost = proxy
        .lose_reply_when(|message| message.tag() == Some(b'Q') && message.body().starts_with(b"create table second"));
    let mut client = session(&proxy.url(&database));
    say(&mut client, "create table first ();\ncreate table second ();\ncreate table third ();");
    assert!(lost.wait(PATIENCE));
    complaint(client);
    let made =
        "select string_agg(relname, ' ' order by relname) from pg_class where relname in ('first','second','third')";
    assert_eq!(database.psql(made).unwrap(), "first second");
}

#[test]
fn dropped_replies_leave_the_work_done_and_the_client_waiting() {
    let (database, proxy) = place();
    let mut client = session(&proxy.url(&database));
    say(&mut client, "create table before ();");
    until("it is connected", || {
        database.psql("select count(*) from pg_class where relname = 'before'").unwrap() == "1"
    });
    proxy.drop_replies();
    say(&mut client, "create table after_ ();");
    until("the server has it", || {
        database.psql("select count(*) from pg_class where relname = 'after_'").unwrap() == "1"
    });
    thread::sleep(SILENCE);
    assert!(client.try_wait().unwrap().is_none(), "the client learnt of it");
    proxy.heal();
    complaint(client);
    assert_eq!(psql_at(&proxy.url(&database), "select 1").unwrap(), "1");
}

#[test]
fn a_reply_can_be_torn_in_the_middle() {
    let (database, proxy) = place();
    proxy.drop_replies_after(20_000);
    let client = session(&proxy.url(&database));
    let mut client = client;
    say(&mut client, "select repeat('x', 100000);");
    thread::sleep(SILENCE);
    assert!(client.try_wait().unwrap().is_none());
    proxy.cut();
    complaint(client);
}

#[test]
fn in_a_black_hole_nothing_passes_and_everything_arrives_afterwards() {
    let (database, proxy) = place();
    proxy.black_hole();
    let (tell, told) = channel();
    let url = proxy.url(&database);
    let asking = thread::spawn(move || tell.send(psql_at(&url, "select 5")).unwrap());
    assert!(told.recv_timeout(SILENCE).is_err());
    proxy.heal();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().unwrap(), "5");
    asking.join().unwrap();
}

#[test]
fn a_refusing_network_lets_nobody_in_until_it_is_healed() {
    let (database, proxy) = place();
    let url = proxy.url(&database);
    proxy.refuse();
    assert!(psql_at(&url, "select 1").is_err());
    proxy.heal();
    assert_eq!(psql_at(&url, "select 1").unwrap(), "1");
}

#[test]
fn latency_delays_both_directions() {
    let (database, proxy) = place();
    let url = proxy.url(&database);
    proxy.latency(Duration::from_millis(50));
    let since = Instant::now();
    assert_eq!(psql_at(&url, "select 1").unwrap(), "1");
    // The opening is one turn, the statement another: four ways.
    assert!(since.elapsed() >= Duration::from_millis(200), "{:?}", since.elapsed());
}

#[test]
fn a_dropped_proxy_resets_whoever_is_held_in_it() {
    let (database, proxy) = place();
    let mut client = session(&proxy.url(&database));
    say(&mut client, "create table t (); select pg_sleep(600);");
    until("the statement runs", || database.psql("select count(*) from pg_class where relname = 't'").unwrap() == "1");
    proxy.black_hole();
    let held = session(&proxy.url(&database));
    drop(proxy);
    complaint(client);
    complaint(held);
}

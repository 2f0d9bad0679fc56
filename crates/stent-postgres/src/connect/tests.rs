//! Connections to real servers: who lets us in, what is set, and whether the server itself is at the other end.

use std::time::Duration;

use stent_servers::{PgBouncer, PoolMode, Proxy, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

mod encrypted;

/// Runs on one thread alone, as an engine driven by `block_on` does: nothing polls a connection but who waits for it.
fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn to(url: &str) -> Result<Connected, StoreError> {
    connect(&Address::parse(url, &|_| None).unwrap()).await
}

/// One value, as text.
async fn ask(connected: &mut Connected, query: &str) -> String {
    let messages = connected.driver.during(connected.client.simple_query(query)).await.unwrap();
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    rows.last().unwrap()
}

async fn failure(url: &str) -> StoreError {
    let Err(error) = to(url).await else { panic!("{url} lets us in") };
    error
}

#[test]
fn over_tcp_and_over_a_socket_the_server_itself_is_at_the_other_end() {
    let database = Server::shared().database().unwrap();
    on_one_thread(async {
        for url in [database.url(), database.socket_url()] {
            let mut connected = to(&url).await.unwrap();
            assert!(connected.is_direct, "{url}");
            assert_eq!(ask(&mut connected, "SHOW application_name").await, "stent");
            assert_eq!(ask(&mut connected, "SHOW idle_in_transaction_session_timeout").await, "5s");
            assert_eq!(ask(&mut connected, "SHOW default_transaction_isolation").await, "read committed");
        }
    });
}

#[test]
fn what_waits_for_an_answer_fails_when_the_connection_ends_under_it() {
    let database = Server::shared().database().unwrap();
    let proxy = Proxy::start(Server::shared().address()).unwrap();
    on_one_thread(async {
        let mut connected = to(&proxy.url(&database)).await.unwrap();
        proxy.lose_reply_when(|message| message.body().starts_with(b"SELECT 42"));
        let asked = connected.driver.during(connected.client.simple_query("SELECT 42"));
        let answer = tokio::time::timeout(Duration::from_secs(30), asked).await.expect("it waits for ever");
        assert!(is_lost(&answer.unwrap_err()));
    });
}

#[test]
fn a_schema_in_the_address_is_where_names_are_looked_for() {
    let database = Server::shared().database().unwrap();
    database
        .psql("CREATE SCHEMA \"a b\"; CREATE TABLE \"a b\".here (x int); INSERT INTO \"a b\".here VALUES (7)")
        .unwrap();
    on_one_thread(async {
        let mut connected = to(&format!("{}?schema=a%20b", database.url())).await.unwrap();
        assert_eq!(ask(&mut connected, "SELECT x FROM here").await, "7");
    });
}

#[test]
fn through_a_pooler_nothing_is_set_and_a_prelude_sets_it_for_each_transaction() {
    let database = Server::shared().database().unwrap();
    for mode in [PoolMode::Transaction, PoolMode::Session] {
        let pooler = PgBouncer::start(Server::shared(), mode).unwrap();
        on_one_thread(async {
            let url = format!("{}?schema=elsewhere", pooler.url(&database));
            let mut connected = to(&url).await.unwrap();
            assert!(!connected.is_direct, "{mode:?}");
            assert_eq!(ask(&mut connected, "SHOW idle_in_transaction_session_timeout").await, "0");
            let prelude = Address::parse(&url, &|_| None).unwrap().prelude();
            let within = format!("BEGIN; {prelude}; SELECT current_setting('idle_in_transaction_session_timeout')");
            assert_eq!(ask(&mut connected, &within).await, "5s");
            assert_eq!(ask(&mut connected, "SHOW search_path").await, "elsewhere");
            connected.driver.during(connected.client.batch_execute("COMMIT")).await.unwrap();
            assert_eq!(ask(&mut connected, "SHOW idle_in_transaction_session_timeout").await, "0");
            assert_eq!(ask(&mut connected, "SHOW search_path").await, "\"$user\", public");
        });
    }
}

#[test]
fn through_anything_that_passes_bytes_on_the_server_is_not_at_the_other_end() {
    let database = Server::shared().database().unwrap();
    on_one_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let pass_on = async {
            let (mut ours, _) = listener.accept().await.unwrap();
            let mut theirs = TcpStream::connect(Server::shared().address()).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
        };
        let url = database.url_at(port);
        tokio::select! {
            connected = to(&url) => assert!(!connected.unwrap().is_direct),
            () = pass_on => panic!("the connection ended"),
        }
    });
}

#[test]
fn a_server_is_at_the_other_end_only_if_it_sees_our_very_end_of_the_socket() {
    let seen = |address: &str, port| Seen { address: address.parse().ok(), port, ..Seen::default() };
    let ours = |address: &str| End::Tcp(Some(address.parse().unwrap()));
    assert!(seen("127.0.0.1", Some(40_000)).is_at(&ours("127.0.0.1:40000")));
    assert!(seen("::ffff:127.0.0.1", Some(40_000)).is_at(&ours("127.0.0.1:40000")), "one address written in two ways");
    assert!(!seen("127.0.0.1", Some(40_001)).is_at(&ours("127.0.0.1:40000")), "a pooler beside us");
    assert!(!seen("10.0.0.7", Some(40_000)).is_at(&ours("127.0.0.1:40000")), "a pooler or a translation elsewhere");
    assert!(!seen("", None).is_at(&ours("127.0.0.1:40000")), "a pooler before a unix socket");
    assert!(!seen("127.0.0.1", Some(40_000)).is_at(&End::Tcp(None)));

    let us = i32::try_from(std::process::id()).unwrap();
    let served_by_us = Seen { process: Some(us), ..Seen::default() };
    assert!(served_by_us.is_at(&End::Unix(Some(us))));
    let started_us = i32::try_from(std::os::unix::process::parent_id()).unwrap();
    assert_eq!(served_by_us.is_at(&End::Unix(Some(started_us))), cfg!(target_os = "linux"));
    assert!(!served_by_us.is_at(&End::Unix(Some(i32::MAX))), "a pooler, which started no server");
    assert!(!served_by_us.is_at(&End::Unix(None)));
}

#[tokio::test]
async fn a_server_that_dies_before_it_is_known_is_no_pooler() {
    /// A message of the server's.
    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], length.as_slice(), body].concat()
    }
    // It answers the first look with the number of a process that is gone, and nothing after that.
    let ready = message(b'Z', b"I");
    let greeting = [message(b'R', &[0; 4]), ready.clone()].concat();
    let column = [b"?\0".as_slice(), &[0; 6], &25_u32.to_be_bytes(), &[0xff; 6], &[0; 2]].concat();
    let names = [4_u16.to_be_bytes().as_slice(), &column.repeat(4)].concat();
    let process = i32::MAX.to_string();
    let length = u32::try_from(process.len()).unwrap().to_be_bytes();
    let row = [&[0, 4], length.as_slice(), process.as_bytes(), &[0xff; 12]].concat();
    let answer = [message(b'T', &names), message(b'D', &row), message(b'C', b"SELECT 1\0"), ready].concat();

    let folder = tempfile::tempdir().unwrap();
    let listener = tokio::net::UnixListener::bind(folder.path().join(".s.PGSQL.7")).unwrap();
    let dies = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        for said in [greeting, answer] {
            assert!(socket.read(&mut [0; 8_192]).await.unwrap() > 0);
            socket.write_all(&said).await.unwrap();
        }
        assert!(socket.read(&mut [0; 8_192]).await.unwrap() > 0);
    };
    let url = format!("postgres://ann@/shop?host={}&port=7", folder.path().display());
    let (connected, ()) = tokio::join!(to(&url), dies);
    let Err(error) = connected else { panic!("it counts as a pooler") };
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
}

#[test]
fn the_address_may_say_whether_a_pooler_stands_between() {
    let database = Server::shared().database().unwrap();
    let pooler = PgBouncer::start(Server::shared(), PoolMode::Session).unwrap();
    on_one_thread(async {
        let mut connected = to(&format!("{}?pooler=true", database.url())).await.unwrap();
        assert!(!connected.is_direct);
        assert_eq!(ask(&mut connected, "SHOW idle_in_transaction_session_timeout").await, "0");
        assert!(to(&format!("{}?pooler=false", pooler.url(&database))).await.unwrap().is_direct);
    });
}

#[test]
fn hosts_are_tried_in_turn_until_one_lets_us_in() {
    let database = Server::shared().database().unwrap();
    let (port, name) = (Server::shared().port(), database.name());
    let sockets = Server::shared().sockets().display();
    on_one_thread(async {
        for hosts in [
            format!("127.0.0.1:1,127.0.0.1:{port}"),
            format!("no-such-host.invalid,127.0.0.1:{port}"),
            format!("%2Fnowhere,{sockets}:{port}").replace('/', "%2F"),
        ] {
            to(&format!("postgres://postgres@{hosts}/{name}")).await.unwrap();
        }
        let error = failure(&format!("postgres://postgres@127.0.0.1:1,127.0.0.1:{port}/none_{name}")).await;
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "one of them may come back: {error}");
        let shown = error.to_string();
        assert!(shown.contains("127.0.0.1:1:") && shown.contains(&format!("none_{name}")), "{shown}");
        assert_eq!(shown.matches(error.hint()).count(), 1, "{shown}");
    });
}

#[test]
fn a_server_that_only_reads_is_passed_over_where_one_that_writes_is_wanted() {
    let (reads, writes) = (Server::shared().database().unwrap(), Server::shared().database().unwrap());
    reads.psql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", reads.name())).unwrap();
    on_one_thread(async {
        assert!(to(&reads.url()).await.is_ok(), "one host alone is taken as it is");
        let error = failure(&format!("{}?target_session_attrs=read-write", reads.url())).await;
        assert!(error.kind() == StoreErrorKind::Unavailable && error.to_string().contains("read-only"), "{error}");
        assert!(to(&format!("{}?target_session_attrs=read-write", writes.url())).await.is_ok());
    });
}

#[test]
fn a_wrong_password_is_refused_and_not_repeated() {
    let database = Server::shared().database().unwrap();
    let role = Server::shared().role_with_password("the right one").unwrap();
    let (name, port) = (role.name(), Server::shared().port());
    on_one_thread(async {
        let url = |password: &str| format!("postgres://{name}{password}@127.0.0.1:{port}/{}", database.name());
        assert!(to(&url(":the%20right%20one")).await.is_ok());
        let error = failure(&url(":secret")).await;
        assert_eq!(error.kind(), StoreErrorKind::Unusable);
        assert!(error.hint().contains("password") && !format!("{error} {error:?}").contains("secret"), "{error:?}");
        let error = failure(&url("")).await;
        assert!(error.kind() == StoreErrorKind::Unusable && error.hint().contains("PGPASSWORD"), "{error}");
        let environment = |variable: &str| (variable == "PGPASSWORD").then(|| "the right one".to_owned());
        assert!(connect(&Address::parse(&url(""), &environment).unwrap()).await.is_ok());
    });
}

#[test]
fn what_keeps_us_out_is_named() {
    let database = Server::shared().database().unwrap();
    let name = database.name();
    on_one_thread(async {
        let error = failure(&database.url().replace(name, "nowhere_to_be_found")).await;
        assert!(error.kind() == StoreErrorKind::Unusable && error.hint().contains("CREATE DATABASE"), "{error}");
        // It stands for two addresses, and the server has one of them.
        let error = failure(&database.url().replace(name, "nowhere").replace("127.0.0.1", "localhost")).await;
        assert!(error.kind() == StoreErrorKind::Unusable && error.hint().contains("CREATE DATABASE"), "{error}");
        let error = failure("postgres://u@127.0.0.1:1/d").await;
        assert!(error.kind() == StoreErrorKind::Unavailable && error.hint().contains("running"), "{error}");
        let error = failure("postgres://u@no-such-host.invalid/d").await;
        assert!(error.kind() == StoreErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
        let error = failure("postgres://u@%2Fnowhere/d").await;
        assert!(error.kind() == StoreErrorKind::Unavailable && error.hint().contains("running"), "{error}");
    });
}

#[test]
fn a_host_that_answers_nothing_is_given_up_after_its_time() {
    on_one_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = failure(&format!("postgres://u@127.0.0.1:{port}/d?connect_timeout=0.2")).await;
        assert!(error.kind() == StoreErrorKind::Unavailable && error.hint().contains("connect_timeout"), "{error}");
    });
}

#[test]
fn a_driver_hands_on_what_nobody_asked_for_and_ends_with_its_client() {
    let database = Server::shared().database().unwrap();
    on_one_thread(async {
        let Connected { client, mut driver, .. } = to(&database.url()).await.unwrap();
        driver.during(client.batch_execute("LISTEN news")).await.unwrap();
        database.psql("NOTIFY news, 'rain'").unwrap();
        let message = poll_fn(|context| driver.poll_message(context)).await;
        let Some(Ok(AsyncMessage::Notification(news))) = message else { panic!("no notification") };
        assert_eq!((news.channel(), news.payload()), ("news", "rain"));
        drop(client);
        tokio::time::timeout(Duration::from_secs(10), driver).await.unwrap();
    });
}

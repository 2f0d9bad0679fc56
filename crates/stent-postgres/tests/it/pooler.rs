//! Behind PgBouncer in transaction mode: nothing that a session of the server's would have to remember is relied on.
//! That every command does there what it should is in `suite.rs`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stent_core::{Command, Done, Refusal, Store, TaskState};
use stent_servers::{Database, PgBouncer, PoolMode, Proxy, Server};

use crate::hands::{
    ask, claim_one, execution_in, places, running, send, signal, suspend, take_over, tell, until, view,
};
use crate::processes::Subject;
use crate::stores::{block, complete, open, start_one, step, worker};

fn pool() -> (Database, PgBouncer) {
    let server = Server::shared();
    (server.database().unwrap(), PgBouncer::start(server, PoolMode::Transaction).unwrap())
}

#[test]
fn a_store_behind_a_pooler_hears_by_polling_and_warns_once() {
    let (database, pool) = pool();
    let other = open(&database.url());
    // As it is found out, and where a person says by mistake that there is no pooler: the probe tells.
    for url in [pool.url(&database), format!("{}?pooler=false", pool.url(&database))] {
        let mut child = Subject::start("watch", &url);
        child.hear("watching");
        assert!(child.hear("warned ").contains("found by polling"));
        for _ in 0..2 {
            child.say("next");
            child.hear("ready");
            let id = execution_in(0);
            assert!(ask(&other, id, start_one(id)).is_ok());
            let since = Instant::now();
            child.hear("changed");
            // It looks four times a second, and a busy machine lets it do so later.
            assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
        }
        child.say("enough");
        let mut said = String::new();
        while !said.ends_with("over") {
            said = child.hear("");
            assert!(!said.contains("warned"), "twice: {said}");
        }
    }
}

#[test]
fn nothing_is_prepared_and_nothing_set_for_longer_than_a_transaction_behind_a_pooler() {
    let (database, pool) = pool();
    let proxy = Proxy::start(pool.address()).unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    drop(proxy.lose_reply_when(move |message| {
        let (tag, body) = (message.tag(), String::from_utf8_lossy(message.body()).into_owned());
        // A statement with a name stays; one without is gone with the next.
        let stays = tag == Some(b'P') && !body.starts_with('\0');
        let sets = tag == Some(b'Q')
            && body.split(';').any(|part| {
                let part = part.trim_start();
                (part.starts_with("SET ") && !part.starts_with("SET LOCAL ")) || part.starts_with("LISTEN")
            });
        if stays || sets || body.contains("pg_advisory_lock_shared") {
            heard.lock().unwrap().push(body);
        }
        false
    }));
    let store = open(&format!("{}?schema=of_the_pool", proxy.url(&database)));
    let session = worker(&store);
    for lane in [0, 1] {
        let id = execution_in(lane);
        assert!(ask(&store, id, start_one(id)).is_ok());
        let task = claim_one(&store, session);
        assert!(tell(&store, task, |lease| step(lease, 1)).is_ok());
        send(&store, lane, vec![step(task, 2), signal(id)]);
        assert!(tell(&store, task, |lease| crate::hands::await_signal(lease, 3)).is_ok());
        assert!(tell(&store, task, |lease| crate::hands::await_event(lease, 4, "news")).is_ok());
        assert_eq!(tell(&store, task, suspend), Ok(Done::Suspended));
        assert!(ask(&store, id, Command::Cancel(task.task)).is_ok());
        assert_eq!(places(&store, task.task), [1, 2, 3]);
    }
    assert_eq!(block(store.gone_sessions(Duration::from_secs(60))).unwrap(), []);
    send(&store, 0, vec![Command::CloseSession(session)]);
    block(store.close()).unwrap();
    assert_eq!(*said.lock().unwrap(), [""; 0]);
    let counted = "SELECT count(*) FROM of_the_pool.executions; SELECT count(*) FROM of_the_pool.committers";
    assert_eq!(database.psql(counted).unwrap(), "2\n0", "a store that is closed leaves no committer behind");
    assert_eq!(database.psql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").unwrap(), "0");
}

#[test]
fn two_stores_with_schemas_of_their_own_share_a_pool_and_never_meet() {
    let (database, pool) = pool();
    let stores = ["one", "two"].map(|schema| open(&format!("{}?schema={schema}", pool.url(&database))));
    let sessions = [0, 1].map(|number| worker(&stores[number]));
    for round in 0..5 {
        for (number, store) in stores.iter().enumerate() {
            let task = running(store, sessions[number], round % 2);
            assert!(tell(store, task, |lease| step(lease, 1)).is_ok());
            assert!(tell(store, task, complete).is_ok());
            assert_eq!(block(stores[1 - number].execution(task.task.execution)).unwrap(), None);
        }
    }
    for schema in ["one", "two"] {
        assert_eq!(database.psql(&format!("SELECT count(*) FROM {schema}.executions")).unwrap(), "5");
    }
}

#[test]
fn a_session_behind_a_pooler_is_gone_by_its_silence_alone() {
    let (database, pool) = pool();
    let (pooled, other) = (open(&pool.url(&database)), open(&database.url()));
    let session = worker(&pooled);
    let task = running(&pooled, session, 0);
    assert_eq!(database.psql("SELECT count(*) FROM sessions WHERE presence IS NOT NULL").unwrap(), "0");
    drop(pooled);
    let looked = Instant::now();
    while looked.elapsed() < Duration::from_millis(2_500) {
        let gone = block(other.gone_sessions(Duration::from_secs(3_600))).unwrap();
        assert_eq!(gone, [], "that its process is gone cannot be seen");
        std::thread::sleep(Duration::from_millis(50));
    }
    until("it has been silent for so long", || {
        block(other.gone_sessions(Duration::from_secs(2))).unwrap() == [session]
    });
    assert_eq!(send(&other, 0, vec![take_over(session)]), [Ok(Done::Swept { count: 1, more: false })]);
    assert_eq!(view(&other, task.task).state, TaskState::Pending);
}

#[test]
fn a_store_behind_a_pooler_outlives_the_pooler_and_is_fenced_off_like_any_other() {
    let (database, mut pool) = pool();
    let (pooled, other) = (open(&pool.url(&database)), open(&database.url()));
    let session = worker(&pooled);
    let task = running(&pooled, session, 0);
    assert!(tell(&pooled, task, |lease| step(lease, 1)).is_ok());
    pool.restart().unwrap();
    assert!(tell(&pooled, task, |lease| step(lease, 2)).is_ok());
    assert_eq!(places(&other, task.task), [1, 2]);
    assert!(ask(&other, task.task.execution, Command::Cancel(task.task)).is_ok());
    let cancelled = Err(Refusal::Terminal(TaskState::Cancelled));
    assert_eq!(tell(&pooled, task, |lease| step(lease, 3)), cancelled);
    assert_eq!(places(&other, task.task), [1, 2]);
}

#[test]
fn a_commit_whose_answer_is_lost_behind_a_pooler_is_answered_as_it_was() {
    let (database, pool) = pool();
    let proxy = Proxy::start(pool.address()).unwrap();
    let (pooled, other) = (open(&proxy.url(&database)), open(&database.url()));
    let session = worker(&pooled);
    let tasks = [running(&pooled, session, 0), running(&pooled, session, 0)];
    let batches = [vec![step(tasks[0], 1)], vec![step(tasks[0], 2), step(tasks[1], 1)]];
    for batch in batches {
        let comes_next = std::sync::atomic::AtomicBool::new(false);
        let lost = proxy.lose_reply_when(move |message| {
            use std::sync::atomic::Ordering::Relaxed;
            comes_next.fetch_or(String::from_utf8_lossy(message.body()).contains("INSERT INTO records"), Relaxed);
            comes_next.load(Relaxed) && message.is_commit()
        });
        assert!(send(&pooled, 0, batch).iter().all(Result::is_ok));
        assert!(lost.wait(crate::hands::PATIENCE));
    }
    assert_eq!((places(&other, tasks[0].task), places(&other, tasks[1].task)), (vec![1, 2], vec![1]));
}

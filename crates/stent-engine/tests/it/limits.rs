//! Limits of one task.

use std::sync::Arc;
use std::time::Duration;

use stent_core::command::{Append, Claim, OpenSession, Release};
use stent_core::history::NewRecord;
use stent_core::limits::HISTORY_RECORDS;
use stent_core::{CallKey, Command, Done, ExecutionState, Name, Payload, RecordKind, Serve, SessionId, Store, Verdict};
use stent_engine::{TokioRuntime, WorkerConfig};
use stent_sqlite::{Options, SqliteStore};

use crate::{OneFunction, engine, request};

async fn carry_out(store: &SqliteStore, command: Command) -> Done {
    store.commit(0, vec![command]).await.unwrap().outcomes.remove(0).unwrap()
}

#[tokio::test]
async fn a_value_beyond_the_records_a_task_may_have_ends_it_with_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stent.db");
    let client = engine(&path, Arc::new(TokioRuntime::current().unwrap()));
    let id = client.start(request()).await.unwrap().execution;

    // Only the number of the last record counts, so one is as good as a million.
    let store = SqliteStore::open(&path, Options::default()).unwrap();
    let session = SessionId::v7(1, [1; 10]);
    store.enter(session).unwrap();
    let open = OpenSession { session, worker_id: "hands".into(), host: String::new(), pid: 1 };
    carry_out(&store, Command::OpenSession(open)).await;
    let serve = Arc::new(Serve { queues: None, functions: vec![Name::stored("run")], tags: None });
    let claimed = carry_out(&store, Command::Claim(Claim { session, serve, max: 1 })).await;
    let Done::Claimed { tasks, .. } = claimed else { panic!("{claimed:?}") };
    let lease = tasks[0].lease;
    let record = NewRecord {
        seq: HISTORY_RECORDS,
        key: CallKey::new("", "first", 1),
        kind: RecordKind::Value,
        run: 1,
        seen: 0,
        digest: None,
        verdict: Verdict::Ok,
        payload: Payload::null(),
        source: None,
    };
    carry_out(&store, Command::Append(Box::new(Append { lease, record, effect: None }))).await;
    carry_out(&store, Command::Release(Box::new(Release { lease, delay: Duration::ZERO, reason: None }))).await;
    carry_out(&store, Command::CloseSession(session)).await;

    let host = OneFunction::of(|context| async move {
        context.value(&Name::stored("first"), Payload::null)?;
        context.value(&Name::stored("one more"), || panic!("the value is not read off"))?;
        Ok(Payload::null())
    });
    let worker = client.start_worker(WorkerConfig::default(), host).await.unwrap();
    let view = client.wait(id, Some(Duration::from_secs(30))).await.unwrap();
    assert_eq!(view.state, ExecutionState::Failed);
    let failure = view.failure.unwrap();
    assert!(failure.permanent && failure.message.contains("1000000 records"), "{failure:?}");
    worker.shutdown().await;
}

//! The store of the guide `docs/guide/custom-stores.md`: the whole suite and random sequences over it, what it promises
//! beyond that, and that the guide's code is the code that is tested.

#[path = "../../custom_store/audited.rs"]
mod audited;
#[path = "../../custom_store/journal.rs"]
mod journal;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use audited::Audited;
use stent_core::command::Signal;
use stent_core::{
    Command, Committed, ExecutionId, Name, Payload, Refusal, SignalId, Store, StoreError, StoreErrorKind, Timestamp,
    Watcher,
};
use stent_storetest::model::{ManualClock, ModelStore};
use stent_storetest::suite::Fixture;
use stent_storetest::{block_on, sequences};
use tempfile::TempDir;

/// Two processes' handles on one database, each with a journal of its own.
struct Two {
    clock: ManualClock,
    store: Arc<dyn Store>,
    second: Arc<dyn Store>,
    _folder: TempDir,
}

impl Fixture for Two {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    fn second(&self) -> Arc<dyn Store> {
        Arc::clone(&self.second)
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn set_clock(&self, now: Timestamp) {
        self.clock.set(now);
    }
}

fn audited() -> Two {
    let (clock, folder) = (ManualClock::new(), tempfile::tempdir().unwrap());
    let model = ModelStore::manual(&clock);
    let second = open(model.handle(), &folder.path().join("second.jsonl"));
    let store = open(model, &folder.path().join("first.jsonl"));
    Two { clock, store, second, _folder: folder }
}

fn open(inner: ModelStore, path: &Path) -> Arc<dyn Store> {
    Arc::new(Audited::open(Arc::new(inner), path).unwrap())
}

stent_storetest::store_suite!(audited);

#[test]
fn random_sequences_come_out_as_in_the_model() {
    sequences::agree(audited, 100, 21);
}

fn pause(queue: &str) -> Command {
    Command::SetQueue(Name::stored(queue), Some(true))
}

fn commit(store: &dyn Store, batch: Vec<Command>) -> Result<Committed, StoreError> {
    block_on(store.commit(0, batch))
}

/// What the journal's file says, line by line.
fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Reads the journal at the moment another process learns of the commit.
struct Reader {
    path: PathBuf,
    seen: Mutex<Vec<serde_json::Value>>,
}

impl Watcher for Reader {
    fn changed(&self) {
        *self.seen.lock().unwrap() = lines(&self.path);
    }
}

#[test]
fn who_sees_an_intervention_finds_its_line_already_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let model = ModelStore::manual(&ManualClock::new());
    let elsewhere = model.handle();
    let store = open(model, &path);
    let reader = Arc::new(Reader { path: path.clone(), seen: Mutex::default() });
    let watcher: Weak<Reader> = Arc::downgrade(&reader);
    elsewhere.watch(watcher);

    commit(&*store, vec![pause("mail")]).unwrap();
    commit(&*store, vec![Command::SetQueue(Name::stored("mail"), Some(false))]).unwrap();

    let seen = reader.seen.lock().unwrap().clone();
    let last = seen.last().expect("a queue that goes on is news to others");
    assert_eq!(last["asked"][0], "resume queue mail", "{seen:?}");
    assert_eq!(lines(&path).last().unwrap()["answered"][0], "done");
}

#[test]
fn what_cannot_be_written_down_is_not_done_and_work_goes_on() {
    let model = ModelStore::manual(&ManualClock::new());
    let inner = model.handle();
    let store = open(model, Path::new("/dev/full"));

    let error = commit(&*store, vec![pause("mail")]).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(block_on(inner.queues()).unwrap().is_empty());

    let work = commit(&*store, vec![Command::PruneCache]).unwrap();
    assert!(work.outcomes[0].is_ok());
}

#[test]
fn a_refusal_is_written_down_with_its_reason_and_a_journal_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let model = ModelStore::manual(&ManualClock::new());
    let to_nobody = Command::Signal(Signal {
        id: SignalId::v7(1, [1; 10]),
        execution: ExecutionId::v7(1, [2; 10]),
        name: Name::stored("approved"),
        payload: Payload::null(),
    });
    for _ in 0..2 {
        let store = open(model.handle(), &path);
        let committed = commit(&*store, vec![Command::PruneCache, to_nobody.clone(), pause("mail")]).unwrap();
        assert_eq!(committed.outcomes[1], Err(Refusal::Unknown));
    }
    let lines = lines(&path);
    assert_eq!(lines.len(), 4);
    for pair in lines.chunks(2) {
        assert_eq!(pair[0]["asked"].as_array().unwrap().len(), 2);
        assert_eq!(pair[1]["answered"], serde_json::json!(["refused: there is none with this id", "done"]));
        assert_eq!(pair[0]["entry"], pair[1]["entry"]);
    }
    assert!(lines[0]["entry"].as_u64() < lines[2]["entry"].as_u64());
}

#[test]
fn the_guides_code_is_the_code_that_is_tested() {
    let guide = include_str!("../../../../docs/guide/custom-stores.md");
    let tested = [
        include_str!("custom_store.rs"),
        include_str!("../../custom_store/audited.rs"),
        include_str!("../../custom_store/main.rs"),
    ];
    let mut blocks = 0;
    for block in guide.split("```rust\n").skip(1) {
        let code = block.split("```").next().unwrap();
        blocks += 1;
        assert!(tested.iter().any(|file| file.contains(code)), "not in the tested code:\n{code}");
    }
    assert!(blocks >= 3, "{blocks} blocks of code");
}

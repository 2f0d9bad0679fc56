//! The bus with a real Redis, which is there, comes late, goes away, comes back and falls silent.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests may fail loudly")]

mod faults;
mod telling;
mod waits;

use std::sync::{Arc, Weak};
use std::time::Duration;

use stent_core::command::{Deadline, Start};
use stent_core::{Command, ExecutionId, Name, Payload, Store, TaskOptions, TaskRef, TaskSpec, Watcher};
use stent_storetest::model::{ManualClock, ModelStore};
use tokio::sync::mpsc;

/// How long anything may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a watcher was told, as it came.
struct Listener(mpsc::UnboundedSender<&'static str>);

impl Watcher for Listener {
    fn changed(&self) {
        self.0.send("changed").unwrap_or_default();
    }

    fn ended(&self) {
        self.0.send("ended").unwrap_or_default();
    }
}

/// Two processes on one store that tells nobody anything by itself, and what the second one hears.
struct World {
    a: Arc<dyn Store>,
    b: Arc<dyn Store>,
    heard: mpsc::UnboundedReceiver<&'static str>,
    next: u8,
    _listener: Arc<dyn Watcher>,
}

impl World {
    fn at(address: &str) -> Self {
        let model = ModelStore::manual(&ManualClock::new());
        model.set_notify(Arc::new(|_| {}));
        let b = stent_redis::accompany(Arc::new(model.handle()), address).unwrap();
        let a = stent_redis::accompany(Arc::new(model), address).unwrap();
        let (listener, heard) = listen(&*b);
        Self { a, b, heard, next: 0, _listener: listener }
    }

    /// The first process starts an execution.
    async fn start(&mut self) -> ExecutionId {
        self.next += 1;
        let id = ExecutionId::v7(1, [self.next; 10]);
        commit(&*self.a, Command::Start(Box::new(start(id)))).await;
        id
    }

    /// Waits until the second process hears this.
    async fn hears(&mut self, wanted: &str) {
        let heard = async { while self.heard.recv().await.unwrap() != wanted {} };
        tokio::time::timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("never heard: {wanted}"));
    }

    /// Forgets what was heard.
    fn forget(&mut self) {
        while self.heard.try_recv().is_ok() {}
    }
}

fn listen(store: &dyn Store) -> (Arc<dyn Watcher>, mpsc::UnboundedReceiver<&'static str>) {
    let (sender, heard) = mpsc::unbounded_channel();
    let listener: Arc<dyn Watcher> = Arc::new(Listener(sender));
    let weak: Weak<dyn Watcher> = Arc::downgrade(&listener);
    store.watch(weak);
    (listener, heard)
}

async fn commit(store: &dyn Store, command: Command) {
    let committed = store.commit(0, vec![command]).await.unwrap();
    assert!(committed.outcomes[0].is_ok(), "{committed:?}");
}

fn spec() -> TaskSpec {
    TaskSpec {
        function: Name::new("function", "f").unwrap(),
        args: Payload::null(),
        queue: Name::new("queue", "default").unwrap(),
        priority: 0,
        tags: Vec::new(),
        headers: None,
        options: TaskOptions::default(),
    }
}

fn start(id: ExecutionId) -> Start {
    Start { id, spec: spec(), key: None, due: None, deadline: Deadline::default(), claim_for: None }
}

fn cancel(id: ExecutionId) -> Command {
    Command::Cancel(TaskRef::root(id))
}

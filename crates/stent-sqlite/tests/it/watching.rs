//! Watching: foreign changes are told, one's own are not.

use std::iter;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stent_core::{Store, Watcher};

use crate::stores::{block, commit, execution, open, place, start_one};

struct Told(Mutex<Sender<()>>);

impl Watcher for Told {
    fn changed(&self) {
        self.0.lock().unwrap().send(()).unwrap_or_default();
    }
}

#[test]
fn a_watcher_hears_of_what_others_commit_and_not_of_its_own_stores_commits() {
    let (_directory, path) = place();
    let (mine, theirs) = (open(&path), open(&path));
    let (sender, told) = channel();
    let watcher: Arc<dyn Watcher> = Arc::new(Told(Mutex::new(sender)));
    mine.watch(Arc::downgrade(&watcher));
    commit(&mine, vec![start_one(execution())]);
    assert!(told.recv_timeout(Duration::from_millis(100)).is_err(), "its own commit is no news");
    let id = execution();
    commit(&theirs, vec![start_one(id)]);
    told.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(block(mine.execution(id)).unwrap().is_some(), "what it was told of is there");
    drop(watcher);
    // The store's thread may hold it while it tells it; the channel closes once nobody does.
    let mut news = iter::repeat_with(|| told.recv_timeout(Duration::from_secs(30)));
    assert_eq!(news.find_map(Result::err), Some(RecvTimeoutError::Disconnected), "a store keeps no watcher alive");
}

#[test]
fn closing_ends_the_threads_of_a_store() {
    let (_directory, path) = place();
    let store = open(&path);
    let (sender, _told) = channel();
    let watcher: Arc<dyn Watcher> = Arc::new(Told(Mutex::new(sender)));
    store.watch(Arc::downgrade(&watcher));
    commit(&store, vec![start_one(execution())]);
    assert_eq!(block(store.count_executions(None)).unwrap(), 1);
    block(store.close()).unwrap();
    assert_eq!(block(store.count_executions(None)).unwrap(), 1, "asked again it answers again");
}

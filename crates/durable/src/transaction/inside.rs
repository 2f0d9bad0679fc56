//! Whose code is inside a transaction of its own on PostgreSQL. The verbs there await, so their future may move from
//! thread to thread; what stays is the tokio task it belongs to, or, outside of any (`#[tokio::main]`), the thread.
//!
//! Invariant: a place is marked as long as at least one of its marks lives, and no other place ever is by them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

static MARKED: Mutex<Vec<Place>> = Mutex::new(Vec::new());

/// How many marks there are: an ordinary call looks no further while there is none.
static MARKS: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Task(tokio::task::Id),
    Thread(ThreadId),
}

impl Place {
    fn here() -> Self {
        tokio::task::try_id().map_or_else(|| Self::Thread(std::thread::current().id()), Self::Task)
    }
}

fn marked() -> MutexGuard<'static, Vec<Place>> {
    MARKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Marks the place it was made at until it is dropped, wherever that is.
pub(super) struct Mark(Place);

impl Mark {
    pub(super) fn here() -> Self {
        let here = Place::here();
        marked().push(here);
        MARKS.fetch_add(1, Ordering::Release);
        Self(here)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut marked = marked();
        if let Some(at) = marked.iter().position(|place| *place == self.0) {
            marked.swap_remove(at);
            MARKS.fetch_sub(1, Ordering::Release);
        }
    }
}

/// Whether this code is inside a transaction of its own.
pub(crate) fn inside() -> bool {
    MARKS.load(Ordering::Acquire) > 0 && marked().contains(&Place::here())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_mark_holds_for_its_task_alone_wherever_that_runs() {
        let marked = tokio::spawn(async {
            let (one, other) = (Mark::here(), Mark::here());
            for _ in 0..20 {
                tokio::task::yield_now().await;
                assert!(inside());
            }
            assert!(!tokio::spawn(async { inside() }).await.unwrap());
            drop(one);
            assert!(inside());
            other
        });
        let moved_away = marked.await.unwrap();
        assert!(!inside());
        drop(moved_away);
    }

    #[test]
    fn outside_of_any_task_a_mark_holds_for_its_thread() {
        let mark = Mark::here();
        assert!(inside());
        assert!(!std::thread::spawn(inside).join().unwrap());
        drop(mark);
        assert!(!inside());
    }
}

//! Watching: who commits something that wakes others says so, and who hears that tells its watchers. Notifications are
//! the server's, sent outside of any data transaction since they take a lock that all commits share, and only hints:
//! who misses one is late, never wrong. Where they do not arrive, what others commit is looked for instead.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use stent_core::{StoreError, Watcher};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::address::quoted;
use crate::query::{Link, Query};
use crate::readers::Readers;
use crate::rows;

/// At most one notification goes out, and at most one is passed on, in this time.
const REST: Duration = Duration::from_millis(5);

/// How long our own notification may take to come back before we take it that none arrives.
const PROBE_WAIT: Duration = Duration::from_secs(2);

/// How often foreign commits are looked for where no notification arrives.
const POLL: Duration = Duration::from_millis(250);

/// How long to wait after a look or a probe that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What a notification begins with where nothing but ends of executions happened: workers need not look.
const ENDED: &str = "ended ";

/// What a notification that only probes begins with.
const PROBE: &str = "probe ";

/// Tells others, and hears of them.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    runtime: Handle,
    /// What runs in the background; nothing before the first use, and while the store rests.
    tasks: Mutex<Vec<AbortHandle>>,
}

struct Shared {
    channel: String,
    /// What our notifications say, so that we know them for our own whatever connection they went out by.
    name: String,
    instance: Uuid,
    readers: Readers,
    watchers: Mutex<Vec<Weak<dyn Watcher>>>,
    /// The connection that listens, while there is one.
    line: Mutex<Option<Arc<Link>>>,
    /// Whether notifications arrive there, as far as is known.
    hears: AtomicBool,
    warned: AtomicBool,
    /// Which probe is under way.
    probe: AtomicU64,
    probe_came: Notify,
    /// Whether what was rung, or heard, and is not passed on yet is more than ends of executions.
    rang_for_work: AtomicBool,
    heard_of_work: AtomicBool,
    /// Somebody rang, something was heard, polling may have to begin.
    rang: Notify,
    heard: Notify,
    stirred: Notify,
}

impl Watch {
    /// For the store that `instance` names, in this schema of its database.
    pub(crate) fn new(schema: Option<&str>, instance: Uuid, readers: Readers, runtime: Handle) -> Self {
        let shared = Shared {
            channel: channel(schema.unwrap_or_default()),
            name: instance.to_string(),
            instance,
            readers,
            watchers: Mutex::default(),
            line: Mutex::default(),
            hears: AtomicBool::new(false),
            warned: AtomicBool::new(false),
            probe: AtomicU64::new(0),
            probe_came: Notify::new(),
            rang_for_work: AtomicBool::new(false),
            heard_of_work: AtomicBool::new(false),
            rang: Notify::new(),
            heard: Notify::new(),
            stirred: Notify::new(),
        };
        Self { shared: Arc::new(shared), runtime, tasks: Mutex::default() }
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the background, unless it runs.
    fn start(&self) {
        let mut tasks = self.tasks();
        if tasks.is_empty() {
            tasks.push(self.runtime.spawn(Arc::clone(&self.shared).pass_on_rings()).abort_handle());
            tasks.push(self.runtime.spawn(Arc::clone(&self.shared).pass_on_news()).abort_handle());
            tasks.push(self.runtime.spawn(Arc::clone(&self.shared).poll()).abort_handle());
        }
    }

    /// Tells `watcher` of foreign changes until it is dropped.
    pub(crate) fn add(&self, watcher: Weak<dyn Watcher>) {
        self.shared.watchers().push(watcher);
        self.start();
        self.shared.stirred.notify_one();
    }

    /// This store committed something that wakes somebody; nothing but ends of executions, or more. Never waits.
    pub(crate) fn ring(&self, only_ends: bool) {
        self.start();
        self.shared.rang_for_work.fetch_or(!only_ends, Ordering::AcqRel);
        self.shared.rang.notify_one();
    }

    /// What the connection that listens must be sent first. It commits nothing but notifications, and those need not
    /// wait for the disk.
    pub(crate) fn greeting(&self) -> String {
        format!("SET synchronous_commit TO off; LISTEN {}", quoted(&self.shared.channel))
    }

    /// There is a connection that listens. What happened before it did is news too.
    pub(crate) fn connected(&self, line: Arc<Link>) {
        *self.shared.line() = Some(line);
        self.start();
        self.shared.heard_of_work.store(true, Ordering::Release);
        self.shared.heard.notify_one();
        let probe = self.shared.probe.fetch_add(1, Ordering::AcqRel) + 1;
        let task = self.runtime.spawn(Arc::clone(&self.shared).probe(probe)).abort_handle();
        let mut tasks = self.tasks();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    /// The connection that listened is gone.
    pub(crate) fn lost(&self) {
        *self.shared.line() = None;
        self.shared.hears.store(false, Ordering::Release);
        self.shared.stirred.notify_one();
    }

    /// There can be no connection that listens.
    pub(crate) fn cannot_listen(&self) {
        self.start();
        self.shared.warn();
        self.shared.stirred.notify_one();
    }

    /// The connection that listens heard this.
    pub(crate) fn heard(&self, channel: &str, words: &str) {
        let shared = &self.shared;
        let (words, only_ends) = words.strip_prefix(ENDED).map_or((words, false), |name| (name, true));
        if channel != shared.channel || words == shared.name {
            return;
        }
        match words.strip_prefix(PROBE) {
            Some(probe) if probe == shared.probe_words(shared.probe.load(Ordering::Acquire)) => {
                shared.hears.store(true, Ordering::Release);
                shared.probe_came.notify_one();
            }
            Some(_) => {}
            None => {
                shared.heard_of_work.fetch_or(!only_ends, Ordering::AcqRel);
                shared.heard.notify_one();
            }
        }
    }

    /// Ends the background; used again, it begins again.
    pub(crate) fn close(&self) {
        for task in self.tasks().drain(..) {
            task.abort();
        }
        self.lost();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn watchers(&self) -> MutexGuard<'_, Vec<Weak<dyn Watcher>>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> MutexGuard<'_, Option<Arc<Link>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_watched(&self) -> bool {
        let mut watchers = self.watchers();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        !watchers.is_empty()
    }

    fn tell(&self, only_ends: bool) {
        let watchers: Vec<_> = self.watchers().iter().filter_map(Weak::upgrade).collect();
        watchers.iter().for_each(|watcher| if only_ends { watcher.ended() } else { watcher.changed() });
    }

    fn probe_words(&self, probe: u64) -> String {
        format!("{} {probe}", self.name)
    }

    /// Sends what was rung: the first at once, and what follows together.
    async fn pass_on_rings(self: Arc<Self>) {
        loop {
            self.rang.notified().await;
            if let Err(error) = self.say().await {
                tracing::debug!(%error, "other processes could not be told of a commit");
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn say(&self) -> Result<(), StoreError> {
        let line = self.line().clone();
        let words = match self.rang_for_work.swap(false, Ordering::AcqRel) {
            true => self.name.clone(),
            false => format!("{ENDED}{}", self.name),
        };
        if let Some(link) = line
            && link.query(Query::Notify, &[&self.channel, &words]).await.is_ok()
        {
            return Ok(());
        }
        self.readers.hint(Query::Notify, &[&self.channel, &words]).await
    }

    /// Tells the watchers what was heard: the first at once, and what follows together.
    async fn pass_on_news(self: Arc<Self>) {
        loop {
            self.heard.notified().await;
            self.tell(!self.heard_of_work.swap(false, Ordering::AcqRel));
            tokio::time::sleep(REST).await;
        }
    }

    /// Finds out whether notifications arrive: one goes out by another connection and must come back.
    async fn probe(self: Arc<Self>, probe: u64) {
        let words = format!("{PROBE}{}", self.probe_words(probe));
        while let Err(error) = self.readers.hint(Query::Notify, &[&self.channel, &words]).await {
            tracing::debug!(%error, "whether notifications arrive could not be tried");
            tokio::time::sleep(AFTER_FAILURE).await;
        }
        let came = tokio::time::timeout(PROBE_WAIT, self.probe_came.notified()).await;
        if came.is_err() && !self.hears.load(Ordering::Acquire) && self.probe.load(Ordering::Acquire) == probe {
            self.warn();
            self.stirred.notify_one();
        }
    }

    fn warn(&self) {
        if !self.warned.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                "notifications do not arrive (a pooler in transaction mode?): changes of other processes are found by \
                 polling"
            );
        }
    }

    /// Looks for foreign commits while somebody watches and nothing is heard.
    async fn poll(self: Arc<Self>) {
        let mut seen = None;
        loop {
            if self.hears.load(Ordering::Acquire) || !self.is_watched() {
                seen = None;
                self.stirred.notified().await;
                continue;
            }
            tokio::time::sleep(POLL).await;
            if self.hears.load(Ordering::Acquire) {
                continue;
            }
            match self.look().await {
                Ok(sum) if seen == Some(sum) => {}
                Ok(sum) => {
                    seen = Some(sum);
                    self.tell(false);
                }
                Err(error) => {
                    tracing::debug!(%error, "foreign changes could not be looked for");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }

    /// A number that changes with each foreign commit.
    async fn look(&self) -> Result<i64, StoreError> {
        let instance = self.instance;
        let sum = self.readers.glance(move |reader| {
            Box::pin(async move {
                let row = reader.first(Query::CommittersElsewhere, &[&instance]).await?;
                row.as_ref().map_or(Ok(0), |row| rows::get(row, 0))
            })
        });
        sum.await
    }
}

/// The channel of a schema's stores. Channels belong to a database; their names are short where those of schemas are
/// not, so it is a digest (FNV-1a). Two that share one would only wake each other for nothing.
pub(crate) fn channel(schema: &str) -> String {
    let digest = schema
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("stent_{digest:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_of_a_schema_is_the_same_in_every_process() {
        assert_eq!(channel("public"), "stent_f4b72165f60f5b60");
        assert_ne!(channel("public"), channel("other"));
        assert!(channel(&"x".repeat(63)).len() < 63);
    }
}

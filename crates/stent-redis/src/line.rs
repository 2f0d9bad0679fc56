//! The background of the bus: one connection that says what was rung, one that listens. Either may fail at any time and
//! is made again with growing pauses; what was rung meanwhile is said then, and what may have been missed counts as news.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, RedisResult};
use tokio::time::{sleep, timeout};

use crate::bus::Shared;

/// At most one message goes out, and at most one is passed on, in this time.
const REST: Duration = Duration::from_millis(5);

/// How long Redis may take to answer anything. It answers in less than a millisecond when it is well.
const ANSWER: Duration = Duration::from_secs(2);

/// How long the line may be silent before it is asked whether it still is one.
const SILENCE: Duration = Duration::from_secs(5);

/// The pauses between tries to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a message ends with where nothing but ends of executions happened: workers need not look.
const ENDED: &str = " ended";

impl Shared {
    /// Says what was rung: the first at once, and what follows together.
    pub(crate) async fn speak(self: Arc<Self>) {
        let mut rung = self.rung.subscribe();
        let mut line = None;
        let mut pause = Pause::default();
        loop {
            let said = *self.said.borrow();
            let Ok(rings) = rung.wait_for(|rings| *rings > said).await.map(|rings| *rings) else { return };
            let for_work = self.rang_for_work.swap(false, Ordering::AcqRel);
            match self.say(&mut line, for_work).await {
                Ok(()) => {
                    pause = Pause::default();
                    self.said.send_replace(rings);
                    sleep(REST).await;
                }
                Err(error) => {
                    line = None;
                    self.rang_for_work.fetch_or(for_work, Ordering::AcqRel);
                    self.warn(&error);
                    sleep(pause.next()).await;
                }
            }
        }
    }

    async fn say(&self, line: &mut Option<MultiplexedConnection>, for_work: bool) -> RedisResult<()> {
        let connection = match line {
            Some(connection) => connection,
            None => line.insert(self.connect().await?),
        };
        let words = format!("{}{}", self.name, if for_work { "" } else { ENDED });
        redis::cmd("PUBLISH").arg(&self.address.channel).arg(words).exec_async(connection).await
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER)).set_response_timeout(Some(ANSWER));
        self.address.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Hears others for as long as there is a bus.
    pub(crate) async fn listen(self: Arc<Self>) {
        let mut pause = Pause::default();
        loop {
            let error = self.listen_once(&mut pause).await;
            self.warn(&error);
            sleep(pause.next()).await;
        }
    }

    /// Hears others until the line is lost; the answer is how.
    async fn listen_once(&self, pause: &mut Pause) -> RedisError {
        let subscribing = async {
            let mut line = self.address.client.get_async_pubsub().await?;
            line.subscribe(&self.address.channel).await.map(|()| line)
        };
        let (mut asking, mut messages) = match in_time(subscribing).await {
            Ok(line) => line.split(),
            Err(error) => return error,
        };
        *pause = Pause::default();
        // What was said before there was a line is news too.
        self.hear(true);
        loop {
            match timeout(SILENCE, messages.next()).await {
                Ok(Some(message)) => self.heed(message.get_payload_bytes()),
                Ok(None) => return RedisError::from((ErrorKind::Io, "the line was closed")),
                // A line whose other end has vanished is silent, like one on which nothing happens.
                Err(_) => {
                    if let Err(error) = in_time(asking.ping::<redis::Value>()).await {
                        return error;
                    }
                }
            }
        }
    }

    fn heed(&self, words: &[u8]) {
        let (name, only_ends) = words.strip_suffix(ENDED.as_bytes()).map_or((words, false), |name| (name, true));
        if name != self.name.as_bytes() {
            self.hear(!only_ends);
        }
    }

    fn hear(&self, of_work: bool) {
        self.heard_of_work.fetch_or(of_work, Ordering::AcqRel);
        self.heard.notify_one();
    }

    /// Tells the watchers what was heard: the first at once, and what follows together.
    pub(crate) async fn pass_on(self: Arc<Self>) {
        loop {
            self.heard.notified().await;
            self.tell(!self.heard_of_work.swap(false, Ordering::AcqRel));
            sleep(REST).await;
        }
    }
}

async fn in_time<T>(asking: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| Err(RedisError::from((ErrorKind::Io, "no answer in time")));
    timeout(ANSWER, asking).await.unwrap_or_else(late)
}

/// How long to wait before the next try: twice as long each time, and never all at once.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pause {
    fn next(&mut self) -> Duration {
        let length = self.0;
        self.0 = (length * 2).min(LONGEST_PAUSE);
        length.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_are_spread() {
        let mut pause = Pause::default();
        let pauses: Vec<_> = (0..20).map(|_| pause.next()).collect();
        assert!(pauses[0] >= FIRST_PAUSE / 2 && pauses[0] <= FIRST_PAUSE, "{pauses:?}");
        assert!(pauses[10..].iter().all(|pause| (LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(pause)), "{pauses:?}");
        assert!(pauses[10..].iter().any(|pause| *pause != pauses[10]), "{pauses:?}");
    }
}

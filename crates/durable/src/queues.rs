//! Queues and dead letters, as an application steers them: create, pause, list; replay, discard.

use std::time::Duration;

use stent_core::view::LetterView;
use stent_core::{Failure, FailureKind, Name, RunId, TaskId, Timestamp};

use crate::client::Durable;
use crate::error::DurableError;

/// A queue.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// # let client = durable::Durable::builder().database_url("sqlite::memory:").build().await?;
/// client.create_queue("imports").await?;
/// client.pause_queue("imports").await?; // what runs goes on, nothing new begins
/// let queues = client.list_queues().await?;
/// let imports = queues.iter().find(|queue| queue.name == "imports").expect("it was created");
/// assert!(imports.is_paused);
/// client.resume_queue("imports").await?;
/// assert!(client.drop_queue("imports").await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Whether workers pass it by.
    pub is_paused: bool,
}

/// A task that failed for good, kept with its history for replay or discard.
///
/// ```
/// # use durable::{Durable, DurableError, ReplayOptions};
/// async fn try_all_again(client: &Durable) -> Result<(), DurableError> {
///     for letter in client.list_dead_letters(100).await? {
///         println!("{} {}: {}", letter.name, letter.task_id, letter.failure);
///         if letter.failure.permanent {
///             client.discard_dead_letter(letter.task_id).await?;
///         } else if !letter.is_through_root {
///             client.replay_dead_letter(letter.task_id, ReplayOptions::default()).await?;
///         }
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Which task.
    pub task_id: TaskId,
    /// The name it is registered under.
    pub name: String,
    /// Its queue.
    pub queue: String,
    /// Why it failed.
    pub failure: Failure,
    /// When it was put away, by the store's clock.
    pub moved_at: Timestamp,
    /// Whether it is a child whose execution failed too: it is replayed through its root, which calls it again.
    pub is_through_root: bool,
}

impl From<LetterView> for DeadLetter {
    fn from(view: LetterView) -> Self {
        Self {
            task_id: view.task.task,
            name: view.function.to_string(),
            queue: view.queue.to_string(),
            failure: view.failure,
            moved_at: view.moved_at,
            is_through_root: view.through_root,
        }
    }
}

/// How a dead letter is replayed.
///
/// ```
/// use durable::ReplayOptions;
/// let elsewhere = ReplayOptions { queue: Some("repairs".into()), ..ReplayOptions::default() };
/// assert!(elsewhere.reset_attempts);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayOptions {
    /// Count attempts anew, so that the retry strategy applies as at first (the default); else there is this one.
    pub reset_attempts: bool,
    /// Another queue.
    pub queue: Option<String>,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self { reset_attempts: true, queue: None }
    }
}

impl Durable {
    /// Creates a queue; false when it is there already. A queue exists from its first use on, so this is only needed
    /// to see or pause one before.
    ///
    /// ```
    /// # async fn example(client: durable::Durable) -> Result<(), durable::DurableError> {
    /// let is_new = client.create_queue("imports").await?;
    /// # let _ = is_new;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::Name`]; the store's failure.
    pub async fn create_queue(&self, name: &str) -> Result<bool, DurableError> {
        self.set_queue(name, None).await
    }

    /// Drops a queue's entry; false when there is none.
    ///
    /// ```
    /// # async fn example(client: durable::Durable) -> Result<(), durable::DurableError> {
    /// let was_there = client.drop_queue("imports").await?;
    /// # let _ = was_there;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::Refused`] while unfinished tasks lie in it; the store's failure.
    pub async fn drop_queue(&self, name: &str) -> Result<bool, DurableError> {
        Ok(self.engine()?.drop_queue(Name::new("queue", name)?).await?)
    }

    /// The queues that are known, in order of name.
    ///
    /// ```
    /// # async fn example(client: durable::Durable) -> Result<(), durable::DurableError> {
    /// let paused = client.list_queues().await?.into_iter().filter(|queue| queue.is_paused).count();
    /// # let _ = paused;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The store's failure.
    pub async fn list_queues(&self) -> Result<Vec<Queue>, DurableError> {
        let views = self.engine()?.store().queues().await?;
        Ok(views.into_iter().map(|view| Queue { name: view.name.to_string(), is_paused: view.paused }).collect())
    }

    /// Lets nothing new begin in a queue; what runs goes on. False when it was paused already.
    ///
    /// ```
    /// # async fn example(client: durable::Durable) -> Result<(), durable::DurableError> {
    /// let was_running = client.pause_queue("imports").await?;
    /// # let _ = was_running;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`create_queue`](Self::create_queue).
    pub async fn pause_queue(&self, name: &str) -> Result<bool, DurableError> {
        self.set_queue(name, Some(true)).await
    }

    /// Lets a paused queue go on; false when it was not paused.
    ///
    /// ```
    /// # async fn example(client: durable::Durable) -> Result<(), durable::DurableError> {
    /// let was_paused = client.resume_queue("imports").await?;
    /// # let _ = was_paused;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`create_queue`](Self::create_queue).
    pub async fn resume_queue(&self, name: &str) -> Result<bool, DurableError> {
        self.set_queue(name, Some(false)).await
    }

    async fn set_queue(&self, name: &str, paused: Option<bool>) -> Result<bool, DurableError> {
        Ok(self.engine()?.set_queue(Name::new("queue", name)?, paused).await?)
    }

    /// The newest dead letters, at most `limit` of them.
    ///
    /// ```
    /// # async fn example(client: durable::Durable) -> Result<(), durable::DurableError> {
    /// for letter in client.list_dead_letters(20).await? {
    ///     println!("{}: {}", letter.name, letter.failure);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The store's failure.
    pub async fn list_dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, DurableError> {
        Ok(self.engine()?.store().letters(limit).await?.into_iter().map(DeadLetter::from).collect())
    }

    /// A task's dead letter, if it has one.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn why(client: &Durable, task: TaskId) -> Result<Option<String>, DurableError> {
    ///     Ok(client.get_dead_letter(task).await?.map(|letter| letter.failure.message))
    /// }
    /// ```
    ///
    /// # Errors
    /// The store's failure.
    pub async fn get_dead_letter(&self, task_id: TaskId) -> Result<Option<DeadLetter>, DurableError> {
        let store = self.engine()?.store();
        let Some(task) = store.find_task(task_id).await? else { return Ok(None) };
        Ok(store.letter(task).await?.map(DeadLetter::from))
    }

    /// Runs a failed task again, from its last success: its finished steps do not run again, and its id stays. The
    /// answer is the id of the new run.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, ReplayOptions, RunId, TaskId};
    /// async fn again(client: &Durable, task: TaskId) -> Result<RunId, DurableError> {
    ///     client.replay_dead_letter(task, ReplayOptions::default()).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`] when it has no letter; [`DurableError::Refused`] for a child whose root failed
    /// too: replay that one.
    pub async fn replay_dead_letter(&self, task_id: TaskId, options: ReplayOptions) -> Result<RunId, DurableError> {
        let engine = self.engine()?;
        let queue = options.queue.map(|queue| Name::new("queue", &queue)).transpose()?;
        Ok(engine.replay_letter(task_id, options.reset_attempts, queue).await?)
    }

    /// Throws a dead letter away; false when there was none. The task stays failed.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn forget(client: &Durable, task: TaskId) -> Result<bool, DurableError> {
    ///     client.discard_dead_letter(task).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`]; the store's failure.
    pub async fn discard_dead_letter(&self, task_id: TaskId) -> Result<bool, DurableError> {
        Ok(self.engine()?.discard_letter(task_id).await?)
    }

    /// How many dead letters there are.
    ///
    /// ```
    /// # use durable::{Durable, DurableError};
    /// async fn is_clean(client: &Durable) -> Result<bool, DurableError> {
    ///     Ok(client.count_dead_letters().await? == 0)
    /// }
    /// ```
    ///
    /// # Errors
    /// The store's failure.
    pub async fn count_dead_letters(&self) -> Result<u64, DurableError> {
        Ok(self.engine()?.store().count_letters().await?)
    }

    /// Puts a task that has not ended away as a dead letter, by hand: it fails for good for this reason, what it called
    /// is cancelled, and a worker that runs it is told. It can be replayed like any other.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn put_away(client: &Durable, poisoned: TaskId) -> Result<(), DurableError> {
    ///     client.move_to_dead_letters(poisoned, "it blocks the queue: see ticket 17").await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownTask`]; [`DurableError::Refused`] when it has ended; the store's failure.
    pub async fn move_to_dead_letters(&self, task_id: TaskId, reason: &str) -> Result<(), DurableError> {
        let failure = Failure::new(FailureKind::Error, reason);
        Ok(self.engine()?.put_away(task_id, failure).await?)
    }

    /// Throws dead letters away that are older than this; how many. Their tasks stay failed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use durable::{Durable, DurableError};
    /// async fn forget_last_month(client: &Durable) -> Result<u64, DurableError> {
    ///     client.cleanup_dead_letters(Duration::from_secs(30 * 86_400)).await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::Option`] for a span over the limit; the store's failure.
    pub async fn cleanup_dead_letters(&self, older_than: Duration) -> Result<u64, DurableError> {
        let before = self.moment_before(older_than)?;
        Ok(self.engine()?.clean_letters(before).await?)
    }
}

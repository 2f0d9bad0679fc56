//! Cron schedules, as an application steers them: set, list, pause, resume, run now, delete. The calendar and the ticks
//! are the engine's.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use serde_json::{Map, Value};
use stent_core::{MissedTicks, Name, Payload, Schedule, ScheduleView, TaskId, TaskSpec, Timestamp};

use crate::client::{Durable, spawned};
use crate::error::DurableError;
use crate::function::{Arguments as _, Function, IntoArguments, spec};
use crate::options::{CancellationPolicy, SpawnOptions};
use crate::report::SpawnResult;
use crate::task::Task;

/// The zone of schedules that name none.
const DEFAULT_ZONE: &str = "UTC";

/// A schedule as it stands.
///
/// ```
/// # use durable::{Durable, DurableError};
/// async fn what_is_next(client: &Durable) -> Result<(), DurableError> {
///     for schedule in client.list_schedules().await? {
///         println!("{}: {} in {}, next {:?}", schedule.name, schedule.cron, schedule.time_zone, schedule.next_tick);
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleReport {
    /// Its name.
    pub name: String,
    /// Its cron line.
    pub cron: String,
    /// The IANA time zone that the line is meant in.
    pub time_zone: String,
    /// What becomes of ticks that nobody started in time.
    pub missed: MissedTicks,
    /// The task or function that it starts, by the name it is registered under.
    pub starts: String,
    /// The queue it starts it in.
    pub queue: String,
    /// Whether it rests.
    pub is_paused: bool,
    /// The next tick; `None` while it rests.
    pub next_tick: Option<Timestamp>,
    /// The last tick that started an execution.
    pub last_tick: Option<Timestamp>,
    /// What that tick started.
    pub last_execution: Option<TaskId>,
}

impl From<ScheduleView> for ScheduleReport {
    fn from(view: ScheduleView) -> Self {
        let Schedule { name, cron, zone, missed, spec, deadline: _ } = view.schedule;
        Self {
            name: name.to_string(),
            cron,
            time_zone: zone,
            missed,
            starts: spec.function.to_string(),
            queue: spec.queue.to_string(),
            is_paused: view.paused,
            next_tick: view.due,
            last_tick: view.last_tick,
            last_execution: view.last_execution.map(stent_core::ExecutionId::root),
        }
    }
}

/// A schedule about to be set, made by [`Durable::schedule`] or [`Durable::schedule_task`]. Awaited, it tells whether
/// anything is different now: a program may set its schedules at each start, and one that says the same already is left as
/// it is. What cannot be is told when it is awaited.
///
/// ```
/// use std::time::Duration;
/// use durable::{CancellationPolicy, Durable, MissedTicks};
///
/// #[durable::function]
/// async fn report(region: String) -> usize {
///     region.len()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// # let client = Durable::builder().database_url("sqlite::memory:").build().await?;
/// let hour = Duration::from_secs(3_600);
/// let within_the_hour = CancellationPolicy { max_pending_time: Some(hour), max_running_time: None };
/// let nightly = || {
///     client
///         .schedule("report north", "30 2 * * MON-FRI", report, "north".to_owned())
///         .time_zone("Europe/Berlin")
///         .missed(MissedTicks::All)
///         .queue("reports")
///         .priority(5)
///         .tags(["slow"])
///         .expiry(Duration::from_secs(86_400))
///         .cancellation(within_the_hour)
///         .headers(serde_json::Map::from_iter([("tenant".to_owned(), "acme".into())]))
/// };
/// assert!(nightly().await?);
/// assert!(!nightly().await?); // it says so already
/// let odd = client.schedule("odd", "61 * * * *", report, "south".to_owned()).await;
/// assert!(odd.unwrap_err().to_string().contains("field 1 (minute) is \"61\", and may hold 0-59"));
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is set before it is awaited"]
pub struct SetSchedule {
    client: Durable,
    name: String,
    cron: String,
    zone: String,
    missed: MissedTicks,
    starts: &'static str,
    args: Result<Payload, DurableError>,
    memo: Option<Box<stent_core::Memo>>,
    options: SpawnOptions,
}

impl SetSchedule {
    /// The IANA time zone that the cron line is meant in, such as `Europe/Berlin`; UTC unless told otherwise.
    pub fn time_zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = zone.into();
        self
    }

    /// What becomes of ticks that passed while no worker was there: by default one execution stands for all of them.
    pub const fn missed(mut self, policy: MissedTicks) -> Self {
        self.missed = policy;
        self
    }

    /// The queue that executions join.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.options.queue = Some(queue.into());
        self
    }

    /// Higher is started first.
    pub const fn priority(mut self, priority: i32) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// The executions' tags, instead of the function's.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.options.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// What travels along with each execution. `stent-schedule` and `stent-tick` are added: the schedule's name, and the
    /// time that the execution stands for, as RFC 3339 in UTC.
    pub fn headers(mut self, headers: Map<String, Value>) -> Self {
        self.options.headers = Some(headers);
        self
    }

    /// From an execution's creation to its end: past that it is ended as timed out.
    pub const fn expiry(mut self, expiry: Duration) -> Self {
        self.options.expiry = Some(expiry);
        self
    }

    /// When an execution is cancelled by itself; the client's policy unless told otherwise. It is kept with the schedule:
    /// a client with other defaults that follows it gives its executions the same.
    pub const fn cancellation(mut self, policy: CancellationPolicy) -> Self {
        self.options.cancellation = Some(policy);
        self
    }

    fn schedule(self) -> Result<(Durable, Schedule), DurableError> {
        let function = Name::new("function", self.starts)?;
        let mut spec: TaskSpec = self.options.spec(function, self.args?, self.client.defaults())?;
        spec.options.memo = self.memo;
        let name = Name::new("schedule", &self.name)?;
        let deadline = self.options.deadline(self.client.defaults())?;
        Ok((self.client, Schedule { name, cron: self.cron, zone: self.zone, missed: self.missed, spec, deadline }))
    }

    async fn set(self) -> Result<bool, DurableError> {
        let (client, schedule) = self.schedule()?;
        Ok(client.engine()?.set_schedule(schedule).await?)
    }
}

impl IntoFuture for SetSchedule {
    type Output = Result<bool, DurableError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.set())
    }
}

impl fmt::Debug for SetSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SetSchedule");
        shown.field("name", &self.name).field("cron", &self.cron).field("zone", &self.zone).finish_non_exhaustive()
    }
}

impl Durable {
    /// Has a durable function started again and again, by a cron line: five fields (minute, hour, day of month, month, day
    /// of week), six with seconds before them, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. Each tick starts
    /// one execution at most, however many workers there are. A schedule of this name is changed; one that rests stays at
    /// rest.
    ///
    /// ```
    /// use durable::Durable;
    ///
    /// #[durable::function]
    /// async fn clean(room: String) -> usize {
    ///     room.len()
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), durable::DurableError> {
    /// # let client = Durable::builder().database_url("sqlite::memory:").build().await?;
    /// client.schedule("clean the hall", "0 3 * * *", clean, "hall".to_owned()).time_zone("America/New_York").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn schedule<F: Function>(
        &self,
        name: impl Into<String>,
        cron: impl Into<String>,
        _function: F,
        args: impl IntoArguments<F::Args>,
    ) -> SetSchedule {
        let args = args.into_arguments();
        let mut options = spec::options(F::meta());
        self.defaults().fill_function(&mut options);
        let written = args.write().map_err(DurableError::from);
        let (args, memo) = match written {
            Ok(payload) => match spec::memo::<F>(&args, &payload, |ask| Ok(ask())) {
                Ok(memo) => (Ok(payload), memo),
                Err(error) => (Err(DurableError::option("key", error.to_string())), None),
            },
            Err(error) => (Err(error), None),
        };
        self.set_schedule(name.into(), cron.into(), F::meta().name(), args, memo, options)
    }

    /// Has a task started again and again, as [`schedule`](Self::schedule) does functions.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, MissedTicks, Task};
    /// async fn hourly<T: Task>(client: &Durable, params: T::Params) -> Result<bool, DurableError> {
    ///     client.schedule_task::<T>(T::NAME, "@hourly", params).missed(MissedTicks::Skip).await
    /// }
    /// ```
    pub fn schedule_task<T: Task>(
        &self,
        name: impl Into<String>,
        cron: impl Into<String>,
        params: T::Params,
    ) -> SetSchedule {
        let args = Payload::json(&params).map_err(DurableError::from);
        self.set_schedule(name.into(), cron.into(), T::NAME, args, None, SpawnOptions::default())
    }

    fn set_schedule(
        &self,
        name: String,
        cron: String,
        starts: &'static str,
        args: Result<Payload, DurableError>,
        memo: Option<Box<stent_core::Memo>>,
        options: SpawnOptions,
    ) -> SetSchedule {
        let (client, zone, missed) = (self.clone(), DEFAULT_ZONE.to_owned(), MissedTicks::default());
        SetSchedule { client, name, cron, zone, missed, starts, args, memo, options }
    }

    /// All schedules, in order of name.
    ///
    /// ```
    /// # async fn example(client: durable::Durable) -> Result<(), durable::DurableError> {
    /// let resting = client.list_schedules().await?.into_iter().filter(|schedule| schedule.is_paused).count();
    /// # let _ = resting;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The store's failure.
    pub async fn list_schedules(&self) -> Result<Vec<ScheduleReport>, DurableError> {
        Ok(self.engine()?.store().schedules().await?.into_iter().map(ScheduleReport::from).collect())
    }

    /// The schedule of this name, if there is one.
    ///
    /// ```
    /// # async fn example(client: durable::Durable) -> Result<(), durable::DurableError> {
    /// let next = client.get_schedule("report north").await?.and_then(|schedule| schedule.next_tick);
    /// # let _ = next;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::Name`]; the store's failure.
    pub async fn get_schedule(&self, name: &str) -> Result<Option<ScheduleReport>, DurableError> {
        let name = Name::new("schedule", name)?;
        Ok(self.engine()?.store().schedule(&name).await?.map(ScheduleReport::from))
    }

    /// Has a schedule rest; false when it does already. Ticks that pass meanwhile are not made up for; what runs goes on.
    ///
    /// ```
    /// # async fn example(client: durable::Durable) -> Result<(), durable::DurableError> {
    /// client.pause_schedule("report north").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::UnknownSchedule`]; [`DurableError::Name`]; the store's failure.
    pub async fn pause_schedule(&self, name: &str) -> Result<bool, DurableError> {
        Ok(self.engine()?.pause_schedule(&Name::new("schedule", name)?).await?)
    }

    /// Has a schedule go on with its next tick; false when it does not rest.
    ///
    /// ```
    /// # async fn example(client: durable::Durable) -> Result<(), durable::DurableError> {
    /// client.resume_schedule("report north").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`pause_schedule`](Self::pause_schedule).
    pub async fn resume_schedule(&self, name: &str) -> Result<bool, DurableError> {
        Ok(self.engine()?.resume_schedule(&Name::new("schedule", name)?).await?)
    }

    /// Starts what a schedule starts, now, whether it rests or not; its ticks stay as they are.
    ///
    /// ```
    /// # use durable::{Durable, DurableError, TaskId};
    /// async fn right_now(client: &Durable) -> Result<TaskId, DurableError> {
    ///     Ok(client.run_schedule_now("report north").await?.task_id)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`pause_schedule`](Self::pause_schedule).
    pub async fn run_schedule_now(&self, name: &str) -> Result<SpawnResult, DurableError> {
        let started = self.engine()?.run_schedule(&Name::new("schedule", name)?).await?;
        Ok(spawned(started))
    }

    /// Deletes a schedule; false when there is none. What it has started goes on.
    ///
    /// ```
    /// # async fn example(client: durable::Durable) -> Result<(), durable::DurableError> {
    /// let was_there = client.delete_schedule("report north").await?;
    /// # let _ = was_there;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DurableError::Name`]; the store's failure.
    pub async fn delete_schedule(&self, name: &str) -> Result<bool, DurableError> {
        Ok(self.engine()?.delete_schedule(Name::new("schedule", name)?).await?)
    }
}

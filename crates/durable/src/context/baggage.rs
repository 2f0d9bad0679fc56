//! Counters and state that an execution carries along, shared by its tasks and seen from outside. Every change is a
//! record, so a replay does not make it twice; a read is one too, so it tells the same again.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stent_core::command::{self, Effect};
use stent_core::view::Baggage;
use stent_core::{Name, Payload};

use super::{TaskContext, checked};
use crate::failure::StepError;
use crate::task_error::{TaskError, TaskResult};

/// A counter's value: whole as long as whole numbers are added and fit.
///
/// ```
/// use durable::Number;
/// assert_eq!(Number::from(3_i64), Number::Whole(3));
/// assert_eq!(Number::from(0.5).as_f64(), 0.5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Number {
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Real(f64),
}

impl Number {
    /// The value as a float.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Real(x) => x,
        }
    }
}

impl From<i64> for Number {
    fn from(n: i64) -> Self {
        Self::Whole(n)
    }
}

impl From<f64> for Number {
    fn from(x: f64) -> Self {
        Self::Real(x)
    }
}

impl From<command::Number> for Number {
    fn from(number: command::Number) -> Self {
        match number {
            command::Number::Whole(n) => Self::Whole(n),
            command::Number::Real(x) => Self::Real(x),
        }
    }
}

impl From<Number> for command::Number {
    fn from(number: Number) -> Self {
        match number {
            Number::Whole(n) => Self::Whole(n),
            Number::Real(x) => Self::Real(x),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(n) => n.fmt(f),
            Self::Real(x) => x.fmt(f),
        }
    }
}

impl TaskContext {
    /// The counters of this execution.
    ///
    /// ```
    /// # use durable::{TaskContext, TaskResult};
    /// async fn imported(ctx: &TaskContext, rows: i64) -> TaskResult<()> {
    ///     ctx.counters().add("imported", rows).await.map(drop)
    /// }
    /// ```
    #[must_use]
    pub fn counters(&self) -> Counters<'_> {
        Counters(self)
    }

    /// The state values of this execution.
    ///
    /// ```
    /// # use durable::{TaskContext, TaskResult};
    /// async fn is_active(ctx: &TaskContext) -> TaskResult<bool> {
    ///     Ok(ctx.state().get::<String>("phase").await?.as_deref() == Some("active"))
    /// }
    /// ```
    #[must_use]
    pub fn state(&self) -> StateValues<'_> {
        StateValues(self)
    }

    /// What the execution carries now, recorded as a step.
    async fn look<T, F>(&self, name: String, pick: F) -> TaskResult<T>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce(Baggage) -> Result<T, StepError>,
    {
        let context = &self.calls.context;
        let execution = context.task().lease.task.execution;
        let store = context.engine().store().clone();
        self.begin(&name)?.run(|| async move { pick(store.baggage(execution).await?) }).await
    }
}

/// The counters of an execution, shared by all of its tasks: progress that people can watch, totals over a fan-out.
///
/// ```
/// use durable::{Number, Task, TaskContext, TaskResult, async_trait};
///
/// struct Import;
///
/// #[async_trait]
/// impl Task for Import {
///     const NAME: &'static str = "import";
///     type Params = Vec<u64>;
///     type Output = f64;
///
///     async fn run(rows: Vec<u64>, ctx: TaskContext) -> TaskResult<f64> {
///         let counters = ctx.counters();
///         counters.ensure([("imported", Number::from(0_i64)), ("refused", Number::from(0_i64))]).await?;
///         for row in rows {
///             counters.add(if row % 2 == 0 { "imported" } else { "refused" }, 1_i64).await?;
///         }
///         Ok(counters.get("imported").await?.map_or(0.0, Number::as_f64))
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let executor = durable::testing::Executor::new().await;
/// # executor.register::<Import>().await;
/// # assert_eq!(executor.run::<Import>(vec![1, 2, 4]).await.unwrap(), 2.0);
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Counters<'c>(&'c TaskContext);

impl Counters<'_> {
    /// Sets those that are absent.
    ///
    /// # Errors
    /// [`TaskError::Invalid`] for a name that breaks a rule; control flow.
    pub async fn ensure<'n, N: Into<Number>>(&self, values: impl IntoIterator<Item = (&'n str, N)>) -> TaskResult<()> {
        let values = values.into_iter().map(|(name, value)| Ok((checked("counter", name)?, value.into().into())));
        let effect = values.collect::<TaskResult<Vec<_>>>().map(Effect::EnsureCounters);
        self.0.effect("counters.ensure".to_owned(), effect).await
    }

    /// Adds to one, from 0 where absent, and gives its new value.
    ///
    /// # Errors
    /// As [`ensure`](Self::ensure).
    pub async fn add(&self, name: &str, amount: impl Into<Number>) -> TaskResult<Number> {
        let effect = checked("counter", name).map(|name| Effect::AddCounter(name, amount.into().into()));
        self.0.effect::<command::Number>(format!("counters.add:{name}"), effect).await.map(Number::from)
    }

    /// Its value as it is now, recorded; `None` where absent.
    ///
    /// # Errors
    /// As [`ensure`](Self::ensure).
    pub async fn get(&self, name: &str) -> TaskResult<Option<Number>> {
        let sought = checked("counter", name)?;
        let pick = |baggage: Baggage| Ok(find(baggage.counters, &sought));
        self.0.look(format!("counters.get:{name}"), pick).await.map(|found| found.map(Number::from))
    }
}

/// Values by name that an execution carries along, shared by all of its tasks.
///
/// ```
/// use durable::{Task, TaskContext, TaskResult, async_trait};
///
/// struct Onboard;
///
/// #[async_trait]
/// impl Task for Onboard {
///     const NAME: &'static str = "onboard";
///     type Params = ();
///     type Output = String;
///
///     async fn run((): (), ctx: TaskContext) -> TaskResult<String> {
///         ctx.state().ensure("phase", &"invited").await?;
///         ctx.state().set("phase", &"active").await?;
///         Ok(ctx.state().get("phase").await?.unwrap_or_default())
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let executor = durable::testing::Executor::new().await;
/// # executor.register::<Onboard>().await;
/// # assert_eq!(executor.run::<Onboard>(()).await.unwrap(), "active");
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StateValues<'c>(&'c TaskContext);

impl StateValues<'_> {
    /// Sets a value unless there is one.
    ///
    /// # Errors
    /// [`TaskError::Invalid`] for a name that breaks a rule or a value that serde cannot write; control flow.
    pub async fn ensure<V: Serialize + ?Sized>(&self, name: &str, value: &V) -> TaskResult<()> {
        let effect = entry(name, value).map(|entry| Effect::EnsureState(vec![entry]));
        self.0.effect(format!("state.ensure:{name}"), effect).await
    }

    /// Sets a value.
    ///
    /// # Errors
    /// As [`ensure`](Self::ensure).
    pub async fn set<V: Serialize + ?Sized>(&self, name: &str, value: &V) -> TaskResult<()> {
        let effect = entry(name, value).map(|(name, value)| Effect::SetState(name, value));
        self.0.effect(format!("state.set:{name}"), effect).await
    }

    /// The value as it is now, recorded; `None` where absent.
    ///
    /// # Errors
    /// [`TaskError::Step`] when it does not fit `V`; else as [`ensure`](Self::ensure).
    pub async fn get<V: Serialize + DeserializeOwned>(&self, name: &str) -> TaskResult<Option<V>> {
        let sought = checked("state", name)?;
        let pick = |baggage: Baggage| Ok(find(baggage.state, &sought).map(|value| value.read::<V>()).transpose()?);
        self.0.look(format!("state.get:{name}"), pick).await
    }
}

fn entry<V: Serialize + ?Sized>(name: &str, value: &V) -> TaskResult<(Name, Payload)> {
    Ok((checked("state", name)?, Payload::json(value).map_err(TaskError::invalid)?))
}

fn find<V>(values: Vec<(Name, V)>, sought: &Name) -> Option<V> {
    values.into_iter().find_map(|(name, value)| (name == *sought).then_some(value))
}

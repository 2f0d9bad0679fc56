//! The check of replays: run a workflow once undisturbed, then again and again with its process killed before or after
//! each thing it writes, and compare what comes out. A difference is a bug in the workflow: something outside of its
//! steps that is not the same each time.

use std::pin::pin;
use std::sync::Arc;

use serde_json::Value;
use stent_core::{ExecutionId, Name, TaskId};
use stent_testing::gate::Gate;
use stent_testing::trial::{Divergence, Kill, KillPoint, RecordedCall, Trace, Trial, WRITES, shown};
use stent_testing::{BEGINNING, World};

use super::workflow::{Prepared, Workflow};
use super::{Running, process};
use crate::client::{Durable, execution};
use crate::error::DurableError;
use crate::report::TaskReport;

/// What a check of replays did.
///
/// ```
/// # async fn check<T: durable::Task>(workflow: durable::testing::Workflow<T>) {
/// let report = durable::testing::check_replay(workflow).await.unwrap();
/// println!("{} kills, and always {}", report.kills, report.outcome);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReplayReport {
    /// How many times a process was killed.
    pub kills: usize,
    /// What every run came to: the output, or the failure's words.
    pub outcome: Value,
}

/// Why a check of replays failed.
///
/// ```
/// use durable::testing::{ReplayDivergence, Workflow, check_replay};
/// use durable::{Task, TaskContext, TaskResult, async_trait};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static CALLS: AtomicU32 = AtomicU32::new(0);
///
/// struct Careless;
///
/// #[async_trait]
/// impl Task for Careless {
///     const NAME: &'static str = "careless";
///     type Params = ();
///     type Output = u32;
///
///     async fn run((): (), ctx: TaskContext) -> TaskResult<u32> {
///         let reads_the_world = CALLS.fetch_add(1, Ordering::Relaxed); // not in a step
///         ctx.step("a", || async { Ok(()) }).await?;
///         Ok(reads_the_world)
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let divergence = check_replay(Workflow::<Careless>::of(())).await.unwrap_err();
/// assert!(matches!(divergence, ReplayDivergence::Outcome { .. }));
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayDivergence {
    /// The workflow came to something else.
    #[error("killed {at}, it came to {found} instead of {expected}")]
    Outcome {
        /// Where the process was killed.
        at: KillPoint,
        /// What the undisturbed run came to.
        expected: Value,
        /// What this one came to.
        found: Value,
    },
    /// A call was recorded with another outcome, or not at all, or beside those of the undisturbed run.
    #[error("killed {at}, the task {task} recorded {} for \"{key}\" instead of {}", shown(.found), shown(.expected))]
    Record {
        /// Where the process was killed.
        at: KillPoint,
        /// Whose record.
        task: TaskId,
        /// The call's name.
        key: String,
        /// What the undisturbed run recorded.
        expected: Option<Box<RecordedCall>>,
        /// What this one recorded.
        found: Option<Box<RecordedCall>>,
    },
    /// A run did not come to an end.
    #[error("{at}: {source}")]
    Run {
        /// Where the process was killed.
        at: KillPoint,
        /// Why not.
        source: DurableError,
    },
    /// The workflow writes more than can be checked: each write costs two runs.
    #[error("the workflow writes more than {WRITES} times: check a smaller one")]
    TooLong,
}

impl From<Divergence> for ReplayDivergence {
    fn from(divergence: Divergence) -> Self {
        match divergence {
            Divergence::Outcome { at, expected, found } => Self::Outcome { at, expected, found },
            Divergence::Record { at, task, key, expected, found } => Self::Record { at, task, key, expected, found },
            Divergence::TooLong => Self::TooLong,
        }
    }
}

/// Runs a workflow undisturbed, then with its process killed before and after each of its writes, and compares
/// outcomes and recorded results. Steps run at least once, so a killed one may run twice; what it came to must be the
/// same.
///
/// ```
/// use durable::testing::{Workflow, check_replay};
/// use durable::{Task, TaskContext, TaskResult, async_trait};
///
/// struct Sum;
///
/// #[async_trait]
/// impl Task for Sum {
///     const NAME: &'static str = "sum";
///     type Params = Vec<u64>;
///     type Output = u64;
///
///     async fn run(numbers: Vec<u64>, ctx: TaskContext) -> TaskResult<u64> {
///         let mut sum = 0;
///         for number in numbers {
///             sum = ctx.step("add", || async move { Ok(sum + number) }).await?;
///         }
///         Ok(sum)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let report = check_replay(Workflow::<Sum>::of(vec![1, 2, 3])).await.unwrap();
/// assert_eq!(report.outcome, 6);
/// assert_eq!(report.kills, 8); // before and after three steps and the end
/// # }
/// ```
///
/// # Errors
/// [`ReplayDivergence`], which names where the process was killed and what differs.
///
/// # Panics
/// Outside of a tokio runtime.
pub async fn check_replay<T>(workflow: Workflow<T>) -> Result<ReplayReport, ReplayDivergence> {
    let workflow = workflow.prepare().map_err(|source| ReplayDivergence::Run { at: KillPoint::never(), source })?;
    let mut trial = Trial::default();
    while !trial.is_over() {
        let found = run(&workflow, trial.kill()).await;
        trial.judge(found.map_err(|(at, source)| ReplayDivergence::Run { at, source })?)?;
    }
    Ok(ReplayReport { kills: trial.kills(), outcome: trial.into_outcome() })
}

/// Runs the workflow in a world of its own, where every run's ids and times are the same.
async fn run(workflow: &Prepared, kill: Option<Kill>) -> Result<Trace, (KillPoint, DurableError)> {
    let world = World::new();
    let (_, client) = process(&world, world.store(), &workflow.parts);
    let gate = Arc::new(Gate::at(world.store(), kill));
    let mut running = Running::start(&world, Arc::<Gate>::clone(&gate), &client).await;
    let mut is_killed = false;
    let ended = {
        let mut ending = pin!(start_and_wait(workflow, &client));
        loop {
            tokio::select! {
                biased;
                ended = &mut ending => break ended,
                () = gate.shuts(), if !is_killed => {
                    is_killed = true;
                    running.kill().await;
                    running = Running::start(&world, world.store(), &client).await;
                }
            }
        }
    };
    // After the very last write there is nothing to go on with.
    let killed = kill.filter(|_| gate.is_shut()).map(|kill| kill.point(&gate));
    let traced = match ended {
        Ok(report) => trace(workflow, &world, report).await,
        Err(error) => Err(error),
    };
    running.kill().await;
    match traced {
        Ok(trace) => Ok(Trace { killed, ..trace }),
        Err(error) => Err((killed.unwrap_or_else(KillPoint::never), error)),
    }
}

async fn start_and_wait(workflow: &Prepared, client: &Durable) -> Result<TaskReport, DurableError> {
    let mut request = client.request(Name::new("task", workflow.name)?, workflow.params.clone(), &workflow.options)?;
    let id = ExecutionId::v7(BEGINNING.unix_ms(), [0; 10]);
    request.id = Some(id);
    client.engine()?.start(request).await?;
    let (ended, ()) = tokio::join!(client.wait_for(id.root(), None), (workflow.outside)(client.clone(), id.root()));
    ended
}

async fn trace(workflow: &Prepared, world: &World, report: TaskReport) -> Result<Trace, DurableError> {
    let mut outcome = match (&report.failure, report.json()?) {
        (_, Some(output)) => output,
        (Some(failure), None) => Value::String(format!("{}: {}", report.status, failure.message)),
        (None, None) => Value::String(report.status.to_string()),
    };
    (workflow.alike)(&mut outcome);
    let trace = Trace::of(&*world.store(), [execution(report.task_id)], &*workflow.alike).await?;
    Ok(Trace { outcome, ..trace })
}

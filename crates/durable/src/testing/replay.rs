//! The check of replays: run a workflow once undisturbed, then again and again with its process killed before or after
//! each thing it writes, and compare what comes out. A difference is a bug in the workflow: something outside of its
//! steps that is not the same each time.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use serde_json::Value;
use stent_core::{ExecutionId, Name, RecordKind, TaskId};

use super::gate::{Gate, Moment};
use super::workflow::{Prepared, Workflow};
use super::{BEGINNING, RecordedCall, Running, World};
use crate::client::{Durable, execution};
use crate::error::DurableError;
use crate::report::TaskReport;

/// How many writes a workflow may have to be checked: each costs two runs.
const WRITES: usize = 10_000;

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

/// Where a process was killed.
///
/// ```
/// # fn point(divergence: &durable::testing::ReplayDivergence) -> Option<String> {
/// if let durable::testing::ReplayDivergence::Outcome { at, .. } = divergence {
///     return Some(at.to_string()); // before write 2 (step "charge")
/// }
/// None
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillPoint(String);

impl fmt::Display for KillPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn shown(call: &Option<Box<RecordedCall>>) -> String {
    call.as_ref().map_or_else(|| "nothing".to_owned(), |call| format!("{} {}", call.kind, call.output))
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
    let undisturbed = || KillPoint("never".to_owned());
    let failed = |at, source| ReplayDivergence::Run { at, source };
    let workflow = workflow.prepare().map_err(|error| failed(undisturbed(), error))?;
    let expected = run(&workflow, None).await.map_err(|(at, error)| failed(at.unwrap_or_else(undisturbed), error))?;
    let mut kills = 0;
    for write in 1..=WRITES {
        for moment in [Moment::Before, Moment::After] {
            let found = run(&workflow, Some((write, moment))).await;
            let found = found.map_err(|(at, error)| failed(at.unwrap_or_else(undisturbed), error))?;
            let Some(at) = &found.killed else {
                return Ok(ReplayReport { kills, outcome: expected.outcome });
            };
            kills += 1;
            compare(at, &expected, &found)?;
        }
    }
    Err(ReplayDivergence::TooLong)
}

/// What a run left behind.
struct Trace {
    outcome: Value,
    records: Records,
    killed: Option<KillPoint>,
}

fn compare(at: &KillPoint, expected: &Trace, found: &Trace) -> Result<(), ReplayDivergence> {
    if expected.outcome != found.outcome {
        let (expected, found) = (expected.outcome.clone(), found.outcome.clone());
        return Err(ReplayDivergence::Outcome { at: at.clone(), expected, found });
    }
    for at_key in expected.records.keys().chain(found.records.keys()) {
        let (expected, found) = (expected.records.get(at_key), found.records.get(at_key));
        if expected != found {
            let (task, key) = at_key.clone();
            let (expected, found) = (expected.cloned().map(Box::new), found.cloned().map(Box::new));
            return Err(ReplayDivergence::Record { at: at.clone(), task, key, expected, found });
        }
    }
    Ok(())
}

/// Runs the workflow in a world of its own, where every run's ids and times are the same.
async fn run(workflow: &Prepared, kill: Option<(usize, Moment)>) -> Result<Trace, (Option<KillPoint>, DurableError)> {
    let world = World::new();
    let (_, client) = world.process(world.store(), &workflow.parts);
    let (write, moment) = kill.unwrap_or((usize::MAX, Moment::Before));
    let gate = Arc::new(Gate::new(world.store(), write, moment));
    let mut running = Running::start(&world, Arc::<Gate>::clone(&gate), &client).await;
    let when = if moment == Moment::Before { "before" } else { "after" };
    let point = || KillPoint(format!("{when} write {write} ({})", gate.about()));
    let mut killed = None;
    let ended = {
        let mut ending = pin!(start_and_wait(workflow, &client));
        loop {
            tokio::select! {
                biased;
                ended = &mut ending => break ended,
                () = gate.shut.notified(), if killed.is_none() => {
                    killed = Some(point());
                    running.kill().await;
                    running = Running::start(&world, world.store(), &client).await;
                }
            }
        }
    };
    // After the very last write there is nothing to go on with.
    let killed = killed.or_else(|| gate.is_shut().then(point));
    let traced = match ended {
        Ok(report) => trace(workflow, &world, report).await,
        Err(error) => Err(error),
    };
    running.kill().await;
    match traced {
        Ok((outcome, records)) => Ok(Trace { outcome, records, killed }),
        Err(error) => Err((killed, error)),
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

type Records = BTreeMap<(TaskId, String), RecordedCall>;

async fn trace(workflow: &Prepared, world: &World, report: TaskReport) -> Result<(Value, Records), DurableError> {
    let mut outcome = match (&report.failure, report.json()?) {
        (_, Some(output)) => output,
        (Some(failure), None) => Value::String(format!("{}: {}", report.status, failure.message)),
        (None, None) => Value::String(report.status.to_string()),
    };
    (workflow.alike)(&mut outcome);
    let store = world.store();
    let mut records = Records::new();
    for task in store.tasks(execution(report.task_id)).await? {
        for record in store.history(task.task, 0).await?.records {
            let mut call = RecordedCall::of(&record);
            // A value is read off the world, a dispatch makes a fresh id: only that they are there must be the same.
            if matches!(record.kind, RecordKind::Value | RecordKind::Effect) {
                call.output = Value::Null;
            }
            (workflow.alike)(&mut call.output);
            records.insert((task.task.task, call.key.clone()), call);
        }
    }
    Ok((outcome, records))
}

//! The probe on PostgreSQL: fenced group commit and nothing else, the ceiling of what an engine can reach here. One
//! committer takes all steps that wait and sends one transaction as four prepared statements in one round trip: begin;
//! its own row, generation checked; one array statement that checks each task's epoch and inserts its record; commit.
//! Then it answers each. Tasks are tokio tasks, and each awaits its step before the next.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::host::Host;
use super::{PAYLOAD_BYTES, connect, task_id};
use crate::figure::{Figure, Sample};

/// The epoch that every claim of the probe has, and the generation of its committer.
const EPOCH: i64 = 1;
const GENERATION: i64 = 1;
/// The committer's name among others.
const COMMITTER: i32 = 0;
/// The steps of each task where there are many.
const STEPS: usize = 100;
/// More steps than ever wait.
const BATCH: usize = 10_000;

/// Measures the time of a step with one task and the throughput of many.
pub async fn run(host: &Host) -> anyhow::Result<Vec<Sample>> {
    let alone = run_tasks(host, 1, 1_000).await?;
    let mut samples = vec![Sample::of(Figure::ProbeStep, alone.as_secs_f64() * 1_000.0 / 1_000.0)];
    for (figure, tasks) in [(Figure::ProbeSteps100, 100), (Figure::ProbeSteps1000, 1_000)] {
        let took = run_tasks(host, tasks, STEPS).await?;
        samples.push(Sample::of(figure, (tasks * STEPS) as f64 / took.as_secs_f64()));
    }
    Ok(samples)
}

/// Runs so many tasks of so many steps on a fresh database: the time from the first step to the last answer.
async fn run_tasks(host: &Host, tasks: usize, steps: usize) -> anyhow::Result<Duration> {
    let database = host.fresh_database()?;
    let client = connect(&database.url()).await?;
    let ids: Vec<Uuid> = (0..tasks).map(task_id).collect();
    prepare_tables(&client, &ids).await?;

    let (inbox, waiting) = mpsc::unbounded_channel();
    let committer = Committer::prepare(client).await?;
    let committer = tokio::spawn(committer.commit_all(waiting));
    let began = Instant::now();
    let running: Vec<_> = ids.into_iter().map(|id| tokio::spawn(run_task(inbox.clone(), id, steps))).collect();
    drop(inbox);
    let mut outcome = Ok(());
    for task in running {
        outcome = outcome.and(task.await?);
    }
    let took = began.elapsed();
    // What went wrong with the committer says more than what that did to the tasks.
    let recorded = committer.await??;
    outcome?;
    ensure!(recorded == tasks * steps, "{recorded} steps were recorded instead of {}", tasks * steps);
    Ok(took)
}

/// The tables, with the committer's row and the tasks in them.
async fn prepare_tables(client: &Client, tasks: &[Uuid]) -> anyhow::Result<()> {
    client.batch_execute(include_str!("../../sql/postgres/probe_tables.sql")).await?;
    client.execute(include_str!("../../sql/postgres/probe_committer.sql"), &[&COMMITTER, &GENERATION]).await?;
    client.execute(include_str!("../../sql/postgres/probe_tasks.sql"), &[&tasks, &EPOCH]).await?;
    // The planner goes by what is there, not by when the server happens to look.
    client.batch_execute("ANALYZE tasks").await?;
    Ok(())
}

async fn run_task(inbox: mpsc::UnboundedSender<Step>, task: Uuid, steps: usize) -> anyhow::Result<()> {
    for number in 1..=steps {
        let (done, answer) = oneshot::channel();
        let step = Step { task, key: format!("step#{number}"), payload: vec![b'x'; PAYLOAD_BYTES], done };
        ensure!(inbox.send(step).is_ok(), "the committer is gone");
        answer.await.context("the committer is gone")?;
    }
    Ok(())
}

/// A step that waits to be recorded, and who is told that it was.
struct Step {
    task: Uuid,
    key: String,
    payload: Vec<u8>,
    done: oneshot::Sender<()>,
}

/// A connection with the statements of a batch.
struct Committer {
    client: Client,
    begin: Statement,
    fence: Statement,
    steps: Statement,
    commit: Statement,
}

impl Committer {
    async fn prepare(client: Client) -> anyhow::Result<Self> {
        let begin = client.prepare("BEGIN").await?;
        let fence = client.prepare(include_str!("../../sql/postgres/probe_fence.sql")).await?;
        let steps = client.prepare(include_str!("../../sql/postgres/probe_steps.sql")).await?;
        let commit = client.prepare("COMMIT").await?;
        Ok(Self { client, begin, fence, steps, commit })
    }

    /// Commits batch after batch until nobody can ask any more; how many steps were recorded.
    async fn commit_all(self, mut waiting: mpsc::UnboundedReceiver<Step>) -> anyhow::Result<usize> {
        let mut batch = Vec::new();
        let mut recorded = 0;
        for number in 1.. {
            if waiting.recv_many(&mut batch, BATCH).await == 0 {
                break;
            }
            self.commit(number, &batch).await?;
            recorded += batch.len();
            for step in batch.drain(..) {
                // A task that does not wait any more has been given up by the run.
                let _ = step.done.send(());
            }
        }
        Ok(recorded)
    }

    async fn commit(&self, number: i64, batch: &[Step]) -> anyhow::Result<()> {
        let tasks: Vec<Uuid> = batch.iter().map(|step| step.task).collect();
        let keys: Vec<&str> = batch.iter().map(|step| &*step.key).collect();
        let payloads: Vec<&[u8]> = batch.iter().map(|step| &*step.payload).collect();
        let epochs = vec![EPOCH; batch.len()];
        // Asked for in this order before anything is awaited: so they go out in one piece.
        let ((), (), inserted, ()) = tokio::try_join!(
            biased;
            async { self.client.execute(&self.begin, &[]).await.map(drop) },
            async { self.client.execute(&self.fence, &[&COMMITTER, &GENERATION, &number]).await.map(drop) },
            async { self.client.execute(&self.steps, &[&tasks, &keys, &payloads, &epochs]).await },
            async { self.client.execute(&self.commit, &[]).await.map(drop) },
        )?;
        ensure!(inserted == batch.len() as u64, "{inserted} of {} steps were recorded", batch.len());
        Ok(())
    }
}

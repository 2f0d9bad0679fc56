//! The probe on SQLite: fenced group commit and nothing else, the ceiling of what an engine can reach here. One writer
//! thread takes all steps that wait, checks each task's epoch, inserts its record, commits once and answers each;
//! tasks are tokio tasks, and each awaits its step before the next.
//!
//! The records lie in the order of their primary key, as the aims' ratios have it; beside that, held against nothing,
//! stands what the order in which they come would give.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::{PAYLOAD_BYTES, TaskId, create};
use crate::figure::{Figure, Sample};
use crate::place::Place;

/// The epoch that every claim of the probe has.
const EPOCH: i64 = 1;
/// The steps of each task where there are many.
const STEPS: usize = 100;

const BY_KEY: &str = include_str!("../../sql/probe_tables.sql");
const AS_THEY_COME: &str = include_str!("../../sql/probe_tables_heap.sql");

/// Measures the time of a step with one task and the throughput of many.
pub async fn run(place: &Place) -> anyhow::Result<Vec<Sample>> {
    let alone = run_tasks(place, BY_KEY, 1, 1_000).await?;
    let mut samples = vec![Sample::of(Figure::ProbeStep, alone.as_secs_f64() * 1_000.0 / 1_000.0)];
    for (figure, tables, tasks) in [
        (Figure::ProbeSteps100, BY_KEY, 100),
        (Figure::ProbeSteps1000, BY_KEY, 1_000),
        (Figure::ProbeHeap100, AS_THEY_COME, 100),
        (Figure::ProbeHeap1000, AS_THEY_COME, 1_000),
    ] {
        let took = run_tasks(place, tables, tasks, STEPS).await?;
        samples.push(Sample::of(figure, (tasks * STEPS) as f64 / took.as_secs_f64()));
    }
    Ok(samples)
}

/// Runs so many tasks of so many steps on a fresh database: the time from the first step to the last answer.
async fn run_tasks(place: &Place, tables: &str, tasks: usize, steps: usize) -> anyhow::Result<Duration> {
    let mut connection = create(&place.fresh_file())?;
    connection.execute_batch(tables)?;
    let ids: Vec<TaskId> = (0..tasks).map(task_id).collect();
    let claims = connection.transaction()?;
    for id in &ids {
        claims.execute(include_str!("../../sql/probe_task.sql"), params![id, EPOCH])?;
    }
    claims.commit()?;

    let inbox = Arc::new(Inbox::default());
    let writer = {
        let inbox = Arc::clone(&inbox);
        thread::Builder::new().name("probe-writer".to_owned()).spawn(move || {
            let written = write(&connection, &inbox);
            // Whoever still waits learns that there will be no answer.
            inbox.close();
            written
        })?
    };
    let began = Instant::now();
    let running: Vec<_> = ids.into_iter().map(|id| tokio::spawn(run_task(Arc::clone(&inbox), id, steps))).collect();
    let mut outcome = Ok(());
    for task in running {
        outcome = outcome.and(task.await?);
    }
    let took = began.elapsed();
    inbox.close();
    let recorded = writer.join().ok().context("the writer panicked")??;
    outcome?;
    ensure!(recorded == tasks * steps, "{recorded} steps were recorded instead of {}", tasks * steps);
    Ok(took)
}

/// Ids as an engine has them: those of one burst share their head (a time) and differ in their tail.
fn task_id(number: usize) -> TaskId {
    // Any odd constant spreads consecutive numbers over all bits of the tail.
    let tail = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    let mut id = [0; 16];
    id[..6].copy_from_slice(&[0x01, 0x9A, 0x0F, 0x42, 0x17, 0x6C]);
    id[8..].copy_from_slice(&tail);
    id
}

async fn run_task(inbox: Arc<Inbox>, task: TaskId, steps: usize) -> anyhow::Result<()> {
    for number in 1..=steps {
        let (done, answer) = oneshot::channel();
        inbox.push(Step { task, key: format!("step#{number}"), payload: vec![b'x'; PAYLOAD_BYTES], done });
        ensure!(answer.await.context("the writer is gone")?, "a step was refused");
    }
    Ok(())
}

/// A step that waits to be recorded, and who is told whether it was.
struct Step {
    task: TaskId,
    key: String,
    payload: Vec<u8>,
    done: oneshot::Sender<bool>,
}

/// The steps that came while the writer was at work.
#[derive(Default)]
struct Inbox {
    state: Mutex<InboxState>,
    filled: Condvar,
}

#[derive(Default)]
struct InboxState {
    steps: Vec<Step>,
    closed: bool,
}

impl Inbox {
    fn push(&self, step: Step) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return;
        }
        state.steps.push(step);
        let is_first = state.steps.len() == 1;
        drop(state);
        // The writer sleeps only over an empty inbox, so the others find it awake.
        if is_first {
            self.filled.notify_one();
        }
    }

    fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.steps.clear();
        self.filled.notify_one();
    }

    /// Moves all that waits into the empty `batch`, once there is something; false when the inbox is closed.
    fn take(&self, batch: &mut Vec<Step>) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |state: &mut InboxState| state.steps.is_empty() && !state.closed;
        let mut state = self.filled.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.steps, batch);
        !state.closed
    }
}

/// Commits batch after batch until the inbox is closed; how many steps were recorded.
fn write(connection: &Connection, inbox: &Inbox) -> anyhow::Result<usize> {
    let mut begin = connection.prepare("BEGIN IMMEDIATE")?;
    let mut step = connection.prepare(include_str!("../../sql/probe_step.sql"))?;
    let mut commit = connection.prepare("COMMIT")?;
    let mut batch = Vec::new();
    let mut answers = Vec::new();
    let mut recorded = 0;
    while inbox.take(&mut batch) {
        begin.execute([])?;
        for Step { task, key, payload, done } in batch.drain(..) {
            let rows = step.execute(params![task, key, payload, EPOCH])?;
            recorded += rows;
            answers.push((done, rows == 1));
        }
        commit.execute([])?;
        for (done, is_recorded) in answers.drain(..) {
            // A task that does not wait any more has been given up by the run.
            let _ = done.send(is_recorded);
        }
    }
    Ok(recorded)
}

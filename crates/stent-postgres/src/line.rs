//! In which line a batch stands: whose tasks it may take away, found from its commands before it begins. It takes nothing
//! and judges nobody; it only says whose committers' rows are to be locked, which the statement does in order of id.
//!
//! Invariant: a batch without a line bumps nobody but who came to own a task at that very moment.

use stent_core::Command;
use stent_core::command::Ending;
use stent_core::limits::SWEEP_TASKS;
use uuid::Uuid;

use crate::memory::Memory;
use crate::query::Column;
use crate::rows::uuid;

/// What the statement that locks the rows goes by.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Executions of which tasks may be ended.
    pub(crate) executions: Column<Uuid>,
    /// Sessions that are closed or taken over.
    pub(crate) sessions: Column<Uuid>,
    /// When the batch ends what is overdue.
    pub(crate) overdue_at: Option<i64>,
    /// How many executions it ends so at most.
    pub(crate) limit: i64,
}

impl Line {
    /// The line of a batch that happens at `now`; none if its commands take nothing from anybody.
    pub(crate) fn of(commands: &[Command], memory: &Memory, now: i64) -> Option<Self> {
        let mut line = Self { limit: i64::from(SWEEP_TASKS), ..Self::default() };
        for command in commands {
            match command {
                Command::Cancel(task) => line.executions.0.push(uuid(task.execution.as_bytes())),
                Command::Finish(finish) if !matches!(finish.ending, Ending::Retry(..)) => {
                    let task = finish.lease.task;
                    // The end of a task ends what it called.
                    if finish.start.is_none() && memory.held(task).is_none_or(|row| !row.childless) {
                        line.executions.0.push(uuid(task.execution.as_bytes()));
                    }
                }
                Command::TakeOver(take) => line.sessions.0.push(uuid(take.session.as_bytes())),
                Command::CloseSession(session) => line.sessions.0.push(uuid(session.as_bytes())),
                Command::Expire => line.overdue_at = Some(now),
                _ => {}
            }
        }
        let is_empty = line.executions.0.is_empty() && line.sessions.0.is_empty() && line.overdue_at.is_none();
        (!is_empty).then_some(line)
    }
}

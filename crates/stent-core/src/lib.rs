//! The words of Stent, and nothing that runs: ids, names, payloads, limits, retry policies, the state machine of
//! executions and tasks, the commands a store carries out and the [`Store`] trait itself.
//!
//! This crate knows no async runtime, no SQL and no clock. Stores implement it, the engine speaks it, the faces
//! translate to it. Read in this order: [`state`] (what may happen), [`command`] (what may be asked),
//! [`history`] (what is remembered), [`store`] (who carries it out).

#[cfg(any(feature = "jiff", feature = "chrono"))]
mod calendar;
pub mod command;
pub mod duration;
pub mod error;
pub mod function;
pub mod history;
pub mod id;
pub mod key;
pub mod key_text;
pub mod limits;
pub mod memo;
pub mod name;
pub mod operation;
pub mod payload;
pub mod progress;
pub mod retry;
pub mod routing;
pub mod schedule;
pub mod select;
pub mod state;
pub mod store;
pub mod task;
pub mod time;
pub mod view;

pub use command::{Command, Done, Outcome, Refusal};
pub use error::{StoreError, StoreErrorKind};
pub use history::{History, OpenCall, Record, RecordKind, Verdict};
pub use id::{EventId, ExecutionId, RunId, SessionId, SignalId, TaskId, TaskRef};
pub use key::CallKey;
pub use memo::{Memo, MemoKey};
pub use name::Name;
pub use payload::{Codec, Failure, FailureKind, Payload};
pub use progress::{Progress, ProgressStatus};
pub use retry::RetryPolicy;
pub use routing::{MaxConcurrent, Serve};
pub use schedule::{MissedTicks, Schedule, ScheduleView};
pub use state::{ExecutionState, TaskState};
pub use store::{Committed, Store, Wakes, Watcher};
pub use task::{ClaimedTask, Lease, TaskOptions, TaskSpec};
pub use time::Timestamp;

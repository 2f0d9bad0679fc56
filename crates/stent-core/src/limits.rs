//! Every limit, in one place, each with its reason. What passes a limit is refused with an error that names it,
//! before anything is written.

use std::time::Duration;

/// The largest payload, in bytes. A task's history is read whole, so one payload must fit many times into memory;
/// larger values belong into a blob store, with their address as the payload.
pub const PAYLOAD_BYTES: usize = 16 * 1024 * 1024;

/// The longest name (function, queue, step, signal, event, tag, key), in bytes. Names are index entries: 255 fits
/// every store's key limits, several to an index page.
pub const NAME_BYTES: usize = 255;

/// The longest key of an idempotent or cached call, in bytes. It is an index entry by itself, of which PostgreSQL wants
/// three to a page of 8 KiB; a function's name, its version and 200 bytes of arguments fit several times.
pub const KEY_BYTES: usize = 1_024;

/// The most commands in one batch: a commit should stay within a few tens of milliseconds, so that a heartbeat
/// queued behind it is never late.
pub const BATCH_COMMANDS: usize = 2_000;

/// The most payload bytes in one batch (a single larger command is a batch of its own). Keeps a commit's log write
/// short and a server's memory bounded.
pub const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// The most records of one task. Replay time and memory grow with history; a longer-lived loop should hand over to
/// a fresh child or execution now and then.
pub const HISTORY_RECORDS: u32 = 1_000_000;

/// The most tags of one task. Routes are distinct tag sets, so they must stay few.
pub const TAGS: usize = 16;

/// The most bytes of headers of one execution, as JSON.
pub const HEADERS_BYTES: usize = 64 * 1024;

/// How many losses in a row make a dead letter: with five, a task that kills its process each time has had its
/// innocent neighbours cleared (suspects run one per worker after the second) before it is put away.
pub const LOSSES: u32 = 5;

/// From how many losses on a task is a suspect, run one per worker.
pub const SUSPECT_LOSSES: u32 = 2;

/// The most tasks of one function that `max_concurrent` can allow at once: each is a row, and a claim of a function that is
/// full reads them all to know that it is.
pub const MAX_CONCURRENT: u32 = 10_000;

/// The most tasks one claim hands out.
pub const CLAIM_TASKS: u32 = 1_000;

/// How many due tasks one claim promotes from delayed to ready; the rest follow with the next claim, so that a
/// million timers due at once never hold the writer.
pub const PROMOTE_TASKS: u32 = 1_000;

/// How many tasks one sweep command takes over, expires or deletes; sweeps repeat until nothing is left.
pub const SWEEP_TASKS: u32 = 500;

/// How many executions one cleaning command looks at; the next goes on behind them. Keeps the command within a few
/// milliseconds even where none of them may go.
pub const CLEAN_EXECUTIONS: u32 = 200;

/// The most rows that one cleaning command deletes: about what a batch writes, so that a worker's commit behind it waits
/// a few tens of milliseconds at most.
pub const CLEAN_ROWS: u32 = 2_000;

/// The most ticks of a schedule that one command starts: a night of missed ticks is made up for a part at a time, each a
/// commit of a few milliseconds, and whoever else writes goes on in between.
pub const SCHEDULE_TICKS: u32 = 100;

/// The longest cron line, in bytes: room for every list that means something.
pub const CRON_BYTES: usize = 255;

/// How long what a store knows of a process that is gone is kept, for people who look what was there: a day.
pub const GONE_PROCESS: Duration = Duration::from_secs(24 * 3_600);

/// The most steps that the progress of one execution shows: people read it, and it is held in memory whole.
pub const PROGRESS_STEPS: u32 = 10_000;

/// The longest delay, sleep or timeout, in milliseconds: about 100 years. Keeps all arithmetic on times inside an
/// `i64` of microseconds.
pub const DURATION_MS: u64 = 100 * 366 * 24 * 3_600 * 1_000;

//! Schedules: starts that come back by a cron line. [`cron`] knows the calendar, [`due`] decides what a due schedule comes
//! to, [`operations`] is what clients ask; the worker's part is in `worker/schedules`. The store holds the truth: which
//! tick is next, and that each comes once.

mod cron;
pub(crate) mod due;
pub(crate) mod operations;

pub use cron::{Calendar, ScheduleError};
pub use due::MISSED_AFTER;
pub use operations::{SCHEDULE_HEADER, TICK_HEADER};

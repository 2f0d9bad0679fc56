//! Schedules: starts that come back by a cron line. A schedule is a row that says what to start and when it is due next.
//! The calendar is the engine's; a store keeps the line and the zone as words and compares instants only. Like the rest
//! of [`command`](crate::command), the documentation here is the specification that every store is tested against.
//!
//! Invariant: a tick starts what it starts in the transaction that writes the next due time, and only if the schedule
//! still stands as whoever ticks has read it. So each tick comes at most once, however many workers see that it is due.

use crate::command::{Deadline, Start};
use crate::id::ExecutionId;
use crate::name::Name;
use crate::task::TaskSpec;
use crate::time::Timestamp;

/// What is started, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// One schedule for each name.
    pub name: Name,
    /// The cron line.
    pub cron: String,
    /// The IANA time zone that the line is meant in.
    pub zone: String,
    /// What becomes of ticks that nobody started in time.
    pub missed: MissedTicks,
    /// What each tick starts.
    pub spec: TaskSpec,
    /// When to give up what a tick has started, in whole microseconds.
    pub deadline: Deadline,
}

/// What becomes of ticks that passed while no worker was there to start them.
///
/// ```
/// use stent_core::MissedTicks;
/// assert_eq!(MissedTicks::default(), MissedTicks::One);
/// assert_eq!(MissedTicks::ALL.map(MissedTicks::as_str), ["skip", "one", "all"]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissedTicks {
    /// Nothing: the schedule goes on with the next tick.
    Skip,
    /// One execution stands for all of them, at the time of the last.
    #[default]
    One,
    /// Each is made up for, in order.
    All,
}

impl MissedTicks {
    /// All of them, each at its stored number.
    pub const ALL: [Self; 3] = [Self::Skip, Self::One, Self::All];

    /// The policy that a store keeps as this number.
    #[must_use]
    pub fn stored(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n).copied())
    }

    /// The word people use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::One => "one",
            Self::All => "all",
        }
    }
}

/// A schedule as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleView {
    /// What is started, and when.
    pub schedule: Schedule,
    /// Grows with each change of the schedule, not with its ticks. It starts at the clock's microseconds, so that a name
    /// which is deleted and set again is not taken for what it was.
    pub revision: u64,
    /// Whether it rests.
    pub paused: bool,
    /// The next tick that is to come; `None` while it rests, and when the line has no further one.
    pub due: Option<Timestamp>,
    /// The last tick that started an execution.
    pub last_tick: Option<Timestamp>,
    /// What that tick started.
    pub last_execution: Option<ExecutionId>,
}

/// A change of schedules.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleChange {
    /// See [`SetSchedule`].
    Set(Box<SetSchedule>),
    /// Deletes a schedule; what it has started goes on. Answers [`Done::Changed`](crate::Done::Changed): whether there
    /// was one.
    Delete(Name),
    /// Has a schedule rest: it is not due any more, and ticks that pass meanwhile are nobody's. Refused with
    /// [`Refusal::Unknown`](crate::Refusal::Unknown). Answers [`Done::Changed`](crate::Done::Changed): whether it did
    /// not rest before.
    Pause(Name),
    /// See [`ResumeSchedule`].
    Resume(ResumeSchedule),
    /// See [`Tick`].
    Tick(Box<Tick>),
}

impl ScheduleChange {
    /// About how many bytes it carries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Set(set) => set.schedule.spec.args.as_stored().len(),
            Self::Tick(tick) => tick.starts.iter().map(|start| start.spec.args.as_stored().len()).sum(),
            Self::Delete(_) | Self::Pause(_) | Self::Resume(_) => 0,
        }
    }
}

/// Creates a schedule, due at `due`, or changes the one of this name. One that says the same already is left as it is, so
/// that a program may set its schedules at each start. A change that keeps line and zone keeps the due time too: ticks
/// that were missed are still owed. One that rests stays at rest, and has no due time. Its last tick stays. The revision
/// becomes the clock's microseconds, or one more than it was, whichever is larger. A change is reported as *ready*.
/// Answers [`Done::Changed`](crate::Done::Changed): whether anything is different now.
#[derive(Clone, Debug, PartialEq)]
pub struct SetSchedule {
    /// What it shall say.
    pub schedule: Schedule,
    /// Its next tick.
    pub due: Option<Timestamp>,
}

/// Has a schedule that rests go on, at `due`. It changes nothing if the schedule does not rest, or not under this
/// revision any more: then `due` may be of another line, and whoever asked looks again. Reported as *ready*. Refused with
/// [`Refusal::Unknown`](crate::Refusal::Unknown). Answers [`Done::Changed`](crate::Done::Changed).
#[derive(Clone, Debug, PartialEq)]
pub struct ResumeSchedule {
    /// Which.
    pub name: Name,
    /// As it was read.
    pub revision: u64,
    /// Its next tick.
    pub due: Option<Timestamp>,
}

/// Starts what is due and moves the schedule on to `next`. It does nothing, and answers
/// [`Done::Changed(false)`](crate::Done::Changed), unless the schedule is there under this revision, is due at exactly
/// `due`, and that time has come by the store's clock. Otherwise the starts are carried out in order, each as
/// [`Start`] says but without a key and in nobody's hands, whatever its `key` and `claim_for`; the last of them and `last_tick` are remembered if
/// there are any. An id that is known, or comes twice, refuses the whole tick with
/// [`Refusal::Exists`](crate::Refusal::Exists). Answers [`Done::Changed(true)`](crate::Done::Changed).
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Which schedule.
    pub name: Name,
    /// As it was read.
    pub revision: u64,
    /// As it was read.
    pub due: Timestamp,
    /// What is started, oldest tick first: none when ticks are skipped.
    pub starts: Vec<Start>,
    /// The last tick among those that are started.
    pub last_tick: Timestamp,
    /// The tick after those; `None` when the line has no further one.
    pub next: Option<Timestamp>,
}

impl Tick {
    /// Whether an id comes twice among the starts.
    #[must_use]
    pub fn repeats_an_id(&self) -> bool {
        let mut ids: Vec<_> = self.starts.iter().map(|start| start.id).collect();
        ids.sort_unstable();
        ids.windows(2).any(|pair| pair[0] == pair[1])
    }
}

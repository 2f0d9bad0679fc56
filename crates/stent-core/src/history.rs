//! What is remembered of a task: its records in the order in which they were delivered to its code, and the calls
//! that were still open. Replay runs the code again over exactly this.

use std::time::Duration;

use crate::id::TaskId;
use crate::key::CallKey;
use crate::payload::Payload;
use crate::time::Timestamp;

/// What sort of call a record answers. A call that meets a record of another kind under its key is a mismatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RecordKind {
    /// An inline operation's outcome.
    Step = 0,
    /// A child task's end.
    Child = 1,
    /// A sleep that is over.
    Timer = 2,
    /// A signal that was consumed.
    Signal = 3,
    /// An event that was taken.
    Event = 4,
    /// A value read off the world at once: the time, a key function's answer.
    Value = 5,
    /// A change made through the engine: a dispatch, a signal, an emit, a counter, a state value.
    Effect = 6,
}

impl RecordKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Step, Self::Child, Self::Timer, Self::Signal, Self::Event, Self::Value, Self::Effect];

    /// The kind that a store keeps as this number.
    #[must_use]
    pub fn stored(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n).copied())
    }

    /// The word a mismatch and a timeline use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Child => "child",
            Self::Timer => "timer",
            Self::Signal => "signal",
            Self::Event => "event",
            Self::Value => "value",
            Self::Effect => "effect",
        }
    }
}

/// How a recorded call came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// The payload is the result.
    Ok = 0,
    /// The payload is a [`Failure`](crate::Failure); it was handed to the code, and is again on replay.
    Failed = 1,
    /// The wait's time was over; the payload is null.
    TimedOut = 2,
}

impl Verdict {
    /// The verdict that a store keeps as this number.
    #[must_use]
    pub const fn stored(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Ok),
            1 => Some(Self::Failed),
            2 => Some(Self::TimedOut),
            _ => None,
        }
    }
}

/// One recorded outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its place in the order of delivery; grows, with gaps.
    pub seq: u32,
    /// Which call it answers.
    pub key: CallKey,
    /// What sort of call.
    pub kind: RecordKind,
    /// The run that wrote it. A retry keeps earlier runs' successes and drops their failures and timeouts.
    pub run: u32,
    /// How many records had been delivered when the call was asked.
    pub seen: u32,
    /// The digest of the call's arguments, where it has any.
    pub digest: Option<[u8; 16]>,
    /// How it came out.
    pub verdict: Verdict,
    /// The result or the failure.
    pub payload: Payload,
    /// The child, signal or event it came from.
    pub source: Option<[u8; 16]>,
    /// When it was written, by the store's clock.
    pub at: Timestamp,
}

/// A record as its owner hands it in; the store adds the time.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRecord {
    /// See [`Record::seq`].
    pub seq: u32,
    /// See [`Record::key`].
    pub key: CallKey,
    /// See [`Record::kind`].
    pub kind: RecordKind,
    /// See [`Record::run`].
    pub run: u32,
    /// See [`Record::seen`].
    pub seen: u32,
    /// See [`Record::digest`].
    pub digest: Option<[u8; 16]>,
    /// See [`Record::verdict`].
    pub verdict: Verdict,
    /// See [`Record::payload`].
    pub payload: Payload,
    /// See [`Record::source`]: only of a message that is handed on from a wait that was given up.
    pub source: Option<[u8; 16]>,
}

/// A call that was asked and has no record: a child that runs or ended undelivered, a wait that is registered.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenCall {
    /// Which call.
    pub key: CallKey,
    /// What sort of call.
    pub kind: RecordKind,
    /// How many records had been delivered when the code asked; 0 where that was not kept.
    pub seen: u32,
    /// The child's id, when it is one.
    pub child: Option<TaskId>,
    /// The digest of the child's arguments.
    pub digest: Option<[u8; 16]>,
    /// When the wait is over at the latest.
    pub due: Option<Timestamp>,
}

/// All that is remembered of a task, read in one go after its claim committed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// In order of `seq`.
    pub records: Vec<Record>,
    /// In order of key, then of child: a retry may have called another child under the same key. A wait's due time is
    /// that of every child's call under its key.
    pub open: Vec<OpenCall>,
}

/// When something is due: from now on, by the store's clock, or at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// This long after the store carries the command out.
    In(Duration),
    /// At this time of the store's clock.
    At(Timestamp),
}

impl Due {
    /// The point in time, for a store whose clock shows `now`.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::In(duration) => now + duration,
            Self::At(time) => time,
        }
    }
}

//! What the calls of a task's code ask for.

use stent_core::command::Effect;
use stent_core::history::Due;
use stent_core::{Name, RecordKind, TaskId, TaskSpec};

/// What a call asks for.
#[derive(Debug)]
pub(super) enum Ask {
    Step,
    Timer(Due),
    Signal(Name, Option<Due>),
    Event(Name, Name, Option<Due>),
    Child(Box<ChildAsk>),
    Effect(Option<Box<Effect>>),
}

#[derive(Debug)]
pub(super) struct ChildAsk {
    pub(super) id: TaskId,
    pub(super) digest: [u8; 16],
    pub(super) spec: TaskSpec,
    pub(super) due: Option<Due>,
}

impl Ask {
    pub(super) const fn kind(&self) -> RecordKind {
        match self {
            Self::Step => RecordKind::Step,
            Self::Timer(_) => RecordKind::Timer,
            Self::Signal(..) => RecordKind::Signal,
            Self::Event(..) => RecordKind::Event,
            Self::Child(_) => RecordKind::Child,
            Self::Effect(_) => RecordKind::Effect,
        }
    }

    pub(super) fn digest(&self) -> Option<[u8; 16]> {
        match self {
            Self::Child(child) => Some(child.digest),
            _ => None,
        }
    }
}

//! One line of the ledger: who did what, when. Written by workers and by the supervisor alike, into a file outside the
//! store; the order of lines in the file is the order of events, the times only measure.
//!
//! A line begins with the line break and ends with a full stop, so that what a kill tears spoils no line of others.

use std::fmt;
use std::str::FromStr;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// A worker process serves.
    Up,
    /// A worker process is about to get SIGKILL.
    Kill,
    /// A killed process is gone: nothing of it comes after this line.
    Dead,
    /// The server is about to be killed.
    Down,
    /// The server answers again.
    Back,
    /// The start of an execution was acknowledged.
    Start,
    /// An execution was seen to have ended.
    End,
    /// A task's code begins, for the first time or as a replay; the number is its attempt.
    Enter,
    /// A task's code begins after several workers in a row were killed over it: it has waited for its turn.
    Suspect,
    /// A task's code has come to its end.
    Leave,
    /// A task's code was dropped before its end.
    Drop,
    /// A step's body begins; the number is this run's token.
    Run,
    /// A step's outcome was handed to the code, recorded before; the number is the token in it.
    Ack,
}

const VERBS: [(Verb, &str); 13] = [
    (Verb::Up, "up"),
    (Verb::Kill, "kill"),
    (Verb::Dead, "dead"),
    (Verb::Down, "down"),
    (Verb::Back, "back"),
    (Verb::Start, "start"),
    (Verb::End, "end"),
    (Verb::Enter, "enter"),
    (Verb::Suspect, "suspect"),
    (Verb::Leave, "leave"),
    (Verb::Drop, "drop"),
    (Verb::Run, "run"),
    (Verb::Ack, "ack"),
];

/// Which task of its execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Root,
    Left,
    Right,
}

const ROLES: [(Role, &str); 3] = [(Role::Root, "root"), (Role::Left, "left"), (Role::Right, "right")];

/// A process of its own: each start of a worker is another life. 0 is the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    pub number: u32,
    pub pid: u32,
}

/// What a line is about, as far as it applies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The execution's number, from 1; 0 where none applies.
    pub execution: u32,
    pub role: Role,
    /// The step's name; empty where none applies.
    pub step: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub verb: Verb,
    pub subject: Subject,
    pub number: u64,
    pub life: Life,
    /// By the clock that runs since the machine was started, the same in all processes.
    pub at_ns: u64,
}

impl Subject {
    /// Of lines about a process.
    pub const fn none() -> Self {
        Self::root(0)
    }

    /// Of lines about an execution as a whole, or its root task.
    pub const fn root(execution: u32) -> Self {
        Self { execution, role: Role::Root, step: String::new() }
    }

    /// The task that this belongs to.
    pub const fn task(&self) -> (u32, Role) {
        (self.execution, self.role)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(word(&VERBS, self))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(word(&ROLES, self))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, subject, number, life, at_ns } = self;
        let step = if subject.step.is_empty() { "-" } else { &subject.step };
        let Subject { execution, role, .. } = subject;
        write!(out, "{verb} {execution} {role} {step} {number} {} {} {at_ns} .", life.number, life.pid)
    }
}

impl FromStr for Line {
    /// The line is torn, or none of ours.
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let words: Vec<&str> = text.split(' ').collect();
        let [verb, execution, role, step, number, life, pid, at_ns, "."] = words.as_slice() else { return Err(()) };
        Ok(Self {
            verb: meaning(&VERBS, verb)?,
            subject: Subject {
                execution: parsed(execution)?,
                role: meaning(&ROLES, role)?,
                step: if *step == "-" { String::new() } else { (*step).to_owned() },
            },
            number: parsed(number)?,
            life: Life { number: parsed(life)?, pid: parsed(pid)? },
            at_ns: parsed(at_ns)?,
        })
    }
}

fn parsed<T: FromStr>(word: &str) -> Result<T, ()> {
    word.parse().map_err(drop)
}

fn word<T: PartialEq>(table: &[(T, &'static str)], sought: &T) -> &'static str {
    table.iter().find(|(value, _)| value == sought).map_or("?", |(_, word)| word)
}

fn meaning<T: Copy>(table: &[(T, &'static str)], sought: &str) -> Result<T, ()> {
    table.iter().find(|(_, word)| *word == sought).map(|(value, _)| *value).ok_or(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_as_it_was_written() {
        for (verb, _) in VERBS {
            for (role, _) in ROLES {
                for step in ["", "a1"] {
                    let subject = Subject { execution: 7, role, step: step.to_owned() };
                    let life = Life { number: 3, pid: 4711 };
                    let line = Line { verb, subject, number: u64::MAX, life, at_ns: 12 };
                    assert_eq!(line.to_string().parse(), Ok(line));
                }
            }
        }
    }

    #[test]
    fn a_torn_line_is_none() {
        let subject = Subject { execution: 7, role: Role::Left, step: "a1".to_owned() };
        let line = Line { verb: Verb::Run, subject, number: 1, life: Life { number: 3, pid: 4711 }, at_ns: 123 };
        let text = line.to_string();
        for length in 0..text.len() {
            assert_eq!(text[..length].parse::<Line>(), Err(()), "{length}");
        }
    }
}

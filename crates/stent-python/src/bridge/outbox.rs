//! What became ready for Python, in order, and the one wake-up that tells its event loop.
//!
//! Invariant: while something lies in the outbox, the loop has been woken and has not looked yet.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use stent_core::{Payload, Verdict};

use crate::records::Trouble;

/// What an answer to a request of a client's consists of.
pub(crate) enum Answer {
    /// JSON, for what is not hot.
    Json(Vec<u8>),
    /// The id of what was started, and whether it was created now.
    Started(String, bool),
    /// The result of an execution that completed.
    Completed(Payload),
}

/// One thing for Python to look at.
pub(crate) enum Message {
    /// An attempt begins: run, turn, function, arguments, whether there is a past to replay.
    Start(u64, u64, String, Payload, bool),
    /// A call's outcome is delivered: run, turn, call.
    Outcome(u64, u64, u64, Verdict, Payload),
    /// A step may run its body: run, turn, call.
    Body(u64, u64, u64),
    /// The code has to stop, and why.
    Stop(u64, &'static str),
    /// A client's request is answered.
    Answered(u64, Result<Answer, Trouble>),
}

pub(crate) struct Outbox {
    state: Mutex<State>,
    read: UnixStream,
    write: UnixStream,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    closed: bool,
}

impl Outbox {
    pub(crate) fn new() -> std::io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        Ok(Self { state: Mutex::default(), read, write })
    }

    /// What an event loop watches.
    pub(crate) fn fileno(&self) -> RawFd {
        self.read.as_raw_fd()
    }

    pub(crate) fn push(&self, message: Message) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return;
        }
        state.messages.push(message);
        if state.messages.len() == 1 {
            drop(state);
            // A full pipe has woken the loop already.
            drop((&self.write).write(&[1]));
        }
    }

    pub(crate) fn take(&self) -> Vec<Message> {
        let mut woken = [0; 64];
        drop((&self.read).read(&mut woken));
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).messages)
    }

    /// Nobody takes anything any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.messages.clear();
    }
}

//! One connection through the proxy: two threads that carry messages, one each way. It keeps count of who owes an
//! answer, so that a reply is lost exactly when the server has done the work, never before.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::faults::{Faults, Loss};
use super::messages::{Message, Splitter};

/// How much is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// How long a write may stand still before the link looks whether it is cut.
const WRITE_GLANCE: Duration = Duration::from_millis(20);

/// A client, the server, and what passed between them.
pub(super) struct Link {
    client: TcpStream,
    server: TcpStream,
    faults: Arc<Faults>,
    is_cut: AtomicBool,
    books: Mutex<Books>,
}

/// Who has said what.
#[derive(Default)]
struct Books {
    /// Turns that clients ended and the server has to answer; the opening is the first.
    asked: u64,
    last_was_sync: bool,
    /// Turns that the server has answered.
    answered: u64,
    /// Bare bytes that the server owes to requests for encryption.
    bare: usize,
    is_opened: bool,
    /// Encrypted bytes cannot be told apart.
    is_opaque: bool,
    /// The turn whose answer gets lost, and who is to hear of it.
    doomed: Option<(u64, Sender<()>)>,
    loss: Option<Loss>,
    passed_since_loss: usize,
    is_torn: bool,
}

/// What becomes of a reply.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Passes,
    IsLost,
    IsLostAndLast,
}

impl Link {
    /// Connects a client with the server, and carries until one of them ends. Nothing of it happens in a black hole.
    pub(super) fn open(client: TcpStream, server: SocketAddr, faults: &Arc<Faults>) -> io::Result<Arc<Self>> {
        let server = TcpStream::connect(server)?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
            end.set_write_timeout(Some(WRITE_GLANCE))?;
            end_when_closed(end);
        }
        let books = Mutex::new(Books { asked: 1, ..Books::default() });
        let link = Arc::new(Self { client, server, faults: Arc::clone(faults), is_cut: AtomicBool::new(false), books });
        for carry in [Self::carry_requests, Self::carry_replies] {
            let link = Arc::clone(&link);
            thread::spawn(move || {
                if carry(&link).is_err() {
                    link.cut();
                }
            });
        }
        Ok(link)
    }

    /// Resets the connection at both ends as soon as its threads have let go of it.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        for end in [&self.client, &self.server] {
            reset_when_closed(end);
            // Wakes the thread that reads; says nothing to the other side.
            drop(end.shutdown(Shutdown::Read));
        }
        self.faults.wake();
    }

    /// Whether bytes were lost that nothing brings back.
    pub(super) fn is_torn(&self) -> bool {
        self.books().is_torn
    }

    fn carry_requests(&self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut splitter = Splitter::default();
        loop {
            let read = (&self.client).read(&mut chunk)?;
            self.hold()?;
            if read == 0 {
                return self.server.shutdown(Shutdown::Write);
            }
            splitter.push(&chunk[..read]);
            let mut passing = Vec::with_capacity(read);
            loop {
                let (is_opened, is_opaque) = self.client_state();
                if is_opaque {
                    passing.extend_from_slice(splitter.rest());
                    break;
                }
                let Some(message) = splitter.next(is_opened) else { break };
                // Before it is sent: the answer may come at once.
                self.note_request(&Message::read(message, is_opened));
                passing.extend_from_slice(message);
            }
            self.write(&self.server, &passing)?;
        }
    }

    fn carry_replies(&self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut splitter = Splitter::default();
        loop {
            let read = (&self.server).read(&mut chunk)?;
            self.hold()?;
            if read == 0 {
                let rest = self.through_loss(splitter.rest().to_vec());
                self.write(&self.client, &rest)?;
                return self.client.shutdown(Shutdown::Write);
            }
            splitter.push(&chunk[..read]);
            let mut passing = Vec::with_capacity(read);
            let mut is_last = false;
            while let Some((fate, message)) = self.next_reply(&mut splitter) {
                match fate {
                    Fate::Passes => passing.extend_from_slice(message),
                    Fate::IsLost => {}
                    Fate::IsLostAndLast => is_last = true,
                }
            }
            let passing = self.through_loss(passing);
            self.write(&self.client, &passing)?;
            if is_last {
                self.cut();
                if let Some((_, tell)) = self.books().doomed.take() {
                    let _nobody_waits = tell.send(());
                }
                return Ok(());
            }
        }
    }

    fn client_state(&self) -> (bool, bool) {
        let books = self.books();
        (books.is_opened, books.is_opaque)
    }

    fn note_request(&self, message: &Message<'_>) {
        let mut books = self.books();
        books.bare += usize::from(message.wants_encryption());
        books.is_opened |= message.opens_a_session();
        books.count_turns(message);
        if let Some(tell) = self.faults.spring(message) {
            // What is not the end of a turn is answered with the turn that it is part of.
            let turn = books.asked + u64::from(!message.ends_a_turn());
            books.doomed = Some((turn, tell));
        }
    }

    fn next_reply<'a>(&self, splitter: &'a mut Splitter) -> Option<(Fate, &'a [u8])> {
        let mut books = self.books();
        if books.is_opaque {
            let rest = splitter.rest();
            return (!rest.is_empty()).then_some((Fate::Passes, rest));
        }
        if books.bare > 0 {
            let answer = splitter.take(1)?;
            books.bare -= 1;
            books.is_opaque = matches!(answer, b"S" | b"G");
            return Some((Fate::Passes, answer));
        }
        let reply = splitter.next(true)?;
        Some((books.judge(reply[0] == b'Z'), reply))
    }

    /// What is left of replies while they get lost.
    fn through_loss(&self, mut replies: Vec<u8>) -> Vec<u8> {
        let loss = self.faults.now().loss;
        let mut books = self.books();
        if books.loss != loss {
            books.loss = loss;
            books.passed_since_loss = 0;
        }
        if let Some(loss) = loss {
            let room = loss.after_bytes.saturating_sub(books.passed_since_loss);
            books.is_torn |= replies.len() > room;
            replies.truncate(room);
            books.passed_since_loss += replies.len();
        }
        replies
    }

    fn hold(&self) -> io::Result<()> {
        let is_cut = || self.is_cut.load(Ordering::Acquire);
        self.faults.hold(is_cut);
        if is_cut() { Err(ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    fn write(&self, mut end: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match end.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.is_cut.load(Ordering::Acquire) {
                return Err(ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(())
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Counts the turn that a message ends.
    fn count_turns(&mut self, message: &Message<'_>) {
        match message.tag() {
            tag if message.ends_a_turn() => {
                self.asked += 1;
                self.last_was_sync = tag == Some(b'S');
            }
            // The server passes over a Sync that comes while it waits for a copy's rows; drivers send another after.
            Some(b'c' | b'f') if self.last_was_sync => self.asked -= 1,
            _ => {}
        }
    }

    /// What becomes of a reply, which may be the end of a turn.
    fn judge(&mut self, is_end_of_turn: bool) -> Fate {
        let turn = self.answered + 1;
        self.answered += u64::from(is_end_of_turn);
        match &self.doomed {
            Some((doomed, _)) if turn == *doomed && is_end_of_turn => Fate::IsLostAndLast,
            Some((doomed, _)) if turn >= *doomed => Fate::IsLost,
            _ => Fate::Passes,
        }
    }
}

/// The other side sees an end when this end is closed, and all that was written before.
fn end_when_closed(end: &TcpStream) {
    let _is_gone = rustix::net::sockopt::set_socket_linger(end, None);
}

/// The other side sees a reset, not an end, when this end is closed.
pub(super) fn reset_when_closed(end: &TcpStream) {
    // A socket that the other side has reset already has nothing to linger.
    let _is_gone = rustix::net::sockopt::set_socket_linger(end, Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn books_after(tags: &[u8]) -> Books {
        let mut books = Books { asked: 1, ..Books::default() };
        for tag in tags {
            books.count_turns(&Message::read(&[*tag, 0, 0, 0, 4], true));
        }
        books
    }

    #[test]
    fn a_turn_is_a_query_or_all_up_to_a_sync() {
        assert_eq!(books_after(b"QPBESPBEBES").asked, 4);
        assert_eq!(books_after(b"QdddcQ").asked, 3, "a copy by a simple query");
        assert_eq!(books_after(b"PBESdddcSQ").asked, 3, "a copy by the extended protocol");
    }

    #[test]
    fn replies_are_lost_from_the_doomed_turn_on_and_the_last_is_its_end() {
        let mut books = books_after(b"QQ");
        books.doomed = Some((3, channel().0));
        let fates: Vec<Fate> = [true, false, true, false, true].map(|is_end| books.judge(is_end)).into();
        use Fate::{IsLost, IsLostAndLast, Passes};
        assert_eq!(fates, [Passes, Passes, Passes, IsLost, IsLostAndLast]);
    }
}

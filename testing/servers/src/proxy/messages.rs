//! PostgreSQL's messages as the proxy tells them apart: where each begins and ends, and its tag. Their content is for
//! whoever sets a trap; nothing here changes a byte.

/// Codes in the place of a version that ask for encryption; one bare byte answers them.
const WANTS_ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];

/// The code of a request to cancel a statement: the only thing its connection ever says.
const CANCEL: u32 = 80_877_102;

/// A message of a client's.
#[derive(Debug)]
pub struct Message<'a> {
    tag: Option<u8>,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// A message as it is on the wire. Those that open a connection have no tag.
    pub(super) fn read(bytes: &'a [u8], has_tag: bool) -> Self {
        let (tag, rest) = if has_tag { (bytes.first().copied(), 1) } else { (None, 0) };
        Self { tag, body: bytes.get(rest + 4..).unwrap_or_default() }
    }

    /// Its kind: `b'Q'` for a simple query, `b'P'` to parse, `b'B'` to bind, `b'E'` to execute, `b'S'` to sync. None
    /// for what opens a connection.
    pub fn tag(&self) -> Option<u8> {
        self.tag
    }

    /// What follows its length.
    pub fn body(&self) -> &[u8] {
        self.body
    }

    /// Whether it runs `COMMIT` or `END` as a simple query, by itself or among other statements.
    pub fn is_commit(&self) -> bool {
        let text = String::from_utf8_lossy(self.body);
        let first_word = |statement: &str| {
            let statement = statement.trim_start();
            statement.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_uppercase()
        };
        self.tag == Some(b'Q') && text.split(';').any(|part| matches!(&*first_word(part), "COMMIT" | "END"))
    }

    /// Whether the server answers it with `ReadyForQuery`, and with it all that came before.
    pub(super) fn ends_a_turn(&self) -> bool {
        matches!(self.tag, Some(b'Q' | b'S' | b'F'))
    }

    fn code(&self) -> u32 {
        let code: Option<[u8; 4]> = self.body.get(..4).and_then(|code| code.try_into().ok());
        code.map_or(0, u32::from_be_bytes)
    }

    pub(super) fn wants_encryption(&self) -> bool {
        self.tag.is_none() && WANTS_ENCRYPTION.contains(&self.code())
    }

    /// Whether tagged messages follow.
    pub(super) fn opens_a_session(&self) -> bool {
        self.tag.is_none() && !self.wants_encryption() && self.code() != CANCEL
    }
}

/// Bytes that came, cut into whole messages.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    bytes: Vec<u8>,
    taken: usize,
}

impl Splitter {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message as it is on the wire, once it is whole.
    pub(super) fn next(&mut self, has_tag: bool) -> Option<&[u8]> {
        let rest = &self.bytes[self.taken..];
        let skipped = usize::from(has_tag);
        let length: [u8; 4] = rest.get(skipped..skipped + 4)?.try_into().ok()?;
        let whole = skipped + usize::try_from(u32::from_be_bytes(length)).ok()?.max(4);
        self.take(whole)
    }

    /// The next bytes, so many of them, once they are there.
    pub(super) fn take(&mut self, count: usize) -> Option<&[u8]> {
        let from = self.taken;
        let taken = self.bytes.get(from..from + count)?;
        self.taken += count;
        Some(taken)
    }

    /// All that is left, whole or not.
    pub(super) fn rest(&mut self) -> &[u8] {
        let from = self.taken;
        self.taken = self.bytes.len();
        &self.bytes[from..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[tag], &length[..], body].concat()
    }

    #[test]
    fn messages_are_cut_wherever_the_bytes_break() {
        let wire = [tagged(b'Q', b"select 1\0"), tagged(b'S', b"")].concat();
        for cut in 0..wire.len() {
            let (mut splitter, mut found) = (Splitter::default(), Vec::new());
            for part in [&wire[..cut], &wire[cut..]] {
                splitter.push(part);
                while let Some(message) = splitter.next(true) {
                    found.push(message[0]);
                }
            }
            assert_eq!(found, [b'Q', b'S'], "cut at {cut}");
        }
    }

    #[test]
    fn a_commit_is_told_from_what_only_mentions_one() {
        let is_commit = |tag, text: &str| Message::read(&tagged(tag, text.as_bytes()), true).is_commit();
        for text in ["COMMIT\0", "commit;\0", "insert into t values (1); COMMIT\0", " end\0"] {
            assert!(is_commit(b'Q', text), "{text}");
        }
        for text in ["select committed\0", "create temp table t () on commit drop\0", "commit_all()\0"] {
            assert!(!is_commit(b'Q', text), "{text}");
        }
        assert!(!is_commit(b'd', "COMMIT"));
    }

    #[test]
    fn what_opens_a_connection_has_no_tag() {
        let open = |code: u32| [&8_u32.to_be_bytes()[..], &code.to_be_bytes()].concat();
        assert!(Message::read(&open(196_608), false).opens_a_session());
        assert!(Message::read(&open(WANTS_ENCRYPTION[0]), false).wants_encryption());
        assert!(!Message::read(&open(CANCEL), false).opens_a_session());
    }
}

//! Comma-separated values (RFC 4180) whose every fault has a place. Knows records and fields, not what they mean. A
//! record that cannot be read ends with the line of its fault, so that what follows is read whatever came before.
//!
//! Beyond the RFC it takes what spreadsheets and people write: a byte order mark, any line ending, blank lines, and
//! blanks around a field.

/// Where something is, as an editor shows it: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Why a record cannot be read, or makes no sense to whoever reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) place: Place,
    /// What is wrong and what to do.
    pub(super) what: String,
}

/// One field, without its quotes and the blanks around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) text: String,
    /// Its first byte in the file; [`Record::place`] makes a place of it.
    offset: usize,
}

/// One record: at least one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) fields: Vec<Field>,
    /// The line it begins on.
    pub(super) line: usize,
    /// From its first byte to its last, and where that lies in the file.
    bytes: &'a [u8],
    start: usize,
}

impl Record<'_> {
    /// A fault that lies in the field at `index`, or behind the last one.
    pub(super) fn fault(&self, index: usize, what: impl Into<String>) -> Fault {
        let offset = self.fields.get(index).map_or(self.bytes.len(), |field| field.offset - self.start);
        Fault { place: place(self.line, self.bytes, offset), what: what.into() }
    }
}

/// The records of a file, in order; blank lines are none.
pub(super) struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let at = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        Self { bytes, at, line: 1 }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(length) = line_end(&self.bytes[self.at..]) {
            self.at += length;
            self.line += 1;
        }
        let (start, line) = (self.at, self.line);
        if start == self.bytes.len() {
            return None;
        }
        let mut reader = Reader { bytes: self.bytes, at: start };
        let read = reader.record();
        let end = match &read {
            Ok(_) => reader.at,
            Err((offset, _)) => {
                self.bytes[*offset..].iter().position(is_line_end).map_or(self.bytes.len(), |length| offset + length)
            }
        };
        let bytes = &self.bytes[start..end];
        self.at = end;
        self.line += line_ends(bytes);
        if let Some(length) = line_end(&self.bytes[self.at..]) {
            self.at += length;
            self.line += 1;
        }
        Some(match read {
            Ok(fields) => Ok(Record { fields, line, bytes, start }),
            Err((offset, what)) => {
                Err(Fault { place: place(line, &self.bytes[start..], offset - start), what: what.to_owned() })
            }
        })
    }
}

/// Reads one record's fields; a refusal carries the offset of what is wrong.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Refused = (usize, &'static str);

const NOT_CLOSED: &str = "this quote is never closed: close it, or write two to mean one";
const TEXT_AFTER_QUOTE: &str = "text follows the closing quote: put a comma before it, or write two quotes to mean one";
const NOT_UTF_8: &str = "this is not UTF-8: save the file with that encoding";

impl Reader<'_> {
    fn record(&mut self) -> Result<Vec<Field>, Refused> {
        let mut fields = vec![self.field()?];
        while self.peek() == Some(b',') {
            self.at += 1;
            fields.push(self.field()?);
        }
        Ok(fields)
    }

    fn field(&mut self) -> Result<Field, Refused> {
        self.skip_blanks();
        if self.peek() == Some(b'"') { self.quoted() } else { self.plain() }
    }

    fn plain(&mut self) -> Result<Field, Refused> {
        let offset = self.at;
        while self.peek().is_some_and(|byte| byte != b',' && !is_line_end(&byte)) {
            self.at += 1;
        }
        let text = text(offset, &self.bytes[offset..self.at])?;
        Ok(Field { text: text.trim_end().to_owned(), offset })
    }

    fn quoted(&mut self) -> Result<Field, Refused> {
        let opened = self.at;
        self.at += 1;
        let mut unquoted = String::new();
        loop {
            let begin = self.at;
            let Some(length) = self.bytes[begin..].iter().position(|byte| *byte == b'"') else {
                return Err((opened, NOT_CLOSED));
            };
            self.at += length + 1;
            unquoted.push_str(text(begin, &self.bytes[begin..begin + length])?);
            if self.peek() != Some(b'"') {
                break;
            }
            unquoted.push('"');
            self.at += 1;
        }
        self.skip_blanks();
        match self.peek() {
            Some(byte) if byte != b',' && !is_line_end(&byte) => {
                // A quote that seems to close lines further on is the next field's: the fault is here.
                let is_of_this_line = line_ends(&self.bytes[opened..self.at]) == 0;
                Err(if is_of_this_line { (self.at, TEXT_AFTER_QUOTE) } else { (opened, NOT_CLOSED) })
            }
            _ => Ok(Field { text: unquoted, offset: opened }),
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

fn text(offset: usize, bytes: &[u8]) -> Result<&str, Refused> {
    std::str::from_utf8(bytes).map_err(|error| (offset + error.valid_up_to(), NOT_UTF_8))
}

fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// How many bytes end a line here, if a line ends here.
fn line_end(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\r', b'\n', ..] => Some(2),
        [b'\r' | b'\n', ..] => Some(1),
        _ => None,
    }
}

fn line_ends(bytes: &[u8]) -> usize {
    let feeds = bytes.iter().filter(|byte| **byte == b'\n').count();
    let lone_returns = (0..bytes.len()).filter(|at| bytes[*at] == b'\r' && bytes.get(at + 1) != Some(&b'\n')).count();
    feeds + lone_returns
}

/// The place of `offset` in bytes that begin a line, the one with this number.
fn place(line: usize, bytes: &[u8], offset: usize) -> Place {
    let before = &bytes[..offset.min(bytes.len())];
    let line_start = before.iter().rposition(is_line_end).map_or(0, |at| at + 1);
    let continues = |byte: &&u8| **byte & 0b1100_0000 != 0b1000_0000;
    Place { line: line + line_ends(before), column: before[line_start..].iter().filter(continues).count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(bytes: &[u8]) -> Vec<Vec<String>> {
        let record =
            |read: Result<Record<'_>, Fault>| read.unwrap().fields.into_iter().map(|field| field.text).collect();
        Records::new(bytes).map(record).collect()
    }

    fn faults(bytes: &[u8]) -> Vec<(usize, usize)> {
        Records::new(bytes).filter_map(Result::err).map(|fault| (fault.place.line, fault.place.column)).collect()
    }

    #[test]
    fn fields_lose_their_quotes_and_the_blanks_around_them() {
        assert_eq!(texts(b"a, b ,\"c, \"\"d\"\"\" ,\n"), [["a", "b", "c, \"d\"", ""]]);
    }

    #[test]
    fn every_line_ending_ends_a_record_and_the_last_line_needs_none() {
        assert_eq!(texts(b"a\nb\r\nc\rd"), [["a"], ["b"], ["c"], ["d"]]);
    }

    #[test]
    fn a_byte_order_mark_and_blank_lines_are_no_part_of_a_record() {
        assert_eq!(texts(b"\xEF\xBB\xBFa,b\r\n\r\n\nc,d\n\n"), [["a", "b"], ["c", "d"]]);
        assert!(texts(b"").is_empty());
        assert!(texts(b"\xEF\xBB\xBF\n").is_empty());
    }

    #[test]
    fn a_quoted_field_may_hold_line_breaks_and_the_lines_after_it_are_counted() {
        let records: Vec<_> = Records::new(b"\"a\r\nb\",c\nd,e\n").map(Result::unwrap).collect();
        assert_eq!(records[0].fields[0].text, "a\r\nb");
        assert_eq!(records[0].fault(1, "").place, Place { line: 2, column: 4 });
        assert_eq!(records[1].line, 3);
    }

    #[test]
    fn columns_count_characters() {
        let read = Records::new("Zoë,x".as_bytes()).next().unwrap().unwrap();
        assert_eq!(read.fault(1, "").place, Place { line: 1, column: 5 });
        assert_eq!(read.fault(2, "").place, Place { line: 1, column: 6 });
    }

    #[test]
    fn a_quote_that_never_closes_spoils_its_own_line_alone() {
        assert_eq!(faults(b"a\n b,\"c\nd\n"), [(2, 4)]);
        let good: Vec<_> = Records::new(b"a\n b,\"c\nd\n").filter_map(Result::ok).map(|record| record.line).collect();
        assert_eq!(good, [1, 3]);
    }

    #[test]
    fn text_after_a_closing_quote_is_found_where_it_begins() {
        assert_eq!(faults(b"\"a\" b,c\n"), [(1, 5)]);
        assert_eq!(faults(b"\"a\nb\",\"c\"d\ne\n"), [(2, 7)]);
    }

    #[test]
    fn a_quote_that_seems_to_close_on_a_later_line_is_found_where_it_opens() {
        let bytes = b"\"a,1\n\"b\",2\n";
        assert_eq!(faults(bytes), [(1, 1)]);
        let good: Vec<_> = Records::new(bytes).filter_map(Result::ok).map(|record| record.line).collect();
        assert_eq!(good, [2]);
    }

    #[test]
    fn a_byte_that_is_not_utf_8_is_found_where_it_stands() {
        assert_eq!(faults(b"a,b\nZo\xEB,x\nc,d\n"), [(2, 3)]);
        assert_eq!(faults(b"\"a\nZo\xEB\",x\n"), [(2, 3)]);
    }
}

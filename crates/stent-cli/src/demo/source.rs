//! Where the order book comes from: a file of the user's, or the sample. Turns whatever can be wrong with a file into
//! words that name it and say what to do. Judges no line itself.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::SAMPLE;
use super::orders::OrderBook;

/// The most bytes of an order book; a larger file is hardly one.
const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// How many bad lines are shown before the rest is counted.
const SHOWN_BAD_LINES: usize = 10;

/// An order book that can be worked on.
pub(super) struct Source {
    /// What to call it.
    pub(super) name: String,
    pub(super) book: OrderBook,
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Source {
    /// Reads the book. Its bad lines are fatal unless they are to be skipped; then they stay listed in the book.
    pub(super) fn read(file: Option<&Path>, skip_bad: bool) -> Result<Self, Refusal> {
        let Some(file) = file else {
            return Self::of("the sample".to_owned(), SAMPLE.as_bytes(), skip_bad);
        };
        let name = file.display().to_string();
        match bytes(file) {
            Ok(bytes) => Self::of(name, &bytes, skip_bad),
            Err(error) => Err(Refusal(format!("{name}: {}", reason(&error)))),
        }
    }

    fn of(name: String, bytes: &[u8], skip_bad: bool) -> Result<Self, Refusal> {
        let book = OrderBook::read(bytes).map_err(|error| Refusal(with_name(&name, &error.to_string())))?;
        let source = Self { name, book };
        let count = source.book.bad_lines.len();
        if source.book.orders.is_empty() {
            return Err(Refusal(format!("{}\nno line of it is an order", source.bad_lines())));
        }
        if count > 0 && !skip_bad {
            let lines =
                if count == 1 { "this line is no order: mend it" } else { "these lines are no orders: mend them" };
            return Err(Refusal(format!("{}\n{lines}, or go on without by --skip-bad", source.bad_lines())));
        }
        Ok(source)
    }

    /// The bad lines, each with its place and its remedy, as many as a screen bears.
    pub(super) fn bad_lines(&self) -> String {
        let bad_lines = &self.book.bad_lines;
        let shown = bad_lines.iter().take(SHOWN_BAD_LINES).map(|fault| format!("{}:{fault}", self.name));
        let mut lines: Vec<String> = shown.collect();
        if bad_lines.len() > lines.len() {
            lines.push(format!("and {} more", bad_lines.len() - lines.len()));
        }
        lines.join("\n")
    }
}

/// A fault with a place of its own reads `file:line:column`, any other `file: fault`.
fn with_name(name: &str, fault: &str) -> String {
    let gap = if fault.starts_with(|first: char| first.is_ascii_digit()) { "" } else { " " };
    format!("{name}:{gap}{fault}")
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file: look at the path".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by you: look at its permissions".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory: name a CSV file in it".to_owned(),
        io::ErrorKind::FileTooLarge => format!("has more than {} MiB: take a part of it", FILE_BYTES / 1024 / 1024),
        _ => format!("cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8], skip_bad: bool) -> String {
        Source::of("book.csv".to_owned(), bytes, skip_bad).err().unwrap().to_string()
    }

    #[test]
    fn bad_lines_are_refused_with_their_places_unless_they_are_to_be_skipped() {
        let bytes = b"order_id,customer,sku,quantity,cents\nA,Zoe,P,1,5\nB,Max,P,x,5\n";
        let said = refusal(bytes, false);
        assert!(said.starts_with("book.csv:3:9: quantity is \"x\""), "{said}");
        assert!(said.ends_with("this line is no order: mend it, or go on without by --skip-bad"), "{said}");
        let source = Source::of("book.csv".to_owned(), bytes, true).unwrap();
        assert_eq!((source.book.orders.len(), source.book.bad_lines.len()), (1, 1));
    }

    #[test]
    fn many_bad_lines_are_counted_and_a_book_of_nothing_else_is_refused_even_then() {
        let bytes = [b"order_id,customer,sku,quantity,cents\n".to_vec(), b"x\n".repeat(12)].concat();
        let said = refusal(&bytes, true);
        assert_eq!(said.lines().count(), SHOWN_BAD_LINES + 2, "{said}");
        assert!(said.ends_with("and 2 more\nno line of it is an order"), "{said}");
    }

    #[test]
    fn faults_of_the_whole_file_name_the_file() {
        assert!(refusal(b"", false).starts_with("book.csv: is empty"));
        assert!(refusal(b"a,b\n", false).starts_with("book.csv:1:4: the header has no column"));
    }

    #[test]
    fn what_the_system_says_of_a_file_becomes_advice() {
        for (kind, words) in [
            (io::ErrorKind::NotFound, "no such file"),
            (io::ErrorKind::PermissionDenied, "permissions"),
            (io::ErrorKind::IsADirectory, "is a directory"),
            (io::ErrorKind::FileTooLarge, "more than 16 MiB"),
            (io::ErrorKind::TimedOut, "cannot be read"),
        ] {
            assert!(reason(&kind.into()).contains(words), "{kind}");
        }
    }

    #[test]
    fn a_file_without_end_is_refused_at_the_limit() {
        assert_eq!(bytes(Path::new("/dev/zero")).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}

//! Order books that are none, or not quite: each is refused with exit code 2 and words that say where and what to do.

use std::path::Path;

use crate::demo::{said, stent};

const HEADER: &[u8] = b"order_id,customer,sku,quantity,cents\n";
const GOOD: &[u8] = b"A1,Zoe,MUG,1,250\n";

/// What the demo says of a file with these bytes, which it must refuse.
fn refusal(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.csv");
    std::fs::write(&path, bytes).unwrap();
    refusal_of(&path, &[])
}

fn refusal_of(path: &Path, more: &[&str]) -> String {
    let path = path.to_str().unwrap();
    let output = stent(&[&["demo", "--orders", path], more].concat());
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with(&format!("error: {path}:")), "{said}");
    said.replace(path, "FILE")
}

#[test]
fn an_empty_file_is_refused() {
    assert!(refusal(b"").starts_with("error: FILE: is empty: an order book begins with the line order_id,customer"));
}

#[test]
fn a_header_alone_is_refused() {
    assert!(refusal(HEADER).starts_with("error: FILE: has no orders below its header"));
}

#[test]
fn a_bad_line_is_named_by_file_line_and_column() {
    let said = refusal(&[HEADER, GOOD, b"B2,Max,MUG,two,250\n"].concat());
    assert!(said.starts_with("error: FILE:3:12: quantity is \"two\": write a whole number from 1 to"), "{said}");
    assert!(said.contains("--skip-bad"), "{said}");
}

#[test]
fn an_order_given_twice_is_named_with_both_lines() {
    let said = refusal(&[HEADER, GOOD, GOOD].concat());
    assert!(said.starts_with("error: FILE:3:1: order \"A1\" is on line 2 already"), "{said}");
}

#[test]
fn a_file_that_is_not_utf_8_is_named_where_it_is_not() {
    let said = refusal(&[HEADER, b"A1,Zo\xEB,MUG,1,250\n"].concat());
    assert!(said.starts_with("error: FILE:2:6: this is not UTF-8: save the file with that encoding"), "{said}");
    assert!(refusal(b"\xFF\xFEo\0r\0").starts_with("error: FILE: is UTF-16: save it as UTF-8"));
}

#[test]
fn a_quote_that_never_closes_is_found_where_it_opens() {
    let said = refusal(&[HEADER, b"A1,\"Zoe,MUG,1,250\n", GOOD].concat());
    assert!(said.starts_with("error: FILE:2:4: this quote is never closed"), "{said}");
}

#[test]
fn a_directory_a_missing_and_an_unreadable_file_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refusal_of(dir.path(), &[]).starts_with("error: FILE: is a directory: name a CSV file"));
    assert!(refusal_of(&dir.path().join("none.csv"), &[]).starts_with("error: FILE: there is no such file"));
    // Root may read what nobody may; this no process can read from its beginning.
    assert!(refusal_of(Path::new("/proc/self/mem"), &[]).starts_with("error: FILE: cannot be read: "));
}

#[test]
fn a_book_of_bad_lines_alone_is_refused_even_if_they_are_to_be_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.csv");
    std::fs::write(&path, [HEADER, b"A1\n"].concat()).unwrap();
    assert!(refusal_of(&path, &["--skip-bad"]).ends_with("no line of it is an order\n"));
}

#[test]
fn bad_lines_are_skipped_and_listed_when_asked_for_and_what_spreadsheets_write_is_no_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.csv");
    let lines =
        b"\"A,1\",\"The \"\"Old\"\" Mill\",MUG,1,250\r\n\r\nB2,Max,MUG,none,5\r\nC3,\"Finch, Zo\xC3\xAB\",MUG,2,500";
    std::fs::write(&path, [b"\xEF\xBB\xBForder_id,customer,sku,quantity,cents\r\n", &lines[..]].concat()).unwrap();
    let place = dir.path().join("run");
    let output = stent(&["demo", "--skip-bad", "--orders", path.to_str().unwrap(), "--dir", place.to_str().unwrap()]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("skipped     1 line") && said.contains("orders.csv:4:12: quantity is \"none\""), "{said}");
    assert!(said.contains("    2  charged exactly once"), "{said}");
}

//! The order book: what a CSV file must be to be one, and what is wrong with a line that is not. Pure; where the bytes
//! come from is another file's business. A fault says what to do about it.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::csv::{Fault, Record, Records};

/// The columns, in any order; others are passed over.
const COLUMNS: [&str; 5] = ["order_id", "customer", "sku", "quantity", "cents"];

/// The longest text of a field, in characters: what a person can have meant.
const FIELD_CHARS: usize = 200;

/// The most pieces of one order, and the most cents of one: beyond them a column is in the wrong place.
const QUANTITY: u64 = 100_000;
const CENTS: u64 = 1_000_000_000;

/// The most orders of one book. The demo is to end while somebody watches.
const ORDERS: usize = 20_000;

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) order_id: String,
    pub(super) customer: String,
    pub(super) sku: String,
    pub(super) quantity: u64,
    pub(super) cents: u64,
}

/// The orders of a file, and the lines of it that are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OrderBook {
    pub(super) orders: Vec<Order>,
    pub(super) bad_lines: Vec<Fault>,
}

/// Why a file is no order book, whatever its single lines are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BookError {
    #[error("is empty: an order book begins with the line {}", header())]
    Empty,
    #[error("is UTF-16: save it as UTF-8")]
    Utf16,
    #[error("{0}")]
    Header(Fault),
    #[error("has no orders below its header")]
    NoOrders,
    #[error("has more than {ORDERS} orders: take a part of it")]
    TooLong,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.place.line, self.place.column, self.what)
    }
}

fn header() -> String {
    COLUMNS.join(",")
}

impl OrderBook {
    /// Reads a book; bad lines are listed, not fatal.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, BookError> {
        if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
            return Err(BookError::Utf16);
        }
        let mut records = Records::new(bytes);
        let header = records.next().ok_or(BookError::Empty)?.map_err(BookError::Header)?;
        let columns = Columns::find(&header).map_err(BookError::Header)?;
        let mut book = Self { orders: Vec::new(), bad_lines: Vec::new() };
        let mut first_lines: HashMap<String, usize> = HashMap::new();
        for read in records {
            match read.and_then(|record| columns.order(&record, &mut first_lines)) {
                Ok(order) => book.orders.push(order),
                Err(fault) => book.bad_lines.push(fault),
            }
            if book.orders.len() > ORDERS {
                return Err(BookError::TooLong);
            }
        }
        if book.orders.is_empty() && book.bad_lines.is_empty() {
            return Err(BookError::NoOrders);
        }
        Ok(book)
    }

    pub(super) fn cents(&self) -> u64 {
        self.orders.iter().map(|order| order.cents).sum()
    }
}

/// Where each of [`COLUMNS`] stands in this file.
struct Columns {
    at: [usize; COLUMNS.len()],
    count: usize,
}

impl Columns {
    fn find(header: &Record<'_>) -> Result<Self, Fault> {
        let names: Vec<String> = header.fields.iter().map(|field| field.text.to_lowercase()).collect();
        if let [only] = names.as_slice()
            && only.contains([';', '\t'])
        {
            return Err(header.fault(0, "columns are not separated by commas: save the file with commas"));
        }
        let mut at = [0; COLUMNS.len()];
        for (name, index) in COLUMNS.iter().zip(&mut at) {
            let mut found = names.iter().enumerate().filter(|(_, sought)| sought == name).map(|(index, _)| index);
            *index = found.next().ok_or_else(|| {
                header.fault(usize::MAX, format!("the header has no column `{name}`: it is to be {}", self::header()))
            })?;
            if let Some(again) = found.next() {
                return Err(header.fault(again, format!("the header has the column `{name}` twice: rename one")));
            }
        }
        Ok(Self { at, count: names.len() })
    }

    fn order(&self, record: &Record<'_>, first_lines: &mut HashMap<String, usize>) -> Result<Order, Fault> {
        if record.fields.len() != self.count {
            let what = format!(
                "{} fields where the header has {}: add what is missing, or quote a field that holds a comma",
                record.fields.len(),
                self.count
            );
            return Err(record.fault(self.count, what));
        }
        let [order_id, customer, sku, quantity, cents] = self.at;
        let order = Order {
            order_id: words(record, order_id, "order_id")?,
            customer: words(record, customer, "customer")?,
            sku: words(record, sku, "sku")?,
            quantity: number(record, quantity, "quantity", QUANTITY)?,
            cents: number(record, cents, "cents", CENTS)?,
        };
        if let Some(first) = first_lines.get(&order.order_id) {
            let what = format!("order {} is on line {first} already: take one of the two out", shown(&order.order_id));
            return Err(record.fault(order_id, what));
        }
        first_lines.insert(order.order_id.clone(), record.line);
        Ok(order)
    }
}

fn words(record: &Record<'_>, index: usize, column: &str) -> Result<String, Fault> {
    let text = record.fields[index].text.trim();
    let wrong = if text.is_empty() {
        format!("{column} is empty: fill it in")
    } else if text.chars().count() > FIELD_CHARS {
        format!("{column} is longer than {FIELD_CHARS} characters: shorten it")
    } else if text.chars().any(char::is_control) {
        format!("{column} {} holds a control character: take it out", shown(text))
    } else {
        return Ok(text.to_owned());
    };
    Err(record.fault(index, wrong))
}

fn number(record: &Record<'_>, index: usize, column: &str, most: u64) -> Result<u64, Fault> {
    let text = record.fields[index].text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number) if digits && (1..=most).contains(&number) => Ok(number),
        _ => Err(record.fault(index, format!("{column} is {}: write a whole number from 1 to {most}", shown(text)))),
    }
}

/// A text as it can be shown in a message: quoted, short, its control characters escaped.
fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 40;
    let mut short: String = text.chars().take(SHOWN_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "order_id,customer,sku,quantity,cents\n";

    fn read(lines: &str) -> OrderBook {
        OrderBook::read(format!("{HEADER}{lines}").as_bytes()).unwrap()
    }

    fn fault(line: &str) -> String {
        let book = read(line);
        assert!(book.orders.is_empty(), "{book:?}");
        book.bad_lines[0].to_string()
    }

    fn refusal(bytes: &[u8]) -> String {
        OrderBook::read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn columns_may_stand_in_any_order_and_in_any_case() {
        let book =
            OrderBook::read(b"Cents,note,SKU,order_id,customer,quantity\n250,\"hi, there\",P-1,A1,Zoe,2\n").unwrap();
        let order = Order {
            order_id: "A1".to_owned(),
            customer: "Zoe".to_owned(),
            sku: "P-1".to_owned(),
            quantity: 2,
            cents: 250,
        };
        assert_eq!(book, OrderBook { orders: vec![order], bad_lines: Vec::new() });
    }

    #[test]
    fn a_number_that_is_none_is_named_with_its_place_and_its_remedy() {
        assert_eq!(fault("A1,Zoë,P-1,three,250"), "2:12: quantity is \"three\": write a whole number from 1 to 100000");
        for cents in ["0", "-5", "+5", "2.50", "", "1e3", "99999999999999999999", "1000000001"] {
            let said = fault(&format!("A1,Zoe,P-1,2,{cents}"));
            assert!(said.starts_with("2:14: cents is "), "{said}");
        }
    }

    #[test]
    fn a_line_of_too_few_or_too_many_fields_is_named_at_its_end_or_at_the_first_beyond() {
        assert!(fault("A1,Zoe,P-1,2").starts_with("2:13: 4 fields where the header has 5"));
        assert!(fault("A1,Smith, Zoe,P-1,2,250").starts_with("2:21: 6 fields where the header has 5"));
    }

    #[test]
    fn an_order_given_twice_names_the_line_of_the_first() {
        let book = read("A1,Zoe,P-1,2,250\nB2,Max,P-1,1,125\n A1,Zoe,P-1,2,250\n");
        assert_eq!(book.orders.len(), 2);
        assert_eq!(book.bad_lines[0].to_string(), "4:2: order \"A1\" is on line 2 already: take one of the two out");
    }

    #[test]
    fn a_bad_line_does_not_claim_its_order_id() {
        let book = read("A1,Zoe,P-1,none,250\nA1,Zoe,P-1,2,250\n");
        assert_eq!((book.orders.len(), book.bad_lines.len()), (1, 1));
    }

    #[test]
    fn texts_that_are_empty_endless_or_hold_control_characters_are_bad() {
        assert_eq!(fault(",Zoe,P-1,2,250"), "2:1: order_id is empty: fill it in");
        assert!(fault(&format!("A1,{},P-1,2,250", "x".repeat(201))).contains("customer is longer than 200"));
        assert!(fault("A1,Zo\u{1b}[31m,P-1,2,250").contains(r#"customer "Zo\u{1b}[31m" holds a control"#));
    }

    #[test]
    fn a_file_that_is_no_order_book_says_why() {
        assert!(refusal(b"").starts_with("is empty: an order book begins with the line order_id,customer,sku"));
        assert!(refusal(b"\xEF\xBB\xBF\r\n").starts_with("is empty"));
        assert_eq!(refusal(HEADER.as_bytes()), "has no orders below its header");
        assert_eq!(refusal(b"\xFF\xFEo\0"), "is UTF-16: save it as UTF-8");
        assert!(refusal(b"order_id;customer;sku;quantity;cents\n").starts_with("1:1: columns are not separated"));
        assert!(refusal(b"order_id,customer,sku,quantity\n").starts_with("1:31: the header has no column `cents`"));
        assert!(refusal(b"sku,order_id,customer,sku,quantity,cents\n").starts_with("1:23: the header has the column"));
        assert!(refusal(b"order_id,\xE9\n").starts_with("1:10: this is not UTF-8"));
    }

    #[test]
    fn more_orders_than_the_demo_is_for_are_refused() {
        let lines: String = (0..=ORDERS).map(|number| format!("{number},Zoe,P-1,1,1\n")).collect();
        assert_eq!(OrderBook::read(format!("{HEADER}{lines}").as_bytes()), Err(BookError::TooLong));
    }

    #[test]
    fn the_book_that_ships_has_300_good_orders() {
        let book = OrderBook::read(crate::demo::SAMPLE.as_bytes()).unwrap();
        assert_eq!((book.orders.len(), book.bad_lines), (300, Vec::new()));
    }
}

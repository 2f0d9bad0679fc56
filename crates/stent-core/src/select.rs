//! A look at the tables in the database's own language: for people and their tools, beside the queries that the engine
//! knows. Nothing here can change anything, and the engine itself never asks this way.

use crate::error::{StoreError, StoreErrorKind};

/// A value in a table, or one that a statement is given.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A truth value; SQLite has none and gives whole numbers.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// What a statement answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The names of its columns, in order.
    pub columns: Vec<String>,
    /// Its rows; each has a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// The error of a statement that the database does not take.
#[must_use]
pub fn not_taken(words: impl std::fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Misuse, format!("the statement was not carried out: {words}"))
}

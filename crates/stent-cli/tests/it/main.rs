//! The command `stent`, run as users run it.

mod demo;
mod order_books;

//! The store on SQLite: one file, one writer at a time, every acknowledged commit synced (WAL, `synchronous=FULL`).
//!
//! [`SqliteStore`] implements [`stent_core::Store`]. A batch is one transaction on one writer connection; reads have
//! connections of their own and never block it. Several processes may share a file: they take turns by OS locks, see
//! each other's presence by lock files, and each other's changes by `data_version`.
//!
//! Where to look: [`store`] ties it together; `commit` carries out batches; one module for each group of commands
//! (`starts`, `claims`, `records`, `waits`, `endings`, `messages`, `letters`, `queues`, `sessions`, `sweeps`, `operations`); the SQL
//! lies in `sql/`, one file for each statement, with the index that serves it.
//!
//! ```
//! use stent_sqlite::{Options, SqliteStore};
//! let store = SqliteStore::open(":memory:", Options::default())?;
//! assert!(SqliteStore::from_url("postgres://elsewhere", Options::default()).is_err());
//! # drop(store);
//! # Ok::<(), stent_core::StoreError>(())
//! ```

mod batch;
mod bell;
mod claims;
mod clock;
mod commit;
mod endings;
mod error;
mod gates;
mod history;
mod letters;
mod memos;
mod messages;
mod open;
mod operations;
pub mod outbox;
mod presence;
mod query;
mod queues;
mod readers;
mod records;
mod routes;
mod rows;
mod schedules;
mod schema;
mod select;
mod sessions;
mod slots;
mod starts;
pub mod store;
mod sweeps;
mod tree;
mod turns;
mod views;
mod waits;
mod watch;

pub use clock::Clock;
pub use open::Options;
pub use store::SqliteStore;

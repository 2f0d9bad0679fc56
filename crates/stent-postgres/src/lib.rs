//! The store on PostgreSQL: many workers on many hosts, every acknowledged commit as durable as the server makes it.
//!
//! [`PostgresStore`] implements [`stent_core::Store`]. A batch is one transaction, sent in one round trip where nothing
//! has to be looked at first; reads have connections of their own. A committer's row fences every batch, so that what
//! this process holds needs no lock and no look.
//!
//! Where to look: [`store`] ties it together; `commit` carries out batches, `batch` is one under way, `writes` what it
//! has gathered, `memory` what it need not ask; one module for each group of commands (`starts`, `claims`, `records`,
//! `waits`, `endings`, `messages`, `letters`, `queues`, `sessions`, `sweeps`); the SQL lies in `sql/`, one file for each
//! statement, with the index that serves it.

mod address;
mod batch;
mod claims;
mod clock;
mod commit;
mod connect;
mod endings;
mod error;
mod gates;
mod history;
mod letters;
mod line;
mod memory;
mod memos;
mod messages;
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
mod theirs;
mod tree;
mod views;
mod waits;
mod watch;
mod writes;

pub use clock::Clock;
pub use store::{Options, PostgresStore};

//! Servers of the tests' own: a real PostgreSQL, a real PgBouncer before it, a real Redis, and a TCP
//! proxy whose faults a test switches. Nothing here knows Stent: a caller gets addresses and SQL.
//!
//! [`Server::shared`] serves a whole test binary, each test in a [`Database`] of its own:
//!
//! ```
//! let database = stent_servers::Server::shared().database()?;
//! assert_eq!(database.psql("select 1 + 1")?, "2");
//! # anyhow::Ok(())
//! ```
//!
//! Whoever kills, stops or pauses a server starts one for itself with [`Server::start`]. No process outlives the one
//! that started it, not even one that is killed; folders of the dead are removed at the next start.

mod account;
mod bouncer;
mod cluster;
mod database;
mod endpoint;
mod home;
mod installation;
mod keeper;
mod ports;
mod pristine;
mod processes;
mod proxy;
mod redis;
mod server;

pub use bouncer::{PgBouncer, PoolMode};
pub use database::{Database, Role};
pub use installation::Installation;
pub use proxy::{LostReply, Message, Proxy};
pub use redis::Redis;
pub use server::{Server, ServerOptions};

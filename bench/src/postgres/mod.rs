//! The yardsticks on PostgreSQL: what a server's commits and arrays can do at all, and how much of that a fenced group
//! commit keeps. Speaks to the server by `tokio-postgres` itself, so that nothing of ours is in the figures.

pub mod host;
pub mod probe;
pub mod raw;

use anyhow::Context;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// The bytes of a payload or record.
const PAYLOAD_BYTES: usize = 100;

/// A connection whose work is done by the runtime of the caller.
async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("the server cannot be reached")?;
    // What breaks it fails the statement that is under way.
    tokio::spawn(connection);
    Ok(client)
}

/// Ids as an engine has them: those of one burst share their head (a time) and differ in their tail.
fn task_id(number: usize) -> Uuid {
    // Any odd constant spreads consecutive numbers over all bits of the tail.
    let tail = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Uuid::from_u64_pair(0x019A_0F42_176C_0000, tail)
}

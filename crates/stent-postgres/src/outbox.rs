//! The outbox: commands on a transaction of the user's own, so that a start, a signal or an emit commits with the
//! user's rows or not at all. Nothing here goes through the store's committers.
//!
//! What the transaction locks stays locked until it ends: a start with the same key, and an event of the same name, wait
//! for it. So it should be short, and must not await what only its own commit brings about.

use stent_core::command::{Command, Outcome, Refusal};
use stent_core::{StoreError, StoreErrorKind};
use tokio_postgres::Transaction;

use crate::batch::{Batch, Care, Wire};
use crate::clock::Clock;
use crate::error::{Stop, broken, store_error};
use crate::memory::Memory;
use crate::rows;
use crate::schema::CLIENT;
use crate::theirs::{DOING, Theirs};
use crate::watch::channel;

const CHECK: &str = include_str!("../sql/outbox_check.sql");
const READ: &str = include_str!("../sql/schema_read.sql");
const NOTIFY: &str = include_str!("../sql/notify.sql");

/// Carries the commands out in the user's transaction; they are there when it commits. Its connection must find a Stent
/// store's tables by its search path. Workers learn of them when it commits.
///
/// # Errors
/// [`StoreErrorKind::Misuse`] when no Stent schema is on the connection's search path, or the transaction is not READ
/// COMMITTED and there is more than starts and emits; [`StoreErrorKind::Unusable`] when the schema does not serve this
/// client; and what the server fails with. Nothing of the commands is there then; the
/// user's transaction can go on.
pub async fn apply(transaction: &Transaction<'_>, commands: Vec<Command>) -> Result<Vec<Outcome>, StoreError> {
    in_savepoint(transaction, &commands).await
}

/// The same in a transaction of sqlx's, by its connection.
///
/// # Errors
/// As [`apply`].
#[cfg(feature = "sqlx")]
pub async fn apply_sqlx(
    transaction: &mut sqlx::PgConnection,
    commands: Vec<Command>,
) -> Result<Vec<Outcome>, StoreError> {
    in_savepoint(&crate::theirs::Connection(tokio::sync::Mutex::new(transaction)), &commands).await
}

async fn in_savepoint(theirs: &dyn Theirs, commands: &[Command]) -> Result<Vec<Outcome>, StoreError> {
    theirs.say("SAVEPOINT stent_outbox").await?;
    let done = carry_out(theirs, commands).await;
    let ending = if done.is_ok() { "RELEASE stent_outbox" } else { "ROLLBACK TO stent_outbox; RELEASE stent_outbox" };
    let ended = theirs.say(ending).await;
    let outcomes = done?;
    ended?;
    Ok(outcomes)
}

async fn carry_out(theirs: &dyn Theirs, commands: &[Command]) -> Result<Vec<Outcome>, StoreError> {
    let (schema, micros) = check(theirs, commands).await?;
    let clock = Clock::from_env();
    clock.note(micros);
    let mut memory = Memory::default();
    let nobody = |_| None;
    let mut batch = Batch::new(Wire::Users(theirs), Care::Careful, &mut memory, &nobody, clock.now());
    let outcomes = run(&mut batch, commands).await?;
    if !batch.wakes.is_empty() {
        // Held back by the server until the transaction commits. Sent by nobody's name, so that every process hears it.
        theirs.query(NOTIFY, &[&channel(&schema), &""]).await?;
    }
    Ok(outcomes)
}

/// Whether a command may go by what was committed before the transaction's first statement. A start goes by nothing
/// else's state, and an emit changes the row at which it meets the waits for it: the server fails it if there is a newer
/// one. A signal does not, and would pass by a task that waits for it.
const fn may_look_back(command: &Command) -> bool {
    matches!(command, Command::Start(_) | Command::Emit(_))
}

async fn run(batch: &mut Batch<'_>, commands: &[Command]) -> Result<Vec<Outcome>, StoreError> {
    let failed = |stop: Stop| match stop {
        Stop::Failed(error) => store_error(DOING, error),
        Stop::Theirs(error) => error,
        Stop::Broken(what) => StoreError::new(StoreErrorKind::Corrupt, what),
        // Never said to a batch that looks.
        Stop::Stale => StoreError::new(StoreErrorKind::Unavailable, "the store has changed meanwhile"),
        Stop::Refused(refusal) => StoreError::new(StoreErrorKind::Misuse, refusal.to_string()),
    };
    let mut outcomes: Vec<Result<_, Refusal>> = Vec::with_capacity(commands.len());
    for command in commands {
        outcomes.push(match batch.run(command).await {
            Ok(done) => Ok(done),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(stop) => return Err(failed(stop)),
        });
    }
    batch.flush().await.map_err(failed)?;
    Ok(outcomes)
}

/// The schema that the tables are in, and the server's clock.
async fn check(theirs: &dyn Theirs, commands: &[Command]) -> Result<(String, i64), StoreError> {
    let unread = |_| StoreError::new(StoreErrorKind::Corrupt, format!("could not {DOING}: an answer cannot be read"));
    let found = theirs.query(CHECK, &[]).await?;
    let row = found.first().ok_or_else(|| unread(broken("no row")))?;
    let Some(schema) = rows::get::<Option<String>>(row, 0).map_err(unread)? else {
        return Err(StoreError::new(StoreErrorKind::Misuse, "your connection finds no Stent tables")
            .with_hint("open the store once, which makes them, and set the connection's search_path to their schema"));
    };
    let looks_back = rows::get::<String>(row, 2).map_err(unread)? != "read committed";
    if looks_back && !commands.iter().all(may_look_back) {
        return Err(StoreError::new(
            StoreErrorKind::Misuse,
            "your transaction does not see what is committed meanwhile",
        )
        .with_hint("begin it as READ COMMITTED: in any other only starts and emits are safe"));
    }
    let stated = theirs.query(READ, &[]).await?;
    let oldest: Option<i32> = stated.first().and_then(|row| rows::get(row, 2).ok());
    if oldest.is_none_or(|oldest| oldest > CLIENT) {
        return Err(StoreError::new(StoreErrorKind::Unusable, "the database's schema does not serve this client")
            .with_hint("a newer Stent has migrated it: upgrade this program"));
    }
    Ok((schema, rows::get(row, 1).map_err(unread)?))
}

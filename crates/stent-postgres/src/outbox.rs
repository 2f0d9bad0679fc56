//! The outbox: commands on a transaction of the user's own, so that a start, a signal or an emit commits with the
//! user's rows or not at all. Nothing here goes through the store's committers.
//!
//! What the transaction locks stays locked until it ends: a start with the same key, and an event of the same name, wait
//! for it. So it should be short, and must not await what only its own commit brings about.

use stent_core::command::{Command, Outcome, Refusal};
use stent_core::{StoreError, StoreErrorKind};
use tokio_postgres::types::Type;
use tokio_postgres::{Error, Transaction};

use crate::batch::{Batch, Care, Wire};
use crate::clock::Clock;
use crate::error::{Stop, store_error};
use crate::memory::Memory;
use crate::schema::CLIENT;
use crate::watch::channel;

const DOING: &str = "write through your transaction";
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
    let failed = |error: Error| store_error(DOING, error);
    transaction.batch_execute("SAVEPOINT stent_outbox").await.map_err(failed)?;
    let done = carry_out(transaction, &commands).await;
    let ending = if done.is_ok() { "RELEASE stent_outbox" } else { "ROLLBACK TO stent_outbox; RELEASE stent_outbox" };
    let ended = transaction.batch_execute(ending).await;
    let outcomes = done?;
    ended.map_err(failed)?;
    Ok(outcomes)
}

async fn carry_out(transaction: &Transaction<'_>, commands: &[Command]) -> Result<Vec<Outcome>, StoreError> {
    let (schema, micros) = check(transaction, commands).await?;
    let clock = Clock::from_env();
    clock.note(micros);
    let mut memory = Memory::default();
    let nobody = |_| None;
    let mut batch = Batch::new(Wire::Users(transaction), Care::Careful, &mut memory, &nobody, clock.now());
    let outcomes = run(&mut batch, commands).await?;
    if !batch.wakes.is_empty() {
        // Held back by the server until the transaction commits. Sent by nobody's name, so that every process hears it.
        let words = [(&channel(&schema) as _, Type::TEXT), (&"" as _, Type::TEXT)];
        transaction.query_typed(NOTIFY, &words).await.map_err(|error| store_error(DOING, error))?;
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
        Stop::Broken(what) => StoreError::new(StoreErrorKind::Corrupt, what),
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
async fn check(transaction: &Transaction<'_>, commands: &[Command]) -> Result<(String, i64), StoreError> {
    let failed = |error| store_error(DOING, error);
    let row = transaction.query_typed_one(CHECK, &[]).await.map_err(failed)?;
    let Some(schema) = row.try_get::<_, Option<String>>(0).map_err(failed)? else {
        return Err(StoreError::new(StoreErrorKind::Misuse, "your connection finds no Stent tables")
            .with_hint("open the store once, which makes them, and set the connection's search_path to their schema"));
    };
    let looks_back = row.try_get::<_, String>(2).map_err(failed)? != "read committed";
    if looks_back && !commands.iter().all(may_look_back) {
        return Err(StoreError::new(
            StoreErrorKind::Misuse,
            "your transaction does not see what is committed meanwhile",
        )
        .with_hint("begin it as READ COMMITTED: in any other only starts and emits are safe"));
    }
    let stated = transaction.query_typed_opt(READ, &[]).await.map_err(failed)?;
    let oldest: Option<i32> = stated.and_then(|row| row.try_get(2).ok());
    if oldest.is_none_or(|oldest| oldest > CLIENT) {
        return Err(StoreError::new(StoreErrorKind::Unusable, "the database's schema does not serve this client")
            .with_hint("a newer Stent has migrated it: upgrade this program"));
    }
    Ok((schema, row.try_get(1).map_err(failed)?))
}

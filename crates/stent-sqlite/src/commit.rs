//! One batch, one transaction. A refusal answers its own caller; an error of the data re-runs the batch one by one so
//! that only the culprit fails; an error below (disk, lock, damage) leaves nothing of the batch.

use std::time::Duration;

use rusqlite::Connection;
use stent_core::command::{Command, Outcome, Refusal};
use stent_core::{Committed, StoreError, Wakes};

use crate::batch::Batch;
use crate::claims;
use crate::clock::{BootClock, Clock};
use crate::error::{Stop, is_of_the_data, store_error};
use crate::open::LOCK_WAIT;
use crate::query::Statements;
use crate::routes::Routes;
use crate::slots;

/// The clocks a batch reads once.
#[derive(Clone, Debug)]
pub(crate) struct Clocks {
    pub(crate) wall: Clock,
    pub(crate) boot: BootClock,
}

const DOING: &str = "commit to the database";

/// Begins a batch, waiting for whoever writes now.
pub(crate) fn begin(connection: &Connection) -> Result<(), StoreError> {
    run(connection, "BEGIN IMMEDIATE").map_err(|error| store_error(DOING, error))
}

/// Begins a batch unless somebody else writes now, such as a user in a transaction of their own. Whether it has begun.
pub(crate) fn try_begin(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(Duration::ZERO)?;
    let begun = run(connection, "BEGIN IMMEDIATE");
    connection.busy_timeout(LOCK_WAIT)?;
    match begun {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(false),
        begun => begun.map(|()| true),
    }
}

/// Carries out a batch that has begun, in a transaction of its own, which the caller's lock keeps to itself.
pub(crate) fn commit(
    connection: &Connection,
    routes: &mut Routes,
    clocks: &Clocks,
    commands: &[Command],
) -> Result<Committed, StoreError> {
    let done = match attempt(connection, routes, clocks, commands) {
        Err(error) if is_of_the_data(&error) => {
            tracing::warn!(%error, "a command cannot be carried out; the batch is run one by one");
            rollback(connection, routes);
            run(connection, "BEGIN IMMEDIATE").and_then(|()| one_by_one(connection, routes, clocks, commands))
        }
        done => done,
    };
    let done = done.and_then(|committed| run(connection, "COMMIT").map(|()| committed));
    done.map_err(|error| {
        rollback(connection, routes);
        store_error(DOING, error)
    })
}

/// The answer to a claim that stands alone and finds nothing, as an idle worker's mostly does: read without beginning to
/// write, so that nobody who writes waits for it. `None` where there is something to do.
pub(crate) fn idle(
    connection: &Connection,
    routes: &mut Routes,
    clocks: &Clocks,
    commands: &[Command],
) -> Option<Committed> {
    let [Command::Claim(claim)] = commands else { return None };
    run(connection, "BEGIN").ok()?;
    let mut batch = Batch::new(Statements::new(connection), routes, clocks.wall.now(), clocks.boot.now());
    let found = claims::look(&mut batch, claim);
    drop(batch);
    // What cannot be read is met again, and named, by the claim that writes.
    if run(connection, "COMMIT").is_err() {
        rollback(connection, routes);
    }
    let done = found.ok().flatten()?;
    Some(Committed { outcomes: vec![Ok(done)], wakes: Wakes::default() })
}

/// Rolls back what is open. Most errors of the file have done so already.
fn rollback(connection: &Connection, routes: &mut Routes) {
    routes.clear();
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a transaction could not be rolled back");
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// All commands, up to the first error of SQLite's.
pub(crate) fn attempt(
    connection: &Connection,
    routes: &mut Routes,
    clocks: &Clocks,
    commands: &[Command],
) -> rusqlite::Result<Committed> {
    let mut batch = Batch::new(Statements::new(connection), routes, clocks.wall.now(), clocks.boot.now());
    let mut outcomes = Vec::with_capacity(commands.len());
    for command in commands {
        outcomes.push(match batch.run(command) {
            Ok(done) => Ok(done),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Failed(error)) => return Err(error),
        });
    }
    slots::tell_of_left(&mut batch)?;
    Ok(Committed { outcomes, wakes: batch.wakes })
}

/// All commands, each behind a savepoint: what cannot be carried out is answered as unknown to its own caller.
pub(crate) fn one_by_one(
    connection: &Connection,
    routes: &mut Routes,
    clocks: &Clocks,
    commands: &[Command],
) -> rusqlite::Result<Committed> {
    let mut batch = Batch::new(Statements::new(connection), routes, clocks.wall.now(), clocks.boot.now());
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(commands.len());
    for command in commands {
        connection.prepare_cached("SAVEPOINT one")?.execute([])?;
        let (wakes, slots_left) = (batch.wakes.clone(), batch.slots_left.clone());
        outcomes.push(match batch.run(command) {
            Ok(done) => Ok(done),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Failed(error)) if is_of_the_data(&error) => {
                tracing::error!(%error, "a command cannot be carried out");
                connection.prepare_cached("ROLLBACK TO one")?.execute([])?;
                batch.forget();
                (batch.wakes, batch.slots_left) = (wakes, slots_left);
                Err(Refusal::Unknown)
            }
            Err(Stop::Failed(error)) => return Err(error),
        });
        connection.prepare_cached("RELEASE one")?.execute([])?;
    }
    slots::tell_of_left(&mut batch)?;
    Ok(Committed { outcomes, wakes: batch.wakes })
}

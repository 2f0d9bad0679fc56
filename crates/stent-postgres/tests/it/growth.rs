//! What lets the tables grow, and be spread over several databases later: the schema is read back from the server and
//! held to its rules, and so is what updates leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use stent_core::{Command, Store};
use stent_servers::{Database, Server};

use crate::stores::{block, claim, commit, complete, execution, open, serve, start_one, step, worker};

/// Tables whose rows belong to an execution, and lie by it.
const BY_EXECUTION: &[&str] = &[
    "dead_letters",
    "event_cursors",
    "execution_counters",
    "execution_state",
    "executions",
    "records",
    "signals",
    "tasks",
    "waits",
];

/// All other tables, and what they are keyed by instead.
const OTHERS: &[(&str, &str)] = &[
    ("cache", "a key of the user's"),
    ("committers", "a process: two rows for each"),
    ("event_streams", "queue and name of a stream"),
    ("events", "queue and name of a stream, then the place in it"),
    ("functions", "a session"),
    ("idempotency", "a key of the user's"),
    ("idempotency_line", "a key of the user's"),
    ("limit_slots", "a function, then the number of a slot: as many rows as its limit"),
    ("limits", "a function"),
    ("queues", "a name; a few rows"),
    ("routes", "a number; a row for each queue, function and tag set"),
    ("sessions", "a session"),
    ("start_keys", "a key of the user's"),
    ("schedules", "a name; a few rows"),
    ("stent_schema", "nothing: one row"),
];

/// Secondary indexes that every row enters, and why.
const WHOLE: &[(&str, &str)] = &[
    ("dead_letters_age", "every letter has an age, and letters are rare"),
    ("events_age", "every event is deleted by its age"),
    ("routes_key", "the other name of a route; a few rows"),
    ("signals_id", "a signal's id is taken once"),
];

fn lines(database: &Database, query: &str) -> Vec<String> {
    database.psql(query).unwrap().lines().map(str::to_owned).collect()
}

fn fresh() -> Database {
    let database = Server::shared().database().unwrap();
    drop(open(&database.url()));
    database
}

#[test]
fn rows_of_an_execution_lie_by_it_and_every_table_says_what_its_rows_lie_by() {
    let database = fresh();
    let firsts = "SELECT c.relname, coalesce(a.attname, ''), coalesce(format_type(a.atttypid, -1), '')
        FROM pg_class c
        LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace";
    let mut known: BTreeSet<&str> = BY_EXECUTION.iter().copied().chain(OTHERS.iter().map(|(name, _)| *name)).collect();
    for line in lines(&database, firsts) {
        let (table, first) = line.split_once('|').unwrap();
        assert!(known.remove(table), "{table}: a new table stands in BY_EXECUTION or, with its key, in OTHERS");
        if BY_EXECUTION.contains(&table) {
            assert_eq!(first, "execution_id|uuid", "the primary key of {table} begins with its execution");
        }
    }
    assert!(known.is_empty(), "there are no tables {known:?} any more");
    // A unique index can be kept by one of several databases only if it holds the execution.
    let unique = "SELECT c.relname, i.indexrelid::regclass FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_attribute a
                          WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) AND a.attname = 'execution_id')";
    for line in lines(&database, unique) {
        let (table, index) = line.split_once('|').unwrap();
        assert!(!BY_EXECUTION.contains(&table), "{index} is unique across executions");
    }
}

#[test]
fn no_row_waits_for_a_sequence_a_foreign_key_or_a_trigger() {
    let database = fresh();
    for (what, query) in [
        (
            "sequences",
            "SELECT oid::regclass FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace",
        ),
        ("identity columns", "SELECT attrelid::regclass FROM pg_attribute WHERE attidentity <> ''"),
        (
            "foreign keys and exclusions",
            "SELECT conname FROM pg_constraint WHERE contype NOT IN ('p', 'u', 'c') AND connamespace = 'public'::regnamespace",
        ),
        ("triggers", "SELECT tgname FROM pg_trigger"),
        ("functions", "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"),
    ] {
        assert_eq!(lines(&database, query), [""; 0], "{what}");
    }
}

#[test]
fn text_in_indexes_is_in_the_order_of_its_bytes() {
    // Where the database's own order is another one, which also changes with the system's libraries.
    let database = Server::shared().database_with("LOCALE_PROVIDER icu ICU_LOCALE 'en-US'").unwrap();
    drop(open(&database.url()));
    let others = "SELECT DISTINCT i.indexrelid::regclass FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid,
            unnest(i.indcollation) AS collation_id
        WHERE c.relnamespace = 'public'::regnamespace AND collation_id <> 0
          AND collation_id <> (SELECT oid FROM pg_collation WHERE collname = 'C')";
    assert_eq!(lines(&database, others), [""; 0]);
    let with_text = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'public'::regnamespace AND 950 = ANY (i.indcollation)";
    assert_ne!(database.psql(with_text).unwrap(), "0");
}

#[test]
fn a_row_enters_only_the_secondary_indexes_of_what_it_is_at_the_moment() {
    let database = fresh();
    let whole = "SELECT i.indexrelid::regclass FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT i.indisprimary AND i.indpred IS NULL ORDER BY 1";
    let mut found = lines(&database, whole);
    found.sort();
    assert_eq!(found, WHOLE.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
}

/// Updates of each table, and how many of them stayed within their page and touched no index, in percent.
fn updates(database: &Database) -> BTreeMap<String, (u64, u64)> {
    // A server's process adds what it did to the sums at the latest when it ends.
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let deadline = Instant::now() + Duration::from_secs(20);
    while database.psql(others).unwrap() != "0" {
        assert!(Instant::now() < deadline, "the store's connections do not end");
    }
    let sums =
        "SELECT relname, n_tup_upd, n_tup_hot_upd * 100 / n_tup_upd FROM pg_stat_user_tables WHERE n_tup_upd > 0";
    let parsed = lines(database, sums).into_iter().map(|line| {
        let mut parts = line.split('|');
        let mut next = || parts.next().unwrap().to_owned();
        (next(), (next().parse().unwrap(), next().parse().unwrap()))
    });
    parsed.collect()
}

#[test]
fn what_is_updated_over_and_over_stays_within_its_page() {
    const BATCHES: u64 = 200;
    const EXECUTIONS: u32 = 1_000;
    // A transaction anywhere in a server, in whatever database, may keep the room of what was deleted since it began.
    let server = Server::start().unwrap();
    let database = server.database().unwrap();
    let store = open(&database.url());
    let session = worker(&store);
    for _ in 0..BATCHES {
        commit(&store, vec![Command::Beat(session)]);
        commit(&store, vec![Command::NameSuspect(session, None)]);
    }
    commit(&store, (0..EXECUTIONS).map(|_| start_one(execution())).collect());
    let mut claimed = 0;
    while claimed < EXECUTIONS {
        let tasks = claim(&store, session, &serve(&["f"]), 50);
        assert!(!tasks.is_empty());
        claimed += u32::try_from(tasks.len()).unwrap();
        commit(&store, tasks.iter().map(|task| step(task.lease, 1)).collect());
        commit(&store, tasks.iter().map(|task| complete(task.lease)).collect());
    }
    block(store.close()).unwrap();
    drop(store);
    let updates = updates(&database);
    println!("updates, and percent of them within their page: {updates:?}");
    // Each batch but a beat changes its committer's row; each beat and each suspect its session's. Executions that end
    // many to a batch fill what their pages leave free.
    for (table, at_least, percent) in
        [("committers", BATCHES, 95), ("sessions", BATCHES * 2, 95), ("executions", u64::from(EXECUTIONS), 50)]
    {
        let (count, hot) = updates[table];
        assert!(count >= at_least && hot >= percent, "{table}: {count} updates, {hot} % within their page");
    }
}

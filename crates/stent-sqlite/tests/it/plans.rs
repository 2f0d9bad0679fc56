//! Every statement is served by what its head says: SQLite itself is asked how it would carry it out.

use std::path::Path;

use rusqlite::Connection;

use crate::stores::{open, place};

/// Statements that read a table from end to end, for the reason their heads give.
const READ_ALL: [&str; 24] = [
    "cache_clear",
    "cache_left",
    "claim_gates",
    "event_cursors_any",
    "execution_count",
    "execution_count_completed",
    "execution_count_live",
    "execution_list",
    "execution_list_completed",
    "execution_list_live",
    "queue_busy",
    "queue_list",
    "schedule_list",
    "schema_read",
    "sessions_forgotten",
    "slot_insert",
    "slot_wanted",
    "task_above",
    "letter_count",
    "stats_executions",
    "stats_tasks",
    "task_count",
    "task_count_pending",
    "task_page",
];

/// Indexes that are read in their own order from the start, with a limit.
const IN_ORDER: [&str; 9] = [
    "dead_letters_age",
    "executions_failed",
    "schedules_due",
    "sessions_emptied",
    "sessions_open",
    "tasks_due",
    "tasks_nudged",
    "tasks_owned",
    "tasks_ready",
];

#[test]
fn every_statement_is_served_by_the_index_that_its_head_names() {
    let (_directory, path) = place();
    drop(open(&path));
    let connection = Connection::open(&path).unwrap();
    let mut indexes =
        connection.prepare("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").unwrap();
    let indexes: Vec<String> = indexes.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut seen = 0;
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql")).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if file.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let head: String = text.lines().take_while(|line| line.starts_with("--")).collect();
        assert!(!head.is_empty(), "{name} has no head");
        let plan = plan(&connection, &text);
        let served = head.split_once("Served by").map_or("", |(_, by)| by.split(['.', ';']).next().unwrap());
        for index in indexes
            .iter()
            .filter(|index| served.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == **index))
        {
            let inserts = text.contains("\nINSERT INTO") && !text.contains("SELECT");
            assert!(inserts || plan.contains(index.as_str()), "{name} does not use {index}:\n{plan}");
        }
        for line in plan.lines().filter(|line| line.contains("SCAN") && !line.contains("CONSTANT ROW")) {
            let in_order = IN_ORDER.iter().any(|index| line.contains(index));
            assert!(in_order || READ_ALL.contains(&name.as_str()), "{name} scans:\n{plan}");
        }
        seen += 1;
    }
    assert!(seen > 90, "{seen} statements");
}

#[test]
fn a_claim_sorts_nothing_and_looks_up_only_heads() {
    let (_directory, path) = place();
    drop(open(&path));
    let connection = Connection::open(&path).unwrap();
    for (name, text) in [
        ("claim_seek", include_str!("../../sql/claim_seek.sql")),
        ("claim_route", include_str!("../../sql/claim_route.sql")),
        ("claim_held", include_str!("../../sql/claim_held.sql")),
        ("slot_free", include_str!("../../sql/slot_free.sql")),
        ("task_promote_due", include_str!("../../sql/task_promote_due.sql")),
        ("task_next_due", include_str!("../../sql/task_next_due.sql")),
        ("session_tasks", include_str!("../../sql/session_tasks.sql")),
        ("executions_overdue", include_str!("../../sql/executions_overdue.sql")),
        ("history_records", include_str!("../../sql/history_records.sql")),
    ] {
        let plan = plan(&connection, text);
        assert!(!plan.contains("TEMP B-TREE"), "{name} sorts:\n{plan}");
    }
}

fn plan(connection: &Connection, text: &str) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
    // Parameters are left unbound: a plan does not depend on them.
    let mut rows = statement.raw_query();
    let mut plan = String::new();
    while let Some(row) = rows.next().unwrap() {
        plan.push_str(&row.get::<_, String>(3).unwrap());
        plan.push('\n');
    }
    plan
}

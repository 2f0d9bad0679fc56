//! Every statement is served by what its head says, and by nothing else: the server itself is asked how it would carry
//! it out, under the settings that it is run with, by plans that know no values. Asked twice: while the tables are empty,
//! since a committer plans a statement once and may keep the plan for days, and when they are large.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use stent_servers::{Database, Server};

use crate::bulk::{fill, rows};
use crate::stores::open;

/// Who runs a statement, which decides how it is planned.
const COMMITTERS: &str = "w";
const READERS: &str = "r";
/// The outbox runs in the user's transaction, whose settings are the server's own.
const OUTBOX: &str = "u";

/// Statement, who runs it, and the indexes that must serve it. `*` before an index: it is read in its own order from an
/// end, up to the statement's limit or through a part that is small by itself. `a|b`: either.
const CHECKED: &[(&str, &str, &str)] = &[
    ("cache_clear", "w", "*cache_pkey cache_pkey"),
    ("cache_delete", "w", "cache_pkey"),
    ("cache_left", "w", "*cache_pkey"),
    ("cache_over", "w", "cache_expiry"),
    ("cache_prune", "w", "cache_expiry cache_pkey"),
    ("cache_put", "w", "cache_pkey"),
    ("cache_read", "wu", "cache_pkey"),
    ("claim_gates", "w", "*queues_paused *limits_in_force"),
    ("claim_limited", "w", "tasks_ready tasks_held limits_in_force limit_slots_pkey tasks_pkey"),
    (
        "claim_look",
        "w",
        "tasks_ready *tasks_due *queues_paused *limits_in_force *routes_pkey sessions_pkey|sessions_open",
    ),
    (
        "claim_look_limited",
        "w",
        "tasks_ready tasks_held limits_in_force limit_slots_pkey *tasks_due *queues_paused *limits_in_force *routes_pkey \
         sessions_pkey|sessions_open",
    ),
    ("claim_tasks", "w", "tasks_ready tasks_pkey"),
    ("clean_check", "w", "executions_pkey dead_letters_pkey tasks_open *tasks_nudged"),
    ("clean_children", "w", "tasks_pkey"),
    ("clean_counters", "w", "execution_counters_pkey"),
    ("clean_cursors", "w", "event_cursors_pkey"),
    ("clean_execution", "w", "executions_pkey"),
    ("clean_lock", "w", "executions_pkey"),
    ("clean_look", "w", "executions_pkey dead_letters_pkey tasks_open *tasks_nudged"),
    ("clean_records", "w", "records_pkey"),
    ("clean_root", "w", "tasks_pkey"),
    ("clean_signals", "w", "signals_pkey"),
    ("clean_state", "w", "execution_state_pkey"),
    ("counter_ensure", "w", "execution_counters_pkey"),
    ("counter_list", "r", "execution_counters_pkey"),
    ("counter_read", "w", "execution_counters_pkey"),
    ("counter_set", "w", "execution_counters_pkey"),
    ("event_cursor_set", "w", "event_cursors_pkey"),
    ("event_next", "w", "events_pkey event_cursors_pkey"),
    ("event_stream_lock", "w", "event_streams_pkey"),
    ("event_stream_next", "wu", "event_streams_pkey"),
    ("events_older", "w", "events_age"),
    ("events_prune", "w", "events_age events_pkey"),
    ("execution_count_failed", "r", "executions_failed"),
    ("execution_end", "wu", "executions_pkey"),
    ("execution_ended", "r", "executions_pkey"),
    ("execution_exists", "wu", "executions_pkey"),
    ("execution_finish", "wu", "executions_pkey"),
    ("execution_limits", "w", "executions_pkey"),
    ("execution_list_failed", "r", "*executions_failed routes_key tasks_pkey routes_pkey"),
    ("execution_lock", "wu", "executions_pkey"),
    ("execution_replay", "wu", "executions_pkey"),
    ("execution_set_deadline", "wu", "executions_pkey"),
    ("execution_view", "r", "executions_pkey tasks_pkey routes_pkey"),
    ("executions_overdue", "w", "executions_deadline"),
    ("fence", "w", "committers_pkey"),
    ("fence_adopt", "w", "committers_pkey"),
    ("fence_bump", "w", "committers_pkey sessions_pkey"),
    ("fence_leave", "w", "committers_pkey *sessions_open"),
    ("fence_line", "w", "executions_deadline tasks_open tasks_pkey sessions_pkey committers_pkey"),
    ("finish_alone", "w", "committers_pkey executions_pkey tasks_pkey limit_slots_pkey"),
    ("function_delete", "w", "functions_pkey"),
    ("function_insert", "w", "functions_pkey"),
    ("gates_check", "w", "*queues_paused *limits_in_force"),
    (
        "history_arrivals",
        "r",
        "tasks_undelivered waits_pkey tasks_pkey waits_signal signals_waiting events_pkey event_cursors_pkey",
    ),
    ("history_children_ended", "r", "tasks_undelivered"),
    ("history_children_open", "r", "tasks_open"),
    ("history_records", "r", "records_pkey"),
    ("letter_delete", "wu", "dead_letters_pkey"),
    ("letter_delete_all", "wu", "dead_letters_pkey"),
    ("letter_exists", "wu", "dead_letters_pkey"),
    ("letter_insert", "wu", "dead_letters_pkey"),
    ("letter_list", "r", "*dead_letters_age tasks_pkey routes_pkey"),
    ("letter_read", "r", "dead_letters_pkey tasks_pkey routes_pkey"),
    ("letters_older", "w", "dead_letters_age"),
    ("letters_prune", "w", "dead_letters_age dead_letters_pkey"),
    ("limit_holders", "r", "limit_slots_pkey"),
    ("limit_lock", "w", "limits_pkey"),
    ("limit_settle", "w", "limits_pkey functions_limited"),
    ("limit_view", "r", "limits_pkey"),
    ("queue_delete", "w", "queues_pkey"),
    ("queue_list", "r", "*queues_pkey"),
    ("queue_paused", "w", "queues_pkey"),
    ("queue_upsert", "w", "queues_pkey"),
    ("record_alone", "w", "committers_pkey"),
    ("record_children", "w", "records_pkey"),
    ("record_exists", "w", "records_pkey"),
    ("records_alone", "w", "committers_pkey"),
    ("records_of_epoch", "w", "tasks_pkey records_pkey"),
    ("reservation_free", "wu", "idempotency_pkey"),
    ("reservation_hand_on", "wu", "idempotency_pkey"),
    ("reservation_insert", "wu", "idempotency_pkey"),
    ("reservation_line_clear", "w", "idempotency_line_pkey"),
    ("reservation_line_join", "w", "idempotency_line_pkey"),
    ("reservation_line_leave", "wu", "idempotency_line_pkey"),
    ("reservation_line_list", "wu", "idempotency_line_pkey"),
    ("reservation_lock", "w", "idempotency_pkey"),
    ("reservation_lock_own", "wu", "idempotency_pkey"),
    ("reservation_read", "wu", "idempotency_pkey"),
    ("reservation_settle", "w", "idempotency_pkey"),
    ("route_find", "w", "routes_key"),
    ("route_insert", "w", "routes_pkey"),
    ("routes_after", "w", "routes_pkey"),
    ("session_beat", "w", "sessions_pkey|sessions_open"),
    ("session_beat_alone", "w", "sessions_pkey|sessions_open"),
    ("session_close", "w", "sessions_pkey|sessions_open"),
    ("session_count", "r", "*sessions_open"),
    ("session_delete", "w", "sessions_pkey functions_pkey"),
    ("session_emptied", "w", "sessions_pkey"),
    ("session_gone", "r", "*sessions_open *sessions_emptied"),
    ("session_insert", "w", "sessions_pkey committers_pkey"),
    ("session_leave", "r", "sessions_pkey|sessions_open"),
    ("schedule_delete", "w", "schedules_pkey"),
    ("schedule_list", "r", "*schedules_pkey"),
    ("schedule_lock", "w", "schedules_pkey"),
    ("schedule_next", "r", "*schedules_due"),
    ("schedule_read", "r", "schedules_pkey"),
    ("schedule_rest", "w", "schedules_pkey"),
    ("schedule_set", "w", "schedules_pkey"),
    ("schedule_tick", "w", "schedules_pkey"),
    ("session_list", "r", "*sessions_open"),
    ("session_lock", "w", "sessions_pkey"),
    ("session_nudges", "r", "tasks_nudged"),
    ("session_read", "w", "sessions_pkey"),
    ("session_suspect", "w", "sessions_pkey|sessions_open"),
    ("session_tasks", "w", "tasks_owned"),
    ("signal_consume", "w", "signals_pkey"),
    ("signal_insert", "wu", "signals_pkey signals_id"),
    ("signal_nth", "w", "signals_waiting"),
    ("signal_return", "w", "signals_id"),
    ("slot_free", "w", "*limits_in_force limit_slots_pkey"),
    ("slot_let_go", "w", "limit_slots_pkey"),
    ("slot_wanted", "w", "routes_key tasks_ready"),
    ("start_alone", "w", "committers_pkey *queues_paused *limits_in_force"),
    ("start_key_find", "wu", "start_keys_pkey"),
    ("start_key_free", "w", "start_keys_pkey"),
    ("start_key_insert", "wu", "start_keys_pkey"),
    ("starts_alone", "w", "committers_pkey *queues_paused *limits_in_force"),
    ("state_ensure", "w", "execution_state_pkey"),
    ("state_list", "r", "execution_state_pkey"),
    ("state_set", "w", "execution_state_pkey"),
    ("step_list", "r", "records_pkey"),
    ("task_above", "w", "tasks_pkey"),
    ("task_count_pending", "r", "*tasks_ready *tasks_due routes_key"),
    ("task_count_running", "r", "*tasks_owned routes_key"),
    ("task_delivered", "w", "tasks_pkey"),
    ("task_disown", "wu", "tasks_pkey"),
    ("task_find", "r", "executions_pkey tasks_pkey"),
    ("task_finish", "wu", "tasks_pkey"),
    ("task_list", "r", "tasks_pkey routes_pkey"),
    ("task_mark_woken", "wu", "tasks_pkey"),
    ("task_outcome", "wu", "tasks_pkey"),
    ("task_owner", "wu", "tasks_pkey"),
    ("task_page_running", "r", "*tasks_owned routes_key tasks_pkey routes_pkey"),
    ("task_pend", "wu", "tasks_pkey"),
    ("task_promote", "wu", "tasks_pkey"),
    ("task_promote_due", "w", "tasks_due tasks_pkey"),
    ("task_put_away", "wu", "tasks_pkey"),
    ("task_read", "wu", "tasks_pkey"),
    ("task_replay", "wu", "tasks_pkey"),
    ("task_retry", "wu", "tasks_pkey"),
    ("task_revive", "wu", "tasks_pkey"),
    ("task_slot_leave", "w", "tasks_pkey"),
    ("task_stop", "wu", "tasks_pkey"),
    ("task_suspend", "w", "tasks_pkey waits_pkey"),
    ("task_unstart", "w", "tasks_pkey"),
    ("task_view", "r", "tasks_pkey routes_pkey"),
    ("tasks_cancelled", "wu", "tasks_pkey"),
    ("tasks_open_all", "wu", "tasks_open tasks_pkey"),
    ("tasks_open_children", "wu", "tasks_open"),
    ("tasks_read", "wu", "tasks_pkey"),
    ("tasks_resume", "w", "tasks_pkey"),
    ("wait_delete", "wu", "waits_pkey"),
    ("wait_delete_all", "wu", "waits_pkey"),
    ("wait_delete_child", "w", "waits_child"),
    ("wait_line_before", "w", "waits_signal"),
    ("wait_line_end", "w", "waits_signal"),
    ("wait_list", "r", "waits_pkey"),
    ("wait_read", "w", "waits_pkey"),
    ("wait_tasks_for_event", "wu", "waits_event"),
    ("wait_tasks_for_signal", "wu", "waits_signal"),
];

/// Statements without such a demand, and why.
const EXCUSED: &[(&str, &str)] = &[
    ("child_insert", "only inserts"),
    ("committers_elsewhere", "sums a table that has two rows for each process"),
    ("committers_prune", "reads a table that has two rows for each process"),
    ("connect_look", "reads no table"),
    ("event_insert", "only inserts"),
    ("execution_count", "counts all, as its head says; for people"),
    ("execution_count_completed", "counts most, as its head says; for people"),
    ("execution_count_live", "counts by a filter, as its head says; for people"),
    ("execution_list", "reads the primary key backwards up to its page, as its head says; for people"),
    ("execution_list_completed", "the same with a filter that most rows pass; for people"),
    ("execution_list_live", "the same with a filter; for people"),
    ("function_list", "reads the functions of all sessions; for people"),
    ("letter_count", "counts all, as its head says; letters are rare"),
    ("notify", "reads no table"),
    ("outbox_check", "reads catalogues by their own indexes"),
    ("presence_lock", "reads no table"),
    ("presence_unlock", "reads no table"),
    ("queue_busy", "asked when a queue is dropped, which is rare, as its head says"),
    ("record_insert", "only inserts"),
    ("reservation_order", "reads no table"),
    ("schema_lock", "reads no table"),
    ("schema_look", "reads no table"),
    ("schema_read", "a table of one row"),
    ("schema_state", "reads catalogues by their own indexes"),
    ("schema_write", "a table of one row"),
    ("sessions_forgotten", "reads the sessions of a day, once an hour"),
    ("slot_insert", "only inserts"),
    ("start_insert", "only inserts"),
    ("start_keys_order", "only inserts"),
    ("stats_executions", "counts all, as its head says; for people"),
    ("stats_tasks", "counts all, as its head says; for people"),
    ("task_count", "counts by a filter, as its head says; for people"),
    ("task_page", "reads the primary key backwards up to its page, as its head says; for people"),
    ("wait_insert", "only inserts"),
];

/// Statements that a limit cuts short: they read what they answer in its order. Whatever sorts reads all of it first.
const IN_ORDER: &[&str] = &[
    "claim_limited",
    "claim_look",
    "claim_tasks",
    "clean_look",
    "event_next",
    "events_prune",
    "execution_list_failed",
    "executions_overdue",
    "history_records",
    "letter_list",
    "letters_prune",
    "signal_nth",
    "task_promote_due",
];

/// The statements by their names: text, with its head.
fn statements() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// A constant text of the crate's, which is private there: it is read where it stands.
fn constant(file: &str, name: &str) -> String {
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap();
    let (_, rest) = source.split_once(&format!("const {name}: &str =")).unwrap_or_else(|| panic!("{name} in {file}"));
    rest.split('"').nth(1).unwrap().split('\\').map(str::trim_start).collect()
}

/// How the plans of a statement are made for who runs it.
fn settings(who: &str) -> String {
    match who {
        COMMITTERS => constant("commit.rs", "PLANS"),
        READERS => format!("{}; SET jit = off", constant("readers.rs", "PLANS")),
        _ => "SET plan_cache_mode = force_generic_plan".to_owned(),
    }
}

/// What a plan reads.
#[derive(Debug, Default)]
struct Reads {
    /// Tables from end to end.
    whole: BTreeSet<String>,
    /// Indexes at the places that the statement names.
    at_places: BTreeSet<String>,
    /// Indexes in their order, from an end.
    in_order: BTreeSet<String>,
    /// Whether rows are sorted as they come from a table.
    sorts: bool,
    text: String,
}

impl Reads {
    fn of(plan: &Value) -> Self {
        let mut reads = Self { text: serde_json::to_string_pretty(plan).unwrap(), ..Self::default() };
        reads.node(&plan[0]["Plan"]);
        reads
    }

    fn node(&mut self, node: &Value) {
        let name = |field: &str| node[field].as_str().map(str::to_owned);
        if node["Node Type"].as_str().is_some_and(|kind| kind.contains("Seq Scan")) {
            self.whole.extend(name("Relation Name"));
        }
        let indexes = if node["Index Cond"].is_null() { &mut self.in_order } else { &mut self.at_places };
        indexes.extend(name("Index Name"));
        for arbiter in node["Conflict Arbiter Indexes"].as_array().into_iter().flatten() {
            self.at_places.extend(arbiter.as_str().map(str::to_owned));
        }
        for below in node["Plans"].as_array().into_iter().flatten() {
            let comes_from_a_table = below["Relation Name"].is_string();
            self.sorts |= comes_from_a_table && node["Node Type"].as_str().is_some_and(|kind| kind.ends_with("Sort"));
            self.node(below);
        }
    }

    /// What is wrong with it, if an index in `wanted` is not used or anything else is.
    fn breach(&self, wanted: &str, may_scan: &[&str]) -> Option<String> {
        let mut allowed = BTreeSet::new();
        for one in wanted.split(' ') {
            let among = if one.starts_with('*') { &self.in_order } else { &self.at_places };
            let names: Vec<_> = one.trim_start_matches('*').split('|').collect();
            let by_scan = names.iter().any(|name| may_scan.iter().any(|table| name.starts_with(table)));
            if !by_scan && !names.iter().any(|name| among.contains(*name) || self.at_places.contains(*name)) {
                return Some(format!("does not use {one}"));
            }
            allowed.extend(names);
        }
        let scanned = self.whole.iter().find(|table| !may_scan.contains(&table.as_str()));
        let another = || self.at_places.iter().find(|index| !allowed.contains(index.as_str()));
        let walked = || self.in_order.iter().find(|index| !wanted.split(' ').any(|one| one == format!("*{index}")));
        scanned
            .map(|table| format!("reads {table} from end to end"))
            .or_else(|| another().map(|index| format!("uses {index}")))
            .or_else(|| walked().map(|index| format!("reads {index} in its order")))
    }
}

/// Tables of a few rows, which the server may read at once where nothing tells it not to.
const SMALL: &[&str] = &["routes", "queues", "sessions", "committers", "functions"];

/// How the server would carry out each statement for `who`, by name.
fn plans(database: &Database, who: &str) -> BTreeMap<String, Reads> {
    let statements = statements();
    let mut script = format!("{};\n", settings(who));
    for (name, _, _) in CHECKED.iter().filter(|(_, run_by, _)| run_by.contains(who)) {
        let text = &statements[*name];
        let body: String = text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
        let count = (1..).take_while(|number| body.contains(&format!("${number}::"))).count();
        let values = if count == 0 { String::new() } else { format!("({})", vec!["NULL"; count].join(", ")) };
        writeln!(script, "\\echo === {name}\nPREPARE {name} AS {body};\nEXPLAIN (FORMAT JSON) EXECUTE {name}{values};")
            .unwrap();
    }
    let answers = database.psql(&script).unwrap();
    let parts = answers.split("=== ").skip(1).map(|part| {
        let (name, plan) = part.split_once('\n').unwrap();
        let plan = serde_json::from_str(plan).unwrap_or_else(|error| panic!("{name}: {error}: {plan}"));
        (name.to_owned(), Reads::of(&plan))
    });
    parts.collect()
}

fn check(database: &Database, tables: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    for who in [COMMITTERS, READERS, OUTBOX] {
        let may_scan = if who == OUTBOX { SMALL } else { &[] };
        let plans = plans(database, who);
        for (name, _, wanted) in CHECKED.iter().filter(|(_, run_by, _)| run_by.contains(who)) {
            let reads = &plans[*name];
            let sorts = (reads.sorts && IN_ORDER.contains(name)).then(|| "sorts what it reads".to_owned());
            if let Some(what) = reads.breach(wanted, may_scan).or(sorts) {
                breaches.push(format!("{name} ({who}, {tables}) {what}:\n{}", reads.text));
            }
        }
    }
    breaches
}

#[test]
fn every_statement_is_served_by_its_indexes_in_empty_tables_and_in_large_ones() {
    let database = Server::shared().database().unwrap();
    drop(open(&database.url()));
    // In empty tables every way costs the same to the server's own settings: the outbox is asked in large ones.
    let mut breaches = check(&database, "empty");
    breaches.retain(|breach| !breach.contains("(u, "));
    fill(&database, rows());
    breaches.extend(check(&database, "large"));
    assert!(breaches.is_empty(), "{}", breaches.join("\n\n"));
}

#[test]
fn every_statement_is_either_checked_or_excused_and_its_head_names_what_serves_it() {
    let statements = statements();
    for (name, text) in &statements {
        let checked = CHECKED.iter().find(|(checked, _, _)| checked == name);
        let excused = EXCUSED.iter().any(|(excused, _)| excused == name);
        assert!(checked.is_some() != excused, "{name}: a statement stands in CHECKED or, with a reason, in EXCUSED");
        let head: String = text.lines().take_while(|line| line.starts_with("--")).collect();
        assert!(!head.is_empty(), "{name} has no head");
        // Secondary indexes by their names; primary keys are called so, and what is read by chance is not promised.
        let indexes =
            checked.map_or("", |(_, _, indexes)| indexes).split([' ', '|']).map(|index| index.trim_start_matches('*'));
        for index in indexes.filter(|index| !index.ends_with("key") && !index.starts_with("pg_")) {
            let promised = head.contains(index) || index == "sessions_open";
            assert!(promised, "the head of {name} does not name {index}:\n{head}");
        }
    }
    let known = CHECKED.iter().map(|(name, _, _)| *name).chain(EXCUSED.iter().map(|(name, _)| *name));
    for name in known {
        assert!(statements.contains_key(name), "there is no statement {name} any more");
    }
}

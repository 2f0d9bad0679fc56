//! Tables with many rows, put there by the server itself: what a store would have after a long life, in seconds.

use std::io::Write as _;

use stent_servers::Database;

/// How many rows the tests put into the large tables: more by hand, `ROWS=1000000 cargo test -p stent-postgres`.
pub(crate) fn rows() -> u32 {
    std::env::var("ROWS").map_or(100_000, |text| text.parse().unwrap())
}

/// An id by its number, in the order of the numbers; ids of another kind are others.
const ID: &str = "CREATE FUNCTION pg_temp.id(i int8, kind int4) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(1800000000000 + i), 12, '0') || '7' || lpad(to_hex(kind), 3, '0') || '8000'
            || lpad(to_hex(i & 281474976710655), 12, '0'))::uuid
$$;";

/// Of a hundred executions 90 have completed, 2 have failed, 2 are ready, 2 delayed, 2 suspended, 2 running. Every
/// fiftieth has five children: one open, one whose end was not delivered, three that are done with.
const EVERYTHING: &str = r"
INSERT INTO routes SELECT i, 'q' || i % 4, 'f' || i, '[]' FROM generate_series(1, 20) i;
INSERT INTO queues SELECT 'q' || i, i = 3 FROM generate_series(0, 3) i;
INSERT INTO sessions (session_id, instance_id, presence, beat_at, pid, is_open, worker_id, host)
    SELECT pg_temp.id(i, 9), pg_temp.id(i, 8), i, 0, i, (i <= 10)::int4, 'w', 'h' FROM generate_series(1, 200) i;
INSERT INTO committers (instance_id, lane, generation, last_batch, seen_at)
    SELECT pg_temp.id(i, 8), lane, 1, i, 0 FROM generate_series(1, 20) i, generate_series(0, 1) lane;
INSERT INTO functions (session_id, name, options, max_concurrent)
    SELECT pg_temp.id(i, 9), 'f' || f, '{}', CASE WHEN f > 15 THEN 50 END FROM generate_series(1, 10) i, generate_series(1, 20) f;
INSERT INTO limits (function, max_concurrent) SELECT 'f' || f, 50 FROM generate_series(16, 20) f;
INSERT INTO limit_slots (function, number, execution_id, task_id)
    SELECT 'f' || f, i, CASE WHEN i % 2 = 0 THEN pg_temp.id(i, 0) END, CASE WHEN i % 2 = 0 THEN pg_temp.id(i, 0) END
    FROM generate_series(0, 49) i, generate_series(16, 20) f;
INSERT INTO executions (execution_id, route_id, state, created_at, completed_at, deadline, overdue_at, rare_state)
    SELECT pg_temp.id(i, 0), i % 20 + 1, CASE WHEN i % 100 < 90 THEN 2 WHEN i % 100 < 92 THEN 3 + i % 3 ELSE i % 2 END, i,
           CASE WHEN i % 100 < 92 THEN i END, late, late, CASE WHEN i % 100 IN (90, 91) THEN 3 + i % 3 END
    FROM (SELECT i, CASE WHEN i % 100 > 97 THEN 4000000000000000 + i END AS late FROM generate_series(1, ROWS) i) n;
INSERT INTO tasks (execution_id, task_id, route_id, rank, epoch, due, created_at, completed_at, priority, state, ready,
                   session_id, woken, args, result)
    SELECT pg_temp.id(i, 0), pg_temp.id(i, 0), i % 20 + 1, 0, 1,
           CASE WHEN i % 100 IN (94, 95, 97) THEN 4000000000000000 + i END, i, CASE WHEN i % 100 < 92 THEN i END, 0,
           CASE WHEN i % 100 < 90 THEN 3 WHEN i % 100 < 92 THEN 4 WHEN i % 100 < 96 THEN 0 WHEN i % 100 < 98 THEN 2 ELSE 1 END,
           i % 100 IN (92, 93), CASE WHEN i % 100 > 97 THEN pg_temp.id(i % 10 + 1, 9) END, i % 1000 = 999, '\x00',
           CASE WHEN i % 100 < 90 THEN '\x00'::bytea END
    FROM generate_series(1, ROWS) i;
INSERT INTO tasks (execution_id, task_id, parent_id, call_key, route_id, rank, epoch, created_at, completed_at, priority,
                   state, ready, undelivered, args)
    SELECT pg_temp.id(i, 0), pg_temp.id(i, c), pg_temp.id(i, 0), 'c#' || c, i % 20 + 1, 0, 1, i, CASE WHEN c > 1 THEN i END,
           0, CASE WHEN c > 1 THEN 3 ELSE 2 END, false, c = 2, '\x00'
    FROM generate_series(49, ROWS, 50) i, generate_series(1, 5) c;
INSERT INTO records (execution_id, task_id, epoch, recorded_at, seq, run, seen, kind, verdict, call_key, payload)
    SELECT pg_temp.id(i / 10, 0), pg_temp.id(i / 10, 0), 1, i, i % 10, 1, 0, 0, 0, 's#' || i % 10, '\x00'
    FROM generate_series(1, ROWS) i;
INSERT INTO waits (execution_id, task_id, call_key, kind, due, number, queue, name, child_id)
    SELECT pg_temp.id(i, 0), pg_temp.id(i, 0), 'w', 1 + i % 4, CASE WHEN i % 4 = 1 THEN i END, CASE WHEN i % 4 = 2 THEN 1 END,
           CASE WHEN i % 4 = 3 THEN 'q0' END, CASE WHEN i % 4 > 1 THEN 'n' || i % 100 END,
           CASE WHEN i % 4 = 0 THEN pg_temp.id(i, 1) END
    FROM generate_series(1, ROWS, 9) i;
INSERT INTO signals (execution_id, name, position, created_at, consumed, signal_id, payload)
    SELECT pg_temp.id(i, 0), 'n' || i % 100, 1, i, i % 7 > 0, pg_temp.id(i, 5), '\x00' FROM generate_series(1, ROWS, 9) i;
INSERT INTO event_streams SELECT 'q0', 'n' || i, ROWS FROM generate_series(0, 99) i;
INSERT INTO events (queue, name, position, created_at, event_id, payload)
    SELECT 'q0', 'n' || i % 100, i, i, pg_temp.id(i, 6), '\x00' FROM generate_series(1, ROWS) i;
INSERT INTO event_cursors
    SELECT pg_temp.id(i, 0), pg_temp.id(i, 0), 'q0', 'n' || i % 100, i FROM generate_series(1, ROWS, 9) i;
INSERT INTO dead_letters SELECT pg_temp.id(i, 0), pg_temp.id(i, 0), i FROM generate_series(91, ROWS, 100) i;
INSERT INTO start_keys SELECT 'k' || i, pg_temp.id(i, 0) FROM generate_series(1, ROWS, 9) i;
INSERT INTO cache SELECT 'k' || i, '\x00', i, CASE WHEN i % 2 > 0 THEN i END FROM generate_series(1, ROWS, 3) i;
INSERT INTO idempotency
    SELECT 'k' || i, pg_temp.id(i, 0), pg_temp.id(i, 0), CASE WHEN i % 10 > 0 THEN '\x00'::bytea END, i
    FROM generate_series(1, ROWS, 3) i;
INSERT INTO idempotency_line
    SELECT 'k' || i * 10, pg_temp.id(i, 0), pg_temp.id(i, 0) FROM generate_series(1, ROWS, 9) i;
INSERT INTO execution_counters SELECT pg_temp.id(i, 0), 'n', 1, 1 FROM generate_series(1, ROWS, 9) i;
INSERT INTO execution_state SELECT pg_temp.id(i, 0), 'n', '\x00' FROM generate_series(1, ROWS, 9) i;
";

/// `rows` executions in all their states, with all that belongs to them, in a database whose tables are empty.
pub(crate) fn fill(database: &Database, rows: u32) {
    run(database, &EVERYTHING.replace("ROWS", &rows.to_string()));
}

/// In one transaction and from a file: this may take minutes. The server knows afterwards what there is.
fn run(database: &Database, sql: &str) {
    let mut script = tempfile::NamedTempFile::new().unwrap();
    script.write_all(format!("{ID}{sql}").as_bytes()).unwrap();
    database.psql_file(script.path()).unwrap();
    database.psql("VACUUM ANALYZE").unwrap();
}

/// Whether tasks can be claimed at once, or will be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Ready,
    Later,
}

/// Pending tasks of one route, before all others in rank and age.
pub(crate) fn pending(database: &Database, rows: u32, queue: &str, function: &str, tags: &str, when: When) {
    let (ready, kind) = (when == When::Ready, if when == When::Ready { "1" } else { "2" });
    let sql = format!(
        "INSERT INTO routes SELECT (SELECT coalesce(max(route_id), 0) FROM routes) + 1, '{queue}', '{function}', '{tags}'
            ON CONFLICT DO NOTHING;
        CREATE TEMP TABLE n ON COMMIT DROP AS SELECT pg_temp.id(-i, (r.route_id * 4 + {kind})::int4) AS id, r.route_id, i
            FROM routes r, generate_series(1, {rows}) i
            WHERE r.queue = '{queue}' AND r.function = '{function}' AND r.tags = '{tags}';
        INSERT INTO executions (execution_id, route_id, state, created_at) SELECT id, route_id, 0, 0 FROM n;
        INSERT INTO tasks (execution_id, task_id, route_id, rank, epoch, due, created_at, priority, state, ready, args)
            SELECT id, id, route_id, -9, 0, CASE WHEN NOT {ready} THEN 4000000000000000 + i END, 0, 9, 0, {ready}, '\\x00'
            FROM n;"
    );
    run(database, &sql);
}

/// Executions that have completed long ago.
pub(crate) fn finished(database: &Database, rows: u32) {
    let sql = format!(
        "INSERT INTO routes VALUES (1000, 'default', 'done', '[]');
        INSERT INTO executions (execution_id, route_id, state, created_at, completed_at)
            SELECT pg_temp.id(-i, 7), 1000, 2, 0, 0 FROM generate_series(1, {rows}) i;
        INSERT INTO tasks (execution_id, task_id, route_id, rank, epoch, created_at, completed_at, priority, state, ready, args,
                           result)
            SELECT pg_temp.id(-i, 7), pg_temp.id(-i, 7), 1000, -9, 1, 0, 0, 0, 3, false, '\\x00', '\\x00'
            FROM generate_series(1, {rows}) i;"
    );
    run(database, &sql);
}

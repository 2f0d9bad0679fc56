-- The first schema: executions, their tasks, what was recorded of them, what they wait for, and who runs them.
-- Ids are sixteen bytes, times microseconds since 1970, states the numbers of stent_core::state. Hot tables are keyed
-- by the execution first; every secondary index is partial, so that a row pays only for what it is at the moment.

CREATE TABLE stent_schema (
    product       TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    oldest_client INTEGER NOT NULL
);

CREATE TABLE routes (
    route_id INTEGER PRIMARY KEY,
    queue    TEXT NOT NULL,
    function TEXT NOT NULL,
    tags     TEXT NOT NULL
);
CREATE UNIQUE INDEX routes_key ON routes (queue, function, tags);

CREATE TABLE queues (
    name   TEXT    NOT NULL PRIMARY KEY,
    paused INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX queues_paused ON queues (name) WHERE paused = 1;

CREATE TABLE executions (
    execution_id   BLOB    NOT NULL PRIMARY KEY,
    route_id       INTEGER NOT NULL,
    state          INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    completed_at   INTEGER,
    deadline       INTEGER,
    deadline_state INTEGER,
    expire_at      INTEGER,
    run_within     INTEGER
) WITHOUT ROWID;
CREATE INDEX executions_deadline ON executions (deadline) WHERE deadline IS NOT NULL AND completed_at IS NULL;
CREATE INDEX executions_failed ON executions (state) WHERE state > 2;

CREATE TABLE start_keys (
    start_key    TEXT NOT NULL PRIMARY KEY,
    execution_id BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE tasks (
    execution_id     BLOB    NOT NULL,
    task_id          BLOB    NOT NULL,
    route_id         INTEGER NOT NULL,
    state            INTEGER NOT NULL,
    ready            INTEGER NOT NULL,
    rank             INTEGER NOT NULL,
    priority         INTEGER NOT NULL,
    epoch            INTEGER NOT NULL,
    session_id       BLOB,
    -- The number of the slot of its function's limit that it holds.
    slot             INTEGER,
    woken            INTEGER NOT NULL DEFAULT 0,
    due              INTEGER,
    attempt          INTEGER NOT NULL DEFAULT 1,
    run              INTEGER NOT NULL DEFAULT 1,
    losses           INTEGER NOT NULL DEFAULT 0,
    undelivered      INTEGER NOT NULL DEFAULT 0,
    detached         INTEGER NOT NULL DEFAULT 0,
    on_start         INTEGER NOT NULL DEFAULT 0,
    created_at       INTEGER NOT NULL,
    started_at       INTEGER,
    first_started_at INTEGER,
    completed_at     INTEGER,
    parent_id        BLOB,
    call_key         TEXT,
    seen             INTEGER,
    digest           BLOB,
    options          TEXT,
    headers          BLOB,
    args             BLOB    NOT NULL,
    result           BLOB,
    failure          BLOB,
    PRIMARY KEY (execution_id, task_id)
) WITHOUT ROWID;
CREATE INDEX tasks_ready ON tasks (route_id, rank, execution_id, task_id) WHERE ready = 1;
CREATE INDEX tasks_held ON tasks (route_id, rank, execution_id, task_id) WHERE ready = 1 AND slot IS NOT NULL;
CREATE INDEX tasks_due ON tasks (due) WHERE due IS NOT NULL;
CREATE INDEX tasks_owned ON tasks (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX tasks_nudged ON tasks (session_id) WHERE session_id IS NOT NULL AND (woken <> 0 OR state > 2);
CREATE INDEX tasks_open ON tasks (execution_id, parent_id) WHERE parent_id IS NOT NULL AND completed_at IS NULL;
CREATE INDEX tasks_undelivered ON tasks (execution_id, parent_id) WHERE undelivered = 1;

CREATE TABLE records (
    execution_id BLOB    NOT NULL,
    task_id      BLOB    NOT NULL,
    seq          INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    run          INTEGER NOT NULL,
    seen         INTEGER NOT NULL,
    verdict      INTEGER NOT NULL,
    recorded_at  INTEGER NOT NULL,
    call_key     TEXT    NOT NULL,
    digest       BLOB,
    source       BLOB,
    payload      BLOB    NOT NULL,
    PRIMARY KEY (execution_id, task_id, seq)
) WITHOUT ROWID;

CREATE TABLE waits (
    execution_id BLOB    NOT NULL,
    task_id      BLOB    NOT NULL,
    call_key     TEXT    NOT NULL,
    kind         INTEGER NOT NULL,
    due          INTEGER,
    queue        TEXT,
    name         TEXT,
    child_id     BLOB,
    number       INTEGER,
    PRIMARY KEY (execution_id, task_id, call_key)
) WITHOUT ROWID;
CREATE INDEX waits_signal ON waits (execution_id, name, number) WHERE kind = 3;
CREATE INDEX waits_event ON waits (queue, name) WHERE kind = 4;

CREATE TABLE signals (
    execution_id BLOB    NOT NULL,
    name         TEXT    NOT NULL,
    consumed     INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    signal_id    BLOB    NOT NULL,
    payload      BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (execution_id, name, consumed, position)
) WITHOUT ROWID;
CREATE UNIQUE INDEX signals_id ON signals (execution_id, signal_id);

CREATE TABLE event_streams (
    queue    TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (queue, name)
) WITHOUT ROWID;

CREATE TABLE events (
    queue      TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    position   INTEGER NOT NULL,
    event_id   BLOB    NOT NULL,
    payload    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (queue, name, position)
) WITHOUT ROWID;
CREATE INDEX events_age ON events (created_at);

CREATE TABLE event_cursors (
    execution_id BLOB    NOT NULL,
    task_id      BLOB    NOT NULL,
    queue        TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    position     INTEGER NOT NULL,
    PRIMARY KEY (execution_id, task_id, queue, name)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
    execution_id BLOB    NOT NULL,
    task_id      BLOB    NOT NULL,
    moved_at     INTEGER NOT NULL,
    PRIMARY KEY (execution_id, task_id)
) WITHOUT ROWID;
CREATE INDEX dead_letters_age ON dead_letters (moved_at);

CREATE TABLE sessions (
    session_id        BLOB    NOT NULL PRIMARY KEY,
    worker_id         TEXT    NOT NULL,
    host              TEXT    NOT NULL,
    pid               INTEGER NOT NULL,
    is_open           INTEGER NOT NULL,
    beat_ms           INTEGER NOT NULL,
    boot_id           TEXT    NOT NULL,
    suspect_execution BLOB,
    suspect_task      BLOB
) WITHOUT ROWID;
CREATE INDEX sessions_open ON sessions (session_id) WHERE is_open = 1;
-- 2: taken over, and not all that it owned is moved yet.
CREATE INDEX sessions_emptied ON sessions (session_id) WHERE is_open = 2;

CREATE TABLE functions (
    session_id     BLOB NOT NULL,
    name           TEXT NOT NULL,
    options        TEXT NOT NULL,
    max_concurrent INTEGER,
    PRIMARY KEY (session_id, name)
) WITHOUT ROWID;
CREATE INDEX functions_limited ON functions (name, max_concurrent) WHERE max_concurrent IS NOT NULL;

-- The limits in force: the smallest that an open session has published for a function, none where no one has any more.
CREATE TABLE limits (
    function       TEXT NOT NULL PRIMARY KEY,
    max_concurrent INTEGER
) WITHOUT ROWID;
CREATE INDEX limits_in_force ON limits (function, max_concurrent) WHERE max_concurrent IS NOT NULL;

-- The slots of limited functions, each with the task that holds it.
CREATE TABLE limit_slots (
    function     TEXT    NOT NULL,
    number       INTEGER NOT NULL,
    execution_id BLOB,
    task_id      BLOB,
    PRIMARY KEY (function, number)
) WITHOUT ROWID;

CREATE TABLE execution_counters (
    execution_id BLOB NOT NULL,
    name         TEXT NOT NULL,
    value,
    PRIMARY KEY (execution_id, name)
) WITHOUT ROWID;

CREATE TABLE execution_state (
    execution_id BLOB NOT NULL,
    name         TEXT NOT NULL,
    value        BLOB NOT NULL,
    PRIMARY KEY (execution_id, name)
) WITHOUT ROWID;

CREATE TABLE cache (
    key        TEXT    NOT NULL PRIMARY KEY,
    value      BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) WITHOUT ROWID;
CREATE INDEX cache_expiry ON cache (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE idempotency (
    key          TEXT    NOT NULL PRIMARY KEY,
    execution_id BLOB    NOT NULL,
    task_id      BLOB    NOT NULL,
    -- NULL while the task that has reserved the key may still end without a result.
    value        BLOB,
    created_at   INTEGER NOT NULL
) WITHOUT ROWID;

-- Who waits for a key that another task has reserved.
CREATE TABLE idempotency_line (
    key          TEXT NOT NULL,
    execution_id BLOB NOT NULL,
    task_id      BLOB NOT NULL,
    PRIMARY KEY (key, execution_id, task_id)
) WITHOUT ROWID;

CREATE VIEW stent_overview AS
SELECT lower(hex(e.execution_id)) AS execution_id, r.function AS function, r.queue AS queue,
       CASE e.state WHEN 0 THEN iif(t.first_started_at IS NULL, 'pending', 'running') WHEN 1 THEN 'running'
                    WHEN 2 THEN 'completed' WHEN 3 THEN 'failed' WHEN 4 THEN 'timed_out' WHEN 5 THEN 'cancelling'
                    ELSE 'cancelled' END AS state,
       datetime(e.created_at / 1000000, 'unixepoch') AS created_at,
       datetime(t.first_started_at / 1000000, 'unixepoch') AS started_at,
       datetime(e.completed_at / 1000000, 'unixepoch') AS completed_at,
       CAST(substr(t.result, 6) AS TEXT) AS result, CAST(substr(t.failure, 6) AS TEXT) AS failure
FROM executions e
JOIN routes r ON r.route_id = e.route_id
LEFT JOIN tasks t ON t.execution_id = e.execution_id AND t.task_id = e.execution_id;

CREATE VIEW stent_tasks AS
SELECT lower(hex(t.execution_id)) AS execution_id, lower(hex(t.task_id)) AS task_id,
       lower(hex(t.parent_id)) AS parent_id, t.call_key AS key, r.function AS function, r.queue AS queue,
       CASE t.state WHEN 0 THEN 'pending' WHEN 1 THEN 'running' WHEN 2 THEN 'suspended' WHEN 3 THEN 'completed'
                    WHEN 4 THEN 'failed' WHEN 5 THEN 'timed_out' ELSE 'cancelled' END AS state,
       t.priority AS priority, t.attempt AS attempt, t.run AS run, t.losses AS losses,
       lower(hex(t.session_id)) AS session_id,
       datetime(t.due / 1000000, 'unixepoch') AS due,
       datetime(t.created_at / 1000000, 'unixepoch') AS created_at,
       datetime(t.completed_at / 1000000, 'unixepoch') AS completed_at,
       (SELECT count(*) FROM records x WHERE x.execution_id = t.execution_id AND x.task_id = t.task_id) AS records
FROM tasks t
JOIN routes r ON r.route_id = t.route_id;

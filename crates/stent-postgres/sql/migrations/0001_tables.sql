-- The first schema: executions, their tasks, what was recorded of them, what they wait for, and who runs them. Table by
-- table that of the store on SQLite; times are microseconds since 1970, states the numbers of stent_core::state. Hot
-- tables are keyed by the execution first, so that executions can be spread over several databases: no sequences, no
-- foreign keys. Every secondary index is partial, so that a row pays only for what it is at the moment, and columns
-- that change are kept out of predicates where that keeps an update within its page.

CREATE TABLE stent_schema (
    product       text NOT NULL,
    version       int4 NOT NULL,
    oldest_client int4 NOT NULL
);

CREATE TABLE routes (
    route_id int8 NOT NULL PRIMARY KEY,
    queue    text COLLATE "C" NOT NULL,
    function text COLLATE "C" NOT NULL,
    tags     text COLLATE "C" NOT NULL,
    CONSTRAINT routes_key UNIQUE (queue, function, tags)
);

CREATE TABLE queues (
    name   text COLLATE "C" NOT NULL PRIMARY KEY,
    paused bool NOT NULL
);
CREATE INDEX queues_paused ON queues (name) WHERE paused;

-- The rows that fence batches: one for each committer of each process. See ARCHITECTURE.md, "The fence".
CREATE TABLE committers (
    instance_id uuid NOT NULL,
    generation  int8 NOT NULL,
    last_batch  int8 NOT NULL,
    seen_at     int8 NOT NULL,
    lane        int2 NOT NULL,
    PRIMARY KEY (instance_id, lane)
) WITH (fillfactor = 50);

CREATE TABLE executions (
    execution_id   uuid NOT NULL PRIMARY KEY,
    route_id       int8 NOT NULL,
    created_at     int8 NOT NULL,
    completed_at   int8,
    deadline       int8,
    -- The deadline as long as it stands: what has ended is never overdue.
    overdue_at     int8,
    expire_at      int8,
    run_within     int8,
    state          int2 NOT NULL,
    deadline_state int2,
    -- The state where it is one of the rare ones: an execution that completes never enters the index of these.
    rare_state     int2
) WITH (fillfactor = 80);
CREATE INDEX executions_deadline ON executions (overdue_at, execution_id) WHERE overdue_at IS NOT NULL;
CREATE INDEX executions_failed ON executions (rare_state, execution_id) WHERE rare_state IS NOT NULL;

CREATE TABLE start_keys (
    start_key    text COLLATE "C" NOT NULL PRIMARY KEY,
    execution_id uuid NOT NULL
);

CREATE TABLE tasks (
    execution_id     uuid NOT NULL,
    task_id          uuid NOT NULL,
    route_id         int8 NOT NULL,
    rank             int8 NOT NULL,
    epoch            int8 NOT NULL,
    due              int8,
    created_at       int8 NOT NULL,
    started_at       int8,
    first_started_at int8,
    completed_at     int8,
    priority         int4 NOT NULL,
    attempt          int4 NOT NULL DEFAULT 1,
    run              int4 NOT NULL DEFAULT 1,
    losses           int4 NOT NULL DEFAULT 0,
    seen             int4,
    -- The number of the slot of its function's limit that it holds.
    slot             int4,
    state            int2 NOT NULL,
    ready            bool NOT NULL,
    woken            bool NOT NULL DEFAULT false,
    undelivered      bool NOT NULL DEFAULT false,
    detached         bool NOT NULL DEFAULT false,
    on_start         bool NOT NULL DEFAULT false,
    session_id       uuid,
    parent_id        uuid,
    call_key         text COLLATE "C",
    digest           bytea,
    options          text,
    headers          bytea,
    args             bytea NOT NULL,
    result           bytea,
    failure          bytea,
    PRIMARY KEY (execution_id, task_id)
);
CREATE INDEX tasks_ready ON tasks (route_id, rank, execution_id, task_id) WHERE ready;
CREATE INDEX tasks_held ON tasks (route_id, rank, execution_id, task_id) WHERE ready AND slot IS NOT NULL;
CREATE INDEX tasks_due ON tasks (due, execution_id, task_id) WHERE due IS NOT NULL;
CREATE INDEX tasks_owned ON tasks (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX tasks_nudged ON tasks (session_id) WHERE session_id IS NOT NULL AND (woken OR state > 2);
CREATE INDEX tasks_open ON tasks (execution_id, parent_id) WHERE parent_id IS NOT NULL AND completed_at IS NULL;
CREATE INDEX tasks_undelivered ON tasks (execution_id, parent_id) WHERE undelivered;

CREATE TABLE records (
    execution_id uuid NOT NULL,
    task_id      uuid NOT NULL,
    epoch        int8 NOT NULL,
    recorded_at  int8 NOT NULL,
    seq          int8 NOT NULL,
    run          int4 NOT NULL,
    seen         int4 NOT NULL,
    kind         int2 NOT NULL,
    verdict      int2 NOT NULL,
    call_key     text COLLATE "C" NOT NULL,
    digest       bytea,
    source       uuid,
    payload      bytea NOT NULL,
    PRIMARY KEY (execution_id, task_id, seq)
);

CREATE TABLE waits (
    execution_id uuid NOT NULL,
    task_id      uuid NOT NULL,
    call_key     text COLLATE "C" NOT NULL,
    kind         int2 NOT NULL,
    due          int8,
    number       int8,
    queue        text COLLATE "C",
    name         text COLLATE "C",
    child_id     uuid,
    PRIMARY KEY (execution_id, task_id, call_key)
);
CREATE INDEX waits_signal ON waits (execution_id, name, number) WHERE kind = 3;
CREATE INDEX waits_event ON waits (queue, name) WHERE kind = 4;

CREATE TABLE signals (
    execution_id uuid NOT NULL,
    name         text COLLATE "C" NOT NULL,
    position     int8 NOT NULL,
    created_at   int8 NOT NULL,
    consumed     bool NOT NULL,
    signal_id    uuid NOT NULL,
    payload      bytea NOT NULL,
    PRIMARY KEY (execution_id, name, position)
);
CREATE INDEX signals_waiting ON signals (execution_id, name, position) WHERE NOT consumed;
CREATE UNIQUE INDEX signals_id ON signals (signal_id, execution_id);

CREATE TABLE event_streams (
    queue    text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL,
    position int8 NOT NULL,
    PRIMARY KEY (queue, name)
);

CREATE TABLE events (
    queue      text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    position   int8 NOT NULL,
    created_at int8 NOT NULL,
    event_id   uuid NOT NULL,
    payload    bytea NOT NULL,
    PRIMARY KEY (queue, name, position)
);
CREATE INDEX events_age ON events (created_at);

CREATE TABLE event_cursors (
    execution_id uuid NOT NULL,
    task_id      uuid NOT NULL,
    queue        text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    position     int8 NOT NULL,
    PRIMARY KEY (execution_id, task_id, queue, name)
);

CREATE TABLE dead_letters (
    execution_id uuid NOT NULL,
    task_id      uuid NOT NULL,
    moved_at     int8 NOT NULL,
    PRIMARY KEY (execution_id, task_id)
);
CREATE INDEX dead_letters_age ON dead_letters (moved_at, execution_id, task_id);

CREATE TABLE sessions (
    session_id        uuid NOT NULL PRIMARY KEY,
    -- Whose committers its batches go through: they are bumped before anything is taken from it.
    instance_id       uuid NOT NULL,
    -- The advisory lock that its process holds while it lives; none where that cannot be seen (behind a pooler).
    presence          int8,
    beat_at           int8 NOT NULL,
    pid               int8 NOT NULL,
    -- 0 closed, 1 open, 2 taken over and not all that it owned is moved yet.
    is_open           int2 NOT NULL,
    worker_id         text NOT NULL,
    host              text NOT NULL,
    suspect_execution uuid,
    suspect_task      uuid
) WITH (fillfactor = 50);
CREATE INDEX sessions_open ON sessions (session_id) WHERE is_open = 1;
CREATE INDEX sessions_emptied ON sessions (session_id) WHERE is_open = 2;

CREATE TABLE functions (
    session_id     uuid NOT NULL,
    max_concurrent int4,
    name           text COLLATE "C" NOT NULL,
    options        text NOT NULL,
    PRIMARY KEY (session_id, name)
);
CREATE INDEX functions_limited ON functions (name, max_concurrent) WHERE max_concurrent IS NOT NULL;

-- The limits in force: the smallest that an open session has published for a function, none where no one has any more.
CREATE TABLE limits (
    max_concurrent int4,
    function       text COLLATE "C" NOT NULL PRIMARY KEY
);
CREATE INDEX limits_in_force ON limits (function) WHERE max_concurrent IS NOT NULL;

-- The slots of limited functions, each with the task that holds it. Holders are in no index: a slot changes hands within
-- its page.
CREATE TABLE limit_slots (
    execution_id uuid,
    task_id      uuid,
    number       int4 NOT NULL,
    function     text COLLATE "C" NOT NULL,
    PRIMARY KEY (function, number)
) WITH (fillfactor = 25);

CREATE TABLE execution_counters (
    execution_id uuid NOT NULL,
    name         text COLLATE "C" NOT NULL,
    whole        int8,
    value        float8 NOT NULL,
    PRIMARY KEY (execution_id, name)
);

CREATE TABLE execution_state (
    execution_id uuid NOT NULL,
    name         text COLLATE "C" NOT NULL,
    value        bytea NOT NULL,
    PRIMARY KEY (execution_id, name)
);

CREATE TABLE cache (
    key        text COLLATE "C" NOT NULL PRIMARY KEY,
    value      bytea NOT NULL,
    created_at int8 NOT NULL,
    expires_at int8
);
CREATE INDEX cache_expiry ON cache (expires_at, key) WHERE expires_at IS NOT NULL;

CREATE TABLE idempotency (
    key          text COLLATE "C" NOT NULL PRIMARY KEY,
    execution_id uuid NOT NULL,
    task_id      uuid NOT NULL,
    -- NULL while the task that has reserved the key may still end without a result.
    value        bytea,
    created_at   int8 NOT NULL
);

-- Who waits for a key that another task has reserved.
CREATE TABLE idempotency_line (
    key          text COLLATE "C" NOT NULL,
    execution_id uuid NOT NULL,
    task_id      uuid NOT NULL,
    PRIMARY KEY (key, execution_id, task_id)
);

CREATE VIEW stent_overview AS
SELECT e.execution_id, r.function, r.queue,
       CASE e.state WHEN 0 THEN CASE WHEN t.first_started_at IS NULL THEN 'pending' ELSE 'running' END
                    WHEN 1 THEN 'running' WHEN 2 THEN 'completed' WHEN 3 THEN 'failed' WHEN 4 THEN 'timed_out'
                    WHEN 5 THEN 'cancelling' ELSE 'cancelled' END AS state,
       to_timestamp(e.created_at / 1000000.0) AS created_at,
       to_timestamp(t.first_started_at / 1000000.0) AS started_at,
       to_timestamp(e.completed_at / 1000000.0) AS completed_at,
       encode(substr(t.result, 6), 'escape') AS result, encode(substr(t.failure, 6), 'escape') AS failure
FROM executions e
JOIN routes r ON r.route_id = e.route_id
LEFT JOIN tasks t ON t.execution_id = e.execution_id AND t.task_id = e.execution_id;

CREATE VIEW stent_tasks AS
SELECT t.execution_id, t.task_id, t.parent_id, t.call_key AS key, r.function, r.queue,
       CASE t.state WHEN 0 THEN 'pending' WHEN 1 THEN 'running' WHEN 2 THEN 'suspended' WHEN 3 THEN 'completed'
                    WHEN 4 THEN 'failed' WHEN 5 THEN 'timed_out' ELSE 'cancelled' END AS state,
       t.priority, t.attempt, t.run, t.losses, t.session_id,
       to_timestamp(t.due / 1000000.0) AS due,
       to_timestamp(t.created_at / 1000000.0) AS created_at,
       to_timestamp(t.completed_at / 1000000.0) AS completed_at,
       (SELECT count(*) FROM records x WHERE x.execution_id = t.execution_id AND x.task_id = t.task_id) AS records
FROM tasks t
JOIN routes r ON r.route_id = t.route_id;

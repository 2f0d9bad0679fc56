-- Starts that come back by a cron line: what is started, when it is due next, and what the last tick started.

CREATE TABLE schedules (
    name           TEXT    NOT NULL PRIMARY KEY,
    revision       INTEGER NOT NULL,
    cron           TEXT    NOT NULL,
    zone           TEXT    NOT NULL,
    -- The number of stent_core::MissedTicks.
    missed         INTEGER NOT NULL,
    paused         INTEGER NOT NULL,
    -- NULL while it rests, and when the line has no further tick.
    due            INTEGER,
    last_tick      INTEGER,
    last_execution BLOB,
    function       TEXT    NOT NULL,
    queue          TEXT    NOT NULL,
    tags           TEXT    NOT NULL,
    priority       INTEGER NOT NULL,
    options        TEXT,
    headers        BLOB,
    args           BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules (due, name) WHERE due IS NOT NULL;

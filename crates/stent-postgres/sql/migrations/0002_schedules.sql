-- Starts that come back by a cron line: what is started, when it is due next, and what the last tick started.

CREATE TABLE schedules (
    name           text COLLATE "C" NOT NULL PRIMARY KEY,
    revision       int8 NOT NULL,
    -- NULL while it rests, and when the line has no further tick.
    due            int8,
    last_tick      int8,
    last_execution uuid,
    priority       int4 NOT NULL,
    -- The number of stent_core::MissedTicks.
    missed         int2 NOT NULL,
    paused         bool NOT NULL,
    cron           text NOT NULL,
    zone           text NOT NULL,
    function       text NOT NULL,
    queue          text NOT NULL,
    tags           text NOT NULL,
    options        text,
    headers        bytea,
    args           bytea NOT NULL
);
CREATE INDEX schedules_due ON schedules (due, name) WHERE due IS NOT NULL;

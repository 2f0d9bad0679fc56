-- Creates a schedule, or says anew what it starts and when. Its last tick stays.
-- Served by the primary key; enters schedules_due where it has a due time.
INSERT INTO schedules (name, revision, cron, zone, missed, paused, due, function, queue, tags, priority, options, headers, args,
                       expire_after, start_within, run_within)
VALUES (?1, ?2, ?3, ?4, ?5, FALSE, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
ON CONFLICT (name) DO UPDATE
SET revision = excluded.revision, cron = excluded.cron, zone = excluded.zone, missed = excluded.missed, due = excluded.due,
    function = excluded.function, queue = excluded.queue, tags = excluded.tags, priority = excluded.priority,
    options = excluded.options, headers = excluded.headers, args = excluded.args,
    expire_after = excluded.expire_after, start_within = excluded.start_within, run_within = excluded.run_within

-- All schedules for people, in order of name.
-- Served by the primary key.
SELECT name, revision, cron, zone, missed, paused, due, last_tick, last_execution, function, queue, tags, priority, options,
       headers, args, expire_after, start_within, run_within
FROM schedules ORDER BY name

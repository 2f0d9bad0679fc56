-- One schedule.
-- Served by the primary key.
SELECT name, revision, cron, zone, missed, paused, due, last_tick, last_execution, function, queue, tags, priority, options,
       headers, args, expire_after, start_within, run_within
FROM schedules WHERE name = ?1

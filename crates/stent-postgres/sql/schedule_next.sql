-- The schedules that have a due time, the earliest first: what a worker rests until, and what it ticks.
-- Served by schedules_due.
SELECT name, revision, cron, zone, missed, paused, due, last_tick, last_execution, function, queue, tags, priority, options,
       headers, args, expire_after, start_within, run_within
FROM schedules
WHERE due IS NOT NULL
ORDER BY due, name
LIMIT $1::int8

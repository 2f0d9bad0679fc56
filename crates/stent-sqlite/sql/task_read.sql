-- Where a task stands: what every decision about it needs, without its payloads.
-- Served by the primary key.
SELECT state, session_id, epoch, woken, priority, attempt, run, losses, parent_id, call_key, seen, digest, undelivered,
       detached, first_started_at, slot, route_id, CASE WHEN substr(options, 1, 8) = '{"memo":' THEN options END
FROM tasks WHERE execution_id = ?1 AND task_id = ?2
